// A mesh of processes for benchmarks of the gateway: node, instances, shadow, gateway, Envoy.

import ArgumentParser
import EventModel
import Foundation
import Glibc
import Logging
import Messaging
import NATSMessaging

/// A process that says on its first line that it is ready.
final class Child {
    private let process = Process()
    private let output = Pipe()

    init(_ program: String, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit { end() }

    var identifier: Int32 { process.processIdentifier }

    /// The next line of its output; empty at the end.
    func line() -> String {
        var line = Data()
        while let byte = try? output.fileHandleForReading.read(upToCount: 1), let first = byte.first, first != 0x0A {
            line += byte
        }
        return String(decoding: line, as: UTF8.self)
    }

    /// Everything it prints until it ends.
    func rest() -> String {
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    func end() {
        guard process.isRunning else { return }
        Glibc.kill(identifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Resident memory in MB (10⁶ bytes).
    var residentMB: Double {
        let text = (try? String(contentsOfFile: "/proc/\(identifier)/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * 4_096 / 1e6
    }

    /// Processor time in seconds.
    var processorSeconds: Double {
        let text = (try? String(contentsOfFile: "/proc/\(identifier)/stat", encoding: .utf8)) ?? ""
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / 100
    }
}

/// Real parts for one measurement.
final class GatewayStage {
    static let service = "checkout"
    let directory: String
    private(set) var instances: [(id: String, port: Int, process: Child)] = []
    private var children: [Child] = []
    private var natsURL = ""
    private(set) var zipkinPort = 0

    /// The program beside this one.
    static func program(_ name: String) -> String {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
    }

    init(_ common: CommonOptions) throws {
        directory = try Stage.makeDirectory(common)
    }

    func close() {
        for child in children + instances.map(\.process) { child.end() }
        try? FileManager.default.removeItem(atPath: directory)
    }

    static func peer(_ role: String, upstream: Int = 0) throws -> (port: Int, process: Child) {
        let child = try Child(program("lattice-bench"), ["gateway-peer", role, "--upstream", "\(upstream)"])
        guard let port = Int(child.line()) else { throw ValidationError("the \(role) did not start") }
        return (port, child)
    }

    /// Starts a node with a nats-server of its own.
    func startNode() throws {
        let node = try Child(
            Self.program("lattice"),
            [
                "serve", "--data", directory + "/node", "--json", "--http", "none", "--otlp-http", "none",
                "--otlp-grpc",
                "none", "--jaeger", "none", "--zipkin", "127.0.0.1:0", "--allow-loopback", "--stale-after", "1h",
                "--evict-after", "2h", "--bytes-per-second", "0",
            ])
        children.append(node)
        let banner = node.line()
        guard let facts = try JSONSerialization.jsonObject(with: Data(banner.utf8)) as? [String: Any],
            let url = facts["nats"] as? String
        else { throw ValidationError("the node did not start: \(banner)") }
        natsURL = url
        let zipkin = (facts["zipkin"] ?? (facts["listeners"] as? [String: Any])?["zipkin"]) as? String
        zipkinPort = zipkin.flatMap { URL(string: $0)?.port } ?? 0
    }

    /// Starts instances and registers them; a mirror of everything goes to `shadow`.
    func startInstances(_ count: Int, shadow: Int? = nil) async throws {
        for number in 0..<count {
            let (port, process) = try Self.peer("upstream")
            instances.append(("i-\(number)", port, process))
        }
        guard !natsURL.isEmpty else { return }
        var configuration = NATSConfiguration(servers: [natsURL], name: "bench")
        configuration.sendsAtOnce = true
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let bus = try await NATSMessageBus.connect(configuration, logger: logger)
        let events = instances.map { Registration(instanceID: $0.id, endpoint: "127.0.0.1:\($0.port)") }
        let event = RegistryEvent.registered(Registered(serviceName: Self.service, events: events))
        guard let (type, facts) = EventCodec.encode(.registry(event)) else { return }
        _ = try await bus.request(
            Message(
                subject: "lattice.events.registry.\(Self.service).\(type.name)",
                headers: [MessageHeader("Content-Type", "application/protobuf")], payload: facts), timeout: .seconds(10)
        )
        if let shadow {
            for var message in CaptureMessages.mirror(endpoint: "127.0.0.1:\(shadow)", mode: .full, loopback: true) {
                message.headers.append(MessageHeader("Content-Type", "application/protobuf"))
                _ = try await bus.request(message, timeout: .seconds(10))
            }
        }
        await bus.close()
    }

    /// Starts a gateway before these instances; nil `isInMesh`: it knows their endpoints from its file.
    func startGateway(threads: Int, isInMesh: Bool) throws -> (port: Int, admin: String, process: Child) {
        let endpoints = instances.map { #""127.0.0.1:\#($0.port)""# }.joined(separator: ", ")
        let place = isInMesh ? "" : "\n    endpoints: [\(endpoints)]"
        try "routes:\n  - service: \(Self.service)\(place)\n".write(
            toFile: directory + "/gateway.yaml", atomically: true, encoding: .utf8)
        var arguments = [
            "gateway", "--config", directory + "/gateway.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
            "--threads", "\(threads)", "--json",
        ]
        if isInMesh { arguments += ["--nats", natsURL] }
        let child = try Child(Self.program("lattice"), arguments)
        children.append(child)
        let banner = child.line()
        guard let facts = try JSONSerialization.jsonObject(with: Data(banner.utf8)) as? [String: String],
            let port = facts["listen"].flatMap({ URL(string: $0)?.port }), let admin = facts["admin"]
        else { throw ValidationError("the gateway did not start: \(banner)") }
        return (port, admin, child)
    }

    /// Starts Envoy with one worker, the same upstream and mirror, spans of a tenth to the node's Zipkin endpoint.
    func startEnvoy(_ program: String, port: Int, shadow: Int?) throws -> Child {
        let path = directory + "/envoy.yaml"
        try EnvoyFile.text(port: port, upstreams: instances.map(\.port), shadow: shadow, zipkin: zipkinPort).write(
            toFile: path, atomically: true, encoding: .utf8)
        let child = try Child(
            program, ["-c", path, "--concurrency", "1", "--base-id", "\(Int.random(in: 1...30_000))", "-l", "off"])
        children.append(child)
        return child
    }
}

/// Envoy's configuration for a fair run.
private enum EnvoyFile {
    static func text(port: Int, upstreams: [Int], shadow: Int?, zipkin: Int) -> String {
        let mirror =
            shadow == nil
            ? "" : ", request_mirror_policies: [{cluster: shadow, runtime_fraction: {default_value: {numerator: 100}}}]"
        let tracing =
            zipkin == 0
            ? ""
            : """

                      tracing:
                        random_sampling: {value: 10}
                        provider:
                          name: envoy.tracers.zipkin
                          typed_config:
                            "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
                            collector_cluster: zipkin
                            collector_endpoint: /api/v2/spans
                            collector_endpoint_version: HTTP_JSON
            """
        let clusters = [
            ("service", upstreams), ("shadow", shadow.map { [$0] } ?? []), ("zipkin", zipkin == 0 ? [] : [zipkin]),
        ]
        return """
            static_resources:
              listeners:
              - address: {socket_address: {address: 127.0.0.1, port_value: \(port)}}
                filter_chains:
                - filters:
                  - name: envoy.filters.network.http_connection_manager
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                      stat_prefix: in\(tracing)
                      route_config:
                        virtual_hosts:
                        - name: all
                          domains: ["*"]
                          routes: [{match: {prefix: /}, route: {cluster: service\(mirror)}}]
                      http_filters:
                      - name: envoy.filters.http.router
                        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
              clusters:
            \(clusters.filter { !$0.1.isEmpty }.map(cluster).joined(separator: "\n"))

            """
    }

    private static func cluster(_ name: String, _ ports: [Int]) -> String {
        let endpoints = ports.map {
            "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: \($0)}}}}"
        }.joined(separator: ", ")
        return """
              - name: \(name)
                type: STATIC
                load_assignment: {cluster_name: \(name), endpoints: [{lb_endpoints: [\(endpoints)]}]}
            """
    }
}
