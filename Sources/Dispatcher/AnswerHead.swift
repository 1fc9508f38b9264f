// The head of a shadow's answer: status line and fields, and what they say of the framing (RFC 9112, 4 to 6).

import EventModel

/// One head, taken line by line, without the lines' ends.
struct AnswerHead {
    /// How the body's end is found.
    enum Framing: Hashable {
        case none
        case length(Int)
        case chunked
    }

    private(set) var status: UInt32 = 0
    private(set) var headers: [HeaderField] = []
    private(set) var contentCodings: [String] = []
    private var minorVersion: UInt8 = 1
    private var lengths: [[UInt8]] = []
    private var transferCodings: [String] = []
    private var namesTransferCoding = false
    private var connectionWords: Set<String> = []
    /// The latest field: the next line may go on with it.
    private var open: (name: [UInt8], value: [UInt8])?

    private static let version = Array("HTTP/1.".utf8)

    /// Whether these bytes can be the beginning of a status line.
    static func mayBegin(_ bytes: [UInt8]) -> Bool {
        bytes.prefix(version.count).elementsEqual(version.prefix(bytes.count))
    }

    /// `HTTP/1.1 200 reason`; the reason, and the blank before it, may be missing.
    mutating func begin(_ line: [UInt8]) throws(AnswerFault) {
        let digits = line.dropFirst(9).prefix(3)
        guard line.count >= 12, Self.mayBegin(line), Self.isDigit(line[7]), line[8] == 0x20,
            digits.allSatisfy(Self.isDigit), line.count == 12 || line[12] == 0x20, Self.isText(line[...])
        else { throw .malformed }
        minorVersion = line[7] - UInt8(ascii: "0")
        status = digits.reduce(0) { $0 * 10 + UInt32($1 - UInt8(ascii: "0")) }
        // RFC 9110, 15: below 100 there is none. Above 599 services have their own, and a comparison should tell them.
        if status < 100 { throw .malformed }
    }

    mutating func take(_ line: [UInt8], keepingAtMost maximum: Int) throws(AnswerFault) {
        if line[0] == 0x20 || line[0] == 0x09 {
            // obs-fold: RFC 9112, 5.2 has a user agent read it as a blank.
            guard let field = open, Self.isText(line[...]) else { throw .malformed }
            open = (field.name, field.value + [0x20] + Self.trimmed(line[...]))
            return
        }
        try close(keepingAtMost: maximum)
        guard let field = Self.field(line) else { throw .malformed }
        open = field
    }

    /// The head's last line has come.
    mutating func finish(keepingAtMost maximum: Int) throws(AnswerFault) { try close(keepingAtMost: maximum) }

    /// What the fields say, before it is judged.
    var saysFraming: Bool { namesTransferCoding || !lengths.isEmpty }

    /// How the body's end is found, if one follows.
    ///
    /// - Throws: where two readers could find two ends, or the body could not be read.
    func framing(hasBody: Bool) throws(AnswerFault) -> Framing {
        if !saysFraming { return .none }
        if namesTransferCoding {
            guard lengths.isEmpty, minorVersion > 0, !transferCodings.dropLast().contains("chunked"),
                transferCodings.last == "chunked"
            else { throw .malformed }
            if hasBody, transferCodings.count > 1 { throw .unsupportedCoding }
            return .chunked
        }
        guard lengths.count == 1, let digits = lengths.first, (1...19).contains(digits.count),
            digits.allSatisfy(Self.isDigit), let length = Int(String(decoding: digits, as: UTF8.self))
        else { throw .malformed }
        return .length(length)
    }

    var keepsConnection: Bool {
        if connectionWords.contains("close") { return false }
        return minorVersion > 0 || connectionWords.contains("keep-alive")
    }

    private mutating func close(keepingAtMost maximum: Int) throws(AnswerFault) {
        guard let (name, bytes) = open else { return }
        open = nil
        let value = String(decoding: bytes, as: UTF8.self)
        if headers.count < maximum {
            headers.append(HeaderField(name: String(decoding: name, as: UTF8.self), value: value))
        }
        switch String(decoding: name, as: UTF8.self).lowercased() {
        case "content-length": lengths.append(bytes)
        case "transfer-encoding":
            namesTransferCoding = true
            transferCodings += Self.words(value)
        case "content-encoding": contentCodings += Self.words(value)
        case "connection": connectionWords.formUnion(Self.words(value))
        default: break
        }
    }

    // MARK: Bytes

    /// `name: value`, the value without the blanks around it. Nil: it is none.
    static func field(_ line: [UInt8]) -> (name: [UInt8], value: [UInt8])? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { return nil }
        let value = line[(colon + 1)...]
        guard line[..<colon].allSatisfy(ShadowHeaders.isTokenByte), isText(value) else { return nil }
        return (Array(line[..<colon]), trimmed(value))
    }

    /// No control characters.
    static func isText(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var rest = bytes.drop { $0 == 0x20 || $0 == 0x09 }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return Array(rest)
    }

    /// The elements of a list, in lower case.
    private static func words(_ value: String) -> [String] {
        value.split(separator: ",").map { word in
            String(decoding: trimmed(Array(word.utf8)[...]), as: UTF8.self).lowercased()
        }.filter { !$0.isEmpty }
    }
}
