// The statuses with which `lattice` ends: a number each, so that scripts can tell the kinds of failure apart.

import ActorSystem
import EventModel
import EventStore
import Messaging
import NATSMessaging

/// How the process ended.
enum ExitStatus: Int32, Sendable {
    case success = 0
    /// It did not work, or the finding is negative (a refusal, a digest that differs).
    case failed = 1
    /// The command line makes no sense.
    case usage = 2
    /// NATS, or a node behind it, can not be reached.
    case unreachable = 3
    case logDamaged = 4
    /// Another node has this directory or this prefix.
    case locked = 5
    /// The stream is not the one the log was fed from.
    case streamRolledBack = 6
    /// The log holds a semantics version this program does not know.
    case unsupportedSemantics = 7

    static let explanation = """
        Exit status: 0 done; 1 failed, or a negative finding (refused, digests differ); 2 the command line makes no \
        sense; 3 NATS or a node can not be reached; 4 the log is damaged; 5 another node has this directory or \
        prefix; 6 the stream is not the one that fed the log; 7 the log needs a newer lattice.
        """
}

/// Why a command ends without success: what is said on standard error, and the status.
struct CommandFailure: Error, Sendable {
    var status: ExitStatus
    /// Empty: everything was said already.
    var message: String

    init(_ status: ExitStatus, _ message: String = "") {
        self.status = status
        self.message = message
    }

    init(_ failure: NodeFailure) {
        switch failure.code {
        case "log_locked", "second_node": status = .locked
        case "log_damaged": status = .logDamaged
        case "unsupported_semantics": status = .unsupportedSemantics
        case "stream_rolled_back", "stream_trimmed", "stream_history_missing": status = .streamRolledBack
        case "not_connected", "authentication_failed", "closed": status = .unreachable
        default: status = .failed
        }
        message = failure.description + Self.advice(failure.code)
    }

    private static func advice(_ code: String) -> String {
        switch code {
        case "unsupported_semantics": "\n  install the version of lattice that the other nodes run"
        case "stream_rolled_back":
            "\n  the log was kept as it is: restore the stream, or move the log into a new directory with `lattice log "
                + "export` and `lattice log import`"
        case "stream_trimmed", "stream_history_missing":
            "\n  fetch the log from a node that has it (`lattice log export` there, `lattice log import` here)"
        case "disk_full": "\n  make room, or lower --retention-bytes, and start again"
        default: ""
        }
    }

    init(_ error: EventStoreError) {
        switch error.code {
        case .hole, .manifestDamaged, .exportDamaged, .checkpointDamaged:
            status = .logDamaged
            message = "\(error)\n  nothing was changed; `lattice log repair` shows what can be done"
        case .locked:
            status = .locked
            message = "\(error)\n  a node runs on this directory; stop it first"
        case .notFound:
            status = .failed
            message = "\(error)\n  --data names the directory of `lattice serve`"
        default:
            status = .failed
            message = error.description
        }
    }

    init(_ error: BusError, url: String) {
        switch error.code {
        case .notConnected, .authenticationFailed, .timeout, .noResponders, .closed: status = .unreachable
        default: status = .failed
        }
        message = "NATS at \(url): \(error)"
        if error.code == .notConnected {
            message += "\n  is it running? `lattice serve` without --nats starts a server of its own"
        }
    }

    init(_ error: QueryError) { self.init(.failed, error.description) }
}

/// Runs what throws an error of the log, and turns it into a failure of the command.
func readingLog<Value>(_ body: () throws(EventStoreError) -> Value) throws(CommandFailure) -> Value {
    do throws(EventStoreError) {
        return try body()
    } catch {
        throw CommandFailure(error)
    }
}
