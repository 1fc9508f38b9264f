// Versions of nats-server, and what is promised from which on.

/// A version as the server's greeting tells it.
package struct NATSServerVersion: Sendable, Hashable, CustomStringConvertible {
    package var major: Int32
    package var minor: Int32
    package var update: Int32

    package init(_ major: Int32, _ minor: Int32, _ update: Int32) {
        self.major = major
        self.minor = minor
        self.update = update
    }

    /// `2.12.0`
    package var description: String { "\(major).\(minor).\(update)" }

    /// From here on a publisher cannot delete an account's streams by choosing a reply subject (CVE-2025-30215).
    package static let safeReplies = NATSServerVersion(2, 10, 27)
    /// From here on a stream with replicas lost and doubled nothing that it had acknowledged, as tried here.
    package static let replicas = NATSServerVersion(2, 12, 0)
}
