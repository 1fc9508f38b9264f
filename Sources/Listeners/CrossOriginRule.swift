// Which pages of other origins may ask and send: none, unless operators name them. Source of the rules: fetch.spec.whatwg.org,
// CORS protocol.

import HTTPTypes
import Hummingbird

/// The origins whose pages a listener serves, as browsers ask for it.
package struct CrossOriginRule: Sendable {
    private let origins: Set<String>
    private let isOpen: Bool

    /// How long a browser may remember what a preflight said.
    private static let secondsRemembered = 600
    /// Bytes of the names of fields that a page wants to send.
    private static let namesMaximum = 1_024

    /// - Parameter origins: `https://shop.example`, or `*` for every page; none: no page of another origin.
    package init(_ origins: [String]) {
        self.origins = Set(origins.map { $0.lowercased() })
        isOpen = origins.contains("*")
    }

    /// Whether a text is an origin that a browser may send, or `*`.
    package static func isOrigin(_ text: String) -> Bool {
        if text == "*" { return true }
        for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
            return Authority(String(text.dropFirst(scheme.count))) != nil
        }
        return false
    }

    /// What a request of a page is told of itself; nil where it is no page's, or one that is not served.
    func grant(_ request: Request) -> String? {
        guard let origin = request.headers[Self.origin] else { return nil }
        if isOpen { return "*" }
        return origins.contains(origin.lowercased()) ? origin : nil
    }

    /// The answer to a browser that asks before it sends; nil where nobody asks, or a page that is not served.
    ///
    /// - Parameter methods: of the path.
    func preflight(_ request: Request, methods: [HTTPRequest.Method]) -> Response? {
        guard request.method == .options, request.headers[Self.requestMethod] != nil, !methods.isEmpty,
            grant(request) != nil
        else { return nil }
        var headers = HTTPFields()
        headers[Self.allowMethods] = methods.map(\.rawValue).joined(separator: ", ")
        headers[Self.maximumAge] = "\(Self.secondsRemembered)"
        if let names = request.headers[Self.requestHeaders], Self.areNames(names) { headers[Self.allowHeaders] = names }
        return Response(status: .noContent, headers: headers)
    }

    /// An answer with what a browser needs to hand it to the page.
    func marking(_ response: Response, to request: Request) -> Response {
        if origins.isEmpty { return response }
        var response = response
        // Also where none is granted: a cache must not give one page's answer to another.
        if !isOpen { response.headers.append(HTTPField(name: .vary, value: "Origin")) }
        guard let grant = grant(request) else { return response }
        response.headers[Self.allowOrigin] = grant
        response.headers[Self.exposeHeaders] = "Retry-After"
        return response
    }

    private static func areNames(_ text: String) -> Bool {
        text.utf8.count <= namesMaximum
            && text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { name in
                HTTPField.Name(name.trimmingBlanks) != nil
            }
    }

    private static let origin = HTTPField.Name("Origin")!
    private static let requestMethod = HTTPField.Name("Access-Control-Request-Method")!
    private static let requestHeaders = HTTPField.Name("Access-Control-Request-Headers")!
    private static let allowOrigin = HTTPField.Name("Access-Control-Allow-Origin")!
    private static let allowMethods = HTTPField.Name("Access-Control-Allow-Methods")!
    private static let allowHeaders = HTTPField.Name("Access-Control-Allow-Headers")!
    private static let maximumAge = HTTPField.Name("Access-Control-Max-Age")!
    private static let exposeHeaders = HTTPField.Name("Access-Control-Expose-Headers")!
}

extension Substring {
    fileprivate var trimmingBlanks: String {
        var rest = self
        while rest.last == " " { rest.removeLast() }
        return String(rest.drop { $0 == " " })
    }
}
