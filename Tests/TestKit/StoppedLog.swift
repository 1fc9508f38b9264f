// A log that a version before 0.2.0 wrote, with a record at which every later start ends.

import EventModel
import EventStore

/// Two records of a node's start, and an activation of semantics behind them.
package enum StoppedLog {
    /// Writes it; answers the directory.
    package static func write(_ directory: String, activating version: UInt32) throws -> String {
        let events: [(Event, String)] = [
            (.clock(.nodeResumed(nodeID: "node-a", reason: "start")), "clock.node_resumed"),
            (.clock(.leadershipClaimed(nodeID: "node-a", epoch: 1)), "clock.leadership_claimed"),
            (.policy(.semanticsActivated(version: version, reason: "")), "policy.bob.semantics_activated"),
        ]
        let (log, _) = try EventLog.open(directory: directory)
        try log.setSource(.core)
        var frames = FrameBatch()
        for (index, (event, subject)) in events.enumerated() {
            guard let (type, facts) = EventCodec.encode(event) else { preconditionFailure("no opaque event") }
            try frames.append(
                sequence: SequenceNumber(UInt64(index + 1)),
                recordedAt: Timestamp(nanoseconds: 1_790_000_000_000_000_000 + Int64(index)),
                eventType: type.rawValue, schemaVersion: EventType.currentSchemaVersion, subject: Array(subject.utf8),
                facts: facts)
        }
        try log.append(frames)
        try log.commit()
        try log.close()
        return directory
    }
}
