// What the audit trail says of each kind of record: who, what, whom it concerns, why.

import EventModel
import Testing

@Suite struct `Entries of the audit trail` {
    private func record(_ event: Event, _ subject: String) -> EventRecord {
        EventRecord(
            sequence: SequenceNumber(7), recordedAt: Timestamp(nanoseconds: 9), subject: Array(subject.utf8)[...],
            event: event)
    }

    /// Actor, action, service, object, reason and detail of each entry, on a line.
    private func lines(_ event: Event, _ subject: String) -> [String] {
        record(event, subject).auditEntries.map {
            [$0.actor, $0.action, $0.service, $0.object, $0.reason, $0.detail].joined(separator: "|")
        }
    }

    private func gone(_ actors: String...) -> Event {
        let events = actors.enumerated().map {
            Deregistration(instanceID: "i\($0.offset)", reason: "why", actor: $0.element)
        }
        return .registry(.deregistered(Batch(serviceName: "checkout", events: events)))
    }

    @Test func `a service that takes its own instances out is no matter of administration`() {
        #expect(lines(gone(""), "registry.checkout.deregistered") == [])
        #expect(
            lines(gone("", "bob"), "registry.checkout.deregistered")
                == ["unverified:bob|registry.deregistered|checkout|i1|why|"])
        #expect(
            lines(gone("", "bob"), "registry.checkout.deregistered.alice") == [
                "alice|registry.deregistered|checkout|i0|why|", "alice|registry.deregistered|checkout|i1|why|",
            ])
        let entry = record(gone("", "bob"), "registry.checkout.deregistered").auditEntries[0]
        #expect(entry.sequence == SequenceNumber(7) && entry.index == 1 && entry.recordedAt.rawValue == 9)
    }

    @Test func `settings and releases are by the principal of their subject`() {
        #expect(
            lines(.policy(.guardReleased(serviceName: "checkout", reason: "r")), "policy.alice.guard_released")
                == ["alice|policy.guard_released|checkout||r|"])
        #expect(
            lines(.policy(.guardReleased(serviceName: "", reason: "")), "policy.pay%2Eeu.guard_released")
                == ["pay.eu|policy.guard_released||||every service"])
        #expect(
            lines(.policy(.semanticsActivated(version: 2, reason: "")), "policy.alice.semantics_activated")
                == ["alice|policy.semantics_activated||||version 2"])
        #expect(
            lines(.policy(.directivesResumed(nodeID: "", reason: "off")), "policy.alice.directives_resumed")
                == ["alice|policy.directives_resumed|||off|every node"])
        let change = RegistryConfiguration(
            staleAfter: .seconds(45), guardWindows: 3, allowLoopback: true, endpointNetworks: ["10.0.0.0/8"])
        #expect(
            lines(.policy(.registryConfigured(change)), "policy.node-1.registry_configured") == [
                "node-1|policy.registry_configured||||stale_after 45000 ms, guard_windows 3, allow_loopback true, "
                    + "endpoint_networks 10.0.0.0/8"
            ])
        #expect(lines(.policy(.guardReleased(serviceName: "", reason: "")), "")[0].hasPrefix("unverified|"))
    }

    @Test func `the life of mirrors is by whoever stands behind the kind, else by nobody that is known`() {
        var configuration = MirrorConfiguration(mirrorID: "m", sourceService: "checkout", shadowEndpoint: "next:80")
        configuration.baselineEndpoint = "again:80"
        configuration.allowWrites = true
        configuration.enabled = false
        let added = Event.mirror(.added(Batch(serviceName: "checkout", events: [configuration])))
        let what = "to next:80, sampled, 100 of 10000, baseline again:80, writes too, disabled"
        #expect(lines(added, "mirror.checkout.added") == ["unverified|mirror.added|checkout|m||\(what)"])
        #expect(lines(added, "mirror.checkout.added.alice") == ["alice|mirror.added|checkout|m||\(what)"])
        #expect(lines(added, "mirror.checkout.added.unverified")[0].hasPrefix("unverified|"))
        let change = Batch(serviceName: "checkout", events: [MirrorChange(mirrorID: "m", reason: "r")])
        for (event, name) in [
            (MirrorEvent.removed(change), "removed"), (.enabled(change), "enabled"), (.disabled(change), "disabled"),
        ] {
            #expect(
                lines(.mirror(event), "mirror.checkout.\(name).alice") == ["alice|mirror.\(name)|checkout|m|r|"])
        }
        #expect(
            lines(
                .mirror(.drained(MirrorDrained(sourceService: "checkout", mirrorID: "m", limit: 3, reason: "r"))), "")
                == ["unverified|mirror.drained|checkout|m|r|at most 3"])
        let list = ShadowsAllowed(sourceService: "checkout", endpoints: ["a:1", "b:2"], allowLoopback: true)
        #expect(
            lines(.mirror(.shadowsAllowed(list)), "mirror.checkout.shadows_allowed")
                == ["unverified|mirror.shadows_allowed|checkout|||a:1, b:2, loopback too"])
        #expect(
            lines(.mirror(.contentsErased(ContentsErased(sourceService: "checkout", day: 20_468, reason: "r"))), "")
                == ["unverified|mirror.contents_erased|checkout||r|captured on day 20468 since 1970-01-01"])
    }

    @Test func `traffic and beats are no matter of administration`() {
        let capture = Batch(serviceName: "checkout", events: [RequestCapture(requestID: "r")])
        #expect(lines(.mirror(.captured(capture)), "mirror.checkout.captured") == [])
        #expect(lines(.clock(.tick(slot: 1)), "clock.tick") == [])
        #expect(lines(.opaque(reason: "x"), "whatever") == [])
        #expect(
            lines(.clock(.leadershipClaimed(nodeID: "node-1", epoch: 4)), "clock.leadership_claimed")
                == ["node-1|clock.leadership_claimed||node-1||epoch 4"])
    }

    @Test func `readings and exports are by the subject, and by what was claimed where that names nobody`() {
        let read = ContentsRead(
            nodeID: "node-1", query: "captures", sourceService: "checkout", firstSequence: SequenceNumber(4),
            lastSequence: SequenceNumber(9), count: 3, actor: "bob", reason: "r")
        let what = "audit.contents_read|checkout|node-1|r|captures: 3, records 4 to 9"
        #expect(lines(.audit(.contentsRead(read)), "audit.alice.contents_read") == ["alice|\(what)"])
        #expect(lines(.audit(.contentsRead(read)), "audit.unverified.contents_read") == ["unverified:bob|\(what)"])
        let export = Exported(
            what: "traces", format: "otlp", selection: "4bf9", firstSequence: SequenceNumber(4),
            lastSequence: SequenceNumber(4), count: 1, target: "slow.json")
        #expect(
            lines(.audit(.exported(export)), "audit.unverified.exported")
                == ["unverified|audit.exported||||1 traces as otlp, record 4, 4bf9, to slow.json"])
    }

    @Test(
        arguments: [
            ("alice", [], "", "", true), ("bob", [], "", "", false), ("", ["mirror"], "", "", true),
            ("", ["mirror.added"], "", "", true), ("", ["mirror.add"], "", "", false), ("", ["policy"], "", "", false),
            ("", ["policy", "mirror.added"], "checkout", "m", true), ("", [], "cart", "", false),
            ("", [], "", "n", false),
        ] as [(String, [String], String, String, Bool)])
    func `a question narrows by actor, kind or family, service and object`(
        _ example: (String, [String], String, String, Bool)
    ) {
        var query = AuditQuery()
        (query.actor, query.actions, query.service, query.object) = (example.0, example.1, example.2, example.3)
        let entry = AuditEntry(
            sequence: SequenceNumber(1), recordedAt: Timestamp(nanoseconds: 5), action: "mirror.added", actor: "alice",
            service: "checkout", object: "m")
        #expect(query.admits(entry) == example.4)
        query = AuditQuery()
        query.startTime = Timestamp(nanoseconds: 6)
        #expect(!query.admits(entry))
        query.startTime = Timestamp(nanoseconds: 5)
        query.endTime = Timestamp(nanoseconds: 5)
        #expect(query.admits(entry))
    }

    @Test func `only what belongs to a service takes a principal behind its kind`() {
        let taking = EventType.allCases.filter(\.takesPrincipal).map(\.action)
        #expect(
            taking == [
                "registry.deregistered", "mirror.added", "mirror.removed", "mirror.enabled", "mirror.disabled",
                "mirror.shadows_allowed", "mirror.drained", "mirror.contents_erased",
            ])
    }
}
