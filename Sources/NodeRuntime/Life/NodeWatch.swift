// Once a tick: what the node publishes of itself, and what it tells its operator.

import EventModel
import Logging
import Messaging

/// Compares what is with what was, publishes the figures, and says what has changed.
struct NodeWatch {
    private let node: Node
    private let life: LifeLog
    private var metrics: NodeMetrics
    /// Its own memory of the services: nothing that others look at escapes it.
    private let services = ServiceFigures()
    private var guarded: [[UInt8]: ServiceTopology] = [:]
    private var leader: (id: String, epoch: UInt64)
    private var reconnects: UInt64

    init(_ node: Node, _ life: LifeLog) async {
        self.node = node
        self.life = life
        metrics = NodeMetrics(nodeID: node.id, version: node.configuration.version)
        let standing = await node.applier.standing
        leader = (standing.leaderID, standing.leaderEpoch)
        reconnects = node.environment.intakeBus.reconnectCount
    }

    mutating func look(now: Timestamp, _ answers: QueryFigures) async {
        let look = await services.look(at: node.hosts.registry)
        let status = await node.status()
        tellOfGuards(look.changed)
        tellOfLeader(status)
        tellOfConnection()
        life.tellFolded()
        metrics.publish(look.changed)
        metrics.publish(status, await node.applier.figures, node.writer.control.figures, answers)
        let checkpoint = node.checkpointFigures
        metrics.publish(
            checkpoint: checkpoint.sequence, age: max(.zero, now - checkpoint.since), ignored: checkpoint.ignored)
    }

    private mutating func tellOfGuards(_ changed: [ServiceTopology]) {
        var (closed, opened): ([ServiceTopology], [ServiceTopology]) = ([], [])
        for service in changed {
            let key = Array(service.serviceName.utf8)
            let wasGuarded = guarded[key] != nil
            guarded[key] = service.protected ? service : nil
            if service.protected && !wasGuarded { closed.append(service) }
            if !service.protected && wasGuarded { opened.append(service) }
        }
        life.guardClosed(closed)
        life.guardOpened(opened)
    }

    private mutating func tellOfConnection() {
        let count = node.environment.intakeBus.reconnectCount
        if count > reconnects { life.reconnected(count) }
        reconnects = count
    }

    /// Alone, a node leads from its start on, and that is no news.
    private mutating func tellOfLeader(_ status: NodeStatus) {
        guard status.leaderEpoch != leader.epoch else { return }
        if node.configuration.mode != .core {
            life.leaderChanged(
                from: leader.id, to: status.leaderID, epoch: status.leaderEpoch, nodeID: node.id)
        }
        leader = (status.leaderID, status.leaderEpoch)
    }
}
