// The one place where records, durable and in order, meet the machines.

import DequeModule
import EventModel
import Messaging
import StateMachines
import Synchronization

/// What the applier has seen, for status and metrics.
package struct ApplierFigures: Sendable {
    package var acceptedMessages: UInt64 = 0
    package var acceptedEvents: UInt64 = 0
    package var refusedEvents: UInt64 = 0
    package var duplicateMessages: UInt64 = 0
    package var opaqueMessages: UInt64 = 0
    package var evictions: UInt64 = 0
    /// The same by service: as many as there may be, the rest under `__other__`.
    package var evictionsByService: [String: UInt64] = [:]

    mutating func count(_ evicted: [Removal]) {
        evictions += UInt64(evicted.count)
        for removal in evicted {
            let isRoom = evictionsByService[removal.serviceName] != nil || evictionsByService.count < 1_000
            evictionsByService[isRoom ? removal.serviceName : NodeMetrics.otherServices, default: 0] += 1
        }
    }
}

/// What the first fold knows, without the message ids it remembers: a copy of those would be paid for by the next batch.
struct Standing: Sendable {
    /// The last record that every machine has applied.
    var moment: Moment
    var semanticsVersion: UInt32
    var leaderID: String
    var leaderEpoch: UInt64
    var lastTickSlot: UInt64
    var backwardSteps: UInt64
    var gapCount: UInt64
    var duplicateCount: UInt64
    /// Ticks that this process has seen taken. Whether somebody ticks is told by this and not by their slots, which are
    /// what a record claims.
    var tickCount: UInt64
}

/// Admits each batch, hands it to the hosts, tells publishers and watchers. Batches are taken one after the other, so
/// what is asked between two of them is true for one position.
actor Applier {
    private var admission = RecordFilter()
    private var outcomes = OutcomeLedger()
    private(set) var figures = ApplierFigures()
    private var waiters = SequenceWaiters()
    private var turnstile = Turnstile()
    private var isDismissed = false
    /// Why nothing behind the last record may be folded here.
    private(set) var stopReason: NodeFailure?
    private var tickCount: UInt64 = 0
    let hosts: MachineHosts
    private let replies: ReplyPublisher
    private let gate: OutboxGate
    private let life: LifeLog
    /// Over a stream: who speaks for a record is its leader, so that each has one; nil: whoever orders.
    private let leaderID: String?
    /// RecordFilter runs ahead of the machines while a batch is with them; this does not.
    private var appliedMoment = Moment.origin
    /// The last applied sequence, for whoever must not wait for the actor.
    nonisolated let applied = Atomic<UInt64>(0)

    init(hosts: MachineHosts, replies: ReplyPublisher, gate: OutboxGate, life: LifeLog, leaderID: String?) {
        self.gate = gate
        self.life = life
        self.hosts = hosts
        self.replies = replies
        self.leaderID = leaderID
    }

    /// Starts from a checkpoint.
    func restore(_ state: MeshState) async {
        await enter()
        defer { turnstile.leave() }
        admission = state.admission
        await hosts.restore(state)
        appliedMoment = admission.moment
        applied.store(appliedMoment.sequence.rawValue, ordering: .releasing)
    }

    /// Takes a batch that is durable. `isLive` false: recovery, which tells nobody anything.
    ///
    /// Called by one task at a time; the await is the hop to the host, and nothing else changes admission meanwhile.
    func process(_ records: [StagedRecord], isLive: Bool) async {
        await enter()
        defer { turnstile.leave() }
        guard stopReason == nil else { return }
        var verdicts: [Judged] = []
        var admitted: [AdmittedRecord] = []
        verdicts.reserveCapacity(records.count)
        admitted.reserveCapacity(records.count)
        for staged in records {
            let (verdict, moment, outcome) = admission.admit(staged.record)
            let speaks = isLive && (leaderID == nil || admission.leaderID == leaderID)
            verdicts.append(Judged(verdict: verdict, outcome: outcome, speaks: speaks))
            admitted.append(AdmittedRecord(record: staged.record, moment: moment, verdict: verdict))
            if verdict == .admitted, outcome.accepted > 0, case .clock(.tick) = staged.record.event { tickCount &+= 1 }
            stopReason = Self.reason(to: verdict, at: staged.record.sequence)
            if stopReason != nil { break }
        }
        let answers = await hosts.apply(admitted)
        settle(records, verdicts, answers, isLive: isLive)
        if isLive { gate.applied(admitted) }
    }

    private static func reason(to verdict: RecordFilter.Verdict, at sequence: SequenceNumber) -> NodeFailure? {
        switch verdict {
        case .admitted, .refused, .duplicate, .opaque: nil
        case .unsupportedSemantics(let version):
            NodeFailure(
                "unsupported_semantics",
                "semantics \(version) was activated at \(sequence); this version has \(RecordFilter.supportedSemantics): "
                    + "install a newer one")
        case .revoked(let activation):
            NodeFailure(
                "record_skipped",
                "record \(activation), which this node has taken, is skipped by record \(sequence): start it again")
        }
    }

    /// What admission said of one record, and whether this node tells its publisher.
    private struct Judged {
        var verdict: RecordFilter.Verdict
        var outcome: Outcome
        var speaks: Bool
    }

    private func settle(
        _ records: [StagedRecord], _ verdicts: [Judged], _ answers: MachineHosts.Outcomes, isLive: Bool
    ) {
        var pending = PendingReplies()
        for (index, entry) in verdicts.enumerated() {
            let staged = records[index]
            let outcome = entry.outcome.merged(with: answers.registry[index]).merged(with: answers.mirror[index])
                .merged(with: answers.tracing[index])
            let answer = outcome.answer(entry.verdict, staged.record)
            // What recovery folds again happened before, and was counted then.
            if isLive { count(answer) }
            if entry.speaks {
                if !staged.replyTo.isEmpty { pending.reply(answer, to: staged.replyTo, asJSON: staged.wantsJSON) }
                for service in answers.registry[index].changed {
                    pending.changed(ServiceRegistry.name, service, answer.sequence)
                }
                for source in answers.mirror[index].changed {
                    pending.changed(TrafficMirror.name, source, answer.sequence)
                }
            }
            outcomes.remember(answer)
        }
        appliedMoment = admission.moment
        applied.store(appliedMoment.sequence.rawValue, ordering: .releasing)
        replies.say(pending)
        waiters.reached(appliedMoment.sequence)
    }

    private func count(_ answer: OutcomeAnswer) {
        switch answer.verdict {
        case .accepted, .refused: figures.acceptedMessages += 1
        case .duplicate: figures.duplicateMessages += 1
        case .opaque: figures.opaqueMessages += 1
        }
        figures.acceptedEvents += UInt64(answer.accepted)
        figures.refusedEvents += UInt64(answer.refused.count)
        if answer.consequences.isEmpty { return }
        figures.count(answer.consequences)
        life.evicted(answer.consequences)
    }

    // MARK: Questions

    /// The last applied record.
    var moment: Moment { appliedMoment }

    var standing: Standing {
        Standing(
            moment: appliedMoment, semanticsVersion: admission.semanticsVersion, leaderID: admission.leaderID,
            leaderEpoch: admission.leaderEpoch, lastTickSlot: admission.lastTickSlot,
            backwardSteps: admission.backwardSteps, gapCount: admission.gapCount,
            duplicateCount: admission.duplicateCount, tickCount: tickCount)
    }

    /// The outcome of a recent record.
    func outcome(of sequence: SequenceNumber) -> OutcomeAnswer? { outcomes.outcome(of: sequence) }

    /// Waits until a sequence is applied; false after the time-out, and when nothing will be applied any more.
    func waitUntilApplied(_ sequence: SequenceNumber, timeout: Nanoseconds) async -> Bool {
        if appliedMoment.sequence >= sequence { return true }
        if isDismissed { return false }
        let ticket = waiters.makeTicket()
        return await withCheckedContinuation { continuation in
            let alarm = Task {
                try? await Task.sleep(for: .nanoseconds(timeout.rawValue))
                if !Task.isCancelled { self.giveUp(ticket) }
            }
            waiters.add(ticket, sequence, continuation, alarm)
        }
    }

    private func giveUp(_ ticket: UInt64) { waiters.giveUp(ticket) }

    /// The end: whoever still waits is told that it was in vain.
    func dismissWaiters() {
        isDismissed = true
        waiters.giveUpAll()
    }

    /// The digest of each machine at one position.
    func digests() async -> DigestAnswer {
        await enter()
        defer { turnstile.leave() }
        var state = await hosts.fork(admission)
        // What the machines have hashed stays hashed in their own copies; admission's must be settled here.
        _ = admission.digest()
        return DigestAnswer(asOf: admission.moment.asOf, machines: state.digests())
    }

    /// Asks every part of the trace collector behind the same batch.
    func readTracing<Answer: Sendable>(
        _ body: @escaping @Sendable (borrowing TraceCollector) -> Answer
    ) async -> (asOf: AsOf, parts: [Answer]) {
        await enter()
        defer { turnstile.leave() }
        let asOf = appliedMoment.asOf
        let parts = await hosts.readTracing(body)
        return (asOf, parts)
    }

    /// A copy of everything at one position to start from; nil once a record has come that this version must not pass,
    /// and while the semantics that were activated last may still be undone.
    func cut() async -> MeshState? {
        await enter()
        defer { turnstile.leave() }
        if stopReason != nil || admission.isSemanticsUnsettled { return nil }
        return await hosts.fork(admission)
    }

    private func enter() async {
        if turnstile.tryEnter() { return }
        await withCheckedContinuation { turnstile.enqueue($0) }
    }
}

/// Lets one task at a time through, in order of arrival.
private struct Turnstile {
    private var isTaken = false
    private var queue: Deque<CheckedContinuation<Void, Never>> = []

    /// True: go on. False: enqueue.
    mutating func tryEnter() -> Bool {
        defer { isTaken = true }
        return !isTaken
    }

    mutating func enqueue(_ continuation: CheckedContinuation<Void, Never>) { queue.append(continuation) }

    mutating func leave() {
        if let next = queue.popFirst() { next.resume() } else { isTaken = false }
    }
}

/// Those who wait until a sequence is applied.
private struct SequenceWaiters {
    private struct Waiter {
        var sequence: SequenceNumber
        var continuation: CheckedContinuation<Bool, Never>
        var alarm: Task<Void, Never>

        func end(_ isReached: Bool) {
            alarm.cancel()
            continuation.resume(returning: isReached)
        }
    }

    private var waiters: [UInt64: Waiter] = [:]
    private var lastTicket: UInt64 = 0

    mutating func makeTicket() -> UInt64 {
        lastTicket += 1
        return lastTicket
    }

    mutating func add(
        _ ticket: UInt64, _ sequence: SequenceNumber, _ continuation: CheckedContinuation<Bool, Never>,
        _ alarm: Task<Void, Never>
    ) {
        waiters[ticket] = Waiter(sequence: sequence, continuation: continuation, alarm: alarm)
    }

    mutating func giveUp(_ ticket: UInt64) {
        waiters.removeValue(forKey: ticket)?.end(false)
    }

    mutating func giveUpAll() {
        for waiter in waiters.values { waiter.end(false) }
        waiters.removeAll()
    }

    mutating func reached(_ sequence: SequenceNumber) {
        if waiters.isEmpty { return }
        for (ticket, waiter) in waiters where waiter.sequence <= sequence {
            waiters[ticket] = nil
            waiter.end(true)
        }
    }
}
