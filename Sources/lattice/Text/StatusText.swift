// The status of one node as a table for people.

import EventModel
import SwiftProtobuf

/// Shows everything that a node says of itself.
enum StatusText {
    /// Nil where the bytes are no status.
    static func decode(_ payload: [UInt8]) -> Lattice_V1_NodeStatus? {
        try? Lattice_V1_NodeStatus(serializedBytes: payload)
    }

    static func show(_ status: Lattice_V1_NodeStatus) {
        var table = TextTable("FIGURE", "VALUE")
        for (name, value) in node(status) + log(status) + mesh(status) { table.add(name, value) }
        table.show()
    }

    /// Whole days, as far as anybody knows.
    static func days(_ left: Double) -> String {
        guard left.isFinite, left >= 0 else { return "unknown" }
        return left >= 10_000 ? "more than 10000" : "\(Int(left))"
    }

    private static func node(_ status: Lattice_V1_NodeStatus) -> [(String, String)] {
        [
            ("node", status.nodeID), ("version", status.version), ("mode", status.mode), ("sync", status.syncPolicy),
            ("ready", status.unreadyReasons.isEmpty ? "yes" : "no: " + status.unreadyReasons.joined(separator: ", ")),
            ("intake", status.intake), ("started at", AnswerText.time(status.startedAt)),
            ("leader", status.leader ? "yes" : "no"), ("leader id", status.leaderID),
            ("leader epoch", "\(status.leaderEpoch)"),
            (
                "semantics version",
                "\(status.semanticsVersion) (this node has up to \(max(1, status.semanticsSupported)))"
            ),
            ("intake lag", ShortDuration.of(status.intakeLagNs)),
        ]
    }

    private static func log(_ status: Lattice_V1_NodeStatus) -> [(String, String)] {
        [
            ("first sequence", "\(status.firstSequence)"), ("durable sequence", "\(status.durableSequence)"),
            ("checkpoint sequence", "\(status.checkpointSequence)"),
            ("checkpoint at", AnswerText.time(status.checkpointAt)),
            ("log bytes", "\(status.logBytes)"), ("segments", "\(status.segments)"),
            ("disk free bytes", "\(status.diskFreeBytes)"), ("disk total bytes", "\(status.diskTotalBytes)"),
            ("disk pressure", status.diskPressure), ("days until the disk is full", days(status.retentionDaysLeft)),
            ("fdatasync p99", ShortDuration.of(status.syncP99Ns)),
            ("anchored sequence", "\(status.anchoredSequence)"),
            ("accepted messages", "\(status.acceptedMessages)"), ("accepted events", "\(status.acceptedEvents)"),
            ("refused events", "\(status.refusedEvents)"), ("rejected messages", "\(status.rejectedMessages)"),
            ("duplicate messages", "\(status.duplicateMessages)"), ("intake gaps", "\(status.gaps)"),
            ("backward clock steps", "\(status.backwardClockSteps)"),
        ]
    }

    private static func mesh(_ status: Lattice_V1_NodeStatus) -> [(String, String)] {
        var lines = [
            ("services", "\(status.services)"), ("instances", instances(status)), ("eviction", eviction(status)),
        ]
        for service in status.guards {
            lines.append(("guard of \(service.serviceName)", guarded(service, asOf: status.asOf.recordedAt)))
        }
        let omitted = Int(status.guardedServices) - status.guards.count
        if omitted > 0 { lines.append(("guards of other services", "\(omitted)")) }
        lines += [
            ("evictions since the start", "\(status.evictions)"),
            ("copies owed to shadows", "\(status.outboxWaiting)"),
            ("oldest of them", ShortDuration.of(status.outboxOldestAgeNs)),
            ("directives", status.directivesFenced ? "fenced: `lattice directives resume`" : "performed"),
        ]
        return lines
    }

    /// `40: 34 healthy, 2 unhealthy, 4 protected`.
    static func instances(_ status: Lattice_V1_NodeStatus) -> String {
        let parts: [(UInt32, String)] = [
            (status.healthyInstances, "healthy"), (status.unhealthyInstances, "unhealthy"),
            (status.staleInstances, "stale"), (status.protectedInstances, "protected"),
        ]
        let told = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        return told.isEmpty ? "\(status.instances)" : "\(status.instances): \(told)"
    }

    private static func eviction(_ status: Lattice_V1_NodeStatus) -> String {
        if status.evictionSuspended { return "suspended" }
        switch status.guardedServices {
        case 0: return "active"
        case 1: return "active, but the guard holds 1 service"
        default: return "active, but the guard holds \(status.guardedServices) services"
        }
    }

    /// `4 of 6 silent, for 11m`.
    static func guarded(_ service: Lattice_V1_GuardedService, asOf now: Int64) -> String {
        let silence = AgeText.since(service.silentSince, asOf: now).map { ", for \($0)" } ?? ""
        return "\(service.protectedInstances) of \(service.instances) silent\(silence)"
    }
}
