// Seals what was captured under a key for each source service and day; destroying the key erases it (Mirroring.md).

import Crypto
package import EventModel
import Synchronization

/// What became of a sealed attachment.
package enum OpenedContent: Sendable, Hashable {
    case plain([UInt8])
    /// Its key was destroyed.
    case erased
    /// Neither bytes of a vault nor of this record.
    case damaged
}

/// Keys for attachments: AES-256-GCM, a key for each source and day, each in a file of its own beside the log.
///
/// The sealed form is version (1), key id (8 bytes), nonce (12), ciphertext, tag (16); the record's sequence is
/// authenticated with it, so that no attachment can be moved to another record.
package final class ContentVault: Sendable {
    private struct Key {
        var id: UInt64
        var secret: SymmetricKey
    }

    private struct Day: Hashable {
        var source: String
        var day: Int64
    }

    private struct Keys {
        /// Those with which is sealed now.
        var current: [Day: Key] = [:]
        /// Those that were read.
        var known: [UInt64: SymmetricKey] = [:]
        /// Counts destructions: what was read from the disk before one is not remembered after it.
        var generation: UInt64 = 0
    }

    private static let version: UInt8 = 1
    private static let headBytes = 9
    private static let suffix = ".key"
    /// Keys that are remembered; more are read again.
    private static let remembered = 4_096

    private let directory: String
    private let storage: any LogStorage
    private let keys = Mutex(Keys())

    /// A vault in a directory of its own, which is made where the first key is.
    package init(directory: String, storage: any LogStorage = PosixStorage()) {
        self.directory = directory
        self.storage = storage
    }

    /// The vault of a node's data directory.
    package static func of(dataDirectory: String) -> ContentVault {
        ContentVault(directory: dataDirectory + "/keys")
    }

    /// The day of a time in UTC, since 1970-01-01.
    package static func day(of time: Timestamp) -> Int64 {
        let (quotient, rest) = time.rawValue.quotientAndRemainder(dividingBy: 86_400_000_000_000)
        return rest < 0 ? quotient - 1 : quotient
    }

    // MARK: Beginning

    /// Before anything is sealed: removes what interrupted writes have left, and lets keys that were made for records which
    /// the log does not have (a crash, a cut) count as made at its end. Otherwise an erasure, which reaches the keys before
    /// its own place in the log, would pass them by, and what they sealed could still be read.
    ///
    /// - Returns: how many keys got another name.
    @discardableResult
    package func settle(after last: SequenceNumber) throws(EventStoreError) -> Int {
        _ = try storage.removeTemporaries(in: directory)
        var count = 0
        for name in try storage.fileNames(in: directory) where name.hasSuffix(Self.suffix) {
            var parts = name.split(separator: ".").map(String.init)
            guard parts.count == 5, let since = UInt64(parts[2]), since > last.rawValue else { continue }
            parts[2] = "\(last.rawValue)"
            try storage.rename(directory + "/" + name, to: directory + "/" + parts.joined(separator: "."))
            count += 1
        }
        if count > 0 { try storage.synchronizeDirectory(directory) }
        return count
    }

    // MARK: Sealing

    /// Seals the attachment of a record.
    ///
    /// - Throws: where a new key cannot be made durable; nothing is sealed with a key that could be lost.
    package func seal(
        _ plain: ArraySlice<UInt8>, source: String, day: Int64, sequence: SequenceNumber
    ) throws(EventStoreError) -> [UInt8] {
        let key = try currentKey(Day(source: source, day: day), sequence)
        var sealed: [UInt8] = [Self.version]
        sealed.reserveCapacity(Self.headBytes + 28 + plain.count)
        sealed += Self.bytes(of: key.id)
        let box = try? AES.GCM.seal(plain, using: key.secret, authenticating: Self.bytes(of: sequence.rawValue))
        guard let combined = box?.combined else { preconditionFailure("AES-GCM takes what is below 64 GiB") }
        sealed += combined
        return sealed
    }

    /// The next attachment of this day is sealed under a new key: what was sealed before is about to be erased.
    package func renew(source: String, day: Int64) {
        keys.withLock { $0.current[Day(source: source, day: day)] = nil }
    }

    private func currentKey(_ day: Day, _ sequence: SequenceNumber) throws(EventStoreError) -> Key {
        if let key = keys.withLock({ $0.current[day] }) { return key }
        let key = Key(id: .random(in: .min ... .max), secret: SymmetricKey(size: .bits256))
        try storage.createDirectory(directory)
        let name = "\(Self.prefix(day)).\(sequence.rawValue).\(Self.hexadecimal(key.id))\(Self.suffix)"
        let secret = unsafe key.secret.withUnsafeBytes { unsafe Array($0) }
        try storage.replaceAtomically(directory + "/" + name, in: directory, with: secret)
        keys.withLock { keys in
            if keys.current.count >= Self.remembered { keys.current.removeAll() }
            keys.current[day] = key
            Self.remember(key.id, key.secret, &keys)
        }
        return key
    }

    private static func remember(_ id: UInt64, _ secret: SymmetricKey, _ keys: inout Keys) {
        if keys.known.count >= remembered { keys.known.removeAll() }
        keys.known[id] = secret
    }

    // MARK: Opening

    /// Opens the attachment of a record.
    ///
    /// - Throws: where a key is there and cannot be read.
    package func open(
        _ sealed: ArraySlice<UInt8>, sequence: SequenceNumber
    ) throws(EventStoreError) -> OpenedContent {
        guard sealed.count > Self.headBytes, sealed.first == Self.version else { return .damaged }
        let id = sealed.dropFirst().prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let secret = try secret(id) else { return .erased }
        guard let box = try? AES.GCM.SealedBox(combined: sealed.dropFirst(Self.headBytes)),
            let plain = try? AES.GCM.open(box, using: secret, authenticating: Self.bytes(of: sequence.rawValue))
        else { return .damaged }
        return .plain(Array(plain))
    }

    private func secret(_ id: UInt64) throws(EventStoreError) -> SymmetricKey? {
        let (known, generation) = keys.withLock { ($0.known[id], $0.generation) }
        if let known { return known }
        let end = "." + Self.hexadecimal(id) + Self.suffix
        guard let name = try storage.fileNames(in: directory).first(where: { $0.hasSuffix(end) }) else { return nil }
        let bytes = try storage.open(directory + "/" + name, .read).readAll()
        let secret = SymmetricKey(data: bytes)
        keys.withLock { if $0.generation == generation { Self.remember(id, secret, &$0) } }
        return secret
    }

    // MARK: Erasing

    /// Destroys the keys of a day that were made before a record; what they sealed is erased for good.
    ///
    /// - Returns: how many there were. Doing it again does no harm.
    @discardableResult
    package func destroy(source: String, day: Int64, before sequence: SequenceNumber) throws(EventStoreError) -> Int {
        let start = Self.prefix(Day(source: source, day: day)) + "."
        return try destroy { name in
            guard name.hasPrefix(start) else { return false }
            let since = name.dropFirst(start.count).prefix { $0 != "." }
            return UInt64(since).map { $0 < sequence.rawValue } ?? false
        }
    }

    /// Destroys the keys of all days before one: their records are behind the horizon.
    @discardableResult
    package func prune(before day: Int64) throws(EventStoreError) -> Int {
        try destroy { name in
            let parts = name.split(separator: ".")
            return parts.count == 5 && (Int64(parts[1]).map { $0 < day } ?? false)
        }
    }

    /// Grows whenever keys are destroyed: what was opened before may be erased now.
    package var generation: UInt64 { keys.withLock { $0.generation } }

    private func destroy(where isDue: (String) -> Bool) throws(EventStoreError) -> Int {
        let names = try storage.fileNames(in: directory).filter { $0.hasSuffix(Self.suffix) && isDue($0) }
        if names.isEmpty { return 0 }
        for name in names {
            let path = directory + "/" + name
            // Best effort against whoever reads the device: file systems may keep the old blocks.
            let file = try storage.open(path, .readWrite)
            try file.writeAll([UInt8](repeating: 0, count: 32).span, at: 0)
            try file.synchronize()
            try storage.remove(path)
        }
        try storage.synchronizeDirectory(directory)
        // Nobody can tell from here which ones they were in memory: all are read anew.
        keys.withLock { keys in
            keys.known.removeAll()
            keys.generation &+= 1
        }
        return names.count
    }

    // MARK: Names

    private static func prefix(_ day: Day) -> String { "\(Digest.of(Array(day.source.utf8))).\(day.day)" }

    private static func hexadecimal(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func bytes(of number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
    }
}
