// A customer of a node: asks, publishes and waits for the outcome.

import EventModel
import Messaging
import NATSMessaging
import Queries

/// One connection, one prefix.
struct NodeClient: Sendable {
    let bus: NATSMessageBus
    let prefix: String
    let timeout: Duration
    /// Where outcomes of what is published arrive.
    let outcomes: OutcomeInbox

    init(bus: NATSMessageBus, prefix: String, timeout: Duration) {
        self.bus = bus
        self.prefix = prefix
        self.timeout = timeout
        outcomes = OutcomeInbox(
            bus, prefix: bus.configuration.inboxPrefix, asksAlways: true,
            acknowledgement: StreamAcknowledgement.outcome)
    }

    /// What asks.
    var queries: QueryClient { QueryClient(bus: bus, prefix: prefix, timeout: timeout) }

    /// Asks a query and returns the answer's payload.
    ///
    /// - Parameter reader: who reads captured contents; empty: nobody is named.
    func ask(
        _ query: QueryName, _ request: [UInt8], asJSON: Bool = false, by reader: String = ""
    ) async throws(CommandFailure) -> [UInt8] {
        try await asking { queries async throws(UnansweredQuery) in
            try await queries.ask(query, request, as: asJSON ? .json : .protobuf, by: reader)
        }
    }

    /// Asks several questions of which one answer is made.
    func asking<Answer>(
        _ body: (QueryClient) async throws(UnansweredQuery) -> Answer
    ) async throws(CommandFailure) -> Answer {
        let bar = ProgressBar.whileWaiting(upTo: timeout)
        defer { bar.cancel() }
        do throws(UnansweredQuery) {
            return try await body(queries)
        } catch {
            switch error {
            case .undelivered(let error): throw failure(error)
            case .refused(let error): throw CommandFailure(.failed, Terminal.escaped(error.message))
            case .notUnderstood:
                throw CommandFailure(
                    .failed, "\(Terminal.escaped(error.message)); is the node of another version?")
            case .unsteady: throw CommandFailure(.failed, error.message)
            }
        }
    }

    /// Publishes an event, given as canonical bytes, and returns the outcome's payload.
    func publish(_ event: String, _ facts: [UInt8], id: String?, asJSON: Bool) async throws(CommandFailure) -> [UInt8] {
        var payload = facts
        var headers = [MessageHeader("Content-Type", "application/protobuf")]
        if asJSON, let type = Self.type(of: event),
            let text = try? JSONTranscoder.json(fromBinary: facts, type: type)
        {
            payload = text
            headers = [MessageHeader("Content-Type", "application/json")]
        }
        if let id { headers.append(MessageHeader("Nats-Msg-Id", id)) }
        let message = Message(subject: "\(prefix).events.\(event)", headers: headers, payload: payload)
        let answer = try await outcome(of: message).payload
        // A stream's word on a repeat is no node's, which speaks as it is spoken to.
        if payload.first == UInt8(ascii: "{"), answer.first != UInt8(ascii: "{"),
            let text = try? JSONTranscoder.json(fromBinary: answer, kind: .outcomeAnswer)
        {
            return text
        }
        return answer
    }

    /// The kind of an event by its subject, behind which may stand who does it.
    private static func type(of event: String) -> EventType? {
        let tokens = event.split(separator: ".")
        return EventType.allCases.first { type in
            type.family.rawValue == tokens[0] && tokens.dropFirst().prefix(2).last.map { $0 == type.name } == true
        }
    }

    private func outcome(of message: Message) async throws(CommandFailure) -> Message {
        let bar = ProgressBar.whileWaiting(upTo: timeout)
        defer { bar.cancel() }
        do throws(BusError) {
            return try await outcomes.outcome(of: message, timeout: timeout)
        } catch {
            guard error.code == .timeout else { throw failure(error) }
            if let reasons = await unreadyReasons() {
                throw CommandFailure(
                    .unreachable, "no outcome within \(timeout): the node takes no events: \(Terminal.escaped(reasons))"
                )
            }
            throw CommandFailure(
                .unreachable,
                "no outcome within \(timeout): no node answers on prefix `\(prefix)`; start one with `lattice serve`, "
                    + "or look with `lattice query status`")
        }
    }

    /// Why a node that answers takes nothing, a full disk say; nil where it is ready, or silent.
    private func unreadyReasons() async -> String? {
        guard let payload = try? await queries.ask(.node(.status), [], timeout: .seconds(1)),
            let status = StatusText.decode(payload), !status.unreadyReasons.isEmpty
        else { return nil }
        return status.unreadyReasons.joined(separator: ", ")
    }

    private func failure(_ error: BusError) -> CommandFailure {
        switch error.code {
        case .noResponders:
            CommandFailure(
                .unreachable, "no node answers on prefix `\(prefix)`; start one with `lattice serve`")
        case .timeout:
            CommandFailure(.unreachable, "no answer within \(timeout) on prefix `\(prefix)` (--timeout waits longer)")
        default: CommandFailure(error, url: bus.configuration.servers.joined(separator: ", "))
        }
    }

    func close() async { await bus.close() }
}
