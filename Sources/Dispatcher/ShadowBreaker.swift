// The breaker of one shadow, and its places: a dead one costs nothing but its own ledger.

import EventModel

/// What one shadow may get now.
struct ShadowBreaker: Sendable {
    enum Admission: Sendable, Hashable {
        case admitted
        /// Too many in a row had no answer.
        case open
        /// All places are taken.
        case busy
    }

    /// Failures in a row that open it.
    static let failuresMaximum = 5
    /// How long it is open at first; doubled each time the probe fails, up to the maximum.
    static let openFirst = Nanoseconds.seconds(1)
    static let openMaximum = Nanoseconds.seconds(60)

    private let places: Int
    private(set) var takenCount = 0
    private var failureCount = 0
    private var openUntil = Timestamp.zero
    private var openFor = Self.openFirst
    private var isProbing = false

    init(places: Int) { self.places = places }

    /// Takes a place, if there is one and the breaker is closed; half open it lets one through.
    mutating func enter(at now: Timestamp) -> Admission {
        if takenCount >= places { return .busy }
        if failureCount >= Self.failuresMaximum {
            if now < openUntil || isProbing { return .open }
            isProbing = true
        }
        takenCount += 1
        return .admitted
    }

    /// Gives the place back. An answer, whatever it says, closes the breaker.
    mutating func leave(isAnswered: Bool, at now: Timestamp) {
        takenCount -= 1
        isProbing = false
        if isAnswered {
            failureCount = 0
            openFor = Self.openFirst
            return
        }
        failureCount += 1
        guard failureCount >= Self.failuresMaximum else { return }
        openUntil = now + openFor
        openFor = min(Nanoseconds(openFor.rawValue * 2), Self.openMaximum)
    }

    /// Whether it has nothing to remember.
    var isIdle: Bool { takenCount == 0 && failureCount == 0 }
}
