// The routes of a gateway as people write them: YAML, every mistake named by its field.

import EventModel
import Gateway
import MeshRules
import NIOSSL
import StateMachines

/// What a file says.
struct RouteFile {
    var routes: [RouteRule] = []
    var outliers = OutlierSettings()

    /// The members of a file that are the routes'.
    static let keys = ["routes", "outliers"]

    private static let routesMaximum = 1_024

    /// Reads a file.
    ///
    /// - Parameter settings: members that are read elsewhere.
    /// - Throws: the first thing that is wrong, as `file: routes[2].timeout: 5 is no length of time`.
    static func read(_ path: String, besides settings: [String]) throws(CommandFailure) -> RouteFile {
        var value = try YAMLFile.read(path)
        if case .object(let members) = value { value = .object(members.filter { !settings.contains($0.name) }) }
        do throws(InvalidField) {
            return try make(value)
        } catch {
            throw CommandFailure(.usage, "\(path): \(error.field): \(error.reason)")
        }
    }

    static func make(_ value: SpecificationValue) throws(InvalidField) -> RouteFile {
        let fields = try RouteFields(value, "file")
        var file = RouteFile()
        guard let list = try fields.list("routes") else { throw InvalidField("routes", "is missing") }
        guard list.count <= routesMaximum else { throw InvalidField("routes", "more than \(routesMaximum)") }
        var seen: Set<String> = []
        for (index, entry) in list.enumerated() {
            let rule = try route(try RouteFields(entry, "routes[\(index)]"))
            guard seen.insert("\(rule.host) \(rule.path)").inserted else {
                throw InvalidField("routes[\(index)]", "host and path are an earlier route's")
            }
            file.routes.append(rule)
        }
        if let outliers = try fields.object("outliers") { file.outliers = try read(outliers) }
        try fields.refuseOthers()
        return file
    }

    private static func route(_ fields: RouteFields) throws(InvalidField) -> RouteRule {
        guard let service = try fields.text("service"), !service.isEmpty else {
            throw fields.invalid("service", "is missing")
        }
        guard service.utf8.count <= Limits.identifierBytes else { throw fields.invalid("service", "is too long") }
        var rule = RouteRule(service: service)
        rule.host = try host(fields)
        rule.path = try path(fields)
        rule.stripsPrefix = try fields.flag("strip_prefix") ?? false
        rule.hostRewrite = try fields.text("rewrite_host") ?? ""
        rule.endpoints = try endpoints(fields)
        rule.policy = try policy(fields)
        rule.tls = try tls(fields)
        try fields.refuseOthers()
        return rule
    }

    private static func host(_ fields: RouteFields) throws(InvalidField) -> String {
        let host = (try fields.text("host") ?? "").lowercased()
        let name = host.hasPrefix("*.") ? host.dropFirst(2) : host[...]
        let isName = name.utf8.allSatisfy { byte in
            byte >= 0x61 && byte <= 0x7A || byte >= 0x30 && byte <= 0x39 || "-._:".utf8.contains(byte)
        }
        guard isName, host.isEmpty || !name.isEmpty else {
            throw fields.invalid("host", "'\(host)' is neither a name nor *.suffix")
        }
        return host
    }

    private static func path(_ fields: RouteFields) throws(InvalidField) -> String {
        let path = try fields.text("path") ?? "/"
        guard path.hasPrefix("/"), path == "/" || !path.hasSuffix("/"), !path.contains("?"),
            path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw fields.invalid("path", "'\(path)' does not begin with / or ends with it") }
        return path
    }

    private static func endpoints(_ fields: RouteFields) throws(InvalidField) -> [String] {
        var result: [String] = []
        for value in try fields.list("endpoints") ?? [] {
            guard case .text(let text) = value, EndpointRule.accepts(text, allowLoopback: true) else {
                throw fields.invalid("endpoints", "\(value) is no host:port")
            }
            if !result.contains(text) { result.append(text) }
        }
        return result
    }

    private static func policy(_ fields: RouteFields) throws(InvalidField) -> RoutePolicy {
        var policy = RoutePolicy()
        if let name = try fields.text("strategy") {
            guard let strategy = SelectionStrategy(name: name) else {
                let known = SelectionStrategy.allCases.map(\.name).joined(separator: ", ")
                throw fields.invalid("strategy", "'\(name)' is none of \(known)")
            }
            policy.strategy = strategy
        }
        policy.timeout = try fields.duration("timeout") ?? policy.timeout
        policy.attemptTimeout = try fields.duration("attempt_timeout") ?? min(policy.attemptTimeout, policy.timeout)
        policy.connectTimeout = try fields.duration("connect_timeout") ?? policy.connectTimeout
        policy.idleTimeout = try fields.duration("idle_timeout") ?? policy.idleTimeout
        policy.retries = try fields.count("retries", 0...10) ?? policy.retries
        policy.connectionsPerInstance = try fields.count("connections", 1...100_000) ?? policy.connectionsPerInstance
        policy.waitingPerInstance = try fields.count("waiting", 0...100_000) ?? policy.waitingPerInstance
        if let order = try fields.text("failover") {
            guard ["ordered", "any"].contains(order) else {
                throw fields.invalid("failover", "'\(order)' is neither ordered nor any")
            }
            policy.failsOverInOrder = order == "ordered"
        }
        return policy
    }

    private static func tls(_ fields: RouteFields) throws(InvalidField) -> UpstreamTLS? {
        guard let tls = try fields.object("tls") else { return nil }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let file = try tls.text("ca") { configuration.trustRoots = .file(file) }
        let (chain, key) = (try tls.text("certificate"), try tls.text("key"))
        if (chain == nil) != (key == nil) { throw tls.invalid("certificate", "certificate and key come together") }
        let name = try tls.text("server_name")
        try tls.refuseOthers()
        do {
            if let chain, let key {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) }
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
            }
            return UpstreamTLS(context: try NIOSSLContext(configuration: configuration), serverName: name)
        } catch {
            throw tls.invalid("ca", "a file can not be read or is no PEM: \(error)")
        }
    }

    private static func read(_ fields: RouteFields) throws(InvalidField) -> OutlierSettings {
        var settings = OutlierSettings()
        settings.consecutiveFailures = Int(try fields.count("failures", 1...1_000) ?? 5)
        settings.ejectionFirst = try fields.duration("ejection") ?? settings.ejectionFirst
        settings.ejectionMaximum = try fields.duration("ejection_max") ?? settings.ejectionMaximum
        settings.percentMaximum = Int(try fields.count("percent", 0...100) ?? 33)
        try fields.refuseOthers()
        return settings
    }
}

/// The members of one object, each read once, so that what nobody has read is a mistake.
final class RouteFields {
    private let place: String
    private let members: [SpecificationMember]
    private var read: Set<String> = []

    init(_ value: SpecificationValue, _ place: String) throws(InvalidField) {
        guard case .object(let members) = value else { throw InvalidField(place, "is no mapping") }
        self.members = members
        self.place = place == "file" ? "" : place + "."
    }

    func invalid(_ name: String, _ reason: String) -> InvalidField { InvalidField(place + name, reason) }

    private func value(_ name: String) throws(InvalidField) -> SpecificationValue? {
        read.insert(name)
        let found = members.filter { $0.name == name }
        guard found.count <= 1 else { throw invalid(name, "stands there twice") }
        guard let value = found.first?.value, value != .null else { return nil }
        return value
    }

    func text(_ name: String) throws(InvalidField) -> String? {
        switch try value(name) {
        case nil: return nil
        case .text(let text)?, .number(let text)?: return text
        default: throw invalid(name, "is no text")
        }
    }

    func flag(_ name: String) throws(InvalidField) -> Bool? {
        switch try value(name) {
        case nil: return nil
        case .boolean(let flag)?: return flag
        default: throw invalid(name, "is neither true nor false")
        }
    }

    func list(_ name: String) throws(InvalidField) -> [SpecificationValue]? {
        switch try value(name) {
        case nil: return nil
        case .list(let list)?: return list
        default: throw invalid(name, "is no list")
        }
    }

    func object(_ name: String) throws(InvalidField) -> RouteFields? {
        guard let value = try value(name) else { return nil }
        // `tls: true` is `tls: {}`.
        if value == .boolean(true) { return try RouteFields(.object([]), place + name) }
        if value == .boolean(false) { return nil }
        return try RouteFields(value, place + name)
    }

    func duration(_ name: String) throws(InvalidField) -> Nanoseconds? {
        guard let text = try text(name) else { return nil }
        guard let argument = DurationArgument(argument: text), argument.value > .zero else {
            throw invalid(name, "'\(text)' is no length of time such as 500ms or 15s")
        }
        return argument.value
    }

    func count(_ name: String, _ range: ClosedRange<UInt32>) throws(InvalidField) -> UInt32? {
        guard let text = try text(name) else { return nil }
        guard let count = UInt32(text), range.contains(count) else {
            throw invalid(name, "'\(text)' is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return count
    }

    func refuseOthers() throws(InvalidField) {
        if let other = members.first(where: { !read.contains($0.name) }) { throw invalid(other.name, "is not known") }
    }
}
