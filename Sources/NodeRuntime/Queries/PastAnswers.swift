// Answers about the past without a node: the same bytes that a node gives at the same sequence.

package import EventModel
import EventStore
package import StateMachines

/// A question that can be asked of a state of the past.
package enum PastQuery_: Sendable {
    case registry(RegistryQueryName, RegistryQuery)
    case mirror(MirrorQueryName, MirrorQuery)
    case trace(TraceQueryName, TraceQuery)
    case audit(AuditQuery)
    case digest

    /// Reads a question by the end of its subject (`mirror.stats`) and its fields as JSON.
    package init(subject: String, json: [UInt8]) throws(QueryError) {
        let tokens = subject.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard tokens.count == 2 else { throw Self.unknown(subject) }
        switch tokens[0] {
        case ServiceRegistry.name:
            guard let name = RegistryQueryName(rawValue: tokens[1]) else { throw Self.unknown(subject) }
            self = .registry(
                name,
                try Self.reading { () throws(DecodeError) in
                    try RegistryQuery.decode(JSONTranscoder.binary(fromJSON: json, kind: .registryQuery)[...])
                })
        case TrafficMirror.name:
            guard let name = MirrorQueryName(rawValue: tokens[1]) else { throw Self.unknown(subject) }
            self = .mirror(
                name,
                try Self.reading { () throws(DecodeError) in
                    try MirrorQuery.decode(JSONTranscoder.binary(fromJSON: json, kind: .mirrorQuery)[...])
                })
        case "trace":
            guard let name = TraceQueryName(rawValue: tokens[1]) else { throw Self.unknown(subject) }
            self = .trace(
                name,
                try Self.reading { () throws(DecodeError) in
                    try TraceQuery.decode(JSONTranscoder.binary(fromJSON: json, kind: .traceQuery)[...])
                })
        case "audit" where AuditQueryName(rawValue: tokens[1]) != nil:
            self = .audit(
                try Self.reading { () throws(DecodeError) in
                    try AuditQuery.decode(JSONTranscoder.binary(fromJSON: json, kind: .auditQuery)[...])
                })
        case "node" where tokens[1] == "digest": self = .digest
        default: throw Self.unknown(subject)
        }
    }

    private static func reading<Value>(_ body: () throws(DecodeError) -> Value) throws(QueryError) -> Value {
        do throws(DecodeError) {
            return try body()
        } catch {
            throw QueryError(.invalidArgument, error.description)
        }
    }

    private static func unknown(_ subject: String) -> QueryError {
        QueryError(.unknownQuery, "`\(subject)` is no query that a log answers")
    }

    /// Which message answers it.
    package var answerKind: MessageKind {
        switch self {
        case .registry(let name, _): name.answer
        case .mirror(let name, _): name.answer
        case .trace(let name, _): name.answer
        case .audit: .auditAnswer
        case .digest: .digestAnswer
        }
    }
}

extension Timeline {
    /// The answer as a node encodes it when it is asked at this sequence, whose state this is.
    package func answer(
        _ question: PastQuery_, in state: MeshState, at sequence: SequenceNumber
    ) async throws(QueryError) -> [UInt8] {
        if case .audit(let query) = question {
            do throws(EventStoreError) {
                return try AuditTrail(reader: reader).answer(query, asOf: state.moment.asOf).encode()
            } catch {
                throw TimeTraveller.queryError(error)
            }
        }
        guard case .trace(let name, let query) = question else { return try state.answer(question, at: sequence) }
        let (asOf, reply) = try await TraceResponder(reader: reader).reply(name, query, from: .past(state.tracing))
        return reply.encode(asOf: asOf)
    }
}

extension MeshState {
    /// The same for what the state alone answers: everything but traces, whose texts stand in the log.
    package func answer(_ question: PastQuery_, at sequence: SequenceNumber) throws(QueryError) -> [UInt8] {
        switch question {
        case .registry(let name, let query):
            var seeded = query
            // The past has no dice: without a seed the position is the seed.
            if name == .select && seeded.seed == nil { seeded.seed = sequence.rawValue }
            return try registry.answer(name, seeded)
        case .mirror(let name, let query):
            if name == .comparison || name == .captures {
                throw QueryError(
                    .invalidArgument, "`\(name.rawValue)` reads sealed contents: ask a node, which has the keys")
            }
            return try mirror.answer(name, query)
        case .trace, .audit:
            throw QueryError(.invalidArgument, "traces and the audit trail are read with the log at hand")
        case .digest:
            var copy = self
            return DigestAnswer(asOf: moment.asOf, machines: copy.digests()).encode()
        }
    }
}
