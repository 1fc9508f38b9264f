// Digests of the machines at positions of the log, kept beside the checkpoints as lines of text.

package import EventModel

/// The digests of all machines at one position.
package struct LadderRung: Hashable, Sendable {
    package var sequence: SequenceNumber
    package var recordedAt: Timestamp
    package var machines: [MachineDigest]

    package init(sequence: SequenceNumber, recordedAt: Timestamp, machines: [MachineDigest]) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.machines = machines
    }
}

/// Rungs in ascending order. The format is described in LogFormat.md: a line `lattice-digests 1`, then a line for each
/// rung with sequence, nanoseconds, `machine=digest` of each machine, and the CRC32C of what stands before it.
package enum DigestLadder {
    /// The name of the file.
    package static let fileName = "digests"
    private static let heading = "lattice-digests 1"
    private static let headingStart = "lattice-digests "
    /// A file that is read has at most so many bytes.
    private static let byteMaximum: UInt64 = 256 << 20

    /// One rung as a line.
    static func line(_ rung: LadderRung) -> String {
        let machines = rung.machines.map { "\($0.machine)=\($0.digest)" }.joined(separator: " ")
        let text = "\(rung.sequence) \(rung.recordedAt.rawValue) \(machines)"
        return "\(text) \(hexadecimal(Checksum.crc32c(Array(text.utf8).span)))\n"
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// A whole file.
    package static func encode(_ rungs: [LadderRung]) -> [UInt8] {
        Array((heading + "\n" + rungs.map(line).joined()).utf8)
    }

    /// Reads a file: the rungs, and how many bytes of it are whole. An incomplete last line is what a crash leaves and
    /// is passed over; anything else that is not a rung throws `.checkpointDamaged`, another version `.formatUnknown`.
    package static func decode(
        _ bytes: [UInt8], path: String
    ) throws(EventStoreError) -> (rungs: [LadderRung], end: Int) {
        var rungs: [LadderRung] = []
        var end = 0
        for (number, line) in lines(bytes).enumerated() {
            let text = String(decoding: line, as: UTF8.self)
            if number == 0 {
                try checkHeading(text, path)
            } else {
                guard let rung = rung(text), rungs.last.map({ $0.sequence < rung.sequence }) ?? true else {
                    throw EventStoreError(.checkpointDamaged, path: path, detail: "line \(number + 1) is no digest")
                }
                rungs.append(rung)
            }
            end += line.count + 1
        }
        return (rungs, end)
    }

    /// What ends with a line feed.
    private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        lines.removeLast()
        return lines
    }

    private static func checkHeading(_ text: String, _ path: String) throws(EventStoreError) {
        if text == heading { return }
        guard text.hasPrefix(headingStart), let version = UInt32(text.dropFirst(headingStart.count)) else {
            throw EventStoreError(.checkpointDamaged, path: path, detail: "it is no ladder of digests")
        }
        throw EventStoreError(.formatUnknown(version: version), path: path, detail: "a ladder of digests")
    }

    private static func rung(_ line: String) -> LadderRung? {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 4, let last = words.last, let checksum = UInt32(last, radix: 16), last.utf8.count == 8,
            let sequence = UInt64(words[0]), let time = Int64(words[1]),
            checksum == Checksum.crc32c(Array(line.utf8.dropLast(9)).span)
        else { return nil }
        var machines: [MachineDigest] = []
        for word in words[2..<words.count - 1] {
            let parts = word.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let digest = Digest(hexadecimal: parts[1]) else { return nil }
            machines.append(MachineDigest(machine: String(parts[0]), digest: digest))
        }
        return LadderRung(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time), machines: machines)
    }

    /// The rungs of a file. Throws `.notFound` without one.
    package static func read(
        _ path: String, storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) -> [LadderRung] {
        try decode(bytes(try storage.open(path, .read), path), path: path).rungs
    }

    /// The last rungs of a file, ascending: as many as its last 64 KiB hold. An incomplete last line is passed over; a line
    /// that is no rung throws `.checkpointDamaged`.
    static func tail(_ path: String, storage: any LogStorage) throws(EventStoreError) -> [LadderRung] {
        let file = try storage.open(path, .read)
        let size = try file.byteCount()
        let start = size - min(size, tailByteCount)
        let bytes = try file.read(at: start, count: Int(size - start))
        if start == 0 { return try decode(bytes, path: path).rungs }
        let whole = bytes[(bytes.firstIndex(of: 0x0A) ?? bytes.endIndex)...].dropFirst()
        return try decode(Array((heading + "\n").utf8) + whole, path: path).rungs
    }

    private static let tailByteCount: UInt64 = 64 << 10

    private static func bytes(_ file: any LogFile, _ path: String) throws(EventStoreError) -> [UInt8] {
        guard try file.byteCount() <= byteMaximum else {
            throw EventStoreError(.checkpointDamaged, path: path, detail: "it is too long for a ladder of digests")
        }
        return try file.readAll()
    }

    /// Adds a rung to the file of a directory; durable when this returns. Rungs at or behind its sequence, which a
    /// log that was cut or replaced leaves, go; a damaged file is begun anew, since every rung can be had from the log.
    package static func append(
        _ rung: LadderRung, in directory: String, storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) {
        let path = directory + "/" + fileName
        guard try storage.fileNames(in: directory).contains(fileName) else {
            return try storage.replaceAtomically(path, in: directory, with: encode([rung]))
        }
        let file = try storage.open(path, .readWrite)
        guard let (rungs, end) = try? decode(bytes(file, path), path: path), end > 0 else {
            return try storage.replaceAtomically(path, in: directory, with: encode([rung]))
        }
        if let last = rungs.last, last.sequence >= rung.sequence {
            let kept = rungs.filter { $0.sequence < rung.sequence }
            return try storage.replaceAtomically(path, in: directory, with: encode(kept + [rung]))
        }
        try file.truncate(to: UInt64(end))
        try file.writeAll(Array(line(rung).utf8).span, at: UInt64(end))
        try file.synchronize()
    }
}

extension Digest {
    /// Reads 32 hexadecimal digits.
    package init?(hexadecimal text: some StringProtocol) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }
}
