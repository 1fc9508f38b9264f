// What changed between two points of a log.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import StateMachines

/// `lattice diff`
struct Diff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Show what changed between two points: instances, health, weights, mirrors, calls, latency, operations.",
        usage: "lattice diff <point> [<point>] [--data <dir>] [--svg <file>] [--json]",
        discussion: """
            Offline, beside a running node or on a copy. The second point is the log's end unless it is given. Calls are \
            those counted before the first point (as far as traces are kept: an hour) beside those between the points. \
            What is listed is order in the log; what caused what is for the reader to judge.

              lattice diff -15m                        the last fifteen minutes
              lattice diff 4711 9000                   between two records
              lattice diff -2h -1h --svg mesh.svg      as a graph: green is new, red is gone, orange changed
              lattice diff 2026-11-24T08:00:00Z --json | jq '.instances[] | select(.kind == "went")'

            Points are \(PointArgument.forms).
            """)

    @OptionGroup var log: LogOptions
    @Option(help: ArgumentHelp("Draw the graph of services into this file.", valueName: "file")) var svg: String?
    @Flag(help: "Print one line of JSON.") var json = false
    @Argument(parsing: .allUnrecognized, help: ArgumentHelp("Two points.", valueName: "point")) var points: [String] =
        []

    func validate() throws {
        if let stray = points.first(where: { $0.hasPrefix("--") }) {
            throw ValidationError("Unknown option '\(stray)'")
        }
        if !(1...2).contains(points.count) { throw ValidationError("one point or two are given, not \(points.count)") }
    }

    func run() async throws {
        if let svg { try refuseInside(svg) }
        let past = try PastLog(log.data)
        let first = try past.sequence(of: try PointArgument.parse(points[0]))
        let last =
            points.count == 2 ? try past.sequence(of: try PointArgument.parse(points[1])) : past.reader.lastSequence
        guard first <= last else { throw CommandFailure(.usage, "\(points[0]) lies behind \(points[1])") }
        var state = try past.state(at: first)
        let old = state
        if try past.hasCheckpoint(after: first, through: last) {
            state = try past.state(at: last)
        } else {
            try asking { () throws(QueryError) in try past.timeline.advance(&state, through: last) }
        }
        let difference = MeshDifference(from: old, to: state)
        if let svg { try draw(difference, into: svg) }
        if json { return Terminal.say(JSONOutput.encode(DifferenceFacts(difference), isSnakeCase: true)) }
        DifferenceText(difference).show()
    }

    /// Nothing is ever written into the directory of a log.
    private func refuseInside(_ path: String) throws(CommandFailure) {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().resolvingSymlinksInPath().path + "/"
        let data = URL(fileURLWithPath: log.data).resolvingSymlinksInPath().path + "/"
        if folder.hasPrefix(data) {
            throw CommandFailure(
                .usage, "--svg \(Terminal.escaped(path)) lies in the log's directory, which is only read")
        }
    }

    private func draw(_ difference: MeshDifference, into path: String) throws(CommandFailure) {
        do {
            try Data(DifferenceGraph(difference).svg.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CommandFailure(.failed, "\(Terminal.escaped(path)) can not be written: \(error.localizedDescription)")
        }
    }
}

/// A difference for people.
private struct DifferenceText {
    private let difference: MeshDifference

    init(_ difference: MeshDifference) { self.difference = difference }

    func show() {
        let (from, to) = (difference.from, difference.to)
        Terminal.say("from record \(from.sequence), \(RFC3339.text(from.recordedAt))")
        Terminal.say("to   record \(to.sequence), \(RFC3339.text(to.recordedAt))")
        if difference.isEmpty { return Terminal.say("nothing that is compared differs") }
        list("services", difference.servicesCome.map { "+ \($0)" } + difference.servicesGone.map { "- \($0)" })
        list("instances", difference.instances.map(Self.line))
        list("changes", difference.changes.map { "~ \($0.subject) (\($0.serviceName))  \(Self.change($0))" })
        list(
            "mirrors",
            difference.mirrorsCome.map { "+ \($0.mirrorID)  \($0.sourceService) to \($0.shadowEndpoint)" }
                + difference.mirrorsGone.map { "- \($0.mirrorID)  \($0.sourceService) to \($0.shadowEndpoint)" }
                + difference.mirrorChanges.map { "~ \($0.subject)  \(Self.change($0))" })
        list(
            "dependencies",
            difference.edgesCome.map { "+ \($0.parent) -> \($0.child)  \($0.callCount) calls" }
                + difference.edgesGone.map { "- \($0.parent) -> \($0.child)  no longer remembered" })
        showShifts()
        list(
            "operations",
            difference.operationsCome.map { "+ \($0.serviceName)  \($0.operationName)  \($0.callCount) calls" }
                + difference.operationsSilent.map { "- \($0.serviceName)  \($0.operationName)  no call any more" })
        list(
            "traces out of the ordinary",
            difference.anomalousTraces.prefix(Self.tracesShown).map { trace in
                "! \(trace.traceID)  \(trace.root.serviceName)  \(trace.root.operationName)  "
                    + "\(Self.text(trace.root.duration)), \(trace.errorCount) errors"
            } + Self.further(difference.anomalousTraces.count - Self.tracesShown))
    }

    private static let tracesShown = 20

    private static func further(_ count: Int) -> [String] {
        count > 0 ? ["and \(count) more: --json has all of them"] : []
    }

    private func list(_ title: String, _ lines: [String]) {
        if lines.isEmpty { return }
        Terminal.say(title)
        for line in lines { Terminal.say("  " + Terminal.escaped(line)) }
    }

    private static func change(_ change: MeshDifference.FieldChange) -> String {
        "\(change.field): \(change.before.description) -> \(change.after.description)"
    }

    private static func line(_ change: MeshDifference.InstanceChange) -> String {
        let instance = change.instance
        switch change.kind {
        case .came: return "+ \(instance.instanceID)  \(instance.serviceName)  \(instance.endpoint)"
        case .restarted: return "~ \(instance.instanceID)  \(instance.serviceName)  restarted, or registered anew"
        case .went:
            guard let removal = change.removal else {
                return "- \(instance.instanceID)  \(instance.serviceName)  (so long ago that the registry forgot why)"
            }
            let reason = removal.reason.isEmpty ? "" : ": \(removal.reason)"
            return "- \(instance.instanceID)  \(instance.serviceName)  \(removal.kind.name) at record "
                + "\(removal.position.sequence) by \(removal.actor)\(reason)"
        }
    }

    private func showShifts() {
        let shifts = difference.shifts.filter { $0.between.callCount > 0 || $0.before.callCount > 0 }
        if shifts.isEmpty { return }
        var table = TextTable("SERVICE", "CALLS", "ERRORS", "P50", "P99", "BEFORE: CALLS", "ERRORS", "P50", "P99")
        for shift in shifts { table.add([shift.subject] + Self.cells(shift.between) + Self.cells(shift.before)) }
        Terminal.say("calls")
        for line in table.lines { Terminal.say("  \(line)") }
    }

    private static func cells(_ figures: CallFigures) -> [String] {
        [
            "\(figures.callCount)", "\(figures.errorCount)", text(figures.latency.percentile(basisPoints: 5_000)),
            text(figures.latency.percentile(basisPoints: 9_900)),
        ]
    }

    static func text(_ duration: Nanoseconds?) -> String {
        guard let duration else { return "" }
        let value = duration.rawValue
        if value < 10_000 { return "\(value) ns" }
        if value < 10_000_000 { return "\(value / 1_000) us" }
        return value < 10_000_000_000 ? "\(value / 1_000_000) ms" : "\(value / 1_000_000_000) s"
    }
}

extension PastLog {
    /// Whether a checkpoint is nearer to the second point than the first point is.
    func hasCheckpoint(after first: SequenceNumber, through last: SequenceNumber) throws(CommandFailure) -> Bool {
        let checkpoints = (try? timeline.checkpoints.list()) ?? []
        return checkpoints.contains { $0 > first && $0 <= last }
    }
}
