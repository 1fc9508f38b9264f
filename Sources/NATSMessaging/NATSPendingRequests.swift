// The requests of one connection that wait for their answers.

internal import CNATS
internal import Glibc
internal import Messaging
internal import Synchronization

/// Matches answers, which arrive on one wildcard inbox, with the tasks that wait for them.
///
/// No thread waits: libnats calls from its own, and one task sweeps expired requests while there are any, every
/// `sweepInterval`, so a time-out can be that much late.
final class NATSPendingRequests: Sendable {
    typealias Answer = Result<Message, BusError>

    private struct Waiting {
        let subject: String
        let continuation: CheckedContinuation<Answer, Never>
    }

    private struct State {
        var lastToken: UInt64 = 0
        var waiting: [UInt64: Waiting] = [:]
        /// The tokens that expire in one sweep; answered ones are still in it.
        var expiries: [Int64: [UInt64]] = [:]
        var sweptSlot: Int64 = 0
        var isSweeping = false
        var end: BusError?
    }

    private static let sweepInterval = Duration.milliseconds(5)
    private static let sweepMilliseconds: Int64 = 5
    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// Waits for the answer to what `send` sends; it is told the last token of the reply subject.
    func ask(_ subject: String, timeout: Duration, send: (UInt64) -> BusError?) async throws(BusError) -> Message {
        let token = state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                begin(token, Waiting(subject: subject, continuation: continuation), timeout)
                if Task.isCancelled {
                    finish(token, .failure(BusError(.cancelled, "request \(subject)")))
                } else if let error = send(token) {
                    finish(token, .failure(error))
                }
            }
        } onCancel: {
            finish(token, .failure(BusError(.cancelled, "request \(subject)")))
        }
        return try answer.get()
    }

    /// Ends one wait; late answers, and those nobody asked for, find nothing and are dropped.
    func finish(_ token: UInt64, _ answer: Answer) {
        state.withLock { $0.waiting.removeValue(forKey: token) }?.continuation.resume(returning: answer)
    }

    /// The answer to `token`, unless the server says that nobody listens.
    fileprivate func finish(_ token: UInt64, _ answer: borrowing NATSMessageHandle) {
        guard let waiting = state.withLock({ $0.waiting.removeValue(forKey: token) }) else { return }
        if answer.saysNoResponders {
            let error = BusError(.noResponders, "request \(waiting.subject)")
            return waiting.continuation.resume(returning: .failure(error))
        }
        var subjects = SubjectCache()
        waiting.continuation.resume(returning: .success(answer.message(&subjects)))
    }

    /// Fails everything that waits now.
    func failAll(_ error: BusError) { fail(error) { _ in true } }

    /// Fails what was asked on a subject that the server says, in these words, this user may not publish on.
    func failRefused(_ text: String) {
        guard text.lowercased().contains("publish to") else { return }
        let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        guard parts.count > 1 else { return }
        let subject = String(parts[1])
        fail(BusError(.permissionDenied, text)) { $0 == subject }
    }

    /// Fails everything that waits now or later.
    func end(_ error: BusError) {
        state.withLock { $0.end = error }
        failAll(error)
    }

    private func fail(_ error: BusError, where isConcerned: (String) -> Bool) {
        let concerned = state.withLock { state in
            let concerned = state.waiting.filter { isConcerned($0.value.subject) }
            for token in concerned.keys { state.waiting[token] = nil }
            return concerned
        }
        for waiting in concerned.values { waiting.continuation.resume(returning: .failure(error)) }
    }

    private func begin(_ token: UInt64, _ waiting: Waiting, _ timeout: Duration) {
        let now = slot(.zero)
        let expiry = slot(timeout) + 1
        let (error, startsSweeping) = state.withLock { state -> (BusError?, Bool) in
            if let error = state.end { return (error, false) }
            state.waiting[token] = waiting
            state.expiries[expiry, default: []].append(token)
            if state.isSweeping { return (nil, false) }
            state.isSweeping = true
            state.sweptSlot = now - 1
            return (nil, true)
        }
        if let error { waiting.continuation.resume(returning: .failure(error)) }
        if startsSweeping { Task { await sweepWhileNeeded() } }
    }

    private func slot(_ delay: Duration) -> Int64 {
        (start.duration(to: .now) + delay).wholeMilliseconds / Self.sweepMilliseconds
    }

    private func sweepWhileNeeded() async {
        repeat { try? await Task.sleep(for: Self.sweepInterval) } while sweep()
    }

    /// Fails what has expired. False, and nothing kept, when nobody waits any more.
    private func sweep() -> Bool {
        let now = slot(.zero)
        let (expired, goesOn) = state.withLock { state -> ([Waiting], Bool) in
            var expired: [Waiting] = []
            while state.sweptSlot < now {
                state.sweptSlot += 1
                for token in state.expiries.removeValue(forKey: state.sweptSlot) ?? [] {
                    if let waiting = state.waiting.removeValue(forKey: token) { expired.append(waiting) }
                }
            }
            state.isSweeping = !state.waiting.isEmpty
            if !state.isSweeping { state.expiries = [:] }
            return (expired, state.isSweeping)
        }
        for waiting in expired {
            waiting.continuation.resume(returning: .failure(BusError(.timeout, "request \(waiting.subject)")))
        }
        return goesOn
    }
}

/// Called by libnats, on the inbox's own thread, for each answer; the token stands after the subject's last dot.
let onAnswer: natsMsgHandler = { _, _, message, closure in
    guard let message = unsafe message else { return }
    let answer = unsafe NATSMessageHandle(adopting: message)
    guard let closure = unsafe closure, let subject = unsafe answer.subjectBytes,
        let lastDot = unsafe strrchr(subject, Int32(UInt8(ascii: ".")))
    else { return }
    let token = unsafe strtoull(lastDot + 1, nil, 10)
    unsafe Unmanaged<NATSPendingRequests>.fromOpaque(closure).takeUnretainedValue().finish(token, answer)
}
