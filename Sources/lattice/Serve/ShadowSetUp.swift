// What a node needs to send copies to shadows: the key of the mark and the folder of credentials.

import ArgumentParser
import Dispatcher
import EventStore
import Foundation

/// How copies go to shadows.
struct MirrorOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where the files lie that a mirror's shadow_auth names (default: shadow-auth in the data directory).",
            valueName: "dir"))
    var shadowAuthDir: String?

    @Option(
        help: ArgumentHelp(
            "The key of the shadow mark, shared by all nodes and gateways (default: made in the data directory).",
            valueName: "file"))
    var shadowKey: String?
}

/// Makes the sender of a node.
struct ShadowSetUp {
    private static let keyBytes = 32
    private let serve: Serve

    init(_ serve: Serve) { self.serve = serve }

    var credentialsDirectory: String { serve.mirrors.shadowAuthDir ?? serve.node.data + "/shadow-auth" }
    var keyPath: String { serve.mirrors.shadowKey ?? serve.node.data + "/shadow.key" }

    /// A sender with its key; the default key is made once, for its owner only.
    func sender() throws(CommandFailure) -> HTTPShadowSender {
        HTTPShadowSender(
            ShadowSenderConfiguration(
                credentialsDirectory: credentialsDirectory, markKey: try key(), now: { PosixStorage().now() }))
    }

    private func key() throws(CommandFailure) -> [UInt8] {
        if let content = FileManager.default.contents(atPath: keyPath) {
            guard content.count >= 16 else {
                throw CommandFailure(.usage, "\(keyPath) is no key: it has fewer than 16 bytes")
            }
            return Array(content)
        }
        if serve.mirrors.shadowKey != nil { throw CommandFailure(.usage, "\(keyPath) can not be read") }
        var random = SystemRandomNumberGenerator()
        let key = (0..<Self.keyBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        return try readingLog { () throws(EventStoreError) in
            let file = try PosixStorage().open(keyPath, .create)
            _ = try file.write(key.span, at: 0)
            try file.synchronize()
            return key
        }
    }
}
