// A segment's header, index and summary as bytes.

import EventModel

/// The first bytes of a segment file.
struct SegmentHeader: Hashable {
    static let magic = Array("LFSEGMNT".utf8)
    static let formatVersion: UInt32 = 1
    static let byteCount = 96

    var logID: LogID
    var firstSequence: SequenceNumber
    var createdAt: Timestamp
    /// The last sequence before this segment; `.origin` if there is none.
    var previousSequence: SequenceNumber
    /// The largest `recordedAt` of all records before this segment; the smallest number if there is none.
    var runningMaximumBefore: Timestamp

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.magic)
        writer.put(Self.formatVersion)
        writer.put(UInt32(Self.byteCount))
        writer.put(logID.bytes)
        writer.put(firstSequence.rawValue)
        writer.put(createdAt.rawValue)
        writer.put(previousSequence.rawValue)
        writer.put(runningMaximumBefore.rawValue)
        writer.putZeros(upTo: Self.byteCount - 4)
        writer.putChecksum()
        return writer.bytes
    }

    /// Reads a header of any known version. Nil if the bytes are no intact header.
    static func decode(_ bytes: [UInt8]) throws(EventStoreError) -> SegmentHeader? {
        var reader = ByteReader(bytes)
        guard let magic = reader.take(count: 8), Array(magic) == Self.magic, let version = reader.take(UInt32.self)
        else { return nil }
        guard version == 1 else {
            // A version can only be believed if the header's own checksum holds, wherever that version ends it.
            guard isIntact(bytes) else { return nil }
            throw EventStoreError(.formatUnknown(version: version))
        }
        guard bytes.count >= byteCount, isIntact(bytes), reader.take(UInt32.self) == UInt32(byteCount),
            let id = reader.take(count: LogID.byteCount), let first = reader.take(UInt64.self),
            let created = reader.take(Int64.self), let previous = reader.take(UInt64.self),
            let maximum = reader.take(Int64.self)
        else { return nil }
        return SegmentHeader(
            logID: LogID(bytes: Array(id)), firstSequence: SequenceNumber(first),
            createdAt: Timestamp(nanoseconds: created), previousSequence: SequenceNumber(previous),
            runningMaximumBefore: Timestamp(nanoseconds: maximum))
    }

    /// Whether the checksum that ends the header (at the length it names) holds.
    private static func isIntact(_ bytes: [UInt8]) -> Bool {
        var reader = ByteReader(bytes.dropFirst(12))
        guard let length = reader.take(UInt32.self), length >= 20, length <= bytes.count else { return false }
        var end = ByteReader(bytes[Int(length) - 4..<Int(length)])
        return end.take(UInt32.self) == Checksum.crc32c(bytes.span.extracting(0..<Int(length) - 4))
    }
}

/// One entry of the sparse index: a frame, about every 64 KiB.
struct IndexEntry: Hashable {
    static let byteCount = 24

    var sequence: SequenceNumber
    /// The largest `recordedAt` of the log up to and including this frame.
    var runningMaximum: Timestamp
    /// The byte of the segment at which the frame begins.
    var offset: UInt64
}

/// The sparse index of a segment as it lies behind the frames of a sealed one.
enum SegmentIndex {
    static func byteCount(entryCount: Int) -> Int { 8 + entryCount * IndexEntry.byteCount + 4 }

    static func encode(_ entries: [IndexEntry]) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(FrameFormat.footerMarker)
        writer.put(UInt32(entries.count))
        for entry in entries {
            writer.put(entry.sequence.rawValue)
            writer.put(entry.runningMaximum.rawValue)
            writer.put(entry.offset)
        }
        writer.putChecksum()
        return writer.bytes
    }

    /// Nil if the bytes are no intact index.
    static func decode(_ bytes: [UInt8]) -> [IndexEntry]? {
        var reader = ByteReader(bytes)
        guard reader.take(UInt32.self) == FrameFormat.footerMarker, let count = reader.take(UInt32.self),
            bytes.count == byteCount(entryCount: Int(count))
        else { return nil }
        var end = ByteReader(bytes.suffix(4))
        guard end.take(UInt32.self) == Checksum.crc32c(bytes.span.extracting(0..<bytes.count - 4)) else {
            return nil
        }
        var entries: [IndexEntry] = []
        entries.reserveCapacity(Int(count))
        for position in 0..<Int(count) {
            let start = 8 + position * IndexEntry.byteCount
            entries.append(
                IndexEntry(
                    sequence: SequenceNumber(bytes.littleEndian(at: start, UInt64.self)),
                    runningMaximum: Timestamp(nanoseconds: bytes.littleEndian(at: start + 8, Int64.self)),
                    offset: bytes.littleEndian(at: start + 16, UInt64.self)))
        }
        return entries
    }
}

/// What a segment's frames amount to.
struct SegmentFigures: Hashable {
    var frameCount: UInt64 = 0
    var frameByteCount: UInt64 = 0
    var firstSequence = SequenceNumber.origin
    var lastSequence = SequenceNumber.origin
    var firstRecordedAt = Timestamp.zero
    var lastRecordedAt = Timestamp.zero
    /// The largest `recordedAt` of the log up to this segment's last frame.
    var runningMaximum = Timestamp(nanoseconds: .min)
    var lastSourceHash: UInt64 = 0
}

/// The last bytes of a sealed segment: what one must know to use it without a scan.
struct SegmentSummary: Hashable {
    static let magic = Array("LFSEALED".utf8)
    static let endMagic = Array("LFSEGEND".utf8)
    static let byteCount = 192
    static let endByteCount = 16

    var logID: LogID
    /// The byte at which the frames end and the index begins.
    var framesEnd: UInt64
    var figures: SegmentFigures
    /// The SHA-256 of the whole predecessor file; zero for a log's first segment.
    var predecessorHash: SegmentHash
    var indexEntryCount: Int

    /// The size of index and summary together.
    var footerByteCount: Int { SegmentIndex.byteCount(entryCount: indexEntryCount) + Self.byteCount }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.magic)
        writer.put(SegmentHeader.formatVersion)
        writer.put(UInt32(Self.byteCount))
        writer.put(logID.bytes)
        writer.put(framesEnd)
        writer.put(figures.frameCount)
        writer.put(figures.firstSequence.rawValue)
        writer.put(figures.lastSequence.rawValue)
        writer.put(figures.firstRecordedAt.rawValue)
        writer.put(figures.lastRecordedAt.rawValue)
        writer.put(figures.runningMaximum.rawValue)
        writer.put(figures.lastSourceHash)
        writer.put(predecessorHash.bytes)
        writer.put(figures.frameByteCount)
        writer.put(UInt32(indexEntryCount))
        writer.putZeros(upTo: Self.byteCount - Self.endByteCount)
        writer.putChecksum()
        writer.put(UInt32(footerByteCount))
        writer.put(Self.endMagic)
        return writer.bytes
    }

    /// Reads a summary. Nil if the bytes are no intact summary of a file of this size.
    static func decode(_ bytes: [UInt8], fileByteCount: UInt64) -> SegmentSummary? {
        var reader = ByteReader(bytes)
        guard bytes.count == byteCount, Array(bytes.suffix(8)) == endMagic,
            isIntact(bytes), let magic = reader.take(count: 8), Array(magic) == Self.magic,
            reader.take(UInt32.self) == 1, reader.take(UInt32.self) == UInt32(byteCount),
            let id = reader.take(count: LogID.byteCount), let framesEnd = reader.take(UInt64.self),
            let figures = decodeFigures(&reader), let hash = reader.take(count: SegmentHash.byteCount),
            let frameBytes = reader.take(UInt64.self), let entryCount = reader.take(UInt32.self)
        else { return nil }
        var summary = SegmentSummary(
            logID: LogID(bytes: Array(id)), framesEnd: framesEnd, figures: figures,
            predecessorHash: SegmentHash(bytes: Array(hash)), indexEntryCount: Int(entryCount))
        summary.figures.frameByteCount = frameBytes
        var end = ByteReader(bytes.suffix(12))
        guard end.take(UInt32.self) == UInt32(summary.footerByteCount),
            framesEnd + UInt64(summary.footerByteCount) == fileByteCount
        else { return nil }
        return summary
    }

    private static func isIntact(_ bytes: [UInt8]) -> Bool {
        var end = ByteReader(bytes.suffix(endByteCount))
        return end.take(UInt32.self)
            == Checksum.crc32c(bytes.span.extracting(0..<bytes.count - endByteCount))
    }

    private static func decodeFigures(_ reader: inout ByteReader) -> SegmentFigures? {
        guard let count = reader.take(UInt64.self), let first = reader.take(UInt64.self),
            let last = reader.take(UInt64.self), let firstTime = reader.take(Int64.self),
            let lastTime = reader.take(Int64.self), let maximum = reader.take(Int64.self),
            let hash = reader.take(UInt64.self)
        else { return nil }
        return SegmentFigures(
            frameCount: count, frameByteCount: 0, firstSequence: SequenceNumber(first),
            lastSequence: SequenceNumber(last), firstRecordedAt: Timestamp(nanoseconds: firstTime),
            lastRecordedAt: Timestamp(nanoseconds: lastTime), runningMaximum: Timestamp(nanoseconds: maximum),
            lastSourceHash: hash)
    }
}
