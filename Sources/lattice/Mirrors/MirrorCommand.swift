// Mirrors from the command line: made, changed, looked at.

import ArgumentParser
import EventModel
import Foundation
import StateMachines

/// `lattice mirror`
struct MirrorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mirror",
        abstract: "Copy a service's requests to a shadow and compare the answers.",
        discussion: """
            A shadow gets copies only where the source's allow-list says so; nothing of it reaches a client.

              lattice mirror allow checkout --endpoint '*.staging:8080' --endpoint 10.1.0.0/16:*
              lattice mirror add checkout-next.yaml
              lattice mirror stats checkout-next
              lattice mirror diffs checkout-next --threshold 1%
              lattice mirror ledger
              lattice mirror export checkout --from 4000 --to 4711 --output checkout.case.json
              lattice mirror check checkout.case.json --target 127.0.0.1:8080 --loopback

            A specification names mirror_id, source_service and shadow_endpoint, and what differs from the defaults: \
            mode (full, sampled, filtered, replay), sample_rate (0.01 or 1%), include_intents, exclude_intents, \
            timeout_ms, enabled, allow_writes, payload_limit, buffer_requests, buffer_bytes, shadow_auth, \
            ignore_fields, unordered_arrays, compared_headers, baseline_endpoint (a second instance of production's own \
            version, to learn noise from), baseline_auth.
            """,
        subcommands: [
            MirrorAllow.self, MirrorAdd.self, MirrorRemove.self, MirrorEnable.self, MirrorDisable.self,
            MirrorList.self, MirrorStats.self, MirrorLedgerCommand.self, MirrorDiffs.self, MirrorReplay.self,
            MirrorCheck.self, MirrorExport.self, MirrorImport.self,
        ])
}

struct MirrorAllow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Say where a service's mirrors may send to; replaces the earlier list.",
        discussion: "Example: lattice mirror allow checkout --endpoint '*.staging:8080'")

    @Argument(help: "The service whose requests are mirrored.") var service: String
    @Option(
        name: .customLong("endpoint"),
        help: ArgumentHelp(
            "host:port, *.suffix:port or a.b.c.d/bits:port; the port may be *. Repeatable.", valueName: "rule"))
    var endpoints: [String] = []
    @Flag(help: "Shadows on this machine too.") var loopback = false
    @Option(help: "Why.") var reason = ""
    @OptionGroup var administrator: AdministratorOptions
    @OptionGroup var options: PublishOptions

    func validate() throws {
        for endpoint in endpoints where ShadowAllowList(entries: [endpoint], allowLoopback: true) == nil {
            throw ValidationError("--endpoint '\(endpoint)' is none of host:port, *.suffix:port, a.b.c.d/bits:port")
        }
    }

    func run() async throws {
        let event = ShadowsAllowed(
            sourceService: service, endpoints: endpoints, allowLoopback: loopback, reason: reason)
        try await options.publish(
            .mirror(.shadowsAllowed(event)), owner: service, administrator: administrator.name)
    }
}

struct MirrorAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add the mirrors of a specification, or replace their configuration.",
        discussion: "Example: lattice mirror add checkout-next.yaml")

    @Argument(help: "A JSON or YAML file: one mirror, or a list of them.") var file: String
    @OptionGroup var administrator: AdministratorOptions
    @OptionGroup var options: PublishOptions

    func run() async throws {
        let mirrors = try MirrorSpecificationFile.read(file)
        for source in Set(mirrors.map(\.sourceService)).sorted() {
            let events = mirrors.filter { $0.sourceService == source }
            try await options.publish(
                .mirror(.added(Batch(serviceName: source, events: events))), owner: source,
                administrator: administrator.name)
        }
    }
}

/// A change of mirrors by name: the node knows whose they are.
struct MirrorChangeOptions: ParsableArguments {
    @Argument(help: "The mirror's id.") var mirror: String
    @Option(help: "Why.") var reason = ""
    @OptionGroup var administrator: AdministratorOptions
    @OptionGroup var options: PublishOptions

    /// Publishes the change for the mirror's source.
    func publish(_ event: (Batch<MirrorChange>) -> MirrorEvent) async throws {
        let client = try await options.client.connect(as: "lattice mirror")
        let source: String
        do throws(CommandFailure) {
            source = try await client.source(ofMirror: mirror)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        let batch = Batch(serviceName: source, events: [MirrorChange(mirrorID: mirror, reason: reason)])
        try await options.publish(.mirror(event(batch)), owner: source, administrator: administrator.name)
    }
}

struct MirrorRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a mirror; what waits is dropped.",
        discussion: "Example: lattice mirror rm checkout-next --reason \"released\"")

    @OptionGroup var change: MirrorChangeOptions

    func run() async throws { try await change.publish { .removed($0) } }
}

struct MirrorEnable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Let a mirror copy again.",
        discussion: "Example: lattice mirror enable checkout-next")

    @OptionGroup var change: MirrorChangeOptions

    func run() async throws { try await change.publish { .enabled($0) } }
}

struct MirrorDisable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Let a mirror copy no more; what waits is still sent.",
        discussion: "Example: lattice mirror disable checkout-next --reason \"shadow is being deployed\"")

    @OptionGroup var change: MirrorChangeOptions

    func run() async throws { try await change.publish { .disabled($0) } }
}

struct MirrorList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "The mirrors and what they copy.",
        discussion: "Example: lattice mirror ls --service checkout")

    @Option(help: "Only those of this service, with its allow-list.") var service = ""
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func run() async throws {
        var query = MirrorQuery()
        query.sourceService = service
        query.position = position.position
        let answer = try await options.answer(.mirror(.mirrors), query.encode(), answer: .mirrorsAnswer)
        if let answer { try MirrorText.list(answer) }
    }
}

struct MirrorStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "How mirrors do.",
        discussion: "Example: lattice mirror stats checkout-next --json")

    @Argument(help: "The mirror's id (default: every mirror).") var mirror = ""
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func run() async throws {
        var query = MirrorQuery()
        query.mirrorID = mirror
        query.position = position.position
        let answer = try await options.answer(.mirror(.stats), query.encode(), answer: .mirrorsAnswer)
        if let answer { try MirrorText.stats(answer) }
    }
}

struct MirrorLedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Why requests were not copied, or copies not carried out.",
        discussion: "Example: lattice mirror ledger checkout-next")

    @Argument(help: "The mirror's id (default: every mirror).") var mirror = ""
    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func run() async throws {
        var query = MirrorQuery()
        query.mirrorID = mirror
        query.position = position.position
        let answer = try await options.answer(.mirror(.ledger), query.encode(), answer: .mirrorLedgerAnswer)
        if let answer { try MirrorText.ledger(answer) }
    }
}

/// `lattice erase`
struct Erase: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Erase what was captured of a service on a day: the key is destroyed, the log stays whole.",
        discussion: """
            The erasure is an event; every node that holds the log destroys its keys. Erased fields read `erased` from \
            then on. Over a stream the messages themselves stay in it until its own limits remove them.

              lattice erase --service checkout --day 2026-11-24 --reason "asked by a customer"
            """)

    @Option(help: "The service whose requests were captured.") var service: String
    @Option(help: ArgumentHelp("The day in UTC, by the records' time.", valueName: "YYYY-MM-DD")) var day: String
    @Option(help: "Why.") var reason = ""
    @OptionGroup var administrator: AdministratorOptions
    @OptionGroup var options: PublishOptions

    func validate() throws {
        if number == nil { throw ValidationError("--day takes YYYY-MM-DD, not '\(day)'") }
    }

    private var number: Int64? {
        guard day.utf8.count == 10, let time = Timestamp(rfc3339: day + "T00:00:00Z") else { return nil }
        return time.rawValue / 86_400_000_000_000
    }

    func run() async throws {
        guard let number else { return }
        let event = ContentsErased(sourceService: service, day: number, reason: reason)
        try await options.publish(
            .mirror(.contentsErased(event)), owner: service, administrator: administrator.name)
    }
}
