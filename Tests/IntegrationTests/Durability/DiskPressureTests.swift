// The disk fills: what is refused first, what never, and that the levels do not flap.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

@Suite struct `Disk pressure` {
    private func levels(_ used: [UInt64]) -> [DiskPressureLevel] {
        var pressure = DiskPressure(DiskPressureThresholds())
        return used.map {
            _ = pressure.note(Self.small(used: $0))
            return pressure.level
        }
    }

    /// A disk so small that there is never much room.
    private static func small(used basisPoints: UInt64) -> DiskSpace {
        DiskSpace(freeBytes: 10_000 - basisPoints, totalBytes: 10_000)
    }

    private func level(free: UInt64, of total: UInt64) -> DiskPressureLevel {
        var pressure = DiskPressure(DiskPressureThresholds())
        _ = pressure.note(DiskSpace(freeBytes: free, totalBytes: total))
        return pressure.level
    }

    @Test func `a large disk with much room is not full, whatever the share`() {
        let (gigabyte, terabyte): (UInt64, UInt64) = (1 << 30, 1 << 40)
        #expect(level(free: 400 * gigabyte, of: 2 * terabyte) == .none)
        #expect(level(free: 20 * gigabyte, of: 2 * terabyte) == .none)
        #expect(level(free: 20 * gigabyte - 1, of: 2 * terabyte) == .captures)
        #expect(level(free: 10 * gigabyte - 1, of: 2 * terabyte) == .spans)
        #expect(level(free: 3 * gigabyte - 1, of: 2 * terabyte) == .registryOnly)
        #expect(level(free: 15 * gigabyte, of: 20 * gigabyte) == .none, "little room on a disk that is empty")
    }

    @Test func `by room a level ends when a tenth more is free`() {
        let gigabyte: UInt64 = 1 << 30
        var pressure = DiskPressure(DiskPressureThresholds())
        for (free, expected) in [
            (19 * gigabyte, DiskPressureLevel.captures), (21 * gigabyte, .captures), (22 * gigabyte, .none),
            (21 * gigabyte, .none), (2 * gigabyte, .registryOnly), (12 * gigabyte, .captures),
        ] {
            _ = pressure.note(DiskSpace(freeBytes: free, totalBytes: 4_000 * gigabyte))
            #expect(pressure.level == expected, "\(free) bytes free")
        }
    }

    @Test func `never milder with less room, for every disk and every pair of measurements`() {
        for total in stride(from: UInt64(0), through: 41, by: 1).map({ UInt64(1) << $0 }) {
            var before = DiskPressureLevel.registryOnly
            for step in UInt64(0)...64 {
                let now = level(free: total / 64 * step, of: total)
                #expect(now <= before, "\(step) of 64 parts of \(total) free")
                before = now
            }
        }
    }

    @Test func `rises at 80, 90 and 97 percent`() {
        #expect(
            levels([0, 7_999, 8_000, 8_999, 9_000, 9_699, 9_700, 10_000])
                == [.none, .none, .captures, .captures, .spans, .spans, .registryOnly, .registryOnly])
        #expect(levels([9_800]) == [.registryOnly], "a disk that is full at the start")
    }

    @Test func `falls two percent below where a level began, each level for itself`() {
        #expect(
            levels([9_700, 9_699, 9_501, 9_500, 9_499, 8_800, 8_799, 7_800, 7_799])
                == [
                    .registryOnly, .registryOnly, .registryOnly, .registryOnly, .spans, .spans, .captures, .captures,
                    .none,
                ])
        #expect(levels([9_900, 1_000]) == [.registryOnly, .none], "much room at once ends every level")
    }

    @Test func `does not flap around a threshold, and says only when it changed`() {
        var pressure = DiskPressure(DiskPressureThresholds())
        var changes = 0
        for round in 0..<1_000 {
            if pressure.note(Self.small(used: round % 2 == 0 ? 8_050 : 7_950)) { changes += 1 }
        }
        #expect(changes == 1 && pressure.level == .captures)
    }

    @Test func `rises and falls with a margin for every pair of measurements`() {
        for before in stride(from: UInt64(7_000), through: 10_000, by: 50) {
            for after in stride(from: UInt64(7_000), through: 10_000, by: 50) {
                let pair = levels([before, after])
                if after >= before { #expect(pair[1] >= pair[0]) } else { #expect(pair[1] <= pair[0]) }
                if before - min(before, after) >= DiskPressureThresholds.margin + 1 {
                    #expect(levels([after])[0] <= pair[1])
                }
                #expect(pair[1] >= levels([after])[0], "never milder than the measurement alone")
            }
        }
    }

    @Test func `refuses captures first, then spans, then all but registry, policy and audit`() {
        func refused(_ level: DiskPressureLevel) -> Set<EventType> { Set(EventType.allCases.filter(level.refuses)) }
        #expect(refused(.none).isEmpty)
        #expect(refused(.captures) == [.requestCaptured])
        #expect(refused(.spans) == [.requestCaptured, .spansReceived])
        let kept: Set<EventFamily> = [.registry, .policy, .audit]
        let rest = Set(EventType.allCases.filter { !kept.contains($0.family) })
        #expect(refused(.registryOnly) == rest)
    }

    @Test func `takes thresholds in order only, and none at all`() {
        func thresholds(_ levels: (UInt64, UInt64?)...) -> DiskPressureThresholds? {
            let levels = levels.map { DiskPressureThreshold(usedShare: $0.0, freeBytes: $0.1) }
            return DiskPressureThresholds(captures: levels[0], spans: levels[1], registryOnly: levels[2])
        }
        #expect(thresholds((9_000, nil), (8_000, nil), (9_700, nil)) == nil)
        #expect(thresholds((0, nil), (8_000, nil), (9_700, nil)) == nil)
        #expect(thresholds((8_000, nil), (9_000, nil), (10_001, nil)) == nil)
        #expect(thresholds((8_000, 5), (9_000, 6), (9_700, 1)) == nil, "a graver level with more room")
        #expect(thresholds((8_000, 5), (9_000, nil), (9_700, nil)) == nil)
        #expect(thresholds((1, nil), (1, nil), (1, nil)) != nil)
        #expect(thresholds((1, nil), (1, .max), (1, .max)) != nil)
        var none = DiskPressure(nil)
        #expect(!none.note(Self.small(used: 10_000)) && none.level == .none)
    }

    private static let sizes: [(DiskSpace, UInt64)] = [
        (DiskSpace(freeBytes: 0, totalBytes: 0), 10_000), (DiskSpace(freeBytes: 1, totalBytes: 4_096), 9_997),
        (DiskSpace(freeBytes: 4_096, totalBytes: 4_096), 0), (DiskSpace(freeBytes: .max, totalBytes: 1), 0),
        (DiskSpace(freeBytes: 0, totalBytes: .max), 10_000), (DiskSpace(freeBytes: 30, totalBytes: 1_000), 9_700),
    ]

    @Test(arguments: sizes)
    func `measures the used share of any size`(_ example: (DiskSpace, UInt64)) {
        #expect(example.0.usedBasisPoints == example.1)
    }
}

/// A file that leaves little room; its path.
private func fill(_ disk: SmallDisk, bytes: Int) throws -> String {
    let filler = disk.path + "/filler"
    try Data(count: bytes).write(to: URL(filePath: filler))
    return filler
}

extension `A node` {
    @Suite(.serialized, .enabled(if: SmallDisk.isPossible, "needs the right to mount a tmpfs"))
    struct `on a disk that fills` {
        private static let tick = Message(subject: "lattice.events.clock.tick", payload: Array(#"{"slot":"7"}"#.utf8))

        @Test func `refuses what can wait, takes the registry, and takes all again when there is room`() async throws {
            try await Stage.with { stage in
                let disk = try #require(try SmallDisk.make(at: stage.directory.path + "/disk", size: "64m"))
                let filler = try fill(disk, bytes: 63 << 20)
                let node = try await stage.node(in: disk.path + "/data")
                let client = try await stage.client()
                let isTold = try await eventually {
                    try await client.status()["disk_pressure"].text == "all_but_registry"
                }
                #expect(isTold)
                let ear = try await client.listen("lattice.rejected")
                #expect(try await client.ask(Self.tick)["reason"].text == "disk_pressure")
                #expect(try JSON(try await ear.next(), .rejection)["reason"].text == "disk_pressure")
                #expect(try await client.register("checkout", ["a"])["outcome"].text == "accepted")
                let policy = try await client.tell(.registryConfigured, "me", #"{"guard_windows":3}"#)
                #expect(policy["outcome"].text == "accepted")
                #expect(stage.words.contain("disk pressure"))
                #expect(node.node.isReady, "the registry is served")
                try FileManager.default.removeItem(atPath: filler)
                let isOver = try await eventually { try await client.status()["disk_pressure"].text == "none" }
                #expect(isOver)
                #expect(try await client.ask(Self.tick)["outcome"].text == "accepted")
            }
        }

        @Test func `refuses nothing over a stream, since replicas hold the same log`() async throws {
            try await Stage.with(jetStream: true) { stage in
                try await JetStreamAdministration(try await stage.connect("administrator")).ensureStream(
                    StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"]))
                let disk = try #require(try SmallDisk.make(at: stage.directory.path + "/disk", size: "64m"))
                _ = try fill(disk, bytes: 63 << 20)
                let cramped = try await stage.node(in: disk.path + "/data", stream: "LATTICE") {
                    $0.tickInterval = .milliseconds(200)
                }
                let roomy = try await stage.node(in: "roomy", stream: "LATTICE") {
                    $0.tickInterval = .milliseconds(200)
                }
                let isTold = try await eventually {
                    await cramped.node.status().diskPressure == "all_but_registry"
                }
                #expect(isTold)
                let client = try await stage.client()
                try client.bus.publish(Self.tick)
                let outcome = try await client.askByHeader(
                    try client.event(.registered, "checkout", Client.registration("checkout", ["a"])))
                let sequence = UInt64(outcome["sequence"].number)
                try await cramped.waitUntilApplied(sequence)
                try await roomy.waitUntilApplied(sequence)
                #expect(await cramped.node.status().rejectedMessages == 0)
                let ticks = try [cramped, roomy].map { node in
                    try node.records(.tick).filter { $0.sequence.rawValue <= sequence }.map(\.sequence)
                }
                #expect(ticks[0] == ticks[1])
            }
        }
    }

    @Suite(.serialized) struct `under a flood of spans and captures` {
        @Test func `serves the registry first, from queues of its own`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let flooder = try await stage.client()
                let noise = [UInt8](repeating: 9, count: 300)
                let spans = Message(subject: "lattice.events.trace.noisy.spans", payload: noise)
                let captures = Message(subject: "lattice.events.mirror.noisy.captured", payload: noise)
                let before = try await client.status()["rejected_messages"].number
                for batch in 0..<40 {
                    try flooder.bus.publish(contentsOf: Array(repeating: spans, count: 3_000))
                    try flooder.bus.publish(contentsOf: Array(repeating: captures, count: 3_000))
                    let outcome = try await client.register("checkout", ["i\(batch)"])
                    #expect(outcome["outcome"].text == "accepted")
                }
                #expect(try await client.ids("checkout").count == 40)
                #expect(try await client.status()["rejected_messages"].number > before, "the flood came in too")
                await node.stop()
            }
        }
    }
}
