// The same comparisons for as long as one likes: LATTICE_FUZZ_SECONDS=3600 swift test --filter LongFuzz

import EventModel
import Foundation
import TestKit
import Testing

@Suite struct `Long fuzz run` {
    private static let seconds = ProcessInfo.processInfo.environment["LATTICE_FUZZ_SECONDS"].flatMap { Double($0) }
    private static let seed = ProcessInfo.processInfo.environment["LATTICE_FUZZ_SEED"].flatMap { UInt64($0) }

    @Test(.enabled(if: seconds != nil))
    func `codec and transcoder agree with the generated code for LATTICE_FUZZ_SECONDS`() throws {
        let end = Date().addingTimeInterval(Self.seconds ?? 0)
        var seed = Self.seed ?? UInt64(Date().timeIntervalSince1970)
        var rounds = 0
        while Date() < end {
            var random = SeededGenerator(seed: seed)
            for type in EventType.allCases {
                do {
                    try CodecComparison.roundTrip(type, &random)
                    for _ in 0..<20 { try CodecComparison.mutation(type, &random) }
                    try JSONComparison.roundTrip(type, &random)
                    for _ in 0..<10 { try JSONComparison.mutation(type, &random) }
                } catch {
                    Issue.record("LATTICE_FUZZ_SEED=\(seed), \(type): \(error)")
                }
            }
            rounds += 1
            seed &+= 1
        }
        print("fuzz: \(rounds) rounds, last LATTICE_FUZZ_SEED=\(seed &- 1)")
    }
}
