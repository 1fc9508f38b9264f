// Questions as they come from the bus, taken apart.

import EventModel
import Messaging

/// A question taken apart.
enum Question {
    case registry(RegistryQueryName, RegistryQuery)
    case trace(TraceQueryName, TraceQuery)
    case node(NodeQueryName, NodeQuery)
    case mirror(MirrorQueryName, MirrorQuery, AuditRecorder.Asker)
    case audit(AuditQuery)

    var position: ReadPosition {
        switch self {
        case .registry(_, let query): query.position
        case .trace(_, let query): query.position
        case .node(_, let query): query.position
        case .mirror(_, let query, _): query.position
        case .audit(let query): query.position
        }
    }
}

/// Reads what stands in subjects and payloads.
struct QueryReader: Sendable {
    let prefix: String

    /// Whether an answer is expected as JSON.
    static func wantsJSON(_ message: Message) -> Bool {
        if let type = message.header("Content-Type") { return type.lowercased().hasPrefix("application/json") }
        return message.payload.isEmpty || message.payload.first == UInt8(ascii: "{")
    }

    /// The question of a message; `unknown_query` or `invalid_argument` where there is none.
    func read(_ message: Message) throws(QueryError) -> Question {
        let tokens = message.subject.dropFirst(prefix.count + 9).split(separator: ".", omittingEmptySubsequences: false)
        let asker = try asker(tokens, message.subject)
        let isJSON = !message.payload.isEmpty && Self.wantsJSON(message)
        switch try name(tokens, message.subject) {
        case .registry(let name):
            return .registry(
                name,
                try decoding { () throws(DecodeError) in
                    try RegistryQuery.decode(try binary(message, isJSON, .registryQuery)[...])
                })
        case .trace(let name):
            return .trace(
                name,
                try decoding { () throws(DecodeError) in
                    try TraceQuery.decode(try binary(message, isJSON, .traceQuery)[...])
                })
        case .node(let name):
            return .node(
                name,
                try decoding { () throws(DecodeError) in
                    try NodeQuery.decode(try binary(message, isJSON, .nodeQuery)[...])
                })
        case .mirror(let name):
            let query = try decoding { () throws(DecodeError) in
                try MirrorQuery.decode(try binary(message, isJSON, .mirrorQuery)[...])
            }
            return .mirror(
                name, query, AuditRecorder.Asker(principal: asker, claimed: query.actor, reason: query.reason))
        case .audit(.trail):
            return .audit(
                try decoding { () throws(DecodeError) in
                    try AuditQuery.decode(try binary(message, isJSON, .auditQuery)[...])
                })
        }
    }

    /// Which query is asked; only what has a role is answered.
    private func name(_ tokens: [Substring], _ subject: String) throws(QueryError) -> QueryName {
        guard tokens.count >= 2, let name = QueryName(machine: tokens[0], query: tokens[1]) else {
            throw unknown(subject)
        }
        return name
    }

    /// Who asks by the subject's last token; only questions for contents have one.
    private func asker(_ tokens: [Substring], _ subject: String) throws(QueryError) -> String {
        if tokens.count == 2 { return "" }
        guard tokens.count == 3, try name(tokens, subject).handsOutContents,
            let name = SubjectToken.unescape(String(tokens[2]))
        else { throw unknown(subject) }
        return name == Unverified.principal ? "" : name
    }

    private func binary(_ message: Message, _ isJSON: Bool, _ kind: MessageKind) throws(DecodeError) -> [UInt8] {
        isJSON ? try JSONTranscoder.binary(fromJSON: message.payload, kind: kind) : message.payload
    }

    private func decoding<Value>(_ body: () throws(DecodeError) -> Value) throws(QueryError) -> Value {
        do throws(DecodeError) {
            return try body()
        } catch {
            throw QueryError(.invalidArgument, error.description)
        }
    }

    private func unknown(_ subject: String) -> QueryError {
        QueryError(.unknownQuery, "no query is answered on `\(subject)`")
    }
}
