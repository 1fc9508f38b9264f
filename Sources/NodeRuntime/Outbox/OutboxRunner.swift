// Performs what the log owes to shadows: reads a copy's contents, has it sent, compares, and tells the log.

import DequeModule
package import EventModel
import EventStore
import Logging
import Messaging
import StateMachines

/// How much is under way at one time.
package struct OutboxLimits: Sendable {
    /// Copies that one shadow gets at once.
    package var perShadow = 32
    /// Copies under way to all shadows.
    package var total = 256
    /// After so long an outcome that is not applied is told again; to tell it twice does no harm.
    package var tellAgainAfter = Nanoseconds.seconds(5)
    /// Nobody waits for a shadow: what is owed is looked up, and what came of it is told, once in so long, so that
    /// production pays for one group of records and not for one a copy.
    package var interval = Nanoseconds.milliseconds(2)

    package init() {}
}

/// The outbox of a live node. Nothing of it runs in recovery or replay.
actor OutboxRunner {
    private enum Progress {
        case sending
        /// The log was told, at this time, by these messages.
        case told(ContinuousClock.Instant, [Message])
    }

    /// What one look at the machine finds.
    private struct Owed: Sendable {
        var leaderID: String
        var directives: [ShadowDirective]
        var mirrors: [OwedMirror]
    }

    /// Production comes first where the processors are busy: reading, sending and comparing is done at a lower priority.
    private static let executor = LowPriorityExecutor(niceness: 10)

    private let gate: OutboxGate
    private let nodeID: String
    private let host: MachineHost<TrafficMirror>
    private let performer: DirectivePerformer
    private let limits: OutboxLimits
    private let bus: any MessageBus
    private let logger: Logger
    private var underWay: [DirectiveID: Progress] = [:]
    /// What the last look found and no place was free for, by shadow.
    private var waiting: [String: Deque<(ShadowDirective, OwedMirror)>] = [:]
    private var sendingByShadow: [String: Int] = [:]
    private var sendingCount = 0
    /// What is told with the next group.
    private var outgoing: [Message] = []
    private var isClosing = false

    init(
        gate: OutboxGate, nodeID: String, host: MachineHost<TrafficMirror>, performer: DirectivePerformer,
        limits: OutboxLimits, bus: any MessageBus, logger: Logger
    ) {
        self.gate = gate
        self.nodeID = nodeID
        self.host = host
        self.performer = performer
        self.limits = limits
        self.bus = bus
        self.logger = logger
    }

    /// Works until the gate is closed.
    func run() async {
        for await _ in gate.signals {
            await look()
            // More signals are one by the time of the next look.
            try? await Task.sleep(for: .nanoseconds(limits.interval.rawValue))
            publish()
        }
    }

    /// Takes no more; what is under way is awaited for a while, so that its outcome is in the log.
    func close() async {
        isClosing = true
        for _ in 0..<150 where sendingCount > 0 { try? await Task.sleep(for: .milliseconds(10)) }
        publish()
        gate.close()
    }

    private func look() async {
        guard gate.isArmed, !isClosing else { return }
        let limit = limits.perShadow * 4
        let owed = await host.read { mirror in
            let directives = mirror.owed(perMirror: limit)
            return Owed(leaderID: mirror.leaderID, directives: directives, mirrors: mirror.owedMirrors(directives))
        }
        // What the look before found may be another node's by now.
        waiting.removeAll()
        // A stale leader's wishes are nobody's; its claim is in the log before its first directive.
        guard owed.leaderID == nodeID else { return }
        forget(Set(owed.directives.map(\.id)))
        var mirrors: [String: OwedMirror] = [:]
        for mirror in owed.mirrors { mirrors[mirror.configuration.mirrorID] = mirror }
        for directive in owed.directives where underWay[directive.id] == nil {
            guard let mirror = mirrors[directive.id.mirrorID] else { continue }
            waiting[directive.shadowEndpoint, default: []].append((directive, mirror))
        }
        for shadow in Array(waiting.keys) { fill(shadow) }
    }

    /// What is not owed any more was applied, or dropped with a reason.
    private func forget(_ owed: Set<DirectiveID>) {
        for (id, progress) in underWay {
            guard case .told(let time, let messages) = progress else { continue }
            if !owed.contains(id) {
                underWay[id] = nil
            } else if time.duration(to: .now) > .nanoseconds(limits.tellAgainAfter.rawValue) {
                tell(id, messages)
            }
        }
    }

    /// Gives a shadow what waits for it, as far as there are places.
    private func fill(_ shadow: String) {
        while !isClosing, gate.isArmed, sendingCount < limits.total,
            sendingByShadow[shadow, default: 0] < limits.perShadow,
            let (directive, mirror) = waiting[shadow]?.popFirst()
        {
            send(directive, mirror)
        }
    }

    private func send(_ directive: ShadowDirective, _ mirror: OwedMirror) {
        underWay[directive.id] = .sending
        sendingByShadow[directive.shadowEndpoint, default: 0] += 1
        sendingCount += 1
        let performer = performer
        Task(executorPreference: Self.executor) {
            let messages = await performer.perform(directive, mirror)
            await self.ended(directive, messages)
        }
    }

    private func ended(_ directive: ShadowDirective, _ messages: [Message]) {
        sendingCount -= 1
        let rest = sendingByShadow[directive.shadowEndpoint, default: 1] - 1
        sendingByShadow[directive.shadowEndpoint] = rest == 0 ? nil : rest
        tell(directive.id, messages)
        if isClosing { publish() }
        fill(directive.shadowEndpoint)
        // For what is to be told, and for what the last look did not reach.
        gate.wake()
    }

    private func tell(_ id: DirectiveID, _ messages: [Message]) {
        underWay[id] = .told(.now, messages)
        outgoing += messages
    }

    private func publish() {
        if outgoing.isEmpty { return }
        ReplySender(bus: bus, logger: logger).send(outgoing)
        outgoing.removeAll(keepingCapacity: true)
    }
}
