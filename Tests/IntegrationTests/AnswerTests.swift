// Answers that go where somebody else says, to servers that do not take everything: one is lost, never the connection.

import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `whose answers others address` {
        /// Where somebody wants an answer, and whether a node speaks there.
        private static let places: [(subject: String, isAnswered: Bool)] = {
            var places: [(subject: String, isAnswered: Bool)] = [
                ("_INBOX.a.b.c.d.e.f.g.h", true), ("_INBOX_alice.1", true), ("_R_.account.1", true),
                ("_INBOX", false), ("inbox.alice", false), ("orders.new", false), ("a", false), ("_SYS.a", false),
                ("_INBOX..a", false), ("_inbox.a", false), ("lattice.rejected", false), ("$SYS.REQ.x", false),
            ]
            for length in [1, 100, 200, 240, 250, 500, 1_000, 3_000, 3_900] {
                places.append(("_INBOX." + String(repeating: "x", count: length), length < 250))
            }
            return places
        }()

        @Test(arguments: ["", "max_payload: 8192"])
        func `speaks at inboxes only, and of those only at such as a client makes`(_ configuration: String) async throws
        {
            try await Stage.with(serverConfiguration: configuration) { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let ear = try await client.listen(">")
                let event = try client.event(.registered, "s", Client.registration("s", ["a"]))
                for place in Self.places {
                    var told = event
                    told.headers = [MessageHeader("Lattice-Reply", place.subject)]
                    try client.bus.publish(told)
                    guard SubjectSyntax.isPublishable(place.subject) else { continue }
                    for subject in ["lattice.queries.registry.resolve", "lattice.queries.no.such", "$SRV.PING"] {
                        var question = Message(subject: subject, payload: Array(#"{"service_name":"s"}"#.utf8))
                        question.replyTo = place.subject
                        try client.bus.publish(question)
                    }
                }
                // What could get the connection closed: headers of any length, longer than the server's line too.
                for length in [4_000, 4_096, 5_000, 7_000] {
                    var told = event
                    told.headers = [MessageHeader("Lattice-Reply", "_INBOX." + String(repeating: "y", count: length))]
                    try client.bus.publish(told)
                }
                let isTaken = try await eventually { try await client.ids("s") == ["a"] }
                #expect(isTaken)
                #expect(try await client.status()["rejected_messages"].number == 0)
                for bus in node.buses { #expect(bus.reconnectCount == 0 && bus.state == .connected) }
                let heard = Set(try ear.heard().map(\.subject))
                for place in Self.places {
                    let isOwn = place.subject.hasPrefix("lattice.")
                    #expect(isOwn || heard.contains(place.subject) == place.isAnswered, "\(place.subject.prefix(40))")
                }
            }
        }

        @Test func `makes of an answer that is too large one that says so`() async throws {
            try await Stage.with(serverConfiguration: "max_payload: 2048") { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let strangers = (0..<80).map { #"{"instance_id":"i\#($0)"}"# }
                let text = #"{"service_name":"s","events":[\#(strangers.joined(separator: ","))]}"#
                for encoding in Encoding.allCases {
                    let outcome = try await client.tell(.heartbeat, "s", text, as: encoding)
                    #expect(outcome["outcome"].text == "refused")
                    if encoding == .json {
                        #expect(outcome["refused"].items.isEmpty && outcome["reason"].text == "details_too_large")
                    }
                }
                for index in 0..<40 { try await client.register("s", ["i\(index)"]) }
                for encoding in Encoding.allCases {
                    let answer = try await client.raw("registry.resolve", #"{"service_name":"s"}"#, as: encoding)
                    #expect(answer.header("Nats-Service-Error")?.contains("more than the server takes") == true)
                    #expect(answer.header("Nats-Service-Error-Code") != nil)
                }
                #expect(try await client.ids("s", #","limit":2"#).count == 2)
                for bus in node.buses { #expect(bus.reconnectCount == 0) }
            }
        }
    }
}
