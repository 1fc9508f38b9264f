// Which header fields go through a gateway, which end at it, and which it adds (RFC 9110, 7.6; RFC 9112, 3.2 and 6).

import EventModel
import NIOCore
import NIOHTTP1

/// What a field of a request is to the gateway.
enum FieldKind {
    case plain
    /// Hop by hop: ends here.
    case hop
    case connection, host, contentLength, transferEncoding, upgrade, expect
    case forwardedFor, forwardedProtocol, forwardedHost, requestID, via
    case trace
    /// `x-lattice-*`: ours alone.
    case own
    /// What only a proxy in front of a service may say, and this one does not: from a client it is taken out.
    case edge
}

/// Judges names of fields without building strings.
enum FieldNames {
    static func kind(_ name: String) -> FieldKind {
        switch name.utf8.count {
        case 2: return isEqual(name, "te") ? .hop : isEqual(name, "b3") ? .trace : .plain
        case 3: return isEqual(name, "via") ? .via : .plain
        case 4: return isEqual(name, "host") ? .host : .plain
        case 6: return isEqual(name, "expect") ? .expect : .plain
        case 7:
            if isEqual(name, "upgrade") { return .upgrade }
            return isEqual(name, "baggage") ? .trace : isEqual(name, "trailer") ? .hop : .plain
        case 9: return isLike(name, "forwarded") || isLike(name, "x-real-ip") ? .edge : .plain
        case 10:
            if isEqual(name, "connection") { return .connection }
            if isEqual(name, "keep-alive") { return .hop }
            return isEqual(name, "tracestate") || isEqual(name, "x-b3-flags") ? .trace : own(name)
        case 11: return isEqual(name, "traceparent") || isEqual(name, "x-b3-spanid") ? .trace : own(name)
        case 12:
            if isEqual(name, "x-request-id") { return .requestID }
            return isEqual(name, "x-b3-traceid") || isEqual(name, "x-b3-sampled") ? .trace : own(name)
        case 13: return isEqual(name, "uber-trace-id") ? .trace : own(name)
        case 14: return isEqual(name, "content-length") ? .contentLength : own(name)
        case 15: return isEqual(name, "x-forwarded-for") ? .forwardedFor : own(name)
        case 16:
            if isEqual(name, "x-forwarded-host") { return .forwardedHost }
            return isEqual(name, "proxy-connection") ? .hop : own(name)
        case 17:
            if isEqual(name, "transfer-encoding") { return .transferEncoding }
            if isEqual(name, "x-forwarded-proto") { return .forwardedProtocol }
            return isEqual(name, "x-b3-parentspanid") ? .trace : own(name)
        case 18: return isEqual(name, "proxy-authenticate") ? .hop : own(name)
        case 19: return isEqual(name, "proxy-authorization") ? .hop : own(name)
        default: return own(name)
        }
    }

    /// Names that no case above is about: ours, a proxy's, or anybody's.
    private static func own(_ name: String) -> FieldKind {
        switch name.utf8.first {
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            if begins(name, "x-lattice-") { return .own }
            return edgePrefixes.contains { begins(name, $0) } || edge.contains { isLike(name, $0) } ? .edge : .plain
        default:
            let isEdge =
                switch name.utf8.count {
                case 11: isLike(name, "client-cert")
                case 14: isLike(name, "true-client-ip") || isLike(name, "content-length")
                case 17: isLike(name, "client-cert-chain") || isLike(name, "transfer-encoding")
                default: begins(name, "ssl-client-")
                }
            return isEdge ? .edge : .plain
        }
    }

    /// Beside `Forwarded` and `X-Real-IP`: what services take from a proxy for the client's address, its certificate, or the
    /// target that was meant; and what services that see `_` for `-` would take for a length.
    private static let edgePrefixes = ["x-forwarded-", "x-original-", "x-envoy-", "x-ssl-client-"]
    private static let edge = ["x-rewrite-url", "x-client-ip", "x-cluster-client-ip"]

    private static func isLike(_ name: String, _ other: String) -> Bool {
        name.utf8.count == other.utf8.count && begins(name, other)
    }

    /// Many services make no difference between `-` and `_` (CGI's variables have only the one).
    private static func begins(_ name: String, _ prefix: String) -> Bool {
        name.utf8.count >= prefix.utf8.count
            && zip(name.utf8, prefix.utf8).allSatisfy {
                ($0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : lower($0)) == $1
            }
    }

    /// Whether a name is this one, which is in lower case and of the same length.
    @inline(__always)
    static func isEqual(_ name: String, _ lowerCase: String) -> Bool {
        var wanted = lowerCase.utf8.makeIterator()
        for byte in name.utf8 where lower(byte) != wanted.next() { return false }
        return wanted.next() == nil
    }

    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// Whether a list such as `Connection`'s has a word.
    static func list(_ value: String, has word: String) -> Bool {
        if value.utf8.count == word.utf8.count { return isSame(value[...], word) }
        return value.utf8.contains(UInt8(ascii: ",")) && words(value).contains { isSame($0, word) }
    }

    /// The words of a list, without blanks.
    static func words(_ value: String) -> [Substring] {
        value.split(separator: ",").map { part in
            let start = part.drop { $0 == " " || $0 == "\t" }
            guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return start[start.endIndex...] }
            return start[...end]
        }
    }

    static func isSame(_ text: Substring, _ lowerCase: String) -> Bool {
        text.utf8.count == lowerCase.utf8.count && zip(text.utf8, lowerCase.utf8).allSatisfy { lower($0) == $1 }
    }
}

/// What the answer's fields become on their way to the client.
enum ResponseFields {
    /// - Parameter isChunked: whether the answer to the client has no length and is sent in chunks.
    static func forwarded(_ head: HTTPResponseHead, isChunked: Bool, closes: Bool, via: String) -> HTTPHeaders {
        // RFC 9110, 8.6: no length where there can be no body.
        let dropsLength = head.status == .noContent || head.status == .switchingProtocols
        var fields: [(String, String)] = []
        fields.reserveCapacity(head.headers.count + 3)
        var named: [Substring] = []
        for (name, value) in head.headers {
            switch FieldNames.kind(name) {
            case .hop, .transferEncoding, .upgrade, .own: continue
            case .connection: named += FieldNames.words(value)
            case .via: fields.append((name, "\(value), \(via)"))
            case .contentLength where dropsLength: continue
            default: fields.append((name, value))
            }
        }
        if !named.isEmpty {
            let words = named.map { $0.lowercased() }.filter { !Self.isFraming($0) }
            if !words.isEmpty { fields.removeAll { words.contains($0.0.lowercased()) } }
        }
        if isChunked { fields.append(("transfer-encoding", "chunked")) }
        if closes { fields.append(("connection", "close")) }
        return HTTPHeaders(fields)
    }

    /// What may stand behind a body: nothing that frames, routes or concerns the connection (RFC 9110, 6.5.1).
    static func trailers(_ trailers: HTTPHeaders?) -> HTTPHeaders? {
        guard let trailers else { return nil }
        let kept = trailers.filter { field in
            switch FieldNames.kind(field.name) {
            case .plain, .trace, .edge: true
            default: false
            }
        }
        return kept.isEmpty ? nil : HTTPHeaders(kept.map { ($0.name, $0.value) })
    }

    /// What `Connection` cannot take out of a message.
    private static func isFraming(_ word: String) -> Bool {
        ["close", "keep-alive", "content-length", "host", ""].contains(word)
    }
}

/// How an answer's body is framed.
enum AnswerFraming {
    /// False: an encoding that was not asked for, which would be lost with the field that names it (RFC 9112, 6.1 and 7.4).
    static func isKnown(_ headers: HTTPHeaders) -> Bool {
        for (name, value) in headers where name.utf8.count == 17 && FieldNames.kind(name) == .transferEncoding {
            guard FieldNames.isSame(value[...], "chunked") || FieldNames.isSame(value[...], "identity") else {
                return false
            }
        }
        return true
    }
}
