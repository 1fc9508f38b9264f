// How a node is doing, in one answer.

package import EventModel
import EventStore
import Messaging
import StateMachines

extension Node {
    /// How the node is doing.
    package func status() async -> NodeStatus {
        let standing = await sequencer.standing
        let figures = await sequencer.figures
        let registryState = await hosts.registry.read { ($0.moment, $0.suspendedUntil) }
        var status = NodeStatus(asOf: standing.moment.asOf)
        status.nodeID = id
        status.version = configuration.version
        status.mode = configuration.mode.name
        status.syncPolicy = "\(configuration.log.durability)"
        status.firstSequence = reader.firstRetained
        status.durableSequence = reader.lastDurableSequence
        status.checkpointSequence = checkpointSequence
        status.semanticsVersion = standing.semanticsVersion
        status.semanticsSupported = Admission.supportedSemantics
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
        writer.control.figures.describe(&status)
        if let trouble = pulse?.trouble { status.intake = trouble }
        return status
    }
}
