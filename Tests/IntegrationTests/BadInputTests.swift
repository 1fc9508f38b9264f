// What makes no sense: it is told to whoever sent it and to whoever watches, counted, and never stops the node.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `told nonsense` {
        /// A message that must not enter the log.
        struct Nonsense: Sendable, CustomTestStringConvertible {
            var subject: String
            var payload: [UInt8]
            /// What the reason begins with.
            var reason: String

            init(_ subject: String, _ payload: [UInt8], _ reason: String) {
                self.subject = "lattice.events." + subject
                self.payload = payload
                self.reason = reason
            }

            init(_ subject: String, _ text: String, _ reason: String) {
                self.init(subject, Array(text.utf8), reason)
            }

            var testDescription: String { "\(subject): \(reason)" }
        }

        private static let secret = "hunter2-must-not-leak"

        private static func nested(_ depth: Int) -> String {
            #"{"service_name":"s","x":"# + String(repeating: "[", count: depth) + "\"\(secret)\""
                + String(repeating: "]", count: depth) + "}"
        }

        private static let rejected: [Nonsense] = [
            Nonsense("registry.s.registered", [UInt8]([0xFF, 0xFF, 0xFF]) + Array(secret.utf8), "malformed"),
            Nonsense("registry.s.registered", "{\"service_name\": \(secret)", "malformed"),
            Nonsense("registry.s.registered", #"{"service_name":"s","\#(secret)":1}"#, "unknown_field"),
            Nonsense("registry.s.registered", [UInt8](), "missing"),
            Nonsense("registry.s.registered", "{}", "missing"),
            Nonsense("registry.s.registered", #"{"service_name":"s","events":[{"endpoint":"\#(secret)"}]}"#, "missing"),
            Nonsense("registry.s.registered", nested(200), ""),
            Nonsense("registry.s.registered", nested(60_000), ""),
            Nonsense("registry.s.registered", [0x0A, 0x02, 0xC3, 0x28] + Array(secret.utf8), ""),
            Nonsense("registry.s.heartbeat", Array(secret.utf8), "malformed"),
            Nonsense("registry.s.registered", Client.registration("other", [secret]), "wrong_owner"),
            Nonsense("registry.S.registered", Client.registration("s", [secret]), "wrong_owner"),
            Nonsense("registry.s.exploded", Client.registration("s", [secret]), "unknown_event_type"),
            Nonsense("registry.s.tick", Client.registration("s", [secret]), "unknown_event_type"),
            Nonsense("registry.registered", Client.registration("s", [secret]), "wrong_subject"),
            Nonsense("registry.s.t.registered", Client.registration("s", [secret]), "unknown_event_type"),
            Nonsense("registry.a%zzb.registered", Client.registration("s", [secret]), "wrong_subject"),
            Nonsense("registry.a%62.registered", Client.registration("ab", [secret]), "wrong_subject"),
            Nonsense("clock.x.tick", secret, "wrong_subject"),
            Nonsense("clock.ticks", secret, "unknown_event_type"),
            Nonsense("policy.alice.coup", secret, "unknown_event_type"),
            Nonsense("policy.alice.registry_configured", #"{"stale_after_ns":"\#(secret)"}"#, "malformed"),
            Nonsense(
                "registry.s.instance_selected",
                #"{"service_name":"s","events":[{"chosen":"\#(secret)","strategy":77}]}"#, "unknown_enum_value"),
            Nonsense(
                "registry.s.instance_selected",
                #"{"service_name":"s","events":[{"chosen":"a","strategy":"\#(secret)"}]}"#, ""),
            Nonsense(
                "registry.s.registered",
                Client.registration("s", [secret + String(repeating: "x", count: 1_000_000)]), "too_long"),
            Nonsense(
                "registry.s.registered",
                #"{"service_name":"s","events":[{"instance_id":"a","endpoint":"10.0.0.1:80","weight":-1}]}"#, ""),
        ]

        @Test(arguments: rejected)
        func `rejects it, says why on both ways, and does not repeat it`(_ nonsense: Nonsense) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let ear = try await client.listen("lattice.rejected")
                let before = node.node.appliedSequence
                let reply = try await client.bus.request(
                    Message(subject: nonsense.subject, payload: nonsense.payload), timeout: .seconds(10))
                let told = try JSON(reply, .outcomeAnswer)
                #expect(told["outcome"].text == "rejected")
                #expect(told["reason"].text.hasPrefix(nonsense.reason), "\(told)")
                #expect(!told["reason"].text.isEmpty)
                let notice = try await ear.next()
                let rejection = try JSON(notice, .rejection)
                #expect(rejection["subject"].text == nonsense.subject)
                #expect(rejection["reason"].text == told["reason"].text)
                #expect(rejection["size"].number == nonsense.payload.count)
                #expect(rejection["fingerprint"].text == Digest.of(nonsense.payload).description)
                for message in [reply, notice] {
                    #expect(!String(decoding: message.payload, as: UTF8.self).contains(Self.secret))
                }
                #expect(try await client.status()["rejected_messages"].text == "1")
                #expect(node.node.appliedSequence == before, "it never enters the log")
                #expect(try await client.register("s", ["a"])["outcome"].text == "accepted")
            }
        }

        @Test(arguments: ["mirror.s.captured", "trace.s.spans"])
        func `rejects captures and spans that are none`(_ subject: String) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let message = Message(subject: "lattice.events." + subject, payload: [1, 2, 3])
                let reply = try await client.ask(message)
                #expect(reply["reason"].text.hasPrefix("malformed"), "\(reply)")
                #expect(try await client.register("s", ["a"])["outcome"].text == "accepted")
            }
        }

        @Test func `is not there for families that nobody knows`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let message = Message(subject: "lattice.events.fashion.s.changed", payload: [])
                do {
                    _ = try await client.bus.request(message, timeout: .seconds(5))
                    Issue.record("somebody answered")
                } catch let error as BusError {
                    #expect(error.code == .noResponders)
                }
            }
        }

        @Test func `rejects messages over its own limit though the server takes them`() async throws {
            try await Stage.with(serverConfiguration: "max_payload: 8388608\n") { stage in
                try await stage.node()
                let client = try await stage.client()
                let payload = [UInt8](repeating: 0x20, count: Limits.messageBytes + 1)
                let reply = try await client.ask(
                    Message(subject: "lattice.events.registry.s.registered", payload: payload))
                #expect(reply["outcome"].text == "rejected")
                #expect(reply["reason"].text == "message_too_large")
                let longID = String(repeating: "i", count: 300)
                let withID = try await client.tell(.registered, "s", Client.registration("s", ["a"]), id: longID)
                #expect(withID["reason"].text == "too_long: Nats-Msg-Id")
                #expect(try await client.register("s", ["a"])["outcome"].text == "accepted")
            }
        }

        @Test(arguments: [
            (#""instance_id":"x","endpoint":"10.0.0.1:80","weight":1001"#, "weight_out_of_range"),
            (#""instance_id":"x","endpoint":"10.0.0.1:80","weight":4294967295"#, "weight_out_of_range"),
            (#""instance_id":"x","endpoint":"10.0.0.1:80","occurred_at":"9223372036854775807""#, "time_ahead"),
            (#""instance_id":"x","endpoint":"169.254.169.254:80""#, "invalid_endpoint"),
            (#""instance_id":"x","endpoint":"127.0.0.1:80""#, "invalid_endpoint"),
            (#""instance_id":"x","endpoint":"no port""#, "invalid_endpoint"),
        ])
        func `refuses what it understands and does not want, by index, and takes the rest`(
            _ event: (fields: String, reason: String)
        ) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let batch =
                    #"{"service_name":"s","events":[{"instance_id":"a","endpoint":"10.0.0.1:80"},{\#(event.fields)},"#
                    + #"{"instance_id":"b","endpoint":"10.0.0.2:80"}]}"#
                for encoding in Encoding.allCases {
                    let reply = try await client.tell(.registered, "s", batch, as: encoding)
                    #expect(reply["outcome"].text == "accepted")
                    #expect(reply["accepted"].number == 2)
                    #expect(reply["refused"].items.map { $0["index"].number } == [1])
                    #expect(reply["refused"][0]["reason"].text == event.reason)
                }
                #expect(try await client.ids("s") == ["a", "b"])
                #expect(try await client.status()["refused_events"].text == "2")
            }
        }

        @Test func `does not take a check of next week`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                let ahead =
                    #"{"service_name":"s","events":[{"instance_id":"a","healthy":false,"#
                    + #""last_check":"9223372036854775807"}]}"#
                #expect(try await client.tell(.healthReported, "s", ahead)["reason"].text == "time_ahead")
                #expect(try await client.ids("s") == ["a"])
            }
        }

        @Test(arguments: ["a.b c", "ü/ö", "%41", "*", ">", "a%2Eb", "日本"])
        func `takes any name as a service, escaped in the subject`(_ name: String) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let reply = try await client.register(name, ["a"])
                #expect(reply["outcome"].text == "accepted")
                #expect(try await client.ids(name) == ["a"])
                let services = try await client.query("registry.services")["services"]
                #expect(services.items.map { $0["service_name"].text } == [name])
            }
        }

        @Test func `sends outcomes to inboxes only, and one that can not be sent holds up no other`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let everything = try await client.listen("lattice.queries.>")
                let administration = try await client.listen("$JS.>")
                let inbox = try await client.listen("_INBOX.mine")
                let event = try client.event(.registered, "s", Client.registration("s", ["a"]), as: .json)
                var messages: [Message] = []
                for subject in [
                    "two words", "wild.*", "", "..", "$JS.API.STREAM.DELETE.X", "lattice.queries.node.status",
                    "lattice.events.registry.s.registered", "_INBOX.mine",
                ] {
                    var message = event
                    message.headers = [MessageHeader("Lattice-Reply", subject)]
                    messages.append(message)
                }
                try client.bus.publish(contentsOf: messages)
                let reply = try JSON(try await inbox.next(), .outcomeAnswer)
                #expect(reply["outcome"].text == "accepted")
                #expect(try await client.ids("s") == ["a"])
                // The question of `ids` itself is heard.
                #expect(try everything.heard().map(\.subject) == ["lattice.queries.registry.resolve"])
                #expect(try administration.heard().isEmpty)
                #expect(try await client.status()["rejected_messages"].number == 0)
            }
        }

        @Test func `tells a bounded number of rejections a second, and counts all`() async throws {
            try await Stage.with { stage in
                try await stage.node(clock: TestClock())
                let client = try await stage.client()
                let ear = try await client.listen("lattice.rejected")
                let nonsense = Message(subject: "lattice.events.registry.s.registered", payload: [0xFF])
                try client.bus.publish(contentsOf: Array(repeating: nonsense, count: 1_000))
                let counted = try await eventually {
                    try await client.status()["rejected_messages"].number == 1_000
                }
                #expect(counted)
                for _ in 0..<200 { _ = try await ear.next() }
                _ = try await client.status()
                #expect(try ear.heard().isEmpty)
            }
        }

        @Test func `takes a random flood without harm and goes on`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                var dice = SystemRandomNumberGenerator()
                let kinds = EventType.allCases
                for _ in 0..<2_000 {
                    let kind = kinds.randomElement(using: &dice) ?? .registered
                    let count = Int.random(in: 0..<200, using: &dice)
                    var payload = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &dice) }
                    if Bool.random(using: &dice) { payload = [0x0A, 0x01, UInt8(ascii: "s")] + payload }
                    try client.bus.publish(Message(subject: client.subject(kind, "s"), payload: payload))
                }
                #expect(try await client.register("s", ["still-here"])["outcome"].text == "accepted")
                let digest = await node.digest()
                await node.stop()
                // Whatever of it was taken is taken the same way again.
                let again = try await stage.node()
                let question = #"{"at_sequence":"\#(digest.prefix { $0 != " " })"}"#
                let past = try await client.query("node.digest", question)
                #expect(past["machines"].items.allSatisfy { digest.contains($0["digest"].text) })
                await again.stop()
            }
        }
    }
}
