// Whether a request's head can be taken, and what of it the service sees. Whatever two readers could understand in two
// ways is refused (RFC 9112, 3.2, 6.1 and 11.2: request smuggling).

import EventModel
import NIOCore
import NIOHTTP1

/// Why a request is not taken.
struct Refusal: Error, Hashable {
    var status: HTTPResponseStatus
    /// A word, for the answer's body and the counters.
    var reason: String

    init(_ status: HTTPResponseStatus, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}

/// A request's head after it was judged.
struct JudgedHead {
    /// As the client wrote it, with port.
    var authority = ""
    /// Without port, as written.
    var host = ""
    /// Path and query.
    var target = ""
    /// Nil: chunked, or over HTTP/2 without a length.
    var contentLength: Int?
    var isChunked = false
    var expectsContinue = false
    /// The protocol that the client wants to go on with.
    var upgrade: String?
    var isKeptAlive = true
    /// The values of `x-lattice-shadow`, if there is one.
    var shadowMark: String?
    /// End to end fields, without those that the gateway writes anew.
    var fields: [(String, String)] = []
    var traceFields: [HeaderField] = []
    var forwardedFor: String?
    var forwardedProtocol: String?
    var forwardedHost: String?
    var requestID: String?
    var via: String?

    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }
}

/// Judges heads.
enum RequestJudge {
    /// - Throws: why it is refused; the connection is then closed.
    static func judge(_ head: HTTPRequestHead, isHTTP2: Bool) throws(Refusal) -> JudgedHead {
        var result = JudgedHead()
        result.fields.reserveCapacity(head.headers.count + 8)
        var (hostCount, lengthCount, encodingCount) = (0, 0, 0)
        var named: [Substring] = []
        for (name, value) in head.headers {
            let kind = FieldNames.kind(name)
            switch kind {
            case .plain: result.fields.append((name, value))
            case .hop: continue
            case .connection: named += FieldNames.words(value)
            case .host:
                hostCount += 1
                result.authority = value
            case .contentLength:
                lengthCount += 1
                guard let length = Self.length(value) else { throw Refusal(.badRequest, "content_length") }
                result.contentLength = length
            case .transferEncoding:
                encodingCount += 1
                guard FieldNames.isSame(value[...], "chunked") else { throw Refusal(.badRequest, "transfer_encoding") }
                result.isChunked = true
            case .upgrade: result.upgrade = value
            case .expect: result.expectsContinue = FieldNames.isSame(value[...], "100-continue")
            case .trace: result.traceFields.append(HeaderField(name: name, value: value))
            case .own:
                if FieldNames.isSame(name[...], "x-lattice-shadow") { result.shadowMark = value }
            case .forwardedFor, .forwardedProtocol, .forwardedHost, .requestID, .via:
                Self.keep(kind, value, in: &result)
            }
        }
        guard hostCount == 1, lengthCount <= 1, encodingCount <= 1 else { throw Refusal(.badRequest, "repeated_field") }
        try framing(head, isHTTP2, lengthCount, encodingCount)
        try connection(head, named, &result)
        try target(head, &result)
        return result
    }

    private static func keep(_ kind: FieldKind, _ value: String, in result: inout JudgedHead) {
        switch kind {
        case .forwardedFor: result.forwardedFor = result.forwardedFor.map { "\($0), \(value)" } ?? value
        case .forwardedProtocol: result.forwardedProtocol = value
        case .forwardedHost: result.forwardedHost = value
        case .requestID: result.requestID = value
        case .via: result.via = result.via.map { "\($0), \(value)" } ?? value
        default: break
        }
    }

    private static func framing(
        _ head: HTTPRequestHead, _ isHTTP2: Bool, _ lengthCount: Int, _ encodingCount: Int
    ) throws(Refusal) {
        if lengthCount + encodingCount > 1 { throw Refusal(.badRequest, "length_and_chunks") }
        if encodingCount > 0, isHTTP2 || head.version.minor == 0 { throw Refusal(.badRequest, "transfer_encoding") }
        switch head.method {
        case .CONNECT, .TRACE: throw Refusal(.methodNotAllowed, "method")
        default: break
        }
    }

    private static func connection(
        _ head: HTTPRequestHead, _ named: [Substring], _ result: inout JudgedHead
    ) throws(Refusal) {
        result.isKeptAlive = head.version.minor >= 1
        var wantsUpgrade = false
        if !named.isEmpty {
            let words = named.map { $0.lowercased() }
            if words.contains("close") { result.isKeptAlive = false }
            wantsUpgrade = words.contains("upgrade")
            let dropped = words.filter { !["close", "keep-alive", "upgrade", ""].contains($0) }
            if !dropped.isEmpty {
                result.fields.removeAll { dropped.contains($0.0.lowercased()) }
                if dropped.contains("content-length") || dropped.contains("host") {
                    throw Refusal(.badRequest, "connection")
                }
            }
        }
        let isTunnel = result.upgrade.map { FieldNames.isSame($0[...], "websocket") } ?? false
        if !wantsUpgrade || !isTunnel || head.method != .GET || result.hasBody { result.upgrade = nil }
    }

    /// Origin form, or absolute form whose authority is the `Host`.
    private static func target(_ head: HTTPRequestHead, _ result: inout JudgedHead) throws(Refusal) {
        guard isAuthority(result.authority) else { throw Refusal(.badRequest, "host") }
        var text = head.uri
        if text.utf8.first != UInt8(ascii: "/") {
            guard let scheme = text.firstRange(of: "://"),
                ["http", "https"].contains(text[..<scheme.lowerBound].lowercased())
            else { throw Refusal(.badRequest, "target") }
            let rest = text[scheme.upperBound...]
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            guard authority.lowercased() == result.authority.lowercased() else {
                throw Refusal(.badRequest, "authority")
            }
            let path = rest.dropFirst(authority.count)
            text = path.utf8.first == UInt8(ascii: "/") ? String(path) : "/" + path
        }
        guard isTarget(text) else { throw Refusal(.badRequest, "target") }
        result.target = text
        result.host = hostName(result.authority)
    }

    private static func hostName(_ authority: String) -> String {
        if authority.utf8.first == UInt8(ascii: "[") {
            return String(authority.prefix { $0 != "]" }.dropFirst())
        }
        guard let colon = authority.utf8.lastIndex(of: UInt8(ascii: ":")) else { return authority }
        return String(authority[..<colon])
    }

    /// `reg-name` or an address, with an optional port (RFC 3986, 3.2.2), no user.
    private static func isAuthority(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 255 else { return false }
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: continue
            case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"),
                UInt8(ascii: "["), UInt8(ascii: "]"):
                continue
            default: return false
            }
        }
        return true
    }

    /// Printable ASCII without a fragment, and a path without `.` and `..` segments, plain or escaped: the gateway's
    /// prefix and the service's path must be the same thing.
    static func isTarget(_ text: String) -> Bool {
        var previous: UInt8 = 0
        var mayHaveDots = false
        for byte in text.utf8 {
            guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#"), byte != UInt8(ascii: "\\") else { return false }
            if previous == UInt8(ascii: "/"), byte == UInt8(ascii: ".") || byte == UInt8(ascii: "%") {
                mayHaveDots = true
            }
            previous = byte
        }
        return !mayHaveDots || !hasDotSegments(text)
    }

    private static func hasDotSegments(_ text: String) -> Bool {
        let path = text.prefix { $0 != "?" }.lowercased().replacing("%2e", with: ".")
        return path.split(separator: "/").contains { $0 == "." || $0 == ".." }
    }

    private static func length(_ value: String) -> Int? {
        guard !value.isEmpty, value.utf8.count <= 15, value.utf8.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
        return Int(value)
    }
}
