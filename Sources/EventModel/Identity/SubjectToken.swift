// Names as subject tokens: letters, digits, `-` and `_` stand for themselves, all else is `%` and two hex digits.

/// Escapes names so that each is one token of a NATS subject (Identity.md).
public enum SubjectToken {
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// The token for a name; hex digits are written in upper case.
    public static func escape(_ name: String) -> String {
        if name.utf8.allSatisfy(isPlain) { return name }
        let digits = Array("0123456789ABCDEF".utf8)
        var token: [UInt8] = []
        for byte in name.utf8 {
            if isPlain(byte) {
                token.append(byte)
            } else {
                token += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: token, as: UTF8.self)
    }

    /// The name of a token; nil where it is not an escaped name in its one form.
    public static func unescape(_ token: String) -> String? {
        if token.isEmpty { return nil }
        if token.utf8.allSatisfy(isPlain) { return token }
        var name: [UInt8] = []
        var bytes = token.utf8.makeIterator()
        while let byte = bytes.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = bytes.next().flatMap(hexadecimal), let low = bytes.next().flatMap(hexadecimal) else {
                    return nil
                }
                name.append(high << 4 | low)
            } else if isPlain(byte) {
                name.append(byte)
            } else {
                return nil
            }
        }
        guard let result = String(validating: name, as: UTF8.self), escape(result) == token else { return nil }
        return result
    }

    /// Whether a token names exactly this service, without building the escaped form where it is not needed.
    package static func token(_ token: Substring, names service: String) -> Bool {
        if service.utf8.allSatisfy(isPlain) { return token.utf8.elementsEqual(service.utf8) }
        return escape(service) == token
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
