// The client of the query protocol: one question over the bus, one answer, one kind of failure.

package import EventModel
package import Messaging

/// How a question and its answer are written.
package enum QueryEncoding: Sendable, Hashable {
    case protobuf
    case json

    /// The value of `Content-Type`.
    package var contentType: String {
        switch self {
        case .protobuf: "application/protobuf"
        case .json: "application/json"
        }
    }
}

/// Asks the nodes of one prefix. SDK, gateway, command line, HTTP and benchmarks ask with it and with nothing else.
package struct QueryClient: Sendable {
    /// What carries questions and answers.
    package let bus: any MessageBus
    /// The first token of every subject of the mesh.
    package let prefix: String
    /// How long one question may take.
    package let timeout: Duration

    package init(bus: any MessageBus, prefix: String, timeout: Duration) {
        self.bus = bus
        self.prefix = prefix
        self.timeout = timeout
    }

    /// Asks a query and returns the payload of its answer.
    ///
    /// - Parameters:
    ///   - request: the question in the given encoding.
    ///   - reader: who reads captured contents; ignored by queries that hand out none.
    ///   - timeout: nil: the client's own.
    package func ask(
        _ query: QueryName, _ request: [UInt8], as encoding: QueryEncoding = .protobuf, by reader: String = "",
        timeout: Duration? = nil
    ) async throws(UnansweredQuery) -> [UInt8] {
        let answer: Message
        do throws(BusError) {
            answer = try await bus.request(
                question(query, request, as: encoding, by: reader), timeout: timeout ?? self.timeout)
        } catch {
            throw UnansweredQuery.undelivered(error)
        }
        if let refusal = Self.refusal(in: answer) { throw UnansweredQuery.refused(refusal) }
        return answer.payload
    }

    /// Asks a query in protobuf and reads its answer.
    package func ask<Answer>(
        _ query: QueryName, _ request: [UInt8], by reader: String = "", timeout: Duration? = nil,
        decode: (ArraySlice<UInt8>) throws(DecodeError) -> Answer
    ) async throws(UnansweredQuery) -> Answer {
        let payload = try await ask(query, request, by: reader, timeout: timeout)
        do throws(DecodeError) {
            return try decode(payload[...])
        } catch {
            throw UnansweredQuery.notUnderstood(query, reason: error.description)
        }
    }

    /// A question as the message that is sent.
    package func question(
        _ query: QueryName, _ request: [UInt8], as encoding: QueryEncoding = .protobuf, by reader: String = ""
    ) -> Message {
        var subject = "\(prefix).queries.\(query)"
        if query.handsOutContents && !reader.isEmpty { subject += ".\(SubjectToken.escape(reader))" }
        return Message(
            subject: subject, headers: [MessageHeader("Content-Type", encoding.contentType)], payload: request)
    }

    /// Why an answer is none; nil: it is one.
    package static func refusal(in answer: Message) -> QueryError? {
        let text = answer.header("Nats-Service-Error")
        let number = answer.header("Nats-Service-Error-Code")
        if text == nil && number == nil { return nil }
        let isJSON = answer.payload.first == UInt8(ascii: "{")
        let payload =
            isJSON
            ? try? JSONTranscoder.binary(fromJSON: answer.payload, kind: .errorAnswer) : Optional(answer.payload)
        if let payload, !payload.isEmpty, let error = try? QueryError.decode(payload[...]) { return error }
        // Somebody else's service, or a proxy between: only the headers tell.
        let code = QueryError.Code.allCases.first { number == String($0.number) }
        return QueryError(code ?? .internal, text ?? "")
    }
}
