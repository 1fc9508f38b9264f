// Answers as tables for people.

import NodeRuntime
import EventModel
import SwiftProtobuf

/// Shows an answer's canonical bytes.
enum AnswerText {
    static func show(_ payload: [UInt8], _ kind: MessageKind) throws {
        do {
            switch kind {
            case .instancesAnswer: show(try Lattice_V1_InstancesAnswer(serializedBytes: payload))
            case .selectionAnswer: show(try Lattice_V1_SelectionAnswer(serializedBytes: payload))
            case .topologyAnswer: show(try Lattice_V1_TopologyAnswer(serializedBytes: payload))
            case .removalsAnswer: show(try Lattice_V1_RemovalsAnswer(serializedBytes: payload))
            case .digestAnswer: show(try Lattice_V1_DigestAnswer(serializedBytes: payload))
            case .outcomeAnswer: show(try Lattice_V1_OutcomeAnswer(serializedBytes: payload))
            case .nodeStatus: show(try Lattice_V1_NodeStatus(serializedBytes: payload))
            default: Terminal.say(try JSONTranscoder.people(fromBinary: payload, kind: kind))
            }
        } catch {
            throw CommandFailure(.failed, "the answer is not understood: \(error); is the node of another version?")
        }
    }

    static func time(_ nanoseconds: Int64) -> String {
        nanoseconds == 0 ? "" : RFC3339.text(Timestamp(nanoseconds: nanoseconds))
    }

    private static func show(_ asOf: Lattice_V1_AsOf) {
        Terminal.say("as of sequence \(asOf.sequence), \(RFC3339.text(Timestamp(nanoseconds: asOf.recordedAt)))")
    }

    private static func notices(protected: Bool, panic: Bool) {
        if protected { Terminal.say("protected: the eviction guard holds; some of these may be gone") }
        if panic { Terminal.say("panic: too few are healthy; these are all") }
    }

    private static func instances(_ instances: [Lattice_V1_ServiceInstance], _ asOf: Lattice_V1_AsOf) -> TextTable {
        var table = TextTable(
            "INSTANCE", "SERVICE", "ENDPOINT", "REGION", "ZONE", "WEIGHT", "HEALTH", "CONNECTIONS", "LAST HEARTBEAT")
        for instance in instances {
            table.add(
                instance.instanceID, instance.serviceName, instance.endpoint, instance.region, instance.zone,
                "\(instance.weight)", health(instance, asOf), "\(instance.activeConnections)",
                time(instance.lastHeartbeat))
        }
        return table
    }

    /// `healthy`; `protected, silent for 11m`.
    private static func health(_ instance: Lattice_V1_ServiceInstance, _ asOf: Lattice_V1_AsOf) -> String {
        let health = HealthState(rawValue: UInt32(instance.health.rawValue))?.name ?? "unknown"
        let word = instance.protected ? "protected" : health
        return AgeText.since(instance.silentSince, asOf: asOf.recordedAt).map { "\(word), silent for \($0)" } ?? word
    }

    private static func show(_ answer: Lattice_V1_InstancesAnswer) {
        let table = instances(answer.instances, answer.asOf)
        if table.isEmpty { Terminal.say("no instances") } else { table.show() }
        if answer.instances.count == 1, let instance = answer.instances.first {
            for entry in instance.metadata {
                Terminal.say("  \(Terminal.escaped(entry.key)) = \(Terminal.escaped(entry.value))")
            }
        }
        if answer.omitted > 0 { Terminal.say("\(answer.omitted) more were left out by --limit") }
        notices(protected: answer.protected, panic: answer.panic)
        show(answer.asOf)
    }

    private static func show(_ answer: Lattice_V1_SelectionAnswer) {
        instances([answer.instance], answer.asOf).show()
        let strategy = SelectionStrategy(rawValue: UInt32(answer.strategy.rawValue))?.name ?? "unknown"
        Terminal.say("chosen by \(strategy), seed \(answer.seed), next cursor \(answer.cursor)")
        Terminal.say("candidates: \(answer.candidates.map(Terminal.escaped).joined(separator: ", "))")
        notices(protected: answer.protected, panic: answer.panic)
        show(answer.asOf)
    }

    private static func show(_ answer: Lattice_V1_TopologyAnswer) {
        var table = TextTable(
            "SERVICE", "REGION", "ZONE", "INSTANCES", "HEALTHY", "UNHEALTHY", "STALE", "PROTECTED", "WEIGHT", "CHANGED",
            "GUARD")
        for service in answer.services {
            let silence = AgeText.since(service.silentSince, asOf: answer.asOf.recordedAt)
            let guarded = service.protected ? "holds" + (silence.map { ", silent for \($0)" } ?? "") : ""
            table.add(
                service.serviceName, "*", "*", "\(service.instances)", "\(service.healthy)", "\(service.unhealthy)",
                "\(service.stale)", "\(service.protectedInstances)", "\(service.weight)",
                "\(service.changedSequence)", guarded)
            for zone in service.zones {
                table.add(
                    "", zone.region, zone.zone, "\(zone.instances)", "\(zone.healthy)", "\(zone.unhealthy)",
                    "\(zone.stale)", "\(zone.protectedInstances)", "\(zone.weight)", "", "")
            }
        }
        if table.isEmpty { Terminal.say("no services") } else { table.show() }
        show(answer.asOf)
    }

    private static func show(_ answer: Lattice_V1_RemovalsAnswer) {
        var table = removalsTable()
        for removal in answer.removals { add(removal, to: &table) }
        if table.isEmpty { Terminal.say("no removals") } else { table.show() }
        show(answer.asOf)
    }

    private static func removalsTable() -> TextTable {
        TextTable("SEQUENCE", "WHEN", "INSTANCE", "SERVICE", "HOW", "BY", "REASON")
    }

    private static func add(_ removal: Lattice_V1_Removal, to table: inout TextTable) {
        table.add(
            "\(removal.sequence)", time(removal.recordedAt), removal.instanceID, removal.serviceName, removal.kind,
            removal.actor, removal.reason)
    }

    private static func show(_ answer: Lattice_V1_DigestAnswer) {
        var table = TextTable("MACHINE", "DIGEST")
        for machine in answer.machines { table.add(machine.machine, machine.digest) }
        table.show()
        show(answer.asOf)
    }

    /// What became of a record, as `publish` and `query outcome` show it.
    static func show(_ answer: Lattice_V1_OutcomeAnswer) {
        var line = Terminal.escaped(answer.outcome)
        if answer.sequence > 0 { line += "  sequence \(answer.sequence)  \(time(answer.recordedAt))" }
        if answer.accepted > 0 { line += "  \(answer.accepted) taken" }
        if !answer.reason.isEmpty { line += "  reason: \(Terminal.escaped(answer.reason))" }
        if answer.firstSequence > 0 { line += "  first seen at sequence \(answer.firstSequence)" }
        Terminal.say(line)
        for refusal in answer.refused {
            Terminal.say("  event \(refusal.index) refused: \(Terminal.escaped(refusal.reason))")
        }
        if let advice = RefusalAdvice.of(answer.reason) { Terminal.say("  \(advice)") }
        if !answer.replaced.isEmpty {
            Terminal.say(
                "  replaced an earlier registration: event \(answer.replaced.map(String.init).joined(separator: ", "))")
        }
        guard !answer.consequences.isEmpty else { return }
        var table = removalsTable()
        for removal in answer.consequences { add(removal, to: &table) }
        table.show()
    }

    private static func show(_ status: Lattice_V1_NodeStatus) {
        StatusText.show(status)
        show(status.asOf)
    }
}
