// Texts compared as bytes, so that every process orders them alike, whatever its tables of Unicode.

extension String {
    /// Order by the bytes of UTF-8: the one order of names and ids, whatever version of Unicode is at hand.
    package func precedesInBytes(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }

    /// Equality by the bytes of UTF-8.
    package func equalsInBytes(_ other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// A name as a key: equal to another one if the bytes are, whatever Unicode thinks of it. Swift deems an é and an e with an
/// accent one, and the Kelvin sign a K.
package struct ByteName: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// Texts of ASCII, which nearly all names are, have equal bytes if they are equal texts, and that is compared much faster.
    package static func == (left: Self, right: Self) -> Bool {
        guard left.text == right.text else { return false }
        return left.text.utf8Span.isKnownASCII && right.text.utf8Span.isKnownASCII
            || left.text.equalsInBytes(right.text)
    }

    /// Equal bytes are equal text, which has one hash.
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
