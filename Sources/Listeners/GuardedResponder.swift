// What every request meets before it meets a route: whether its host is served here, its page may write, its path is one.

import EventModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

/// A request with the connection on which it came.
struct ConnectionContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let inner: BasicRequestContext
    /// The address by which the client reached us.
    let local: SocketAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        inner = BasicRequestContext(source: source)
        local = source.channel.localAddress
    }
}

/// Judges requests, and hands on those that pass.
struct GuardedResponder<Inner: HTTPResponder>: HTTPResponder where Inner.Context == BasicRequestContext {
    let inner: Inner
    let routes: ListenerRoutes
    let hosts: HostRule
    let origins: CrossOriginRule

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let isHead = request.method == .head
        var response = origins.marking(try await answer(request, context), to: request)
        // The length stays, the body does not: else the next answer on the connection would begin with it.
        if isHead { response = response.createHeadResponse() }
        return response
    }

    private func answer(_ request: Request, _ context: ConnectionContext) async throws -> Response {
        // The first `Host` is the authority; a second one is left among the fields.
        let host = request.headers[HTTPField.Name("Host")!] == nil ? request.head.authority : nil
        switch hosts.judge(host, local: context.local) {
        case .served: break
        case .malformed:
            return AccessRefusal.response(
                .badRequest, "bad_request", "a request has one Host, and that is a name or an address")
        case .foreign(let name):
            return AccessRefusal.response(
                HTTPResponse.Status(code: 421, reasonPhrase: "Misdirected Request"), "misdirected_request",
                "`\(name)` is not served here. If it is a name of this listener, allow it: --http-host for a node, "
                    + "--admin-host for a gateway")
        }
        if let origin = request.headers[HTTPField.Name("Origin")!], request.method != .get, request.method != .head,
            !hosts.admits(origin: origin, host: host), origins.grant(request) == nil
        {
            return AccessRefusal.response(.forbidden, "forbidden", "pages of another origin may not write here")
        }
        guard let target = RequestTarget.plain(request.head.path ?? "/") else {
            return AccessRefusal.response(.badRequest, "bad_request", "the path is not encoded as RFC 3986 says")
        }
        return try await route(request, target, context.inner)
    }

    private func route(_ request: Request, _ target: String, _ context: BasicRequestContext) async throws -> Response {
        var head = request.head
        head.path = target
        let path = Request(head: head, body: request.body).uri.path
        let methods = routes.methods(of: path)
        if let preflight = origins.preflight(request, methods: methods) { return preflight }
        if methods.isEmpty { return AccessRefusal.response(.notFound, "not_found", "there is no \(path)") }
        guard methods.contains(request.method) else {
            var response = AccessRefusal.response(
                .methodNotAllowed, "method_not_allowed", "\(path) has no such method")
            response.headers[.allow] = methods.map(\.rawValue).joined(separator: ", ")
            return response
        }
        if head.method == .head { head.method = .get }
        return try await inner.respond(to: Request(head: head, body: request.body), context: context)
    }
}

/// Targets of requests in one form.
enum RequestTarget {
    /// The target with the letters, digits and `-._~` of its path as they are, where they were encoded: both mean the same
    /// (RFC 3986, section 6.2.2.2). Nil where an encoding is broken, or stands for a control character.
    static func plain(_ target: String) -> String? {
        guard let mark = target.firstIndex(of: "?") else { return plainPath(target) }
        return plainPath(String(target[..<mark])).map { $0 + target[mark...] }
    }

    private static func plainPath(_ path: String) -> String? {
        guard path.contains("%") else { return path }
        var result: [UInt8] = []
        var rest = path.utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                result.append(byte)
                continue
            }
            guard let high = rest.next(), let low = rest.next(), let value = hexadecimal(high, low),
                value >= 0x20, value != 0x7F
            else { return nil }
            result += isUnreserved(value) ? [value] : [byte, high, low]
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func hexadecimal(_ high: UInt8, _ low: UInt8) -> UInt8? {
        // `UInt8(_:radix:)` would take a sign.
        guard let high = Character(UnicodeScalar(high)).hexDigitValue,
            let low = Character(UnicodeScalar(low)).hexDigitValue
        else { return nil }
        return UInt8(high << 4 | low)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~".utf8.contains(byte)
        }
    }
}

/// Answers to what no route gets to see.
enum AccessRefusal {
    static func response(_ status: HTTPResponse.Status, _ code: String, _ message: String) -> Response {
        // Of what clients send only hosts and paths stand in these messages, and they have been read already: what JSON
        // would have to escape is left out.
        let text = message.unicodeScalars.map { $0.value < 0x20 || $0 == "\"" || $0 == "\\" ? "?" : $0 }
        var plain = ""
        plain.unicodeScalars.append(contentsOf: text)
        let body = JSONVisible.escaped(Array(#"{"code":"\#(code)","message":"\#(plain)"}"#.utf8))
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }
}
