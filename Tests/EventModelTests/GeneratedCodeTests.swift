// The generated code belongs to the schemas that are here. Needs no protoc; `schemas/generate.sh --check` is thorough.

import Foundation
import Testing

@Suite struct `Generated code` {
    @Test func `every schema is as it was when the code was generated`() throws {
        let folder = GoldenExample.schemas
        let recorded = try String(contentsOf: folder.appendingPathComponent(".generated-from"), encoding: .utf8)
        let current = try schemas(in: folder).map { path in
            let content = [UInt8](try Data(contentsOf: folder.appendingPathComponent(path)))
            return "\(PosixChecksum.of(content)) \(content.count) \(path)\n"
        }
        #expect(recorded == current.joined(), "run schemas/generate.sh")
    }

    /// Ours, then those of others, each sorted by path.
    private func schemas(in folder: URL) throws -> [String] {
        try ["lattice", "opentelemetry"].flatMap { name in
            try FileManager.default.subpathsOfDirectory(atPath: folder.appendingPathComponent(name).path)
                .filter { $0.hasSuffix(".proto") }.map { "\(name)/\($0)" }.sorted()
        }
    }

    @Test func `the checksum is that of cksum`() {
        #expect(PosixChecksum.of([]) == 4_294_967_295)
        #expect(PosixChecksum.of(Array("123456789".utf8)) == 930_766_865)
    }
}

/// The checksum of the POSIX utility `cksum` (IEEE Std 1003.1, cksum, EXTENDED DESCRIPTION).
private enum PosixChecksum {
    static func of(_ bytes: [UInt8]) -> UInt32 {
        var checksum: UInt32 = 0
        for byte in bytes { add(byte, to: &checksum) }
        var length = bytes.count
        while length > 0 {
            add(UInt8(length & 0xFF), to: &checksum)
            length >>= 8
        }
        return ~checksum
    }

    private static func add(_ byte: UInt8, to checksum: inout UInt32) {
        checksum ^= UInt32(byte) << 24
        for _ in 0..<8 { checksum = checksum & 0x8000_0000 != 0 ? checksum << 1 ^ 0x04C1_1DB7 : checksum << 1 }
    }
}
