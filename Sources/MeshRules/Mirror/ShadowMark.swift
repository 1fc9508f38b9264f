// The mark on every copy that goes to a shadow: it counts only with its HMAC (Threats.md).

import Crypto
package import EventModel

/// Writes and checks `x-lattice-shadow: <unix seconds>.<HMAC-SHA-256 in hexadecimal>`.
///
/// The HMAC is over seconds, method and target, so that a mark cannot be moved to another request.
package struct ShadowMark: Sendable {
    package static let header = "x-lattice-shadow"
    /// Seconds that a mark may be old, or early.
    package static let validSeconds: Int64 = 300

    private let key: SymmetricKey

    /// - Parameter key: what all gateways and nodes of a mesh share; at least 16 bytes.
    package init?(key: [UInt8]) {
        guard key.count >= 16 else { return nil }
        self.key = SymmetricKey(data: key)
    }

    /// The mark of a request.
    package func value(method: String, target: String, at time: Timestamp) -> String {
        let seconds = time.rawValue / 1_000_000_000
        return "\(seconds).\(Self.hexadecimal(code(seconds, method, target)))"
    }

    /// Whether a mark is one of ours, for this request, and of now.
    package func isValid(_ value: String, method: String, target: String, at time: Timestamp) -> Bool {
        let parts = value.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let seconds = Int64(parts[0]) else { return false }
        let now = time.rawValue / 1_000_000_000
        guard (now - Self.validSeconds...now + Self.validSeconds).contains(seconds) else { return false }
        let expected = Self.hexadecimal(code(seconds, method, target))
        let given = Array(parts[1].utf8)
        guard given.count == expected.utf8.count else { return false }
        // All bytes are looked at, so that the time taken tells nothing.
        return zip(given, expected.utf8).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func code(_ seconds: Int64, _ method: String, _ target: String) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array("\(seconds)\n\(method)\n\(target)".utf8), using: key))
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
