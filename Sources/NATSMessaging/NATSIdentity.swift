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
        let lines = try lines()
        guard let token = Self.framed(lines).first else {
            throw BusError(.invalidArgument, "there is no user JWT in \(path)")
        }
        return Array(token)
    }

    /// The seed: what the second frame of dashes holds, or without frames the first line that begins as a user's seed does.
    func seed() throws(BusError) -> [UInt8] {
        let lines = try lines()
        let framed = Self.framed(lines)
        let seed = framed.isEmpty ? lines.first { $0.starts(with: "SU".utf8) } : framed.last
        guard let seed, seed.starts(with: "SU".utf8) else {
            throw BusError(.invalidArgument, "there is no NKey seed of a user in \(path)")
        }
        return Array(seed)
    }

    /// What each line of dashes that begins a frame is followed by.
    private static func framed(_ lines: [ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] {
        lines.indices.dropLast().filter { index in
            lines[index].starts(with: "---".utf8) && !lines[index + 1].starts(with: "---".utf8)
        }.map { lines[$0 + 1] }
    }

    /// Its lines without spaces around them, and without empty ones.
    private func lines() throws(BusError) -> [ArraySlice<UInt8>] {
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
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        return bytes[..<end].split(separator: 0x0A).compactMap { line in
            let trimmed = line.drop(while: isSpace)
            guard let last = trimmed.lastIndex(where: { !isSpace($0) }) else { return nil }
            return trimmed[...last]
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
    /// - Parameter seed: as text, of a user; its bytes are overwritten in the copy that is handed to libnats.
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
    guard let events = unsafe connectionEvents(closure), let nonce = unsafe nonce else { return NATS_ERR }
    do throws(BusError) {
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: nonce, count: strlen(nonce)))
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
