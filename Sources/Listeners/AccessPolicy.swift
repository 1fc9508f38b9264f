// Who may do what on one listener: with a token, and without.

package import EventModel
package import HTTPTypes
package import Hummingbird
package import HummingbirdCore

/// Who somebody is who comes to a listener.
package enum Caller: Sendable {
    /// Shows no token.
    case nobody
    /// Shows one that is none of ours.
    case stranger
    case holder(AccessToken)
}

/// What a listener asks of those who come.
package struct AccessPolicy: Sendable {
    private let book: TokenBook
    /// What may be asked without a token; nil: nothing.
    package let anonymous: QueryRole?
    /// Whether there is any token that could be shown.
    package let hasTokens: Bool

    package init(_ book: TokenBook, anonymous: QueryRole?, hasTokens: Bool) {
        self.book = book
        self.anonymous = anonymous
        self.hasTokens = hasTokens
    }

    /// Everybody may look, and nobody do more.
    package static let open = AccessPolicy(TokenBook(), anonymous: .viewer, hasTokens: false)

    /// Who a request comes from. Where no token is known none can be wrong: what is shown may be for a proxy in between.
    package func caller(_ request: Request) -> Caller {
        guard hasTokens, let authorization = request.headers[.authorization] else { return .nobody }
        guard let shown = BearerToken.shown(in: authorization), let token = book.current.holder(of: shown) else {
            return .stranger
        }
        return .holder(token)
    }

    /// Nil where a caller may ask what takes this role; else why not.
    package func objection(to caller: Caller, asking role: QueryRole) -> AccessObjection? {
        switch caller {
        case .stranger: return .unknownToken
        case .nobody: return isOpen(for: role) ? nil : .missingToken
        case .holder(let token):
            if isOpen(for: role) { return nil }
            guard let own = token.role.queryRole, own >= role else { return .insufficient(token, needs: role) }
            return nil
        }
    }

    /// Nil where a caller may ask a query; else why not.
    package func objection(to caller: Caller, asking query: QueryName) -> AccessObjection? {
        if case .holder(let token) = caller, token.role.mayAsk(query) { return nil }
        return objection(to: caller, asking: query.role)
    }

    private func isOpen(for role: QueryRole) -> Bool { anonymous.map { role <= $0 } ?? false }
}

/// Why somebody may not do something, in the words of RFC 6750, section 3.
package enum AccessObjection: Sendable {
    case missingToken
    case unknownToken
    case insufficient(AccessToken, needs: QueryRole)

    package var status: HTTPResponse.Status {
        switch self {
        case .missingToken, .unknownToken: .unauthorized
        case .insufficient: .forbidden
        }
    }

    /// A word for programs.
    package var code: String {
        switch self {
        case .missingToken, .unknownToken: "unauthorized"
        case .insufficient: "forbidden"
        }
    }

    package var message: String {
        switch self {
        case .missingToken: "a bearer token is needed"
        case .unknownToken: "that token is not known here"
        case .insufficient(let token, let role):
            "that takes the role \(role.rawValue); the token `\(token.name)` has the role \(token.role.rawValue)"
        }
    }

    /// What the answer says to clients that know the scheme.
    package var challenge: String {
        switch self {
        case .missingToken: "Bearer"
        case .unknownToken: #"Bearer error="invalid_token""#
        case .insufficient: #"Bearer error="insufficient_scope""#
        }
    }
}

/// Lets only those requests through whose sender has a role.
package struct RoleGate: RouterMiddleware {
    package typealias Context = BasicRequestContext
    private let policy: AccessPolicy
    private let role: QueryRole
    private let refusal: @Sendable (AccessObjection) -> Response

    /// - Parameter refusal: what others are answered; status and `WWW-Authenticate` are set on it.
    package init(
        _ policy: AccessPolicy, _ role: QueryRole, refusal: @escaping @Sendable (AccessObjection) -> Response
    ) {
        self.policy = policy
        self.role = role
        self.refusal = refusal
    }

    @concurrent package func handle(
        _ request: Request, context: BasicRequestContext,
        next: @concurrent (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let objection = policy.objection(to: policy.caller(request), asking: role) else {
            return try await next(request, context)
        }
        return objection.marking(refusal(objection))
    }
}

extension AccessObjection {
    /// A refusal with the status and the challenge of this objection.
    package func marking(_ response: Response) -> Response {
        var response = response
        response.status = status
        response.headers[.wwwAuthenticate] = challenge
        return response
    }
}
