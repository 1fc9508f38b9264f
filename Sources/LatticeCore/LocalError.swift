// Why a registry, a mirror or a collector in the caller's own process did not do something.

public import EventModel

/// What the functions of this module throw; a fold never throws, it refuses, and for one event the refusal is thrown.
public enum LocalError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An event breaks the frozen rules of the log's format (`Limits`): a node would not have written it. Nothing changed.
    case malformed(DecodeError)
    /// The event was written and the fold refused it, for the same reasons as on a node.
    case refused(RefusalReason)
    /// A field of a specification or of comparison rules cannot be: its name, and what is wrong with it.
    case invalid(field: String, reason: String)
    /// A question without an answer: `invalid_argument` or `not_found`.
    case unanswered(QueryError)

    /// One line for people, without contents.
    public var description: String {
        switch self {
        case .malformed(let error): "malformed: \(error)"
        case .refused(let reason): "refused: \(reason.name)"
        case .invalid(let field, let reason): "\(field): \(reason)"
        case .unanswered(let error): "\(error)"
        }
    }
}
