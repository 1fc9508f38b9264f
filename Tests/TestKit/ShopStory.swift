// The story of a shop with a known truth, as a log: an instance evicted wrongly, a slow deployment, a shadow that regressed.

package import EventModel
import EventStore
import MeshRules

/// Twelve minutes of `web`, `checkout` and `payment`, the same records in each run.
///
/// - `checkout-3` loses its way to NATS for a minute and serves all the while; under settings that are too tight it is
///   evicted, is heard again fifteen seconds later, and registers anew.
/// - `payment-2` is deployed anew as version 1.5.0 and takes 180 ms longer from then on.
/// - The mirror `checkout-next` gets a new shadow, whose answers to orders differ in `/total`.
package struct ShopStory {
    /// Where the truth stands in the log.
    package struct Truth: Sendable, Hashable {
        package var evicted = SequenceNumber.origin
        package var heardAgain = SequenceNumber.origin
        package var registeredAnew = SequenceNumber.origin
        package var deployed = SequenceNumber.origin
        /// The first trace that went through the new version, and its record of `payment`.
        package var slowTrace = TraceID(high: 0, low: 0)
        package var slowSelection = SequenceNumber.origin
        package var shadowReplaced = SequenceNumber.origin
        package var firstDifference = SequenceNumber.origin
        /// The record that is another one in a story with a twist.
        package var twist = SequenceNumber.origin
        package var last = SequenceNumber.origin
    }

    /// 2026-11-20T14:00:00Z.
    private static let beginning: Int64 = 1_795_183_200_000_000_000
    private static let second: Int64 = 1_000_000_000
    private static let length = 720
    private static let silence = 190..<250
    private static let deployment = 420
    private static let newShadow = 540
    private static let mirrorID = "checkout-next"

    package private(set) var truth = Truth()
    private let hasTwist: Bool
    private var frames = FrameBatch()
    private var sequence: UInt64 = 0
    private var time = Self.beginning
    private var traceNumber = 0
    private var slot: UInt64 = 0
    private var isThirdStale = false
    private var isDeployed = false
    private var isShadowNew = false

    /// - Parameter hasTwist: one health report in the fourth minute is another one, and nothing else.
    package init(hasTwist: Bool = false) { self.hasTwist = hasTwist }

    /// Writes the log into a directory that has none.
    package mutating func write(into directory: String) throws {
        try open()
        for tenth in 0..<(Self.length * 10) {
            time = Self.beginning + Int64(tenth) * Self.second / 10
            if tenth % 50 == 0 { try fiveSeconds(tenth / 10) }
            if tenth % 25 == 3 { try request() }
            if tenth % 10 == 7 { try happenings(tenth / 10) }
        }
        truth.last = SequenceNumber(sequence)
        var options = EventLogOptions()
        options.durability = .never
        options.newLogID = LogID(bytes: Array("shop-story-log-1".utf8))
        let (log, _) = try EventLog.open(directory: directory, options: options)
        try log.setSource(.core)
        try log.append(frames)
        try log.commit()
        try log.close()
    }

    // MARK: The mesh

    private mutating func open() throws {
        try add(.clock(.nodeResumed(nodeID: "node-a", reason: "start")), "clock.node_resumed")
        try add(.clock(.leadershipClaimed(nodeID: "node-a", epoch: 1)), "clock.leadership_claimed")
        let settings = RegistryConfiguration(
            staleAfter: .seconds(15), evictAfter: .seconds(30), reason: "react faster")
        try add(.policy(.registryConfigured(settings)), "policy.alice.registry_configured")
        for (service, count) in [("web", 2), ("checkout", 3), ("payment", 2)] {
            try register(service, (1...count).map { "\(service)-\($0)" }, version: "1.4.2", incarnation: 1)
        }
        let allowed = ShadowsAllowed(sourceService: "checkout", endpoints: ["10.9.0.0/16:*"])
        try add(.mirror(.shadowsAllowed(allowed)), "mirror.checkout.shadows_allowed")
        try addMirror(shadow: "10.9.0.1:8080")
    }

    @discardableResult
    private mutating func register(
        _ service: String, _ ids: [String], version: String, incarnation: Int64
    ) throws -> SequenceNumber {
        let events = ids.map { id in
            Registration(
                instanceID: id, endpoint: "10.0.\(id.utf8.count).\(id.utf8.last! - 47):8080", region: "eu-west",
                zone: "eu-west-\(id.utf8.last! - 48)",
                metadata: [MetadataEntry(key: "version", value: version)],
                incarnation: Self.beginning + incarnation)
        }
        return try add(
            .registry(.registered(Registered(serviceName: service, events: events))), "registry.\(service).registered")
    }

    @discardableResult
    private mutating func addMirror(shadow: String) throws -> SequenceNumber {
        let mirror = MirrorConfiguration(
            mirrorID: Self.mirrorID, sourceService: "checkout", shadowEndpoint: shadow, mode: .full, allowWrites: true)
        return try add(
            .mirror(.added(Batch(serviceName: "checkout", events: [mirror]))), "mirror.checkout.added")
    }

    /// A tick, and the heartbeats of whoever can be heard.
    private mutating func fiveSeconds(_ second: Int) throws {
        slot += 1
        let isThirdSilent = Self.silence.contains(second)
        let tick = try add(.clock(.tick(slot: slot)), "clock.tick")
        // Stale after fifteen seconds, evicted thirty later, at the next tick.
        isThirdStale = second >= Self.silence.lowerBound + 15 && second <= Self.silence.upperBound
        if second == Self.silence.lowerBound + 45 { truth.evicted = tick }
        let beating = ["checkout-1", "checkout-2"] + (isThirdSilent ? [] : ["checkout-3"])
        try beat("web", ["web-1", "web-2"])
        let heard = try beat("checkout", beating)
        if second == Self.silence.upperBound { truth.heardAgain = heard }
        try beat("payment", ["payment-1", "payment-2"])
    }

    @discardableResult
    private mutating func beat(_ service: String, _ ids: [String]) throws -> SequenceNumber {
        var writer = WireWriter()
        writer.field(1, service)
        for id in ids {
            let isNew = isDeployed && id == "payment-2"
            writer.message(2) { inner in
                inner.field(1, id)
                inner.field(2, Self.beginning + (isNew ? 2 : 1))
            }
        }
        return try add(.heartbeat, writer.bytes, "registry.\(service).heartbeat")
    }

    private mutating func happenings(_ second: Int) throws {
        switch second {
        case 200:
            let report = HealthReport(
                instanceID: "web-2", healthy: !hasTwist, latency: .milliseconds(3),
                lastCheck: Timestamp(nanoseconds: time))
            truth.twist = try add(
                .registry(.healthReported(Batch(serviceName: "web", events: [report]))), "registry.web.health_reported")
        case Self.silence.upperBound + 2:
            truth.registeredAnew = try register("checkout", ["checkout-3"], version: "1.4.2", incarnation: 1)
            isThirdStale = false
        case Self.deployment:
            truth.deployed = try register("payment", ["payment-2"], version: "1.5.0", incarnation: 2)
            isDeployed = true
        case Self.newShadow:
            truth.shadowReplaced = try addMirror(shadow: "10.9.0.2:8080")
            isShadowNew = true
        default: break
        }
    }

    // MARK: Requests

    /// One request: its selections, its spans, its capture, the shadow's answer and the comparison.
    private mutating func request() throws {
        let id = TraceID(high: 0x5107_0000_0000_0000, low: UInt64(traceNumber + 1))
        let checkouts = ["checkout-1", "checkout-2"] + (isThirdStale ? [] : ["checkout-3"])
        try select("checkout", checkouts, id, .weightedRandom)
        let payment = try select("payment", ["payment-1", "payment-2"], id, .roundRobin)
        let isSlow = isDeployed && payment.chosen == "payment-2"
        if isSlow && truth.slowSelection == .origin {
            truth.slowTrace = id
            truth.slowSelection = payment.sequence
        }
        try spans(id, isSlow: isSlow)
        try capture(id)
        traceNumber += 1
    }

    @discardableResult
    private mutating func select(
        _ service: String, _ candidates: [String], _ id: TraceID, _ strategy: SelectionStrategy
    ) throws -> (chosen: String, sequence: SequenceNumber) {
        let known = candidates.map { SelectionCandidate(instanceID: $0, weight: Limits.defaultWeight) }
        let seed = UInt64(traceNumber)
        let chosen = Selection.choose(known, strategy: strategy, seed: seed, cursor: seed) ?? 0
        let selection = InstanceSelection(
            traceID: id.bytes, candidates: candidates, chosen: candidates[chosen], strategy: strategy,
            asOf: SequenceNumber(sequence), seed: seed)
        let place = try add(
            .registry(.instanceSelected(Batch(serviceName: service, events: [selection]))),
            "registry.\(service).instance_selected")
        return (candidates[chosen], place)
    }

    private mutating func spans(_ id: TraceID, isSlow: Bool) throws {
        let payment = Int64(12 + traceNumber % 5) + (isSlow ? 180 : 0)
        let calls: [(service: String, operation: String, start: Int64, length: Int64)] = [
            ("web", "GET /buy", 0, payment + 15), ("checkout", "POST /orders", 3, payment + 9),
            ("payment", "POST /charge", 6, payment),
        ]
        for (index, call) in calls.enumerated() {
            let start = Timestamp(nanoseconds: time + call.start * 1_000_000)
            let span = TraceSpan(
                spanID: SpanID(UInt64(index + 1)), traceID: id,
                parentSpanID: index == 0 ? nil : SpanID(UInt64(index)), serviceName: call.service,
                operationName: call.operation, kind: .server, startTime: start,
                endTime: start + .milliseconds(call.length))
            guard let batch = SpanBatch(serviceName: call.service, spans: [span]) else { continue }
            try add(.trace(.spansReceived(batch)), "trace.\(call.service).spans")
        }
    }

    private mutating func capture(_ id: TraceID) throws {
        if traceNumber % 2 == 1 { return }
        let intent = traceNumber % 4 == 0 ? "order" : "cart"
        let request = RequestCapture(
            requestID: "\(intent)-\(traceNumber)", traceID: id.bytes, intent: intent, method: "POST",
            occurredAt: Timestamp(nanoseconds: time), status: 201, latency: .milliseconds(21))
        let cause = try add(
            .mirror(.captured(Batch(serviceName: "checkout", events: [request]))), "mirror.checkout.captured")
        let directive = DirectiveID(causeSequence: cause, causeIndex: 0, mirrorID: Self.mirrorID)
        let dispatch = ShadowDispatch(
            directive: directive, outcome: .succeeded, status: 201, latency: .milliseconds(23))
        try add(
            .mirror(.dispatched(Batch(serviceName: "checkout", events: [dispatch]))), "mirror.checkout.dispatched")
        let isDifferent = isShadowNew && intent == "order"
        let path = DifferingPath(part: .body, pattern: "/total", kind: .value)
        let comparison = ShadowComparison(
            directive: directive, verdict: isDifferent ? .different : .equal, differenceCount: isDifferent ? 1 : 0,
            paths: isDifferent ? [path] : [])
        let compared = try add(
            .mirror(.compared(Batch(serviceName: "checkout", events: [comparison]))), "mirror.checkout.compared")
        if isDifferent && truth.firstDifference == .origin { truth.firstDifference = compared }
    }

    // MARK: Records

    @discardableResult
    private mutating func add(_ event: Event, _ subject: String) throws -> SequenceNumber {
        guard let (type, facts) = EventCodec.encode(event) else { throw NoEncoding() }
        return try add(type, facts, subject)
    }

    private struct NoEncoding: Error {}

    private mutating func add(_ type: EventType, _ facts: [UInt8], _ subject: String) throws -> SequenceNumber {
        sequence += 1
        // Records of one moment are a tenth of a millisecond apart.
        time += 100_000
        try frames.append(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time), eventType: type.rawValue,
            schemaVersion: EventType.currentSchemaVersion, subject: Array(subject.utf8), facts: facts)
        return SequenceNumber(sequence)
    }
}
