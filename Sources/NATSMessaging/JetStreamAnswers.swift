// The JSON of the JetStream API (`$JS.API.>`), as far as it is used here (ADR-1 and the server's `io.nats.jetstream.api`).

internal import EventModel
internal import FoundationEssentials
internal import Messaging

/// An answer: what was asked for, or an error.
struct JetStreamAnswer<Content: Decodable>: Decodable {
    let error: JetStreamFailure?
    let content: Content?

    init(from decoder: any Decoder) throws {
        error = try Probe(from: decoder).error
        content = error == nil ? try Content(from: decoder) : nil
    }

    private struct Probe: Decodable { let error: JetStreamFailure? }

    /// Decodes an answer and throws the error in it.
    static func content(of message: Message, _ operation: String) throws(BusError) -> Content {
        let answer: Self
        do { answer = try JSONDecoder().decode(Self.self, from: Data(message.payload)) } catch {
            throw BusError(.other, "\(operation): the answer can not be read: \(error)")
        }
        if let failure = answer.error { throw failure.busError(operation) }
        guard let content = answer.content else { throw BusError(.other, "\(operation): an empty answer") }
        return content
    }
}

/// The error member of an answer.
struct JetStreamFailure: Decodable {
    let code: Int
    let err_code: Int?
    let description: String?

    func busError(_ operation: String) -> BusError {
        let text = "\(operation): \(description ?? "error \(code)")"
        switch err_code {
        case 10059: return BusError(.streamNotFound, text)
        case 10037: return BusError(.messageNotFound, text)
        case 10039, 10076: return BusError(.noResponders, text)
        default: return BusError(code == 503 ? .notConnected : .other, text)
        }
    }
}

/// The answer of `STREAM.INFO` and `STREAM.CREATE`.
struct StreamInformation: Decodable {
    struct State: Decodable {
        let messages: UInt64
        let first_seq: UInt64
        let last_seq: UInt64
    }

    let config: StreamSettings
    let created: String
    let state: State

    func status() throws(BusError) -> StreamStatus {
        guard let createdAt = Timestamp(rfc3339: created) else {
            throw BusError(.other, "stream \(config.name): \(created) is no time")
        }
        return StreamStatus(
            identity: StreamIdentity(name: config.name, createdAt: createdAt),
            firstSequence: SequenceNumber(state.first_seq), lastSequence: SequenceNumber(state.last_seq),
            messageCount: state.messages)
    }
}

/// The configuration of a stream on the wire; times are nanoseconds.
struct StreamSettings: Codable {
    var name: String
    var subjects: [String]?
    var retention: String
    var storage: String
    var discard: String
    var max_age: Int64
    var max_bytes: Int64
    var duplicate_window: Int64?
    var num_replicas: Int
}

/// The answer of `STREAM.MSG.GET`.
struct StoredMessage: Decodable {
    struct Body: Decodable {
        let subject: String
        let data: Data?
        let time: String
    }

    let message: Body
}

/// The answer of `CONSUMER.CREATE`.
struct ConsumerInformation: Decodable { let name: String }

/// The answer of a publication that a stream took.
struct PublicationAnswer: Decodable {
    let stream: String
    let seq: UInt64
    let duplicate: Bool?
}

/// The answer of `STREAM.DELETE` and `STREAM.PURGE`.
struct SuccessAnswer: Decodable { let success: Bool }

/// What `CONSUMER.CREATE` is asked.
struct ConsumerRequest: Encodable {
    struct Settings: Encodable {
        var deliver_policy = "by_start_sequence"
        var opt_start_seq: UInt64
        var ack_policy = "none"
        var replay_policy = "instant"
        var inactive_threshold: Int64
        var num_replicas = 1
        var mem_storage = true
    }

    var stream_name: String
    var config: Settings
}

/// The bytes of a request.
func encoded(_ request: some Encodable) throws(BusError) -> [UInt8] {
    do { return try [UInt8](JSONEncoder().encode(request)) } catch {
        throw BusError(.invalidArgument, "encode a request: \(error)")
    }
}
