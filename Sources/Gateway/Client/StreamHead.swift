// The head of a request of HTTP/2 as HTTP/1.1 would have said it (RFC 9113, 8.1 to 8.3; RFC 9110, 5.5).

import NIOCore
import NIOHPACK
import NIOHTTP1

/// Reads the fields of one stream. Names were checked by HTTP/2's handler: tokens in lower case, pseudo-fields first.
struct StreamHead {
    private var method = ""
    private var path: String?
    private var scheme: String?
    private var authority: String?
    private var host: String?
    private var cookie: String?
    private var hasLength = false
    private var fields: [(String, String)] = [("host", "")]
    private var byteCount = 0

    /// - Parameter isComplete: no body follows. Otherwise the head bears a length or `chunked`: whoever reads it need not know
    ///   whether the stream is still open, then or later.
    static func read(
        _ block: HPACKHeaders, isComplete: Bool, limits: ClientLimits
    ) throws(RequestRefusal) -> HTTPRequestHead {
        var head = StreamHead()
        head.fields.reserveCapacity(block.count + 1)
        for (name, value, _) in block { try head.take(name, value, limits.headerBytes) }
        return try head.finish(isComplete: isComplete, limits)
    }

    private mutating func take(_ name: String, _ value: String, _ bytesMaximum: Int) throws(RequestRefusal) {
        byteCount += name.utf8.count + value.utf8.count
        guard byteCount <= bytesMaximum else { throw RequestRefusal(.requestHeaderFieldsTooLarge, "header_too_large") }
        if name.utf8.first == UInt8(ascii: ":") { return try takePseudo(name, value) }
        guard Self.isFieldValue(value) else { throw RequestRefusal(.badRequest, "field_value") }
        switch name {
        case "host":
            guard host == nil else { throw RequestRefusal(.badRequest, "repeated_field") }
            host = value
        case "cookie": cookie = cookie.map { "\($0); \(value)" } ?? value
        case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
            throw RequestRefusal(.badRequest, "hop_by_hop")
        case "content-length":
            hasLength = true
            fields.append((name, value))
        default: fields.append((name, value))
        }
    }

    private mutating func takePseudo(_ name: String, _ value: String) throws(RequestRefusal) {
        switch name {
        case ":method":
            guard RequestValidator.isToken(value) else { throw RequestRefusal(.badRequest, "method") }
            method = value
        case ":path": path = value
        case ":scheme": scheme = value
        case ":authority": authority = value
        default: throw RequestRefusal(.badRequest, "pseudo_field")
        }
    }

    private mutating func finish(isComplete: Bool, _ limits: ClientLimits) throws(RequestRefusal) -> HTTPRequestHead {
        if let scheme, !["http", "https"].contains(scheme.lowercased()) { throw RequestRefusal(.badRequest, "scheme") }
        guard let authority = authority ?? host else { throw RequestRefusal(.badRequest, "host") }
        // Whoever reads the one must not be told something else by the other.
        if let host, host.lowercased() != authority.lowercased() { throw RequestRefusal(.badRequest, "authority") }
        fields[0].1 = authority
        if let cookie { fields.append(("cookie", cookie)) }
        guard fields.count <= limits.headerCount else {
            throw RequestRefusal(.requestHeaderFieldsTooLarge, "header_too_large")
        }
        if !isComplete, !hasLength { fields.append(("transfer-encoding", "chunked")) }
        return HTTPRequestHead(
            version: HTTPVersion(major: 2, minor: 0), method: HTTPMethod(rawValue: method), uri: path ?? "/",
            headers: HTTPHeaders(fields))
    }

    /// No control but the tab, and no blank at either end (RFC 9113, 8.2.1; RFC 9110, 5.5).
    static func isFieldValue(_ value: String) -> Bool {
        guard let first = value.utf8.first, let last = value.utf8.last else { return true }
        return !isBlank(first) && !isBlank(last) && value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
