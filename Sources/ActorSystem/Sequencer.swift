// The one place where records, durable and in order, meet the machines.

import DequeModule
import EventModel
import Messaging
import StateMachines
import Synchronization

/// What the sequencer has seen, for status and metrics.
package struct SequencerFigures: Sendable {
    package var acceptedMessages: UInt64 = 0
    package var acceptedEvents: UInt64 = 0
    package var refusedEvents: UInt64 = 0
    package var duplicateMessages: UInt64 = 0
    package var opaqueMessages: UInt64 = 0
    package var evictions: UInt64 = 0
}

/// Admits each batch, hands it to the hosts, tells publishers and watchers. Batches are taken one after the other, so
/// what is asked between two of them is true for one position.
actor Sequencer {
    private var admission = Admission()
    private var outcomes = OutcomeLedger()
    private(set) var figures = SequencerFigures()
    private var waiters = SequenceWaiters()
    private var turnstile = Turnstile()
    private(set) var stopReason: String?
    let registry: MachineHost<ServiceRegistry>
    private let voice: Voice
    /// The last applied sequence, for whoever must not wait for the actor.
    nonisolated let applied = Atomic<UInt64>(0)

    init(registry: MachineHost<ServiceRegistry>, voice: Voice) {
        self.registry = registry
        self.voice = voice
    }

    /// Starts from a checkpoint.
    func restore(_ state: MeshState) async {
        await enter()
        defer { turnstile.leave() }
        admission = state.admission
        await registry.restore(state.registry)
    }

    /// Takes a batch that is durable. `isLive` false: recovery, which tells nobody anything.
    ///
    /// Called by one task at a time; the await is the hop to the host, and nothing else changes admission meanwhile.
    func process(_ records: [StagedRecord], isLive: Bool) async {
        await enter()
        defer { turnstile.leave() }
        guard stopReason == nil else { return }
        var verdicts: [(verdict: Admission.Verdict, outcome: Outcome)] = []
        var admitted: [AdmittedRecord] = []
        verdicts.reserveCapacity(records.count)
        admitted.reserveCapacity(records.count)
        for staged in records {
            let (verdict, moment, outcome) = admission.admit(staged.record)
            verdicts.append((verdict, outcome))
            admitted.append(AdmittedRecord(record: staged.record, moment: moment, verdict: verdict))
            if case .unsupportedSemantics(let version) = verdict {
                stopReason =
                    "semantics \(version) was activated at \(staged.record.sequence); this version has "
                    + "\(Admission.supportedSemantics): install a newer one"
                break
            }
        }
        let answers = await registry.apply(admitted)
        settle(records, verdicts, answers, isLive: isLive)
    }

    private func settle(
        _ records: [StagedRecord], _ verdicts: [(verdict: Admission.Verdict, outcome: Outcome)], _ answers: [Outcome],
        isLive: Bool
    ) {
        var spoken = Spoken()
        for (index, entry) in verdicts.enumerated() {
            let staged = records[index]
            let outcome = entry.outcome.merged(with: answers[index])
            let answer = outcome.answer(entry.verdict, staged.record)
            count(answer)
            if isLive {
                if !staged.replyTo.isEmpty { spoken.reply(answer, to: staged.replyTo, asJSON: staged.wantsJSON) }
                for service in outcome.changed { spoken.changed(service, answer.sequence) }
            }
            outcomes.remember(answer)
        }
        applied.store(admission.moment.sequence.rawValue, ordering: .releasing)
        if isLive { voice.say(spoken) }
        waiters.reached(admission.moment.sequence)
    }

    private func count(_ answer: OutcomeAnswer) {
        switch answer.verdict {
        case .accepted, .refused: figures.acceptedMessages += 1
        case .duplicate: figures.duplicateMessages += 1
        case .opaque: figures.opaqueMessages += 1
        }
        figures.acceptedEvents += UInt64(answer.accepted)
        figures.refusedEvents += UInt64(answer.refused.count)
        figures.evictions += UInt64(answer.consequences.count)
    }

    // MARK: Questions

    /// The last applied record.
    var moment: Moment { admission.moment }

    var admissionState: Admission { admission }

    /// The outcome of a recent record.
    func outcome(of sequence: SequenceNumber) -> OutcomeAnswer? { outcomes.outcome(of: sequence) }

    /// Waits until a sequence is applied; false after the time-out.
    func waitUntilApplied(_ sequence: SequenceNumber, timeout: Nanoseconds) async -> Bool {
        if admission.moment.sequence >= sequence { return true }
        let ticket = waiters.makeTicket()
        return await withCheckedContinuation { continuation in
            waiters.add(ticket, sequence, continuation)
            Task {
                try? await Task.sleep(for: .nanoseconds(timeout.rawValue))
                self.giveUp(ticket)
            }
        }
    }

    private func giveUp(_ ticket: UInt64) { waiters.giveUp(ticket) }

    /// The digest of each machine at one position.
    func digests() async -> DigestAnswer {
        await enter()
        defer { turnstile.leave() }
        let registryDigest = await registry.digest()
        return DigestAnswer(
            asOf: admission.moment.asOf,
            machines: [MachineDigest(machine: Admission.name, digest: admission.digest()), registryDigest])
    }

    /// A copy of everything at one position.
    func cut() async -> MeshState {
        await enter()
        defer { turnstile.leave() }
        return MeshState(admission: admission, registry: await registry.fork())
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
    }

    private var waiters: [UInt64: Waiter] = [:]
    private var lastTicket: UInt64 = 0

    mutating func makeTicket() -> UInt64 {
        lastTicket += 1
        return lastTicket
    }

    mutating func add(_ ticket: UInt64, _ sequence: SequenceNumber, _ continuation: CheckedContinuation<Bool, Never>) {
        waiters[ticket] = Waiter(sequence: sequence, continuation: continuation)
    }

    mutating func giveUp(_ ticket: UInt64) {
        waiters.removeValue(forKey: ticket)?.continuation.resume(returning: false)
    }

    mutating func reached(_ sequence: SequenceNumber) {
        if waiters.isEmpty { return }
        for (ticket, waiter) in waiters where waiter.sequence <= sequence {
            waiters[ticket] = nil
            waiter.continuation.resume(returning: true)
        }
    }
}
