// Questions about mirrors over NATS, and contents that are sealed, read back, and erased.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import StateMachines
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `asked about mirrors` {
        private static func with(_ story: (Stage, RunningNode, MirrorPlay) async throws -> Void) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                try await story(stage, node, try MirrorPlay(try await stage.client()))
            }
        }

        @Test func `takes a mirror only whose shadow is allowed`() async throws {
            try await Self.with { _, _, play in
                let refused = try await play.add("m", "10.0.0.9:80")
                #expect(refused["refused"][0]["reason"].text == "shadow_not_allowed")
                try await play.allow(["10.0.0.9:80"], loopback: false)
                #expect(try await play.add("m", "10.0.0.9:80")["accepted"].number == 1)
                let answer = try await play.client.query("mirror.mirrors", #"{"source_service":"checkout"}"#)
                #expect(answer["mirrors"][0]["mirror"]["mirror_id"].text == "m")
                #expect(answer["allowed_shadows"].items.map(\.text) == ["10.0.0.9:80"])
                #expect(answer["mirrors"][0]["created_at"].number > 0)
            }
        }

        @Test func `an allow-list without loopback takes no shadow on this machine`() async throws {
            try await Self.with { _, _, play in
                try await play.allow(["127.0.0.1:*"], loopback: false)
                #expect(try await play.add("m", "127.0.0.1:80")["refused"][0]["reason"].text == "shadow_not_allowed")
            }
        }

        @Test(arguments: Encoding.allCases)
        func `answers every query in both encodings`(_ encoding: Encoding) async throws {
            try await Self.with { _, node, play in
                try await play.allow()
                try await play.add("m", "127.0.0.1:9")
                try await play.serve("r1")
                for name in ["mirrors", "stats", "ledger"] {
                    let answer = try await play.client.query("mirror.\(name)", as: encoding)
                    #expect(answer["as_of"]["sequence"].number == Int(node.node.appliedSequence.rawValue), "\(name)")
                }
                for name in ["pending", "diffs"] {
                    let answer = try await play.client.query("mirror.\(name)", #"{"mirror_id":"m"}"#, as: encoding)
                    #expect(answer["as_of"]["sequence"].number > 0, "\(name)")
                }
            }
        }

        @Test func `a mirror that there is not is not found, and one without a name is an invalid question`()
            async throws
        {
            try await Self.with { _, _, play in
                for name in ["stats", "ledger", "pending", "diffs"] {
                    let answer = try await play.client.raw("mirror.\(name)", #"{"mirror_id":"nobody"}"#)
                    #expect(answer.header("Nats-Service-Error-Code") == "404", "\(name)")
                }
                #expect(try await play.client.raw("mirror.diffs").header("Nats-Service-Error-Code") == "400")
                #expect(try await play.client.raw("mirror.nothing").header("Nats-Service-Error-Code") == "404")
                #expect(try await play.client.raw("mirror.captures").header("Nats-Service-Error-Code") == "400")
                let early = try await play.client.raw("mirror.comparison", #"{"sequence":"999999"}"#)
                #expect(early.header("Nats-Service-Error-Code") == "425")
            }
        }

        @Test func `says which mirrors would copy a request, and why the others would not`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                try await play.add("all", "127.0.0.1:9")
                try await play.add("few", "127.0.0.1:9", #","mode":"sampled","sample_rate_basis_points":0"#)
                try await play.add("some", "127.0.0.1:9", #","mode":"filtered","include_intents":["GET /cart*"]"#)
                try await play.add("log", "127.0.0.1:9", #","mode":"replay""#)
                let answer = try await play.client.query(
                    "mirror.should_mirror",
                    #"{"source_service":"checkout","intent":"GET /orders","sample_seed":"u7"}"#)
                let said = answer["decisions"].items.map { "\($0["mirror_id"].text) \($0["reason"].text)" }
                #expect(said == ["all ", "few not_sampled", "log replay_only", "some not_included"])
                #expect(answer["decisions"][0]["mirrored"].isTrue)
                let post = try await play.client.query(
                    "mirror.should_mirror", #"{"source_service":"checkout","method":"POST"}"#)
                #expect(post["decisions"].items.allSatisfy { $0["reason"].text == "method_not_allowed" })
            }
        }

        @Test func `goes through its life: disabled, enabled, drained, removed`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                try await play.add("m", "127.0.0.1:9")
                try await play.serve("r1")
                #expect(try await play.stats("m")["pending"].number == 1)
                try await play.change(.mirrorDisabled, "m")
                try await play.serve("r2")
                #expect(try await play.ledger("m", "disabled") == 1)
                try await play.change(.mirrorEnabled, "m")
                try await play.serve("r3")
                let pending = try await play.client.query("mirror.pending", #"{"mirror_id":"m","limit":1}"#)
                #expect(pending["pending"].number == 2)
                #expect(pending["copies"].items.count == 1)
                _ = try await play.client.tell(
                    .mirrorDrained, "checkout", #"{"source_service":"checkout","mirror_id":"m","limit":1}"#)
                #expect(try await play.ledger("m", "drained") == 1)
                try await play.change(.mirrorRemoved, "m")
                let ledger = try await play.client.query("mirror.ledger")
                #expect(ledger["rows"].items.last?["entries"][0]["reason"].text == "removed")
            }
        }

        @Test func `answers as of a record of the past`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                let added = try await play.add("m", "127.0.0.1:9")["sequence"].number
                try await play.serve("r1")
                let past = try await play.client.query(
                    "mirror.stats", #"{"mirror_id":"m","at_sequence":"\#(added)"}"#)
                #expect(past["mirrors"][0]["pending"].number == 0)
                #expect(past["as_of"]["sequence"].number == added)
                let before = try await play.client.raw(
                    "mirror.stats", #"{"mirror_id":"m","at_sequence":"\#(added - 1)"}"#)
                #expect(before.header("Nats-Service-Error-Code") == "404")
            }
        }

        @Test func `refuses a request that was captured before`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                try await play.add("m", "127.0.0.1:9")
                try await play.serve("r1")
                #expect(try await play.serve("r1")["refused"][0]["reason"].text == "duplicate_request")
                #expect(try await play.stats("m")["mirrored"].number == 1)
            }
        }

        @Test func `skips what is marked, cut, or writes, each with its reason`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                try await play.add("m", "127.0.0.1:9")
                try await play.serve("marked", hasShadowMark: true)
                try await play.serve("cut", body: String(repeating: "x", count: 100), payloadLimit: 10)
                try await play.serve("written", method: "POST")
                #expect(try await play.stats("m")["mirrored"].number == 0)
                for reason in ["shadow_marked", "truncated", "method_not_allowed"] {
                    #expect(try await play.ledger("m", reason) == 1, "\(reason)")
                }
            }
        }

        @Test func `drops the oldest of a full buffer, and says so`() async throws {
            try await Self.with { _, _, play in
                try await play.allow()
                try await play.add("m", "127.0.0.1:9", #","mode":"full","buffer_requests":3"#)
                for number in 0..<5 { try await play.serve("r\(number)") }
                #expect(try await play.stats("m")["pending"].number == 3)
                #expect(try await play.ledger("m", "overflow") == 2)
            }
        }

        // MARK: Contents

        private static func capture(_ play: MirrorPlay, _ sequence: Int) async throws -> JSON {
            try await play.client.query("mirror.captures", #"{"sequence":"\#(sequence)"}"#)["captures"][0]
        }

        @Test func `reads contents back that no fact and no file holds in the open`() async throws {
            try await Self.with { stage, node, play in
                try await play.allow()
                let sequence = try await play.serve("r1", target: "/cart/7?token=abcdefgh")["sequence"].number
                let read = try await Self.capture(play, sequence)
                #expect(read["content"]["target"].text == "/cart/7?token=[redacted]")
                let body = Data(base64Encoded: read["content"]["response_body"].text) ?? Data()
                #expect(String(decoding: body, as: UTF8.self).contains("12.5"))
                #expect(!String(decoding: body, as: UTF8.self).contains("secret-of-the-answer"))
                let frame = try #require(try node.node.reader.frame(at: SequenceNumber(UInt64(sequence))))
                #expect(frame.flags.contains(.sealedAttachment))
                for secret in ["12.5", "abcdefgh", "/cart/7"] {
                    for file in stage.files(in: "data") where file.hasSuffix(".log") {
                        let bytes = try Data(contentsOf: URL(fileURLWithPath: stage.directory.path + "/data/" + file))
                        #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(secret) in \(file)")
                    }
                }
            }
        }

        @Test func `takes contents in JSON too`() async throws {
            try await Self.with { _, _, play in
                let json =
                    #"{"source_service":"checkout","events":[{"request_id":"j","method":"GET"}],"contents":{"#
                    + #""entries":[{"target":"/j","request_body":"e30="}]}}"#
                let outcome = try await play.client.tell(.requestCaptured, "checkout", json)
                let read = try await Self.capture(play, outcome["sequence"].number)
                #expect(read["content"]["target"].text == "/j")
                #expect(read["content"]["request_body"].text == "e30=")
            }
        }

        @Test func `keeps its keys to itself`() async throws {
            try await Self.with { stage, _, play in
                try await play.serve("r1")
                let folder = stage.directory.path + "/data/keys"
                let keys = stage.files(in: "data/keys")
                #expect(keys.count == 1)
                func mode(_ path: String) throws -> Int {
                    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? 0
                }
                #expect(try mode(folder) == 0o700)
                for key in keys { #expect(try mode(folder + "/" + key) == 0o600) }
            }
        }

        @Test func `erases a day for good, and what is captured afterwards is readable`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let play = try MirrorPlay(try await stage.client())
                let first = try await play.serve("r1")["sequence"].number
                let frame = try #require(try node.node.reader.frame(at: SequenceNumber(UInt64(first))))
                let day = ContentVault.day(of: frame.recordedAt)
                let erased = try await play.client.tell(
                    .contentsErased, "checkout", #"{"source_service":"checkout","day":"\#(day)"}"#)
                #expect(erased["accepted"].number == 1)
                let second = try await play.serve("r2")["sequence"].number
                func look() async throws {
                    let old = try await Self.capture(play, first)
                    #expect(old["erased"].isTrue)
                    #expect(old["content"]["target"].text == "erased")
                    #expect(try await Self.capture(play, second)["content"]["target"].text == "/cart/r2")
                }
                // Looking is itself recorded, so the state is taken before.
                let digest = await node.digest()
                try await look()
                await node.stop()
                let again = try await stage.node()
                try await look()
                // The chain and the fold are whole without what was erased.
                let state = try TimeTraveller(
                    reader: again.node.reader,
                    checkpoints: CheckpointStore(directory: stage.directory.path + "/nothing", keptCount: 1)
                ).state(at: SequenceNumber(UInt64(second)), fromZero: true)
                #expect(state.moment.sequence.rawValue == UInt64(second))
                #expect(digest.hasPrefix("\(second) "))
            }
        }

        @Test func `pages through captures`() async throws {
            try await Self.with { _, _, play in
                var sequences: [Int] = []
                for number in 0..<5 { sequences.append(try await play.serve("r\(number)")["sequence"].number) }
                let page = try await play.client.query(
                    "mirror.captures", #"{"sequence":"\#(sequences[0])","limit":2,"source_service":"checkout"}"#)
                #expect(page["captures"].items.map { $0["capture"]["request_id"].text } == ["r0", "r1"])
                #expect(page["next_sequence"].number == sequences[2])
                let none = try await play.client.query(
                    "mirror.captures", #"{"sequence":"\#(sequences[0])","source_service":"other"}"#)
                #expect(none["captures"].items.isEmpty)
            }
        }
    }
}
