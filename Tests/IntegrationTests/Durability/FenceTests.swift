// A node whose data was restored holds back what its log owes, until somebody says that it may go.

import NodeRuntime
import Dispatcher
import EventModel
import EventStore
import Foundation
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `whose data was restored` {
        /// A directory in which one copy waits, fenced behind its last record.
        private static func with(
            _ story: (Stage, MirrorPlay, ShadowServer, DirectiveFence, HTTPShadowSender) async throws -> Void
        ) async throws {
            let sender = MirrorPlay.sender()
            do {
                try await prepared(sender, story)
            } catch {
                await sender.shutdown()
                throw error
            }
            await sender.shutdown()
        }

        private static func prepared(
            _ sender: HTTPShadowSender,
            _ story: (Stage, MirrorPlay, ShadowServer, DirectiveFence, HTTPShadowSender) async throws -> Void
        ) async throws {
            try await Stage.with { stage in
                let first = try await stage.node()
                let play = try MirrorPlay(try await stage.client())
                let shadow = try ShadowServer(.same)
                try await play.allow()
                try await play.add("m", shadow.endpoint)
                try await Self.resume(play)
                try await play.serve("r1")
                await first.stop()
                let fence = DirectiveFence(directory: stage.directory.path + "/data")
                try fence.raise(after: first.node.appliedSequence)
                try await story(stage, play, shadow, fence, sender)
            }
        }

        private static func resume(_ play: MirrorPlay, _ nodeID: String = "") async throws {
            let outcome = try await play.client.tell(
                .directivesResumed, "alice", #"{"node_id":"\#(nodeID)","reason":"the old one is off"}"#)
            #expect(outcome["outcome"].text == "accepted")
        }

        @Test func `sends nothing until it is told to, also after another start`() async throws {
            try await Self.with { stage, play, shadow, fence, sender in
                // Each start marks what waits: it may have been sent. What waits for a third one is told as lost.
                for round in 0..<2 {
                    let node = try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(20) }
                    #expect(try await play.client.status()["directives_fenced"].isTrue)
                    try await play.serve("more-\(round)")
                    try await node.waitUntilApplied(node.node.appliedSequence.rawValue + 5)
                    // What was said before the copy was made is of another time.
                    #expect(try await play.stats("m")["pending"].number == 2)
                    #expect(try await play.ledger("m", "lost") == round)
                    #expect(try await shadow.requests().isEmpty)
                    #expect(fence.isRaised && stage.words.contain("restored"))
                    await node.stop()
                }
                let node = try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(20) }
                try await Self.resume(play, "another-node")
                #expect(try await play.client.status()["directives_fenced"].isTrue)
                try await Self.resume(play, node.node.id)
                try await play.wait("m", "equal", 1)
                #expect(try await play.ledger("m", "lost") == 2)
                #expect(!fence.isRaised)
                #expect(try await !play.client.status()["directives_fenced"].isTrue)
                #expect(try await shadow.requests().map { $0["path"].text } == ["/cart/more-1"])
                let told = try await play.client.query("audit.trail", #"{"actor":"alice","object":"\#(node.node.id)"}"#)
                #expect(told["entries"][0]["action"].text == "policy.directives_resumed")
                await node.stop()
            }
        }

        @Test func `goes on where it ended between the word and the end of its fence`() async throws {
            try await Self.with { stage, play, _, fence, sender in
                let before = try await stage.node { $0.tickInterval = .milliseconds(20) }
                let last = before.node.recovery.lastSequence
                try await play.serve("r2")
                try await Self.resume(play)
                #expect(try await eventually { !fence.isRaised })
                await before.stop()
                // As if it had died before the file was gone.
                try fence.raise(after: last)
                for checkpoint in stage.files(in: "data/checkpoints") {
                    try FileManager.default.removeItem(atPath: stage.directory.path + "/data/checkpoints/" + checkpoint)
                }
                let node = try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(20) }
                #expect(!fence.isRaised)
                try await play.wait("m", "equal")
                await node.stop()
            }
        }
    }
}
