// One connection to a shadow: one exchange at a time; what nobody asked for ends it.

import NIOCore

/// What an exchange hears of its connection; one of the two, once.
protocol AnswerTaker: AnyObject {
    func answered(_ answer: ParsedAnswer)
    /// - Parameter status: of the answer whose body could not be read; 0: there is none.
    func unanswered(_ fault: AnswerFault, status: UInt32)
}

/// The only handler of a connection to a shadow.
final class ShadowConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let address: ShadowAddress
    weak var pool: ShadowPool?
    /// Closes it when it was idle for too long.
    var idleEnd: Scheduled<Void>?
    /// Exchanges that were begun on it.
    private(set) var useCount = 0
    private var context: ChannelHandlerContext?
    private var taker: (any AnswerTaker)?
    private var parser: AnswerParser?
    private var hasFailed = false
    private var mayBeKept = true

    init(_ address: ShadowAddress) { self.address = address }

    /// Whether another exchange can begin.
    var isUsable: Bool { taker == nil && mayBeKept && context?.channel.isActive == true }

    /// Sends a request, and hands its answer to the taker.
    func begin(_ request: ByteBuffer, _ parser: AnswerParser, for taker: any AnswerTaker) {
        guard isUsable, let context else { return taker.unanswered(.closed, status: 0) }
        useCount += 1
        self.taker = taker
        self.parser = parser
        context.writeAndFlush(Self.wrapOutboundOut(request), promise: nil)
    }

    /// Nobody waits for an answer any more, and it is not used again.
    func close() {
        taker = nil
        parser = nil
        mayBeKept = false
        context?.close(promise: nil)
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Bytes of an answer that nobody waits for.
        guard parser != nil else { return close() }
        let bytes = Array(Self.unwrapInboundIn(data).readableBytesView)
        do throws(AnswerFault) {
            try parser?.take(bytes)
            if parser?.isWhole == true { finish() }
        } catch {
            fail(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        mayBeKept = false
        do throws(AnswerFault) {
            try parser?.end(isClean: !hasFailed)
            finish()
        } catch {
            fail(error)
        }
        pool?.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        hasFailed = true
        mayBeKept = false
        context.close(promise: nil)
    }

    private func finish() {
        guard let taker, let parser else { return }
        self.taker = nil
        self.parser = nil
        if !parser.leavesConnectionUsable { mayBeKept = false }
        if mayBeKept, let pool { pool.release(self) } else { close() }
        taker.answered(parser.answer)
    }

    private func fail(_ fault: AnswerFault) {
        let (taker, status) = (taker, parser?.answer.status ?? 0)
        close()
        taker?.unanswered(fault, status: status)
    }
}
