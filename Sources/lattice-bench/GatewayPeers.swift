// Processes that a benchmark of the gateway needs on its other sides: an HTTP server that counts, and a proxy over
// AsyncHTTPClient to compare with.

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// `gateway-peer upstream|relay`: started by `gateway`, not by people.
struct GatewayPeer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway-peer", abstract: "A server or a proxy of its own process for `gateway`.",
        shouldDisplay: false)

    @Argument(help: "upstream: answers 1 KB; relay: passes on through AsyncHTTPClient.") var role: String
    @Option(help: "relay: the port of the upstream.") var upstream = 0

    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let counter = RequestCounter()
        let (role, base) = (role, "http://127.0.0.1:\(upstream)")
        let client = HTTPClient(eventLoopGroup: group)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    if role == "relay" {
                        try channel.pipeline.syncOperations.addHandler(RelayHandler(client, base))
                    } else {
                        try channel.pipeline.syncOperations.addHandler(UpstreamHandler(counter))
                    }
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        FileHandle.standardOutput.write(Data("\(listener.localAddress?.port ?? 0)\n".utf8))
        try await listener.closeFuture.get()
    }
}

/// How many requests came.
final class RequestCounter: Sendable {
    let count = Atomic<Int>(0)
}

/// Answers 1 KB; `/__count` with the number of requests.
private final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let body = ByteBuffer(repeating: UInt8(ascii: "a"), count: 1_024)
    private let counter: RequestCounter
    private var asksForCount = false

    init(_ counter: RequestCounter) { self.counter = counter }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head): asksForCount = head.uri == "/__count"
        case .body: break
        case .end:
            if !asksForCount { counter.count.add(1, ordering: .relaxed) }
            let body =
                asksForCount ? ByteBuffer(string: "\(counter.count.load(ordering: .relaxed))") : Self.body
            let head = HTTPResponseHead(
                version: .http1_1, status: .ok,
                headers: ["content-type": "text/plain", "content-length": "\(body.readableBytes)"])
            context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

/// Passes requests on: one task each, as a proxy over AsyncHTTPClient would.
private final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let client: HTTPClient
    private let base: String
    private var head: HTTPRequestHead?

    init(_ client: HTTPClient, _ base: String) {
        self.client = client
        self.base = base
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let new): head = new
        case .body: break
        case .end:
            guard let head else { return }
            var request = HTTPClientRequest(url: base + head.uri)
            request.method = head.method
            for (name, value) in head.headers where name.lowercased() != "host" {
                request.headers.add(name: name, value: value)
            }
            let (channel, client, outgoing) = (context.channel, client, request)
            Task {
                let answer = try await client.execute(outgoing, timeout: .seconds(10))
                let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: answer.headers)
                channel.write(HTTPServerResponsePart.head(head), promise: nil)
                for try await bytes in answer.body {
                    channel.write(HTTPServerResponsePart.body(.byteBuffer(bytes)), promise: nil)
                }
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            }
        }
    }
}
