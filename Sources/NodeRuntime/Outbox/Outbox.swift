// The outbox of a node: closed in recovery, opened when it serves, closed before the intake.

import EventModel
import EventStore
import StateMachines
import Synchronization

/// Holds the gate from the node's beginning, and the runner once there is one.
final class Outbox: Sendable {
    let gate: OutboxGate
    private let nodeID: String
    private let runner = Mutex<OutboxRunner?>(nil)

    /// Random, and this life's alone: what a node that leads is known by to itself.
    let lifeMark = "-" + OwnMessageID.random()

    /// Who must lead for records to be told of; nil where the node orders by itself.
    let leaderID: String?

    init(nodeID: String, _ configuration: NodeConfiguration, _ environment: NodeEnvironment) {
        self.nodeID = nodeID
        let isStream = configuration.mode != .core
        leaderID = isStream ? nodeID : nil
        gate = OutboxGate(
            nodeID: nodeID, isStream: isStream, lifeMark: lifeMark,
            fence: DirectiveFence(directory: configuration.directory), logger: environment.logger)
    }

    /// Whoever has a sender sends what is owed; without one it expires.
    func open(
        _ configuration: NodeConfiguration, _ environment: NodeEnvironment, _ host: MachineHost<TrafficMirror>,
        _ contents: ContentReader
    ) {
        guard let sender = environment.shadows else { return }
        let performer = DirectivePerformer(contents: contents, sender: sender, prefix: configuration.prefix)
        let runner = OutboxRunner(
            gate: gate, nodeID: nodeID, host: host, performer: performer, limits: configuration.outbox,
            bus: environment.answerBus, logger: environment.logger)
        self.runner.withLock { $0 = runner }
        Task { await runner.run() }
    }

    /// Takes no more; what is under way is awaited for a while and told.
    func close() async {
        if let runner = runner.withLock({ $0 }) { await runner.close() }
    }
}
