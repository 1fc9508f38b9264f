// Subjects of events, taken apart once and remembered.

import EventModel

/// What the subject of an event says.
struct EventRoute: Sendable, Hashable {
    /// What stands behind `<prefix>.events.`, as bytes of the frame.
    var subject: [UInt8]
    var type: EventType
    /// Whose event it is: the unescaped token of the family (service, source, principal); empty for the clock.
    var owner: String
}

/// Why a message is not taken into the log.
struct Rejected: Error, Sendable, Hashable {
    var reason: String
}

/// Maps subjects to event types. Remembers a bounded number of them.
struct SubjectRouter: Sendable {
    private static let remembered = 16_384
    private let start: String
    private var routes: [ByteName: EventRoute] = [:]

    init(prefix: String) { start = prefix + ".events." }

    mutating func route(_ subject: String) throws(Rejected) -> EventRoute {
        let key = ByteName(subject)
        if let known = routes[key] { return known }
        let route = try parse(subject)
        if routes.count == Self.remembered { routes.removeAll(keepingCapacity: true) }
        routes[key] = route
        return route
    }

    private func parse(_ subject: String) throws(Rejected) -> EventRoute {
        guard subject.hasPrefix(start) else { throw Rejected(reason: "wrong_subject") }
        let rest = subject.dropFirst(start.count)
        let tokens = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard let family = tokens.first.flatMap({ EventFamily(rawValue: String($0)) }) else {
            throw Rejected(reason: "unknown_family")
        }
        var owner = ""
        switch family {
        case .clock: guard tokens.count == 2 else { throw Rejected(reason: "wrong_subject") }
        case .registry, .policy, .mirror, .trace, .audit:
            guard (3...4).contains(tokens.count), let name = SubjectToken.unescape(String(tokens[1])) else {
                throw Rejected(reason: "wrong_subject")
            }
            owner = name
        }
        let kind = String(tokens[family == .clock ? 1 : 2])
        guard let type = EventType.allCases.first(where: { $0.name == kind && $0.family == family }) else {
            throw Rejected(reason: "unknown_event_type")
        }
        // Behind the kind of an administrative event stands who did it.
        if tokens.count == 4, !type.takesPrincipal || SubjectToken.unescape(String(tokens[3])) == nil {
            throw Rejected(reason: "wrong_subject")
        }
        return EventRoute(subject: Array(rest.utf8), type: type, owner: owner)
    }
}
