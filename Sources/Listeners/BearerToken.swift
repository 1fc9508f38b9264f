// Bearer tokens of listeners: who shows one may do what it is for (RFC 6750, section 2.1).

import HTTPTypes
package import Hummingbird
package import HummingbirdCore

/// A token that clients have to show.
package struct BearerToken: Sendable {
    private let expected: [UInt8]

    package init(_ token: String) { expected = Array("Bearer \(token)".utf8) }

    /// Whether the value of `Authorization` is good enough; takes the same time wherever two texts differ.
    package func admits(_ authorization: String?) -> Bool {
        let offered = Array((authorization ?? "").utf8)
        var difference = expected.count ^ offered.count
        for index in expected.indices {
            difference |= Int(expected[index] ^ (index < offered.count ? offered[index] : 0))
        }
        return difference == 0
    }
}

/// Lets only those requests through that show a token.
package struct TokenGate: RouterMiddleware {
    package typealias Context = BasicRequestContext
    private let token: BearerToken?
    private let refusal: @Sendable () -> Response

    /// - Parameters:
    ///   - token: nil: everybody may pass.
    ///   - refusal: what others are answered; `WWW-Authenticate` is added to it.
    package init(_ token: BearerToken?, refusal: @escaping @Sendable () -> Response) {
        self.token = token
        self.refusal = refusal
    }

    @concurrent package func handle(
        _ request: Request, context: BasicRequestContext,
        next: @concurrent (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        if token?.admits(request.headers[.authorization]) ?? true { return try await next(request, context) }
        var response = refusal()
        response.headers[.wwwAuthenticate] = "Bearer"
        return response
    }
}
