// Bytes per second and service: a token bucket each, a bounded number of them.

import EventModel

/// Says whether a service may say so much now (operations.md, rates). Core mode only: what a stream holds is a fact.
struct RateLimiter: Sendable {
    private struct Bucket: Sendable {
        var level: Int64
        var filledAt: Timestamp
    }

    private static let bucketsMaximum = 4_096
    private let bytesPerSecond: Int64
    private let burst: Int64
    private var buckets: [String: Bucket] = [:]

    /// 0 bytes per second: no limit. The burst is twice the rate.
    init(bytesPerSecond: Int) {
        self.bytesPerSecond = Int64(bytesPerSecond)
        burst = 2 * Int64(bytesPerSecond)
    }

    /// Takes `bytes` from the service's share; false if it is used up.
    mutating func admits(_ service: String, bytes: Int, now: Timestamp) -> Bool {
        if bytesPerSecond == 0 { return true }
        if buckets.count >= Self.bucketsMaximum && buckets[service] == nil { dropFull(now) }
        var bucket = buckets[service] ?? Bucket(level: burst, filledAt: now)
        refill(&bucket, now)
        let isAdmitted = bucket.level >= Int64(bytes)
        if isAdmitted { bucket.level -= Int64(bytes) }
        buckets[service] = bucket
        return isAdmitted
    }

    private func refill(_ bucket: inout Bucket, _ now: Timestamp) {
        // A clock that was set back must not stop a service, one set ahead fills the bucket once.
        let elapsed = max(0, min((now - bucket.filledAt).rawValue, 2_000_000_000))
        bucket.level = min(burst, bucket.level + Int64(Double(elapsed) / 1e9 * Double(bytesPerSecond)))
        bucket.filledAt = now
    }

    private mutating func dropFull(_ now: Timestamp) {
        for (service, bucket) in buckets {
            var filled = bucket
            refill(&filled, now)
            if filled.level == burst { buckets[service] = nil }
        }
        if buckets.count >= Self.bucketsMaximum { buckets.removeAll(keepingCapacity: true) }
    }
}
