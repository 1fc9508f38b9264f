// Why a question has no answer: the bus, the node, or an answer that nobody here understands.

package import EventModel
package import Messaging

/// Why a question has no answer.
package enum UnansweredQuery: Error, Sendable, Hashable, CustomStringConvertible {
    /// The question, or its answer, did not arrive.
    case undelivered(BusError)
    /// The node answered that it does not answer.
    case refused(QueryError)
    /// The answer cannot be read: the node is of another version.
    case notUnderstood(QueryName, reason: String)
    /// The list changed faster than its pages were read.
    case unsteady(QueryName)

    /// For people.
    package var message: String {
        switch self {
        case .undelivered(let error):
            switch error.code {
            case .timeout: "no answer in time"
            case .noResponders: "no node answers"
            default: error.message
            }
        case .refused(let error): error.message
        case .notUnderstood(let query, let reason): "the answer to \(query) is not understood: \(reason)"
        case .unsteady(let query): "the answer to \(query) changed while its pages were read; ask again"
        }
    }

    /// A word for programs.
    package var code: String {
        switch self {
        case .undelivered(let error):
            switch error.code {
            case .timeout: "timeout"
            case .noResponders: "unavailable"
            default: error.code.rawValue
            }
        case .refused(let error): error.code.rawValue
        case .notUnderstood: "not_understood"
        case .unsteady: "overloaded"
        }
    }

    /// The status with which HTTP says it.
    package var httpStatus: Int {
        switch self {
        case .undelivered(let error):
            switch error.code {
            case .timeout: 504
            case .noResponders: 503
            default: 502
            }
        case .refused(let error): error.code.number
        case .notUnderstood: 502
        case .unsteady: 503
        }
    }

    /// `code: message`.
    package var description: String { "\(code): \(message)" }
}
