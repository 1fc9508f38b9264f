// The state that a start begins with: held against the log first, so that no other log's state can become it.

import EventModel
import EventStore
import Logging
import StateMachines

/// Finds the newest state on disk that was made of the log's records, and sets aside what was not.
struct StateRecovery {
    let configuration: NodeConfiguration
    let reader: LogReader
    let checkpoints: CheckpointStore
    let logger: Logger

    /// A state, and how many of those on disk were passed over or set aside.
    struct Finding {
        /// Nil: there is none, and the log is folded from its first record.
        var state: MeshState?
        var ignoredCount: Int
    }

    /// The newest state. The log's lock must be held.
    ///
    /// Throws `.recordsMissing` in core mode where the log ends before something that was made of it: what was acknowledged
    /// is gone, and nobody but an operator may go on without it. Over a stream the records come from there again.
    func newest(notAfter last: SequenceNumber) throws(EventStoreError) -> Finding {
        let storage = PosixStorage()
        for path in try storage.removeTemporaries(in: checkpoints.directory) {
            logger.info("removed what an interrupted write had left", metadata: ["path": "\(path)"])
        }
        var audit = try StateAudit(of: configuration.directory, reader)
        if let missing = audit.missing(reader) {
            if configuration.mode == .core { throw missing }
            logger.error(
                "the log ends before what was made of it: records are taken from the stream again",
                metadata: ["reason": "\(missing)"])
        }
        try audit.setAside()
        for file in audit.unfit { say(file) }
        var finding = try newestReadable(notAfter: last)
        finding.ignoredCount += audit.unfit.count { $0.kind != .unproven }
        return finding
    }

    private func say(_ file: UnfitState) {
        let message: Logger.Message =
            switch file.kind {
            case .damaged: "set aside: it is damaged"
            case .unproven: "set aside: it does not say which record it was made of"
            case .foreign, .ahead: "set aside: it was not made of this log's records"
            }
        logger.log(
            level: file.kind == .unproven ? .notice : .error, message,
            metadata: ["path": "\(file.path)", "moved_to": "\(file.newPath ?? "")", "reason": "\(file.reason)"])
    }

    private func newestReadable(notAfter last: SequenceNumber) throws(EventStoreError) -> Finding {
        let found = try checkpoints.newestState(of: reader, notAfter: last, indexKey: configuration.indexKey)
        for warning in found.warnings {
            logger.warning("checkpoint ignored", metadata: ["reason": "\(warning)"])
        }
        for sequence in found.damaged {
            let name = try checkpoints.setAside(sequence)
            logger.error("set aside: it is damaged", metadata: ["moved_to": "\(name)"])
        }
        return Finding(state: found.state, ignoredCount: found.warnings.count + found.damaged.count)
    }
}
