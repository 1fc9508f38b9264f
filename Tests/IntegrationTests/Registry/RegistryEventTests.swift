// Every kind of registry event over NATS, in both encodings, with the reply its publisher gets.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Testing

extension `A node` {
    @Suite(.serialized) struct `told of events` {
        @Test(arguments: Encoding.allCases)
        func `accepts a registration and replies where it went in the log`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let text = Client.registration("checkout", ["a", "b"])
                let reply = try await client.tell(.registered, "checkout", text, as: encoding)
                #expect(reply["outcome"].text == "accepted")
                #expect(reply["accepted"].number == 2)
                #expect(reply["recorded_at"].number > 0)
                #expect(reply["sequence"].number == Int(node.node.appliedSequence.rawValue))
                #expect(try await client.ids("checkout") == ["a", "b"])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `answers in the encoding it was told in`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let event = try client.event(.registered, "s", Client.registration("s", ["a"]), as: encoding)
                let reply = try await client.bus.request(event, timeout: .seconds(10))
                #expect((reply.header("Content-Type") == "application/json") == (encoding == .json))
                #expect((reply.payload.first == UInt8(ascii: "{")) == (encoding == .json))
            }
        }

        @Test(arguments: Encoding.allCases)
        func `replies to the inbox of the header Lattice-Reply`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let reply = try await client.tell(
                    .registered, "s", Client.registration("s", ["a"]), as: encoding, byHeader: true)
                #expect(reply["outcome"].text == "accepted")
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes heartbeats of the registered and refuses the others with index and reason`(
            _ encoding: Encoding
        ) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a", "b"])
                let reply = try await client.tell(
                    .heartbeat, "s", Client.heartbeats("s", ["a", "nobody", "b"]), as: encoding)
                #expect(reply["outcome"].text == "accepted")
                #expect(reply["accepted"].number == 2)
                #expect(reply["refused"].items.count == 1)
                #expect(reply["refused"][0]["index"].number == 1)
                #expect(reply["refused"][0]["reason"].text == "unknown_instance")
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes a deregistration of the right incarnation only`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"], incarnation: 5)
                let gone = { (incarnation: Int) in
                    #"{"service_name":"s","events":[{"instance_id":"a","incarnation":"\#(incarnation)","reason":"bye"}]}"#
                }
                let stale = try await client.tell(.deregistered, "s", gone(4), as: encoding)
                #expect(stale["outcome"].text == "refused")
                #expect(stale["reason"].text == "stale_incarnation")
                let ahead = try await client.tell(.deregistered, "s", gone(6), as: encoding)
                #expect(ahead["reason"].text == "incarnation_mismatch")
                #expect(try await client.ids("s") == ["a"])
                let right = try await client.tell(.deregistered, "s", gone(5), as: encoding)
                #expect(right["outcome"].text == "accepted")
                #expect(try await client.ids("s").isEmpty)
                let removal = try await client.query("registry.removals", #"{"instance_id":"a"}"#)["removals"][0]
                #expect(removal["kind"].text == "deregistered")
                #expect(removal["reason"].text == "bye")
                #expect(removal["actor"].text == "service:s")
                #expect(removal["sequence"].text == right["sequence"].text)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes health reports and leaves the failing out`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a", "b"])
                let report =
                    #"{"service_name":"s","events":[{"instance_id":"a","healthy":false,"reason":"500","#
                    + #""latency_ns":"7000000","last_check":"1768478407000000000"},"#
                    + #"{"instance_id":"b","healthy":true,"latency_ns":"-1","last_check":"1"}]}"#
                let reply = try await client.tell(.healthReported, "s", report, as: encoding)
                #expect(reply["accepted"].number == 1)
                #expect(reply["refused"][0]["reason"].text == "negative_latency")
                #expect(try await client.ids("s") == ["b"])
                #expect(try await client.ids("s", #","healthy_only":false"#) == ["a", "b"])
                let status = try await client.query("registry.instance", #"{"instance_id":"a"}"#)["instances"][0]
                #expect(status["health"].text == "unhealthy")
                #expect(status["health_status"]["latency_ns"].text == "7000000")
                #expect(status["health_status"]["consecutive_failures"].number == 1)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes load reports and adds up who counts what`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                for (reporter, count) in [("g1", 3), ("g2", 4)] {
                    let load =
                        #"{"service_name":"s","events":[{"instance_id":"a","reporter":"\#(reporter)","#
                        + #""active_connections":\#(count)}]}"#
                    let reply = try await client.tell(.loadReported, "s", load, as: encoding)
                    #expect(reply["outcome"].text == "accepted")
                }
                let instance = try await client.query("registry.instance", #"{"instance_id":"a"}"#)["instances"][0]
                #expect(instance["active_connections"].number == 7)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `evicts in a health sweep once the start is long enough ago`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                try await stage.node(clock: clock) { $0.registry.staleAfter = .seconds(1) }
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "c"])
                let sweep =
                    #"{"service_name":"s","evict_threshold":3,"events":[{"instance_id":"a","healthy":false,"#
                    + #""consecutive_failures":3,"last_check":"1768478407000000000"}]}"#
                let early = try await client.tell(.healthSwept, "s", sweep, as: encoding)
                #expect(early["consequences"].items.isEmpty, "a node that has just come back evicts nobody")
                clock.advance(.seconds(3))
                let reply = try await client.tell(.healthSwept, "s", sweep, as: encoding)
                #expect(reply["outcome"].text == "accepted")
                #expect(reply["consequences"][0]["instance_id"].text == "a")
                #expect(reply["consequences"][0]["reason"].text == "health_sweep")
                #expect(try await client.ids("s", #","healthy_only":false"#) == ["b", "c"])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `records which instance a balancer chose`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let chosen =
                    #"{"service_name":"s","events":[{"candidates":["a","b"],"chosen":"a","#
                    + #""strategy":"ROUND_ROBIN","as_of_sequence":"7"}]}"#
                let reply = try await client.tell(.instanceSelected, "s", chosen, as: encoding)
                #expect(reply["outcome"].text == "accepted")
                #expect(reply["accepted"].number == 1)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes policy of a principal and refuses what is out of range`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let good = try await client.tell(
                    .registryConfigured, "alice", #"{"allow_loopback":true,"reason":"laptop"}"#, as: encoding)
                #expect(good["outcome"].text == "accepted")
                let bad = try await client.tell(
                    .registryConfigured, "alice", #"{"panic_basis_points":10001}"#, as: encoding)
                #expect(bad["outcome"].text == "refused")
                #expect(bad["reason"].text == "invalid_setting")
                let unknown = try await client.tell(
                    .guardReleased, "alice", #"{"service_name":"nobody"}"#, as: encoding)
                #expect(unknown["reason"].text == "unknown_service")
                let loopback =
                    #"{"service_name":"s","events":[{"instance_id":"l","endpoint":"127.0.0.1:80"}]}"#
                #expect(try await client.tell(.registered, "s", loopback)["outcome"].text == "accepted")
                let released = try await client.tell(.guardReleased, "alice", #"{"service_name":"s"}"#, as: encoding)
                #expect(released["outcome"].text == "accepted")
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes events of the clock family and refuses a stale claim`(_ encoding: Encoding) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                #expect(try await client.tell(.tick, "", #"{"slot":"9"}"#, as: encoding)["outcome"].text == "accepted")
                let gap = #"{"node_id":"n","reason":"test","dropped_count":"3"}"#
                _ = try await client.tell(.intakeGap, "", gap, as: encoding)
                #expect(try await client.status()["gaps"].text == "1")
                let claim = try await client.tell(
                    .leadershipClaimed, "", #"{"node_id":"n","epoch":"1"}"#, as: encoding)
                #expect(claim["outcome"].text == "refused")
                #expect(claim["reason"].text == "stale_epoch")
            }
        }

        @Test func `says which registrations replaced an earlier one`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["b"])
                let reply = try await client.register("s", ["a", "b"], incarnation: 2)
                #expect(reply["replaced"].items.map(\.number) == [1])
                let old = try await client.register("s", ["b"], incarnation: 1)
                #expect(old["outcome"].text == "refused")
                #expect(old["refused"][0]["reason"].text == "stale_incarnation")
            }
        }

        @Test func `stops at the first refused registration when asked to`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let batch =
                    #"{"service_name":"s","fail_fast":true,"events":[{"instance_id":"a","endpoint":"10.0.0.1:1"},"#
                    + #"{"instance_id":"b","endpoint":"169.254.169.254:80"},{"instance_id":"c","endpoint":"10.0.0.3:1"}]}"#
                let reply = try await client.tell(.registered, "s", batch)
                #expect(reply["accepted"].number == 1)
                #expect(
                    reply["refused"].items.map { "\($0["index"].number) \($0["reason"].text)" }
                        == ["1 invalid_endpoint", "2 not_attempted"])
                #expect(try await client.ids("s") == ["a"])
            }
        }

        @Test func `tells a repeated message id with the first sequence, and applies it once`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let text = Client.registration("s", ["a"])
                let first = try await client.tell(.registered, "s", text, id: "once")
                let again = try await client.tell(.registered, "s", text, id: "once")
                #expect(again["outcome"].text == "duplicate")
                #expect(again["first_sequence"].text == first["sequence"].text)
                #expect(again["replaced"].items.isEmpty)
                #expect(try await client.status()["duplicate_messages"].text == "1")
            }
        }

        @Test func `gives notice of the service that changed, and of no other`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let ear = try await client.listen("lattice.changes.registry.>")
                try await client.register("other", ["x"])
                #expect(try await ear.next().subject == "lattice.changes.registry.other")
                let first = try await client.register("checkout", ["a"])
                _ = try await client.tell(.heartbeat, "checkout", Client.heartbeats("checkout", ["a"]))
                let second = try await client.register("name with.dots", ["b"])
                let notices = [try await ear.next(), try await ear.next()]
                #expect(
                    notices.map(\.subject) == [
                        "lattice.changes.registry.checkout", "lattice.changes.registry.name%20with%2Edots",
                    ])
                let told = try notices.map { try JSON($0, .changeNotice) }
                #expect(told.map { $0["service_name"].text } == ["checkout", "name with.dots"])
                #expect(told.map { $0["sequence"].text } == [first["sequence"].text, second["sequence"].text])
                #expect(try ear.heard().isEmpty)
            }
        }

        @Test func `answers a thousand publishers at once, each once`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                let beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                let sequences = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<1_000 {
                        group.addTask { try await client.ask(beat)["sequence"].number }
                    }
                    return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
                }
                #expect(sequences.count == 1_000)
                #expect(Int(node.node.appliedSequence.rawValue) == sequences.max())
            }
        }
    }
}
