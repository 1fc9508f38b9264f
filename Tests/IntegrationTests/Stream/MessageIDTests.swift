// Whose message an id is: a stream takes an id once, whoever sends it, and the log counts it for its owner.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `and message ids` {
        private static let stream = "MESH"

        private static func with(_ story: (Stage, Client, JetStreamAdministration) async throws -> Void) async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                let administration = JetStreamAdministration(client.bus)
                try await administration.ensureStream(
                    StreamConfiguration(name: stream, subjects: ["lattice.events.>"]))
                try await story(stage, client, administration)
            }
        }

        private static func outcome(
            _ inbox: OutcomeInbox, _ client: Client, _ service: String, _ id: String, instance: String = "a"
        ) async throws -> OutcomeNotice {
            let text = Client.registration(service, [instance])
            var event = try client.event(.registered, service, text, as: .protobuf)
            event.headers.append(MessageHeader("Content-Type", "application/protobuf"))
            event.headers.append(MessageHeader("Nats-Msg-Id", id))
            return try OutcomeNotice.decode(try await inbox.outcome(of: event, timeout: .seconds(10)).payload[...])
        }

        @Test func `tells a publisher whose message its stream has under an id`() async throws {
            try await Self.with { stage, client, _ in
                let node = try await stage.node(stream: Self.stream)
                let leads = try await eventually { await node.node.status().isLeader }
                #expect(leads)
                let inbox = OutcomeInbox(client.bus, acknowledgement: StreamAcknowledgement.outcome)
                let first = try await Self.outcome(inbox, client, "thief", "deploy-7")
                #expect(first.word == "accepted")
                let again = try await Self.outcome(inbox, client, "thief", "deploy-7")
                #expect(again.word == "duplicate" && again.firstSequence == first.sequence)
                let robbed = try await Self.outcome(inbox, client, "checkout", "deploy-7", instance: "b")
                #expect(robbed.word == "rejected" && robbed.reason == OutcomeInbox.takenReason, "\(robbed)")
                let other = try await Self.outcome(inbox, client, "checkout", "deploy-8", instance: "b")
                #expect(other.word == "accepted")
                #expect(try await client.ids("checkout") == ["b"])
                let told = try await client.query("node.outcome", #"{"sequence":"\#(first.sequence)"}"#)
                #expect(told["subject"].text == "registry.thief.registered")
            }
        }

        @Test func `claims nothing of an id while no node says whose it is`() async throws {
            try await Self.with { stage, client, administration in
                let inbox = OutcomeInbox(client.bus, acknowledgement: StreamAcknowledgement.outcome)
                let text = Client.registration("checkout", ["a"])
                var event = try client.event(.registered, "checkout", text, as: .protobuf)
                event.headers.append(MessageHeader("Nats-Msg-Id", "m"))
                _ = try await administration.publishAcknowledged(event, timeout: .seconds(10))
                await #expect(throws: BusError.self) { try await inbox.outcome(of: event, timeout: .seconds(3)) }
            }
        }

        @Test func `counts an id for its owner on core NATS`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                func tell(_ service: String) async throws -> String {
                    let text = Client.registration(service, ["i-\(service)"])
                    return try await client.tell(.registered, service, text, id: "same")["outcome"].text
                }
                #expect(try await tell("thief") == "accepted")
                #expect(try await tell("checkout") == "accepted")
                #expect(try await tell("checkout") == "duplicate")
                #expect(try await client.ids("checkout") == ["i-checkout"])
            }
        }

        @Test func `takes a subject for another one only where its bytes are, whatever Unicode thinks`() async throws {
            try await Stage.with { stage in
                try await stage.node { $0.bytesPerSecond = 1_000_000 }
                let client = try await stage.client()
                // The Kelvin sign is a K to Unicode; tokens of subjects are ASCII.
                for _ in 0..<2 {
                    #expect(try await client.register("Kafka", ["k"])["outcome"].text == "accepted")
                    let message = Message(
                        subject: "lattice.events.registry.\u{212A}afka.registered",
                        payload: Array(Client.registration("Kafka", ["stranger"]).utf8))
                    let reply = try await client.ask(message)
                    #expect(reply["outcome"].text == "rejected" && reply["reason"].text == "wrong_subject", "\(reply)")
                }
                #expect(try await client.ids("Kafka") == ["k"])
            }
        }

        @Test func `gives its own messages ids that nobody can guess, and none twice`() async throws {
            try await Self.with { stage, client, administration in
                let node = try await stage.node(stream: Self.stream) { $0.tickInterval = .milliseconds(50) }
                let hasTicked = try await eventually { try node.records(.tick).count >= 20 }
                #expect(hasTicked)
                var ids: [String] = []
                for kind in [EventType.tick, .leadershipClaimed, .nodeResumed, .semanticsActivated] {
                    let records = try node.records(kind)
                    #expect(!records.isEmpty)
                    ids += records.map { String(decoding: $0.messageID, as: UTF8.self) }
                }
                #expect(Set(ids).count == ids.count)
                for id in ids {
                    let tail = id.drop { $0 != "-" }
                    #expect(tail.utf8.count >= 20 && !id.contains(node.node.id), "\(id)")
                }
                // What could be guessed before is of no use to anybody now.
                let count = try node.records(.tick).count
                let now = UInt64(Date().timeIntervalSince1970 * 20)
                for slot in now..<now + 100 {
                    var event = try client.event(.registered, "s", Client.registration("s", ["a"]))
                    event.headers.append(MessageHeader("Nats-Msg-Id", "tick-\(slot)"))
                    _ = try await administration.publishAcknowledged(event, timeout: .seconds(10))
                }
                let goesOn = try await eventually { try node.records(.tick).count >= count + 20 }
                #expect(goesOn)
            }
        }
    }
}
