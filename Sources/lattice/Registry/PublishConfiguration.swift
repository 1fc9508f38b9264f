// Changes the registry's settings by an event, while the nodes run.

import ArgumentParser
import EventModel

/// `lattice publish configure`
struct PublishConfiguration: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configure", abstract: "Change the registry's settings; every node and every replay follows.",
        discussion: """
            What is not named stays as it is. Shares are basis points: 1500 is 15 %.

              lattice publish configure --as alice --stale-after 45s --evict-after 20m
              lattice publish configure --as alice --guard-service 2000 --reason "rolling restarts"
            """)

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @Option(help: ArgumentHelp("Without a heartbeat for so long an instance is stale.", valueName: "duration"))
    var staleAfter: DurationArgument?
    @Option(help: ArgumentHelp("Stale for so long it is evicted, under the guard.", valueName: "duration"))
    var evictAfter: DurationArgument?
    @Option(help: ArgumentHelp("Share of a service that may go in one window.", valueName: "basis points"))
    var guardService: UInt32?
    @Option(help: ArgumentHelp("Share of the mesh that may go in one window.", valueName: "basis points"))
    var guardMesh: UInt32?
    @Option(help: ArgumentHelp("How long a service's last instance is held.", valueName: "duration"))
    var guardLastInstance: DurationArgument?
    @Option(help: ArgumentHelp("Healthy share below which --allow-panic answers all.", valueName: "basis points"))
    var panic: UInt32?
    @Flag(inversion: .prefixedNo, help: "Take endpoints on loopback.")
    var allowLoopback: Bool?
    @Option(help: NetworksArgument.help)
    var endpointNetworks: NetworksArgument?
    @Option(help: "Why.") var reason = ""
    @OptionGroup var options: PublishOptions

    func validate() throws {
        if change == RegistryConfiguration(reason: reason) { throw ValidationError("name at least one setting") }
    }

    private var change: RegistryConfiguration {
        RegistryConfiguration(
            staleAfter: staleAfter?.value, evictAfter: evictAfter?.value, guardServiceBasisPoints: guardService,
            guardMeshBasisPoints: guardMesh, guardLastInstance: guardLastInstance?.value, panicBasisPoints: panic,
            allowLoopback: allowLoopback, endpointNetworks: endpointNetworks?.networks ?? [], reason: reason)
    }

    func run() async throws {
        try await options.publish(.policy(.registryConfigured(change)), owner: principal)
    }
}
