// Questions to a running node.

import ArgumentParser
import EventModel
import Queries

/// `lattice query`
struct Query: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running node.",
        discussion: """
            Every answer says as of which sequence and time it is true; the same question at the same sequence has the \
            same answer for ever.

              lattice query services                           what there is
              lattice query resolve checkout                   the healthy instances of a service
              lattice query select checkout --strategy power_of_two
              lattice query resolve checkout --at 4711         as it was after record 4711
              lattice query resolve checkout --at 2026-11-24T08:00:00Z
              lattice query resolve checkout --min-sequence 4712   not before my own write is applied
              lattice query status --json | jq .durable_sequence
              lattice query ask mirror.stats '{"mirror_id":"checkout-next"}'    any query, as JSON

            The node is found by --nats, else by the variables LATTICE_NATS or NATS_URL, else by the node.json of a \
            node on this machine (--data), else at nats://127.0.0.1:4222.
            """,
        subcommands: [
            ResolveQuery.self, SelectQuery.self, InstanceQuery.self, StaleQuery.self, FailoverQuery.self,
            ServicesQuery.self, TopologyQuery.self, RemovalsQuery.self, DigestQuery.self, StatusQuery.self,
            OutcomeQuery.self, AskQuery.self,
        ])
}

/// What all queries share.
struct QueryOptions: ParsableArguments {
    @OptionGroup(title: "Connection") var client: ClientOptions

    @OptionGroup var output: JSONOptions

    var json: Bool { output.json }
}

/// Where in the log a question is asked.
struct PositionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The past: a sequence or a moment (RFC 3339, with its zone).", valueName: "seq|time"))
    var at: PositionArgument?

    @Option(help: ArgumentHelp("Wait until this sequence is applied: read your own writes.", valueName: "seq"))
    var minSequence: UInt64?

    var position: ReadPosition {
        var position = at?.position ?? .now
        position.minimumSequence = minSequence.map { SequenceNumber($0) }
        return position
    }
}

/// A query to the registry: which one, with which fields.
protocol RegistryQueryCommand: PastQuery {
    static var name: RegistryQueryName { get }
    func fill(_ query: inout RegistryQuery)
}

extension RegistryQueryCommand {
    func run() async throws {
        var query = RegistryQuery()
        query.position = position.position
        fill(&query)
        try await options.ask(Self.name, query)
    }
}

extension QueryOptions {
    /// Asks, and shows the answer as JSON or as a table.
    func ask(
        _ query: QueryName, _ request: [UInt8], answer: MessageKind
    ) async throws {
        let payload = try await connected { client throws(CommandFailure) in try await client.ask(query, request) }
        try show(payload, answer)
    }

    /// Asks the registry: of lists every page, unless a limit says how much of them is wanted.
    func ask(_ name: RegistryQueryName, _ query: RegistryQuery) async throws {
        let payload = try await connected { client throws(CommandFailure) in
            try await client.asking { queries async throws(UnansweredQuery) in try await queries.whole(name, query) }
        }
        try show(payload, name.answer)
    }

    /// Connects, asks, and closes whatever comes of it.
    private func connected(
        _ ask: (NodeClient) async throws(CommandFailure) -> [UInt8]
    ) async throws -> [UInt8] {
        let client = try await client.connect(as: "lattice query")
        do throws(CommandFailure) {
            let payload = try await ask(client)
            await client.close()
            return payload
        } catch {
            await client.close()
            throw error
        }
    }

    private func show(_ payload: [UInt8], _ answer: MessageKind) throws {
        guard json else { return try AnswerText.show(payload, answer) }
        try output.dialect.say(payload, answer)
    }
}

struct ResolveQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.resolve
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "The instances of a service.",
        discussion: "Example: lattice query resolve checkout --region eu-west --min-weight 10")

    @Argument(help: "The service's name.") var service: String
    @Option(help: "Only instances of this region.") var region = ""
    @Option(help: "Preferred zone: its instances come first.") var zone = ""
    @Flag(help: "The unhealthy and the stale too.") var all = false
    @Option(help: "Only instances of at least this weight (0 to 1000).") var minWeight: UInt32 = 0
    @Option(help: "At most so many (default: all).") var limit: UInt32?
    @Flag(help: "All instances, marked `panic`, when too few are healthy.") var allowPanic = false
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {
        query.serviceName = service
        query.region = region
        query.zone = zone
        query.healthyOnly = !all
        query.minimumWeight = minWeight
        query.limit = limit ?? 0
        query.allowPanic = allowPanic
    }
}

struct SelectQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.select
    static let configuration = CommandConfiguration(
        commandName: "select", abstract: "One instance of a service, by a strategy.",
        discussion: """
            The answer names seed and cursor, so that the same choice can be had again.

              lattice query select checkout --strategy weighted_random --seed 42
              lattice query select checkout --strategy round_robin --cursor 7
            """)

    @Argument(help: "The service's name.") var service: String
    @Option(help: "How to choose.") var strategy = StrategyArgument.weightedRandom
    @Option(help: "The dice of random strategies (default: the node throws).") var seed: UInt64?
    @Option(help: "How many selections came before, for round_robin (default: the node counts).") var cursor: UInt64?
    @Option(help: "Only instances of this region.") var region = ""
    @Option(help: "Preferred zone.") var zone = ""
    @Option(help: "Not in this region; may be repeated.") var excludeRegion: [String] = []
    @Option(help: "Only instances of at least this weight (0 to 1000).") var minWeight: UInt32 = 0
    @Flag(help: "The unhealthy and the stale too.") var all = false
    @Flag(help: "Any instance, marked `panic`, when too few are healthy.") var allowPanic = false
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {
        query.serviceName = service
        query.strategy = strategy.value
        query.seed = seed
        query.cursor = cursor
        query.region = region
        query.zone = zone
        query.excludedRegions = excludeRegion
        query.minimumWeight = minWeight
        query.healthyOnly = !all
        query.allowPanic = allowPanic
    }
}

struct InstanceQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.instance
    static let configuration = CommandConfiguration(
        commandName: "instance", abstract: "One instance by its id.",
        discussion: "Example: lattice query instance checkout-1")

    @Argument(help: "The instance's id.") var id: String
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) { query.instanceID = id }
}

struct StaleQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.staleInstances
    static let configuration = CommandConfiguration(
        commandName: "stale", abstract: "Instances whose heartbeats stopped.",
        discussion: "Example: lattice query stale checkout")

    @Argument(help: "The service's name (default: every service).") var service: String = ""
    @Option(help: "At most so many (default: 1000).") var limit: UInt32?
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {
        query.serviceName = service
        query.limit = limit ?? 0
    }
}

struct FailoverQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.failoverCandidates
    static let configuration = CommandConfiguration(
        commandName: "failover", abstract: "Where a service's traffic can go when regions fail.",
        discussion: "Example: lattice query failover checkout --exclude-region eu-west")

    @Argument(help: "The service's name.") var service: String
    @Option(help: "Not in this region; may be repeated.") var excludeRegion: [String] = []
    @Option(help: "At most so many (default: all).") var limit: UInt32?
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {
        query.serviceName = service
        query.excludedRegions = excludeRegion
        query.limit = limit ?? 0
    }
}

struct ServicesQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.services
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "Every service with its figures.",
        discussion: "Example: lattice query services --json | jq -r '.services[].service_name'")

    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {}
}

struct TopologyQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.topology
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "Services by region and zone.",
        discussion: "Example: lattice query topology checkout")

    @Argument(help: "The service's name (default: every service).") var service: String = ""
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) { query.serviceName = service }
}

struct RemovalsQuery: RegistryQueryCommand {
    static let name = RegistryQueryName.removals
    static let configuration = CommandConfiguration(
        commandName: "removals", abstract: "Who went, when, why, and by whom; the newest first.",
        discussion: "Example: lattice query removals checkout --limit 20")

    @Argument(help: "The service's name (default: every service).") var service: String = ""
    @Option(help: "At most so many, 1000 at the most (default: 100).") var limit: UInt32?
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func fill(_ query: inout RegistryQuery) {
        query.serviceName = service
        query.limit = limit ?? 0
    }
}
