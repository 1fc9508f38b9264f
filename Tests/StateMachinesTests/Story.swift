// Tells a story to the machines record by record and fails where a record did anything that the story does not mention.

import EventModel
import Testing

@testable import StateMachines

/// The log as a test writes it, and the state that follows.
struct Story {
    static let beginning: Int64 = 1_750_000_000_000_000_000

    private(set) var state: MeshState
    private(set) var sequence: UInt64 = 0
    /// The stamp of the next record.
    var now = Timestamp(nanoseconds: Story.beginning)
    private var slot: UInt64 = 0

    init(indexKey: UInt64 = 0) { state = MeshState(indexKey: indexKey) }

    var registry: ServiceRegistry { state.registry }

    /// Appends a record. Everything that comes of it must be named: refusals by index, replacements, evictions in
    /// order; `changes` are the services whose watchers wake, nil where the story is not about them.
    @discardableResult
    mutating func happens(
        _ event: Event, id: String = "", refused: [UInt32: RefusalReason] = [:], replaced: [UInt32] = [],
        evicted: [String] = [], changes: [String]? = nil, verdict: OutcomeAnswer.Verdict? = nil,
        at location: SourceLocation = #_sourceLocation
    ) -> OutcomeAnswer {
        let answer = append(event, id: id)
        let expectsFolding = verdict == nil || verdict == .accepted || verdict == .refused
        let expected = expectsFolding ? event.eventCount - refused.count : 0
        let reasons = Dictionary(answer.refused.map { ($0.index, $0.reason) }, uniquingKeysWith: { first, _ in first })
        #expect(reasons == refused, sourceLocation: location)
        #expect(answer.accepted == UInt32(expected), sourceLocation: location)
        #expect(answer.replaced == replaced, sourceLocation: location)
        #expect(answer.consequences.map(\.instanceID) == evicted, sourceLocation: location)
        #expect(answer.verdict == verdict ?? (expected == 0 ? .refused : .accepted), sourceLocation: location)
        if let changes { #expect(changedServices == changes, sourceLocation: location) }
        #expect(registry.brokenInvariants() == [], sourceLocation: location)
        return answer
    }

    /// Appends a record and asserts nothing.
    @discardableResult
    mutating func append(_ event: Event, id: String = "") -> OutcomeAnswer {
        sequence += 1
        let record = EventRecord(
            sequence: SequenceNumber(sequence), recordedAt: now, messageID: Array(id.utf8)[...], event: event)
        return state.apply(record).outcome
    }

    /// Lets time pass by ticks of five seconds; some go on beating every ten. Evictions must be exactly these,
    /// in order; nil: whoever.
    mutating func pass(
        _ seconds: Int64, beating: [String] = [], of service: String = "checkout", evicting: [String]? = [],
        at location: SourceLocation = #_sourceLocation
    ) {
        var evicted: [String] = []
        for step in 1...(seconds / 5) {
            now = now + .seconds(5)
            if !beating.isEmpty && step % 2 == 1 { append(heartbeat(beating, of: service)) }
            evicted += tick()
        }
        if let evicting { #expect(evicted == evicting, sourceLocation: location) }
        #expect(registry.brokenInvariants() == [], sourceLocation: location)
    }

    /// One tick at the present stamp; who was evicted.
    @discardableResult
    mutating func tick() -> [String] {
        slot += 1
        return append(.clock(.tick(slot: slot))).consequences.map(\.instanceID)
    }

    /// Registers instances that differ in nothing but their id.
    mutating func serve(
        _ ids: [String], of service: String = "checkout", region: String = "eu", zone: String = "eu-1",
        weight: UInt32 = 100, at location: SourceLocation = #_sourceLocation
    ) {
        let events = ids.map { instance($0, region: region, zone: zone, weight: weight) }
        happens(registered(events, of: service), at: location)
    }

    private var changedServices: [String] {
        registry.serviceTopology().services.filter { $0.changedSequence.rawValue == sequence }.map(\.serviceName)
    }

    // MARK: What can be seen

    func ids(
        _ service: String = "checkout", region: String = "", healthyOnly: Bool = true, minimumWeight: UInt32 = 0,
        allowPanic: Bool = false
    ) -> [String] {
        registry.resolve(
            serviceName: service, region: region, healthyOnly: healthyOnly, minimumWeight: minimumWeight,
            allowPanic: allowPanic
        ).instances.map(\.instance.instanceID)
    }

    func one(_ id: String) -> InstanceSnapshot? { registry.instance(id: id)?.instances.first }

    func isProtected(_ service: String = "checkout") -> Bool { registry.resolve(serviceName: service).protected }

    func changedSequence(_ service: String) -> UInt64? {
        registry.serviceTopology(serviceName: service).services.first?.changedSequence.rawValue
    }
}

extension Event {
    /// How many events the record carries.
    var eventCount: Int {
        if case .registry(let event) = self { return event.count }
        return 1
    }
}

// MARK: Builders

func instance(
    _ id: String, endpoint: String = "10.0.0.1:8080", region: String = "eu", zone: String = "eu-1",
    weight: UInt32 = 100, incarnation: Int64 = 1, occurredAt: Timestamp = .zero
) -> Registration {
    Registration(
        instanceID: id, endpoint: endpoint, region: region, zone: zone, weight: weight, incarnation: incarnation,
        occurredAt: occurredAt)
}

func registered(_ events: [Registration], of service: String = "checkout", failFast: Bool = false) -> Event {
    .registry(.registered(Registered(serviceName: service, events: events, failFast: failFast)))
}

func deregistered(
    _ ids: [String], of service: String = "checkout", incarnation: Int64 = 1, reason: String = "",
    occurredAt: Timestamp = .zero, actor: String = ""
) -> Event {
    let events = ids.map {
        Deregistration(
            instanceID: $0, incarnation: incarnation, reason: reason, occurredAt: occurredAt, actor: actor)
    }
    return .registry(.deregistered(Batch(serviceName: service, events: events)))
}

func heartbeat(
    _ ids: [String], of service: String = "checkout", incarnation: Int64 = 1, occurredAt: Timestamp = .zero
) -> Event {
    var writer = WireWriter()
    writer.field(1, service)
    for id in ids {
        writer.message(2) { inner in
            inner.field(1, id)
            inner.field(2, incarnation)
            inner.field(3, occurredAt)
        }
    }
    return decoded(.heartbeat, writer.bytes)
}

/// An event as the log would give it; opaque where it cannot be decoded.
func decoded(_ type: EventType, _ facts: [UInt8]) -> Event {
    (try? EventCodec.decode(type: type.rawValue, schemaVersion: 1, facts: facts[...])) ?? .opaque(reason: "malformed")
}

func report(
    _ id: String, healthy: Bool, failures: UInt32? = nil, checked: Timestamp, latency: Nanoseconds = .zero,
    reason: String = "", incarnation: Int64 = 0
) -> HealthReport {
    HealthReport(
        instanceID: id, healthy: healthy, latency: latency, consecutiveFailures: failures, lastCheck: checked,
        reason: reason, incarnation: incarnation)
}

func healthReported(_ events: [HealthReport], of service: String = "checkout") -> Event {
    .registry(.healthReported(Batch(serviceName: service, events: events)))
}

func swept(_ events: [HealthReport], threshold: UInt32, of service: String = "checkout") -> Event {
    .registry(.healthSwept(HealthSwept(serviceName: service, events: events, evictThreshold: threshold)))
}

func load(
    _ id: String, _ connections: UInt32, by reporter: String = "", of service: String = "checkout",
    incarnation: Int64 = 0, occurredAt: Timestamp = .zero
) -> Event {
    let event = LoadReport(
        instanceID: id, reporter: reporter, activeConnections: connections, occurredAt: occurredAt,
        incarnation: incarnation)
    return .registry(.loadReported(Batch(serviceName: service, events: [event])))
}

func configured(_ change: RegistryConfiguration) -> Event { .policy(.registryConfigured(change)) }

func released(_ service: String = "checkout") -> Event {
    .policy(.guardReleased(serviceName: service, reason: "scaled in"))
}

/// `a-00`, `a-01`, …
func names(_ range: Range<Int>, _ prefix: String = "a") -> [String] {
    range.map { "\(prefix)-\($0 < 10 ? "0" : "")\($0)" }
}

extension Story {
    /// The digest kept by difference is the one of a state that comes from a checkpoint, and so are the bytes.
    mutating func expectSameFromScratch(at location: SourceLocation = #_sourceLocation) {
        let bytes = registry.encodeCheckpoint()
        var restored = ServiceRegistry(checkpoint: bytes, indexKey: 99)
        #expect(restored != nil, sourceLocation: location)
        #expect(restored?.brokenInvariants() == [], sourceLocation: location)
        #expect(restored?.encodeCheckpoint() == bytes, sourceLocation: location)
        #expect(
            restored?.digest() == state.digests().first { $0.machine == ServiceRegistry.name }?.digest,
            sourceLocation: location)
        #expect(registry.brokenInvariants() == [], sourceLocation: location)
    }
}
