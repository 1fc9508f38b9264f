// The answers that are encoded by hand have the bytes of the golden examples.

import EventModel
import Testing

@Suite struct `Answers encoded by hand` {
    private let time: Int64 = 1_768_478_400
    private let asOf = AsOf(
        sequence: SequenceNumber(4711), recordedAt: Timestamp(nanoseconds: 1_768_478_400_000_000_000))

    @Test func `instances, with everything said`() {
        var answer = InstancesAnswer(
            asOf: asOf,
            instances: [full, plain("checkout-2", .healthy), plain("checkout-3", .stale)])
        answer.protected = true
        answer.panic = true
        answer.omitted = 4
        #expect(answer.encode() == GoldenExample.named("instances_answer.full").bytes)
        let typical = InstancesAnswer(asOf: asOf, instances: [plain("checkout-2", .healthy)])
        #expect(typical.encode() == GoldenExample.named("instances_answer.typical").bytes)
    }

    @Test func `a selection, typical and with everything said`() {
        let answer = SelectionAnswer(
            asOf: asOf, instance: full, strategy: .powerOfTwo, seed: .max, cursor: 13,
            candidates: ["checkout-1", "checkout-2"], protected: true, panic: true)
        #expect(answer.encode() == GoldenExample.named("selection_answer.full").bytes)
        let typical = SelectionAnswer(
            asOf: asOf, instance: plain("checkout-2", .healthy), strategy: .roundRobin, seed: 0, cursor: 13,
            candidates: ["checkout-2"], protected: false, panic: false)
        #expect(typical.encode() == GoldenExample.named("selection_answer.typical").bytes)
    }

    @Test func `the topology with its zones`() {
        var service = ServiceTopology(
            serviceName: "checkout", changedSequence: SequenceNumber(4700), protected: true)
        (service.instances, service.healthy, service.weight) = (3, 2, 300)
        var west = ZoneTopology(region: "eu-west", zone: "eu-west-1a")
        (west.instances, west.healthy, west.weight) = (2, 2, 200)
        var east = ZoneTopology(region: "us-east", zone: "us-east-1b")
        (east.instances, east.healthy, east.weight) = (1, 1, 100)
        service.zones = [west, east]
        let answer = TopologyAnswer(asOf: asOf, services: [service])
        #expect(answer.encode() == GoldenExample.named("topology_answer.full").bytes)
    }

    @Test func `what the guard holds, for one instance and in sums`() throws {
        var held = plain("checkout-2", .healthy)
        held.isProtected = true
        held.silentSince = moment(-1)
        var answer = InstancesAnswer(asOf: asOf, instances: [held])
        answer.protected = true
        let example = GoldenExample.named("instances_answer.protected")
        #expect(answer.encode() == example.bytes)
        #expect(try InstancesAnswer.decode(example.bytes[...]) == answer)
    }

    @Test func `pages name the next one, and changes what they are changes of`() throws {
        var instances = InstancesAnswer(asOf: asOf, instances: [plain("checkout-2", .healthy)])
        (instances.omitted, instances.nextPageToken) = (2, "checkout-2")
        (instances.left, instances.changedSince) = (["checkout-1"], SequenceNumber(4000))
        let page = GoldenExample.named("instances_answer.page").bytes
        #expect(instances.encode() == page)
        #expect(try InstancesAnswer.decode(page[...]) == instances)
        for name in ["topology_answer.page", "removals_answer.page"] {
            let bytes = GoldenExample.named(name).bytes
            let again =
                name.hasPrefix("topology")
                ? try TopologyAnswer.decode(bytes[...]).encode() : try RemovalsAnswer.decode(bytes[...]).encode()
            #expect(again == bytes, "\(name)")
        }
        #expect(
            try MirrorsAnswer.configurations(GoldenExample.named("mirrors_answer.page").bytes[...]).nextPageToken
                == "checkout-next")
        var mirrors = MirrorsAnswer(asOf: asOf, mirrors: [])
        mirrors.nextPageToken = "checkout-next"
        #expect(mirrors.encode() == GoldenExample.named("mirrors_answer.page").bytes)
        var ledger = MirrorLedgerAnswer(asOf: asOf, rows: [])
        ledger.nextPageToken = "checkout-next"
        #expect(ledger.encode() == GoldenExample.named("mirror_ledger_answer.page").bytes)
        var pending = MirrorPendingAnswer(asOf: asOf, pendingCount: 2_000, copies: [])
        pending.nextPageToken = "4700.0"
        #expect(pending.encode() == GoldenExample.named("mirror_pending_answer.page").bytes)
        var differences = MirrorDiffsAnswer(asOf: asOf, mirrorID: "checkout-next")
        (differences.omitted, differences.nextPageToken) = (3, "20")
        #expect(differences.encode() == GoldenExample.named("mirror_diffs_answer.page").bytes)
    }

    @Test func `the topology under the guard`() throws {
        var service = ServiceTopology(
            serviceName: "checkout", changedSequence: SequenceNumber(4700), protected: true)
        (service.instances, service.weight, service.silentSince) = (10, 1_000, moment(-660))
        (service.healthy, service.unhealthy, service.stale, service.protectedInstances) = (1, 2, 3, 4)
        var zone = ZoneTopology(region: "eu-west", zone: "eu-west-1a")
        (zone.instances, zone.weight) = (10, 1_000)
        (zone.healthy, zone.unhealthy, zone.stale, zone.protectedInstances) = (1, 2, 3, 4)
        service.zones = [zone]
        let answer = TopologyAnswer(asOf: asOf, services: [service])
        let example = GoldenExample.named("topology_answer.protected")
        #expect(answer.encode() == example.bytes)
        #expect(try TopologyAnswer.decode(example.bytes[...]) == answer)
    }

    @Test func `the status of a node with its mesh`() {
        var status = NodeStatus(asOf: asOf)
        status.nodeID = "node-a"
        status.guards = [
            GuardedService(serviceName: "checkout", instances: 6, protectedInstances: 4, silentSince: moment(-660))
        ]
        (status.guardedServices, status.services, status.instances) = (1, 2, 13)
        (status.healthyInstances, status.unhealthyInstances) = (6, 2)
        (status.staleInstances, status.protectedInstances) = (1, 4)
        (status.evictions, status.recentEvictions, status.checkpointAt) = (7, [evicted], moment(-120))
        (status.intakeLag, status.outboxOldestAge, status.outboxWaiting) = (.milliseconds(250), .seconds(61), 8)
        (status.unreadyReasons, status.syncP99) = (["disk_full", "intake_disconnected"], Nanoseconds(1_500_000))
        #expect(status.encode() == GoldenExample.named("node_status.mesh").bytes)
    }

    @Test func `removals by eviction and by hand`() {
        let answer = RemovalsAnswer(asOf: asOf, removals: [evicted, deregistered])
        #expect(answer.encode() == GoldenExample.named("removals_answer.full").bytes)
    }

    @Test func `digests of several machines`() {
        let digests = [
            MachineDigest(machine: "registry", digest: digest), MachineDigest(machine: "mirror", digest: .zero),
        ]
        #expect(
            DigestAnswer(asOf: asOf, machines: digests).encode() == GoldenExample.named("digest_answer.full").bytes)
    }

    @Test func `outcomes of every verdict but opaque`() {
        let refused = OutcomeAnswer(
            sequence: SequenceNumber(4711), recordedAt: asOf.recordedAt, verdict: .refused, accepted: 1,
            refused: [Refusal(index: 0, reason: .unknownInstance), Refusal(index: 2, reason: .staleIncarnation)],
            firstSequence: SequenceNumber(4000), consequences: [evicted], replaced: [1, 300])
        #expect(refused.encode() == GoldenExample.named("outcome_answer.full").bytes)
        let accepted = OutcomeAnswer(
            sequence: SequenceNumber(4711), recordedAt: asOf.recordedAt, verdict: .accepted, accepted: 3)
        #expect(accepted.encode() == GoldenExample.named("outcome_answer.typical").bytes)
        let duplicate = OutcomeAnswer(
            sequence: SequenceNumber(4712), recordedAt: asOf.recordedAt, verdict: .duplicate,
            firstSequence: SequenceNumber(4711))
        #expect(duplicate.encode() == GoldenExample.named("outcome_answer.duplicate").bytes)
    }

    @Test func `an error with its code and position`() {
        let gone = QueryError(.gone, "the log begins at 100", sequence: SequenceNumber(100))
        #expect(gone.encode() == GoldenExample.named("error_answer.typical").bytes)
    }

    @Test func `the status of a node`() {
        var status = NodeStatus(asOf: asOf)
        (status.nodeID, status.version, status.mode, status.syncPolicy) = ("node-a", "0.1.0", "jetstream", "batch")
        (status.firstSequence, status.durableSequence) = (SequenceNumber(100), SequenceNumber(4711))
        (status.logBytes, status.segments, status.checkpointSequence) = (1_048_576, 2, SequenceNumber(4096))
        (status.isLeader, status.leaderID, status.leaderEpoch) = (true, "node-a", 7)
        (status.acceptedMessages, status.acceptedEvents, status.refusedEvents) = (4_600, 9_000, 11)
        (status.rejectedMessages, status.duplicateMessages, status.gaps) = (12, 13, 14)
        (status.backwardClockSteps, status.isEvictionSuspended, status.intake) = (15, true, "disk_full")
        (status.startedAt, status.diskFreeBytes, status.retentionDaysLeft) = (moment(-3_600), 17, 12.75)
        status.machines = [MachineDigest(machine: "registry", digest: digest)]
        #expect(status.encode() == GoldenExample.named("node_status.full").bytes)
    }

    // MARK: Parts

    private var digest: Digest { Digest(high: 0xa381_7f04_ba25_a8e6, low: 0x6df6_7214_c755_0293) }

    private func moment(_ seconds: Int64) -> Timestamp { Timestamp(nanoseconds: (time + seconds) * 1_000_000_000) }

    private func instance(_ id: String, _ endpoint: String) -> ServiceInstance {
        ServiceInstance(
            instanceID: id, serviceName: "checkout", endpoint: endpoint, region: "", zone: "", weight: 100,
            metadata: [], registeredAt: moment(-59), lastHeartbeat: moment(-1), incarnation: moment(-60).rawValue)
    }

    private func plain(_ id: String, _ health: HealthState) -> InstanceSnapshot {
        InstanceSnapshot(instance: instance(id, "10.0.0.2:8080"), health: health, status: nil, activeConnections: 0)
    }

    private var full: InstanceSnapshot {
        var first = instance("checkout-1", "10.0.0.1:8080")
        first.region = "eu-west"
        first.zone = "eu-west-1a"
        first.metadata = [MetadataEntry(key: "version", value: "2.4.1")]
        let status = HealthStatus(
            instanceID: "checkout-1", healthy: true, latency: Nanoseconds(1_250_000), consecutiveFailures: 2,
            lastCheck: moment(-2), reason: "503")
        return InstanceSnapshot(instance: first, health: .unhealthy, status: status, activeConnections: 17)
    }

    private var evicted: Removal {
        Removal(
            instanceID: "checkout-1", serviceName: "checkout", incarnation: moment(-60).rawValue, kind: .evicted,
            reason: "stale", actor: "registry",
            position: EventPosition(sequence: SequenceNumber(4710), index: 2, ordinal: 1), recordedAt: moment(-1))
    }

    private var deregistered: Removal {
        Removal(
            instanceID: "checkout-2", serviceName: "checkout", incarnation: moment(-60).rawValue, kind: .deregistered,
            reason: "shutdown", actor: "service:checkout",
            position: EventPosition(sequence: SequenceNumber(4709)), recordedAt: moment(-2))
    }
}
