// What a node puts into the log when it starts: its settings where they differ, and that it is here.

import EventModel
import StateMachines

/// An event of a start with its subject behind `<prefix>.events.`.
struct StartRecord: Sendable {
    var event: Event
    var subject: String

    /// Why the first record of a log is there.
    static let newLog = "a new log"

    /// All of one start, in order. A new log begins with what its events mean. Then the settings: how long expiry is
    /// suspended after a start follows from them.
    static func all(
        of id: String, _ configuration: NodeConfiguration, _ hosts: MachineHosts, _ standing: Standing
    ) async -> [StartRecord] {
        var records: [StartRecord] = []
        let principal = SubjectToken.escape(id)
        if standing.moment.sequence == .origin {
            let version = Semantics.newest.version
            records.append(
                StartRecord(
                    event: .policy(.semanticsActivated(version: version, reason: newLog)),
                    subject: "policy.\(principal).\(EventType.semanticsActivated.name)"))
        }
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
                event: .clock(.leadershipClaimed(nodeID: id, epoch: standing.leaderEpoch &+ 1)),
                subject: "clock.leadership_claimed"))
        return records
    }
}
