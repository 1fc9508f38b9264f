// Reads a shadow's answer from its bytes: framed strictly (RFC 9112), everything bounded, and no byte that traps.

import EventModel

/// Why an answer is none.
struct AnswerFault: Error, Sendable, Hashable {
    /// A word that tells nothing of the contents.
    var reason: String

    static let malformed = AnswerFault(reason: "malformed_answer")
    static let headTooLarge = AnswerFault(reason: "head_too_large")
    static let tooLarge = AnswerFault(reason: "too_large")
    static let unsupportedCoding = AnswerFault(reason: "unsupported_transfer_coding")
    static let switchedProtocols = AnswerFault(reason: "switched_protocols")
    /// The connection ended before the first byte.
    static let closed = AnswerFault(reason: "connection_closed")
    /// It ended, or failed, within the answer.
    static let brokenOff = AnswerFault(reason: "broken_off")
}

/// An answer as it came, not yet inflated.
struct ParsedAnswer: Sendable, Hashable {
    var status: UInt32 = 0
    /// The first ones, in order.
    var headers: [HeaderField] = []
    /// What was done to the body, in order, in lower case.
    var contentCodings: [String] = []
    var body: [UInt8] = []
}

/// The parser of one answer; it is fed until it is whole or throws.
struct AnswerParser {
    struct Limits: Sendable {
        /// Fields that are kept; more do no harm.
        var headers = 64
        /// Bytes of all heads, interim ones too, and of the trailers.
        var headBytes = 65_536
        /// Interim answers before the one that counts.
        var interimAnswers = 16
        /// Bytes of one chunk's size and its extensions.
        var chunkLineBytes = 4_096
        /// Bytes of the body as it comes.
        var bodyBytes = 1_048_576
    }

    private enum State: Hashable {
        case statusLine
        case fields
        /// So many bytes are missing.
        case counted(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailers
        case untilEnd
        case whole
    }

    /// The request was a HEAD: whatever the head says, no body follows.
    let isHead: Bool
    let limits: Limits
    private(set) var answer = ParsedAnswer()
    /// Whether a byte has come.
    private(set) var hasBegun = false
    private var state = State.statusLine
    private var head = AnswerHead()
    private var line: [UInt8] = []
    private var headBytes = 0
    private var interimCount = 0
    private var mayKeep = true

    init(isHead: Bool, limits: Limits = Limits()) {
        self.isHead = isHead
        self.limits = limits
    }

    var isWhole: Bool { state == .whole }

    /// Whether the connection can carry another request: the answer is whole, says so, and nothing came behind it.
    var leavesConnectionUsable: Bool { isWhole && mayKeep }

    mutating func take(_ bytes: [UInt8]) throws(AnswerFault) {
        var rest = bytes[...]
        if !rest.isEmpty { hasBegun = true }
        while !rest.isEmpty {
            switch state {
            case .whole:
                mayKeep = false
                return
            case .counted(let missing):
                let left = missing - (try keep(&rest, missing))
                state = left == 0 ? .whole : .counted(left)
            case .chunk(let missing):
                let left = missing - (try keep(&rest, missing))
                state = left == 0 ? .chunkEnd : .chunk(left)
            case .untilEnd: _ = try keep(&rest, rest.count)
            case .statusLine, .fields, .chunkSize, .chunkEnd, .trailers:
                guard try fill(&rest) else { return }
                try takeLine()
                line.removeAll(keepingCapacity: true)
            }
        }
    }

    /// The connection has ended.
    ///
    /// - Parameter isClean: by the other side's word, not by an error.
    mutating func end(isClean: Bool) throws(AnswerFault) {
        if state == .untilEnd && isClean { state = .whole }
        mayKeep = false
        if !isWhole { throw hasBegun ? .brokenOff : .closed }
    }

    // MARK: Lines

    /// Takes bytes up to a line's end. False: it has not come yet.
    private mutating func fill(_ rest: inout ArraySlice<UInt8>) throws(AnswerFault) -> Bool {
        let end = rest.firstIndex(of: UInt8(ascii: "\n"))
        let part = rest[..<(end ?? rest.endIndex)]
        rest = rest[(end.map { $0 + 1 } ?? rest.endIndex)...]
        if state == .chunkSize || state == .chunkEnd {
            if line.count + part.count > limits.chunkLineBytes { throw .malformed }
        } else {
            headBytes += part.count + 1
            if headBytes > limits.headBytes { throw .headTooLarge }
        }
        line += part
        if state == .statusLine, !AnswerHead.mayBegin(line) { throw .malformed }
        return end != nil
    }

    private mutating func takeLine() throws(AnswerFault) {
        // A bare LF ends no line: two readers could see two answers.
        guard line.popLast() == UInt8(ascii: "\r") else { throw .malformed }
        switch state {
        case .statusLine:
            try head.begin(line)
            state = .fields
        case .fields:
            if line.isEmpty { try headEnded() } else { try head.take(line, keepingAtMost: limits.headers) }
        case .chunkSize: state = try chunkBegins()
        case .chunkEnd:
            guard line.isEmpty else { throw .malformed }
            state = .chunkSize
        case .trailers:
            if line.isEmpty {
                state = .whole
            } else {
                // Judged and left out: nothing that is compared stands there.
                guard AnswerHead.field(line) != nil else { throw .malformed }
            }
        case .counted, .chunk, .untilEnd, .whole: break
        }
    }

    private mutating func headEnded() throws(AnswerFault) {
        try head.finish(keepingAtMost: limits.headers)
        if head.status == 101 { throw .switchedProtocols }
        if head.status < 200 {
            interimCount += 1
            guard interimCount <= limits.interimAnswers, !head.saysFraming else { throw .malformed }
            head = AnswerHead()
            state = .statusLine
            return
        }
        answer.status = head.status
        answer.headers = head.headers
        answer.contentCodings = head.contentCodings
        mayKeep = head.keepsConnection
        state = try bodyBegins()
    }

    private mutating func bodyBegins() throws(AnswerFault) -> State {
        let hasBody = !isHead && head.status != 304
        let framing = try head.framing(hasBody: hasBody)
        if !hasBody { return .whole }
        if head.status == 204 {
            // RFC 9110, 8.6 and RFC 9112, 6.1: it must have neither. A zero does no harm and is common.
            guard framing == .none || framing == .length(0) else { throw .malformed }
            return .whole
        }
        switch framing {
        case .none:
            mayKeep = false
            return .untilEnd
        case .length(let length):
            if length > bodyBytesMaximum { throw .tooLarge }
            return length == 0 ? .whole : .counted(length)
        case .chunked: return .chunkSize
        }
    }

    private func chunkBegins() throws(AnswerFault) -> State {
        let digits = line.prefix { Self.hexadecimal($0) != nil }
        let rest = line[digits.endIndex...].drop { $0 == 0x20 || $0 == 0x09 }
        // Blanks may stand before an extension only.
        let isExtension = rest.first == UInt8(ascii: ";") && AnswerHead.isText(rest)
        guard (1...16).contains(digits.count), digits.endIndex == line.endIndex || isExtension else { throw .malformed }
        var size = 0
        for digit in digits {
            let (product, overflows) = size.multipliedReportingOverflow(by: 16)
            if overflows { throw .malformed }
            size = product | Int(Self.hexadecimal(digit) ?? 0)
        }
        if size > bodyBytesMaximum - answer.body.count { throw .tooLarge }
        return size == 0 ? .trailers : .chunk(size)
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    // MARK: Body

    /// What cannot be made smaller grows a little when it is packed.
    private var bodyBytesMaximum: Int {
        answer.contentCodings.isEmpty ? limits.bodyBytes : limits.bodyBytes + limits.bodyBytes / 256 + 1_024
    }

    /// Keeps at most so many bytes; answers how many.
    private mutating func keep(_ rest: inout ArraySlice<UInt8>, _ maximum: Int) throws(AnswerFault) -> Int {
        let part = rest.prefix(maximum)
        if part.count > bodyBytesMaximum - answer.body.count { throw .tooLarge }
        answer.body += part
        rest = rest.dropFirst(part.count)
        return part.count
    }
}
