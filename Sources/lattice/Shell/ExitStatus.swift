// The statuses with which `lattice` ends: a number each, so that scripts can tell the kinds of failure apart.

import NodeRuntime
import EventModel
import EventStore
import Glibc
import Messaging
import NATSMessaging

/// How the process ended.
enum ExitStatus: Int32, Sendable {
    case success = 0
    /// It did not work, or the finding is negative (a refusal, a digest that differs).
    case failed = 1
    /// The command line makes no sense.
    case usage = 2
    /// NATS, or a node behind it, cannot be reached.
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
        sense; 3 NATS or a node can not be reached; 4 the log is damaged, or records of it are gone; 5 another node has this directory or \
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
        case "log_damaged", "records_missing", "log_removed": status = .logDamaged
        case "unsupported_semantics": status = .unsupportedSemantics
        case "stream_rolled_back", "stream_trimmed", "stream_history_missing": status = .streamRolledBack
        case "not_connected", "authentication_failed", "closed", "stream_unavailable": status = .unreachable
        default: status = .failed
        }
        message = failure.description + Self.advice(failure.code)
    }

    private static func advice(_ code: String) -> String {
        switch code {
        case "unsupported_semantics":
            "\n  install the version of lattice that the other nodes run; where nobody has it (a slip of an operator), skip "
                + "that record and start again: over a stream `lattice publish skip-record`, otherwise `lattice log skip`"
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
        case .hole, .manifestDamaged, .exportDamaged, .checkpointDamaged, .recordsMissing, .removed:
            status = .logDamaged
        case .locked: status = .locked
        case .formatUnknown: status = .unsupportedSemantics
        default: status = .failed
        }
        message = Self.text(error) + Self.advice(error)
    }

    /// The error, with what the operating system calls it.
    private static func text(_ error: EventStoreError) -> String {
        if case .locked(let processID?) = error.code, let path = error.path {
            return "locked: process \(processID) writes to this log, path \(path)"
        }
        guard let number = error.errno else { return "\(error)" }
        return "\(error) (\(unsafe String(cString: strerror(number))))"
    }

    private static func advice(_ error: EventStoreError) -> String {
        switch error.code {
        case .hole, .manifestDamaged, .checkpointDamaged, .recordsMissing:
            "\n  nothing was changed; `lattice log repair` shows what can be done"
        case .wrongKindOfFile: "\n  move it out of the data directory; nothing was changed"
        case .exportDamaged: "\n  nothing was imported; export it anew from a log that `lattice verify` finds whole"
        case .locked: "\n  a node runs on this directory; stop it first"
        case .formatUnknown: "\n  a newer lattice wrote it: install that one"
        case .notFound where error.operation == nil: "\n  --data names the directory of `lattice serve`"
        case .notEmpty: "\n  an import makes a new log: name a new or empty directory with --data"
        case .diskFull: "\n  make room and try again"
        case .inputOutput where error.errno == EACCES || error.errno == EPERM:
            "\n  run this as the user to whom the directory belongs, or name another with --data"
        default: ""
        }
    }

    init(_ error: BusError, url: String) {
        switch error.code {
        case .notConnected, .authenticationFailed, .timeout, .noResponders, .closed, .streamUnavailable:
            status = .unreachable
        default: status = .failed
        }
        message = "NATS at \(url): \(error)"
        if error.code == .notConnected {
            message +=
                "\n  is it running? --nats names a server, --data the directory of a node on this machine; `lattice serve` "
                + "without --nats starts a server of its own"
        }
        if error.code == .authenticationFailed {
            message +=
                error.message.contains("SSL")
                ? "\n  --tls-ca names the authority that signed the server's certificate, --tls-server-name the name in it, "
                    + "--tls-cert and --tls-key show one of this side"
                : "\n  the server wants another proof of who this is: --creds, --nkey, --token, --user, --tls-cert"
        }
        if error.message.contains("serverName") {
            status = .usage
            message += "\n  --tls-server-name says it"
        }
        // What libnats says when the server hangs up instead of answering.
        if error.message.contains("Expected 'PONG'") {
            status = .unreachable
            message += "\n  the server hung up: it may want a certificate of this side, --tls-cert and --tls-key"
        }
    }

    init(_ error: QueryError) {
        switch error.code {
        case .unsupportedSemantics: status = .unsupportedSemantics
        case .internal where error.message.contains("hole"): status = .logDamaged
        default: status = .failed
        }
        message = error.description + Self.advice(error.code.rawValue)
    }
}

/// Runs what throws an error of the log, and turns it into a failure of the command.
func readingLog<Value>(_ body: () throws(EventStoreError) -> Value) throws(CommandFailure) -> Value {
    do throws(EventStoreError) {
        return try body()
    } catch {
        throw CommandFailure(error)
    }
}
