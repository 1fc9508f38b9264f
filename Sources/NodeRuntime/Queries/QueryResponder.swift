// Answers queries from the bus: in batches, from the live state or from a fork of the past.

import Dispatch
import EventModel
import Logging
import Messaging
import StateMachines
import Synchronization

/// One question with whoever asked.
private struct Asked {
    var question: Question
    var replyTo: String
    var wantsJSON: Bool
}

/// What the answers are made from.
struct QueryContext: Sendable {
    var applier: Applier
    var hosts: MachineHosts
    var mirror: MirrorResponder
    var traveller: TimeTraveller
    var timeout: Nanoseconds
    var status: @Sendable () async -> NodeStatus
}

/// Counters of the responder, for metrics and `$SRV.STATS`.
struct QueryFigures: Sendable {
    var answered: UInt64 = 0
    var failed: UInt64 = 0
    var processingNanoseconds: UInt64 = 0
    var lastError = ""
}

/// Serves `<prefix>.queries.>`.
final class QueryResponder: Sendable {
    private let prefix: String
    private let reader: QueryReader
    private let bus: any MessageBus
    private let context: QueryContext
    private let logger: Logger
    private let figuresBox = Mutex(QueryFigures())
    /// Batches being answered; beyond it the subscription's own queue waits.
    private let room = DispatchSemaphore(value: 32)
    /// Batches, and questions by themselves, that are not answered yet.
    private let underWay = Mutex((batches: 0, alone: 0))
    /// Questions that wait or travel; more are told to come back.
    private static let aloneMaximum = 4_096
    private let travellers: TravellerGate
    /// Cursors of round robin for those who bring none; a balancer's memory, not part of the folded state.
    private let cursors = Mutex<[ByteName: UInt64]>([:])

    init(prefix: String, bus: any MessageBus, context: QueryContext, travellersMaximum: Int, logger: Logger) {
        self.prefix = prefix
        reader = QueryReader(prefix: prefix)
        self.bus = bus
        self.context = context
        self.logger = logger
        travellers = TravellerGate(capacity: travellersMaximum)
    }

    var figures: QueryFigures { figuresBox.withLock { $0 } }

    /// Blocks the calling thread until the subscription ends.
    func serve(_ subscription: any MessageSubscription) {
        underWay.withLock { $0.batches += 1 }
        defer { underWay.withLock { $0.batches -= 1 } }
        while true {
            do throws(BusError) {
                let messages = try subscription.receive(maximum: 256, timeout: .milliseconds(200))
                if messages.isEmpty { continue }
                room.wait()
                underWay.withLock { $0.batches += 1 }
                Task {
                    await self.answer(messages)
                    self.underWay.withLock { $0.batches -= 1 }
                    self.room.signal()
                }
            } catch {
                return
            }
        }
    }

    /// Waits, for a while, until every question that has arrived is answered; the subscriptions were drained before.
    func drain() async {
        for _ in 0..<300 {
            if underWay.withLock({ $0.batches + $0.alone == 0 }) { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
        logger.warning("questions were left without an answer")
    }

    // MARK: A batch

    private func answer(_ messages: [Message]) async {
        let start = ContinuousClock.now
        var live: [Asked] = []
        var replies: [Message] = []
        for message in messages where ReplySender.isInbox(message.replyTo, prefix: prefix) {
            let wantsJSON = QueryReader.wantsJSON(message)
            do throws(QueryError) {
                let asked = Asked(question: try reader.read(message), replyTo: message.replyTo, wantsJSON: wantsJSON)
                if case .registry = asked.question, asked.question.position == .now {
                    live.append(asked)
                } else {
                    try beginAlone()
                    // What waits or travels must not hold up the others.
                    Task {
                        await self.answerAlone(asked)
                        self.underWay.withLock { $0.alone -= 1 }
                    }
                }
            } catch {
                replies.append(failure(error, to: message.replyTo, wantsJSON: wantsJSON))
            }
        }
        if !live.isEmpty { replies += await answerLive(live) }
        publish(replies)
        note(replies.count, since: start)
    }

    private func beginAlone() throws(QueryError) {
        let isAdmitted = underWay.withLock { underWay in
            if underWay.alone == Self.aloneMaximum { return false }
            underWay.alone += 1
            return true
        }
        if !isAdmitted { throw QueryError(.overloaded, "\(Self.aloneMaximum) questions wait already; ask again") }
    }

    /// All live questions of a batch in one hop.
    private func answerLive(_ asked: [Asked]) async -> [Message] {
        let queries = asked.map { question -> (RegistryQueryName, RegistryQuery) in
            guard case .registry(let name, let query) = question.question else { preconditionFailure("live only") }
            return (name, prepared(name, query))
        }
        let answers = await context.hosts.registry.read { registry in
            queries.map { name, query -> Result<[UInt8], QueryError> in
                do throws(QueryError) { return .success(try registry.answer(name, query)) } catch {
                    return .failure(error)
                }
            }
        }
        return zip(asked, zip(queries, answers)).map { asked, answered in
            reply(answered.1, kind: answered.0.0.answer, asked)
        }
    }

    /// Dice and cursor for those who brought none.
    private func prepared(_ name: RegistryQueryName, _ query: RegistryQuery) -> RegistryQuery {
        guard name == .select else { return query }
        var query = query
        if query.seed == nil { query.seed = UInt64.random(in: .min ... .max) }
        if query.cursor == nil && query.strategy == .roundRobin {
            query.cursor = cursors.withLock { cursors in
                if cursors.count > 4_096 { cursors.removeAll() }
                let service = ByteName(query.serviceName)
                defer { cursors[service, default: 0] &+= 1 }
                return cursors[service, default: 0]
            }
        }
        return query
    }

    // MARK: One question

    private func answerAlone(_ asked: Asked) async {
        let start = ContinuousClock.now
        let message: Message
        do throws(QueryError) {
            try await waitForMinimum(asked.question.position)
            message = try await answerPositioned(asked)
        } catch {
            message = failure(error, to: asked.replyTo, wantsJSON: asked.wantsJSON)
        }
        publish([message])
        note(1, since: start)
    }

    private func waitForMinimum(_ position: ReadPosition) async throws(QueryError) {
        guard let minimum = position.minimumSequence else { return }
        guard await context.applier.waitUntilApplied(minimum, timeout: context.timeout) else {
            let last = await context.applier.moment.sequence
            throw QueryError(.notYet, "sequence \(minimum) is not applied; the last one is \(last)", sequence: last)
        }
    }

    private func answerPositioned(_ asked: Asked) async throws(QueryError) -> Message {
        let position = asked.question.position
        if position.atSequence == nil && position.atTime == nil { return try await answerNow(asked) }
        let sequence = try context.traveller.sequence(for: position)
        if position.atSequence == nil {
            // The last record of a time is in the log, and so on its way to the machines.
            _ = await context.applier.waitUntilApplied(sequence, timeout: context.timeout)
        }
        let last = await context.applier.moment.sequence
        if sequence > last {
            throw QueryError(.notYet, "sequence \(sequence) is not applied; the last one is \(last)", sequence: last)
        }
        return try await answerPast(asked, sequence)
    }

    private func answerNow(_ asked: Asked) async throws(QueryError) -> Message {
        switch asked.question {
        case .registry: return await answerLive([asked])[0]
        case .mirror(let name, let query, let asker):
            return message(try await context.mirror.answer(name, query, for: asker), name.answer, asked)
        case .audit(let query): return try await answer(query, await context.applier.moment.asOf, asked)
        case .trace(let name, let query): return try await answer(name, query, .live(context.applier), asked)
        case .node(.status, _): return message(await context.status().encode(), .nodeStatus, asked)
        case .node(.digest, _): return message(await context.applier.digests().encode(), .digestAnswer, asked)
        case .node(.outcome, let query):
            if query.sequence == .origin { throw QueryError(.invalidArgument, "sequence is missing") }
            let traveller = context.traveller
            if var outcome = await context.applier.outcome(of: query.sequence) {
                outcome.subject = try traveller.subject(of: query.sequence)
                return message(outcome.encode(), .outcomeAnswer, asked)
            }
            let outcome = try await travellers.run { () throws(QueryError) in
                try traveller.outcome(of: query.sequence)
            }
            return message(outcome.encode(), .outcomeAnswer, asked)
        }
    }

    private func answerPast(_ asked: Asked, _ sequence: SequenceNumber) async throws(QueryError) -> Message {
        let traveller = context.traveller
        if case .audit(let query) = asked.question { return try await answer(query, at: sequence, asked) }
        let deadline = ContinuousClock.now.advanced(by: .nanoseconds(context.timeout.rawValue))
        let state = try await travellers.run { () throws(QueryError) in
            try traveller.state(at: sequence) { _ in ContinuousClock.now < deadline }
        }
        switch asked.question {
        case .registry(let name, let query):
            var seeded = query
            // The past has no dice: without a seed the position is the seed.
            if name == .select && seeded.seed == nil { seeded.seed = sequence.rawValue }
            return message(try state.registry.answer(name, seeded), name.answer, asked)
        case .mirror(let name, let query, let asker):
            return message(
                try await context.mirror.answer(name, query, in: state.mirror, for: asker), name.answer, asked)
        case .audit(let query): return try await answer(query, state.moment.asOf, asked)
        case .trace(let name, let query): return try await answer(name, query, .past(state.tracing), asked)
        case .node(.digest, _):
            var copy = state
            let answer = DigestAnswer(asOf: state.moment.asOf, machines: copy.digests())
            return message(answer.encode(), .digestAnswer, asked)
        case .node(.status, _): throw QueryError(.invalidArgument, "status is of now; ask digest for the past")
        case .node(.outcome, _): throw QueryError(.invalidArgument, "outcome takes `sequence`, not a position")
        }
    }

    private func answer(
        _ name: TraceQueryName, _ query: TraceQuery, _ source: TraceSource, _ asked: Asked
    ) async throws(QueryError) -> Message {
        let responder = TraceResponder(reader: context.traveller.reader)
        let (asOf, reply) = try await responder.reply(name, query, from: source)
        return message(reply.encode(asOf: asOf), name.answer, asked)
    }

    // MARK: Audit trail

    private func answer(_ query: AuditQuery, _ asOf: AsOf, _ asked: Asked) async throws(QueryError) -> Message {
        let traveller = context.traveller
        let answer = try await travellers.run { () throws(QueryError) in try traveller.trail(query, asOf: asOf) }
        return message(answer.encode(), .auditAnswer, asked)
    }

    /// The log itself tells what the trail was: no state is made anew for it.
    private func answer(
        _ query: AuditQuery, at sequence: SequenceNumber, _ asked: Asked
    ) async throws(QueryError) -> Message {
        let traveller = context.traveller
        let answer = try await travellers.run { () throws(QueryError) in
            try traveller.trail(query, asOf: try traveller.asOf(sequence))
        }
        return message(answer.encode(), .auditAnswer, asked)
    }

    // MARK: In and out

    private func reply(_ result: Result<[UInt8], QueryError>, kind: MessageKind, _ asked: Asked) -> Message {
        switch result {
        case .success(let bytes): message(bytes, kind, asked)
        case .failure(let error): failure(error, to: asked.replyTo, wantsJSON: asked.wantsJSON)
        }
    }

    private func message(_ bytes: [UInt8], _ kind: MessageKind, _ asked: Asked) -> Message {
        WireFormat.message(bytes, kind: kind, to: asked.replyTo, asJSON: asked.wantsJSON)
    }

    private func failure(_ error: QueryError, to replyTo: String, wantsJSON: Bool) -> Message {
        figuresBox.withLock { figures in
            figures.failed += 1
            figures.lastError = error.description
        }
        let headers = [
            MessageHeader("Nats-Service-Error", Self.headerText(error.message)),
            MessageHeader("Nats-Service-Error-Code", String(error.code.number)),
        ]
        return WireFormat.message(
            error.encode(), kind: .errorAnswer, to: replyTo, asJSON: wantsJSON, headers: headers)
    }

    /// A message may quote what was asked; a header takes no control characters and no blanks at its ends.
    private static func headerText(_ text: String) -> String {
        var bytes = text.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
        while bytes.last == UInt8(ascii: " ") { bytes.removeLast() }
        return String(decoding: bytes.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }

    private func publish(_ replies: [Message]) {
        ReplySender(bus: bus, logger: logger).send(replies) { _, message in
            let error = QueryError(
                .invalidArgument,
                "the answer has \(message.payload.count) bytes, more than the server takes; use `limit`")
            let isJSON = message.header("Content-Type") != nil
            return self.failure(error, to: message.subject, wantsJSON: isJSON)
        }
    }

    private func note(_ count: Int, since start: ContinuousClock.Instant) {
        let elapsed = start.duration(to: .now).components
        let nanoseconds = UInt64(max(0, elapsed.seconds * 1_000_000_000 + elapsed.attoseconds / 1_000_000_000))
        figuresBox.withLock { figures in
            figures.answered += UInt64(count)
            figures.processingNanoseconds += nanoseconds
        }
    }
}
