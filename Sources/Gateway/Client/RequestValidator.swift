// Whether a request's head can be taken, and what of it the service sees. Whatever two readers could understand in two
// ways is refused (RFC 9112, 3.2, 6.1 and 11.2: request smuggling).

import EventModel
import NIOCore
import NIOHTTP1

/// Why a request is not taken.
struct RequestRefusal: Error, Hashable {
    var status: HTTPResponseStatus
    /// A word, for the answer's body and the counters.
    var reason: String

    init(_ status: HTTPResponseStatus, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}

/// A request's head after it was judged.
struct ValidatedHead {
    /// As the client wrote it, with port.
    var authority = ""
    /// Without port, as written.
    var host = ""
    /// Path and query.
    var target = ""
    /// Nil: chunked, or no body.
    var contentLength: Int?
    /// A body whose length nobody knows; so it goes on to the service, in whichever version it came.
    var isChunked = false
    var expectsContinue = false
    /// The protocol that the client wants to go on with.
    var upgrade: String?
    /// Whether `Connection` and `Upgrade` ask for another protocol, one that goes through or not.
    var asksUpgrade = false
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

    /// By the head alone (RFC 9112, 6.3): what has no body is complete at its head, whenever its end is read.
    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }
}

/// Judges heads.
enum RequestValidator {
    /// - Throws: why it is refused; the connection is then closed.
    static func judge(_ head: HTTPRequestHead) throws(RequestRefusal) -> ValidatedHead {
        var result = ValidatedHead()
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
                guard let length = Self.length(value) else { throw RequestRefusal(.badRequest, "content_length") }
                result.contentLength = length
            case .transferEncoding:
                encodingCount += 1
                guard FieldNames.isSame(value[...], "chunked") else {
                    throw RequestRefusal(.badRequest, "transfer_encoding")
                }
                result.isChunked = true
            case .upgrade: result.upgrade = value
            case .expect: result.expectsContinue = FieldNames.isSame(value[...], "100-continue")
            case .trace: result.traceFields.append(HeaderField(name: name, value: value))
            case .edge: continue
            case .own:
                if FieldNames.isSame(name[...], "x-lattice-shadow") { result.shadowMark = value }
            case .forwardedFor, .forwardedProtocol, .forwardedHost, .requestID, .via:
                Self.keep(kind, value, in: &result)
            }
        }
        // An old client need not name a host.
        let isHostless = hostCount == 0 && head.version == .http1_0
        guard hostCount == 1 || isHostless, lengthCount <= 1, encodingCount <= 1 else {
            throw RequestRefusal(.badRequest, "repeated_field")
        }
        try framing(head, lengthCount, encodingCount)
        try connection(head, named, &result)
        try target(head, &result)
        if let via = result.via, isLoop(via) { throw RequestRefusal(.loopDetected, "loop") }
        return result
    }

    /// So many gateways are no path to a service but a route that leads back here (RFC 9110, 7.6.3).
    private static let hopsMaximum = 10

    private static func isLoop(_ via: String) -> Bool {
        FieldNames.words(via).count { $0.hasSuffix(GatewayShared.name) } >= hopsMaximum
    }

    private static func keep(_ kind: FieldKind, _ value: String, in result: inout ValidatedHead) {
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
        _ head: HTTPRequestHead, _ lengthCount: Int, _ encodingCount: Int
    ) throws(RequestRefusal) {
        if lengthCount + encodingCount > 1 { throw RequestRefusal(.badRequest, "length_and_chunks") }
        if encodingCount > 0, head.version == .http1_0 { throw RequestRefusal(.badRequest, "transfer_encoding") }
        switch head.method {
        case .CONNECT, .TRACE: throw RequestRefusal(.methodNotAllowed, "method")
        default: break
        }
    }

    private static func connection(
        _ head: HTTPRequestHead, _ named: [Substring], _ result: inout ValidatedHead
    ) throws(RequestRefusal) {
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
                    throw RequestRefusal(.badRequest, "connection")
                }
            }
        }
        result.asksUpgrade = wantsUpgrade && result.upgrade != nil
        let isTunnel = result.upgrade.map { FieldNames.isSame($0[...], "websocket") } ?? false
        if !wantsUpgrade || !isTunnel || head.method != .GET || result.hasBody { result.upgrade = nil }
    }

    /// Origin form, or absolute form whose authority is the `Host`.
    private static func target(_ head: HTTPRequestHead, _ result: inout ValidatedHead) throws(RequestRefusal) {
        guard isAuthority(result.authority) || result.authority.isEmpty && head.version == .http1_0 else {
            throw RequestRefusal(.badRequest, "host")
        }
        var text = head.uri
        if head.method == .OPTIONS, text == "*" {
            // The server as a whole (RFC 9110, 9.3.7): that of the host's widest route.
            (result.target, result.host) = (text, hostName(result.authority))
            return
        }
        if text.utf8.first != UInt8(ascii: "/") {
            guard let scheme = text.firstRange(of: "://"),
                ["http", "https"].contains(text[..<scheme.lowerBound].lowercased())
            else { throw RequestRefusal(.badRequest, "target") }
            let rest = text[scheme.upperBound...]
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            guard authority.lowercased() == result.authority.lowercased() else {
                throw RequestRefusal(.badRequest, "authority")
            }
            let path = rest.dropFirst(authority.count)
            text = path.utf8.first == UInt8(ascii: "/") ? String(path) : "/" + path
        }
        guard isTarget(text) else { throw RequestRefusal(.badRequest, "target") }
        result.target = text
        result.host = hostName(result.authority)
    }

    private static func hostName(_ authority: String) -> String {
        if authority.utf8.first == UInt8(ascii: "[") {
            return String(authority.prefix { $0 != "]" }.dropFirst())
        }
        var name = authority[...]
        if let colon = name.utf8.lastIndex(of: UInt8(ascii: ":")) { name = name[..<colon] }
        // The dot of a name that is complete belongs to no route.
        if name.utf8.last == UInt8(ascii: ".") { name = name.dropLast() }
        return name.utf8.count == authority.utf8.count ? authority : String(name)
    }

    /// `reg-name` or an address, with an optional port (RFC 3986, 3.2.2), no user.
    static func isAuthority(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 255 else { return false }
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let address = rest[rest.index(after: rest.startIndex)..<end]
            let hexadecimal = { (byte: UInt8) in byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 6 }
            guard address.contains(UInt8(ascii: ":")),
                address.allSatisfy({ hexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return false }
            rest = rest[rest.index(after: end)...]
        } else {
            let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
            guard end != rest.startIndex, rest[..<end].allSatisfy(isNameByte) else { return false }
            rest = rest[end...]
        }
        guard let colon = rest.first else { return true }
        let port = rest.dropFirst()
        return colon == UInt8(ascii: ":") && port.count <= 5 && port.allSatisfy { $0 &- 0x30 < 10 }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }

    /// RFC 9110, 5.6.2.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
                default: false
                }
            }
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
