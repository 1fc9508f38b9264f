// A copy as it goes over the wire: method, target, fields and body with the bytes that were captured, or not at all.

import EventModel
import MeshRules

/// Makes the bytes of a request.
enum CopyBytes {
    /// Where a byte was no UTF-8 this stands in what was captured, and the byte is lost.
    private static let lostByte: Character = "\u{FFFD}"

    /// Methods for which a server expects to be told that there is no body (RFC 9110, 8.6).
    private static let bodyMethods: Set<String> = ["POST", "PUT", "PATCH"]

    /// Why a request cannot be sent as it was; nil: it can.
    static func refusal(_ request: ShadowRequest) -> String? {
        guard ShadowHeaders.isToken(request.method), request.method != "CONNECT" else { return "not_sendable: method" }
        guard request.target.utf8.first == UInt8(ascii: "/") else {
            return request.target == "*" ? "not_sendable: asterisk form" : "not_sendable: no path"
        }
        // The target goes into the request's first line: no blanks and no control characters.
        guard request.target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return "not_sendable: target" }
        if request.target.contains(lostByte) { return "not_sendable: target has lost bytes" }
        if request.target.contains(RedactionRules.mark) { return "redacted: target" }
        if request.body.firstRange(of: mark) != nil { return "redacted: body" }
        return nil
    }

    private static let mark = Array(RedactionRules.mark.utf8)

    /// The same for the fields that a copy keeps.
    static func refusal(_ headers: [HeaderField]) -> String? {
        headers.contains { $0.value.contains(lostByte) } ? "not_sendable: header has lost bytes" : nil
    }

    /// The request's bytes.
    ///
    /// - Parameters:
    ///   - headers: those that are kept, and the shadow's own; a `host` among them takes the endpoint's place.
    ///   - mark: the value of the shadow mark.
    /// - Precondition: there is no refusal.
    static func make(_ request: ShadowRequest, _ headers: [HeaderField], mark: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512 + request.body.count)
        bytes += request.method.utf8
        bytes.append(0x20)
        bytes += request.target.utf8
        bytes += " HTTP/1.1\r\n".utf8
        let hosts = headers.filter { $0.name.lowercased() == "host" }
        append("host", hosts.first?.value ?? request.endpoint, to: &bytes)
        for field in headers where field.name.lowercased() != "host" { append(field.name, field.value, to: &bytes) }
        append(ShadowMark.header, mark, to: &bytes)
        if let length = lengthField(request) { append("content-length", length, to: &bytes) }
        bytes += "\r\n".utf8
        bytes += request.body
        return bytes
    }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        bytes += name.utf8
        bytes += ": ".utf8
        bytes += value.utf8
        bytes += "\r\n".utf8
    }

    /// Nil: the request says nothing of a body, since it has none. Whether a body was chunked is not copied.
    private static func lengthField(_ request: ShadowRequest) -> String? {
        if !request.body.isEmpty { return "\(request.body.count)" }
        let said = request.headers.contains { $0.name.lowercased() == "content-length" && $0.value == "0" }
        return said || bodyMethods.contains(request.method) ? "0" : nil
    }
}
