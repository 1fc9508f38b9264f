// Which headers of a captured request go to a shadow: end to end ones that tell nothing secret, as they were captured.

import EventModel
import MeshRules

/// Makes the headers of a copy.
enum ShadowHeaders {
    /// Hop by hop (RFC 9110, section 7.6.1), and those that are made anew.
    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "content-length", "expect",
    ]

    /// What can be undone in an answer.
    private static let codings: Set<String> = ["gzip", "x-gzip", "deflate", "identity"]

    /// The headers that a copy keeps, in order, with the bytes that were captured.
    static func kept(_ headers: [HeaderField]) -> [HeaderField] {
        let named = headers.filter { $0.name.lowercased() == "connection" }.flatMap {
            $0.value.split(separator: ",").map { $0.lowercased().filter { $0 != " " && $0 != "\t" } }
        }
        let hops = dropped.union(named)
        return headers.compactMap { field in
            let name = field.name.lowercased()
            guard isToken(name), isText(field.value), !hops.contains(name), !name.hasPrefix("x-lattice-"),
                !field.value.contains(RedactionRules.mark)
            else { return nil }
            return name == "accept-encoding" ? HeaderField(name: field.name, value: accepted(field.value)) : field
        }
    }

    /// Of the shadow's own headers those that say nothing of the framing.
    static func own(_ headers: [HeaderField]) -> [HeaderField] {
        headers.filter { field in
            let name = field.name.lowercased()
            return name == "host" || !dropped.contains(name) && !name.hasPrefix("x-lattice-")
        }
    }

    /// An answer that cannot be unpacked cannot be compared: a client that takes other codings too asks for these only.
    private static func accepted(_ value: String) -> String {
        let names = value.split(separator: ",").map { element in
            element.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
        }
        return names.allSatisfy { codings.contains($0) || $0.isEmpty } ? value : "gzip, deflate"
    }

    /// A token of RFC 9110, section 5.6.2.
    static func isToken(_ name: String) -> Bool { !name.isEmpty && name.utf8.allSatisfy(isTokenByte) }

    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// No control characters: a captured value must not become a header of its own.
    static func isText(_ value: String) -> Bool { value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 } }
}
