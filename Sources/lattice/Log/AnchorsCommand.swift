// Keys for signed heads of the log, and a collector that keeps the heads where the log is not.

import ArgumentParser
import EventModel
import EventStore
import Foundation
import Logging
import Messaging
import NATSMessaging

/// `lattice anchors`
struct AnchorsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "anchors", abstract: "Signed heads of the log: make a key, collect them elsewhere.",
        discussion: """
            Whoever may write the data directory can write a new past with correct checksums and hashes. Heads that are \
            signed and kept on another machine show it:

              lattice anchors keygen --out /etc/lattice/anchor.key
              lattice serve --anchor-key /etc/lattice/anchor.key
              lattice anchors collect --out anchors.jsonl --public anchor.key.pub      on another machine
              lattice verify --anchor anchors.jsonl --anchor-public anchor.key.pub
            """,
        subcommands: [AnchorsKeygen.self, AnchorsCollect.self])
}

struct AnchorsKeygen: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make an Ed25519 key: FILE with mode 0600, and FILE.pub.")

    @Option(help: ArgumentHelp("Where the secret goes; not into the data directory.", valueName: "file"))
    var out: String

    func run() async throws {
        let key = AnchorKey.random()
        try AnchorFile.create(out, key.secretLine, mode: 0o600)
        try AnchorFile.create(out + ".pub", key.publicLine, mode: 0o644)
        Terminal.say("\(out): the secret, for `lattice serve --anchor-key`")
        Terminal.say("\(out).pub: the public key \(key.publicKey), for `lattice verify --anchor-public`")
    }
}

struct AnchorsCollect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collect", abstract: "Append the anchors that nodes publish to a file, a JSON object a line.",
        discussion: """
            Runs until it is ended (or --count). Keep the file where nobody who may write the log can write. An anchor \
            that was missed is no loss: the next one stands for everything before it.
            """)

    @Option(help: ArgumentHelp("Where the anchors go; - is standard output.", valueName: "file")) var out: String
    @Option(name: .customLong("public"), help: ArgumentHelp("Take those of this key only.", valueName: "file"))
    var publicKey: String?
    @Option(help: "End after so many.") var count: Int?
    @OptionGroup(title: "Connection") var client: ClientOptions

    func run() async throws {
        let key = try publicKey.map { path throws(CommandFailure) in try AnchorFile.publicKey(path) }
        let client = try await client.connect(as: "lattice anchors", says: .warning)
        let subscription: any MessageSubscription
        do throws(BusError) {
            subscription = try client.bus.subscribe(
                "\(client.prefix).anchors", queueGroup: nil, limits: .standard)
            try await client.bus.flush(timeout: .seconds(5))
        } catch {
            throw CommandFailure(error, url: client.bus.configuration.servers.joined(separator: ", "))
        }
        Terminal.complain("collecting anchors of prefix \(client.prefix)")
        var taken = 0
        while let messages = await blocking({
            try? subscription.receive(maximum: 64, timeout: .milliseconds(500))
        }) {
            for message in messages where try keep(message, key) {
                taken += 1
                if taken == count { return }
            }
        }
        throw CommandFailure(.unreachable, "the connection to NATS was closed")
    }

    /// Whether it was an anchor that is wanted.
    private func keep(_ message: Message, _ key: String?) throws(CommandFailure) -> Bool {
        let anchor =
            message.payload.first == UInt8(ascii: "{")
            ? Anchor(json: message.payload) : try? Anchor.decode(message.payload[...])
        guard let anchor, anchor.isSigned(by: key ?? anchor.publicKey),
            let line = try? JSONTranscoder.json(fromBinary: anchor.encode(), kind: .anchor)
        else {
            Terminal.complain("passed over what is no anchor, or of another key (\(message.payload.count) bytes)")
            return false
        }
        let text = String(decoding: line, as: UTF8.self)
        if out == "-" {
            Terminal.say(text)
            return true
        }
        do {
            if !FileManager.default.fileExists(atPath: out) { try AnchorFile.create(out, "", mode: 0o600) }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: out))
            try file.seekToEnd()
            try file.write(contentsOf: Data((text + "\n").utf8))
            try file.synchronize()
            try file.close()
        } catch {
            throw CommandFailure(.failed, "\(out) can not be written: \(error)")
        }
        return true
    }
}
