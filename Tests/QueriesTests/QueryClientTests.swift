// The client of the query protocol: subjects, encodings, and each way in which a question stays without an answer.

import EventModel
import Messaging
import Queries
import Synchronization
import Testing

@Suite struct `The client of queries` {
    /// Answers everything that is asked by a closure.
    private static func answering(
        _ answer: @escaping @Sendable (Message) -> Message?
    ) throws -> (client: QueryClient, reader: SubscriptionReader) {
        let bus = InMemoryMessageBus()
        let subscription = try bus.subscribe("lattice.queries.>", queueGroup: nil, limits: .standard)
        let reader = SubscriptionReader(subscription) { messages in
            for message in messages {
                guard var reply = answer(message) else { continue }
                reply.subject = message.replyTo
                try? bus.publish(reply)
            }
        }
        return (QueryClient(bus: bus, prefix: "lattice", timeout: .seconds(10)), reader)
    }

    private static func failure(_ body: () async throws(UnansweredQuery) -> [UInt8]) async -> UnansweredQuery? {
        do throws(UnansweredQuery) {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test func `asks every query of every family on its subject, in both encodings`() async throws {
        let (client, reader) = try Self.answering { message in
            Message(
                subject: "", payload: Array("\(message.subject) \(message.header("Content-Type") ?? "")".utf8))
        }
        for query in QueryName.allCases {
            for encoding in [QueryEncoding.protobuf, .json] {
                let answer = try await client.ask(query, [], as: encoding)
                #expect(
                    String(decoding: answer, as: UTF8.self)
                        == "lattice.queries.\(query.family).\(query.query) \(encoding.contentType)")
            }
            let read = String(decoding: try await client.ask(query, [], by: "a.b"), as: UTF8.self)
            #expect(read.contains(".a%2Eb ") == query.handsOutContents, "\(query)")
            #expect(query.request != nil, "\(query) has no message that asks it")
            #expect(QueryName(query.description) == query)
        }
        reader.end()
    }

    @Test func `a refusal keeps code, message and position, whatever it is written in`() async throws {
        let refusal = QueryError(.gone, "that is before the first retained record 7", sequence: SequenceNumber(7))
        let json = try JSONTranscoder.json(fromBinary: refusal.encode(), kind: .errorAnswer)
        let headers = [
            MessageHeader("Nats-Service-Error", refusal.message), MessageHeader("Nats-Service-Error-Code", "410"),
        ]
        for payload in [refusal.encode(), json] {
            let (client, reader) = try Self.answering { _ in Message(subject: "", headers: headers, payload: payload) }
            let failure = await Self.failure { () throws(UnansweredQuery) in
                try await client.ask(.registry(.services), [])
            }
            #expect(failure == .refused(refusal) && failure?.httpStatus == 410 && failure?.code == "gone")
            reader.end()
        }
        // Something between that knows the headers only.
        for (code, known) in [("410", QueryError.Code.gone), ("404", .notFound), ("999", .internal)] {
            let answer = Message(
                subject: "", headers: [headers[0], MessageHeader("Nats-Service-Error-Code", code)], payload: [])
            #expect(QueryClient.refusal(in: answer) == QueryError(known, refusal.message))
        }
        let half = Message(subject: "", headers: [headers[1]], payload: Array("{".utf8))
        #expect(QueryClient.refusal(in: half)?.code == .gone)
        #expect(QueryClient.refusal(in: Message(subject: "", payload: [1])) == nil)
    }

    @Test func `silence, an empty mesh and nonsense are told apart`() async throws {
        let alone = QueryClient(bus: InMemoryMessageBus(), prefix: "lattice", timeout: .seconds(10))
        let empty = await Self.failure { () throws(UnansweredQuery) in try await alone.ask(.node(.status), []) }
        #expect(empty?.httpStatus == 503 && empty?.code == "unavailable")
        let (silent, reader) = try Self.answering { _ in nil }
        let late = await Self.failure { () throws(UnansweredQuery) in
            try await silent.ask(.node(.status), [], timeout: .milliseconds(50))
        }
        #expect(late?.httpStatus == 504 && late?.code == "timeout")
        reader.end()
        let (strange, other) = try Self.answering { _ in Message(subject: "", payload: [0xFF]) }
        do throws(UnansweredQuery) {
            _ = try await strange.ask(.registry(.services), [], decode: TopologyAnswer.decode)
            Issue.record("nonsense was understood")
        } catch {
            #expect(error.httpStatus == 502 && error.code == "not_understood")
        }
        other.end()
    }
}
