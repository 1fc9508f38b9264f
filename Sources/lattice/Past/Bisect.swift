// When did it begin: the first record after which an expression is true.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// `lattice bisect`
struct Bisect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find the first record at which an expression over the state becomes true.",
        discussion: """
            Offline, beside a running node or on a copy. By default it bisects: a few states from checkpoints, then ever \
            smaller stretches of the log. That is right where the expression, once true, stays true until --to; else it \
            finds one of the records at which it becomes true. --scan looks at every record and finds the first.

              lattice bisect --where "service('checkout').healthy < 2"
              lattice bisect --where "any(removals, kind == 'evicted')" --from -2h
              lattice bisect --where "count(traces, errors > 0 and service == 'web') >= 10" --json
              lattice bisect --where "instance('checkout-1').health == 'stale'" --scan
              lattice bisect --fields                   what expressions can name

            Points are \(PointArgument.forms).
            """)

    @Option(name: .customLong("where"), help: ArgumentHelp("What becomes true.", valueName: "expression"))
    var condition: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("Begin behind this point.", valueName: "point"))
    var from: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("End at this point.", valueName: "point"))
    var to: String?
    @Flag(help: "Look at every record.") var scan = false
    @Option(help: "So many records before and behind are shown.") var around = 5
    @Flag(help: "List the fields of expressions, and end.") var fields = false
    @OptionGroup var log: LogOptions
    @Flag(help: "Print one line of JSON.") var json = false

    func validate() throws {
        if condition == nil && !fields { throw ValidationError("--where says what is looked for") }
        if !(0...1_000).contains(around) { throw ValidationError("--around takes 0 to 1000") }
    }

    func run() async throws {
        if fields { return ExpressionHelp.show() }
        let expression = try ExpressionHelp.read(condition ?? "")
        let past = try PastLog(log.data)
        let first = try from.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let last = try to.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let (begin, end) = (first ?? past.beginning, last ?? past.reader.lastSequence)
        guard past.reader.lastSequence > .origin else { throw CommandFailure(.failed, "the log has no record yet") }
        guard begin < end else { throw CommandFailure(.usage, "--from \(begin) does not lie before --to \(end)") }
        let bar = ProgressBar("bisect")
        var bisection = Bisection(past.timeline, expression)
        let isScan = scan
        let result = try asking { () throws(QueryError) in
            let progress = { (sequence: SequenceNumber) in bar.report(sequence.rawValue, of: end.rawValue) }
            return isScan
                ? try bisection.scan(from: begin, to: end, progress: progress)
                : try bisection.bisect(from: begin, to: end, progress: progress)
        }
        bar.finish()
        switch result {
        case .found(let finding): try BisectReport(past, expression, finding, around, bar.seconds).show(asJSON: json)
        case .trueAtStart:
            throw CommandFailure(.failed, "it is true already at \(begin): begin earlier, or turn the expression round")
        case .falseAtEnd:
            let hint = try absentees(expression, past, end)
            throw CommandFailure(
                .failed, "it is not true at \(end)\(hint); if it was in between, --scan finds it, or an earlier --to")
        case .never:
            let hint = try absentees(expression, past, end)
            throw CommandFailure(.failed, "it becomes true nowhere from \(begin) to \(end)\(hint)")
        }
    }

    /// What the expression names and the mesh does not have at the end: mostly a mistyped name.
    private func absentees(
        _ expression: MeshExpression, _ past: PastLog, _ end: SequenceNumber
    ) throws(CommandFailure) -> String {
        let names = expression.absentRows(
            in: try asking { () throws(QueryError) in try past.timeline.state(at: end) })
        if names.isEmpty { return "" }
        return ", where there is no \(names.map { Terminal.escaped($0) }.joined(separator: ", no "))"
    }
}

/// What commands share that take an expression.
enum ExpressionHelp {
    static func read(_ text: String) throws(CommandFailure) -> MeshExpression {
        do throws(ExpressionError) {
            return try MeshExpression(text)
        } catch {
            throw CommandFailure(.usage, Terminal.escapedLines(error.description))
        }
    }

    /// Every table with its fields.
    static func show() {
        Terminal.say("the mesh itself")
        show(MeshFields.mesh)
        for table in MeshTable.allCases {
            let keys = table.keyNames.map { $0.uppercased() }.joined(separator: ", ")
            Terminal.say("\n\(table.rawValue)" + (table.singular.map { "; one of them: \($0)(\(keys))" } ?? ""))
            show(MeshFields.of(table))
        }
        Terminal.say(
            "\nfunctions: count any all sum min max percentile; operators: or and not == != < <= > >= like + - * / %")
    }

    private static func show(_ fields: [MeshField]) {
        for field in fields {
            let name = field.name + String(repeating: " ", count: max(0, 18 - field.name.count))
            let type = field.type.rawValue + String(repeating: " ", count: max(0, 9 - field.type.rawValue.count))
            Terminal.say("  \(name)\(type)\(field.summary)")
        }
    }
}

/// What a bisection found, for people and as JSON.
struct BisectReport {
    private let expression: MeshExpression
    private let finding: Bisection.Finding
    private let observations: [MeshExpression.Observation]
    private let frame: Frame?
    private let around: [Frame]
    private let seconds: Double

    init(
        _ past: PastLog, _ expression: MeshExpression, _ finding: Bisection.Finding, _ count: Int, _ seconds: Double
    ) throws(CommandFailure) {
        self.expression = expression
        self.finding = finding
        self.seconds = seconds
        observations = expression.observations(finding.before, finding.after)
        around = try asking { () throws(QueryError) in
            try past.timeline.frames(around: finding.sequence, count: count)
        }
        frame = around.first { $0.sequence == finding.sequence }
    }

    func show(asJSON: Bool) { asJSON ? showJSON() : showText() }

    private func showText() {
        let moment = finding.after.moment
        Terminal.say("becomes true at record \(finding.sequence), \(RFC3339.text(moment.recordedAt))")
        for observation in observations {
            let change = observation.before == observation.after ? "stays" : "\(observation.before.description) ->"
            Terminal.say(
                "  " + Terminal.escaped("\(observation.text): \(change) \(observation.after.description)"))
            show("new", observation.appeared)
            show("gone", observation.disappeared)
        }
        Terminal.say("records around it:")
        for frame in around {
            Terminal.say((frame.sequence == finding.sequence ? "> " : "  ") + RecordLine.text(frame))
        }
        Terminal.say(
            "\(finding.evaluationCount) states looked at, \(finding.foldedCount) records folded, \(Int(seconds * 1_000)) ms"
        )
    }

    private func show(_ title: String, _ labels: [String]) {
        if labels.isEmpty { return }
        let rest = labels.count > 10 ? " and \(labels.count - 10) more" : ""
        Terminal.say("    \(title): \(Terminal.escaped(labels.prefix(10).joined(separator: ", ")))\(rest)")
    }

    private func showJSON() {
        let parts = observations.map { observation in
            #"{"text":\#(JSONOutput.encode(observation.text)),"before":\#(observation.before.json),"#
                + #""after":\#(observation.after.json),"appeared":\#(JSONOutput.encode(observation.appeared)),"#
                + #""disappeared":\#(JSONOutput.encode(observation.disappeared))}"#
        }
        let records = around.map { RecordLine.json($0) }
        let moment = finding.after.moment
        Terminal.say(
            #"{"sequence":"\#(finding.sequence)","recorded_at":"\#(RFC3339.text(moment.recordedAt))","#
                + #""expression":\#(JSONOutput.encode(expression.source)),"#
                + #""record":\#(frame.map { RecordLine.json($0) } ?? "null"),"#
                + #""observations":[\#(parts.joined(separator: ","))],"around":[\#(records.joined(separator: ","))],"#
                + #""evaluations":\#(finding.evaluationCount),"folded":\#(finding.foldedCount)}"#)
    }
}

extension ExpressionValue {
    /// As JSON; integers as numbers.
    var json: String {
        switch self {
        case .integer(let value): "\(value)"
        case .text(let text): JSONOutput.encode(text)
        case .boolean(let value): "\(value)"
        case .nothing: "null"
        }
    }
}
