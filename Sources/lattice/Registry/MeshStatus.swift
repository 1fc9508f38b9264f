// What the nodes of a mesh say together, and what of it is worth waking somebody.

import EventModel
import Foundation
import SwiftProtobuf

/// Something that is not as it should be.
struct MeshProblem: Encodable, Sendable, Hashable {
    enum Severity: String, Encodable, Sendable {
        /// Somebody has to look now.
        case page
        /// Somebody has to look when it is day.
        case ticket
    }

    var severity: Severity
    /// Empty: of the mesh.
    var node: String
    var text: String
}

/// All nodes that answered.
struct MeshStatus: Sendable {
    let nodes: [Lattice_V1_NodeStatus]
    let prefix: String
    let now: Timestamp

    /// Whether something is worth waking somebody.
    var pages: Bool { problems.contains { $0.severity == .page } }

    /// The node that knows most: what is said of the mesh is said by it.
    private var speaker: Lattice_V1_NodeStatus? { nodes.max { $0.asOf.sequence < $1.asOf.sequence } }

    // MARK: Problems

    /// The gravest first.
    var problems: [MeshProblem] {
        let all = nodes.flatMap(problems(of:)) + ofLeadership + ofGuard + ofVersions
        return all.filter { $0.severity == .page } + all.filter { $0.severity == .ticket }
    }

    private func problems(of node: Lattice_V1_NodeStatus) -> [MeshProblem] {
        var found: [MeshProblem] = []
        func add(_ severity: MeshProblem.Severity, _ isSo: Bool, _ text: @autoclosure () -> String) {
            if isSo { found.append(MeshProblem(severity: severity, node: node.nodeID, text: text())) }
        }
        let reasons = node.unreadyReasons.joined(separator: ", ")
        add(.page, !node.unreadyReasons.isEmpty, "is not ready: \(reasons)")
        add(.page, node.intakeLagNs > 5_000_000_000, "is \(ShortDuration.of(node.intakeLagNs)) behind")
        add(
            .ticket, !["", "none"].contains(node.diskPressure),
            "the disk is too full for \(node.diskPressure): \(SizeText.of(node.diskFreeBytes)) free")
        add(
            .ticket, node.retentionDaysLeft >= 0 && node.retentionDaysLeft < 1,
            "the disk is full within a day: \(SizeText.of(node.diskFreeBytes)) free")
        // An older node does not say when it wrote the one that it has.
        let isKnown = node.checkpointAt != 0 || node.checkpointSequence == 0
        let isOld = isKnown && now - Timestamp(nanoseconds: max(node.checkpointAt, node.startedAt)) > .seconds(900)
        add(.ticket, isOld, "has written no checkpoint for 15 minutes")
        add(
            .ticket, node.outboxOldestAgeNs >= 60_000_000_000,
            "owes shadows copies for \(ShortDuration.of(node.outboxOldestAgeNs))")
        add(.ticket, node.syncP99Ns > 50_000_000, "fdatasync takes \(ShortDuration.of(node.syncP99Ns)) at p99")
        add(.ticket, node.directivesFenced, "was restored and sends nothing to shadows: `lattice directives resume`")
        return found
    }

    private var ofLeadership: [MeshProblem] {
        let leaders = nodes.filter(\.leader)
        if leaders.count > 1 {
            let names = leaders.map(\.nodeID).joined(separator: " and ")
            return [MeshProblem(severity: .ticket, node: "", text: "\(names) say that they lead")]
        }
        guard leaders.isEmpty, let speaker else { return [] }
        let text =
            speaker.leaderID.isEmpty ? "no node leads" : "the leader \(speaker.leaderID) does not answer"
        return [MeshProblem(severity: .page, node: "", text: text)]
    }

    private var ofGuard: [MeshProblem] {
        guard let speaker else { return [] }
        return speaker.guards.map { service in
            let silence = Timestamp(nanoseconds: speaker.asOf.recordedAt) - Timestamp(nanoseconds: service.silentSince)
            let isLong = service.silentSince != 0 && silence > .seconds(600)
            return MeshProblem(
                severity: isLong ? .page : .ticket, node: "",
                text: "the eviction guard holds \(service.serviceName): "
                    + StatusText.guarded(service, asOf: speaker.asOf.recordedAt))
        }
    }

    private var ofVersions: [MeshProblem] {
        let versions = Set(nodes.map { "\($0.version) (semantics \($0.semanticsVersion))" })
        if versions.count < 2 { return [] }
        return [
            MeshProblem(
                severity: .ticket, node: "", text: "versions differ: \(versions.sorted().joined(separator: ", "))")
        ]
    }

    // MARK: As JSON

    private struct Facts: Encodable {
        var asOf: String
        var pages: Bool
        var prefix: String
        var problems: [MeshProblem]

        enum CodingKeys: String, CodingKey {
            case asOf = "as_of"
            case pages, prefix, problems
        }
    }

    /// One object; `nodes` in the form of `query status --json`.
    var json: String {
        let facts = JSONOutput.encode(
            Facts(asOf: RFC3339.text(now), pages: pages, prefix: prefix, problems: problems))
        let bodies = nodes.compactMap { node -> String? in
            guard let bytes: [UInt8] = try? node.serializedBytes(),
                let text = try? JSONTranscoder.people(fromBinary: bytes, kind: .nodeStatus)
            else { return nil }
            return String(decoding: text, as: UTF8.self)
        }
        return #"{"nodes":["# + bodies.joined(separator: ",") + "]," + facts.dropFirst()
    }
}

// MARK: - For people

extension MeshStatus {
    private static let nodesShown = 5
    private static let guardsShown = 4
    private static let problemsShown = 5

    /// At most twenty lines, whatever there is.
    var lines: [String] {
        var lines = ["mesh \(Terminal.escaped(prefix)), \(nodes.count) \(nodes.count == 1 ? "node" : "nodes")"]
        lines += nodeLines
        guard let speaker else { return lines }
        lines.append("services \(speaker.services), instances \(StatusText.instances(speaker))")
        lines += guardLines(speaker)
        lines.append(evictionLine(speaker))
        let problems = problems
        let shown = problems.count > Self.problemsShown ? problems.prefix(Self.problemsShown - 1) : problems[...]
        lines += shown.map { problem in
            let who = problem.node.isEmpty ? "" : "\(problem.node) "
            let severity = problem.severity == .page ? "page    " : "ticket  "
            return severity + Terminal.escaped(who + problem.text)
        }
        if shown.count < problems.count { lines.append("        and \(problems.count - shown.count) more (--json)") }
        if problems.isEmpty { lines.append("nothing to do") }
        return lines
    }

    private var nodeLines: [String] {
        var table = TextTable(
            "NODE", "LEADS", "READY", "VERSION", "SEMANTICS", "APPLIED", "LAG", "OWED", "CHECKPOINT", "DISK FREE",
            "DAYS")
        for node in nodes.prefix(Self.nodesShown) {
            let checkpoint = AgeText.since(node.checkpointAt, asOf: now.rawValue).map { "\($0) ago" } ?? "none"
            table.add(
                node.nodeID, node.leader ? "yes" : "", node.unreadyReasons.isEmpty ? "yes" : "NO", node.version,
                "\(node.semanticsVersion)", "\(node.asOf.sequence)", ShortDuration.of(node.intakeLagNs),
                "\(node.outboxWaiting)", checkpoint, SizeText.of(node.diskFreeBytes),
                StatusText.days(node.retentionDaysLeft))
        }
        let omitted = nodes.count - min(nodes.count, Self.nodesShown)
        return table.lines + (omitted > 0 ? ["and \(omitted) more nodes (--json)"] : [])
    }

    private func guardLines(_ speaker: Lattice_V1_NodeStatus) -> [String] {
        if speaker.guardedServices == 0 {
            return [
                speaker.evictionSuspended ? "eviction suspended for now: a start, a gap or a reconnect" : "guard open"
            ]
        }
        let count = Int(speaker.guardedServices)
        let shown = speaker.guards.prefix(count > Self.guardsShown ? Self.guardsShown - 1 : Self.guardsShown)
        var lines = ["guard holds \(count) \(count == 1 ? "service" : "services"):"]
        lines += shown.map {
            "  \(Terminal.escaped($0.serviceName))  \(StatusText.guarded($0, asOf: speaker.asOf.recordedAt))"
        }
        if shown.count < count { lines.append("  and \(count - shown.count) more (--json)") }
        return lines
    }

    private func evictionLine(_ speaker: Lattice_V1_NodeStatus) -> String {
        guard let newest = speaker.recentEvictions.first else { return "evictions: none that the registry remembers" }
        let age = AgeText.since(newest.recordedAt, asOf: now.rawValue) ?? "0s"
        let who = Terminal.escaped("\(newest.instanceID) of \(newest.serviceName), \(newest.reason)")
        return "evictions since the start \(speaker.evictions); the newest \(age) ago: \(who)"
    }
}
