// The list of a log's segments, with what cannot be told from the segments themselves.

import EventModel

/// A sealed segment as the manifest knows it.
struct SealedSegment: Hashable {
    var firstSequence: SequenceNumber
    var lastSequence: SequenceNumber
    var fileByteCount: UInt64
    /// The SHA-256 of the whole file; nil until the next segment is sealed.
    var hash: SegmentHash?
}

/// Where the log begins after records were dropped by age or size.
struct RetentionHorizon: Hashable {
    /// The last record that was dropped.
    var lastDropped: SequenceNumber
    /// The SHA-256 of the last segment that was dropped: what the oldest kept one names as its predecessor.
    var chainHash: SegmentHash
}

/// The content of the `MANIFEST` file: lines of text, the last one a checksum. Replaced as a whole.
struct Manifest: Hashable {
    static let formatVersion: UInt32 = 1

    var logID: LogID
    var source: LogSource?
    var prefix: String?
    var horizon: RetentionHorizon?
    var sealed: [SealedSegment] = []
    /// The first sequence of the segment that is being written; nil if there is none.
    var active: SequenceNumber?

    func encoded() -> [UInt8] {
        var lines = ["latticeforge-log \(Self.formatVersion)", "log-id \(logID)"]
        switch source {
        case .core: lines.append("source core")
        case .jetStream(let name, let createdAt):
            lines.append("source jetstream \(createdAt.rawValue) \(Hexadecimal.text(name.utf8))")
        case nil: break
        }
        if let prefix { lines.append("prefix \(Hexadecimal.text(prefix.utf8))") }
        if let horizon { lines.append("horizon \(horizon.lastDropped) \(horizon.chainHash)") }
        for segment in sealed {
            let hash = segment.hash?.description ?? "-"
            lines.append("sealed \(segment.firstSequence) \(segment.lastSequence) \(segment.fileByteCount) \(hash)")
        }
        if let active { lines.append("active \(active)") }
        let text = lines.joined(separator: "\n") + "\n"
        let bytes = Array(text.utf8)
        let checksum = String(Checksum.crc32c(bytes.span), radix: 16)
        return bytes + Array("crc32c \(checksum)\n".utf8)
    }

    /// Reads a manifest. Throws `.manifestDamaged` or `.formatUnknown`.
    static func decode(_ bytes: [UInt8], path: String) throws(EventStoreError) -> Manifest {
        let damaged = EventStoreError(.manifestDamaged, path: path)
        guard let text = String(validating: bytes, as: UTF8.self), text.hasSuffix("\n") else { throw damaged }
        var lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        guard let last = lines.popLast(), last.hasPrefix("crc32c ") else { throw damaged }
        let body = bytes.dropLast(last.utf8.count + 1)
        let checksum = String(Checksum.crc32c(body.span), radix: 16)
        guard last == "crc32c \(checksum)", lines.count >= 2 else { throw damaged }
        let words = lines.map { $0.split(separator: " ", omittingEmptySubsequences: false) }
        guard words[0].count == 2, words[0][0] == "latticeforge-log", let version = UInt32(words[0][1]) else {
            throw damaged
        }
        guard version == formatVersion else { throw EventStoreError(.formatUnknown(version: version), path: path) }
        guard words[1].count == 2, words[1][0] == "log-id", let id = LogID(hexadecimal: words[1][1]) else {
            throw damaged
        }
        var manifest = Manifest(logID: id)
        for line in words.dropFirst(2) {
            guard manifest.take(line) else { throw damaged }
        }
        return manifest
    }

    /// Takes one line's words; false if they make no sense.
    private mutating func take(_ words: [Substring]) -> Bool {
        switch (words[0], words.count) {
        case ("source", 2) where words[1] == "core": source = .core
        case ("source", 4) where words[1] == "jetstream":
            guard let created = Int64(words[2]), let name = Self.text(words[3]) else { return false }
            source = .jetStream(name: name, createdAt: Timestamp(nanoseconds: created))
        case ("prefix", 2):
            guard let text = Self.text(words[1]) else { return false }
            prefix = text
        case ("horizon", 3):
            guard let dropped = UInt64(words[1]), let hash = SegmentHash(hexadecimal: words[2]) else { return false }
            horizon = RetentionHorizon(lastDropped: SequenceNumber(dropped), chainHash: hash)
        case ("sealed", 5):
            guard let first = UInt64(words[1]), let last = UInt64(words[2]), let size = UInt64(words[3]) else {
                return false
            }
            let hash = SegmentHash(hexadecimal: words[4])
            guard hash != nil || words[4] == "-" else { return false }
            sealed.append(
                SealedSegment(
                    firstSequence: SequenceNumber(first), lastSequence: SequenceNumber(last), fileByteCount: size,
                    hash: hash))
        case ("active", 2):
            guard let first = UInt64(words[1]) else { return false }
            active = SequenceNumber(first)
        default: return false
        }
        return true
    }

    private static func text(_ hexadecimal: Substring) -> String? {
        Hexadecimal.bytes(hexadecimal).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
