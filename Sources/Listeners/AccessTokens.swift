// Tokens with names and roles: who a client of HTTP is, and what that one may do.

package import EventModel
import Synchronization

/// What the holder of a token may do.
package enum TokenRole: String, Sendable, Hashable, CaseIterable, Comparable {
    /// The service whose name the token has: speaks for itself, asks the registry.
    case service
    case viewer
    case forensic
    case `operator`

    /// Nil for a service: it asks what belongs to being one.
    package var queryRole: QueryRole? {
        switch self {
        case .service: nil
        case .viewer: .viewer
        case .forensic: .forensic
        case .operator: .operator
        }
    }

    package static func < (lower: TokenRole, upper: TokenRole) -> Bool {
        switch (lower.queryRole, upper.queryRole) {
        case (let lower?, let upper?): lower < upper
        case (nil, let upper): upper != nil
        case (_, nil): false
        }
    }

    /// Whether it may ask a query.
    package func mayAsk(_ query: QueryName) -> Bool {
        if let queryRole { return query.role <= queryRole }
        // As the block of a service in Documentation/roles.conf.
        switch query {
        case .registry, .node(.outcome): return true
        case .trace, .node, .mirror, .audit: return false
        }
    }
}

/// A token with whom it stands for; it never shows its secret.
package struct AccessToken: Sendable, CustomStringConvertible {
    /// Who shows it: a person, a program, for the role `service` the service.
    package let name: String
    package let role: TokenRole
    fileprivate let secret: BearerToken

    /// A token that something else than a file of tokens names.
    package init(name: String, role: TokenRole, token: String) {
        self.name = name
        self.role = role
        secret = BearerToken(token)
    }

    package var description: String { "\(name) (\(role.rawValue))" }
}

/// All tokens of a listener.
package struct AccessTokens: Sendable {
    package private(set) var all: [AccessToken]

    package init(_ all: [AccessToken] = []) { self.all = all }

    /// At least 128 bits in hexadecimal have 32 characters; fewer than this are refused as guessable.
    package static let shortestToken = 16
    private static let longestToken = 4_096
    private static let longestName = 256

    /// Why a text holds no tokens; it never quotes one.
    package struct Mistake: Error, Sendable, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// Reads lines `NAME ROLE TOKEN`; empty lines and those that begin with `#` say nothing. One name may have several
    /// tokens, so that they can be exchanged one after the other, but one role only.
    package init(parsing text: String) throws(Mistake) {
        var all: [AccessToken] = []
        var roles: [String: TokenRole] = [:]
        var secrets: Set<String> = []
        // Some editors begin a file with a mark of the order of bytes.
        let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            do throws(Mistake) {
                let token = try Self.token(words)
                guard secrets.insert(words[2]).inserted else { throw Mistake(description: "the token stands twice") }
                guard roles.updateValue(token.role, forKey: token.name) ?? token.role == token.role else {
                    throw Mistake(description: "`\(token.name)` has another role already")
                }
                all.append(token)
            } catch {
                throw Mistake(description: "line \(index + 1): \(error.description)")
            }
        }
        guard !all.isEmpty else { throw Mistake(description: "there is no token: lines are NAME ROLE TOKEN") }
        self.all = all
    }

    private static func token(_ words: [String]) throws(Mistake) -> AccessToken {
        guard words.count == 3 else {
            throw Mistake(description: "there are \(words.count) words, and not NAME ROLE TOKEN")
        }
        let name = words[0]
        guard let role = TokenRole(rawValue: words[1]) else {
            let roles = TokenRole.allCases.map(\.rawValue).joined(separator: ", ")
            throw Mistake(description: "the second word is the role: \(roles)")
        }
        guard isName(name) else {
            throw Mistake(
                description: "the first word is no name: at most 256 bytes, no control characters, not `unverified`")
        }
        let characters = words[2].utf8
        guard characters.count >= shortestToken else {
            throw Mistake(
                description: "the token of `\(name)` is shorter than \(shortestToken) characters: "
                    + "`openssl rand -hex 32` makes one")
        }
        guard characters.count <= longestToken, characters.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Mistake(description: "the token of `\(name)` has characters that no header takes, or too many")
        }
        return AccessToken(name: name, role: role, token: words[2])
    }

    /// The audit trail shows names, so none may look like the absence of one.
    private static func isName(_ name: String) -> Bool {
        name.utf8.count <= longestName && !name.hasPrefix("unverified")
            && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
    }

    /// Whose token is shown. All are compared, each in the same time wherever it differs.
    package func holder(of shown: Substring) -> AccessToken? {
        let offered = Array(shown.utf8)
        var found: AccessToken?
        for token in all where token.secret.isEqual(to: offered) { found = token }
        return found
    }
}

/// The tokens that hold now: a file of them may change while listeners listen.
package final class TokenBook: Sendable {
    private let tokens: Mutex<AccessTokens>

    package init(_ tokens: AccessTokens = AccessTokens()) { self.tokens = Mutex(tokens) }

    package var current: AccessTokens { tokens.withLock { $0 } }

    /// From the next request on these hold.
    package func replace(_ new: AccessTokens) { tokens.withLock { $0 = new } }
}
