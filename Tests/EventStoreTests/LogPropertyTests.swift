// What a log promises, whatever happens to process, power and disk.

import EventModel
import EventStore
import Testing

@Suite struct `A log under a thousand fates` {
    @Test(arguments: 0..<8)
    func `keeps what was committed, once and in order, and invents nothing`(shard: Int) throws {
        for seed in 0..<128 {
            var workload = LogWorkload(seed: UInt64(shard * 128 + seed))
            do {
                try workload.run(steps: 40)
            } catch {
                Issue.record("seed \(shard * 128 + seed): \(error)")
            }
        }
    }
}

@Suite struct `Found seeds` {
    @Test func `a seal that was being written when the power went is not taken for a seal`() throws {
        var workload = LogWorkload(seed: 544)
        try workload.run(steps: 60)
    }
}
