// The registry as its customers see it: events and queries over a real nats-server.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

@Suite struct `The registry over NATS` {
    private func withMesh(_ body: (RunningMesh) async throws -> Void) async throws {
        let mesh = try await RunningMesh.open()
        do {
            try await body(mesh)
        } catch {
            await mesh.close()
            throw error
        }
        await mesh.close()
    }

    @Test func `a registration is accepted, durable and resolvable`() async throws {
        try await withMesh { mesh in
            let outcome = try await mesh.register("a")
            #expect(outcome.outcome == "accepted" && outcome.accepted == 1)
            let answer = try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#)
            #expect(answer.ids == ["a"])
            #expect(UInt64(answer.as_of?.sequence ?? "") ?? 0 >= UInt64(outcome.sequence ?? "") ?? .max)
            #expect(mesh.node.reader.lastDurableSequence.rawValue >= UInt64(outcome.sequence ?? "") ?? .max)
        }
    }

    @Test func `protobuf in gets protobuf out`() async throws {
        try await withMesh { mesh in
            let event = Event.registry(
                .registered(
                    Registered(
                        serviceName: "checkout",
                        events: [Registration(instanceID: "p", endpoint: "127.0.0.1:81", incarnation: 7)])))
            let facts = try #require(EventCodec.encode(event)).facts
            let reply = try await mesh.client.request(
                Message(subject: "lattice.events.registry.checkout.registered", payload: facts), timeout: .seconds(5))
            #expect(reply.payload.first != UInt8(ascii: "{"))
            var query = RegistryQuery()
            query.serviceName = "checkout"
            let answer = try await mesh.client.request(
                Message(subject: "lattice.queries.registry.resolve", payload: query.encode()), timeout: .seconds(5))
            let json = try JSONTranscoder.json(fromBinary: answer.payload, kind: .instancesAnswer)
            #expect(String(decoding: json, as: UTF8.self).contains(#""incarnation":"7""#))
        }
    }

    @Test func `a second registration says that it replaced the first`() async throws {
        try await withMesh { mesh in
            try await mesh.register("a")
            #expect(try await mesh.register("a").replaced == [0])
        }
    }

    @Test func `refusals name index and reason`() async throws {
        try await withMesh { mesh in
            try await mesh.register("a")
            let outcome = try await mesh.publish(
                "registry.checkout.heartbeat",
                #"{"service_name":"checkout","events":[{"instance_id":"a"},{"instance_id":"nobody"}]}"#)
            #expect(outcome.outcome == "accepted" && outcome.accepted == 1)
            #expect(outcome.refused?.first?.index == 1 && outcome.refused?.first?.reason == "unknown_instance")
            let all = try await mesh.publish(
                "registry.checkout.heartbeat", #"{"service_name":"checkout","events":[{"instance_id":"nobody"}]}"#)
            #expect(all.outcome == "refused" && all.reason == "unknown_instance")
        }
    }

    @Test func `a repeat of a message id is answered with the first sequence`() async throws {
        try await withMesh { mesh in
            let body = #"{"service_name":"checkout","events":[{"instance_id":"a","endpoint":"127.0.0.1:80"}]}"#
            let first = try await mesh.publish("registry.checkout.registered", body, id: "one")
            let second = try await mesh.publish("registry.checkout.registered", body, id: "one")
            #expect(second.outcome == "duplicate" && second.first_sequence == first.sequence)
        }
    }

    @Test func `the reply goes to the header Lattice-Reply too`() async throws {
        try await withMesh { mesh in
            let inbox = try mesh.client.subscribe(
                "_INBOX.test", queueGroup: nil, limits: PendingLimits(messages: 8, bytes: 1 << 20))
            try await mesh.client.flush(timeout: .seconds(5))
            try mesh.client.publish(
                Message(
                    subject: "lattice.events.registry.checkout.heartbeat",
                    headers: [MessageHeader("Lattice-Reply", "_INBOX.test")],
                    payload: Array(#"{"service_name":"checkout","events":[{"instance_id":"x"}]}"#.utf8)))
            try await mesh.wait { inbox.pendingCount > 0 }
            let reply = try inbox.receive(maximum: 1, timeout: .zero)
            #expect(String(decoding: reply[0].payload, as: UTF8.self).contains("unknown_instance"))
        }
    }

    @Test func `deregistration is remembered with its reason and actor`() async throws {
        try await withMesh { mesh in
            try await mesh.register("a")
            _ = try await mesh.publish(
                "registry.checkout.deregistered",
                #"{"service_name":"checkout","events":[{"instance_id":"a","reason":"scaled in","actor":"ann"}]}"#)
            #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids.isEmpty)
            let removal = try await mesh.answer("registry.removals").removals?.first
            #expect(removal?.kind == "deregistered" && removal?.reason == "scaled in")
            #expect(removal?.actor == "unverified:ann")
        }
    }

    @Test func `an unhealthy instance is left out until a newer report says otherwise`() async throws {
        try await withMesh { mesh in
            try await mesh.register("a")
            func report(_ healthy: Bool, at time: String) async throws {
                _ = try await mesh.publish(
                    "registry.checkout.health_reported",
                    #"{"service_name":"checkout","events":[{"instance_id":"a","healthy":\#(healthy),"last_check":"\#(time)"}]}"#
                )
            }
            try await report(false, at: "1000")
            #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids.isEmpty)
            let all = try await mesh.answer("registry.resolve", #"{"service_name":"checkout","healthy_only":false}"#)
            #expect(all.instances?.first?.health == "unhealthy")
            try await report(true, at: "2000")
            #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids == ["a"])
        }
    }

    @Test func `selection echoes its seed and cursor, and can be had again`() async throws {
        try await withMesh { mesh in
            for id in ["a", "b", "c"] { try await mesh.register(id) }
            for strategy in ["weighted_random", "power_of_two", "least_connections"] {
                let first = try await mesh.answer(
                    "registry.select", #"{"service_name":"checkout","strategy":"\#(strategy)"}"#)
                let seed = first.seed ?? "0"
                let again = try await mesh.answer(
                    "registry.select", #"{"service_name":"checkout","strategy":"\#(strategy)","seed":"\#(seed)"}"#)
                #expect(again.instance?.instance_id == first.instance?.instance_id, "\(strategy)")
            }
            var chosen: [String] = []
            for _ in 0..<3 {
                let answer = try await mesh.answer(
                    "registry.select", #"{"service_name":"checkout","strategy":"round_robin"}"#)
                chosen.append(answer.instance?.instance_id ?? "")
            }
            #expect(chosen == ["a", "b", "c"])
        }
    }

    @Test func `failover leaves excluded regions out`() async throws {
        try await withMesh { mesh in
            try await mesh.register("a", more: #","region":"eu""#)
            try await mesh.register("b", more: #","region":"us""#)
            let answer = try await mesh.answer(
                "registry.failover_candidates", #"{"service_name":"checkout","exclude_regions":["eu"]}"#)
            #expect(answer.ids == ["b"])
        }
    }

    @Test func `another service's change does not touch a service's changed sequence`() async throws {
        try await withMesh { mesh in
            let first = try await mesh.register("a")
            try await mesh.register("p", service: "payment")
            let services = try await mesh.answer("registry.topology").services ?? []
            #expect(services.map(\.service_name) == ["checkout", "payment"])
            #expect(services[0].changed_sequence == first.sequence)
        }
    }

    @Test func `watchers are told of their own service only`() async throws {
        try await withMesh { mesh in
            let notices = try mesh.client.subscribe(
                "lattice.changes.registry.payment", queueGroup: nil,
                limits: PendingLimits(messages: 8, bytes: 1 << 20))
            try await mesh.client.flush(timeout: .seconds(5))
            try await mesh.register("a")
            try await mesh.register("p", service: "payment")
            try await mesh.wait { notices.pendingCount > 0 }
            #expect(notices.pendingCount == 1)
        }
    }

    @Test func `a question at a sequence has the same bytes for ever`() async throws {
        try await withMesh { mesh in
            let sequence = try await mesh.register("a").sequence ?? ""
            let question = #"{"service_name":"checkout","at_sequence":"\#(sequence)"}"#
            let before = try await mesh.text("registry.resolve", question)
            for number in 0..<50 { try await mesh.register("later-\(number)") }
            #expect(try await mesh.text("registry.resolve", question) == before)
            await mesh.node.checkpoint()
            #expect(try await mesh.text("registry.resolve", question) == before)
            try await mesh.restart()
            #expect(try await mesh.text("registry.resolve", question) == before)
        }
    }

    @Test func `a question may wait for a sequence, and the future is not yet`() async throws {
        try await withMesh { mesh in
            let sequence = UInt64(try await mesh.register("a").sequence ?? "") ?? 0
            // Ticks go on: a little later this sequence is there.
            let soon = try await mesh.answer(
                "registry.resolve", #"{"service_name":"checkout","min_sequence":"\#(sequence + 3)"}"#)
            #expect(UInt64(soon.as_of?.sequence ?? "") ?? 0 >= sequence + 3)
            let future = try await mesh.ask("registry.resolve", #"{"service_name":"checkout","at_sequence":"999999"}"#)
            #expect(future.header("Nats-Service-Error-Code") == "425")
        }
    }

    @Test func `wrong questions get an error that says what is wrong`() async throws {
        try await withMesh { mesh in
            for (query, body, code) in [
                ("registry.resolve", "{}", "invalid_argument"), ("registry.nothing", "{}", "unknown_query"),
                ("node.nothing", "{}", "unknown_query"), ("registry.resolve", "{\"a\":1}", "invalid_argument"),
                ("registry.instance", #"{"instance_id":"x"}"#, "not_found"),
                ("registry.select", #"{"service_name":"x"}"#, "not_found"), ("node.outcome", "{}", "invalid_argument"),
            ] {
                let reply = try await mesh.ask(query, body)
                #expect(reply.header("Nats-Service-Error") != nil, "\(query)")
                let answer = try JSONDecoder().decode(Answer.self, from: Data(reply.payload))
                #expect(answer.code == code, "\(query) \(body)")
            }
        }
    }

    @Test func `the outcome of a record can be asked afterwards`() async throws {
        try await withMesh { mesh in
            let outcome = try await mesh.publish(
                "registry.checkout.heartbeat", #"{"service_name":"checkout","events":[{"instance_id":"x"}]}"#)
            let asked = try await mesh.text("node.outcome", #"{"sequence":"\#(outcome.sequence ?? "")"}"#)
            #expect(asked.contains(#""outcome":"refused""#) && asked.contains("unknown_instance"))
            try await mesh.restart()
            let again = try await mesh.text("node.outcome", #"{"sequence":"\#(outcome.sequence ?? "")"}"#)
            #expect(again == asked)
        }
    }

    @Test func `the micro protocol finds the node`() async throws {
        try await withMesh { mesh in
            for verb in ["PING", "INFO", "STATS"] {
                for suffix in ["", ".lattice", ".lattice.\(mesh.node.id)"] {
                    let reply = try await mesh.client.request(
                        Message(subject: "$SRV.\(verb)\(suffix)", payload: []), timeout: .seconds(5))
                    let text = String(decoding: reply.payload, as: UTF8.self)
                    #expect(text.contains("io.nats.micro.v1.\(verb.lowercased())_response"))
                    #expect((try? JSONSerialization.jsonObject(with: Data(reply.payload))) != nil)
                }
            }
        }
    }

    @Test func `bad input is told, counted and harmless`() async throws {
        try await withMesh { mesh in
            let rejected = try mesh.client.subscribe("lattice.rejected", queueGroup: nil, limits: .standard)
            try await mesh.client.flush(timeout: .seconds(5))
            let megabyte = String(repeating: "i", count: 900_000)
            let cases = [
                ("registry.checkout.heartbeat", "{\"service_name\":\"topsecret\","),
                ("registry.checkout.heartbeat", ""),
                ("registry.checkout.nothing", "{}"), ("nothing.at.all", "{}"), ("trace.checkout.spans", "{}"),
                ("registry.payment.heartbeat", #"{"service_name":"checkout","events":[{"instance_id":"a"}]}"#),
                (
                    "registry.checkout.heartbeat",
                    #"{"service_name":"checkout","events":[{"instance_id":"\#(megabyte)"}]}"#
                ),
                (
                    "registry.checkout.instance_selected",
                    #"{"service_name":"checkout","events":[{"chosen":"a","strategy":"nonsense"}]}"#
                ),
            ]
            for (subject, body) in cases where !subject.hasPrefix("nothing") {
                let outcome = try await mesh.publish(subject, body)
                #expect(outcome.outcome == "rejected" && outcome.reason != nil, "\(subject)")
            }
            try await mesh.wait { rejected.pendingCount >= cases.count - 1 }
            for notice in try rejected.receive(maximum: 100, timeout: .zero) {
                #expect(!String(decoding: notice.payload, as: UTF8.self).contains("topsecret"))
            }
            try await mesh.wait { try await mesh.answer("node.status").rejected_messages == "\(cases.count - 1)" }
            let heavy = try await mesh.register("heavy", more: #","weight":1001"#)
            #expect(heavy.reason == "weight_out_of_range")
            let ahead = try await mesh.register("ahead", more: #","occurred_at":"2100-01-01T00:00:00Z""#)
            #expect(ahead.reason == "time_ahead")
            #expect(try await mesh.register("a").outcome == "accepted")
        }
    }

    @Test func `names are escaped in subjects`() async throws {
        try await withMesh { mesh in
            let name = "a.b c*"
            let outcome = try await mesh.publish(
                "registry.\(SubjectToken.escape(name)).registered",
                #"{"service_name":"\#(name)","events":[{"instance_id":"a","endpoint":"127.0.0.1:80"}]}"#)
            #expect(outcome.outcome == "accepted")
        }
    }

    @Test func `digests are the same live, after a restart and without checkpoints`() async throws {
        try await withMesh { mesh in
            for number in 0..<20 { try await mesh.register("i-\(number)") }
            let live = try await mesh.answer("node.digest")
            let sequence = live.as_of?.sequence ?? ""
            func past() async throws -> [Answer.Machine] {
                try await mesh.answer("node.digest", #"{"at_sequence":"\#(sequence)"}"#).machines ?? []
            }
            #expect(try await past() == live.machines)
            try await mesh.restart()
            #expect(try await past() == live.machines)
            let checkpoints = mesh.directory + "/data/checkpoints"
            try await mesh.restart(between: { try FileManager.default.removeItem(atPath: checkpoints) })
            #expect(try await past() == live.machines)
        }
    }
}
