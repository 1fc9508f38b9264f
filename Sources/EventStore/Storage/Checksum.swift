// CRC32C and SHA-256 over bytes in memory.

import CLogSupport
import Crypto

/// The checksums of the format.
enum Checksum {
    /// CRC32C (Castagnoli; RFC 3720, appendix B.4).
    static func crc32c(_ bytes: Span<UInt8>) -> UInt32 {
        unsafe bytes.withUnsafeBytes { buffer in unsafe clog_crc32c(0, buffer.baseAddress, buffer.count) }
    }

    /// The same by tables alone, as machines without the instruction compute it.
    static func crc32cPortable(_ bytes: Span<UInt8>) -> UInt32 {
        unsafe bytes.withUnsafeBytes { buffer in unsafe clog_crc32c_portable(0, buffer.baseAddress, buffer.count) }
    }
}

/// A SHA-256 that is still being fed.
struct RunningHash {
    private var hasher = SHA256()

    mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { buffer in unsafe hasher.update(bufferPointer: buffer) }
    }

    func finish() -> SegmentHash {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(SegmentHash.byteCount)
        for byte in hasher.finalize() { bytes.append(byte) }
        return SegmentHash(bytes: bytes)
    }
}
