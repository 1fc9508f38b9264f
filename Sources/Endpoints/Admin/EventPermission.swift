// Who may publish which event over HTTP, and under whose name: as NATS permissions say it of subjects (Permissions).

import EventModel
import Listeners

/// Whether the holder of a token may publish an event.
enum EventPermission: Sendable, Hashable {
    /// With what stands behind `<prefix>.events.`.
    case granted(subject: String)
    /// Why not, and what to do.
    case refused(String)
    case unknownType

    /// - Parameters:
    ///   - owner: whose event it is, as the URL says: the service, the source, the principal.
    init(_ token: AccessToken, family: String, owner: String, kind: String) {
        guard token.role == .service || token.role >= .forensic else {
            self = .refused("the token `\(token.name)` has the role \(token.role.rawValue), which publishes nothing")
            return
        }
        guard let type = EventType.allCases.first(where: { $0.family.rawValue == family && $0.name == kind }) else {
            self = .unknownType
            return
        }
        self = Self.judge(token, type, owner: owner)
    }

    /// Who may publish events of a type. A new type does not compile without an answer.
    private static func judge(_ token: AccessToken, _ type: EventType, owner: String) -> EventPermission {
        switch type {
        case .registered, .heartbeat, .loadReported, .deregistered, .spansReceived:
            if token.role == .service { return own(token, type, owner: owner) }
            return byOperator(token, type, owner: owner)
        case .healthReported, .healthSwept, .instanceSelected, .requestCaptured:
            return byOperator(token, type, owner: owner)
        case .mirrorAdded, .mirrorRemoved, .mirrorEnabled, .mirrorDisabled, .shadowsAllowed, .mirrorDrained,
            .contentsErased:
            return byOperator(token, type, owner: owner)
        case .semanticsActivated, .registryConfigured, .guardReleased, .tracesConfigured, .directivesResumed,
            .recordSkipped:
            guard token.role >= .operator else { return insufficient(token, .operator) }
            return inOwnName(token, type, owner: owner)
        case .exported:
            guard token.role >= .forensic else { return insufficient(token, .forensic) }
            return inOwnName(token, type, owner: owner)
        case .tick, .nodeResumed, .intakeGap, .leadershipClaimed, .requestDispatched, .responseCompared, .contentsRead:
            return .refused("nodes record \(type.action) themselves")
        }
    }

    /// Of a service: about itself.
    private static func own(_ token: AccessToken, _ type: EventType, owner: String) -> EventPermission {
        guard owner == token.name else {
            return .refused(
                "the token `\(token.name)` speaks for the service `\(token.name)` only, not for `\(owner)`")
        }
        return .granted(subject: subject(type, owner))
    }

    /// Of an operator: about any service. Where the event is administrative, the name of the token stands behind its kind.
    private static func byOperator(_ token: AccessToken, _ type: EventType, owner: String) -> EventPermission {
        guard token.role >= .operator else { return insufficient(token, .operator) }
        let subject = subject(type, owner)
        guard type.takesPrincipal else { return .granted(subject: subject) }
        return .granted(subject: subject + ".\(SubjectToken.escape(token.name))")
    }

    /// The principal is the token's, whatever the URL says; a URL that says another is a mistake and not corrected.
    private static func inOwnName(_ token: AccessToken, _ type: EventType, owner: String) -> EventPermission {
        guard owner == token.name else {
            return .refused(
                "the token `\(token.name)` acts as `\(token.name)`, not as `\(owner)`: post to "
                    + "/v1/events/\(type.family.rawValue)/\(token.name)/\(type.name), or give `\(owner)` a token in "
                    + "--http-tokens-file")
        }
        return .granted(subject: subject(type, owner))
    }

    private static func insufficient(_ token: AccessToken, _ role: TokenRole) -> EventPermission {
        .refused("that takes the role \(role.rawValue); the token `\(token.name)` has the role \(token.role.rawValue)")
    }

    private static func subject(_ type: EventType, _ owner: String) -> String {
        "\(type.family.rawValue).\(SubjectToken.escape(owner)).\(type.name)"
    }
}
