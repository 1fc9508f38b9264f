// Who performs directives, ticks and replies among the nodes of one stream (decisions 6 and 7).

import EventModel
import Logging
import Messaging
import StateMachines

/// What a node that shares a stream does about leadership: follows the log, claims when nobody leads, ticks when it
/// leads. The claims in the log decide; this only says when to claim.
struct LeadershipKeeper: Sendable {
    let nodeID: String
    let prefix: String
    let tickInterval: Nanoseconds
    /// Ticks that may be missed before another node claims.
    private static let patience: Int64 = 5

    private var lastSlotSeen: UInt64 = 0
    private var slotChangedAt = Timestamp.zero
    private var claimedEpoch: UInt64 = 0

    init(nodeID: String, prefix: String, tickInterval: Nanoseconds) {
        self.nodeID = nodeID
        self.prefix = prefix
        self.tickInterval = tickInterval
    }

    /// What to publish now, if anything.
    mutating func step(_ admission: Admission, now: Timestamp) -> Message? {
        if admission.lastTickSlot != lastSlotSeen || slotChangedAt == .zero {
            lastSlotSeen = admission.lastTickSlot
            slotChangedAt = now
        }
        if admission.leaderID == nodeID { return tick(now) }
        let silence = now - slotChangedAt
        let isOrphaned = admission.leaderEpoch == 0 || silence > Nanoseconds(tickInterval.rawValue * Self.patience)
        guard isOrphaned, claimedEpoch != admission.leaderEpoch + 1 else {
            // A claim that did not arrive is made again after another silence.
            if silence > Nanoseconds(tickInterval.rawValue * Self.patience * 2) { claimedEpoch = 0 }
            return nil
        }
        claimedEpoch = admission.leaderEpoch + 1
        let event = ClockEvent.leadershipClaimed(nodeID: nodeID, epoch: claimedEpoch)
        return message(event, "leadership_claimed", id: "claim-\(claimedEpoch)-\(nodeID)")
    }

    private func tick(_ now: Timestamp) -> Message {
        let slot = UInt64(max(0, now.rawValue / max(1, tickInterval.rawValue)))
        return message(.tick(slot: slot), "tick", id: "tick-\(slot)")
    }

    /// An event of the clock family for the stream.
    func message(_ event: ClockEvent, _ kind: String, id: String) -> Message {
        let facts = EventCodec.encode(.clock(event))?.facts ?? []
        return Message(
            subject: "\(prefix).events.clock.\(kind)", headers: [MessageHeader("Nats-Msg-Id", id)], payload: facts)
    }
}
