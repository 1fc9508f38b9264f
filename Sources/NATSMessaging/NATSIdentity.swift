// How a connection shows who it is with an NKey: read from its file and signed each time it connects.

internal import CNATS
internal import Glibc
internal import Messaging

/// A file with a user's NKey seed, alone or behind the user's JWT (`.creds`). It is read anew at each connection, so that it
/// can be replaced.
struct NATSIdentityFile: Sendable {
    private static let bytesMaximum = 65_536
    let path: String

    /// The JWT: what the first frame of dashes holds.
    func token() throws(BusError) -> [UInt8] {
        let found = try part { bytes, lines in Self.framed(bytes, lines).first }
        guard let found else { throw BusError(.invalidArgument, "there is no user JWT in \(path)") }
        return found
    }

    /// The seed: the first in a frame of dashes that is a user's, or else the first line that begins as one.
    func seed() throws(BusError) -> [UInt8] {
        let isSeed = { (bytes: [UInt8], line: Range<Int>) in bytes[line].starts(with: "SU".utf8) }
        let found = try part { bytes, lines in
            Self.framed(bytes, lines).first { isSeed(bytes, $0) } ?? lines.first { isSeed(bytes, $0) }
        }
        guard let found else { throw BusError(.invalidArgument, "there is no NKey seed of a user in \(path)") }
        return found
    }

    /// What stands alone between two lines of dashes, as libnats reads it; whatever else there is between the frames, or
    /// behind the last, is for people.
    private static func framed(_ bytes: [UInt8], _ lines: [Range<Int>]) -> [Range<Int>] {
        let isDashes = { (line: Range<Int>) in bytes[line].starts(with: "---".utf8) }
        var found: [Range<Int>] = []
        var index = 0
        while index + 2 < lines.count {
            let isFrame = isDashes(lines[index]) && !isDashes(lines[index + 1]) && isDashes(lines[index + 2])
            if isFrame { found.append(lines[index + 1]) }
            index += isFrame ? 3 : 1
        }
        return found
    }

    /// A part of the file; the rest is overwritten in memory.
    private func part(_ find: ([UInt8], [Range<Int>]) -> Range<Int>?) throws(BusError) -> [UInt8]? {
        var (bytes, end) = try content()
        defer { for index in bytes.indices { bytes[index] = 0 } }
        return find(bytes, Self.lines(bytes, end)).map { Array(bytes[$0]) }
    }

    private func content() throws(BusError) -> (bytes: [UInt8], end: Int) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BusError(.invalidArgument, "\(path) can not be read") }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.bytesMaximum)
        var end = 0
        while end < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe read(descriptor, buffer.baseAddress! + end, buffer.count - end)
            }
            if count < 0 { throw BusError(.invalidArgument, "\(path) can not be read") }
            if count == 0 { break }
            end += count
        }
        return (bytes, end)
    }

    /// Where its lines lie, without spaces around them, and without empty ones.
    private static func lines(_ bytes: [UInt8], _ end: Int) -> [Range<Int>] {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        return bytes[..<end].split(separator: 0x0A).compactMap { line in
            let trimmed = line.drop(while: isSpace)
            guard let last = trimmed.lastIndex(where: { !isSpace($0) }) else { return nil }
            return trimmed.startIndex..<last + 1
        }
    }
}

/// What came of signing what the server gave.
enum NATSSignature: Sendable, Hashable {
    case made([UInt8])
    /// libnats would not send it: before 3.8 it takes bytes that begin with a zero for none (`_base64Encode` in its
    /// src/util.c), which is one signature in 256. The next nonce has another one.
    case unsendable

    /// The oldest version of libnats that sends every signature.
    private static let mendedVersion: UInt32 = 3 << 16 | 8 << 8

    /// Signs with Ed25519 as libnats does.
    ///
    /// - Parameter seed: as text, of a user; the copy that is handed to libnats is overwritten, this one is the caller's.
    static func sign(
        _ nonce: [UInt8], seed: [UInt8], version: UInt32 = nats_GetVersionNumber()
    ) throws(BusError) -> NATSSignature {
        var (seed, nonce) = (seed + [0], nonce + [0])
        defer { for index in seed.indices { seed[index] = 0 } }
        var made: UnsafeMutablePointer<UInt8>?
        var length: Int32 = 0
        let status = unsafe seed.withUnsafeMutableBytes { seed in
            unsafe nonce.withUnsafeMutableBytes { nonce in
                unsafe nats_Sign(
                    seed.baseAddress?.assumingMemoryBound(to: CChar.self),
                    nonce.baseAddress?.assumingMemoryBound(to: CChar.self), &made, &length)
            }
        }
        defer { unsafe free(made) }
        try check(status, "sign with an NKey")
        let signature = unsafe [UInt8](UnsafeBufferPointer(start: made, count: Int(length)))
        if signature.first == 0 && version < mendedVersion { return .unsendable }
        return .made(signature)
    }
}

/// Copies bytes into memory that libnats frees.
@unsafe func copyForLibrary(_ bytes: [UInt8]) -> UnsafeMutablePointer<UInt8>? {
    guard let memory = unsafe malloc(max(1, bytes.count)) else { return nil }
    let copy = unsafe memory.assumingMemoryBound(to: UInt8.self)
    for index in bytes.indices { unsafe copy[index] = bytes[index] }
    return unsafe copy
}

let onSign: natsSignatureHandler = { reason, signature, length, nonce, closure in
    guard let events = unsafe connectionEvents(closure) else { return NATS_ERR }
    do throws(BusError) {
        let count = unsafe nonce.map { unsafe strlen($0) } ?? 0
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: nonce, count: count))
        let made = try events.sign(bytes)
        unsafe signature?.pointee = copyForLibrary(made)
        unsafe length?.pointee = Int32(made.count)
        return NATS_OK
    } catch {
        unsafe reason?.pointee = strdup(error.message)
        return NATS_ERR
    }
}

let onToken: natsUserJWTHandler = { token, reason, closure in
    guard let events = unsafe connectionEvents(closure) else { return NATS_ERR }
    do throws(BusError) {
        let bytes = try events.token() + [0]
        unsafe token?.pointee = UnsafeMutableRawPointer(copyForLibrary(bytes))?.assumingMemoryBound(to: CChar.self)
        return NATS_OK
    } catch {
        unsafe reason?.pointee = strdup(error.message)
        return NATS_ERR
    }
}
