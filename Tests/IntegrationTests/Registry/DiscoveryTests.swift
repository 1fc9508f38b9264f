// The NATS micro protocol (ADR-32): who is there, what it answers, how it is doing.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `looked for on $SRV` {
        @Test(arguments: ["PING", "INFO", "STATS"])
        func `answers for all, by name and by id`(_ verb: String) async throws {
            try await Stage.with { stage in
                let node = try await stage.node { $0.version = "1.2.3" }
                let client = try await stage.client()
                _ = try await client.status()
                _ = try await client.query("registry.frobnicate")
                for subject in ["$SRV.\(verb)", "$SRV.\(verb).lattice", "$SRV.\(verb).lattice.\(node.node.id)"] {
                    let question = Message(subject: subject, payload: [])
                    let answer = try await client.bus.request(question, timeout: .seconds(10))
                    let json = try JSON(text: answer.payload)
                    #expect(json["type"].text == "io.nats.micro.v1.\(verb.lowercased())_response")
                    #expect(json["name"].text == "lattice")
                    #expect(json["id"].text == node.node.id)
                    #expect(json["version"].text == "1.2.3")
                    #expect(json["metadata"]["prefix"].text == "lattice")
                    if verb == "PING" { continue }
                    #expect(json["endpoints"][0]["subject"].text == "lattice.queries.>")
                    #expect(json["endpoints"][0]["queue_group"].text == "lattice-queries")
                }
            }
        }

        @Test func `counts what it answered and what it could not`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                for _ in 0..<3 { _ = try await client.ids("s") }
                _ = try await client.query("registry.frobnicate")
                let counted = try await eventually {
                    let question = Message(subject: "$SRV.STATS", payload: [])
                    let answer = try await client.bus.request(question, timeout: .seconds(10))
                    let endpoint = try JSON(text: answer.payload)["endpoints"][0]
                    return endpoint["num_requests"].number == 4 && endpoint["num_errors"].number == 1
                        && endpoint["last_error"].text.contains("unknown_query")
                }
                #expect(counted)
            }
        }

        @Test func `is silent on subjects of others`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                await #expect(throws: BusError.self) {
                    let question = Message(subject: "$SRV.PING.somebody", payload: [])
                    _ = try await client.bus.request(question, timeout: .milliseconds(200))
                }
            }
        }
    }
}
