// Who reads captured contents, and who changes what, is in the log, and the trail tells it for ever.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `asked who did what` {
        private static func with(_ story: (Stage, RunningNode, MirrorPlay) async throws -> Void) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let play = try MirrorPlay(try await stage.client())
                try await play.allow()
                try await play.serve("r1")
                try await play.serve("r2")
                try await story(stage, node, play)
            }
        }

        private static func trail(_ play: MirrorPlay, _ json: String = "{}") async throws -> [JSON] {
            try await play.client.query("audit.trail", json)["entries"].items
        }

        /// Asks for contents, as somebody or as nobody.
        private static func captures(_ play: MirrorPlay, by principal: String = "", _ more: String = "") async throws
            -> JSON
        {
            let subject = "mirror.captures" + (principal.isEmpty ? "" : ".\(principal)")
            return try await play.client.query(subject, #"{"sequence":"1"\#(more)}"#)
        }

        @Test func `contents are handed out only after the log says who reads them`() async throws {
            try await Self.with { _, node, play in
                let before = node.node.appliedSequence.rawValue
                let answer = try await Self.captures(play, by: "alice", #","reason":"INC-42""#)
                #expect(answer["captures"].items.count == 2)
                // It is durable and applied by the time the answer is here.
                #expect(node.node.appliedSequence.rawValue > before)
                let read = try #require(try node.records(.contentsRead).first)
                #expect(read.principal == "alice")
                guard case .audit(.contentsRead(let fact)) = read.event else { throw StageError("\(read.event)") }
                #expect(fact.nodeID == node.node.id && fact.count == 2 && fact.query == "captures")
                #expect(fact.reason == "INC-42" && fact.actor.isEmpty && fact.firstSequence < fact.lastSequence)
                let entry = try #require(try await Self.trail(play, #"{"actions":["audit"]}"#).first)
                #expect(entry["actor"].text == "alice" && entry["reason"].text == "INC-42")
                #expect(entry["sequence"].text == "\(read.sequence)" && entry["recorded_at"].number > 0)
            }
        }

        @Test func `whoever does not say who it is stands there as unverified, with what was claimed`() async throws {
            try await Self.with { _, _, play in
                _ = try await Self.captures(play)
                _ = try await Self.captures(play, #","actor":"bob""#)
                _ = try await Self.captures(play, by: "unverified", #","actor":"bob""#)
                // A claim does not come up against the subject.
                _ = try await Self.captures(play, by: "alice", #","actor":"bob""#)
                let actors = try await Self.trail(play, #"{"actions":["audit"]}"#).map { $0["actor"].text }
                #expect(actors == ["unverified", "unverified:bob", "unverified:bob", "alice"])
            }
        }

        @Test func `a question that hands out no contents is not told`() async throws {
            try await Self.with { _, node, play in
                _ = try await play.client.query("mirror.captures", #"{"sequence":"1","source_service":"nobody"}"#)
                _ = try await play.client.query("mirror.stats")
                let missing = try await play.client.raw("mirror.comparison", #"{"sequence":"1"}"#)
                #expect(missing.header("Nats-Service-Error-Code") == "404")
                let sequence = try #require(try node.records(.requestCaptured).first).sequence
                let frame = try #require(try node.node.reader.frame(at: sequence))
                let day = ContentVault.day(of: frame.recordedAt)
                let outcome = try await play.client.tell(
                    .contentsErased, "checkout", #"{"source_service":"checkout","day":"\#(day)"}"#)
                #expect(outcome["accepted"].number == 1, "\(outcome)")
                let erased = try await Self.captures(play)
                #expect(erased["captures"].items.allSatisfy { $0["erased"].isTrue }, "\(erased)")
                #expect(try await Self.trail(play, #"{"actions":["audit"]}"#).isEmpty)
            }
        }

        @Test func `no other question takes a principal, and none takes more than one`() async throws {
            try await Self.with { _, _, play in
                for name in ["mirror.stats.alice", "registry.services.alice", "mirror.captures.alice.bob"] {
                    let answer = try await play.client.raw(name, #"{"sequence":"1"}"#)
                    #expect(answer.header("Nats-Service-Error-Code") == "404", "\(name)")
                }
            }
        }

        @Test func `reading the past is told too, and a replay tells nothing again`() async throws {
            try await Self.with { stage, node, play in
                let past = node.node.appliedSequence
                let asked = #"{"sequence":"1","at_sequence":"\#(past)","actor":"bob"}"#
                #expect(try await play.client.query("mirror.captures", asked)["captures"].items.count == 2)
                #expect(try node.records(.contentsRead).count == 1)
                let sequence = node.node.appliedSequence
                let digest = try await play.client.query("node.digest", #"{"at_sequence":"\#(sequence)"}"#)
                await node.stop()
                let again = try await stage.node()
                #expect(try again.records(.contentsRead).count == 1)
                let replayed = try await play.client.query("node.digest", #"{"at_sequence":"\#(sequence)"}"#)
                func machines(_ answer: JSON) -> [String] {
                    answer["machines"].items.map { "\($0["machine"].text) \($0["digest"].text)" }
                }
                #expect(machines(replayed) == machines(digest) && machines(digest).count == 4)
            }
        }

        @Test func `where the reading can not be recorded nothing is handed out`() async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                try await JetStreamAdministrationOf(client).ensure("MESH")
                let node = try await stage.node(stream: "MESH") {
                    $0.tickInterval = .milliseconds(50)
                    $0.queryTimeout = .milliseconds(300)
                }
                try await Self.captureOne(client)
                let read = try await client.raw("mirror.captures.alice", #"{"sequence":"1"}"#)
                #expect(read.header("Nats-Service-Error") == nil)
                #expect(try node.records(.contentsRead).map(\.principal) == ["alice"])
                // Without its stream what is published now comes into no log.
                _ = try await client.bus.request(
                    Message(subject: "$JS.API.STREAM.DELETE.MESH", payload: []), timeout: .seconds(10))
                let refused = try await client.raw("mirror.captures.alice", #"{"sequence":"1"}"#)
                #expect(refused.header("Nats-Service-Error-Code") == "408", "\(refused)")
            }
        }

        /// One captured request with contents, over a stream.
        @discardableResult
        private static func captureOne(_ client: Client) async throws -> Int {
            var captured = try client.event(.requestCaptured, "checkout", "{}")
            captured.payload =
                MirrorAttachment.message(
                    .captured(Batch(serviceName: "checkout", events: [RequestCapture(requestID: "r1")])),
                    contents: MirrorAttachment.encode([CapturedContent(target: "/x")])
                ).payload
            let outcome = try await client.askByHeader(captured)
            #expect(outcome["outcome"].text == "accepted")
            return outcome["sequence"].number
        }

        @Test func `the trail narrows, turns pages, and says the same of the past for ever`() async throws {
            try await Self.with { _, node, play in
                try await play.add("m", "127.0.0.1:9")
                try await play.add("n", "127.0.0.1:9")
                try await play.change(.mirrorDisabled, "m")
                let position = node.node.appliedSequence
                let question = #"{"at_sequence":"\#(position)","limit":1,"actions":["mirror"]}"#
                let first = try await play.client.raw("audit.trail", question)
                try await play.change(.mirrorEnabled, "m")
                #expect(try await play.client.raw("audit.trail", question).payload == first.payload)
                var found: [String] = []
                var (sequence, index) = ("0", 0)
                repeat {
                    let page = try await play.client.query(
                        "audit.trail",
                        #"{"sequence":"\#(sequence)","index":\#(index),"limit":1,"actions":["mirror"]}"#)
                    found += page["entries"].items.map { "\($0["action"].text) \($0["object"].text)" }
                    (sequence, index) = (page["next_sequence"].text, page["next_index"].number)
                } while !sequence.isEmpty && found.count < 20
                #expect(
                    found == [
                        "mirror.shadows_allowed ", "mirror.added m", "mirror.added n", "mirror.disabled m",
                        "mirror.enabled m",
                    ])
                #expect(try await Self.trail(play, #"{"object":"n"}"#).count == 1)
                #expect(try await Self.trail(play, #"{"end_time":"1"}"#).isEmpty)
                #expect(try await Self.trail(play, #"{"start_time":"2100-01-01T00:00:00Z"}"#).isEmpty)
                #expect(
                    try await Self.trail(play, #"{"actor":"\#(node.node.id)"}"#).map { $0["action"].text }
                        .contains("clock.leadership_claimed"))
            }
        }

        @Test func `who takes an instance out is known by the subject's end`() async throws {
            try await Self.with { _, _, play in
                try await play.client.register("checkout", ["a", "b"])
                func remove(_ id: String, _ end: String) async throws -> JSON {
                    var message = try play.client.event(
                        .deregistered, "checkout",
                        #"{"service_name":"checkout","events":[{"instance_id":"\#(id)","incarnation":"1"}]}"#)
                    message.subject += end
                    return try await play.client.ask(message)
                }
                #expect(try await remove("a", ".alice")["outcome"].text == "accepted")
                #expect(try await remove("b", "")["outcome"].text == "accepted")
                let removals = try await play.client.query("registry.removals")["removals"].items
                #expect(removals.map { $0["actor"].text }.sorted() == ["operator:alice", "service:checkout"])
                let told = try await Self.trail(play, #"{"actions":["registry"]}"#)
                #expect(told.map { $0["object"].text } == ["a"])
                // A heartbeat has no administrator, and a token must be one.
                var beat = try play.client.event(.heartbeat, "checkout", Client.heartbeats("checkout", ["a"]))
                beat.subject += ".alice"
                #expect(try await play.client.ask(beat)["outcome"].text == "rejected")
                #expect(try await remove("a", ".%2")["outcome"].text == "rejected")
            }
        }

        @Test func `both nodes of a stream tell who asked them, once each`() async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                try await JetStreamAdministrationOf(client).ensure("MESH")
                let one = try await stage.node(in: "one", stream: "MESH") { $0.tickInterval = .milliseconds(50) }
                let two = try await stage.node(in: "two", stream: "MESH") { $0.tickInterval = .milliseconds(50) }
                let place = try await Self.captureOne(client)
                for _ in 0..<6 {
                    let asked = #"{"sequence":"1","min_sequence":"\#(place)"}"#
                    _ = try await client.query("mirror.captures.alice", asked)
                }
                let isThere = try await eventually {
                    try one.records(.contentsRead).count == 6 && two.records(.contentsRead).count == 6
                }
                #expect(isThere)
                let records = try one.records(.contentsRead)
                #expect(try two.records(.contentsRead).map(\.sequence) == records.map(\.sequence))
            }
        }
    }
}
