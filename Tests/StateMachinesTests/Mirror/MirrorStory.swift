// Tells a story to the mirror machine record by record and fails where a record did anything that is not mentioned.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

/// The log as a test writes it, and the mirrors that follow.
struct MirrorStory {
    private(set) var admission = RecordFilter()
    private(set) var state = TrafficMirror()
    private(set) var sequence: UInt64 = 0
    var now = Timestamp(nanoseconds: Story.beginning)
    private var slot: UInt64 = 0

    /// A story in which `checkout` may mirror to 10.0.0.0/8.
    init(allowing endpoints: [String] = ["10.0.0.0/8:*"]) {
        if !endpoints.isEmpty {
            happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: endpoints)))
        }
    }

    /// Appends an event of the mirror; refusals must be named.
    @discardableResult
    mutating func happens(
        _ event: MirrorEvent, refused: [UInt32: RefusalReason] = [:], replaced: [UInt32] = [],
        at location: SourceLocation = #_sourceLocation
    ) -> UInt64 {
        let outcome = append(.mirror(event))
        let reasons = Dictionary(outcome.refused.map { ($0.index, $0.reason) }, uniquingKeysWith: { first, _ in first })
        #expect(reasons == refused, sourceLocation: location)
        #expect(Int(outcome.accepted) == event.count - refused.count, sourceLocation: location)
        #expect(outcome.replaced == replaced, sourceLocation: location)
        return sequence
    }

    /// Appends any event through the codec, and looks at the invariants.
    @discardableResult
    mutating func append(_ event: Event, at location: SourceLocation = #_sourceLocation) -> Outcome {
        sequence += 1
        var event = event
        if let (type, facts) = EventCodec.encode(event) { event = decoded(type, facts) }
        let record = EventRecord(sequence: SequenceNumber(sequence), recordedAt: now, event: event)
        let (verdict, moment, _) = admission.admit(record)
        let outcome = state.apply(AdmittedRecord(record: record, moment: moment, verdict: verdict))
        #expect(state.brokenInvariants() == [], sourceLocation: location)
        return outcome
    }

    /// Lets time pass by ticks of five seconds.
    mutating func pass(_ seconds: Int64) {
        for _ in 0..<(seconds / 5) {
            now = now + .seconds(5)
            slot += 1
            append(.clock(.tick(slot: slot)))
        }
    }

    mutating func claim(_ nodeID: String, _ epoch: UInt64) {
        append(.clock(.leadershipClaimed(nodeID: nodeID, epoch: epoch)))
    }

    mutating func resume(_ nodeID: String) { append(.clock(.nodeResumed(nodeID: nodeID, reason: "start"))) }

    /// What the leader of a stream says before it sends anything.
    mutating func lead(_ nodeID: String) { append(.clock(.nodeResumed(nodeID: nodeID, reason: ClockEvent.leads))) }

    /// Captures requests that nothing stands against; the record's sequence.
    @discardableResult
    mutating func capture(_ ids: String..., refused: [UInt32: RefusalReason] = [:]) -> UInt64 {
        happens(captured(ids.map { RequestCapture(requestID: $0) }), refused: refused)
    }

    // MARK: What can be seen

    /// What is owed, as `sequence.index mirror`, with `again` where it may have been sent before.
    var owed: [String] {
        state.outbox().directives.map { directive in
            "\(directive.id.causeSequence).\(directive.id.causeIndex) \(directive.id.mirrorID)"
                + (directive.isRedispatch ? " again" : "")
        }
    }

    func ledger(_ mirrorID: String = "m") -> [String: UInt64] {
        let entries = state.stats().first { $0.configuration.mirrorID == mirrorID }?.ledger.entries ?? []
        return Dictionary(entries.map { ($0.reason.name, $0.count) }, uniquingKeysWith: +)
    }

    func counts(_ mirrorID: String = "m") -> MirrorCounts {
        state.stats().first { $0.configuration.mirrorID == mirrorID }?.counts ?? MirrorCounts()
    }

    /// The digest kept by difference is the one of a state that comes from a checkpoint, and so are the bytes.
    mutating func expectSameFromScratch(at location: SourceLocation = #_sourceLocation) {
        let bytes = state.encodeCheckpoint()
        var restored = TrafficMirror(checkpoint: bytes)
        #expect(restored != nil, sourceLocation: location)
        #expect(restored?.brokenInvariants() == [], sourceLocation: location)
        #expect(restored?.encodeCheckpoint() == bytes, sourceLocation: location)
        #expect(restored?.digest() == state.digest(), sourceLocation: location)
    }
}

// MARK: Builders

func added(_ mirrors: MirrorConfiguration..., of service: String = "checkout") -> MirrorEvent {
    .added(Batch(serviceName: service, events: mirrors))
}

func captured(_ events: [RequestCapture], of service: String = "checkout") -> MirrorEvent {
    .captured(Batch(serviceName: service, events: events))
}

func removed(_ id: String = "m", of service: String = "checkout") -> MirrorEvent {
    .removed(Batch(serviceName: service, events: [MirrorChange(mirrorID: id)]))
}

func enabled(_ isEnabled: Bool, _ id: String = "m", of service: String = "checkout") -> MirrorEvent {
    let batch = Batch(serviceName: service, events: [MirrorChange(mirrorID: id)])
    return isEnabled ? .enabled(batch) : .disabled(batch)
}

func directive(_ sequence: UInt64, _ index: UInt32 = 0, _ mirrorID: String = "m") -> DirectiveID {
    DirectiveID(causeSequence: SequenceNumber(sequence), causeIndex: index, mirrorID: mirrorID)
}

func dispatched(
    _ sequence: UInt64, _ index: UInt32 = 0, _ mirrorID: String = "m", outcome: DispatchOutcome = .succeeded,
    latency: Nanoseconds = .milliseconds(5), again: Bool = false, of service: String = "checkout"
) -> MirrorEvent {
    let event = ShadowDispatch(
        directive: directive(sequence, index, mirrorID), outcome: outcome, status: 200, latency: latency,
        isRedispatched: again)
    return .dispatched(Batch(serviceName: service, events: [event]))
}

func compared(
    _ sequence: UInt64, _ index: UInt32 = 0, _ mirrorID: String = "m", verdict: ComparisonVerdict = .equal,
    paths: [DifferingPath] = [], isBaseline: Bool = false, of service: String = "checkout"
) -> MirrorEvent {
    let event = ShadowComparison(
        directive: directive(sequence, index, mirrorID), verdict: verdict, differenceCount: UInt32(paths.count),
        paths: paths, isBaseline: isBaseline)
    return .compared(Batch(serviceName: service, events: [event]))
}

func price(_ kind: DifferenceKind = .value) -> DifferingPath {
    DifferingPath(part: .body, pattern: "/items/*/price", kind: kind)
}
