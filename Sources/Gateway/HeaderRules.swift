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
        case 10:
            if isEqual(name, "connection") { return .connection }
            if isEqual(name, "keep-alive") { return .hop }
            return isEqual(name, "tracestate") || isEqual(name, "x-b3-flags") ? .trace : .plain
        case 11: return isEqual(name, "traceparent") || isEqual(name, "x-b3-spanid") ? .trace : .plain
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

    private static func own(_ name: String) -> FieldKind {
        let prefix = "x-lattice-".utf8
        guard name.utf8.count > prefix.count else { return .plain }
        return zip(name.utf8, prefix).allSatisfy { lower($0) == $1 } ? .own : .plain
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
        var fields: [(String, String)] = []
        fields.reserveCapacity(head.headers.count + 3)
        var named: [Substring] = []
        for (name, value) in head.headers {
            switch FieldNames.kind(name) {
            case .hop, .transferEncoding, .upgrade, .own: continue
            case .connection: named += FieldNames.words(value)
            case .via: fields.append((name, "\(value), \(via)"))
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

    /// What `Connection` can not take out of a message.
    private static func isFraming(_ word: String) -> Bool {
        ["close", "keep-alive", "content-length", "host", ""].contains(word)
    }
}
