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
        case 10058: return BusError(.streamIncompatible, text)
        // No leader, no quorum, not enough servers yet, no room: what an operator or time may mend.
        case 10005, 10007, 10008, 10009, 10023, 10028, 10047, 10118: return BusError(.streamUnavailable, text)
        default: return BusError(code == 503 ? .streamUnavailable : .other, text)
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

/// The configuration of a stream on the wire; times are nanoseconds. What is nil stays as the server has it.
struct StreamSettings: Codable {
    var name: String
    var subjects: [String]?
    var retention = "limits"
    var storage = "file"
    var discard = "old"
    var max_age: Int64 = 0
    var max_bytes: Int64 = -1
    var duplicate_window: Int64?
    var num_replicas = 1
    var deny_delete: Bool?
    var deny_purge: Bool?
    var max_msgs: Int64?
    var max_msgs_per_subject: Int64?
    var allow_rollup_hdrs: Bool?
    var allow_msg_ttl: Bool?
    var allow_msg_counter: Bool?
    var allow_msg_schedules: Bool?
    var no_ack: Bool?
    var sealed: Bool?
    var mirror: Presence?
    var sources: [Presence]?
    var subject_transform: Presence?
    var republish: Presence?

    /// Something of which it counts only that it is there.
    struct Presence: Codable {
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws {}
    }
}

/// A stream's whole configuration, with what is not known here, so that one setting can be changed and the rest stays.
struct WholeStreamInformation: Decodable { let config: [String: JSONAny] }

/// Any JSON.
enum JSONAny: Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([JSONAny])
    case object([String: JSONAny])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([JSONAny].self) {
            self = .list(list)
        } else {
            self = .object(try value.decode([String: JSONAny].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .object(let object): try value.encode(object)
        }
    }
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
