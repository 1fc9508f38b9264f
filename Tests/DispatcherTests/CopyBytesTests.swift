// What goes over the wire: the bytes that were captured, or nothing.

import EventModel
import Testing

@testable import Dispatcher

@Suite struct `The bytes of a copy` {
    /// Targets as services get them; none may change on its way.
    static let targets = [
        "/", "/a/b", "/customers/M%FCller", "/%ff%00%0d%0a", "/%2f..%2F", "/a//b", "//host/path", "/?", "/??", "/a?",
        "/?x=1", "/?q=a%20b&filter[x]=1", "/a;b=c;d", "/100%", "/%", "/%zz", "/|{}^\"<>`\\", "/a?b?c", "/a&b=c", "/a+b",
        "/~user/.", "/./a/../b", "/..", "/a#b", "/#", "/Stra\u{DF}e/\u{65E5}\u{672C}", "/e\u{301}", "/\u{E9}", "/a:b@c",
        "/http://other/", "/'()*!$,", "/\u{85}\u{A0}\u{200B}\u{FEFF}", "/A/%41/%c3%a9/%C3%A9",
    ]

    static func text(_ request: ShadowRequest, _ headers: [(String, String)] = []) -> String {
        let fields = ShadowHeaders.kept(headers.map { HeaderField(name: $0.0, value: $0.1) })
        return String(decoding: CopyBytes.make(request, fields, mark: "m"), as: UTF8.self)
    }

    @Test(arguments: targets) func `the request line is what was captured`(_ target: String) {
        for method in ["GET", "DELETE", "M-SEARCH", "patch"] {
            let request = ShadowRequest(to: "h:1", method, target)
            #expect(CopyBytes.refusal(request) == nil)
            #expect(Array(Self.text(request).utf8).starts(with: Array("\(method) \(target) HTTP/1.1\r\n".utf8)))
        }
    }

    @Test func `fields keep order, spelling and bytes`() {
        let fields = [
            ("X-b", "J\u{F6}rg  \u{65E5}"), ("x-A", "1"), ("X-b", "2"), ("Accept", "*/*;q=0.1,\ta"), ("X-Empty", ""),
        ]
        let expected = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
        #expect(
            Self.text(ShadowRequest(to: "h:1"), fields)
                == "GET / HTTP/1.1\r\nhost: h:1\r\n\(expected)x-lattice-shadow: m\r\n\r\n")
    }

    @Test func `a length stands where there is a body, or where one was expected`() {
        func length(_ method: String, _ body: String, captured: String? = nil) -> String? {
            var request = ShadowRequest(to: "h:1", method, "/", body: Array(body.utf8))
            if let captured { request.headers = [HeaderField(name: "Content-Length", value: captured)] }
            let text = Self.text(request, [])
            #expect(text.hasSuffix("\r\n\r\n\(body)") && !text.contains("transfer-encoding"))
            return text.split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }.map {
                String($0.dropFirst(16))
            }
        }
        #expect(length("GET", "") == nil)
        #expect(length("DELETE", "") == nil)
        #expect(length("GET", "", captured: "0") == "0")
        #expect(length("POST", "") == "0")
        #expect(length("POST", "", captured: "0") == "0")
        #expect(length("GET", "abc") == "3")
        // What was captured may have been cut or redacted since: the length is that of what is sent.
        #expect(length("POST", "abc", captured: "7") == "3")
    }

    @Test(arguments: [
        ("GET", "*", "not_sendable: asterisk form"), ("OPTIONS", "*", "not_sendable: asterisk form"),
        ("GET", "http://a/b", "not_sendable: no path"), ("GET", "", "not_sendable: no path"),
        ("GET", "a", "not_sendable: no path"), ("CONNECT", "/", "not_sendable: method"),
        ("CONNECT", "a:1", "not_sendable: method"), ("", "/", "not_sendable: method"),
        ("GET /x HTTP/1.1\r\nA:", "/", "not_sendable: method"), ("G T", "/", "not_sendable: method"),
        ("GET", "/a b", "not_sendable: target"), ("GET", "/a\r\nX: y", "not_sendable: target"),
        ("GET", "/a\u{0}", "not_sendable: target"), ("GET", "/a\t", "not_sendable: target"),
        ("GET", "/a\u{7F}", "not_sendable: target"), ("GET", "/M\u{FFFD}ller", "not_sendable: target has lost bytes"),
        ("GET", "/?token=[redacted]", "redacted: target"),
    ]) func `what cannot be sent as it was says why`(_ method: String, _ target: String, _ reason: String) {
        #expect(CopyBytes.refusal(ShadowRequest(to: "h:1", method, target)) == reason)
    }

    @Test func `a placeholder is no value, and a lost byte no byte`() {
        let body = Array(#"{"password":"[redacted]"}"#.utf8)
        #expect(CopyBytes.refusal(ShadowRequest(to: "h:1", "POST", "/", body: body)) == "redacted: body")
        #expect(CopyBytes.refusal([HeaderField(name: "a", value: "\u{FFFD}")]) == "not_sendable: header has lost bytes")
        #expect(CopyBytes.refusal([HeaderField(name: "a", value: "\u{F6}")]) == nil)
    }

    @Test(arguments: [
        ("gzip", "gzip"), ("deflate, gzip;q=0.5, identity;q=0", "deflate, gzip;q=0.5, identity;q=0"), ("", ""),
        ("X-GZIP", "X-GZIP"), ("gzip, br", "gzip, deflate"), ("*", "gzip, deflate"), ("zstd", "gzip, deflate"),
    ]) func `only codings that can be undone are asked for`(_ captured: String, _ sent: String) {
        #expect(
            Self.text(ShadowRequest(to: "h:1"), [("Accept-Encoding", captured)]).contains(
                "Accept-Encoding: \(sent)\r\n"))
    }

    @Test func `the shadow's own fields cannot frame the request, and may say its host`() {
        let own = ShadowHeaders.own(
            ["host", "content-length", "transfer-encoding", "connection", "x-lattice-shadow", "authorization"].map {
                HeaderField(name: $0, value: "v")
            })
        #expect(own.map(\.name) == ["host", "authorization"])
        let text = String(decoding: CopyBytes.make(ShadowRequest(to: "h:1"), own, mark: "m"), as: UTF8.self)
        #expect(text == "GET / HTTP/1.1\r\nhost: v\r\nauthorization: v\r\nx-lattice-shadow: m\r\n\r\n")
    }
}
