// Bytes and spans per second and service: token buckets, a bounded number of them.

import EventModel

/// Says whether a service may say so much now (Limits.md, The node). Core mode only: what a stream holds is a fact.
struct RateLimiter: Sendable {
    /// What one service has left, with fractions: a share that is looked at often must fill as fast as any other.
    private struct Share: Sendable {
        var bytes: Double
        var spans: Double
        var filledAt: Timestamp
    }

    private static let sharesMaximum = 4_096
    private let bytesPerSecond: Int64
    private let spansPerSecond: Int64
    private var shares: [ByteName: Share] = [:]

    /// 0 per second: no limit. The burst is twice the rate.
    init(bytesPerSecond: Int, spansPerSecond: Int) {
        self.bytesPerSecond = Int64(bytesPerSecond)
        self.spansPerSecond = Int64(spansPerSecond)
    }

    /// Takes bytes and spans from the service's share; false, and nothing is taken, if either is used up.
    ///
    /// A message of more spans than the burst has to wait for a full share and leaves a debt: it would never pass else.
    mutating func admits(_ service: String, bytes: Int, spans: Int, now: Timestamp) -> Bool {
        if bytesPerSecond == 0 && (spansPerSecond == 0 || spans == 0) { return true }
        let service = ByteName(service)
        if shares.count >= Self.sharesMaximum && shares[service] == nil { dropFull(now) }
        var share =
            shares[service]
            ?? Share(bytes: Double(2 * bytesPerSecond), spans: Double(2 * spansPerSecond), filledAt: now)
        refill(&share, now)
        let isAdmitted =
            (bytesPerSecond == 0 || share.bytes >= Double(bytes))
            && (spansPerSecond == 0 || share.spans >= Double(min(Int64(spans), 2 * spansPerSecond)))
        if isAdmitted {
            if bytesPerSecond != 0 { share.bytes -= Double(bytes) }
            if spansPerSecond != 0 { share.spans -= Double(spans) }
        }
        shares[service] = share
        return isAdmitted
    }

    private func refill(_ share: inout Share, _ now: Timestamp) {
        // A clock that was set back must not stop a service, one set ahead fills the share once.
        let elapsed = Double(max(0, (now - share.filledAt).rawValue)) / 1e9
        share.bytes = Self.filled(share.bytes, elapsed, bytesPerSecond)
        share.spans = Self.filled(share.spans, elapsed, spansPerSecond)
        share.filledAt = now
    }

    private static func filled(_ level: Double, _ elapsed: Double, _ rate: Int64) -> Double {
        min(Double(2 * rate), level + elapsed * Double(rate))
    }

    private mutating func dropFull(_ now: Timestamp) {
        for (service, share) in shares {
            var filled = share
            refill(&filled, now)
            if filled.bytes == Double(2 * bytesPerSecond) && filled.spans == Double(2 * spansPerSecond) {
                shares[service] = nil
            }
        }
        if shares.count >= Self.sharesMaximum { shares.removeAll(keepingCapacity: true) }
    }
}
