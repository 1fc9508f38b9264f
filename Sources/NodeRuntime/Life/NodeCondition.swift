// How a node is doing, in one answer.

package import EventModel
import EventStore
import Logging
import Messaging
import StateMachines
import Synchronization

extension Node {
    /// The newest checkpoint; `since`: when it was written, or the start of this run where none was in it.
    var checkpointFigures: (sequence: SequenceNumber, writtenAt: Timestamp?, since: Timestamp, ignored: Int) {
        progress.withLock { progress in
            let isThere = progress.checkpointSequence > .origin
            return (
                progress.checkpointSequence, isThere ? progress.checkpointTime : nil, progress.checkpointedAt,
                progress.checkpointsIgnored
            )
        }
    }

    /// How the node is doing.
    package func status() async -> NodeStatus {
        let standing = await applier.standing
        let figures = await applier.figures
        let registryState = await hosts.registry.read { ($0.moment, $0.suspendedUntil) }
        let backlog = await hosts.mirror.read { $0.backlog }
        var status = NodeStatus(asOf: standing.moment.asOf)
        status.nodeID = id
        status.version = configuration.version
        status.mode = configuration.mode.name
        status.syncPolicy = "\(configuration.log.durability)"
        status.firstSequence = reader.firstRetained
        status.durableSequence = reader.lastDurableSequence
        status.checkpointSequence = checkpointSequence
        status.semanticsVersion = standing.semanticsVersion
        status.semanticsSupported = RecordFilter.supportedSemantics
        status.isLeader = configuration.mode == .core || standing.leaderID == id
        status.leaderID = standing.leaderID
        status.leaderEpoch = standing.leaderEpoch
        status.acceptedMessages = figures.acceptedMessages
        status.acceptedEvents = figures.acceptedEvents
        status.refusedEvents = figures.refusedEvents
        status.duplicateMessages = standing.duplicateCount
        status.gaps = standing.gapCount
        status.backwardClockSteps = standing.backwardSteps
        status.isEvictionSuspended = registryState.0.expiryTime < registryState.1
        status.startedAt = startedAt
        status.anchoredSequence = anchorer?.anchoredSequence ?? .origin
        status.areDirectivesFenced = outbox.gate.isFenced
        status.evictions = figures.evictions
        status.checkpointAt = checkpointFigures.writtenAt
        // A tick is recorded each interval, so nothing that is applied in time is older than one.
        let age = environment.clock.now() - standing.moment.recordedAt
        status.intakeLag = max(.zero, Nanoseconds(age.rawValue &- configuration.tickInterval.rawValue))
        status.outboxOldestAge = backlog.oldestAge
        status.outboxWaiting = UInt64(backlog.count)
        status.unreadyReasons = unreadiness
        await serviceFigures.look(at: hosts.registry).describe(&status)
        writer.control.figures.describe(&status)
        if let trouble = pulse?.trouble { status.intake = trouble }
        return status
    }

    /// What the operator is told when events are taken and questions answered.
    func tellReady() {
        var metadata: Logger.Metadata = [
            "node": "\(id)", "version": "\(configuration.version)", "mode": "\(configuration.mode.name)",
            "sequence": "\(appliedSequence)",
        ]
        let checkpoint = checkpointSequence
        if checkpoint > .origin { metadata["restored_from"] = "\(checkpoint)" }
        if recovery.isNew { metadata["log"] = "new" }
        environment.logger.notice("ready", metadata: metadata)
    }
}
