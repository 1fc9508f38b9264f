// Bearer tokens of listeners: who shows one may do what it is for (RFC 6750, section 2.1).

/// A token that clients have to show.
package struct BearerToken: Sendable, CustomStringConvertible {
    private let secret: [UInt8]

    package init(_ token: String) { secret = Array(token.utf8) }

    /// Whether the value of `Authorization` is good enough.
    package func admits(_ authorization: String?) -> Bool {
        guard let authorization, let shown = Self.shown(in: authorization) else { return false }
        return isEqual(to: Array(shown.utf8))
    }

    /// Takes the same time wherever two texts differ.
    func isEqual(to offered: [UInt8]) -> Bool {
        var difference = secret.count ^ offered.count
        for index in secret.indices {
            difference |= Int(secret[index] ^ (index < offered.count ? offered[index] : 0))
        }
        return difference == 0
    }

    /// The token in a value of `Authorization`; nil where it is of another scheme. Schemes are compared without regard to
    /// case (RFC 9110, section 11.1).
    static func shown(in authorization: String) -> Substring? {
        let parts = authorization.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        return token.isEmpty ? nil : token
    }

    package var description: String { "a token" }
}
