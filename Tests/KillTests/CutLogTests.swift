// A log that lost records goes on, and no checkpoint of what it lost becomes its state.

import Foundation
import Testing

/// Damage, a repair, new events, a kill, a start.
@Suite(.serialized) struct `A node whose log was cut` {
    /// What the operator says to `lattice log repair`, beside `--yes`.
    enum Choice: String, CaseIterable, Sendable {
        case before, intact, cheaper

        var options: [String] { self == .cheaper ? [] : ["--keep", rawValue] }
    }

    @Test(
        .enabled(if: Tools.python != nil, "no python3 with nats-py: make test-dependencies"), arguments: Choice.allCases
    )
    func `has the state of its records after 420 of them, damage, a repair, 400 new ones and a kill`(
        _ choice: Choice
    ) throws {
        let stage = try KillStage()
        defer { stage.end() }
        try stage.startPublisher("old")
        try stopAfter(420, stage)
        try damage(stage.data, at: 0.28)
        try repair(stage, choice)
        let kept = try stage.registered()
        #expect(choice == .before ? kept.count < 200 : kept.count > 400)

        var node = try stage.startNode()
        #expect(try stage.instanceCount() == kept.count, "right after the repair")
        let old = stage.acknowledged.count
        try stage.startPublisher("new")
        try stage.waitForAcknowledged(old + 400, "new events")
        node.killNow()
        node = try stage.startNode()
        try stage.stopPublishers()
        let first = try stage.registered()
        stage.compare(stage.acknowledged.filter { $0.hasPrefix("instance-new") }, first)
        #expect(try stage.instanceCount() == first.count, "none is back, and none is missing")
        try stage.compareDigests("after the kill")
        node.process.terminate()
        node.process.waitUntilExit()
        let verified = try stage.lattice("verify")
        #expect(verified.status == 0, "\(verified)")
    }

    @Test(.enabled(if: Tools.python != nil, "no python3 with nats-py: make test-dependencies"))
    func `does not start without records that a checkpoint was made of, until an operator has said so`() throws {
        let stage = try KillStage()
        defer { stage.end() }
        try stage.startPublisher("old")
        try stopAfter(300, stage)
        // The disk has only the beginning of it, up to the end of a record's mark, so that nothing looks broken.
        let path = stage.data + "/00000000000000000001.log"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let mark = Data("LFDURABL".utf8)
        let found = try #require(bytes.range(of: mark, in: bytes.count / 3..<bytes.count))
        try bytes.prefix(found.lowerBound + 24).write(to: URL(fileURLWithPath: path))

        let refused = try Tools.run(
            Tools.lattice, ["serve", "--nats", stage.url, "--data", stage.data, "--http", "none"])
        #expect(refused.status == 4)
        let verified = try stage.lattice("verify")
        #expect(verified.status == 4)
        let look = try stage.lattice("log", "repair")
        #expect(look.status == 4 && look.output.contains("the log ends before it"), "\(look)")
        let repaired = try stage.lattice("log", "repair", "--yes")
        #expect(repaired.status == 0 && repaired.output.contains("are gone"), "\(repaired)")
        let node = try stage.startNode()
        #expect(try stage.instanceCount() == stage.registered().count)
        try stage.compareDigests("what is left")
        node.killNow()
    }

    /// So many events, checkpoints on the way, an end in order.
    private func stopAfter(_ count: Int, _ stage: KillStage) throws {
        let node = try stage.startNode()
        try stage.waitForAcknowledged(count, "old events")
        try stage.stopPublishers()
        node.process.terminate()
        node.process.waitUntilExit()
        #expect(node.process.terminationStatus == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: stage.data + "/checkpoints")
        #expect(names.contains { $0.hasSuffix(".ckpt") })
    }

    /// Changes bytes of one record, so that it is broken for good.
    private func damage(_ data: String, at share: Double) throws {
        let url = URL(fileURLWithPath: data + "/00000000000000000001.log")
        var bytes = try Data(contentsOf: url)
        let place = Int(Double(bytes.count) * share)
        for offset in place..<place + 40 { bytes[offset] ^= 0x5A }
        try bytes.write(to: url)
    }

    private func repair(_ stage: KillStage, _ choice: Choice) throws {
        let look = try stage.lattice("log", "repair")
        #expect(look.status == 4 && look.output.contains("--keep intact"), "\(look)")
        let repaired = try Tools.run(
            Tools.lattice, ["log", "repair", "--yes", "--data", stage.data] + choice.options)
        #expect(repaired.status == 0 && repaired.output.contains("set aside"), "\(repaired)")
    }
}
