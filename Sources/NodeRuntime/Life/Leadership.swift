// Who performs directives, ticks and replies among the nodes of one stream (decisions 6 and 7).

import EventModel
import Messaging
import StateMachines

/// What a node that shares a stream does about leadership: follows the log, claims when nobody leads, ticks when it
/// leads. The claims in the log decide; this only says when to claim.
struct LeadershipKeeper: Sendable {
    let nodeID: String
    let prefix: String
    let tickInterval: Nanoseconds
    /// Ends the message id with which this life of the node says that it leads (``OutboxGate``).
    let lifeMark: String
    /// Ticks that may be missed before another node claims.
    private static let patience: Int64 = 5
    /// A node that may send nothing lets others go first.
    private static let patienceFenced: Int64 = 15

    private var ticksSeen: UInt64 = 0
    private var epochSeen: UInt64 = 0
    /// When a tick or a claim was seen last: who has just claimed has not had its turn to tick.
    private var heardAt = Timestamp.zero
    private var claimedEpoch: UInt64 = 0
    private var announcedEpoch: UInt64 = 0

    init(nodeID: String, prefix: String, tickInterval: Nanoseconds, lifeMark: String) {
        self.nodeID = nodeID
        self.prefix = prefix
        self.tickInterval = tickInterval
        self.lifeMark = lifeMark
    }

    /// What to publish now, if anything.
    mutating func step(_ standing: Standing, now: Timestamp, isFenced: Bool = false) -> [Message] {
        let patience = isFenced ? Self.patienceFenced : Self.patience
        // A clock that was set back must not keep anybody from claiming until it has caught up.
        let isNew = standing.tickCount != ticksSeen || standing.leaderEpoch != epochSeen
        if isNew || heardAt == .zero || now < heardAt {
            (ticksSeen, epochSeen) = (standing.tickCount, standing.leaderEpoch)
            heardAt = now
        }
        if standing.leaderID == nodeID { return lead(standing, now) }
        let silence = now - heardAt
        let isOrphaned = standing.leaderEpoch == 0 || silence > Nanoseconds(tickInterval.rawValue * patience)
        guard isOrphaned, claimedEpoch != standing.leaderEpoch &+ 1 else {
            // A claim that did not arrive is made again after another silence.
            if silence > Nanoseconds(tickInterval.rawValue * patience * 2) { claimedEpoch = 0 }
            return []
        }
        claimedEpoch = standing.leaderEpoch &+ 1
        let claim = message(.leadershipClaimed(nodeID: nodeID, epoch: claimedEpoch), "leadership_claimed")
        // The first word of whoever finds nothing at all.
        return standing.moment.sequence == .origin ? [Self.beginning(of: prefix, by: nodeID), claim] : [claim]
    }

    /// Says once that this node is here, then ticks. Slots never go back, as far as they can.
    private mutating func lead(_ standing: Standing, _ now: Timestamp) -> [Message] {
        var messages: [Message] = []
        if announcedEpoch != standing.leaderEpoch {
            announcedEpoch = standing.leaderEpoch
            let id = OwnMessageID.make("resumed") + lifeMark
            messages.append(message(.nodeResumed(nodeID: nodeID, reason: ClockEvent.leads), "node_resumed", id: id))
        }
        let clockSlot = UInt64(max(0, now.rawValue / max(1, tickInterval.rawValue)))
        let slot = max(clockSlot, standing.lastTickSlot &+ 1)
        messages.append(message(.tick(slot: slot), "tick"))
        return messages
    }

    /// An event of the clock family for the stream.
    private func message(_ event: ClockEvent, _ kind: String, id: String? = nil) -> Message {
        let facts = EventCodec.encode(.clock(event))?.facts ?? []
        return Message(
            subject: "\(prefix).events.clock.\(kind)",
            headers: [MessageHeader("Nats-Msg-Id", id ?? OwnMessageID.make(kind))], payload: facts)
    }

    /// The first record of a new log over a stream: the server takes it only where the stream never had a message, so that
    /// at most one gets in and no old log is changed (decision 148). Its principal is the same for every node, whose ids
    /// nobody knows in advance, so that permissions can name it.
    static func beginning(of prefix: String, by nodeID: String) -> Message {
        let event = PolicyEvent.semanticsActivated(
            version: Semantics.newest.version, reason: "\(StartRecord.newLog), begun by \(nodeID)")
        let facts = EventCodec.encode(.policy(event))?.facts ?? []
        return Message(
            subject: "\(prefix).events.policy.node.\(EventType.semanticsActivated.name)",
            headers: [
                MessageHeader("Nats-Msg-Id", OwnMessageID.make("semantics")),
                MessageHeader("Nats-Expected-Last-Sequence", "0"),
            ], payload: facts)
    }
}

/// Message ids of a node's own. A stream takes an id once, whoever sends it, so that one that can be guessed can be taken
/// in advance: a tick a second, and nothing expires any more (decision 150).
enum OwnMessageID {
    /// A word for people, and 128 random bits.
    static func make(_ kind: String) -> String { "\(kind)-\(random())" }

    static func random() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    }
}
