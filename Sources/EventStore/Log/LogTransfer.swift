// A log, or a part of it, as one self-contained file; and a new log made from such a file.

package import EventModel

/// What an export or an import moved.
package struct TransferReport: Hashable, Sendable {
    package var frameCount: UInt64 = 0
    package var byteCount: UInt64 = 0
    package var firstSequence: SequenceNumber?
    package var lastSequence: SequenceNumber?
}

/// The format of an exported file: header, frames as they lie in segments, trailer.
enum TransferFormat {
    static let magic = Array("LFEXPORT".utf8)
    static let version: UInt32 = 1
    static let headerByteCount = 64
    /// Marker, version, count of frames, SHA-256 of everything before the trailer, checksum of the trailer.
    static let trailerByteCount = 4 + 4 + 8 + SegmentHash.byteCount + 4

    static func header(_ id: LogID, after previous: SequenceNumber, at time: Timestamp) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(magic)
        writer.put(version)
        writer.put(UInt32(headerByteCount))
        writer.put(id.bytes)
        writer.put(previous.rawValue)
        writer.put(time.rawValue)
        writer.putZeros(upTo: headerByteCount - 4)
        writer.putChecksum()
        return writer.bytes
    }

    static func trailer(frameCount: UInt64, _ hash: SegmentHash) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(FrameFormat.footerMarker)
        writer.put(version)
        writer.put(frameCount)
        writer.put(hash.bytes)
        writer.putChecksum()
        return writer.bytes
    }

    /// The log the file was exported from; throws if the bytes are no intact header.
    static func requireHeader(_ bytes: [UInt8], path: String) throws(EventStoreError) {
        var reader = ByteReader(bytes)
        guard bytes.count == headerByteCount, let found = reader.take(count: magic.count), Array(found) == magic,
            let version = reader.take(UInt32.self)
        else { throw EventStoreError(.exportDamaged, path: path, detail: "it is no exported log") }
        guard version == Self.version else { throw EventStoreError(.formatUnknown(version: version), path: path) }
        var end = ByteReader(bytes.suffix(4))
        guard end.take(UInt32.self) == Checksum.crc32c(bytes.span.extracting(0..<bytes.count - 4)) else {
            throw EventStoreError(.exportDamaged, path: path, detail: "its header is damaged")
        }
    }
}

extension LogReader {
    /// Writes records into one file, which must not be in the log's directory. Replaces an existing file.
    ///
    /// - Parameter progress: told the last sequence written and the last there will be, after each batch.
    package func export(
        to path: String, id: LogID, from first: SequenceNumber = .origin, through last: SequenceNumber = .end,
        progress: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(EventStoreError) -> TransferReport {
        let file = try storage.open(path, .create)
        var report = TransferReport()
        var hash = RunningHash()
        var offset: UInt64 = 0
        func write(_ bytes: [UInt8]) throws(EventStoreError) {
            try file.writeAll(bytes.span, at: offset)
            offset += UInt64(bytes.count)
        }
        let header = TransferFormat.header(id, after: first, at: storage.now())
        hash.update(header.span)
        try write(header)
        var cursor = try frames(from: first, through: last)
        while let batch = try cursor.nextBatch() {
            let compact = batch.compacted()
            let bytes = Array(compact.bytes[..<compact.usedByteCount])
            hash.update(bytes.span)
            try write(bytes)
            report.frameCount += UInt64(batch.count)
            report.firstSequence = report.firstSequence ?? batch.firstSequence
            report.lastSequence = batch.lastSequence
            progress(batch.lastSequence?.rawValue ?? 0, min(last, lastSequence).rawValue)
        }
        try write(TransferFormat.trailer(frameCount: report.frameCount, hash.finish()))
        try file.synchronize()
        report.byteCount = offset
        return report
    }
}

extension EventLog {
    /// The identity of the log in a directory, as its manifest says.
    package static func logID(
        of directory: String, storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) -> LogID {
        guard let inventory = try SegmentInventory.take(directory, storage) else {
            throw EventStoreError(.notFound, path: directory, detail: "there is no log")
        }
        return inventory.manifest.logID
    }

    /// Makes a new log in an empty directory from an exported file; sequences, times and bytes stay as they were.
    ///
    /// The new log has an identity of its own and no source yet: this is how a log changes its source (decision 3).
    /// The file is checked whole before a record is written. Throws `.exportDamaged` or `.notEmpty`.
    ///
    /// - Parameter progress: told bytes done and bytes in all; the file is read twice, so there are twice its bytes.
    package static func importLog(
        from path: String, into directory: String, options: EventLogOptions = EventLogOptions(),
        storage: any LogStorage = PosixStorage(), progress: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(EventStoreError) -> TransferReport {
        let file = try storage.open(path, .read)
        let size = try file.byteCount()
        let frameCount = try requireIntactExport(file, path) { progress($0, 2 * size) }
        try storage.createDirectory(directory)
        guard try storage.fileNames(in: directory).isEmpty else { throw EventStoreError(.notEmpty, path: directory) }
        let end = size - UInt64(TransferFormat.trailerByteCount)
        let log = try open(directory: directory, options: options, storage: storage).log
        var report = TransferReport()
        var walker = SegmentWalker(file, from: UInt64(TransferFormat.headerByteCount), to: end, after: .origin)
        while let (batch, _) = try walker.next() {
            try log.append(batch)
            report.frameCount += UInt64(batch.count)
            report.byteCount += UInt64(batch.byteCount)
            report.firstSequence = report.firstSequence ?? batch.firstSequence
            report.lastSequence = batch.lastSequence
            progress(size + report.byteCount, 2 * size)
        }
        guard walker.stop == .limit, report.frameCount == frameCount else {
            throw EventStoreError(.exportDamaged, path: path, offset: walker.offset)
        }
        try log.close()
        // What the log owes may have been sent since by the node that it comes from.
        try DirectiveFence(directory: directory, storage: storage).raise(after: report.lastSequence ?? .origin)
        return report
    }

    /// Checks header, trailer and hash of an exported file; returns the trailer's count of frames.
    private static func requireIntactExport(
        _ file: any LogFile, _ path: String, progress: (UInt64) -> Void
    ) throws(EventStoreError) -> UInt64 {
        try TransferFormat.requireHeader(try file.read(at: 0, count: TransferFormat.headerByteCount), path: path)
        let size = try file.byteCount()
        let trailerSize = UInt64(TransferFormat.trailerByteCount)
        guard size >= UInt64(TransferFormat.headerByteCount) + trailerSize else {
            throw EventStoreError(.exportDamaged, path: path, detail: "it is too short")
        }
        let trailer = try file.read(at: size - trailerSize, count: Int(trailerSize))
        var reader = ByteReader(trailer)
        guard reader.take(UInt32.self) == FrameFormat.footerMarker, reader.take(UInt32.self) == TransferFormat.version,
            let frameCount = reader.take(UInt64.self), let expected = reader.take(count: SegmentHash.byteCount),
            reader.take(UInt32.self) == Checksum.crc32c(trailer.span.extracting(0..<trailer.count - 4))
        else { throw EventStoreError(.exportDamaged, path: path, detail: "its end is missing") }
        var hash = RunningHash()
        var offset: UInt64 = 0
        while offset < size - trailerSize {
            let bytes = try file.read(at: offset, count: Int(min(1 << 20, size - trailerSize - offset)))
            hash.update(bytes.span)
            offset += UInt64(bytes.count)
            progress(offset)
        }
        guard hash.finish().bytes == Array(expected) else {
            throw EventStoreError(.exportDamaged, path: path, detail: "the hash does not fit")
        }
        return frameCount
    }
}
