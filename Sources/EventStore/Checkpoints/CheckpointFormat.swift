// A checkpoint as bytes.

import EventModel

/// Header, sections, and the SHA-256 of both; all numbers little-endian. Version 1 has no proof.
enum CheckpointFormat {
    static let magic = Array("LFCHKPNT".utf8)
    /// The version of a checkpoint that names its record.
    static let version: UInt32 = 2
    /// Bytes of a header by its version, without the checksum that follows.
    private static func headByteCount(_ version: UInt32) -> Int { version == 1 ? 48 : 96 }
    /// Whoever has so many bytes, or the whole file, has the header.
    static let headByteMaximum = 100

    static func encode(_ checkpoint: Checkpoint, _ sections: [() -> Checkpoint.Section]) -> () -> [UInt8]? {
        var hash = RunningHash()
        var index = -1
        return {
            defer { index += 1 }
            if index > sections.count { return nil }
            if index == sections.count { return hash.finish().bytes }
            let bytes = index < 0 ? header(checkpoint, sections.count) : encode(sections[index]())
            hash.update(bytes.span)
            return bytes
        }
    }

    private static func header(_ checkpoint: Checkpoint, _ sectionCount: Int) -> [UInt8] {
        var header = ByteWriter()
        header.put(magic)
        header.put(checkpoint.proof == nil ? 1 : version)
        header.put(UInt32(sectionCount))
        header.put(checkpoint.sequence.rawValue)
        header.put(checkpoint.recordedAt.rawValue)
        header.put(checkpoint.semanticsVersion)
        header.put(checkpoint.codecVersion)
        header.put(checkpoint.createdAt.rawValue)
        if let proof = checkpoint.proof {
            header.put(proof.logID.bytes)
            header.put(proof.hash.bytes)
        }
        header.putChecksum()
        return header.bytes
    }

    private static func encode(_ section: Checkpoint.Section) -> [UInt8] {
        let name = Array(section.name.utf8)
        precondition(name.count <= Int(UInt16.max), "a machine's name is short")
        var writer = ByteWriter()
        writer.put(UInt16(name.count))
        writer.put(UInt64(section.bytes.count))
        writer.put(section.digest.high)
        writer.put(section.digest.low)
        writer.put(name)
        writer.put(section.bytes)
        writer.putChecksum()
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8], path: String) throws(EventStoreError) -> Checkpoint {
        func damaged(_ detail: String) -> EventStoreError {
            EventStoreError(.checkpointDamaged, path: path, detail: detail)
        }
        let body = bytes.dropLast(SegmentHash.byteCount)
        var hash = RunningHash()
        hash.update(body.span)
        guard bytes.count > SegmentHash.byteCount, Array(bytes.suffix(SegmentHash.byteCount)) == hash.finish().bytes
        else { throw damaged("the hash does not fit") }
        let head = try decodeHead(Array(body.prefix(headByteMaximum)), path: path)
        var checkpoint = head.checkpoint
        var reader = ByteReader(body.dropFirst(head.end))
        for position in 0..<head.sectionCount {
            guard let section = decodeSection(&reader) else { throw damaged("section \(position) is damaged") }
            checkpoint.sections.append(section)
        }
        guard reader.remainingCount == 0 else { throw damaged("there are bytes behind its sections") }
        return checkpoint
    }

    /// The header alone, without its sections: how many there are, and where they begin. Throws `.checkpointDamaged` or
    /// `.formatUnknown`.
    static func decodeHead(
        _ bytes: [UInt8], path: String
    ) throws(EventStoreError) -> (checkpoint: Checkpoint, sectionCount: UInt32, end: Int) {
        func damaged(_ detail: String) -> EventStoreError {
            EventStoreError(.checkpointDamaged, path: path, detail: detail)
        }
        var reader = ByteReader(bytes)
        guard let found = reader.take(count: magic.count), Array(found) == magic, let version = reader.take(UInt32.self)
        else { throw damaged("it is no checkpoint") }
        guard version == 1 || version == Self.version else {
            throw EventStoreError(.formatUnknown(version: version), path: path)
        }
        guard let count = reader.take(UInt32.self), let sequence = reader.take(UInt64.self),
            let recordedAt = reader.take(Int64.self), let semantics = reader.take(UInt32.self),
            let codec = reader.take(UInt32.self), let createdAt = reader.take(Int64.self),
            let proof = version == 1 ? .some(nil) : decodeProof(&reader),
            reader.take(UInt32.self) == Checksum.crc32c(bytes.span.extracting(0..<headByteCount(version)))
        else { throw damaged("its header is damaged") }
        let checkpoint = Checkpoint(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: recordedAt),
            semanticsVersion: semantics, codecVersion: codec, createdAt: Timestamp(nanoseconds: createdAt),
            proof: proof, sections: [])
        return (checkpoint, count, headByteCount(version) + 4)
    }

    /// Nil: the bytes are too few.
    private static func decodeProof(_ reader: inout ByteReader) -> RecordProof?? {
        guard let id = reader.take(count: LogID.byteCount), let hash = reader.take(count: SegmentHash.byteCount) else {
            return nil
        }
        return RecordProof(logID: LogID(bytes: Array(id)), hash: SegmentHash(bytes: Array(hash)))
    }

    private static func decodeSection(_ reader: inout ByteReader) -> Checkpoint.Section? {
        var whole = reader
        guard let nameCount = reader.take(UInt16.self), let byteCount = reader.take(UInt64.self),
            let high = reader.take(UInt64.self), let low = reader.take(UInt64.self),
            let name = reader.take(count: Int(nameCount)), let size = Int(exactly: byteCount),
            let bytes = reader.take(count: size), let checksum = reader.take(UInt32.self),
            let covered = whole.take(count: 26 + Int(nameCount) + size), checksum == Checksum.crc32c(covered.span),
            let text = String(validating: name, as: UTF8.self)
        else { return nil }
        return Checkpoint.Section(name: text, digest: Digest(high: high, low: low), bytes: Array(bytes))
    }
}
