// What a subject may look like, and whether a subject matches a pattern with wildcards.

/// The rules for subjects that every bus enforces before anything is sent: a blank or a line break in a subject would
/// become part of the NATS protocol.
package enum SubjectSyntax {
    /// Whether a message can be published here: tokens separated by dots, none empty, no blanks, control characters or
    /// wildcards.
    package static func isPublishable(_ subject: String) -> Bool {
        isWellFormed(subject.utf8, wildcardsAllowed: false)
    }

    /// Whether a subscription can be opened here: as above, but `*` may stand for a token and `>` for the last ones.
    package static func isSubscribable(_ pattern: String) -> Bool {
        isWellFormed(pattern.utf8, wildcardsAllowed: true)
    }

    /// Bytes of an inbox: several times what any client makes, and far below what any server takes in one line.
    package static let inboxBytesMax = 256

    /// Whether answers may be sent here, though somebody else chose the subject: below a token that begins as inboxes do, or
    /// what a server makes of such a subject on its way from another account (`_R_`).
    package static func isInbox(_ subject: String) -> Bool {
        guard subject.utf8.count <= inboxBytesMax, isPublishable(subject), let dot = subject.utf8.firstIndex(of: 0x2E)
        else { return false }
        let first = subject[..<dot]
        return first.hasPrefix("_INBOX") || first == "_R_"
    }

    /// Whether inboxes can be made below these tokens.
    package static func isInboxPrefix(_ prefix: String) -> Bool {
        prefix.utf8.count <= inboxBytesMax / 2 && isPublishable(prefix) && isInbox(prefix + ".a")
    }

    /// Whether a header arrives as it is sent: a name without colons and blanks, a value without line breaks and without
    /// blanks at its ends.
    package static func isSendable(_ header: MessageHeader) -> Bool {
        !header.name.isEmpty
            && header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            && header.value.utf8.allSatisfy { $0 != 0x0A && $0 != 0x0D && $0 != 0 }
            && (header.value.utf8.first ?? 0x21) > 0x20 && (header.value.utf8.last ?? 0x21) > 0x20
    }

    /// Whether every subject that `narrow` matches is matched by `wide` too.
    package static func covers(_ wide: String, _ narrow: String) -> Bool {
        let (wide, narrow) = (tokens(wide), tokens(narrow))
        for (index, token) in wide.enumerated() {
            if index >= narrow.count { return false }
            if token == ">" { return true }
            if narrow[index] == ">" || (token != "*" && token != narrow[index]) { return false }
        }
        return wide.count == narrow.count
    }

    /// Whether there is a subject that both match.
    package static func overlap(_ one: String, _ other: String) -> Bool {
        let (one, other) = (tokens(one), tokens(other))
        for (token, counterpart) in zip(one, other) {
            if token == ">" || counterpart == ">" { return true }
            if token != "*" && counterpart != "*" && token != counterpart { return false }
        }
        return one.count == other.count
    }

    private static func tokens(_ pattern: String) -> [Substring] {
        pattern.split(separator: ".", omittingEmptySubsequences: false)
    }

    private static func isWellFormed(_ bytes: String.UTF8View, wildcardsAllowed: Bool) -> Bool {
        var lengthOfToken = 0
        var wildcard: UInt8 = 0
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                if lengthOfToken == 0 || wildcard == UInt8(ascii: ">") { return false }
                if wildcard != 0 && lengthOfToken > 1 { return false }
                lengthOfToken = 0
                wildcard = 0
                continue
            }
            if byte <= 0x20 || byte == 0x7F { return false }
            if byte == UInt8(ascii: "*") || byte == UInt8(ascii: ">") {
                if !wildcardsAllowed { return false }
                wildcard = byte
            }
            lengthOfToken += 1
        }
        return lengthOfToken > 0 && (wildcard == 0 || lengthOfToken == 1)
    }
}

/// A subscription's subject, split once.
package struct SubjectPattern: Sendable, Hashable {
    private let tokens: [Substring]

    /// Nil when the pattern is not well formed.
    package init?(_ pattern: String) {
        guard SubjectSyntax.isSubscribable(pattern) else { return nil }
        tokens = pattern.split(separator: ".", omittingEmptySubsequences: false)
    }

    /// Whether a message on `subject` belongs here: `*` takes one token, `>` takes one or more at the end.
    package func matches(_ subject: String) -> Bool {
        let parts = subject.split(separator: ".", omittingEmptySubsequences: false)
        for (index, token) in tokens.enumerated() {
            if index >= parts.count { return false }
            if token == ">" { return true }
            if token != "*" && token != parts[index] { return false }
        }
        return parts.count == tokens.count
    }
}
