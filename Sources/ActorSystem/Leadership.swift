// Who performs directives, ticks and replies among the nodes of one stream (decisions 6 and 7).

import EventModel
import Messaging

/// What a node that shares a stream does about leadership: follows the log, claims when nobody leads, ticks when it
/// leads. The claims in the log decide; this only says when to claim.
struct LeadershipKeeper: Sendable {
    let nodeID: String
    let prefix: String
    let tickInterval: Nanoseconds
    /// Tells the starts of one node apart, and cannot be guessed: whoever used an id before would have the stream drop what the
    /// node says under it.
    let nonce: String
    /// Ticks that may be missed before another node claims.
    private static let patience: Int64 = 5
    /// A node that may send nothing lets others go first.
    private static let patienceFenced: Int64 = 15

    private var lastSlotSeen: UInt64 = 0
    private var slotChangedAt = Timestamp.zero
    private var claimedEpoch: UInt64 = 0
    private var announcedEpoch: UInt64 = 0

    init(nodeID: String, prefix: String, tickInterval: Nanoseconds) {
        self.nodeID = nodeID
        self.prefix = prefix
        self.tickInterval = tickInterval
        let halves = [UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)]
        nonce = halves.map { String($0, radix: 36) }.joined(separator: "-")
    }

    /// What to publish now, if anything.
    mutating func step(_ standing: Standing, now: Timestamp, isFenced: Bool = false) -> [Message] {
        let patience = isFenced ? Self.patienceFenced : Self.patience
        // A clock that was set back must not keep anybody from claiming until it has caught up.
        if standing.lastTickSlot != lastSlotSeen || slotChangedAt == .zero || now < slotChangedAt {
            lastSlotSeen = standing.lastTickSlot
            slotChangedAt = now
        }
        if standing.leaderID == nodeID { return lead(standing, now) }
        let silence = now - slotChangedAt
        let isOrphaned = standing.leaderEpoch == 0 || silence > Nanoseconds(tickInterval.rawValue * patience)
        guard isOrphaned, claimedEpoch != standing.leaderEpoch + 1 else {
            // A claim that did not arrive is made again after another silence.
            if silence > Nanoseconds(tickInterval.rawValue * patience * 2) { claimedEpoch = 0 }
            return []
        }
        claimedEpoch = standing.leaderEpoch + 1
        let event = ClockEvent.leadershipClaimed(nodeID: nodeID, epoch: claimedEpoch)
        return [message(event, "leadership_claimed", id: "claim-\(claimedEpoch)-\(nonce)")]
    }

    /// Says once that this node is here, then ticks. Slots never go back: the others count on them.
    private mutating func lead(_ standing: Standing, _ now: Timestamp) -> [Message] {
        var messages: [Message] = []
        if announcedEpoch != standing.leaderEpoch {
            announcedEpoch = standing.leaderEpoch
            let id = "resumed-\(announcedEpoch)-\(nonce)"
            messages.append(message(.nodeResumed(nodeID: nodeID, reason: ClockEvent.leads), "node_resumed", id: id))
        }
        let clockSlot = UInt64(max(0, now.rawValue / max(1, tickInterval.rawValue)))
        let slot = max(clockSlot, standing.lastTickSlot &+ 1)
        messages.append(message(.tick(slot: slot), "tick", id: "tick-\(slot)-\(nonce)"))
        return messages
    }

    /// An event of the clock family for the stream.
    func message(_ event: ClockEvent, _ kind: String, id: String) -> Message {
        let facts = EventCodec.encode(.clock(event))?.facts ?? []
        return Message(
            subject: "\(prefix).events.clock.\(kind)", headers: [MessageHeader("Nats-Msg-Id", id)], payload: facts)
    }
}
