// Questions over the bus: every query of every family, by its name.

public import EventModel
internal import FoundationEssentials
package import Queries

extension MeshConnection {
    /// What asks over this connection.
    package var queries: QueryClient { QueryClient(bus: bus, prefix: prefix, timeout: requestTimeout) }

    /// Asks one query and reads its answer.
    func ask<Answer>(
        _ query: QueryName, _ request: [UInt8], timeout: Duration? = nil,
        decode: (ArraySlice<UInt8>) throws(DecodeError) -> Answer
    ) async throws(MeshError) -> Answer {
        try await answering { () async throws(UnansweredQuery) in
            try await queries.ask(query, request, timeout: timeout, decode: decode)
        }
    }

    /// Runs questions, and calls what keeps them from being answered by the words of this module.
    func answering<Answer>(
        _ body: () async throws(UnansweredQuery) -> Answer
    ) async throws(MeshError) -> Answer {
        do throws(UnansweredQuery) {
            return try await body()
        } catch {
            throw MeshError(error)
        }
    }

    /// Asks any query, question and answer as JSON by the schemas (`schemas/lattice/v1`).
    ///
    /// - Parameters:
    ///   - fields: one JSON object; empty: a question without fields.
    ///   - reader: who reads captured contents, the last token of the subject; other queries ignore it.
    /// - Throws: what the node refuses, by its code; `notPermitted` where NATS does not let this user ask.
    public func ask(
        _ query: QueryName, json fields: [UInt8] = [], reader: String = ""
    ) async throws(MeshError) -> [UInt8] {
        let fields = fields.isEmpty ? Array("{}".utf8) : fields
        return try await answering { () async throws(UnansweredQuery) in
            try await queries.ask(query, fields, as: .json, by: reader)
        }
    }

    /// Asks any query with a type of one's own whose members are named as the fields of the schema, and reads the answer
    /// into another.
    ///
    /// 64-bit numbers are texts in the answers' JSON, as protobuf writes them.
    /// - Parameter reader: who reads captured contents, the last token of the subject; other queries ignore it.
    /// - Throws: what the node refuses, by its code; `invalidArgument` where the fields are no JSON object, `other` where the
    ///   answer does not fit the type.
    public func ask<Answer: Decodable>(
        _ query: QueryName, _ fields: some Encodable, as type: Answer.Type = Answer.self, reader: String = ""
    ) async throws(MeshError) -> Answer {
        let question: [UInt8]
        do {
            question = Array(try JSONEncoder().encode(fields))
        } catch {
            throw MeshError(.invalidArgument, "the fields of \(query) cannot be written as JSON: \(error)")
        }
        let answer = try await ask(query, json: question, reader: reader)
        do {
            return try JSONDecoder().decode(type, from: Data(answer))
        } catch {
            throw MeshError(.other, "the answer to \(query) is not understood: \(error)")
        }
    }
}
