// One call on a connection, from its header fields to the end of its answer.

import NIOCore
import NIOHTTP2

/// A stream that the peer opened.
final class GRPCStream {
    enum Phase {
        /// The message is on its way.
        case receiving(GRPCMessageReader)
        /// The message is whole, and somebody works on it.
        case working
        /// All that will be said is said; what still comes is not looked at.
        case answered
    }

    let id: HTTP2StreamID
    var phase = Phase.answered
    /// The peer has ended its half.
    var isRemoteEnded = false
    /// When the phase began.
    private(set) var since: NIODeadline
    /// Bytes of the budget that this call holds, until somebody works on its message.
    private(set) var charge = 0
    private var deadline: Scheduled<Void>?
    /// What a call costs besides its message.
    static let ownBytes = 2_048

    init(_ id: HTTP2StreamID, at now: NIODeadline) {
        self.id = id
        since = now
    }

    func begin(_ phase: Phase, at now: NIODeadline) {
        self.phase = phase
        since = now
    }

    func expect(_ deadline: Scheduled<Void>) { self.deadline = deadline }

    func forgetDeadline() {
        deadline?.cancel()
        deadline = nil
    }

    func add(charge bytes: Int) { charge += bytes }

    /// Hands on what the call holds of the budget.
    func takeCharge() -> Int {
        defer { charge = 0 }
        return charge
    }
}
