// Publishes one event and says what became of it.

import ArgumentParser
import EventModel
import Foundation

/// `lattice publish`
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish one event and wait for its outcome.",
        discussion: """
            For trying things out, scripts and operators; services publish by themselves. The outcome comes after the \
            event is durable and applied; a refusal ends with status 1.

              lattice publish register checkout --id checkout-1 --endpoint 10.0.0.1:8080 --region eu-west
              lattice publish heartbeat checkout --id checkout-1
              lattice publish health checkout --id checkout-1 --unhealthy --reason "connection refused"
              lattice publish deregister checkout --id checkout-1
              lattice publish release-guard checkout --as alice
              lattice publish configure --as alice --stale-after 45s
              lattice publish configure-traces --as alice --slo checkout=250ms,99.9
              lattice publish activate-semantics --as alice --reason "every node has 0.2"
            """,
        subcommands: [
            PublishRegistration.self, PublishHeartbeat.self, PublishHealth.self, PublishLoad.self,
            PublishDeregistration.self, PublishGuardRelease.self, PublishConfiguration.self,
            PublishTraceConfiguration.self, PublishSemantics.self, PublishSkip.self,
        ])
}

/// What all published events share.
struct PublishOptions: ParsableArguments {
    @OptionGroup(title: "Connection") var client: ClientOptions

    @Option(help: ArgumentHelp("Nats-Msg-Id: a repeat within two minutes is answered `duplicate`.", valueName: "id"))
    var messageId: String?

    @OptionGroup var output: JSONOptions

    var json: Bool { output.json }

    /// Publishes an event on behalf of a service or principal; `administrator` is who does it to a service.
    func publish(_ event: Event, owner: String, administrator: String = "") async throws {
        guard let (type, facts) = EventCodec.encode(event) else { preconditionFailure("no opaque events here") }
        let client = try await client.connect(as: "lattice publish")
        let payload: [UInt8]
        do {
            payload = try await client.publish(
                EventSubject.of(type, owner: owner, administrator: administrator), facts, id: messageId, asJSON: true)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        let outcome = try JSONDecoder().decode(PublishedOutcome.self, from: Data(payload))
        if json {
            try output.dialect.say(
                try JSONTranscoder.binary(fromJSON: payload, kind: .outcomeAnswer), .outcomeAnswer)
        } else {
            outcome.show()
        }
        if outcome.outcome != "accepted" && outcome.outcome != "duplicate" { throw CommandFailure(.failed) }
    }
}

/// The reply to a publisher, as far as a person wants to see it.
struct PublishedOutcome: Decodable {
    var sequence: String?
    var outcome: String
    var reason: String?

    func show() {
        let place = sequence.map { " at sequence \($0)" } ?? ""
        let why = reason.map { ": \(Terminal.escaped($0))" } ?? ""
        Terminal.say("\(outcome)\(place)\(why)")
        if let advice = reason.flatMap(RefusalAdvice.of) { Terminal.say("  \(advice)") }
    }
}

/// Which process of which service.
struct InstanceOptions: ParsableArguments {
    @Argument(help: "The service's name.") var service: String
    @Option(help: "The instance's id.") var id: String
    @Option(help: "Start time of the process, nanoseconds; 0: none.") var incarnation: Int64 = 0

    func validate() throws {
        if service.isEmpty { throw ValidationError("the service's name is empty") }
        if id.isEmpty { throw ValidationError("--id is empty") }
    }
}

struct PublishRegistration: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "register", abstract: "An instance begins to serve.",
        discussion:
            "Example: lattice publish register checkout --id checkout-1 --endpoint 10.0.0.1:8080 --meta version=7")

    @OptionGroup var instance: InstanceOptions
    @Option(help: "host:port.") var endpoint: String
    @Option(help: "Its region.") var region = ""
    @Option(help: "Its zone.") var zone = ""
    @Option(help: "0 to 1000.") var weight: UInt32 = Limits.defaultWeight
    @Option(name: .customLong("meta"), help: ArgumentHelp("A line of metadata; repeatable.", valueName: "key=value"))
    var metadata: [String] = []
    @OptionGroup var options: PublishOptions

    func validate() throws {
        for line in metadata where !line.contains("=") {
            throw ValidationError("--meta takes key=value, not '\(line)'")
        }
    }

    func run() async throws {
        let entries = metadata.map { line in
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return MetadataEntry(key: String(parts[0]), value: String(parts[1]))
        }
        let event = Registration(
            instanceID: instance.id, endpoint: endpoint, region: region, zone: zone, weight: weight,
            metadata: entries, incarnation: instance.incarnation)
        try await options.publish(
            .registry(.registered(Registered(serviceName: instance.service, events: [event]))), owner: instance.service)
    }
}

struct PublishHeartbeat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "heartbeat", abstract: "An instance is alive.",
        discussion: "Example: lattice publish heartbeat checkout --id checkout-1 --every 10s")

    @OptionGroup var instance: InstanceOptions
    @Option(help: ArgumentHelp("Go on beating at this interval until stopped.", valueName: "duration"))
    var every: DurationArgument?
    @OptionGroup var options: PublishOptions

    func validate() throws {
        if let every, every.value < .milliseconds(100) { throw ValidationError("--every is at least 100ms") }
    }

    func run() async throws {
        let facts = EventCodec.heartbeats(
            service: instance.service, instances: [instance.id], incarnation: instance.incarnation)
        let event = try EventCodec.decode(
            type: EventType.heartbeat.rawValue, schemaVersion: EventType.currentSchemaVersion, facts: facts[...])
        while true {
            try await options.publish(event, owner: instance.service)
            guard let every else { return }
            try await Task.sleep(for: every.duration)
        }
    }
}

struct PublishHealth: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "The result of a health check.",
        discussion: "Example: lattice publish health checkout --id checkout-1 --unhealthy --reason timeout")

    @OptionGroup var instance: InstanceOptions
    @Flag(help: "The check failed.") var unhealthy = false
    @Option(help: "How long the check took.") var latency: DurationArgument?
    @Option(help: "Why it failed.") var reason = ""
    @OptionGroup var options: PublishOptions

    func run() async throws {
        let now = Timestamp(nanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000) * 1_000)
        let report = HealthReport(
            instanceID: instance.id, healthy: !unhealthy, latency: latency?.value ?? .zero, lastCheck: now,
            reason: reason, incarnation: instance.incarnation)
        try await options.publish(
            .registry(.healthReported(Batch(serviceName: instance.service, events: [report]))), owner: instance.service)
    }
}

struct PublishLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "How many connections somebody counts to an instance.",
        discussion: "Example: lattice publish load checkout --id checkout-1 --connections 12 --reporter gateway-1")

    @OptionGroup var instance: InstanceOptions
    @Option(help: "Active connections.") var connections: UInt32
    @Option(help: "Whose count it is; empty: the instance's own.") var reporter = ""
    @OptionGroup var options: PublishOptions

    func run() async throws {
        let report = LoadReport(
            instanceID: instance.id, reporter: reporter, activeConnections: connections,
            incarnation: instance.incarnation)
        try await options.publish(
            .registry(.loadReported(Batch(serviceName: instance.service, events: [report]))), owner: instance.service)
    }
}

struct PublishDeregistration: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deregister", abstract: "An instance stops serving.",
        discussion: "Example: lattice publish deregister checkout --id checkout-1 --reason \"scaled in\"")

    @OptionGroup var instance: InstanceOptions
    @Option(help: "Why.") var reason = ""
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are, where it is not the service itself: the principal at the subject's end, which NATS permissions "
                + "enforce.", valueName: "name"))
    var administrator = ""
    @OptionGroup var options: PublishOptions

    func run() async throws {
        let event = Deregistration(
            instanceID: instance.id, incarnation: instance.incarnation, reason: reason)
        try await options.publish(
            .registry(.deregistered(Batch(serviceName: instance.service, events: [event]))), owner: instance.service,
            administrator: administrator)
    }
}

struct PublishGuardRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release-guard", abstract: "The missing of a service are really gone: end its eviction guard.",
        discussion: "Example: lattice publish release-guard checkout --as alice --reason \"scaled in\"")

    @Argument(help: "The service's name; empty text: every service.") var service: String
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @Option(help: "Why.") var reason = ""
    @OptionGroup var options: PublishOptions

    func run() async throws {
        try await options.publish(
            .policy(.guardReleased(serviceName: service, reason: reason)), owner: principal)
    }
}
