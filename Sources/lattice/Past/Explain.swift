// Why was this trace as it was: what the log says around it, and what it does not say.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// `lattice explain`
struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what the log says around a trace: who could be asked, what happened before, what is a guess.",
        discussion: "Example: lattice explain trace 4bf92f3577b34da6a3ce929d0e0e4736",
        subcommands: [ExplainTrace.self])
}

/// `lattice explain trace`
struct ExplainTrace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract:
            "Join a trace with the registry of its time: candidates, evictions, health, deployments, its critical path.",
        discussion: """
            Offline, beside a running node or on a copy; nothing is written. For each call into a service it shows who \
            was chosen, by what, and among whom (from recorded selections), and the instances as the registry had them \
            then. Registrations, restarts, changes, removals, health and guard of the services that the trace touched are \
            listed from --before its start to --behind its end, with settings and gaps of the intake.

            Unless --healthy names it, the trace to hold it against is: of the traces with the same root operation that \
            began before it (else behind it), complete, without an error and not judged out of the ordinary, at most the \
            latest 1000, the one in the middle by duration.

            What is listed is order in the log. What might have caused what stands apart, as a guess.

              lattice explain trace 4bf92f3577b34da6a3ce929d0e0e4736
              lattice explain trace 4bf92f3577b34da6a3ce929d0e0e4736 --before 1h --every-service
              lattice explain trace 4bf92f3577b34da6a3ce929d0e0e4736 --at 4711 --data ./copy --json

            Points are \(PointArgument.forms).
            """)

    @Argument(help: "The trace's id, 32 hexadecimal digits.") var id: TraceIDArgument
    @Option(
        parsing: .unconditional, help: ArgumentHelp("As of this point (default: the log's end).", valueName: "point"))
    var at: String?
    @Option(help: ArgumentHelp("Look so far before the trace's start.", valueName: "duration"))
    var before = DurationArgument(argument: "15m")!
    @Option(help: ArgumentHelp("Look so far behind its end.", valueName: "duration"))
    var behind = DurationArgument(argument: "60s")!
    @Option(help: ArgumentHelp("Hold it against this trace.", valueName: "trace")) var healthy: TraceIDArgument?
    @Flag(help: "List facts of services, too, that the trace did not touch.") var everyService = false
    @OptionGroup var log: LogOptions
    @Flag(help: "Print one line of JSON.") var json = false

    func run() async throws {
        let past = try PastLog(log.data)
        let point = try at.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let last = point ?? past.reader.lastSequence
        guard last > .origin else { throw CommandFailure(.failed, "the log has no record yet") }
        var reach = TraceExplainer.Reach()
        reach.before = before.value
        reach.behind = behind.value
        let bar = ProgressBar("explain")
        let (id, healthy, everyService, chosenReach) = (id.id, healthy?.id, everyService, reach)
        let explanation = try asking { () throws(QueryError) in
            try TraceExplainer(past.timeline).explanation(
                of: id, at: last, chosenReach, healthy: healthy, everyService: everyService,
                progress: { bar.report($0.rawValue, of: last.rawValue) })
        }
        bar.finish()
        if json { return Terminal.say(JSONOutput.encode(ExplanationFacts(explanation), isSnakeCase: true)) }
        ExplanationText(explanation).show()
    }
}
