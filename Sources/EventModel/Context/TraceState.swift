// The headers `tracestate` (W3C Trace Context level 2, 3.3) and `baggage` (W3C Baggage, 3).

/// What each tracing system on the way has to say of a trace: the last one first.
public struct TraceState: Sendable, Hashable {
    /// One system's entry.
    public struct Entry: Sendable, Hashable {
        public let key: String
        public let value: String
    }

    /// The most entries there can be.
    public static let entryCount = 32
    /// How many bytes of it are passed on.
    public static let headerBytes = 512
    private static let longEntryBytes = 128

    /// At most 32, each key once.
    public private(set) var entries: [Entry] = []

    /// An empty list.
    public init() {}

    /// Reads the values of all headers of the name; nil where one is not valid: then all of it is forgotten. Of two
    /// entries with one key the first, which is the later one in time, stays.
    public init?(fields: [ArraySlice<UInt8>]) {
        var count = 0
        for field in fields {
            for part in field.split(separator: UInt8(ascii: ",")) {
                let member = HeaderName.trimmed(part)
                if member.isEmpty { continue }
                count += 1
                guard count <= Self.entryCount, let entry = Self.entry(member) else { return nil }
                if !entries.contains(where: { $0.key == entry.key }) { entries.append(entry) }
            }
        }
    }

    /// Puts an entry in front, in place of an earlier one of its key; the last one leaves where there are too many.
    /// False, and nothing changed, where key or value are not valid.
    public mutating func set(_ key: String, _ value: String) -> Bool {
        let member = Array((key + "=" + value).utf8)[...]
        guard let entry = Self.entry(member), entry.value == value, entry.key == key else { return false }
        entries.removeAll { $0.key == key }
        entries.insert(entry, at: 0)
        if entries.count > Self.entryCount { entries.removeLast() }
        return true
    }

    /// The value of a key.
    public subscript(key: String) -> String? { entries.first { $0.key == key }?.value }

    /// The header's value; beyond `limit` bytes long entries leave first, then the last ones (3.3.1.5).
    public func headerValue(limit: Int = headerBytes) -> String {
        var kept = entries.map { $0.key + "=" + $0.value }
        func isTooLong() -> Bool { kept.reduce(kept.count - 1) { $0 + $1.utf8.count } > limit }
        while isTooLong(), let long = kept.lastIndex(where: { $0.utf8.count > Self.longEntryBytes }) {
            kept.remove(at: long)
        }
        while isTooLong() { kept.removeLast() }
        return kept.joined(separator: ",")
    }

    private static func entry(_ member: ArraySlice<UInt8>) -> Entry? {
        guard let equals = member.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let (key, value) = (member[..<equals], member[(equals + 1)...])
        guard isKey(key), isValue(value) else { return nil }
        return Entry(key: String(decoding: key, as: UTF8.self), value: String(decoding: value, as: UTF8.self))
    }

    private static func isKey(_ key: ArraySlice<UInt8>) -> Bool {
        guard let first = key.first, key.count <= 256, isLetterOrDigit(first) else { return false }
        return key.allSatisfy { isLetterOrDigit($0) || "_-*/@".utf8.contains($0) }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isValue(_ value: ArraySlice<UInt8>) -> Bool {
        guard let last = value.last, value.count <= 256, last != 0x20 else { return false }
        return value.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }
    }
}

/// What an application sends along with its requests.
public struct Baggage: Sendable, Hashable {
    /// One entry; the value is decoded, properties are kept as they came.
    public struct Entry: Sendable, Hashable {
        public var key: String
        public var value: String
        public var properties: [String]

        public init(key: String, value: String, properties: [String] = []) {
            self.key = key
            self.value = value
            self.properties = properties
        }
    }

    /// The most entries that are passed on.
    public static let entryCount = 64
    /// The most bytes that are passed on.
    public static let headerBytes = 8_192

    /// In the order in which they came.
    public var entries: [Entry] = []

    /// An empty list.
    public init() {}

    /// Reads the headers `baggage`; entries that are not valid are left out, as are those beyond the limits.
    public init(headers: [HeaderField]) {
        var bytes = 0
        for field in HeaderName.values("baggage", in: headers) {
            for member in field.split(separator: UInt8(ascii: ",")) {
                bytes += member.count + 1
                guard let entry = Self.entry(member), entries.count < Self.entryCount, bytes <= Self.headerBytes + 1
                else { continue }
                entries.append(entry)
            }
        }
    }

    /// The value of a key.
    public subscript(key: String) -> String? { entries.first { $0.key == key }?.value }

    /// The header's value; entries beyond the limits, and keys that are no tokens, are left out.
    public func headerValue() -> String {
        var result = ""
        for entry in entries.prefix(Self.entryCount) where Self.isToken(Array(entry.key.utf8)[...]) {
            var member = entry.key + "=" + PercentCoding.encoded(entry.value)
            for property in entry.properties { member += ";" + property }
            if result.utf8.count + member.utf8.count + 1 > Self.headerBytes { continue }
            result += (result.isEmpty ? "" : ",") + member
        }
        return result
    }

    private static func entry(_ member: ArraySlice<UInt8>) -> Entry? {
        let parts = member.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        guard let equals = parts[0].firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let key = HeaderName.trimmed(parts[0][..<equals])
        let value = HeaderName.trimmed(parts[0][(equals + 1)...])
        let properties = parts.dropFirst().map { HeaderName.trimmed($0) }
        guard isToken(key), value.allSatisfy(isOctet), properties.allSatisfy({ $0.allSatisfy(isPropertyByte) }) else {
            return nil
        }
        return Entry(
            key: String(decoding: key, as: UTF8.self),
            value: String(decoding: PercentCoding.decoded(value), as: UTF8.self),
            properties: properties.filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) })
    }

    private static func isPropertyByte(_ byte: UInt8) -> Bool { isOctet(byte) || byte == 0x20 || byte == 0x09 }

    /// RFC 9110, 5.6.2.
    private static func isToken(_ text: ArraySlice<UInt8>) -> Bool {
        !text.isEmpty && text.allSatisfy { (0x21...0x7E).contains($0) && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0) }
    }

    /// `baggage-octet`: printable, without quotes, comma, semicolon and backslash.
    private static func isOctet(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !"\",;\\".utf8.contains(byte)
    }
}

/// `%` and two hexadecimal digits (RFC 3986, 2.1).
enum PercentCoding {
    /// What is not an escape stays as it is.
    static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, let value = HexadecimalDigits.number(digits) {
                result.append(UInt8(value))
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            if (0x21...0x7E).contains(byte) && !"\",;\\%".utf8.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += "%" + HexadecimalDigits.text(UInt64(byte)).suffix(2).uppercased()
            }
        }
        return result
    }
}
