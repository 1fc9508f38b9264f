// Where the intake takes messages from: two core subscriptions, or a stream.

import EventModel
import Messaging

/// Messages that may have been missed.
struct IntakeGap: Sendable, Hashable {
    var reason: String
    /// 0: unknown.
    var droppedCount: UInt64
}

/// What the writer's thread pulls from. Used by that thread alone.
protocol IntakeSource: AnyObject {
    /// Blocks for at most `timeout`. Throws `closed` after `drain`, when nothing is left.
    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message]

    /// What may have been missed since the last call.
    func takeGaps() -> [IntakeGap]

    /// Whether anybody could be heard now.
    var isConnected: Bool { get }

    /// Takes nothing new.
    func drain()
}

/// Two subscriptions, so that a flood of spans or captures cannot crowd out the registry: it has a queue of its own and
/// is always served first.
final class CoreIntake: IntakeSource {
    private let bus: any MessageBus
    private let reserved: [any MessageSubscription]
    private let bulk: [any MessageSubscription]
    /// The bulk queue that had something last.
    private var latest = 0
    /// Rounds since bulk messages were last seen.
    private var quietRounds = Int.max
    private var droppedBefore: UInt64 = 0
    private var reconnectsBefore: UInt64
    /// Bulk messages taken in one round while the registry has something to say.
    private static let bulkShare = 256

    init(bus: any MessageBus, prefix: String) throws(BusError) {
        self.bus = bus
        reconnectsBefore = bus.reconnectCount
        var reserved: [any MessageSubscription] = []
        var bulk: [any MessageSubscription] = []
        // One subject that catches what is misspelt too, so that its sender is told.
        for family in [EventFamily.registry, .clock, .policy, .audit] {
            reserved.append(
                try bus.subscribe("\(prefix).events.\(family.rawValue).>", queueGroup: nil, limits: .standard))
        }
        for family in [EventFamily.mirror, .trace] {
            bulk.append(try bus.subscribe("\(prefix).events.\(family.rawValue).>", queueGroup: nil, limits: .standard))
        }
        self.reserved = reserved
        self.bulk = bulk
    }

    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        var end: BusError?
        var messages: [Message] = []
        if !expectsBulk || reserved[0].pendingCount > 0 {
            messages = take(reserved[0], maximum, expectsBulk ? .zero : patience(timeout), &end)
        }
        for subscription in reserved.dropFirst() where subscription.pendingCount > 0 {
            messages += take(subscription, maximum, .zero, &end)
        }
        let share = messages.count < maximum / 2 ? maximum : Self.bulkShare
        var taken = 0
        for (index, subscription) in bulk.enumerated() where subscription.pendingCount > 0 {
            let more = take(subscription, share, .zero, &end)
            if !more.isEmpty { latest = index }
            taken += more.count
            messages += more
        }
        if messages.isEmpty, expectsBulk {
            messages = waitForBulk(timeout)
            taken = messages.count
        }
        if taken > 0 { quietRounds = 0 } else if quietRounds < Int.max { quietRounds += 1 }
        // One that has ended does not end the others: what has arrived is taken.
        if let end, messages.isEmpty { throw end }
        return messages
    }

    /// One queue can be waited for at a time: the one that had something last, so that whoever sends one message after
    /// the answer to the other does not wait for a look around. The others are looked at when it has something or after
    /// a millisecond; after about a second without spans and captures, the registry's is the one, and theirs are looked
    /// at after five.
    private var expectsBulk: Bool { quietRounds < 1_000 }

    private func patience(_ timeout: Duration) -> Duration { min(timeout, .milliseconds(5)) }

    private func waitForBulk(_ timeout: Duration) -> [Message] {
        var end: BusError?
        let messages = take(bulk[latest], Self.bulkShare, min(timeout, .milliseconds(1)), &end)
        // The registry's queue says when all has ended.
        if end != nil { quietRounds = Int.max }
        return messages
    }

    private func take(
        _ subscription: any MessageSubscription, _ maximum: Int, _ timeout: Duration, _ end: inout BusError?
    ) -> [Message] {
        do throws(BusError) {
            return try subscription.receive(maximum: maximum, timeout: timeout)
        } catch {
            end = error
            return []
        }
    }

    func takeGaps() -> [IntakeGap] {
        var gaps: [IntakeGap] = []
        let dropped = (reserved + bulk).reduce(0) { $0 + $1.droppedCount }
        if dropped > droppedBefore {
            gaps.append(IntakeGap(reason: "slow_consumer", droppedCount: dropped - droppedBefore))
            droppedBefore = dropped
        }
        let reconnects = bus.reconnectCount
        if reconnects > reconnectsBefore {
            gaps.append(IntakeGap(reason: "reconnected", droppedCount: 0))
            reconnectsBefore = reconnects
        }
        return gaps
    }

    var isConnected: Bool { bus.state == .connected }

    func drain() { for subscription in reserved + bulk { subscription.drain() } }
}

/// A stream that orders the messages itself; what it holds is never missed, so it has no gaps.
final class StreamIntake: IntakeSource {
    private let source: any StreamSource
    private var isDraining = false

    init(_ source: any StreamSource) { self.source = source }

    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        // What is not taken stays in the stream for the next start.
        if isDraining { throw BusError(.closed, "the intake was drained") }
        return try source.receive(maximum: maximum, timeout: timeout)
    }

    func takeGaps() -> [IntakeGap] { [] }

    var isConnected: Bool { true }

    func drain() {
        isDraining = true
        source.close()
    }
}
