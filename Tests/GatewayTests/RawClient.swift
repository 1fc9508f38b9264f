// A client that sends bytes as they are, good or bad, and reads what comes back.

import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TestKit

/// One connection.
final class RawClient: Sendable {
    private struct State {
        var text = ""
        var isClosed = false
    }

    private final class Ear: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Self.unwrapInboundIn(data)
            state.withLock { $0.text += String(buffer: bytes) }
        }

        func channelInactive(context: ChannelHandlerContext) { state.withLock { $0.isClosed = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let ear: Ear

    static func connect(_ port: Int) async throws -> RawClient {
        let ear = Ear()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(ear) }
            }.connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel, ear)
    }

    private init(_ channel: any Channel, _ ear: Ear) {
        self.channel = channel
        self.ear = ear
    }

    var text: String { ear.state.withLock { $0.text } }
    /// Bytes that came so far.
    var byteCount: Int { ear.state.withLock { $0.text.utf8.count } }

    var isClosed: Bool { ear.state.withLock { $0.isClosed } }

    /// What cannot be written any more is of no interest.
    func send(_ text: String) async { try? await channel.writeAndFlush(ByteBuffer(string: text)).get() }

    /// What comes stays in the system's buffers.
    func stopReading() async { try? await channel.setOption(.autoRead, value: false).get() }

    func startReading() async { try? await channel.setOption(.autoRead, value: true).get() }

    func close() async { try? await channel.close().get() }

    /// Sends a request and reads one whole answer of a known length, or until the connection is closed.
    func ask(_ text: String, until end: String? = nil) async throws -> String {
        let begin = self.text.count
        await send(text)
        try await waitFor {
            let answer = String(self.text.dropFirst(begin))
            if let end { return answer.contains(end) || self.isClosed }
            return Self.isWhole(answer) || self.isClosed
        }
        return String(self.text.dropFirst(begin))
    }

    private static func isWhole(_ answer: String) -> Bool {
        guard let head = answer.range(of: "\r\n\r\n") else { return false }
        let body = answer[head.upperBound...]
        for line in answer[..<head.lowerBound].split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { continue }
            return body.utf8.count >= Int(parts[1].filter { $0 != " " }) ?? 0
        }
        return body.hasSuffix("\r\n\r\n") && body.contains("0\r\n")
    }
}
