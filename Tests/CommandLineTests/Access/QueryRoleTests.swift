// Who may ask what is written in four places: the code, the schemas, the AsyncAPI document, the permissions of NATS.

import EventModel
import Foundation
import Listeners
import TestKit
import Testing

@Suite struct `Roles of queries` {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: BuiltProgram.repository.appendingPathComponent(path), encoding: .utf8)
    }

    @Test func `the AsyncAPI document names the role of every query, and knows no other query`() throws {
        var roles: [String: String] = [:]
        var address: String?
        for line in try Self.text("schemas/asyncapi.yaml").split(separator: "\n").map(String.init) {
            if line.hasPrefix("    address: ") {
                let prefix = "    address: '{prefix}.queries."
                address = line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count).dropLast()) : nil
            }
            guard let name = address, line.hasPrefix("    x-lattice-role: ") else { continue }
            roles[name] = String(line.dropFirst("    x-lattice-role: ".count))
        }
        var expected: [String: String] = [:]
        for query in QueryName.allCases {
            expected["\(query)"] = query.role.rawValue
            if query.handsOutContents { expected["\(query).{principal}"] = query.role.rawValue }
        }
        #expect(roles == expected)
    }

    @Test func `the schemas name the role of every query`() throws {
        var roles: [String: String] = [:]
        for file in ["queries", "trace_queries", "mirror_queries", "audit_queries"] {
            for line in try Self.text("schemas/lattice/v1/\(file).proto").split(separator: "\n") {
                guard let match = line.wholeMatch(of: /\/\/   role (\w+): (.*)/) else { continue }
                for name in match.2.split(separator: " ") { roles[String(name)] = String(match.1) }
            }
        }
        #expect(
            roles == Dictionary(uniqueKeysWithValues: QueryName.allCases.map { ("\($0)", $0.role.rawValue) }))
    }

    @Test func `a subject's last tokens name a query, and nothing else does`() {
        for query in QueryName.allCases {
            let parts = "\(query)".split(separator: ".")
            #expect(QueryName(machine: parts[0], query: parts[1]) == query)
        }
        for (machine, query) in [
            ("mirror", "captures.frank"), ("mirror", ""), ("", "captures"), ("Mirror", "captures"), ("mirror", "*"),
            ("registry", ">"), ("travel", "diff"), ("registry", "trail"),
        ] {
            #expect(QueryName(machine: machine, query: query) == nil, "\(machine).\(query)")
        }
    }

    // MARK: NATS

    /// What each user of the shipped file may publish.
    private static func permissions() throws -> [String: [String]] {
        var permissions: [String: [String]] = [:]
        var user = ""
        var isPublishing = false
        for line in try text("Documentation/roles.conf").split(separator: "\n").map(String.init) {
            if line.trimmingCharacters(in: .whitespaces).hasPrefix("#") { continue }
            if let name = line.firstMatch(of: /user: "([^"]+)"/) { user = String(name.1) }
            if line.contains("publish:") { isPublishing = true }
            if line.contains("subscribe:") { isPublishing = false }
            guard isPublishing, !line.contains("deny:") else { continue }
            permissions[user, default: []] += line.matches(of: /"(lattice\.[^"]+)"/).map { String($0.1) }
        }
        return permissions
    }

    private static func matches(_ pattern: String, _ subject: String) -> Bool {
        let (wanted, given) = (pattern.split(separator: "."), subject.split(separator: "."))
        for (index, token) in wanted.enumerated() {
            if token == ">" { return given.count > index }
            guard index < given.count, token == "*" || token == given[index] else { return false }
        }
        return wanted.count == given.count
    }

    @Test func `each user of roles.conf may ask what the role may, and nothing else`() throws {
        let permissions = try Self.permissions()
        func mayAsk(_ user: String, _ query: QueryName, as reader: String? = nil) -> Bool {
            let subject = "lattice.queries.\(query)" + (reader.map { ".\($0)" } ?? "")
            return (permissions[user] ?? []).contains { Self.matches($0, subject) }
        }
        for query in QueryName.allCases {
            let reader = query.handsOutContents ? "frank" : nil
            #expect(mayAsk("viewer", query, as: reader) == (query.role <= .viewer), "\(query)")
            #expect(mayAsk("frank", query, as: reader) == (query.role <= .forensic), "\(query)")
            // Nobody reads contents without a name, and frank under no other.
            if query.handsOutContents {
                #expect(!mayAsk("frank", query) && !mayAsk("frank", query, as: "alice"))
            }
            // Who decides does not read contents, unless both blocks are given to one user.
            #expect(mayAsk("alice", query, as: query.handsOutContents ? "alice" : nil) == !query.handsOutContents)
            #expect(mayAsk("checkout", query, as: reader) == TokenRole.service.mayAsk(query), "\(query)")
            let isForGateway = TokenRole.service.mayAsk(query) || query == .mirror(.mirrors)
            #expect(mayAsk("gateway", query, as: reader) == isForGateway, "\(query)")
            #expect(!mayAsk("archivist", query))
        }
    }

    @Test func `a role may what those below it may`() {
        for query in QueryName.allCases {
            let allowed = [TokenRole.service, .viewer, .forensic, .operator].map { $0.mayAsk(query) }
            #expect(allowed == allowed.sorted { !$0 && $1 } && allowed[3], "\(query)")
        }
    }
}
