// Signed heads find a log that somebody has written anew, which checksums and the chain of hashes cannot.

import EventModel
import EventStore
import Testing

@Suite struct `Heads of the log kept elsewhere` {
    /// A log of forty records in several segments, and a point after each group.
    private func written(
        _ disk: SimulatedDisk, payload: UInt64 = 0, count: UInt64 = 40
    ) throws -> (points: [AnchorPoint], heads: [SegmentHead]) {
        let (log, _) = try EventLog.openSmall(disk)
        var points: [AnchorPoint] = []
        for first in stride(from: UInt64(1), through: count, by: 4) {
            var batch = FrameBatch()
            for sequence in first..<first + 4 {
                // One byte of one record is another one in the log that was written anew.
                let time = Int64(sequence) * 1_000 + (sequence == 6 ? Int64(payload) : 0)
                try batch.appendFrame(sequence, at: time)
            }
            try log.append(batch)
            try log.commit()
            if let sealed = log.takeSealedPoint() { points.append(sealed) }
            if let open = try log.anchorPoint() { points.append(open) }
        }
        let heads = try points.map { try $0.head(disk) }
        try log.close()
        return (points, heads)
    }

    private func check(_ disk: SimulatedDisk, _ heads: [SegmentHead]) throws -> AnchorReport {
        try EventLog.verify(directory: logDirectory, storage: disk).check(heads, disk)
    }

    @Test func `confirm the log they were made of, sealed or not, also after it has grown`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (points, heads) = try written(disk)
        #expect(points.contains { $0.isSealed } && points.contains { !$0.isSealed })
        let report = try check(disk, heads)
        #expect(report.contradictions.isEmpty && report.confirmed.count == heads.count)
        #expect(report.anchoredSequence == SequenceNumber(40))
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(41...60)
        try log.close()
        let later = try check(disk, heads)
        #expect(later.contradictions.isEmpty && later.anchoredSequence == SequenceNumber(40), "the rest is the tail")
    }

    @Test func `find a chain that was recomputed, which the chain itself does not`() throws {
        let heads = try written(SimulatedDisk(seed: 1)).heads
        let forged = SimulatedDisk(seed: 2)
        _ = try written(forged, payload: 1)
        let walk = try EventLog.verify(directory: logDirectory, storage: forged)
        #expect(walk.frameCount == 40, "without anchors it is a log like any other")
        let report = try walk.check(heads, forged)
        #expect(!report.contradictions.isEmpty && report.anchoredSequence == nil)
        let last = try check(forged, [try #require(heads.last)])
        #expect(!last.contradictions.isEmpty, "the last head alone stands for everything before it")
    }

    @Test func `find a log that was cut short`() throws {
        let heads = try written(SimulatedDisk(seed: 1)).heads
        let short = SimulatedDisk(seed: 2)
        _ = try written(short, count: 20)
        let report = try check(short, heads)
        #expect(report.contradictions.contains { $0.detail.contains("missing") })
        #expect(report.confirmed.allSatisfy { $0.sequence <= SequenceNumber(20) })
    }

    @Test func `find a log that was divided into other segments`() throws {
        let heads = try written(SimulatedDisk(seed: 1)).heads
        let disk = SimulatedDisk(seed: 2)
        let (log, _) = try EventLog.openSmall(disk, segmentByteLimit: 1_500)
        try log.write(1...40)
        try log.close()
        let report = try check(disk, heads)
        #expect(!report.contradictions.isEmpty)
    }

    @Test func `say nothing of another log, and of what retention has dropped`() throws {
        let disk = SimulatedDisk(seed: 1)
        var heads = try written(disk).heads
        let (log, _) = try EventLog.openSmall(disk)
        let dropped = try log.applyRetention(
            RetentionLimits(byteCount: 2_500), now: .zero, checkpointSequence: SequenceNumber(40))
        try log.close()
        #expect(dropped > 0)
        let report = try check(disk, heads)
        #expect(report.contradictions.isEmpty && report.behindHorizon > 0 && !report.confirmed.isEmpty)
        #expect(report.behindHorizon + report.confirmed.count == heads.count)
        for index in heads.indices { heads[index].logID = String(repeating: "0", count: 32) }
        let foreign = try check(disk, heads)
        #expect(foreign.foreign == heads.count && foreign.anchoredSequence == nil)
    }

    @Test func `of a point hold after a crash, whatever it has torn`() throws {
        for seed in 0..<200 as Range<UInt64> {
            let disk = SimulatedDisk(seed: seed)
            let (log, _) = try EventLog.openSmall(disk)
            try log.write(1...17)
            let head = try #require(try log.anchorPoint()).head(disk)
            try log.append(try .frames(18...20))
            disk.crash()
            let (again, _) = try EventLog.openSmall(disk)
            try again.write(21...30)
            try again.close()
            let report = try check(disk, [head])
            #expect(report.contradictions.isEmpty && report.confirmed.count == 1, "seed \(seed)")
        }
    }
}

@Suite struct `Signatures of heads` {
    private var head: SegmentHead {
        var head = SegmentHead()
        head.logID = String(repeating: "ab", count: 16)
        head.sequence = SequenceNumber(4_711)
        head.machines = [MachineDigest(machine: "registry", digest: Digest(high: 1, low: .max))]
        return head
    }

    @Test func `hold for the key and the head they were made of, and for nothing else`() throws {
        let (key, other) = (AnchorKey.random(), AnchorKey.random())
        let anchor = try key.sign(head)
        #expect(anchor.isSigned(by: key.publicKey))
        #expect(!anchor.isSigned(by: other.publicKey))
        var changed = anchor
        changed.head.sequence = SequenceNumber(4_712)
        #expect(!changed.isSigned(by: key.publicKey))
        changed = anchor
        changed.head.machines[0].digest = .zero
        #expect(!changed.isSigned(by: key.publicKey))
        changed = anchor
        changed.publicKey = other.publicKey
        #expect(!changed.isSigned(by: key.publicKey) && !changed.isSigned(by: other.publicKey))
        for signature in ["", "zz", String(repeating: "0", count: 128), String(anchor.signature.dropLast(2))] {
            changed = anchor
            changed.signature = signature
            #expect(!changed.isSigned(by: key.publicKey))
        }
    }

    @Test func `survive the wire, and so does the key its files`() throws {
        let key = AnchorKey.random()
        let anchor = try key.sign(head)
        let decoded = try Anchor.decode(anchor.encode()[...])
        #expect(decoded == anchor && decoded.isSigned(by: key.publicKey))
        let json = try JSONTranscoder.json(fromBinary: anchor.encode(), kind: .anchor)
        let again = try Anchor.decode(try JSONTranscoder.binary(fromJSON: json, kind: .anchor)[...])
        #expect(again == anchor)
        #expect(AnchorKey(secretLine: key.secretLine)?.publicKey == key.publicKey)
        #expect(AnchorKey.publicKey(line: key.publicLine) == key.publicKey)
        #expect(AnchorKey(secretLine: key.publicLine) == nil && AnchorKey.publicKey(line: key.secretLine) == nil)
        #expect(AnchorKey(secretLine: "") == nil && AnchorKey(secretLine: "a ed25519 00") == nil)
    }

    /// RFC 8032, section 7.1, test 1: the key's public half.
    @Test func `are Ed25519 as RFC 8032 has it`() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
        let key = AnchorKey(secretLine: "latticeforge-anchor-secret ed25519 \(secret)")
        #expect(key?.publicKey == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    }
}
