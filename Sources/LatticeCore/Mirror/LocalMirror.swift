// The traffic mirror in the caller's own process: the fold that a node runs, with the captured requests in memory.

public import EventModel
import MeshRules
import StateMachines

/// Holds mirrors, captures requests for them, and keeps what waits until it is dispatched or drained (`TrafficMirror` of
/// the specification).
///
/// A value: a copy is a fork. Rules, refusals and counts are those of a node (Mirroring.md): a shadow must be on its
/// source's allow-list, what is captured is redacted, the oldest request makes room, and what waits for more than 60
/// seconds expires.
public struct LocalMirror: Sendable {
    /// A captured request with production's answer.
    private struct Kept: Sendable {
        var request: MirroredRequest
        var production: ObservedResponse
    }

    private static let keptMinimum = 64

    private var log: LocalLog<TrafficMirror>
    /// By the capture's place in the log; some of them nobody waits for any more.
    private var kept: [EventPosition: Kept] = [:]
    /// When to look through them.
    private var keptMaximum = Self.keptMinimum

    /// Without mirrors.
    ///
    /// - Parameter clock: the time of day, asked at each change and each question. Simulations give their own.
    public init(clock: @escaping @Sendable () -> Timestamp = LocalTime.wallClock) {
        log = LocalLog(TrafficMirror(), clock: clock)
    }

    /// The last record of the log, ticks included.
    public var asOf: AsOf { log.asOf }

    // MARK: Lifecycle

    /// Says where the mirrors of a source may send to; replaces the earlier list.
    ///
    /// - Parameters:
    ///   - endpoints: `host:port`, `*.suffix:port`, `a.b.c.d/bits:port`, `[a::b/bits]:port`; the port may be `*`.
    ///   - allowLoopback: whether a shadow may be on this machine.
    /// - Throws: `refused(.invalidSetting)` where an entry has none of these forms.
    public mutating func allowShadows(
        _ endpoints: [String], of sourceService: String, allowLoopback: Bool = false
    ) throws(LocalError) {
        try log.append(
            one: .mirror(
                .shadowsAllowed(
                    ShadowsAllowed(sourceService: sourceService, endpoints: endpoints, allowLoopback: allowLoopback))))
    }

    /// Adds a mirror, or replaces the configuration of one; what waits and what was counted stays (`add_mirror`).
    ///
    /// - Throws: `refused`: `shadowNotAllowed`, `invalidSetting` where a number is out of its range, `wrongService` for an
    ///   id of another source, `tooManyMirrors` beyond 1000 and 64 of one source.
    @discardableResult
    public mutating func addMirror(_ configuration: MirrorConfiguration) throws(LocalError) -> OutcomeAnswer {
        try log.append(
            one: .mirror(.added(Batch(serviceName: configuration.sourceService, events: [configuration]))))
    }

    /// Removes a mirror and what waits for it (`remove_mirror`).
    ///
    /// - Throws: `refused(.unknownMirror)`.
    @discardableResult
    public mutating func removeMirror(_ mirrorID: String) throws(LocalError) -> OutcomeAnswer {
        try change(mirrorID) { .removed($0) }
    }

    /// Lets a mirror copy requests again (`enable_mirror`).
    ///
    /// - Throws: `refused(.unknownMirror)`.
    @discardableResult
    public mutating func enableMirror(_ mirrorID: String) throws(LocalError) -> OutcomeAnswer {
        try change(mirrorID) { .enabled($0) }
    }

    /// Lets a mirror copy no more requests; what waits stays and can be dispatched (`disable_mirror`).
    ///
    /// - Throws: `refused(.unknownMirror)`.
    @discardableResult
    public mutating func disableMirror(_ mirrorID: String) throws(LocalError) -> OutcomeAnswer {
        try change(mirrorID) { .disabled($0) }
    }

    private mutating func change(
        _ mirrorID: String, _ event: (Batch<MirrorChange>) -> MirrorEvent
    ) throws(LocalError) -> OutcomeAnswer {
        let source = try configuration(mirrorID).sourceService
        let batch = Batch(serviceName: source, events: [MirrorChange(mirrorID: mirrorID)])
        return try log.append(one: .mirror(event(batch)))
    }

    private func configuration(_ mirrorID: String) throws(LocalError) -> MirrorConfiguration {
        guard let found = log.machine.configuration(of: mirrorID) else { throw .refused(.unknownMirror) }
        return found
    }

    /// Lets time pass now: what has waited too long expires. Changes and questions do so by themselves.
    public mutating func advance() { log.advance() }

    // MARK: Capturing

    /// Whether a mirror copies a live request with this intent (`should_mirror`).
    ///
    /// - Parameter sampleSeed: what the sample is drawn by; the same seed gets the same answer everywhere.
    /// - Returns: false for a disabled mirror, and for one of mode `replay`, which takes nothing that is live.
    public func shouldMirror(_ configuration: MirrorConfiguration, intent: String, sampleSeed: String) -> Bool {
        MeshRules.shouldMirror(configuration, intent: intent, sampleSeed: sampleSeed)
    }

    /// Captures a request for the mirrors of its source that take it (`capture`).
    ///
    /// What is kept is redacted by the standard rules, then cut to the largest payload limit of the mirrors; a request
    /// that was cut is not dispatched. Why a mirror did not take it is in its ledger (`stats`).
    /// - Parameters:
    ///   - production: what production answered; shadows are compared with it.
    ///   - latency: how long production took.
    ///   - sampleSeed: what samples are drawn by; empty: the request's id.
    /// - Returns: the ids of the mirrors that took it, in order.
    /// - Throws: `malformed`; `refused(.duplicateRequest)` where this request of this source was captured before.
    @discardableResult
    public mutating func capture(
        _ request: MirroredRequest, production: MirroredResponse = MirroredResponse(), latency: Nanoseconds = .zero,
        sampleSeed: String = ""
    ) throws(LocalError) -> [String] {
        let source = request.sourceService
        let limit = log.machine.mirrors(of: source).map(\.payloadLimit).max() ?? 0
        let made = makeCapture(
            ObservedRequest(
                requestID: request.requestID, traceID: request.traceID, intent: request.intent, method: request.method,
                target: request.target, headers: request.headers, body: request.payload, sampleSeed: sampleSeed),
            response: production.observed, latency: latency, payloadLimit: Int(limit))
        let answer = try log.append(one: .mirror(.captured(Batch(serviceName: source, events: [made.fact]))))
        let position = EventPosition(sequence: answer.sequence)
        let takers = log.machine.mirrors(of: source, owing: position)
        if !takers.isEmpty {
            let redacted = MirroredRequest(
                requestID: request.requestID, traceID: request.traceID, sourceService: source, intent: request.intent,
                payload: made.content.requestBody, headers: made.content.requestHeaders, mirroredAt: answer.recordedAt,
                method: request.method, target: made.content.target)
            kept[position] = Kept(request: redacted, production: made.content.response(made.fact))
        }
        forget()
        return takers
    }

    /// The same with the specification's parameters, for a GET that production answered with 200 and nothing else.
    ///
    /// - Parameter traceID: 16 bytes, or empty.
    /// - Throws: as above.
    @discardableResult
    public mutating func capture(
        requestID: String, traceID: [UInt8] = [], sourceService: String, intent: String, payload: [UInt8] = [],
        headers: [HeaderField] = []
    ) throws(LocalError) -> [String] {
        try capture(
            MirroredRequest(
                requestID: requestID, traceID: traceID, sourceService: sourceService, intent: intent, payload: payload,
                headers: headers))
    }

    /// Drops what nobody waits for, where much of it may be so.
    private mutating func forget() {
        if kept.count <= keptMaximum { return }
        var owed: Set<EventPosition> = []
        for mirror in log.machine.stats() {
            for directive in log.machine.directives(of: mirror.configuration.mirrorID, limit: .max) {
                owed.insert(directive.cause)
            }
        }
        kept = kept.filter { owed.contains($0.key) }
        keptMaximum = max(Self.keptMinimum, 2 * kept.count)
    }

    // MARK: What waits

    /// How many requests wait for a mirror's shadow now (`pending_count`); nil: there is no such mirror.
    public func pendingCount(_ mirrorID: String) -> Int? { log.now.machine.pendingCount(mirrorID: mirrorID) }

    /// Takes what waits out of a mirror's buffer, the oldest first, and hands it out (`drain`); the ledger counts it.
    ///
    /// - Parameter limit: at most so many; nil: all.
    /// - Throws: `refused(.unknownMirror)`.
    @discardableResult
    public mutating func drain(_ mirrorID: String, limit: Int? = nil) throws(LocalError) -> [MirroredRequest] {
        let now = log.advance()
        let source = try configuration(mirrorID).sourceService
        if let limit, limit < 1 { return [] }
        let due = log.machine.directives(of: mirrorID, limit: limit ?? .max)
        let count = limit.map { UInt32(clamping: $0) } ?? 0
        try log.append(
            one: .mirror(.drained(MirrorDrained(sourceService: source, mirrorID: mirrorID, limit: count))), at: now)
        return due.compactMap { kept[$0.cause]?.request }
    }

    /// Every mirror, or those of one source, by id, with counts and with the reasons for what was not copied (`stats`).
    public func stats(sourceService: String = "") -> MirrorsAnswer {
        let current = log.now
        var query = MirrorQuery()
        query.sourceService = sourceService
        // What the machine throws is about a mirror that was named.
        return (try? current.machine.mirrorsAnswer(query, withCounts: true))
            ?? MirrorsAnswer(asOf: current.asOf, mirrors: [])
    }

    /// A mirror's differences so far against a threshold; nil: there is no such mirror.
    ///
    /// - Parameter thresholdBasisPoints: how many of 10,000 compared may differ.
    public func analyzeDiffs(_ mirrorID: String, thresholdBasisPoints: UInt32 = 0) -> DifferenceReport? {
        log.now.machine.analyzeDiffs(mirrorID: mirrorID, thresholdBasisPoints: thresholdBasisPoints).map {
            DifferenceReport($0)
        }
    }

    /// The fingerprint of the state at the last record: a node whose log has the same records has the same.
    public var digest: Digest {
        var machine = log.machine
        return machine.digest()
    }
}

/// Copies on their way to one shadow.
struct DispatchBatch: Sendable {
    var directives: [ShadowDirective]
    var copies: [ShadowCopy]
    var rules: ComparisonRules
}

extension LocalMirror {
    // MARK: Dispatching

    /// The oldest that wait for a mirror's shadow, at most so many.
    mutating func batch(_ mirrorID: String, limit: Int) throws(LocalError) -> DispatchBatch {
        log.advance()
        let mirror = try configuration(mirrorID)
        guard log.machine.isShadowAllowed(of: mirrorID) else { throw .refused(.shadowNotAllowed) }
        let loopback = log.machine.allowedShadows(of: mirror.sourceService).allowLoopback
        var batch = DispatchBatch(directives: [], copies: [], rules: try mirror.rules)
        for directive in log.machine.directives(of: mirrorID, limit: max(0, limit)) {
            guard let found = kept[directive.cause] else { continue }
            let request = ShadowRequest(
                found.request, to: directive.shadowEndpoint, timeout: directive.timeout,
                authentication: directive.shadowAuthentication, allowWrites: mirror.allowWrites,
                allowLoopback: loopback)
            batch.directives.append(directive)
            batch.copies.append(ShadowCopy(request: request, production: found.production))
        }
        return batch
    }

    /// Tells the log what came of copies, as a node does.
    mutating func settle(_ batch: DispatchBatch, _ ended: [DispatchedCopy?]) throws(LocalError) -> [MirrorResult] {
        var results: [MirrorResult] = []
        for (place, directive) in batch.directives.enumerated() {
            guard let copy = ended[place] else { continue }
            let dispatch = ShadowDispatch(
                directive: directive.id, outcome: copy.answer.outcome, status: copy.answer.status,
                latency: copy.answer.latency, reason: copy.answer.reason, isRedispatched: directive.isRedispatch)
            // A directive that expired meanwhile is refused: what came of it is told all the same.
            let source = directive.sourceService
            _ = try log.append(.mirror(.dispatched(Batch(serviceName: source, events: [dispatch]))))
            if let comparison = copy.comparison {
                let event = comparison.event(for: directive.id)
                _ = try log.append(.mirror(.compared(Batch(serviceName: source, events: [event]))))
            }
            results.append(
                MirrorResult(
                    requestID: batch.copies[place].request.requestID, shadowEndpoint: directive.shadowEndpoint,
                    dispatch: dispatch, comparison: copy.comparison))
        }
        forget()
        return results
    }
}

extension MirrorConfiguration {
    fileprivate var rules: ComparisonRules {
        get throws(LocalError) {
            do {
                return try comparisonRules()
            } catch {
                throw .invalid(field: error.field, reason: error.reason)
            }
        }
    }
}

extension ShadowRequest {
    /// A captured request on its way.
    init(
        _ request: MirroredRequest, to endpoint: String, timeout: Nanoseconds, authentication: String = "",
        allowWrites: Bool = false, allowLoopback: Bool = false
    ) {
        self.init(
            sourceService: request.sourceService, requestID: request.requestID, endpoint: endpoint,
            method: request.method, target: request.target, headers: request.headers, body: request.payload,
            timeout: timeout, authentication: authentication, allowWrites: allowWrites, allowLoopback: allowLoopback)
    }
}
