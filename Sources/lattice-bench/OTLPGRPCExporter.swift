// One connection of gRPC with one call under way: frames of HTTP/2 on NIO's handler, as few of them as there can be.

import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// Sends a request again and again over gRPC, with new ids.
final class GRPCExporter: ChannelInboundHandler, SpanExporter, Sendable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    static let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export"
    private static let window = 1 << 20
    private let channelResult: EventLoopPromise<(Int, LatencySample)>
    private let channel: any Channel
    private let fields: HPACKHeaders
    private let state: NIOLoopBoundBox<State>

    private struct State {
        var template: OTLPTemplate
        var stream = HTTP2StreamID(1)
        var deadline = NIODeadline.distantFuture
        var requests = 0
        var latencies = LatencySample()
        var sentAt = ContinuousClock.now
    }

    private init(_ channel: any Channel, _ path: String, number: Int, batch: Int) {
        self.channel = channel
        fields = [
            ":method": "POST", ":scheme": "http", ":path": "/\(path)", ":authority": "localhost",
            "content-type": "application/grpc", "te": "trailers",
        ]
        channelResult = channel.eventLoop.makePromise()
        state = NIOLoopBoundBox(
            State(template: OTLPTemplate(batch: batch, number: number)), eventLoop: channel.eventLoop)
    }

    static func connect(_ target: OTLPTarget, number: Int, batch: Int) async throws -> GRPCExporter {
        let channel = try await ClientBootstrap(group: Exporter.group).connect(host: "127.0.0.1", port: target.port)
            .get()
        return try await channel.eventLoop.submit {
            let exporter = GRPCExporter(channel, target.path, number: number, batch: batch)
            try channel.pipeline.syncOperations.addHandler(NIOHTTP2Handler(mode: .client))
            try channel.pipeline.syncOperations.addHandler(exporter)
            return exporter
        }.get()
    }

    func start(until deadline: NIODeadline) {
        channel.eventLoop.execute {
            self.state.value.deadline = deadline
            self.send()
        }
    }

    func finish() async throws -> (Int, LatencySample) {
        let result = try await channelResult.futureResult.get()
        try await channel.close().get()
        return result
    }

    private func send() {
        let body = state.value.template.next()
        var message = channel.allocator.buffer(capacity: body.count + 5)
        message.writeInteger(0 as UInt8)
        message.writeInteger(UInt32(body.count))
        message.writeBytes(body)
        let stream = state.value.stream
        state.value.sentAt = .now
        channel.write(HTTP2Frame(streamID: stream, payload: .headers(.init(headers: fields))), promise: nil)
        let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(message), endStream: true)
        channel.writeAndFlush(HTTP2Frame(streamID: stream, payload: .data(data)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let content) where content.endStream:
            let status = content.headers.first(name: "grpc-status") ?? "none"
            guard status == "0" else {
                let message = content.headers.first(name: "grpc-message") ?? ""
                return channelResult.fail(BenchError("answered: grpc-status \(status) \(message)"))
            }
            answered()
        case .rstStream(let code): channelResult.fail(BenchError("the stream was reset: \(code)"))
        default: break
        }
    }

    private func answered() {
        state.value.requests += 1
        state.value.latencies.add(state.value.sentAt.duration(to: .now))
        state.value.stream = state.value.stream.advanced(by: 2)
        if NIODeadline.now() < state.value.deadline { return send() }
        channelResult.succeed((state.value.requests, state.value.latencies))
    }

    /// Answers are small, but there are many of them on one connection.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? NIOHTTP2WindowUpdatedEvent, event.streamID == .rootStream,
            let size = event.inboundWindowSize, size < 32_768
        else { return }
        let update = HTTP2Frame.FramePayload.windowUpdate(windowSizeIncrement: Self.window - size)
        context.writeAndFlush(wrapOutboundOut(HTTP2Frame(streamID: .rootStream, payload: update)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { channelResult.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { channelResult.fail(BenchError("the connection was closed")) }
}
