// One directive from the log to the shadow and back: contents, sending, comparison, and the events that tell of it.

import Dispatch
import EventModel
import EventStore
import LatticeCore
import MeshRules
import Messaging
import StateMachines
import Synchronization

/// Carries out directives; what it answers is what the log is told.
final class DirectivePerformer: Sendable {
    private let captures: RecentCaptures
    private let sender: any ShadowSender
    private let prefix: String
    private let baselines = BaselineMemory()
    init(contents: ContentReader, sender: any ShadowSender, prefix: String) {
        captures = RecentCaptures(contents)
        self.sender = sender
        self.prefix = prefix
    }

    /// Sends a copy and compares the answers; a copy that cannot be sent is skipped, with the reason.
    func perform(_ directive: ShadowDirective, _ mirror: OwedMirror) async -> [Message] {
        let capture: ReadCapture
        switch await read(directive) {
        case .failure(let reason):
            return [told(directive, ShadowAnswer(.skipped, reason: reason.text))]
        case .success(let found): capture = found
        }
        let recorded = capture.recorded
        guard let rules = try? mirror.configuration.comparisonRules() else {
            return [told(directive, ShadowAnswer(.skipped, reason: "invalid_rules"))]
        }
        let copy = ShadowCopy(
            request: request(directive, mirror, recorded), production: recorded.content.response(recorded.capture))
        async let second = askSecondPrimary(copy, mirror.configuration, rules)
        let dispatched = await dispatchToShadow(copy, rules: rules, shadowHandler: sender)
        let baseline = await second
        var messages = [told(directive, dispatched.answer)]
        if let comparison = dispatched.comparison {
            messages.append(told(directive, comparison, isBaseline: false))
        }
        if let baseline {
            messages.append(noise(directive, baseline))
        } else if dispatched.comparison != nil, mirror.configuration.baselineEndpoint.isEmpty,
            let earlier = baselines.exchange(directive, recorded, copy.production)
        {
            let noise = compareResponses(production: earlier, shadow: copy.production, rules: rules)
            messages.append(told(directive, noise, isBaseline: true))
        }
        return messages
    }

    private func request(
        _ directive: ShadowDirective, _ mirror: OwedMirror, _ recorded: RecordedCapture
    ) -> ShadowRequest {
        ShadowRequest(
            sourceService: directive.sourceService, requestID: recorded.capture.requestID,
            endpoint: directive.shadowEndpoint, method: recorded.capture.method, target: recorded.content.target,
            headers: recorded.content.requestHeaders, body: recorded.content.requestBody, timeout: directive.timeout,
            authentication: directive.shadowAuthentication, allowWrites: mirror.configuration.allowWrites,
            allowLoopback: mirror.allowLoopback)
    }

    // MARK: Second primary

    /// What a second instance of production's version says; nil where there is none, or where it must not be asked: it is
    /// production, so it is never written to, whatever the shadow may get.
    private func askSecondPrimary(
        _ copy: ShadowCopy, _ mirror: MirrorConfiguration, _ rules: ComparisonRules
    ) async -> DispatchedCopy? {
        guard !mirror.baselineEndpoint.isEmpty, ["GET", "HEAD"].contains(copy.request.method) else { return nil }
        var copy = copy
        copy.request.endpoint = mirror.baselineEndpoint
        copy.request.authentication = mirror.baselineAuthentication
        copy.request.allowWrites = false
        return await dispatchToShadow(copy, rules: rules, shadowHandler: sender)
    }

    /// What two answers of one version differ in; without a second answer, that there was none.
    private func noise(_ directive: ShadowDirective, _ second: DispatchedCopy) -> Message {
        guard let comparison = second.comparison else { return told(directive, second.answer, isBaseline: true) }
        return told(directive, comparison, isBaseline: true)
    }

    // MARK: Contents

    private struct Skip: Error {
        var text: String
    }

    private func read(_ directive: ShadowDirective) async -> Result<ReadCapture, Skip> {
        switch await captures.capture(at: directive.cause) {
        case .failure(let error):
            if case .gone = error.code { return .failure(Skip(text: "gone")) }
            return .failure(Skip(text: "unreadable"))
        case .success(nil): return .failure(Skip(text: "gone"))
        case .success(.some(let capture)):
            if capture.recorded.isErased { return .failure(Skip(text: "erased")) }
            if !capture.isReadable { return .failure(Skip(text: "no contents")) }
            let kept = UInt64(capture.recorded.content.requestBody.count)
            return kept < capture.recorded.capture.payloadLength
                ? .failure(Skip(text: "truncated")) : .success(capture)
        }
    }

    // MARK: Telling

    private func told(_ directive: ShadowDirective, _ answer: ShadowAnswer, isBaseline: Bool = false) -> Message {
        let dispatch = ShadowDispatch(
            directive: directive.id, outcome: answer.outcome, status: answer.status, latency: answer.latency,
            reason: answer.reason, isRedispatched: directive.isRedispatch, isBaseline: isBaseline)
        return message(
            .dispatched(Batch(serviceName: directive.sourceService, events: [dispatch])), contents: [], directive,
            isBaseline ? "unanswered" : "dispatched")
    }

    private func told(
        _ directive: ShadowDirective, _ comparison: ResponseComparison, isBaseline: Bool
    ) -> Message {
        let event = comparison.event(for: directive.id, isBaseline: isBaseline)
        let isTelling = comparison.verdict != .equal
        let contents = isTelling ? MirrorAttachment.encode([comparison.content]) : []
        return message(
            .compared(Batch(serviceName: directive.sourceService, events: [event])), contents: contents, directive,
            isBaseline ? "baseline" : "compared")
    }

    private func message(
        _ event: MirrorEvent, contents: [UInt8], _ directive: ShadowDirective, _ kind: String
    ) -> Message {
        let (type, payload) = MirrorAttachment.message(event, contents: contents)
        return Message(
            subject: "\(prefix).events.mirror.\(SubjectToken.escape(directive.sourceService)).\(type.name)",
            headers: [
                // Told again, it is the same message; told by another node, it settles what is not owed any more.
                MessageHeader("Nats-Msg-Id", OwnMessageID.make(kind)),
                MessageHeader("Content-Type", "application/protobuf"),
            ], payload: payload)
    }
}

/// Reads captures for directives. One record holds many, and they are owed one after the other: the last few records stay
/// read.
private final class RecentCaptures: Sendable {
    private struct Entry {
        var sequence: SequenceNumber
        var captures: [ReadCapture]
    }

    private struct State {
        /// The latest first.
        var entries: [Entry] = []
        var generation: UInt64 = 0
    }

    /// A record is at most a message long; so many of them bound the memory.
    private static let recordsMaximum = 4

    private let contents: ContentReader
    private let queue = DispatchQueue(label: "lattice.outbox.read", qos: .utility)
    private let state = Mutex(State())

    init(_ contents: ContentReader) { self.contents = contents }

    /// Nil: there is none.
    func capture(at position: EventPosition) async -> Result<ReadCapture?, EventStoreError> {
        if let known = known(position.sequence) { return .success(Self.find(position, in: known)) }
        return await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.read(position)) }
        }
    }

    private static func find(_ position: EventPosition, in captures: [ReadCapture]) -> ReadCapture? {
        captures.first { $0.recorded.position.index == position.index }
    }

    /// What is read already and cannot have been erased since.
    private func known(_ sequence: SequenceNumber) -> [ReadCapture]? {
        let generation = contents.generation
        return state.withLock { state in
            if state.generation != generation { state.entries.removeAll() }
            state.generation = generation
            return state.entries.first { $0.sequence == sequence }?.captures
        }
    }

    private func read(_ position: EventPosition) -> Result<ReadCapture?, EventStoreError> {
        // Another copy of the same record may have been read while this one waited.
        if let known = known(position.sequence) { return .success(Self.find(position, in: known)) }
        let generation = contents.generation
        let captures: [ReadCapture]
        do throws(EventStoreError) {
            captures = try contents.captures(at: position.sequence)
        } catch {
            return .failure(error)
        }
        state.withLock { state in
            guard state.generation == generation else { return }
            state.entries.insert(Entry(sequence: position.sequence, captures: captures), at: 0)
            if state.entries.count > Self.recordsMaximum { state.entries.removeLast() }
        }
        return .success(Self.find(position, in: captures))
    }
}
