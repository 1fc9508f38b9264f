// One stream of HTTP/2 in the words of HTTP/1: parts of a request in, parts of an answer out.

import NIOCore
import NIOHPACK
import NIOHTTP1
import NIOHTTP2

/// Between a stream's frames and the client's handler.
///
/// The last frame of an answer bears its end: a frame is held until the next one or a flush.
final class StreamCodec: ChannelInboundHandler, ChannelOutboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTP2Frame.FramePayload

    let connection: HTTP2Connection
    /// The client has said all of its request.
    private(set) var isRequestComplete = false
    /// The request that could not be read was a HEAD.
    private(set) var isRefusedHead = false
    private var hasHead = false
    private var isRefused = false
    private var heldHead: HPACKHeaders?
    private var heldBody: IOData?
    private var context: ChannelHandlerContext?

    init(_ connection: HTTP2Connection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .headers(let headers):
            isRequestComplete = headers.endStream
            if hasHead { return end(context) }
            hasHead = true
            begin(headers.headers, context)
        case .data(let data):
            isRequestComplete = data.endStream
            if !isRefused, case .byteBuffer(let bytes) = data.data, bytes.readableBytes > 0 {
                context.fireChannelRead(Self.wrapInboundOut(.body(bytes)))
            }
            end(context)
        default: break
        }
    }

    private func begin(_ block: HPACKHeaders, _ context: ChannelHandlerContext) {
        do throws(RequestRefusal) {
            let limits = connection.loop.shared.settings.limits
            let head = try StreamHead.read(block, isComplete: isRequestComplete, limits: limits)
            context.fireChannelRead(Self.wrapInboundOut(.head(head)))
            end(context)
        } catch {
            isRefused = true
            isRefusedHead = block.first(name: ":method") == "HEAD"
            context.fireErrorCaught(error)
        }
    }

    /// The fields behind a body are not passed on.
    private func end(_ context: ChannelHandlerContext) {
        if isRequestComplete, !isRefused { context.fireChannelRead(Self.wrapInboundOut(.end(nil))) }
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(let head):
            writeHeld(context)
            heldHead = Self.block(head)
            if let promise { writeHeld(context, promise: promise) }
        case .body(let bytes):
            if bytes.readableBytes == 0, promise == nil { return }
            writeHeld(context)
            heldBody = bytes
            if let promise { writeHeld(context, promise: promise) }
        case .end(let trailers):
            if let trailers, !trailers.isEmpty {
                writeHeld(context)
                heldHead = Self.block(trailers, into: HPACKHeaders())
            }
            writeHeld(context, isLast: true, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        writeHeld(context)
        context.flush()
    }

    private func writeHeld(
        _ context: ChannelHandlerContext, isLast: Bool = false, promise: EventLoopPromise<Void>? = nil
    ) {
        let payload: HTTP2Frame.FramePayload
        if let block = heldHead {
            heldHead = nil
            payload = .headers(.init(headers: block, endStream: isLast))
        } else if let bytes = heldBody {
            heldBody = nil
            payload = .data(.init(data: bytes, endStream: isLast))
        } else if isLast {
            payload = .data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))
        } else {
            return
        }
        context.write(Self.wrapOutboundOut(payload), promise: promise)
    }

    /// Ends the stream at once, whatever either side has still to say.
    func reset(_ reason: HTTP2ErrorCode) {
        (heldHead, heldBody) = (nil, nil)
        context?.writeAndFlush(Self.wrapOutboundOut(.rstStream(reason)), promise: nil)
    }

    private static func block(_ head: HTTPResponseHead) -> HPACKHeaders {
        var block = HPACKHeaders()
        block.reserveCapacity(head.headers.count + 1)
        block.add(name: ":status", value: String(head.status.code))
        return self.block(head.headers, into: block)
    }

    /// Names in lower case, without what concerns a connection (RFC 9113, 8.2).
    private static func block(_ headers: HTTPHeaders, into start: HPACKHeaders) -> HPACKHeaders {
        var block = start
        for (name, value) in headers {
            switch FieldNames.kind(name) {
            case .hop, .connection, .transferEncoding, .upgrade: continue
            default:
                let isLower = !name.utf8.contains { $0 &- 0x41 < 26 }
                block.add(name: isLower ? name : name.lowercased(), value: value)
            }
        }
        return block
    }
}
