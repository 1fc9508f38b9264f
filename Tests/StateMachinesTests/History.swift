// Random histories of a mesh from a seed: mostly sensible, sometimes hostile.

import EventModel

@testable import MeshRules
@testable import StateMachines

/// Makes records, one after the other, the same for the same seed.
struct History {
    private var dice: SplitMix64
    private var sequence: UInt64 = 0
    private var now = Timestamp(nanoseconds: Story.beginning)
    private let isHostile: Bool
    /// Four services of which two have names that Unicode deems equal.
    static let services = ["checkout", "cart", "caf\u{E9}", "cafe\u{301}"]

    init(seed: UInt64, isHostile: Bool = false) {
        dice = SplitMix64(state: seed)
        self.isHostile = isHostile
    }

    mutating func records(_ count: Int) -> [EventRecord] { (0..<count).map { _ in record() } }

    mutating func record() -> EventRecord {
        sequence += 1
        moveTime()
        let id = below(4) == 0 ? Array("m-\(below(20))".utf8) : []
        let event = sequence == 1 ? Self.hasty : throughTheCodec(event())
        return EventRecord(sequence: SequenceNumber(sequence), recordedAt: now, messageID: id[...], event: event)
    }

    /// Settings under which a short history sees evictions, protections and their ends.
    private static let hasty = Event.policy(
        .registryConfigured(
            RegistryConfiguration(
                staleAfter: .seconds(3), evictAfter: .seconds(6), guardLastInstance: .seconds(40), guardWindows: 2)))

    private mutating func below(_ bound: Int) -> Int { Int(dice.next(below: UInt64(bound))) }
    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    private mutating func moveTime() {
        switch below(40) {
        case 0: now = now + .seconds(3_600)
        case 1: now = now + .seconds(-3_600)
        case 2 where isHostile: now = pick([Timestamp(nanoseconds: .min), Timestamp(nanoseconds: .max), .zero])
        case 3..<10: break
        default: now = now + .milliseconds(Int64(below(1_500)))
        }
    }

    /// What the log would give: the canonical bytes, read again.
    private func throughTheCodec(_ event: Event) -> Event {
        guard let (type, facts) = EventCodec.encode(event) else { return event }
        return decoded(type, facts)
    }

    private mutating func event() -> Event {
        switch below(20) {
        case 0..<4: return registration()
        case 4..<8: return beats()
        case 8: return deregistration()
        case 9..<11: return healthReported(reports(), of: pick(Self.services))
        case 11: return swept(reports(), threshold: UInt32(below(4)), of: pick(Self.services))
        case 12: return load(id(), number(5), by: pick(["", "gw-1", "gw-2"]), of: pick(Self.services))
        case 13: return rare()
        default: return .clock(.tick(slot: sequence))
        }
    }

    private mutating func id() -> String { "i-\(below(16))" }
    private mutating func incarnation() -> Int64 { isHostile ? pick([0, 1, .min, .max]) : pick([1, 1, 1, 2]) }
    private mutating func number(_ bound: Int) -> UInt32 { isHostile && below(4) == 0 ? .max : UInt32(below(bound)) }
    private mutating func time() -> Timestamp {
        isHostile ? Timestamp(nanoseconds: pick([.min, .max, 0, now.rawValue])) : now
    }

    private mutating func registration() -> Event {
        let events = (0...below(5)).map { _ in
            instance(
                id(), endpoint: pick(["10.0.0.1:80", "10.0.0.1:80", "0.0.0.0:1"]), region: pick(["eu", "us"]),
                weight: number(3) &* 100, incarnation: incarnation(), occurredAt: isHostile ? time() : .zero)
        }
        return registered(events, of: pick(Self.services), failFast: isHostile && below(2) == 0)
    }

    private mutating func beats() -> Event {
        let ids = (0...below(8)).map { _ in id() }
        return heartbeat(
            ids, of: pick(Self.services), incarnation: incarnation(), occurredAt: isHostile ? time() : .zero)
    }

    private mutating func deregistration() -> Event {
        let ids = (0...below(2)).map { _ in id() }
        return deregistered(
            ids, of: pick(Self.services), incarnation: incarnation(), reason: "r", actor: pick(["", "x"]))
    }

    private mutating func reports() -> [HealthReport] {
        (0...below(3)).map { _ in
            report(
                id(), healthy: below(2) == 0, failures: below(2) == 0 ? nil : number(5), checked: time(),
                latency: isHostile ? Nanoseconds(pick([.min, .max, 0])) : .zero, reason: pick(["", "503"]))
        }
    }

    private mutating func rare() -> Event {
        switch below(7) {
        case 0: return .clock(.nodeResumed(nodeID: "n", reason: "start"))
        case 1: return .clock(.intakeGap(nodeID: "n", reason: "slow", droppedCount: isHostile ? .max : 1))
        case 2: return .clock(.leadershipClaimed(nodeID: "n", epoch: isHostile ? pick([0, .max]) : UInt64(below(4))))
        case 3: return released(pick(["", "cart", "caf\u{E9}", "nobody"]))
        case 4: return .opaque(reason: "unknown_event_type")
        case 5: return .policy(.semanticsActivated(version: UInt32(below(3)), reason: ""))
        default: return configured(change())
        }
    }

    private mutating func change() -> RegistryConfiguration {
        guard isHostile else {
            return RegistryConfiguration(evictAfter: .seconds(pick([4, 6, 9])), guardWindows: UInt32(below(4)))
        }
        let durations = [Nanoseconds(.min), Nanoseconds(.max), .zero, .milliseconds(100), .seconds(86_400)]
        return RegistryConfiguration(
            staleAfter: pick(durations), evictAfter: pick(durations), guardServiceBasisPoints: number(10_000),
            guardMeshBasisPoints: number(10_000), guardLastInstance: pick(durations), guardWindows: number(3),
            panicBasisPoints: number(3))
    }
}
