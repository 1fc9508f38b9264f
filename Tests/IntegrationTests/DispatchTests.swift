// Copies on their way to real HTTP shadows, good and bad, and what the log says of them.

import NodeRuntime
import Dispatcher
import EventModel
import EventStore
import Foundation
import Messaging
import MeshRules
import StateMachines
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `with shadows` {
        private static func with(
            _ temper: ShadowServer.Temper, _ more: String = #","mode":"full""#, redirectingTo other: Int = 0,
            credentials: String = "/nowhere",
            _ story: (Stage, MirrorPlay, ShadowServer) async throws -> Void
        ) async throws {
            try await Stage.with { stage in
                let sender = MirrorPlay.sender(credentials.replacing("{stage}", with: stage.directory.path))
                try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(50) }
                let play = try MirrorPlay(try await stage.client())
                let shadow = try ShadowServer(temper, redirectingTo: other)
                try await play.allow()
                try await play.add("m", shadow.endpoint, more)
                try await story(stage, play, shadow)
                await sender.shutdown()
            }
        }

        private static func diffs(_ play: MirrorPlay) async throws -> JSON {
            try await play.client.query("mirror.diffs", #"{"mirror_id":"m"}"#)
        }

        @Test func `a shadow that answers alike is equal, and its copy is marked`() async throws {
            try await Self.with(.same) { _, play, shadow in
                try await play.serve("r1", headers: [HeaderField(name: "Accept", value: "application/json")])
                try await play.wait("m", "equal")
                let request = try #require(try await shadow.requests().first)
                #expect(request["path"].text == "/cart/r1")
                #expect(request["headers"]["accept"].text == "application/json")
                let mark = try #require(ShadowMark(key: MirrorPlay.markKey))
                let value = request["headers"]["x-lattice-shadow"].text
                let now = PosixStorage().now()
                #expect(mark.isValid(value, method: "GET", target: "/cart/r1", at: now))
                #expect(!mark.isValid(value, method: "GET", target: "/cart/r2", at: now))
                #expect(try await play.stats("m")["latency_total_ns"].number > 0)
                #expect(try await Self.diffs(play)["passes"].isTrue)
            }
        }

        @Test func `a shadow that lies is found out, with both sides readable and escaped`() async throws {
            try await Self.with(.lying) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", "different")
                let diffs = try await Self.diffs(play)
                #expect(!diffs["passes"].isTrue)
                #expect(Set(diffs["paths"].items.map { $0["path"]["pattern"].text }) == ["/price", "/extra"])
                let path = try #require(diffs["paths"].items.first { $0["path"]["pattern"].text == "/price" })
                let pair = try await play.client.query(
                    "mirror.comparison",
                    #"{"sequence":"\#(path["latest_sequence"].text)","index":\#(path["latest_index"].number)}"#)
                let sides = pair["differences"]["sides"].items
                let price = try #require(sides.first { $0["path"].text == "/price" })
                #expect(price["production"].text == "12.5")
                #expect(price["shadow"].text == "13.5")
                #expect(sides.allSatisfy { !$0["shadow"].text.contains("\u{1B}") })
                #expect(pair["capture"]["request_id"].text == "r1")
                #expect(pair["content"]["target"].text == "/cart/r1")
                #expect(!"\(pair)".contains("secret-of-the-answer"))
            }
        }

        @Test func `a dead shadow costs only its own ledger, and the breaker opens`() async throws {
            try await Self.with(.same) { _, play, shadow in
                shadow.kill()
                for number in 0..<5 {
                    try await play.serve("r\(number)")
                    try await play.wait("m", ledger: "dispatch_failed", number + 1)
                }
                try await play.serve("later")
                try await play.wait("m", ledger: "dispatch_rejected")
                #expect(try await play.stats("m")["pending"].number == 0)
            }
        }

        @Test func `a slow shadow has one deadline`() async throws {
            try await Self.with(.slow, #","mode":"full","timeout_ns":"100000000""#) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", ledger: "dispatch_timed_out")
            }
        }

        @Test func `a redirect is an answer and not followed`() async throws {
            let other = try ShadowServer(.same)
            try await Self.with(.redirect, redirectingTo: other.port) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", "different")
                #expect(try await other.requests().isEmpty)
                let parts = try await Self.diffs(play)["paths"].items.map { $0["path"]["part"].text }
                #expect(parts.contains("status"))
            }
        }

        @Test(arguments: [ShadowServer.Temper.huge, .bomb, .broken])
        func `an answer that is too large, a bomb or broken off is a failure`(
            _ temper: ShadowServer.Temper
        ) async throws {
            try await Self.with(temper, #","mode":"full","timeout_ns":"10000000000""#) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", ledger: "dispatch_failed")
            }
        }

        @Test func `more headers than are read do no harm`() async throws {
            try await Self.with(.headers) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", "equal")
            }
        }

        @Test func `hop-by-hop headers, secrets and marks of others do not travel`() async throws {
            try await Self.with(.same) { _, play, shadow in
                let content = CapturedContent(
                    target: "/x",
                    requestHeaders: [
                        HeaderField(name: "Connection", value: "close, X-Hop"), HeaderField(name: "X-Hop", value: "1"),
                        HeaderField(name: "Authorization", value: "[redacted]"),
                        HeaderField(name: "X-Lattice-Shadow", value: "forged"),
                        HeaderField(name: "TE", value: "trailers"),
                        HeaderField(name: "Host", value: "production"), HeaderField(name: "X-Kept", value: "yes"),
                        HeaderField(name: "X-Split", value: "a\r\nX-Injected: b"),
                    ])
                let fact = RequestCapture(requestID: "r1")
                _ = try await play.publish([MadeCapture(fact: fact, content: content)])
                try await play.wait("m", "succeeded")
                let headers = try #require(try await shadow.requests().first)["headers"]
                for name in ["x-hop", "authorization", "te", "x-split", "x-injected"] {
                    #expect(headers[name].text.isEmpty, "\(name)")
                }
                #expect(headers["x-kept"].text == "yes")
                #expect(headers["host"].text == shadow.endpoint)
                #expect(headers["x-lattice-shadow"].text != "forged")
            }
        }

        @Test func `credentials come from a file and never stand in the log`() async throws {
            let more = #","mode":"full","shadow_auth":"staging""#
            try await Self.with(.same, more, credentials: "{stage}/auth") { stage, play, shadow in
                let folder = stage.directory.path + "/auth"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                try "Authorization: Bearer hunter2".write(
                    toFile: folder + "/staging", atomically: true, encoding: .utf8)
                try await play.serve("r1")
                try await play.wait("m", "equal")
                #expect(try await shadow.requests()[0]["headers"]["authorization"].text == "Bearer hunter2")
                for file in stage.files(in: "data") where file.hasSuffix(".log") {
                    let bytes = try Data(contentsOf: URL(fileURLWithPath: stage.directory.path + "/data/" + file))
                    #expect(bytes.range(of: Data("hunter2".utf8)) == nil)
                }
            }
        }

        @Test func `without its credentials a copy is skipped`() async throws {
            try await Self.with(.same, #","mode":"full","shadow_auth":"../shadow.key""#) { _, play, shadow in
                try await play.serve("r1")
                try await play.wait("m", ledger: "dispatch_skipped")
                #expect(try await shadow.requests().isEmpty)
            }
        }

        @Test func `a write is copied with its body where writes are allowed`() async throws {
            try await Self.with(.same, #","mode":"full","allow_writes":true"#) { _, play, shadow in
                try await play.serve("r1", method: "POST", body: #"{"amount":1}"#)
                try await play.wait("m", "equal")
                let request = try #require(try await shadow.requests().first)
                #expect(request["method"].text == "POST")
                #expect(request["body"].text == #"{"amount":1}"#)
            }
        }

        @Test func `what lost a secret is not sent: a placeholder is no value`() async throws {
            try await Self.with(.same, #","mode":"full","allow_writes":true"#) { _, play, shadow in
                try await play.serve("r1", method: "POST", body: #"{"amount":1,"password":"p"}"#)
                try await play.serve("r2", target: "/cart?token=t")
                try await play.wait("m", ledger: "dispatch_skipped", 2)
                #expect(try await shadow.requests().isEmpty)
            }
        }

        @Test func `repeated answers of production teach the noise`() async throws {
            try await Self.with(.same) { _, play, _ in
                try await play.serve("r1", target: "/same")
                try await play.serve("r2", target: "/same")
                try await play.wait("m", "baselines")
                #expect(try await play.stats("m")["equal"].number == 2)
            }
        }

        @Test func `a second primary gets the copy too, and what it differs in is noise`() async throws {
            let second = try ShadowServer(.noisy)
            let more = #","mode":"full","baseline_endpoint":"\#(second.endpoint)","allow_writes":true"#
            try await Self.with(.noisy, more) { _, play, shadow in
                try await play.serve("r1")
                try await play.serve("r2", method: "POST", body: "{}")
                try await play.wait("m", "different", 2)
                try await play.wait("m", "baselines", 1)
                #expect(try await shadow.requests().count == 2)
                // It is production: nothing is written to it, whatever the shadow may get.
                let asked = try await second.requests()
                #expect(asked.map { $0["method"].text } == ["GET"])
                #expect(!asked[0]["headers"]["x-lattice-shadow"].text.isEmpty)
                let paths = try await Self.diffs(play)["paths"].items
                let nonce = try #require(paths.first { $0["path"]["pattern"].text == "/nonce" })
                #expect(nonce["raw"].number == 2 && nonce["noise"].number == 1)
            }
        }

        @Test func `a dead second primary costs a line in the ledger, and the shadow nothing`() async throws {
            let second = try ShadowServer(.same)
            let more = #","mode":"full","baseline_endpoint":"\#(second.endpoint)""#
            second.kill()
            try await Self.with(.same, more) { _, play, _ in
                try await play.serve("r1")
                try await play.wait("m", "equal")
                try await play.wait("m", ledger: "baseline_unanswered")
                #expect(try await play.stats("m")["baselines"].number == 0)
            }
        }

        @Test func `a mirror whose shadow is no longer allowed sends nothing`() async throws {
            try await Self.with(.same) { _, play, shadow in
                try await play.allow(["10.0.0.1:80"])
                try await play.serve("r1")
                #expect(try await play.ledger("m", "shadow_not_allowed") == 1)
                #expect(try await play.client.query("mirror.stats")["mirrors"][0]["shadow_not_allowed"].isTrue)
                #expect(try await shadow.requests().isEmpty)
            }
        }

        @Test func `a name that leads to loopback is refused after it was resolved`() async throws {
            let sender = MirrorPlay.sender()
            let shadow = try ShadowServer(.same)
            let answer = await sender.send(
                ShadowRequest(
                    sourceService: "s", requestID: "r", endpoint: "localhost.:\(shadow.port)", allowLoopback: false))
            #expect(answer.outcome == .skipped || answer.outcome == .failed)
            let allowed = await sender.send(
                ShadowRequest(
                    sourceService: "s", requestID: "r", endpoint: "localhost:\(shadow.port)", allowLoopback: true))
            #expect(allowed.outcome == .succeeded)
            #expect(try await shadow.requests().count == 1)
            await sender.shutdown()
        }

        @Test func `more at once than there are places are turned away, not queued`() async throws {
            let sender = MirrorPlay.sender(places: 1)
            let shadow = try ShadowServer(.slow)
            let request = ShadowRequest(
                sourceService: "s", requestID: "r", endpoint: shadow.endpoint, timeout: .milliseconds(500),
                allowLoopback: true)
            let outcomes = await withTaskGroup(of: DispatchOutcome.self) { group in
                for _ in 0..<4 { group.addTask { await sender.send(request).outcome } }
                return await group.reduce(into: [DispatchOutcome]()) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == .rejected } == 3)
            await sender.shutdown()
        }

        // MARK: Restarts

        @Test func `a hundred pending copies survive the node, each sent at most once more, none lost`() async throws {
            try await Stage.with { stage in
                // Nobody sends in the first life: all hundred wait.
                let first = try await stage.node()
                let play = try MirrorPlay(try await stage.client())
                let shadow = try ShadowServer(.same)
                try await play.allow()
                try await play.add("m", shadow.endpoint)
                for number in 0..<100 { try await play.serve("r\(number)") }
                #expect(try await play.stats("m")["pending"].number == 100)
                await first.stop()
                let sender = MirrorPlay.sender()
                let second = try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(50) }
                try await play.wait("m", "equal", 100)
                let stats = try await play.stats("m")
                #expect(stats["pending"].number + stats["awaiting_comparison"].number == 0)
                #expect(stats["redispatched"].number == 100)
                let paths = try await shadow.requests().map { $0["path"].text }
                #expect(paths.count == 100)
                #expect(Set(paths).count == 100)
                await second.stop()
                // Replay and recovery send nothing.
                let third = try await stage.node(shadows: sender) { $0.tickInterval = .milliseconds(50) }
                try await play.serve("last")
                try await play.wait("m", "equal", 101)
                #expect(try await shadow.requests().count == 101)
                await third.stop()
                await sender.shutdown()
            }
        }

        @Test func `of two nodes on a stream one sends`() async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                try await JetStreamAdministrationOf(client).ensure("MESH")
                let sender = MirrorPlay.sender()
                func quick(_ configuration: inout NodeConfiguration) { configuration.tickInterval = .milliseconds(50) }
                try await stage.node(in: "one", stream: "MESH", shadows: sender, quick)
                try await stage.node(in: "two", stream: "MESH", shadows: sender, quick)
                let play = try MirrorPlay(client)
                let shadow = try ShadowServer(.same)
                func tell(_ kind: EventType, _ payload: [UInt8]) async throws {
                    var message = try client.event(kind, MirrorPlay.source, "{}")
                    message.payload = payload
                    _ = try await client.askByHeader(message)
                }
                let list = #"{"source_service":"checkout","endpoints":["127.0.0.1:*"],"allow_loopback":true}"#
                try await tell(.shadowsAllowed, Array(list.utf8))
                let mirror =
                    #"{"source_service":"checkout","events":[{"mirror_id":"m","mode":"full","#
                    + #""shadow_endpoint":"\#(shadow.endpoint)"}]}"#
                try await tell(.mirrorAdded, Array(mirror.utf8))
                for number in 0..<20 {
                    let answer = try await play.primary.get("/r\(number)")
                    let made = makeCapture(
                        ObservedRequest(requestID: "r\(number)", target: "/r\(number)"), response: answer)
                    try await tell(.requestCaptured, captureMessage([made], of: MirrorPlay.source))
                }
                try await play.wait("m", "equal", 20)
                #expect(try await shadow.requests().count == 20)
                await sender.shutdown()
            }
        }

        @Test func `the log tells the story of a copy`() async throws {
            try await Self.with(.lying) { _, play, _ in
                let ear = try await play.client.listen("lattice.events.mirror.>")
                try await play.serve("r1")
                try await play.wait("m", "different")
                let subjects = try ear.heard().map(\.subject)
                #expect(
                    subjects == ["captured", "dispatched", "compared"].map { "lattice.events.mirror.checkout.\($0)" })
            }
        }
    }
}
