// One connection of HTTP/2 whose streams are calls of one unary method.

import NIOCore
import NIOHPACK
import NIOHTTP2

/// The handler behind `NIOHTTP2Handler`, which checks frames, their order and their windows; a stream is no channel of its
/// own here, because a call is one message in and one out.
///
/// Whatever a peer sends costs it a refusal, its stream or its connection, and never the process. What is kept of a
/// message is paid out of the budget first; windows open only for messages that are still wanted.
final class GRPCConnection: ChannelDuplexHandler, NIOHTTP2FrameDelegate {
    typealias InboundIn = HTTP2Frame
    typealias OutboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let method: GRPCMethod
    private let limits: ListenerLimits
    private var context: ChannelHandlerContext?
    private var streams: [HTTP2StreamID: GRPCStream] = [:]
    private var lastStream = HTTP2StreamID.rootStream
    /// Messages that somebody works on; a peer that gives up a call frees its stream, not the work.
    private var workCount = 0
    /// Bytes of the budget that this connection's calls hold.
    private var charge = 0
    private var watch: RepeatedTask?
    /// When the connection began or its last stream ended.
    private var quietSince = NIODeadline.now()
    private var stalledSince: NIODeadline?
    private var isReadHeld = false
    private var isReading = false
    private var isUnflushed = false
    private var isFlushPlanned = false
    private var isWriting = false
    /// The peer has sent its settings.
    private var isGreeted = false
    private var ending = Ending.none
    /// A GOAWAY with an error was written: nothing that follows is understood.
    private var isBroken = false

    private enum Ending: Equatable {
        case none
        /// Told to go, with a PING behind, so that calls that are on their way count.
        case announced(at: NIODeadline)
        /// No more streams; closes behind the last one.
        case last
    }

    /// Of a message that is on its way.
    static let streamWindow = 1_048_576
    static let connectionWindow = 4_194_304
    private static let goodbye = HTTP2PingData(withInteger: 0x6C61_7474_6963_6521)

    init(_ method: GRPCMethod, _ limits: ListenerLimits) {
        self.method = method
        self.limits = limits
    }

    // MARK: Coming and going

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        let interval = TimeAmount(limits.watchInterval)
        watch = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            connection.value.look(at: .now())
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { gone() }

    func channelInactive(context: ChannelHandlerContext) {
        gone()
        context.fireChannelInactive()
    }

    private func gone() {
        watch?.cancel()
        watch = nil
        context = nil
        for stream in streams.values { forget(stream) }
        streams.removeAll()
    }

    private func forget(_ stream: GRPCStream) {
        stream.forgetDeadline()
        stream.phase = .answered
        release(stream.takeCharge())
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The stream was reset, and the connection is sound.
        if error is NIOHTTP2Errors.StreamError { return }
        if error is any NIOHTTP2Error, !isBroken, !isWriting, ending != .last { return }
        context.close(promise: nil)
    }

    func wroteFrame(_ frame: HTTP2Frame) {
        if case .goAway(_, let code, _) = frame.payload, code != .noError { isBroken = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as NIOHTTP2WindowUpdatedEvent:
            if let size = event.inboundWindowSize { widen(event.streamID, from: size) }
        case let event as StreamClosedEvent: ended(event.streamID)
        case is ChannelShouldQuiesceEvent: announceEnd()
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func ended(_ id: HTTP2StreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        forget(stream)
        if streams.isEmpty { quietSince = .now() }
        closeIfDone()
    }

    // MARK: Reading

    /// Nothing is read from a peer that does not read: answers would pile up.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { isReadHeld = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stalledSince = context.channel.isWritable ? nil : .now()
        if context.channel.isWritable, isReadHeld {
            isReadHeld = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        let frame = Self.unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let content): take(frame.streamID, content)
        case .data(let content): take(frame.streamID, content)
        case .settings(.settings): greet()
        case .ping(Self.goodbye, ack: true): sayLast()
        default: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flushIfNeeded()
        context.fireChannelReadComplete()
    }

    private func greet() {
        if isGreeted { return }
        isGreeted = true
        // A connection's window begins at 65,535, whatever settings say (RFC 9113, 6.9.2).
        write(.rootStream, .windowUpdate(windowSizeIncrement: Self.connectionWindow - 65_535))
    }

    private func take(_ id: HTTP2StreamID, _ content: HTTP2Frame.FramePayload.Headers) {
        if let stream = streams[id] {
            // Trailers, which mean nothing but the end.
            if content.endStream { endMessage(stream) }
            return
        }
        guard streams.count < limits.streams, workCount < limits.streams else {
            return write(id, .rstStream(.refusedStream))
        }
        let now = NIODeadline.now()
        let stream = GRPCStream(id, at: now)
        streams[id] = stream
        lastStream = max(lastStream, id)
        stream.isRemoteEnded = content.endStream
        do throws(GRPCStatus) {
            let head = try GRPCRequestHead.judge(content.headers, path: method.path, admits: method.admits)
            guard reserve(GRPCStream.ownBytes, for: stream) else { throw .busy("too many requests under way") }
            let reader = GRPCMessageReader(encoding: head.encoding, limit: method.messageBytes)
            stream.begin(.receiving(reader), at: now)
            if let timeout = head.timeout { expect(stream, within: timeout) }
        } catch {
            return refuse(stream, error)
        }
        if content.endStream { endMessage(stream) }
    }

    private func take(_ id: HTTP2StreamID, _ content: HTTP2Frame.FramePayload.Data) {
        guard let stream = streams[id] else { return }
        if case .receiving(var reader) = stream.phase, case .byteBuffer(let piece) = content.data {
            // Not two owners of the bytes while they grow.
            stream.phase = .answered
            do throws(GRPCStatus) {
                try reader.take(piece) { reserve($0, for: stream) }
            } catch {
                stream.isRemoteEnded = content.endStream
                return refuse(stream, error)
            }
            stream.phase = .receiving(reader)
        }
        if content.endStream { endMessage(stream) }
    }

    private func endMessage(_ stream: GRPCStream) {
        stream.isRemoteEnded = true
        guard case .receiving(var reader) = stream.phase else { return }
        do throws(GRPCStatus) {
            work(on: try reader.finish(), for: stream)
        } catch {
            refuse(stream, error)
        }
    }

    /// Opens a window again, once half of it is used.
    private func widen(_ id: HTTP2StreamID, from size: Int) {
        let target: Int
        if id == .rootStream {
            guard isGreeted else { return }
            target = Self.connectionWindow
        } else {
            guard let stream = streams[id], !stream.isRemoteEnded, case .receiving = stream.phase else { return }
            target = Self.streamWindow
        }
        if size <= target / 2 { write(id, .windowUpdate(windowSizeIncrement: target - size)) }
    }

    // MARK: Budget

    private func reserve(_ bytes: Int, for stream: GRPCStream) -> Bool {
        guard charge + bytes <= limits.connectionBytes, method.budget.reserve(bytes) else { return false }
        charge += bytes
        stream.add(charge: bytes)
        return true
    }

    private func release(_ bytes: Int) {
        charge -= bytes
        method.budget.release(bytes)
    }

    // MARK: Working and answering

    private func work(on message: GRPCMessage, for stream: GRPCStream) {
        guard let context else { return }
        stream.begin(.working, at: .now())
        workCount += 1
        let (id, held, method, loop) = (stream.id, stream.takeCharge(), method, context.eventLoop)
        let connection = NIOLoopBound(self, eventLoop: loop)
        Task {
            let answer = await method.call(message)
            method.budget.release(held)
            loop.execute { connection.value.finish(id, held, answer) }
        }
    }

    private func finish(_ id: HTTP2StreamID, _ held: Int, _ answer: GRPCAnswer) {
        workCount -= 1
        charge -= held
        guard let stream = streams[id], case .working = stream.phase else { return }
        switch answer {
        case .status(let status): self.answer(stream, status)
        case .message(let bytes):
            end(stream)
            var message = ByteBufferAllocator().buffer(capacity: bytes.count + 5)
            message.writeInteger(0 as UInt8)
            message.writeInteger(UInt32(truncatingIfNeeded: bytes.count))
            message.writeBytes(bytes)
            write(id, .headers(.init(headers: GRPCFields.head)))
            write(id, .data(.init(data: .byteBuffer(message))))
            write(id, .headers(.init(headers: GRPCFields.ok, endStream: true)))
        }
    }

    private func refuse(_ stream: GRPCStream, _ status: GRPCStatus) {
        method.onRefusal()
        answer(stream, status)
    }

    /// Ends a call with a status alone. Whoever still sends is told to stop, behind the answer and without an error
    /// (RFC 9113, 8.1): a reset alone would be taken for a fault that passes.
    private func answer(_ stream: GRPCStream, _ status: GRPCStatus) {
        end(stream)
        write(stream.id, .headers(.init(headers: status.trailersOnly, endStream: true)))
        if !stream.isRemoteEnded { write(stream.id, .rstStream(.noError)) }
    }

    private func end(_ stream: GRPCStream) {
        forget(stream)
        stream.begin(.answered, at: .now())
    }

    private func write(_ id: HTTP2StreamID, _ payload: HTTP2Frame.FramePayload) {
        guard let context else { return }
        isWriting = true
        context.write(Self.wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: nil)
        isWriting = false
        isUnflushed = true
        flushSoon()
    }

    /// Once for everything that a turn of the loop writes.
    private func flushSoon() {
        if isReading { return }
        guard let context, !isFlushPlanned else { return }
        isFlushPlanned = true
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { connection.value.flushIfNeeded() }
    }

    private func flushIfNeeded() {
        isFlushPlanned = false
        guard isUnflushed, let context else { return }
        isUnflushed = false
        context.flush()
    }

    // MARK: Time

    private func expect(_ stream: GRPCStream, within timeout: TimeAmount) {
        guard let context else { return }
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        let id = stream.id
        stream.expect(
            context.eventLoop.scheduleTask(in: timeout) {
                let connection = connection.value
                guard let stream = connection.streams[id] else { return }
                connection.refuse(stream, GRPCStatus(.deadlineExceeded, "the time that the caller gave is over"))
            })
    }

    private func look(at now: NIODeadline) {
        guard let context else { return }
        func isOver(_ limit: Duration, since begin: NIODeadline) -> Bool { now - begin > TimeAmount(limit) }
        if !isGreeted, isOver(limits.handshakeTimeout, since: quietSince) { return context.close(promise: nil) }
        if let stalledSince, isOver(limits.answerTimeout, since: stalledSince) { return context.close(promise: nil) }
        for stream in streams.values {
            switch stream.phase {
            case .receiving where isOver(limits.bodyTimeout, since: stream.since):
                refuse(stream, GRPCStatus(.deadlineExceeded, "the message did not come in \(limits.bodyTimeout)"))
            case .answered where isOver(limits.answerTimeout, since: stream.since):
                write(stream.id, .rstStream(.cancel))
            default: break
            }
        }
        switch ending {
        case .none where streams.isEmpty && isOver(limits.idleTimeout, since: quietSince): announceEnd()
        case .announced(let begin) where isOver(limits.farewellTimeout, since: begin): sayLast()
        default: break
        }
    }

    // MARK: The end

    private func announceEnd() {
        guard ending == .none else { return }
        guard isGreeted else {
            context?.close(promise: nil)
            return
        }
        ending = .announced(at: .now())
        write(.rootStream, .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil))
        write(.rootStream, .ping(Self.goodbye, ack: false))
    }

    private func sayLast() {
        guard case .announced = ending else { return }
        ending = .last
        write(.rootStream, .goAway(lastStreamID: lastStream, errorCode: .noError, opaqueData: nil))
        closeIfDone()
    }

    private func closeIfDone() {
        guard ending == .last, streams.isEmpty, let context else { return }
        flushIfNeeded()
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        // Behind the frames that this turn of the loop still writes.
        context.eventLoop.execute {
            connection.value.flushIfNeeded()
            connection.value.context?.close(promise: nil)
        }
    }
}
