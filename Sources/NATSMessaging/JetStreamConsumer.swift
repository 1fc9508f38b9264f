// Our side of one ephemeral consumer: what it delivered and what was asked of it.

/// An ephemeral pull consumer without acknowledgements. Two requests are kept outstanding, so that the server can send
/// while we ask again; the server serves them in order.
struct JetStreamConsumer {
    /// One request for messages.
    struct Pull {
        let id: UInt64
        var remaining: Int
        /// When the server has long answered, if it still knows the consumer.
        let overdueAt: ContinuousClock.Instant
    }

    static let outstandingMax = 2
    /// How long past a request's expiry silence is believed to be the way's delay.
    static let patience = Duration.seconds(2)

    /// The consumer's token in subjects.
    let name: [UInt8]
    /// Where messages are asked for.
    let requestSubject: String
    private(set) var lastSequence: UInt64 = 0
    private(set) var pulls: [Pull] = []

    init(name: String, stream: String) {
        self.name = Array(name.utf8)
        requestSubject = "$JS.API.CONSUMER.MSG.NEXT.\(stream).\(name)"
    }

    /// What the consumer's own numbering says about a message.
    enum Continuity { case next, repeated, gap }

    /// Notes a delivery, unless messages are missing before it.
    mutating func note(_ sequence: UInt64) -> Continuity {
        if sequence <= lastSequence { return .repeated }
        guard sequence == lastSequence + 1 else { return .gap }
        lastSequence = sequence
        if !pulls.isEmpty {
            pulls[0].remaining -= 1
            if pulls[0].remaining == 0 { pulls.removeFirst() }
        }
        return .next
    }

    var wantsPull: Bool { pulls.count < Self.outstandingMax }

    mutating func add(_ pull: Pull) { pulls.append(pull) }

    /// The server says that a request has ended before it was served in full. False for a request of long ago.
    mutating func end(pull id: UInt64) -> Bool {
        guard let index = pulls.firstIndex(where: { $0.id == id }) else { return false }
        pulls.remove(at: index)
        return true
    }

    func isOverdue(_ now: ContinuousClock.Instant) -> Bool { pulls.contains { $0.overdueAt < now } }
}
