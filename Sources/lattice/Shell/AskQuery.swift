// Any query of any family, its fields and its answer as JSON.

import ArgumentParser
import EventModel

/// `lattice query ask`
struct AskQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ask", abstract: "Any query of any family, as JSON.",
        discussion: """
            The fields are those of the schema (schemas/lattice/v1); the answer is one line of JSON (--json=wire: as it is on NATS).

              lattice query ask registry.resolve '{"service_name":"checkout","limit":100}'
              lattice query ask mirror.stats
              lattice query ask audit.trail '{"actor":"alice"}' | jq '.entries[].action'

            A list that is longer than its page names the next one: `next_page_token` goes into the next question as \
            `page_token`. Queries that hand out captured contents record who reads them (--as, --reason).

            There are \(QueryName.allCases.map(\.description).joined(separator: ", ")).
            """)

    @Argument(
        help: ArgumentHelp("Family and query, such as registry.resolve.", valueName: "query"),
        completion: .list(QueryName.allCases.map(\.description)))
    var name: String
    @Argument(help: ArgumentHelp("The question's fields, a JSON object.", valueName: "json")) var fields = "{}"
    @OptionGroup var reader: ReaderOptions
    @OptionGroup var output: JSONOptions
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        guard QueryName(name) == nil else { return }
        throw ValidationError(
            "'\(Terminal.escaped(name))' is no query; there are "
                + QueryName.allCases.map(\.description).joined(separator: ", "))
    }

    func run() async throws {
        guard let query = QueryName(name) else { return }
        let question = try question(of: query)
        let client = try await client.connect(as: "lattice query")
        do throws(CommandFailure) {
            let answer = try await client.ask(query, question, asJSON: true, by: reader.name)
            try output.dialect.say(Self.binary(answer, query.answer), query.answer)
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }

    private static func binary(_ json: [UInt8], _ kind: MessageKind) throws(CommandFailure) -> [UInt8] {
        do throws(DecodeError) {
            return try JSONTranscoder.binary(fromJSON: json, kind: kind)
        } catch {
            throw CommandFailure(.failed, "the answer is not understood: \(error); is the node of another version?")
        }
    }

    /// The fields as they were given; where contents are read, with what is recorded of the reader.
    private func question(of query: QueryName) throws -> [UInt8] {
        let fields = Array(fields.utf8)
        guard query.handsOutContents, let kind = query.request, kind == .mirrorQuery else { return fields }
        do throws(DecodeError) {
            var question = try MirrorQuery.decode(JSONTranscoder.binary(fromJSON: fields, kind: kind)[...])
            if question.actor.isEmpty { question.actor = reader.claimed }
            if !reader.reason.isEmpty { question.reason = reader.reason }
            return try JSONTranscoder.json(fromBinary: question.encode(), kind: kind)
        } catch {
            throw CommandFailure(.failed, Terminal.escaped(error.description))
        }
    }
}
