// Logs that earlier versions recorded still mean what they meant: same records, same digests.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import StateMachines
import TestKit
import Testing

@Suite struct `Recorded histories` {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Histories").path

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return files.filter { $0.hasSuffix(".digests") }.map { String($0.dropLast(8)) }.sorted()
    }()

    private static let advice = """
        The meaning of recorded events has changed. If that was not meant, it is a bug of this change. If it was: keep \
        the old meaning for old records (an upcaster by event type and version, or semantics that begin at a \
        `policy.semantics_activated` record), say so in CHANGELOG.md, and record a new history beside the old ones \
        with `lattice log history NAME --into Tests/Histories`.
        """

    @Test func `there are histories`() { #expect(!Self.names.isEmpty) }

    @Test(arguments: names)
    func `a history has the digests that were recorded with it`(_ name: String) throws {
        let data = FileManager.default.temporaryDirectory.appendingPathComponent("history-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: data) }
        _ = try EventLog.importLog(from: Self.directory + "/\(name).lattice", into: data)
        let rungs = try DigestLadder.read(Self.directory + "/\(name).digests")
        let timeline = Timeline(
            reader: try LogReader.open(directory: data), checkpoints: CheckpointStore(directory: data + "/checkpoints"))
        #expect(rungs.last?.sequence == timeline.reader.lastSequence)
        var state = MeshState()
        for rung in rungs {
            try timeline.advance(&state, through: rung.sequence)
            let digests = state.digests()
            let parted = digests.filter { !rung.machines.contains($0) }.map(\.machine)
            #expect(parted == [], "\(name), record \(rung.sequence) or shortly before: \(Self.advice)")
            if !parted.isEmpty { return }
        }
    }

    @Test(arguments: names)
    func `every state of a history survives a checkpoint`(_ name: String) throws {
        let data = FileManager.default.temporaryDirectory.appendingPathComponent("history-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: data) }
        _ = try EventLog.importLog(from: Self.directory + "/\(name).lattice", into: data)
        let checkpoints = CheckpointStore(directory: data + "/checkpoints")
        let timeline = Timeline(reader: try LogReader.open(directory: data), checkpoints: checkpoints)
        var whole = try timeline.state(at: timeline.reader.lastSequence)
        let middle = try timeline.state(at: SequenceNumber(timeline.reader.lastSequence.rawValue / 2))
        try CheckpointCodec.save(middle, of: timeline.reader, to: checkpoints, createdAt: .zero)
        var again = try timeline.state(at: timeline.reader.lastSequence)
        #expect(whole.digests() == again.digests())
        let kept = try DigestLadder.read(checkpoints.directory + "/" + DigestLadder.fileName)
        #expect(kept.map(\.sequence) == [middle.moment.sequence])
    }
}
