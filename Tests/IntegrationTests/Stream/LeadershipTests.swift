// Who leads among the nodes of one stream, step by step, without a stream.

import EventModel
import Messaging
import StateMachines
import Testing

@testable import NodeRuntime

/// Nodes that step once a second each, at different moments, over a log that takes what they say in order.
private struct Nodes {
    private var keepers: [LeadershipKeeper]
    private(set) var standing: Standing
    private(set) var claims = 0
    private var now = Timestamp(nanoseconds: 1_750_000_000_000_000_000)

    init(_ count: Int, leader: String) {
        keepers = (0..<count).map {
            LeadershipKeeper(
                nodeID: "node-\($0)", prefix: "lattice", tickInterval: .seconds(1), lifeMark: "-life-\($0)")
        }
        let moment = Moment(sequence: SequenceNumber(7), recordedAt: now, logTime: now, expiryTime: .zero)
        standing = Standing(
            moment: moment, semanticsVersion: 2, leaderID: leader, leaderEpoch: 5, lastTickSlot: 9,
            backwardSteps: 0, gapCount: 0, duplicateCount: 0, tickCount: 1)
    }

    /// So many seconds, in each of which every node steps once, in order; the ids of those who ticked in the last one.
    mutating func pass(_ seconds: Int) -> Set<String> {
        var ticked: Set<String> = []
        for _ in 0..<seconds {
            ticked = []
            for index in keepers.indices {
                now = now + .milliseconds(80)
                take(keepers[index].step(standing, now: now), from: "node-\(index)", &ticked)
            }
            now = now + .milliseconds(Int64(1_000 - 80 * keepers.count))
        }
        return ticked
    }

    private mutating func take(_ messages: [Message], from node: String, _ ticked: inout Set<String>) {
        for message in messages {
            if message.subject.hasSuffix("leadership_claimed") {
                standing.leaderID = node
                standing.leaderEpoch += 1
                claims += 1
            } else if message.subject.hasSuffix("tick") {
                standing.tickCount += 1
                ticked.insert(node)
            }
        }
    }
}

@Suite struct `Leadership of a stream` {
    /// Found by killing and pausing servers under load: two nodes claimed in turns, once a second each, and nobody ticked.
    @Test(arguments: [2, 3, 5]) func `settles on one node after the leader has gone, whoever claims first`(count: Int) {
        var nodes = Nodes(count, leader: "gone")
        #expect(nodes.pass(5).isEmpty)
        let ticked = nodes.pass(15)
        #expect(ticked == [nodes.standing.leaderID])
        #expect(nodes.claims == 1)
        #expect(nodes.pass(60) == ticked && nodes.claims == 1)
    }
}
