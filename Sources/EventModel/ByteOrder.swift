// Texts compared as bytes, so that every process orders them alike, whatever its tables of Unicode.

extension String {
    /// Order by the bytes of UTF-8: the one order of names and ids, whatever version of Unicode is at hand.
    package func precedesInBytes(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }

    /// Equality by the bytes of UTF-8.
    package func equalsInBytes(_ other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
