// Any query of the past, offline.

import NodeRuntime
import ArgumentParser
import EventModel
import Foundation

/// A query that a log on disk can answer as well as a node.
protocol PastQuery: AsyncParsableCommand {
    var options: QueryOptions { get }
    var position: PositionOptions { get }
    var pastQuestion: PastQuery_ { get }
    var answerKind: MessageKind { get }
}

extension RegistryQueryCommand {
    var pastQuestion: PastQuery_ {
        var query = RegistryQuery()
        fill(&query)
        return .registry(Self.name, query)
    }

    var answerKind: MessageKind { Self.name.answer }
}

extension DigestQuery: PastQuery {
    var pastQuestion: PastQuery_ { .digest }
    var answerKind: MessageKind { .digestAnswer }
}

/// `lattice at`
struct At: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask any query of the past, offline, on a data directory or a copy of one.",
        usage: "lattice at <seq|time> query <query> … [--data <dir>] [--json]",
        discussion: """
            Needs no node and no NATS, works beside a running node, and writes nothing. The answer has the same bytes as \
            a node's at the same sequence. A point in the log is \(PointArgument.forms).

              lattice at 4711 query resolve checkout
              lattice at 2026-11-24T08:00:00Z query services --json
              lattice at -15m query removals --data ./copy
              lattice query resolve checkout --at 4711        the same, asked of a node

            Any query can be asked as it stands in its subject, with its fields as JSON, and is answered as JSON:

              lattice at -15m query mirror.stats '{"mirror_id": "checkout-next"}'
              lattice at 4711 query trace.critical_path '{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}'
            """)

    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("A point, and a query.", visibility: .hidden))
    var words: [String] = []

    func run() async throws {
        guard let first = words.first, first != "--help", first != "-h" else { throw CleanExit.helpRequest(self) }
        let point = try PointArgument.parse(first)
        guard words.dropFirst().first == "query" else {
            throw CommandFailure(.usage, "behind the point stands a query: lattice at \(first) query services")
        }
        let rest = Array(words.dropFirst(2))
        if rest.first?.contains(".") == true { return try await answer(raw: rest, at: point) }
        if let mistake = UsageHints.unknownCommand(in: rest, of: Query.self) { throw CommandFailure(.usage, mistake) }
        if rest.contains("--help") || rest.contains("-h") {
            let named = Query.configuration.subcommands.first { UsageHints.name(of: $0) == rest.first }
            return Terminal.say(Self.atPoint(Query.helpMessage(for: named ?? Query.self)))
        }
        let command: any ParsableCommand
        let sources = try SettingSources(rest, of: Query.self, environment: ProcessInfo.processInfo.environment)
        do {
            command = try Query.parseAsRoot(sources.arguments)
        } catch {
            let text = Query.fullMessage(for: error)
            if Query.exitCode(for: error).isSuccess { return Terminal.say(text) }
            let told = text.hasPrefix("Error: ") ? String(text.dropFirst("Error: ".count)) : text
            throw CommandFailure(.usage, UsageHints.explained(Self.atPoint(told)))
        }
        guard let query = command as? any PastQuery else {
            throw CommandFailure(.usage, "that query is of a running node only: ask `lattice query`")
        }
        try await answer(query, at: point)
    }

    /// What the parser says of a query, as it is written behind a point.
    private static func atPoint(_ text: String) -> String {
        text.replacing("Usage: query ", with: "Usage: lattice at <seq|time> query ")
            .replacing("USAGE: query ", with: "USAGE: lattice at <seq|time> query ")
            .replacing("See 'query ", with: "See 'lattice query ")
    }

    private func answer(raw words: [String], at point: PointArgument) async throws {
        let raw: RawPastQuery
        do {
            raw = try RawPastQuery.parse(SettingSources.spelled(words, SettingTable(of: RawPastQuery.self)))
        } catch {
            throw CommandFailure(.usage, RawPastQuery.fullMessage(for: error))
        }
        let question = try asking { () throws(QueryError) in
            try PastQuery_(subject: raw.subject, json: Array(raw.fields.utf8))
        }
        let log = try PastLog(raw.log.data)
        let sequence = try log.sequence(of: point)
        let state = try log.state(at: sequence)
        let payload = try await log.answer(question, in: state, at: sequence)
        try raw.output.dialect.say(payload, question.answerKind)
    }

    private func answer(_ query: any PastQuery, at point: PointArgument) async throws {
        if query.position.at != nil || query.position.minSequence != nil {
            throw CommandFailure(.usage, "the point stands behind `at` already: leave out --at and --min-sequence")
        }
        let log = try PastLog(query.options.client.data)
        let sequence = try log.sequence(of: point)
        let state = try log.state(at: sequence)
        let payload = try await log.answer(query.pastQuestion, in: state, at: sequence)
        if query.options.json {
            try query.options.output.dialect.say(payload, query.answerKind)
        } else {
            try AnswerText.show(payload, query.answerKind)
        }
    }
}

/// A query as it stands in its subject.
struct RawPastQuery: ParsableArguments {
    @Argument(help: "MACHINE.QUERY.") var subject: String
    @Argument(help: "Its fields as JSON.") var fields = "{}"
    @OptionGroup var log: LogOptions
    /// JSON is what this prints anyway.
    @OptionGroup var output: JSONOptions
}
