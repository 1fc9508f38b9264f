// What the mesh did not do, and why.

public import EventModel
internal import Messaging
internal import Queries

/// A failure of a question or of a publication.
public struct MeshError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure that a caller can tell apart.
    public enum Code: String, Sendable, Hashable {
        /// NATS cannot be reached.
        case notConnected = "not_connected"
        /// NATS can be reached, and no node answers.
        case noNode = "no_node"
        /// No answer in time.
        case timeout
        /// NATS or the node refuses this user.
        case notPermitted = "not_permitted"
        /// What was asked or published cannot be understood.
        case invalidArgument = "invalid_argument"
        /// What was asked for is not there.
        case notFound = "not_found"
        /// Before the first record that the log still has.
        case gone
        /// After the last applied record.
        case notYet = "not_yet"
        /// Too much at once; ask again later.
        case overloaded
        /// The registry refused the event.
        case refused
        /// The event never entered the log.
        case rejected
        case cancelled
        case closed
        case other
    }

    public var code: Code
    /// For people.
    public var message: String
    /// `gone`: the first retained sequence; `notYet`: the last applied one; else the origin.
    public var sequence: SequenceNumber

    public init(_ code: Code, _ message: String, sequence: SequenceNumber = .origin) {
        self.code = code
        self.message = message
        self.sequence = sequence
    }

    /// `code: message`.
    public var description: String { "\(code.rawValue): \(message)" }

    init(_ error: BusError) {
        let code: Code =
            switch error.code {
            case .notConnected: .notConnected
            case .timeout: .timeout
            case .noResponders: .noNode
            case .permissionDenied, .authenticationFailed: .notPermitted
            case .messageTooLarge, .invalidArgument: .invalidArgument
            case .closed: .closed
            case .cancelled: .cancelled
            default: .other
            }
        self.init(code, error.message)
    }

    init(_ error: QueryError) {
        let code: Code =
            switch error.code {
            case .invalidArgument, .unknownQuery: .invalidArgument
            case .notFound: .notFound
            case .gone: .gone
            case .notYet: .notYet
            case .timeout: .timeout
            case .overloaded: .overloaded
            case .unauthorized: .notPermitted
            case .unsupportedSemantics, .internal: .other
            }
        self.init(code, error.message, sequence: error.sequence)
    }

    init(_ error: UnansweredQuery) {
        switch error {
        case .undelivered(let error): self.init(error)
        case .refused(let error): self.init(error)
        case .unsteady: self.init(.overloaded, error.message)
        case .notUnderstood: self.init(.other, error.message)
        }
    }
}
