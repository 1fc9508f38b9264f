// Which headers of a captured request go to a shadow: end to end ones that tell nothing secret.

import EventModel

/// Makes the headers of a copy.
enum ShadowHeaders {
    /// Hop by hop (RFC 9110, section 7.6.1), and those that the client makes anew.
    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding", "expect",
    ]
    /// What stands where a secret was.
    private static let redacted = "[redacted]"

    /// The headers that a copy keeps.
    static func kept(_ headers: [HeaderField]) -> [HeaderField] {
        let named = headers.filter { $0.name.lowercased() == "connection" }.flatMap {
            $0.value.split(separator: ",").map { $0.lowercased().filter { $0 != " " && $0 != "\t" } }
        }
        let hops = dropped.union(named)
        return headers.filter { field in
            let name = field.name.lowercased()
            return isToken(name) && isText(field.value) && !hops.contains(name) && !name.hasPrefix("x-lattice-")
                && field.value != redacted
        }
    }

    /// A token of RFC 9110, section 5.6.2.
    static func isToken(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// No control characters: a captured value must not become a header of its own.
    static func isText(_ value: String) -> Bool { value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 } }
}
