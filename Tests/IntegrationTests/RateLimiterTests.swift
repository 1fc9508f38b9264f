// Shares of the intake by service, with a clock turned by hand.

import EventModel
import Testing

@testable import NodeRuntime

/// A limiter that an expectation may change.
private final class Limiter {
    private var limiter: RateLimiter

    init(bytesPerSecond: Int = 0, spansPerSecond: Int = 0) {
        limiter = RateLimiter(bytesPerSecond: bytesPerSecond, spansPerSecond: spansPerSecond)
    }

    func admits(_ service: String, bytes: Int = 0, spans: Int = 0, now: Timestamp) -> Bool {
        limiter.admits(service, bytes: bytes, spans: spans, now: now)
    }
}

@Suite struct `The rate of a service` {
    private let start = Timestamp(nanoseconds: 1_000_000_000_000)

    @Test func `has a burst of twice the rate, which fills up again`() {
        let limiter = Limiter(bytesPerSecond: 100)
        #expect(limiter.admits("a", bytes: 200, now: start))
        #expect(!limiter.admits("a", bytes: 1, now: start))
        #expect(limiter.admits("b", bytes: 200, now: start), "each has its own")
        #expect(!limiter.admits("a", bytes: 101, now: start + .seconds(1)))
        #expect(limiter.admits("a", bytes: 100, now: start + .seconds(1)))
        #expect(limiter.admits("a", bytes: 200, now: start + .seconds(3_600)))
        #expect(!limiter.admits("a", bytes: 1, now: start + .seconds(3_600)))
    }

    @Test func `fills as fast for who is looked at often`() {
        let limiter = Limiter(spansPerSecond: 10_000)
        #expect(limiter.admits("a", spans: 20_000, now: start))
        // 20 µs are a fifth of a span: fractions must not be lost between two looks.
        let taken = (1...50_000).count { limiter.admits("a", spans: 1, now: start + Nanoseconds($0 * 20_000)) }
        #expect((9_990...10_000).contains(taken))
    }

    @Test func `is not stopped by a clock that was set back`() {
        let limiter = Limiter(bytesPerSecond: 100)
        #expect(limiter.admits("a", bytes: 200, now: start + .seconds(3_600)))
        #expect(!limiter.admits("a", bytes: 100, now: start))
        #expect(limiter.admits("a", bytes: 100, now: start + .seconds(1)))
    }

    @Test func `has no limit at zero`() {
        let limiter = Limiter(bytesPerSecond: 0)
        #expect(limiter.admits("a", bytes: .max, now: start))
    }

    @Test func `is forgotten for services that are silent, when there are too many`() {
        let limiter = Limiter(bytesPerSecond: 100)
        #expect(limiter.admits("loud", bytes: 200, now: start + .seconds(2)))
        for number in 0..<4_095 { #expect(limiter.admits("\(number)", bytes: 1, now: start)) }
        // The 4,097th: the others have filled up again and go, the loud one stays limited.
        #expect(limiter.admits("new", bytes: 1, now: start + .seconds(2)))
        #expect(!limiter.admits("loud", bytes: 1, now: start + .seconds(2)))
    }

    @Test func `is forgotten for all when all are loud, so that memory is bounded`() {
        let limiter = Limiter(bytesPerSecond: 100)
        for number in 0..<4_096 { #expect(limiter.admits("\(number)", bytes: 200, now: start)) }
        #expect(!limiter.admits("0", bytes: 1, now: start))
        #expect(limiter.admits("new", bytes: 200, now: start))
        #expect(limiter.admits("0", bytes: 200, now: start))
    }

    @Test func `counts spans beside bytes, and takes neither where one is used up`() {
        let limiter = Limiter(bytesPerSecond: 1_000, spansPerSecond: 10)
        #expect(limiter.admits("a", bytes: 100, spans: 20, now: start))
        #expect(!limiter.admits("a", bytes: 100, spans: 1, now: start))
        #expect(limiter.admits("a", bytes: 1_900, now: start), "what is no span needs none, and no bytes were taken")
        #expect(!limiter.admits("a", bytes: 1, now: start))
        #expect(!limiter.admits("a", bytes: 10, spans: 11, now: start + .seconds(1)))
        #expect(limiter.admits("a", bytes: 10, spans: 10, now: start + .seconds(1)))
    }

    @Test func `lets a message larger than the burst pass once, and waits for the debt`() {
        let limiter = Limiter(spansPerSecond: 10)
        #expect(limiter.admits("a", spans: 50, now: start))
        #expect(!limiter.admits("a", spans: 1, now: start + .seconds(3)))
        #expect(limiter.admits("a", spans: 1, now: start + .milliseconds(3_100)))
        #expect(!limiter.admits("a", spans: 50, now: start + .seconds(4)), "it waits for a full share")
        #expect(limiter.admits("a", spans: 50, now: start + .seconds(6)))
    }
}
