// Somebody on the bus: publishes events, asks questions, listens.

import EventModel
import Foundation
import Messaging
import NATSMessaging
import Synchronization
import Testing

/// How a message is written.
enum Encoding: String, CaseIterable, Sendable {
    case protobuf, json
}

/// A connection with the words of the interface.
struct Client: Sendable {
    let bus: NATSMessageBus
    let prefix: String
    private static let patience = Duration.seconds(10)

    // MARK: Events

    /// Publishes JSON text as an event of a service and returns the outcome that the node tells.
    func tell(
        _ kind: EventType, _ owner: String, _ json: String, as encoding: Encoding = .json, id: String? = nil,
        byHeader: Bool = false
    ) async throws -> JSON {
        var message = try event(kind, owner, json, as: encoding)
        if let id { message.headers.append(MessageHeader("Nats-Msg-Id", id)) }
        return byHeader ? try await askByHeader(message) : try await ask(message)
    }

    func event(_ kind: EventType, _ owner: String, _ json: String, as encoding: Encoding = .json) throws -> Message {
        let body = Array(json.utf8)
        let payload = encoding == .json ? body : try JSONTranscoder.binary(fromJSON: body, type: kind)
        return Message(subject: subject(kind, owner), payload: payload)
    }

    func subject(_ kind: EventType, _ owner: String) -> String {
        let token = kind.family == .clock ? "" : "\(SubjectToken.escape(owner))."
        return "\(prefix).events.\(kind.family.rawValue).\(token)\(kind.name)"
    }

    func ask(_ message: Message, kind: MessageKind = .outcomeAnswer) async throws -> JSON {
        try JSON(try await bus.request(message, timeout: Self.patience), kind)
    }

    /// The reply goes to an inbox that a header names, as over a stream.
    func askByHeader(_ message: Message) async throws -> JSON {
        let inbox = "_INBOX.\(UUID().uuidString)"
        let ear = try await listen(inbox)
        var message = message
        message.headers.append(MessageHeader("Lattice-Reply", inbox))
        try bus.publish(message)
        return try JSON(try await ear.next(), .outcomeAnswer)
    }

    /// Registers instances `a`, `b`, … of a service; answers the outcome.
    @discardableResult
    func register(_ service: String, _ ids: [String], incarnation: Int = 1) async throws -> JSON {
        try await tell(.registered, service, Self.registration(service, ids, incarnation: incarnation))
    }

    static func registration(_ service: String, _ ids: [String], incarnation: Int = 1) -> String {
        let events = ids.enumerated().map { index, id in
            #"{"instance_id":"\#(id)","endpoint":"10.0.\#(index / 200).\#(index % 200 + 1):80","region":"eu","#
                + #""zone":"eu-1","incarnation":"\#(incarnation)"}"#
        }
        return #"{"service_name":"\#(service)","events":[\#(events.joined(separator: ","))]}"#
    }

    static func heartbeats(_ service: String, _ ids: [String]) -> String {
        let events = ids.map { #"{"instance_id":"\#($0)","incarnation":"1"}"# }
        return #"{"service_name":"\#(service)","events":[\#(events.joined(separator: ","))]}"#
    }

    // MARK: Questions

    /// Asks in JSON text and returns the answer.
    func query(_ name: String, _ json: String = "{}", as encoding: Encoding = .json) async throws -> JSON {
        let (message, answer) = try question(name, json, as: encoding)
        return try JSON(try await bus.request(message, timeout: Self.patience), answer)
    }

    /// Asks and returns what came, headers and all.
    func raw(_ name: String, _ json: String = "{}", as encoding: Encoding = .json) async throws -> Message {
        try await bus.request(try question(name, json, as: encoding).0, timeout: Self.patience)
    }

    private func question(_ name: String, _ json: String, as encoding: Encoding) throws -> (Message, MessageKind) {
        let parts = name.split(separator: ".").map(String.init)
        let (kind, answer): (MessageKind, MessageKind?) =
            switch parts[0] {
            case "node": (.nodeQuery, NodeQueryName(rawValue: parts[1])?.answer)
            case "trace": (.traceQuery, TraceQueryName(rawValue: parts[1])?.answer)
            case "mirror": (.mirrorQuery, MirrorQueryName(rawValue: parts[1])?.answer)
            case "audit": (.auditQuery, AuditQueryName(rawValue: parts[1])?.answer)
            default: (.registryQuery, RegistryQueryName(rawValue: parts[1])?.answer)
            }
        var message = Message(subject: "\(prefix).queries.\(name)", payload: Array(json.utf8))
        if encoding == .protobuf {
            message.payload = try JSONTranscoder.binary(fromJSON: message.payload, kind: kind)
            message.headers = [MessageHeader("Content-Type", "application/protobuf")]
        }
        return (message, answer ?? .errorAnswer)
    }

    /// The ids that `resolve` answers.
    func ids(_ service: String, _ more: String = "") async throws -> [String] {
        let answer = try await query("registry.resolve", #"{"service_name":"\#(service)"\#(more)}"#)
        return answer["instances"].items.map { $0["instance_id"].text }
    }

    func status() async throws -> JSON { try await query("node.status") }

    // MARK: Listening

    func listen(_ subject: String) async throws -> Ear {
        let ear = Ear(try bus.subscribe(subject, queueGroup: nil, limits: .standard))
        try await bus.flush(timeout: .seconds(5))
        return ear
    }
}

/// Hears what is said on a subject.
final class Ear: Sendable {
    private let subscription: any MessageSubscription

    init(_ subscription: any MessageSubscription) { self.subscription = subscription }

    deinit { subscription.drain() }

    /// Messages that have come and were not taken.
    var pendingCount: Int { subscription.pendingCount }

    /// The next message, awaited on a thread that may block.
    func next() async throws -> Message {
        let subscription = subscription
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        guard let message = try subscription.receive(maximum: 1, timeout: .seconds(10)).first else {
                            throw StageError("nothing was said")
                        }
                        return message
                    })
            }
        }
    }

    /// What has been said by now; nothing is awaited.
    func heard() throws -> [Message] {
        var messages: [Message] = []
        while subscription.pendingCount > 0 { messages += try subscription.receive(maximum: 64, timeout: .zero) }
        return messages
    }
}

/// An answer, read as a person reads it.
struct JSON: Sendable, CustomStringConvertible {
    private indirect enum Content: Sendable {
        case missing
        case text(String)
        case number(String)
        case list([Content])
        case object([String: Content])

        init(_ value: Any) {
            switch value {
            case let text as String: self = .text(text)
            case let list as [Any]: self = .list(list.map { Content($0) })
            case let object as [String: Any]: self = .object(object.mapValues { Content($0) })
            case let number as NSNumber: self = .number("\(number)")
            default: self = .missing
            }
        }
    }

    private let content: Content
    let description: String

    private init(_ content: Content) {
        self.content = content
        description = "\(content)"
    }

    /// Reads a message: JSON as its header says, else protobuf.
    init(_ message: Message, _ kind: MessageKind) throws {
        let isError = message.header("Nats-Service-Error") != nil
        let isJSON = message.header("Content-Type") == "application/json"
        let text =
            isJSON
            ? message.payload
            : try JSONTranscoder.json(fromBinary: message.payload, kind: isError ? .errorAnswer : kind)
        try self.init(text: text)
    }

    init(text: [UInt8]) throws {
        let value = try JSONSerialization.jsonObject(with: Data(text), options: [.fragmentsAllowed])
        content = Content(value)
        description = String(decoding: text, as: UTF8.self)
    }

    subscript(name: String) -> JSON {
        guard case .object(let fields) = content else { return JSON(.missing) }
        return JSON(fields[name] ?? .missing)
    }

    subscript(index: Int) -> JSON {
        guard case .list(let items) = content, items.indices.contains(index) else { return JSON(.missing) }
        return JSON(items[index])
    }

    var items: [JSON] {
        guard case .list(let items) = content else { return [] }
        return items.map { JSON($0) }
    }

    /// The text, or the digits; empty where there is nothing, as protobuf has it.
    var text: String {
        switch content {
        case .text(let text), .number(let text): text
        default: ""
        }
    }

    var number: Int { Int(text) ?? 0 }
    var isTrue: Bool { text == "1" || text == "true" }
}
