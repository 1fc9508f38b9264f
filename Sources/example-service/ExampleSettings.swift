// What the example is told by its options, else by its environment.

import ArgumentParser
import AsyncHTTPClient
import EventModel
import Foundation
import LatticeClient
import NIOCore

/// The options with their defaults.
struct ExampleSettings: Sendable {
    let name: String
    let id: String
    let port: Int
    let host: String
    let advertise: String
    let version: String
    let delay: Duration
    /// 0 to 1.
    let failRate: Double
    let next: [String]
    let gateway: String?
    let fields: [(name: String, value: String)]
    let locality: Locality
    let announces: Bool
    let announcement: ServiceAnnouncement.Options
    let mesh: MeshConfiguration
    let tracing: LatticeTracer.Options

    init(_ options: ExampleService) throws {
        let environment = Environment()
        name = try environment.text(options.name, "NAME").orThrow("--name or EXAMPLE_NAME is missing")
        port = try environment.number(options.port, "PORT") ?? 8_080
        id = environment.text(options.id, "ID") ?? "\(name)-\(ProcessInfo.processInfo.processIdentifier)"
        host = environment.text(options.host, "HOST") ?? "127.0.0.1"
        advertise = environment.text(options.advertise, "ADVERTISE") ?? "127.0.0.1"
        version = environment.text(options.version, "VERSION") ?? "1"
        delay = try Self.duration(environment.text(options.delay, "DELAY") ?? "0ms", of: "--delay")
        failRate = (try environment.number(options.failRate, "FAIL_RATE") ?? 0) / 100
        next = environment.list(options.next, "NEXT")
        gateway = environment.text(options.gateway, "GATEWAY")
        fields = try environment.list(options.field, "FIELD").map { text in
            guard let equals = text.firstIndex(of: "=") else { throw ValidationError("--field takes NAME=VALUE") }
            return (String(text[..<equals]), String(text[text.index(after: equals)...]))
        }
        locality = Locality(
            region: environment.text(options.region, "REGION") ?? "", zone: environment.text(options.zone, "ZONE") ?? ""
        )
        var announcement = ServiceAnnouncement.Options()
        announcement.heartbeatInterval = try Self.duration(
            environment.text(options.heartbeat, "HEARTBEAT") ?? "10s", of: "--heartbeat")
        self.announcement = announcement
        announces = options.announce && environment.text(nil, "ANNOUNCE") != "no"
        var tracing = LatticeTracer.Options()
        let share = try environment.number(options.sampling, "SAMPLING") ?? 10
        tracing.sampling = TraceSampling(basisPoints: UInt32(max(0, min(100, share)) * 100))
        tracing.resource = [SpanTag("service.version", version), SpanTag("service.instance.id", id)]
        tracing.scopeName = "example-service"
        self.tracing = tracing
        mesh = Self.mesh(options, name: id)
    }

    private static func mesh(_ options: ExampleService, name: String) -> MeshConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let servers = options.nats ?? environment["LATTICE_NATS"] ?? environment["NATS_URL"]
        var mesh = MeshConfiguration(
            servers: (servers ?? "nats://127.0.0.1:4222").split(separator: ",").map(String.init), name: name)
        mesh.prefix = options.prefix ?? environment["LATTICE_PREFIX"] ?? "lattice"
        if let user = options.user ?? environment["LATTICE_NATS_USER"] {
            mesh.credentials = .userPassword(user: user, password: environment["LATTICE_NATS_PASSWORD"] ?? "")
            mesh.inboxPrefix = "_INBOX.\(user)"
        }
        return mesh
    }

    /// How others are called.
    var client: HTTPClient.Configuration {
        HTTPClient.Configuration(timeout: .init(connect: .seconds(1), read: .seconds(10)))
    }

    /// `20ms` or `1s`.
    static func duration(_ text: String, of option: String) throws -> Duration {
        if text.hasSuffix("ms"), let count = Double(text.dropLast(2)), count >= 0 { return .milliseconds(count) }
        if text.hasSuffix("s"), let count = Double(text.dropLast()), count >= 0 { return .seconds(count) }
        throw ValidationError("\(option) takes 20ms or 1s, not '\(text)'")
    }
}

/// Variables that stand for options.
private struct Environment {
    private let variables = ProcessInfo.processInfo.environment

    func text(_ option: String?, _ name: String) -> String? {
        let value = option ?? variables["EXAMPLE_" + name]
        return value?.isEmpty == true ? nil : value
    }

    func number<Number: LosslessStringConvertible>(_ option: Number?, _ name: String) throws -> Number? {
        if let option { return option }
        guard let text = text(nil, name) else { return nil }
        return try Number(text).orThrow("EXAMPLE_\(name) is no number: '\(text)'")
    }

    func list(_ option: [String], _ name: String) -> [String] {
        if !option.isEmpty { return option }
        return text(nil, name)?.split(separator: ",").map(String.init) ?? []
    }
}

extension Optional {
    fileprivate func orThrow(_ message: String) throws -> Wrapped {
        guard let self else { throw ValidationError(message) }
        return self
    }
}
