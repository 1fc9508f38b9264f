// One copy on its way: resolved, connected, sent, answered; one deadline for all of it, and one end.

import EventModel
import NIOCore

/// What came of an exchange, before an answer is unpacked.
enum ExchangeEnd: Sendable {
    case answered(ParsedAnswer)
    case failed(AnswerFault, status: UInt32)
    case refused(AddressRefusal)
    case timedOut
    case cancelled
}

/// What is sent, and how.
struct ExchangePlan: Sendable {
    var endpoint: String
    var allowLoopback: Bool
    var bytes: [UInt8]
    var parser: AnswerParser
    /// Whether it may be sent a second time (RFC 9110, 9.2.1), and so on a connection that may be gone already.
    var isSafe: Bool
    var timeout: Nanoseconds
}

/// Carries out one plan; all of it on the pool's event loop.
final class ShadowExchange: AnswerTaker, ShadowConnectionTaker {
    /// Nobody waits longer, whatever is asked.
    private static let timeMaximum = TimeAmount.hours(24)

    private let plan: ExchangePlan
    private let pool: ShadowPool
    private let resolver: ShadowResolver
    private let deadline: NIODeadline
    private var done: ((ExchangeEnd) -> Void)?
    private var alarm: Scheduled<Void>?
    private var connection: ShadowConnection?
    private var address: ShadowAddress?
    private var hasRepeated = false

    init(_ plan: ExchangePlan, _ pool: ShadowPool, _ resolver: ShadowResolver, done: @escaping (ExchangeEnd) -> Void) {
        self.plan = plan
        self.pool = pool
        self.resolver = resolver
        self.done = done
        deadline = .now() + min(.nanoseconds(max(0, plan.timeout.rawValue)), Self.timeMaximum)
    }

    func start() {
        alarm = pool.loop.assumeIsolated().scheduleTask(deadline: deadline) { self.end(.timedOut) }
        let loop = pool.loop
        let me = NIOLoopBound(self, eventLoop: loop)
        resolver.resolve(plan.endpoint, allowLoopback: plan.allowLoopback) { result in
            loop.execute { me.value.resolved(result) }
        }
    }

    func cancel() { end(.cancelled) }

    private func resolved(_ result: Result<ShadowAddress, AddressRefusal>) {
        guard done != nil else { return }
        switch result {
        case .failure(let refusal): end(.refused(refusal))
        case .success(let address):
            self.address = address
            // What must not be sent twice is never sent into a connection that the shadow may have ended meanwhile.
            pool.acquire(address, needsNew: !plan.isSafe, deadline: deadline, for: self)
        }
    }

    // MARK: The pool's words

    func take(_ connection: ShadowConnection) {
        self.connection = connection
        connection.begin(ByteBuffer(bytes: plan.bytes), plan.parser, for: self)
    }

    func noConnection() { end(.failed(AnswerFault(reason: "not_connected"), status: 0)) }

    // MARK: The connection's words

    func answered(_ answer: ParsedAnswer) {
        connection = nil
        end(.answered(answer))
    }

    func unanswered(_ fault: AnswerFault, status: UInt32) {
        let wasUsedBefore = (connection?.useCount ?? 0) > 1
        connection = nil
        guard fault == .closed, plan.isSafe, wasUsedBefore, !hasRepeated, done != nil, let address else {
            return end(.failed(fault, status: status))
        }
        hasRepeated = true
        pool.acquire(address, needsNew: true, deadline: deadline, for: self)
    }

    private func end(_ outcome: ExchangeEnd) {
        guard let done else { return }
        self.done = nil
        alarm?.cancel()
        if let address { pool.withdraw(self, address) }
        connection?.close()
        connection = nil
        done(outcome)
    }
}
