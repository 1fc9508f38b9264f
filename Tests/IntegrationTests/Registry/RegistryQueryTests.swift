// Every question over NATS, in both encodings, now and in the past, and what a wrong question is told.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Testing

extension `A node` {
    @Suite(.serialized) struct `asked about the registry` {
        /// Two regions, one failing instance, some load.
        private static func mesh(_ client: Client) async throws {
            let batch =
                #"{"service_name":"s","events":["#
                + #"{"instance_id":"a","endpoint":"10.0.0.1:80","region":"eu","zone":"eu-1","weight":100},"#
                + #"{"instance_id":"b","endpoint":"10.0.0.2:80","region":"eu","zone":"eu-2","weight":300},"#
                + #"{"instance_id":"c","endpoint":"10.0.0.3:80","region":"us","zone":"us-1","weight":200}]}"#
            _ = try await client.tell(.registered, "s", batch)
            let failing = #"{"service_name":"s","events":[{"instance_id":"b","healthy":false,"last_check":"1"}]}"#
            _ = try await client.tell(.healthReported, "s", failing)
            let load = #"{"service_name":"s","events":[{"instance_id":"a","active_connections":9}]}"#
            _ = try await client.tell(.loadReported, "s", load)
        }

        @Test(arguments: Encoding.allCases)
        func `resolves by region, health and weight, with the position it is true for`(
            _ encoding: Encoding
        ) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await Self.mesh(client)
                let answer = try await client.query("registry.resolve", #"{"service_name":"s"}"#, as: encoding)
                #expect(answer["instances"].items.map { $0["instance_id"].text } == ["a", "c"])
                #expect(answer["as_of"]["sequence"].number == Int(node.node.appliedSequence.rawValue))
                #expect(answer["as_of"]["recorded_at"].number > 0)
                #expect(try await client.ids("s", #","region":"eu","healthy_only":false"#) == ["a", "b"])
                #expect(try await client.ids("s", #","min_weight":150"#) == ["c"])
                let limited = try await client.query(
                    "registry.resolve", #"{"service_name":"s","limit":1}"#, as: encoding)
                #expect(limited["omitted"].number == 1)
                #expect(try await client.ids("nobody").isEmpty)
            }
        }

        @Test(arguments: Encoding.allCases, SelectionStrategy.allCases)
        func `selects, and gives the same choice again for the echoed seed and cursor`(
            _ encoding: Encoding, _ strategy: SelectionStrategy
        ) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await Self.mesh(client)
                let question = #"{"service_name":"s","strategy":"\#(strategy.name)""#
                let first = try await client.query("registry.select", question + "}", as: encoding)
                #expect(first["candidates"].items.map(\.text) == ["a", "c"])
                #expect(["a", "c"].contains(first["instance"]["instance_id"].text))
                if strategy == .leastConnections { #expect(first["instance"]["instance_id"].text == "c") }
                // The answer's cursor is that of the next selection.
                let more = #","seed":"\#(first["seed"].text)","cursor":"\#(max(0, first["cursor"].number - 1))"}"#
                let again = try await client.query("registry.select", question + more, as: encoding)
                #expect(again["instance"]["instance_id"].text == first["instance"]["instance_id"].text)
                #expect(again["seed"].text == first["seed"].text)
            }
        }

        @Test func `takes turns for those who bring no cursor`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await Self.mesh(client)
                var chosen: [String] = []
                for _ in 0..<4 {
                    let question = #"{"service_name":"s","strategy":"round_robin"}"#
                    chosen.append(try await client.query("registry.select", question)["instance"]["instance_id"].text)
                }
                #expect(chosen == ["c", "a", "c", "c"], "the weights are 100 and 200")
            }
        }

        @Test(arguments: Encoding.allCases)
        func `answers instance, failover candidates, services, topology, removals and digest`(
            _ encoding: Encoding
        ) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await Self.mesh(client)
                let instance = try await client.query("registry.instance", #"{"instance_id":"b"}"#, as: encoding)
                #expect(instance["instances"][0]["endpoint"].text == "10.0.0.2:80")
                let failover = try await client.query(
                    "registry.failover_candidates", #"{"service_name":"s","exclude_regions":["us"]}"#, as: encoding)
                #expect(failover["instances"].items.map { $0["instance_id"].text } == ["a", "b"])
                let services = try await client.query("registry.services", as: encoding)["services"]
                #expect(services.items.map { $0["service_name"].text } == ["s"])
                #expect(services[0]["instances"].number == 3)
                #expect(services[0]["healthy"].number == 2)
                #expect(services[0]["zones"].items.isEmpty)
                let topology = try await client.query("registry.topology", as: encoding)["services"][0]
                #expect(topology["zones"].items.map { $0["zone"].text } == ["eu-1", "eu-2", "us-1"])
                #expect(try await client.query("registry.removals", as: encoding)["removals"].items.isEmpty)
                let digest = try await client.query("registry.digest", as: encoding)["machines"][0]
                let own = await node.node.digests().machines.first { $0.machine == digest["machine"].text }
                #expect(digest["digest"].text == own?.digest.description)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `names who is stale`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                try await stage.node(clock: clock) { $0.registry.staleAfter = .seconds(2) }
                let client = try await stage.client()
                try await client.register("s", ["a", "b"])
                clock.advance(.seconds(3))
                _ = try await client.tell(.heartbeat, "s", Client.heartbeats("s", ["a"]))
                let stale = try await client.query("registry.stale_instances", #"{"service_name":"s"}"#, as: encoding)
                #expect(stale["instances"].items.map { $0["instance_id"].text } == ["b"])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `answers status and digest of the node`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                let node = try await stage.node { $0.version = "1.2.3" }
                let client = try await stage.client()
                try await Self.mesh(client)
                let status = try await client.query("node.status", as: encoding)
                #expect(status["node_id"].text == node.node.id)
                #expect(status["version"].text == "1.2.3")
                #expect(status["mode"].text == "core")
                #expect(status["leader"].isTrue)
                #expect(status["leader_id"].text == node.node.id)
                #expect(status["leader_epoch"].number == 1)
                #expect(status["intake"].text == "ok")
                #expect(status["first_sequence"].number == 1)
                #expect(status["durable_sequence"].text == status["as_of"]["sequence"].text)
                let digest = try await client.query("node.digest", as: encoding)
                #expect(
                    digest["machines"].items.map { $0["machine"].text } == [
                        "admission", "mirror", "registry", "tracing",
                    ])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `tells an outcome afterwards, recent or older than its ledger`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                let batch = try client.event(.heartbeat, "s", Client.heartbeats("s", ["nobody", "a"]), as: .protobuf)
                let told = try await client.ask(batch)
                let question = #"{"sequence":"\#(told["sequence"].text)"}"#
                let recent = try await client.query("node.outcome", question, as: encoding)
                let members = ["sequence", "recorded_at", "outcome", "accepted", "refused"]
                #expect(members.allSatisfy { recent[$0].description == told[$0].description } || encoding == .protobuf)
                // Whose record it is, for whoever has to tell it from another one.
                #expect(recent["subject"].text.hasSuffix("registry.s.heartbeat"))
                #expect(recent["refused"][0]["reason"].text == "unknown_instance")
                // The ledger keeps 16,384; behind them the outcome is worked out anew from the log.
                let beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                try client.bus.publish(contentsOf: Array(repeating: beat, count: 16_500))
                try await node.waitUntilApplied(UInt64(told["sequence"].number) + 16_500)
                let old = try await client.query("node.outcome", question, as: encoding)
                #expect(old.description == recent.description)
                let missing = try await client.query("node.outcome", #"{"sequence":"999999"}"#, as: encoding)
                #expect(missing["code"].text == "not_found")
                let nothing = try await client.query("node.outcome", "{}", as: encoding)
                #expect(nothing["code"].text == "invalid_argument")
            }
        }

        @Test func `waits for a client's own writes, and says not_yet when they do not come`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node { $0.queryTimeout = .milliseconds(300) }
                let client = try await stage.client()
                let next = node.node.appliedSequence.rawValue + 1
                let question = #"{"service_name":"s","min_sequence":"\#(next)"}"#
                let late = try await client.raw("registry.resolve", question)
                #expect(late.header("Nats-Service-Error-Code") == "425")
                let error = try JSON(late, .errorAnswer)
                #expect(error["code"].text == "not_yet")
                #expect(error["sequence"].number == Int(next) - 1)
                async let waiting = client.query("registry.resolve", question)
                try await client.register("s", ["a"])
                let own = try await client.query("registry.resolve", question)
                #expect(own["instances"].items.count == 1)
                _ = try await waiting
            }
        }

        @Test func `answers the past with the same bytes, whatever came after and after a restart`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                var node = try await stage.node(clock: clock)
                let client = try await stage.client()
                try await Self.mesh(client)
                let sequence = node.node.appliedSequence.rawValue
                let time = clock.now.rawValue
                clock.advance(.seconds(1))
                _ = try await client.register("other", ["x"])
                let questions = ["registry.resolve", "registry.select", "registry.topology", "node.digest"].flatMap {
                    name in
                    [#""at_sequence":"\#(sequence)""#, #""at_time":"\#(time)""#].map { position in
                        (name, name == "node.digest" ? "{\(position)}" : #"{"service_name":"s",\#(position)}"#)
                    }
                }
                let first = try await Self.answers(client, questions)
                #expect(first[0] == first[1], "the sequence and its time are the same position")
                let beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                try client.bus.publish(contentsOf: Array(repeating: beat, count: 1_000))
                try await node.waitUntilApplied(sequence + 1_001)
                await node.node.checkpoint()
                #expect(try await Self.answers(client, questions) == first)
                await node.stop()
                node = try await stage.node(clock: clock)
                #expect(try await Self.answers(client, questions) == first)
            }
        }

        private static func answers(_ client: Client, _ questions: [(String, String)]) async throws -> [[UInt8]] {
            var answers: [[UInt8]] = []
            for (name, question) in questions {
                let answer = try await client.raw(name, question, as: .protobuf)
                #expect(answer.header("Nats-Service-Error") == nil)
                answers.append(answer.payload)
            }
            return answers
        }

        @Test func `does not answer the future`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let last = node.node.appliedSequence.rawValue
                let question = #"{"service_name":"s","at_sequence":"\#(last + 1_000)"}"#
                let error = try await client.query("registry.resolve", question)
                #expect(error["code"].text == "not_yet")
                #expect(error["sequence"].text == "\(last)")
            }
        }

        @Test(arguments: [
            ("registry.frobnicate", "{}", "unknown_query", "404"),
            ("traces.search", "{}", "unknown_query", "404"),
            ("registry.resolve.more", "{}", "unknown_query", "404"),
            ("registry.resolve", "{}", "invalid_argument", "400"),
            ("registry.resolve", "{", "invalid_argument", "400"),
            ("registry.resolve", #"{"service_nam":"s"}"#, "invalid_argument", "400"),
            ("registry.resolve", "\u{1}\u{2}\u{3}", "invalid_argument", "400"),
            ("registry.select", #"{"service_name":"nobody"}"#, "not_found", "404"),
            ("registry.select", #"{"service_name":"s","strategy":99}"#, "invalid_argument", "400"),
            ("registry.instance", #"{"instance_id":"nobody"}"#, "not_found", "404"),
            ("node.status", #"{"at_sequence":"1"}"#, "invalid_argument", "400"),
        ])
        func `tells what is wrong with a question, in the body and in the headers`(
            _ question: (name: String, body: String, code: String, number: String)
        ) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let message = Message(
                    subject: "lattice.queries.\(question.name)", payload: Array(question.body.utf8))
                let answer = try await client.bus.request(message, timeout: .seconds(10))
                let error = try JSON(answer, .errorAnswer)
                #expect(error["code"].text == question.code)
                #expect(!error["message"].text.isEmpty)
                #expect(answer.header("Nats-Service-Error-Code") == question.number)
                #expect(answer.header("Nats-Service-Error")?.isEmpty == false)
            }
        }

        @Test func `tells who asks for more than a message can hold, and answers the next`() async throws {
            try await Stage.with(serverConfiguration: "max_payload: 65536\n") { stage in
                try await stage.node()
                let client = try await stage.client()
                for batch in 0..<4 {
                    try await client.register("s", (0..<400).map { "instance-\(batch)-\($0)" })
                }
                let answer = try await client.raw("registry.resolve", #"{"service_name":"s"}"#)
                #expect(answer.header("Nats-Service-Error-Code") == "400")
                #expect(try JSON(answer, .errorAnswer)["message"].text.contains("limit"))
                #expect(try await client.ids("s", #","limit":3"#).count == 3)
            }
        }

        @Test func `turns away whoever waits when too many wait, and keeps none waiting at its end`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node { $0.queryTimeout = .seconds(600) }
                let client = try await stage.client()
                let ear = try await client.listen("_INBOX.crowd")
                let question = Message(
                    subject: "lattice.queries.registry.resolve", replyTo: "_INBOX.crowd",
                    payload: Array(#"{"service_name":"s","min_sequence":"999999"}"#.utf8))
                try client.bus.publish(contentsOf: Array(repeating: question, count: 5_000))
                #expect(try JSON(try await ear.next(), .errorAnswer)["code"].text == "overloaded")
                await node.stop()
                var codes: [String: Int] = [:]
                for _ in 1..<5_000 { codes[try JSON(try await ear.next(), .errorAnswer)["code"].text, default: 0] += 1 }
                #expect(codes == ["overloaded": 903, "not_yet": 4_096])
            }
        }
    }
}
