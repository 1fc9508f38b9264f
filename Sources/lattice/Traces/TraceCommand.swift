// Traces for people: lists, waterfalls, critical paths, flame graphs, comparisons.

import ArgumentParser
import EventModel
import Foundation
import Endpoints
import SwiftProtobuf

/// `lattice trace`
struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Look at traces: find them, draw them, say what made them slow.",
        discussion: """
              lattice trace ls --service checkout --min 100ms --errors
              lattice trace show 4bf92f3577b34da6a3ce929d0e0e4736
              lattice trace critical-path 4bf92f3577b34da6a3ce929d0e0e4736
              lattice trace flame 4bf92f3577b34da6a3ce929d0e0e4736 --output slow.svg
              lattice trace export TRACE --output slow.json     in OTLP's JSON or Jaeger's, told to the audit trail
              lattice trace compare GOOD BAD            where a bad trace spends more than a good one
              lattice trace stats                       what is resident, what was dropped, the settings
            """,
        subcommands: [
            TraceList.self, TraceShow.self, TraceCriticalPath.self, TraceFlame.self, TraceCompare.self,
            TraceStats.self,
            TraceExport.self,
        ])
}

/// A trace's id on the command line.
struct TraceIDArgument: ExpressibleByArgument, Sendable, Hashable {
    let id: TraceID

    init?(argument: String) {
        let padded = String(repeating: "0", count: max(0, 32 - argument.utf8.count)) + argument
        guard argument.utf8.count >= 16, let id = TraceID(hexadecimal: padded) else { return nil }
        self.id = id
    }

    var data: Data { Data(id.bytes) }
}

/// What the commands about traces share.
struct TraceOptions: ParsableArguments {
    @OptionGroup(title: "Connection") var client: ClientOptions

    @OptionGroup var output: JSONOptions

    var json: Bool { output.json }

    /// Connects, asks, and closes whatever comes of it.
    func asking<Answer>(_ work: (TraceQueryClient) async throws -> Answer) async throws -> Answer {
        let client = try await client.connect(as: "lattice trace")
        let questions = TraceQueryClient(bus: client.bus, prefix: client.prefix, timeout: client.timeout)
        do {
            let answer = try await work(questions)
            await client.close()
            return answer
        } catch {
            await client.close()
            guard let failure = error as? QueryFailure else { throw error }
            throw CommandFailure(
                [503, 504].contains(failure.status) ? .unreachable : .failed, Terminal.escaped(failure.message))
        }
    }

    /// Prints the answer as JSON.
    func printJSON(_ name: TraceQueryName, _ query: Lattice_V1_TraceQuery) async throws {
        let client = try await client.connect(as: "lattice trace")
        do {
            let bytes: [UInt8] = try query.serializedBytes()
            let answer = try await client.ask(.trace(name), bytes)
            await client.close()
            try output.dialect.say(answer, name.answer)
        } catch {
            await client.close()
            throw error
        }
    }
}

struct TraceList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Find traces, the latest first.",
        discussion: "Example: lattice trace ls --service checkout --tag http.response.status_code=503 --since 10m")

    @Option(help: "A service with a span in the trace.") var service = ""
    @Option(help: "The operation of that span.") var operation = ""
    @Option(name: .customLong("tag"), help: ArgumentHelp("A tag of that span; repeatable.", valueName: "key=value"))
    var tags: [String] = []
    @Option(help: ArgumentHelp("Traces that took at least so long.", valueName: "duration")) var min: DurationArgument?
    @Option(help: ArgumentHelp("Traces that took at most so long.", valueName: "duration")) var max: DurationArgument?
    @Flag(help: "Only traces with a span that failed.") var errors = false
    @Option(help: ArgumentHelp("Only traces that began within this time.", valueName: "duration"))
    var since: DurationArgument?
    @Option(help: "At most so many (1 to 10000).") var limit = 20
    @OptionGroup var options: TraceOptions

    func validate() throws {
        for tag in tags where !tag.contains("=") { throw ValidationError("--tag takes key=value, not '\(tag)'") }
        if !(1...10_000).contains(limit) { throw ValidationError("--limit takes 1 to 10000") }
    }

    func run() async throws {
        let query = query
        if options.json { return try await options.printJSON(.search, query) }
        let found = try await options.asking { try await $0.search(query, limit: limit) }
        if found.isEmpty { return Terminal.say("no traces") }
        var table = TextTable("TRACE", "STARTED", "DURATION", "SPANS", "ERRORS", "SERVICE", "OPERATION")
        for trace in found {
            table.add(
                TraceID(bytes: trace.traceID)?.description ?? "", AnswerText.time(trace.startTime),
                ShortDuration.of(trace.durationNs), "\(trace.spanCount)", "\(trace.errorCount)", trace.serviceName,
                trace.operationName)
        }
        table.show()
    }

    private var query: Lattice_V1_TraceQuery {
        var query = Lattice_V1_TraceQuery()
        query.serviceName = service
        query.operationName = operation
        query.tags = tags.map { tag in
            let parts = tag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return .with {
                $0.key = String(parts[0])
                $0.value = String(parts[1])
            }
        }
        query.minDurationNs = min?.value.rawValue ?? 0
        query.maxDurationNs = max?.value.rawValue ?? 0
        if errors { query.error = true }
        if let since { query.startTimeMin = Int64(Date().timeIntervalSince1970 * 1e9) - since.value.rawValue }
        query.limit = UInt32(Swift.min(limit, 500))
        return query
    }
}

struct TraceShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "A trace as a waterfall, its critical path marked.",
        discussion: """
            Solid parts of a bar are on the critical path: shortening anything else does not make the trace faster. \
            Failed spans are marked with `!`.

              lattice trace show 4bf92f3577b34da6a3ce929d0e0e4736 --tags
            """)

    @Argument(help: "The trace's id, 32 hexadecimal digits.") var id: TraceIDArgument
    @Flag(help: "Times as they were sent, not corrected for the skew of clocks.") var raw = false
    @Flag(help: "The tags of every span below it.") var tags = false
    @Option(help: "Columns (default: the terminal's, else 120).") var width: Int?
    @OptionGroup var options: TraceOptions

    func validate() throws {
        if let width, !(60...1_000).contains(width) { throw ValidationError("--width takes 60 to 1000") }
    }

    func run() async throws {
        var query = Lattice_V1_TraceQuery()
        query.traceID = id.data
        query.raw = raw
        if options.json { return try await options.printJSON(.trace, query) }
        let question = query
        let (trace, path) = try await options.asking { questions in
            let trace = try await questions.trace(id.id, raw: raw)
            // A trace without a root has none.
            let path: Lattice_V1_CriticalPathAnswer? = try? await questions.ask(.criticalPath, question)
            return (trace, path)
        }
        let columns = width ?? ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 120
        let waterfall = TraceWaterfall(trace, path: path, width: Swift.max(60, columns), showsTags: tags)
        for line in waterfall.lines { Terminal.say(line) }
    }
}

struct TraceCriticalPath: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "critical-path", abstract: "What a trace waited for, from its start to its end.",
        discussion: "Example: lattice trace critical-path 4bf92f3577b34da6a3ce929d0e0e4736")

    @Argument(help: "The trace's id, 32 hexadecimal digits.") var id: TraceIDArgument
    @Flag(help: "Times as they were sent.") var raw = false
    @OptionGroup var options: TraceOptions

    func run() async throws {
        var query = Lattice_V1_TraceQuery()
        query.traceID = id.data
        query.raw = raw
        if options.json { return try await options.printJSON(.criticalPath, query) }
        let question = query
        let answer: Lattice_V1_CriticalPathAnswer = try await options.asking {
            try await $0.ask(.criticalPath, question)
        }
        let start = answer.sections.map(\.startTime).min() ?? 0
        var sections = TextTable("AT", "FOR", "SERVICE", "OPERATION")
        for section in answer.sections.reversed() {
            sections.add(
                ShortDuration.of(section.startTime - start), ShortDuration.of(section.durationNs), section.serviceName,
                section.operationName)
        }
        sections.show()
        if answer.omitted > 0 { Terminal.say("\(answer.omitted) more sections and slacks were left out") }
        Terminal.say("")
        var shares = TextTable("SERVICE", "TIME", "SHARE")
        for share in answer.shares {
            let percent = "\(share.shareBasisPoints / 100).\(share.shareBasisPoints / 10 % 10) %"
            shares.add(share.serviceName, ShortDuration.of(share.durationNs), percent)
        }
        shares.show()
        Terminal.say("total \(ShortDuration.of(answer.totalDurationNs))")
    }
}

struct TraceFlame: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case svg, folded, json }

    static let configuration = CommandConfiguration(
        commandName: "flame", abstract: "A flame graph of a trace: where its time went, by stack.",
        discussion: """
              lattice trace flame 4bf92f3577b34da6a3ce929d0e0e4736 > slow.svg
              lattice trace flame 4bf92f3577b34da6a3ce929d0e0e4736 --format folded | flamegraph.pl
            """)

    @Argument(help: "The trace's id, 32 hexadecimal digits.") var id: TraceIDArgument
    @Option(help: "svg, folded stacks, or nested JSON for flame graph viewers.") var format = Format.svg
    @Option(
        name: .shortAndLong, help: ArgumentHelp("Write into a file.", valueName: "file"), completion: .file())
    var output: String?
    @OptionGroup var options: TraceOptions

    func run() async throws {
        var query = Lattice_V1_TraceQuery()
        query.traceID = id.data
        query.format = format == .json ? "json" : "folded"
        if options.json { return try await options.printJSON(.flamegraph, query) }
        let question = query
        let answer: Lattice_V1_FlamegraphAnswer = try await options.asking { try await $0.ask(.flamegraph, question) }
        let text =
            switch format {
            case .svg: FlameGraphSVG(folded: answer.folded, title: "trace \(id.id)").text
            case .folded:
                answer.folded.split(separator: "\n").map { Terminal.escaped(String($0)) }.joined(separator: "\n")
            case .json: Terminal.escaped(answer.json)
            }
        guard let output else { return Terminal.say(text) }
        do {
            try Data((text + "\n").utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
        } catch {
            throw CommandFailure(.failed, "--output \(output) can not be written")
        }
    }
}

struct TraceCompare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Two traces of one operation: structure, and duration per operation.",
        discussion: "Example: lattice trace compare GOOD BAD: the largest change of self time comes first.")

    @Argument(help: "The good trace's id.") var good: TraceIDArgument
    @Argument(help: "The bad trace's id.") var bad: TraceIDArgument
    @OptionGroup var options: TraceOptions

    func run() async throws {
        var query = Lattice_V1_TraceQuery()
        query.traceID = good.data
        query.otherTraceID = bad.data
        if options.json { return try await options.printJSON(.compare, query) }
        let question = query
        let answer: Lattice_V1_ComparisonAnswer = try await options.asking { try await $0.ask(.compare, question) }
        let change = ShortDuration.change(answer.durationAfterNs - answer.durationBeforeNs)
        Terminal.say(
            "\(ShortDuration.of(answer.durationBeforeNs)) -> \(ShortDuration.of(answer.durationAfterNs))  (\(change))\n"
        )
        var table = TextTable("SELF TIME", "GOOD", "BAD", "CALLS", "ERRORS", "SERVICE", "OPERATION")
        for operation in answer.operations {
            table.add(
                ShortDuration.change(operation.selfAfterNs - operation.selfBeforeNs),
                ShortDuration.of(operation.selfBeforeNs), ShortDuration.of(operation.selfAfterNs),
                "\(operation.countBefore) -> \(operation.countAfter)",
                "\(operation.errorsBefore) -> \(operation.errorsAfter)", operation.serviceName, operation.operationName)
        }
        table.show()
        if answer.paths.isEmpty { return Terminal.say("\nthe structure is the same") }
        Terminal.say("\nways that are not gone equally often:")
        for path in answer.paths {
            let way = path.path.map { Terminal.escaped($0) }.joined(separator: " > ")
            Terminal.say("  \(path.countBefore) -> \(path.countAfter)  \(way)")
        }
    }
}

/// Durations for people.
enum ShortDuration {
    static func of(_ nanoseconds: Int64) -> String {
        let value = Double(nanoseconds)
        switch nanoseconds.magnitude {
        case 0..<1_000: return "\(nanoseconds)ns"
        case 0..<1_000_000: return "\(rounded(value / 1e3))µs"
        case 0..<1_000_000_000: return "\(rounded(value / 1e6))ms"
        default: return "\(rounded(value / 1e9))s"
        }
    }

    /// With its sign.
    static func change(_ nanoseconds: Int64) -> String { (nanoseconds > 0 ? "+" : "") + of(nanoseconds) }

    private static func rounded(_ value: Double) -> String {
        let text = String(format: value.magnitude >= 100 ? "%.0f" : "%.2f", value)
        return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
    }
}
