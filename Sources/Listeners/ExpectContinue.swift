// Tells a client that waits with its body to send it (RFC 9110, 10.1.1): curl waits a second before each body above 1 MiB.

import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Answers `Expect: 100-continue`.
final class ExpectContinue: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var unansweredCount = 0
    /// The newest request waits to be told.
    private var isOwed = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = Self.unwrapInboundIn(data) {
            unansweredCount += 1
            isOwed = head.headerFields[.expect]?.lowercased() == "100-continue"
        } else {
            isOwed = false
        }
        sayIfDue(context)
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part = Self.unwrapOutboundIn(data)
        context.write(data, promise: promise)
        guard case .end = part else { return }
        unansweredCount -= 1
        sayIfDue(context)
    }

    /// Never within the answer to the request before.
    private func sayIfDue(_ context: ChannelHandlerContext) {
        guard isOwed, unansweredCount == 1 else { return }
        isOwed = false
        context.writeAndFlush(Self.wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }
}
