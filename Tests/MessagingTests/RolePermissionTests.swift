// The permission blocks that are shipped (Documentation/roles.conf), role by role against a real nats-server.

import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

/// What one user of the shipped file may and may not do.
struct RoleExpectation: Sendable, CustomTestStringConvertible {
    var user: String
    var inbox = "_INBOX"
    var mayPublish: [String]
    var mayNotPublish: [String]
    var mayHear: [String]
    var mayNotHear: [String]

    var testDescription: String { user }

    static let all = [
        RoleExpectation(
            user: "checkout", inbox: "_INBOX.checkout",
            mayPublish: [
                "lattice.events.registry.checkout.registered", "lattice.events.registry.checkout.heartbeat",
                "lattice.events.registry.checkout.deregistered", "lattice.events.registry.checkout.load_reported",
                "lattice.queries.registry.resolve",
            ],
            mayNotPublish: [
                "lattice.events.registry.payment.registered", "lattice.events.registry.payment.deregistered",
                "lattice.events.registry.checkout.health_reported", "lattice.events.registry.checkout.health_swept",
                "lattice.events.clock.tick", "lattice.events.policy.checkout.guard_released",
                "lattice.changes.registry.checkout", "lattice.rejected", "_INBOX.payment.1",
            ],
            mayHear: ["_INBOX.checkout.>", "lattice.changes.registry.checkout"],
            mayNotHear: ["_INBOX.>", "_INBOX.payment.>", "lattice.events.>", "lattice.queries.>", ">"]),
        RoleExpectation(
            user: "gateway", inbox: "_INBOX.gateway",
            mayPublish: [
                "lattice.events.registry.payment.health_reported", "lattice.events.registry.payment.health_swept",
                "lattice.events.registry.payment.load_reported", "lattice.events.registry.payment.instance_selected",
                "lattice.queries.registry.select",
            ],
            mayNotPublish: [
                "lattice.events.registry.payment.registered", "lattice.events.registry.payment.deregistered",
                "lattice.events.registry.payment.heartbeat", "lattice.events.policy.gateway.guard_released",
                "lattice.queries.node.status",
            ],
            mayHear: ["_INBOX.gateway.>", "lattice.changes.>"], mayNotHear: ["_INBOX.>", "lattice.events.>"]),
        RoleExpectation(
            user: "node", inbox: "_INBOX.node",
            mayPublish: [
                "_INBOX.checkout.1", "lattice.changes.registry.checkout", "lattice.rejected",
                "lattice.queries.node.status", "lattice.anchors", "lattice.events.mirror.checkout.dispatched",
                "lattice.events.mirror.checkout.compared",
            ],
            mayNotPublish: [
                "lattice.events.mirror.checkout.captured", "lattice.events.audit.alice.contents_read",
                "lattice.events.registry.checkout.registered", "lattice.events.clock.tick",
                "lattice.events.policy.node.guard_released", "$JS.API.STREAM.DELETE.LATTICE", "elsewhere",
            ],
            mayHear: ["lattice.events.registry.>", "lattice.queries.>", "$SRV.>", "_INBOX.node.>"],
            mayNotHear: [">", "elsewhere", "_INBOX.>"]),
        RoleExpectation(
            user: "node-jetstream", inbox: "_INBOX.node",
            mayPublish: [
                "_INBOX.checkout.1", "lattice.events.clock.tick", "lattice.events.clock.leadership_claimed",
                "lattice.events.mirror.checkout.dispatched", "lattice.events.audit.frank.contents_read",
            ],
            mayNotPublish: [
                "lattice.events.audit.frank.exported", "lattice.events.mirror.checkout.added",
                "lattice.events.registry.checkout.registered", "lattice.events.policy.alice.guard_released",
                "$JS.API.STREAM.DELETE.LATTICE", "$JS.API.STREAM.PURGE.LATTICE", "$JS.API.STREAM.INFO.OTHER",
            ],
            mayHear: ["lattice.queries.>", "$SRV.>", "_INBOX.node.>"],
            mayNotHear: ["lattice.events.>", ">", "_INBOX.>"]),
        RoleExpectation(
            user: "viewer", inbox: "_INBOX.viewer",
            mayPublish: [
                "lattice.queries.registry.topology", "lattice.queries.node.status", "lattice.queries.trace.search",
            ],
            mayNotPublish: [
                "lattice.queries.mirror.captures", "lattice.queries.mirror.captures.viewer",
                "lattice.queries.audit.trail",
                "lattice.events.registry.checkout.deregistered", "lattice.events.policy.viewer.guard_released",
                "lattice.changes.registry.checkout",
            ],
            mayHear: ["_INBOX.viewer.>"],
            mayNotHear: ["_INBOX.>", "_INBOX.alice.>", "lattice.events.>", "lattice.queries.>", "lattice.anchors"]),
        RoleExpectation(
            user: "frank", inbox: "_INBOX.frank",
            mayPublish: [
                "lattice.queries.registry.resolve", "lattice.queries.trace.trace", "lattice.queries.mirror.diffs",
                "lattice.queries.mirror.captures.frank", "lattice.queries.mirror.comparison.frank",
                "lattice.queries.audit.trail", "lattice.events.audit.frank.exported",
            ],
            mayNotPublish: [
                "lattice.queries.mirror.captures", "lattice.queries.mirror.comparison",
                "lattice.queries.mirror.captures.alice", "lattice.queries.mirror.captures.unverified",
                "lattice.events.audit.alice.exported", "lattice.events.audit.frank.contents_read",
                "lattice.events.mirror.checkout.added", "lattice.events.policy.frank.guard_released",
            ],
            mayHear: ["_INBOX.frank.>"], mayNotHear: ["_INBOX.>", "lattice.events.>", "lattice.queries.>"]),
        RoleExpectation(
            user: "archivist", mayPublish: [],
            mayNotPublish: ["lattice.anchors", "lattice.queries.node.status", "lattice.rejected"],
            mayHear: ["lattice.anchors"], mayNotHear: ["lattice.events.>", "_INBOX.>", ">"]),
        RoleExpectation(
            user: "alice", inbox: "_INBOX.alice",
            mayPublish: [
                "lattice.events.policy.alice.guard_released", "lattice.events.policy.alice.registry_configured",
                "lattice.events.registry.checkout.deregistered.alice", "lattice.queries.node.digest",
                "lattice.events.mirror.checkout.added.alice", "lattice.events.mirror.checkout.contents_erased.alice",
                "lattice.queries.audit.trail", "lattice.queries.mirror.stats",
            ],
            mayNotPublish: [
                "lattice.events.registry.checkout.deregistered", "lattice.events.mirror.checkout.added",
                "lattice.events.mirror.checkout.added.bob", "lattice.queries.mirror.captures.alice",
                "lattice.events.mirror.checkout.captured",
                "lattice.events.policy.bob.guard_released", "lattice.events.registry.checkout.registered",
                "lattice.events.clock.tick",
            ],
            mayHear: [
                "_INBOX.alice.>", "lattice.events.>", "lattice.rejected", "lattice.changes.>", "lattice.anchors",
            ],
            mayNotHear: [">", "_INBOX.>"]),
    ]
}

@Suite struct `Roles of the shipped permissions` {
    /// The file with a password in the place of each variable.
    private static func configuration() throws -> String {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Documentation/roles.conf"), encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let variable = line.firstRange(of: "$LATTICE_PASSWORD_") else { return String(line) }
            return line[..<variable.lowerBound] + "\"secret\""
        }.joined(separator: "\n")
    }

    /// The file with somebody in it who may do everything.
    private static func withRoot() throws -> String {
        try configuration().replacingOccurrences(of: "users: [", with: "users: [ { user: root, password: secret },")
    }

    private static func connect(_ server: TestServer, _ user: String, inbox: String) async throws -> NATSMessageBus {
        try await server.connect {
            $0.credentials = .userPassword(user: user, password: "secret")
            $0.inboxPrefix = inbox
            $0.sendsAtOnce = true
        }
    }

    @Test(arguments: RoleExpectation.all)
    func `each role may do its work and nothing else`(_ role: RoleExpectation) async throws {
        let server = try await TestServer.start(jetStream: true, configuration: Self.configuration())
        let bus = try await Self.connect(server, role.user, inbox: role.inbox)
        for subject in role.mayPublish { try bus.publish(text(subject, "")) }
        for subject in role.mayHear { _ = try bus.subscribe(subject, queueGroup: nil, limits: .standard) }
        try await bus.flush(timeout: .seconds(5))
        #expect(bus.permissionViolations == [], "refused what the role needs")
        for subject in role.mayNotPublish {
            try bus.publish(text(subject, ""))
            let isRefused = try await eventually { bus.permissionViolations.contains { $0.contains("\"\(subject)\"") } }
            #expect(isRefused, "\(role.user) published on \(subject)")
        }
        for subject in role.mayNotHear {
            _ = try bus.subscribe(subject, queueGroup: nil, limits: .standard)
            let isRefused = try await eventually { bus.permissionViolations.contains { $0.contains("\"\(subject)\"") } }
            #expect(isRefused, "\(role.user) listens on \(subject)")
        }
        await bus.close()
        await server.server.terminate()
    }

    @Test func `a question and its answer pass between service and node`() async throws {
        let server = try await TestServer.start(configuration: Self.configuration())
        let node = try await Self.connect(server, "node", inbox: "_INBOX.node")
        let service = try await Self.connect(server, "checkout", inbox: "_INBOX.checkout")
        let questions = try node.subscribe("lattice.queries.>", queueGroup: "lattice-queries", limits: .standard)
        try await node.flush(timeout: .seconds(5))
        answerOnThread(questions, on: node)
        let answer = try await service.request(text("lattice.queries.registry.resolve", "who?"), timeout: .seconds(5))
        #expect(answer.text == "who?")
        #expect(service.permissionViolations == [])
        #expect(node.permissionViolations == [])
        await service.close()
        await node.close()
        await server.server.terminate()
    }

    @Test func `who hears all events hears no captured contents`() async throws {
        let server = try await TestServer.start(configuration: Self.configuration())
        let alice = try await Self.connect(server, "alice", inbox: "_INBOX.alice")
        let gateway = try await Self.connect(server, "gateway", inbox: "_INBOX.gateway")
        let heard = try alice.subscribe("lattice.events.>", queueGroup: nil, limits: .standard)
        try await alice.flush(timeout: .seconds(5))
        try gateway.publish(text("lattice.events.mirror.checkout.captured", "secret"))
        try gateway.publish(text("lattice.events.registry.checkout.load_reported", "plain"))
        try await gateway.flush(timeout: .seconds(5))
        let first = try await onThread { try heard.receive(maximum: 8, timeout: .seconds(5)) }
        #expect(first.map(\.text) == ["plain"])
        await alice.close()
        await gateway.close()
        await server.server.terminate()
    }

    private static let programs = ["nats-server"] + [Strangers.newNATSServer].compactMap { $0 }

    /// What JetStream is asked by, with the stream's or a consumer's name behind it.
    private static func api(_ consumer: String) -> [String] {
        [
            "STREAM.PURGE.LATTICE", "STREAM.DELETE.LATTICE", "STREAM.MSG.DELETE.LATTICE", "STREAM.UPDATE.LATTICE",
            "STREAM.CREATE.LATTICE", "STREAM.RESTORE.LATTICE", "STREAM.SNAPSHOT.LATTICE", "STREAM.PEER.REMOVE.LATTICE",
            "STREAM.LEADER.STEPDOWN.LATTICE", "STREAM.TEMPLATE.DELETE.LATTICE", "CONSUMER.DELETE.LATTICE.\(consumer)",
            "CONSUMER.PAUSE.LATTICE.\(consumer)", "CONSUMER.RESET.LATTICE.\(consumer)",
            "CONSUMER.UNPIN.LATTICE.\(consumer)", "CONSUMER.LEADER.STEPDOWN.LATTICE.\(consumer)",
            "CONSUMER.MSG.NEXT.LATTICE.\(consumer)", "CONSUMER.CREATE.LATTICE", "META.LEADER.STEPDOWN", "SERVER.REMOVE",
        ]
    }

    /// JetStream answers a publication where its reply subject says, asking nobody whether that is permitted.
    @Test(arguments: programs)
    func `no reply subject of a service destroys what the stream has`(program: String) async throws {
        let server = try await TestServer.start(jetStream: true, configuration: Self.withRoot(), program: program)
        let root = try await Self.connect(server, "root", inbox: "_INBOX")
        let node = try await Self.connect(server, "node-jetstream", inbox: "_INBOX.node")
        let service = try await Self.connect(server, "checkout", inbox: "_INBOX.checkout")
        let administration = JetStreamAdministration(node)
        let identity = try await administration.ensureStream(
            StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"])
        ).identity
        let source = try JetStreamSource(bus: node, stream: "LATTICE", fingerprint: Message.testFingerprint)
        _ = try await onThread { try source.open(after: .beginning) }
        let consumers = try await root.request(text("$JS.API.CONSUMER.NAMES.LATTICE", ""), timeout: .seconds(5)).text
        let list = try #require(consumers.split(separator: #""consumers":["#).last)
        let consumer = try #require(list.split(separator: "\"").first).description
        var subjects = Self.api(consumer).map { "$JS.API." + $0 }
        // Below 2.10.27 this deletes every stream of the account, and nothing that a stream says prevents it (CVE-2025-30215).
        if node.isServer(atLeast: .safeReplies) { subjects += ["$JS.API.ACCOUNT.PURGE.$G"] }
        var expected: UInt64 = 0
        for subject in subjects {
            for round in 0..<3 {
                var event = text("lattice.events.registry.checkout.heartbeat", "\(subject) \(round)")
                // The second one is a repeat, whose answer names a sequence that the sender has chosen.
                event.headers = [MessageHeader("Nats-Msg-Id", "\(subject) \(max(1, round))")]
                event.replyTo = subject
                try service.publish(event)
            }
            expected += 2
            try await service.flush(timeout: .seconds(5))
            let isWhole = try await eventually {
                let status = try await administration.status(of: "LATTICE")
                return status.messageCount == expected && status.lastSequence.rawValue == expected
            }
            let status = try await administration.status(of: "LATTICE")
            #expect(isWhole, "\(subject): \(status.messageCount) of \(expected)")
            #expect(status.firstSequence.rawValue == 1 && status.identity == identity, "\(subject)")
        }
        #expect(try await received(Int(expected), from: source).count == Int(expected))
        source.close()
        #expect(source.restartCount == 0, "its consumer was taken from it")
        for bus in [service, node, root] { await bus.close() }
        await server.server.terminate()
    }

    @Test func `a stream that permits removal is taken, with a word, where the role may not mend it`() async throws {
        let server = try await TestServer.start(jetStream: true, configuration: Self.withRoot())
        let root = try await Self.connect(server, "root", inbox: "_INBOX")
        let node = try await Self.connect(server, "node-jetstream", inbox: "_INBOX.node")
        let wanted = StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"])
        var open = wanted
        open.deniesRemoval = false
        try await JetStreamAdministration(root).ensureStream(open)
        try await JetStreamAdministration(node).ensureStream(wanted)
        #expect(node.permissionViolations.count == 1)
        try await JetStreamAdministration(root).ensureStream(wanted)
        try await JetStreamAdministration(node).ensureStream(wanted)
        #expect(node.permissionViolations.count == 1, "removal is denied now, so nothing is asked")
        for bus in [root, node] { await bus.close() }
        await server.server.terminate()
    }

    @Test func `a node reads its stream with the rights of its role`() async throws {
        let server = try await TestServer.start(jetStream: true, configuration: Self.configuration())
        let node = try await Self.connect(server, "node-jetstream", inbox: "_INBOX.node")
        let service = try await Self.connect(server, "checkout", inbox: "_INBOX.checkout")
        try await JetStreamAdministration(node).ensureStream(
            StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"]))
        let source = try JetStreamSource(bus: node, stream: "LATTICE", fingerprint: Message.testFingerprint)
        _ = try await onThread {
            try source.open(after: StreamResumePoint(identity: nil, lastSequence: .origin, lastMessage: nil))
        }
        try service.publish(text("lattice.events.registry.checkout.heartbeat", "alive"))
        let messages = try await received(1, from: source)
        #expect(messages.map(\.text) == ["alive"])
        #expect(node.permissionViolations == [])
        source.close()
        await service.close()
        await node.close()
        await server.server.terminate()
    }
}
