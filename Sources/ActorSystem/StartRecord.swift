// What a node puts into the log when it starts: its settings where they differ, and that it is here.

import EventModel
import StateMachines

/// An event of a start with its subject behind `<prefix>.events.`.
struct StartRecord: Sendable {
    var event: Event
    var subject: String

    /// All of one start, in order. The settings come first: how long expiry is suspended after a start follows from them.
    ///
    /// - Parameter epoch: the one that the node claims to lead.
    static func all(
        of id: String, _ configuration: NodeConfiguration, _ hosts: MachineHosts, epoch: UInt64
    ) async -> [StartRecord] {
        var records: [StartRecord] = []
        let principal = SubjectToken.escape(id)
        let registry = configuration.registry
        if await hosts.registry.read({ $0.settings.applying(registry) != $0.settings }) {
            records.append(
                StartRecord(
                    event: .policy(.registryConfigured(registry)), subject: "policy.\(principal).registry_configured"))
        }
        let traces = configuration.traces
        if await hosts.tracing[0].read({ $0.settings.applying(traces) != $0.settings }) {
            records.append(
                StartRecord(
                    event: .policy(.tracesConfigured(traces)), subject: "policy.\(principal).traces_configured"))
        }
        records.append(
            StartRecord(event: .clock(.nodeResumed(nodeID: id, reason: "start")), subject: "clock.node_resumed"))
        records.append(
            StartRecord(
                event: .clock(.leadershipClaimed(nodeID: id, epoch: epoch)), subject: "clock.leadership_claimed"))
        return records
    }
}
