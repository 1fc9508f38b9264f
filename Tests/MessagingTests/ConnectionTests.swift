// How a NATS connection proves who it is, breaks, and comes back.

import Foundation
import Messaging
@testable import NATSMessaging
import TestKit
import Testing

@Suite struct `A NATS connection` {
    @Test func `comes back after the server restarts, and its subscriptions go on`() async throws {
        let server = try await TestServer.start()
        let bus = try await server.connect { $0.sendsAtOnce = true }
        let subscription = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        try bus.publish(text("news", "before"))
        #expect(try await received(1, from: subscription).map(\.text) == ["before"])
        let silent = try bus.subscribe("silent", queueGroup: nil, limits: .standard)
        let asking = Task { try await bus.request(text("silent", ""), timeout: .seconds(60)) }
        _ = try await received(1, from: silent)

        await server.server.kill()
        let lostError = await #expect(throws: BusError.self) { try await asking.value }
        #expect(lostError?.code == .notConnected)
        #expect(try await eventually { bus.state == .reconnecting })
        let refused = await #expect(throws: BusError.self) {
            try await bus.request(text("news", ""), timeout: .seconds(60))
        }
        #expect(refused?.code == .notConnected)
        #expect(bus.reconnectCount == 0)
        try bus.publish(text("news", "meanwhile"))

        let again = try await server.restarted()
        #expect(try await eventually { bus.state == .connected && bus.reconnectCount == 1 })
        try bus.publish(text("news", "after"))
        #expect(try await received(2, from: subscription).map(\.text) == ["meanwhile", "after"])
        let nobody = await #expect(throws: BusError.self) {
            try await bus.request(text("nobody", ""), timeout: .seconds(60))
        }
        #expect(nobody?.code == .noResponders)
        await bus.close()
        await again.server.terminate()
    }

    @Test func `ends a subscription and itself while it is reconnecting`() async throws {
        let server = try await TestServer.start()
        let bus = try await server.connect()
        let subscription = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        await server.server.kill()
        #expect(try await eventually { bus.state == .reconnecting })
        subscription.drain()
        let error = try await onThread { () -> BusError? in
            for _ in 0..<100 {
                do throws(BusError) { _ = try subscription.receive(maximum: 1, timeout: .milliseconds(50)) } catch {
                    return error
                }
            }
            return nil
        }
        #expect(error?.code == .closed)
        await bus.close()
        #expect(bus.state == .closed)
    }

    @Test func `fails to connect where no server is, unless told to go on trying`() async throws {
        let server = try await TestServer.start()
        await server.server.terminate()
        let error = await #expect(throws: BusError.self) { try await server.connect() }
        #expect(error?.code == .notConnected)

        let bus = try await server.connect { $0.retriesFirstConnect = true }
        #expect(bus.state != .connected)
        let again = try await server.restarted()
        #expect(try await eventually { bus.state == .connected })
        await bus.close()
        await again.server.terminate()
    }

    @Test func `shows a token, a user with password, or an NKey`() async throws {
        let nkey = "authorization { users: [ { nkey: \(IdentityFixtures.publicKey) } ] }"
        let directory = try Scratch()
        let seedFile = try directory.write("user.nk", IdentityFixtures.seed)
        let cases: [(String, NATSConfiguration.Credentials)] = [
            ("authorization { token: sesame }", .token("sesame")),
            (
                "authorization { user: anna, password: geheim }",
                .userPassword(user: "anna", password: "geheim")
            ),
            (nkey, .nkey(seedFile: seedFile, publicKey: IdentityFixtures.publicKey)),
        ]
        for (configuration, credentials) in cases {
            let server = try await TestServer.start(configuration: configuration)
            let bus = try await server.connect { $0.credentials = credentials }
            try await bus.flush(timeout: .seconds(5))
            await bus.close()
            for wrong in [.none, NATSConfiguration.Credentials.token("other")] {
                let error = await #expect(throws: BusError.self) {
                    try await server.connect { $0.credentials = wrong }
                }
                #expect(error?.code == .authenticationFailed)
            }
            await server.server.terminate()
        }
    }

    @Test func `is let in with an NKey each time, though libnats loses a signature now and then`() async throws {
        let directory = try Scratch()
        let seedFile = try directory.write("user.nk", IdentityFixtures.seed)
        let server = try await TestServer.start(
            configuration: "authorization { users: [ { nkey: \(IdentityFixtures.publicKey) } ] }")
        for _ in 0..<600 {
            let bus = try await server.connect {
                $0.credentials = .nkey(seedFile: seedFile, publicKey: IdentityFixtures.publicKey)
            }
            await bus.close()
        }
        await server.server.terminate()
    }

    @Test func `shows a credentials file`() async throws {
        let server = try await TestServer.start(configuration: IdentityFixtures.serverConfiguration)
        let file = try server.directory.write("user.creds", IdentityFixtures.credentials)
        let bus = try await server.connect { $0.credentials = .credentialsFile(file) }
        try await bus.flush(timeout: .seconds(5))
        await bus.close()
        await #expect(throws: BusError.self) {
            try await server.connect { $0.credentials = .credentialsFile(file + ".missing") }
        }
        await server.server.terminate()
    }

    @Test func `trusts only the authority it was told of, and shows its own certificate`() async throws {
        let directory = try Scratch()
        try await onThread { try CertificateFixtures.make(in: directory.path) }
        let path = directory.path
        let server = try await TestServer.start(
            configuration: """
                tls { cert_file: "\(path)/server.pem", key_file: "\(path)/server.key", ca_file: "\(path)/ca.pem", verify: true }
                """)
        var tls = NATSConfiguration.TLS(
            authorityFile: path + "/ca.pem", certificateFile: path + "/client.pem", keyFile: path + "/client.key",
            serverName: "localhost")
        let bus = try await server.connect { $0.tls = tls }
        try await bus.flush(timeout: .seconds(5))
        await bus.close()

        tls.serverName = "elsewhere.example"
        await #expect(throws: BusError.self) { try await server.connect { $0.tls = tls } }
        tls.serverName = "localhost"
        tls.authorityFile = path + "/other-ca.pem"
        let error = await #expect(throws: BusError.self) { try await server.connect { $0.tls = tls } }
        #expect(error?.code == .authenticationFailed)
        tls.skipsVerification = true
        let careless = try await server.connect { $0.tls = tls }
        try await careless.flush(timeout: .seconds(5))
        await careless.close()
        await #expect(throws: BusError.self) {
            try await server.connect {
                $0.tls = NATSConfiguration.TLS(authorityFile: path + "/ca.pem", serverName: "localhost")
            }
        }
        await server.server.terminate()
    }

    @Test func `is not put off by a stray word that nobody answers`() async throws {
        let server = try await TestServer.start()
        let bus = try await server.connect()
        let subscription = try bus.subscribe("inbox", queueGroup: nil, limits: .standard)
        for _ in 0..<3 { try bus.publish(Message(subject: "nobody", replyTo: "inbox", payload: [])) }
        try bus.publish(text("inbox", "real"))
        #expect(try await received(1, from: subscription).map(\.text) == ["real"])
        await bus.close()
        await server.server.terminate()
    }

    @Test func `makes refusals of the server visible`() async throws {
        let server = try await TestServer.start(
            configuration: """
                authorization { users: [ { user: viewer, password: x, permissions: {
                    publish: ["queries.>"], subscribe: ["_INBOX_viewer.>"] } } ] }
                """)
        let bus = try await server.connect {
            $0.credentials = .userPassword(user: "viewer", password: "x")
            $0.inboxPrefix = "_INBOX_viewer"
            $0.sendsAtOnce = true
        }
        try bus.publish(text("events.forbidden", ""))
        #expect(try await eventually { bus.permissionViolationCount == 1 })
        #expect(bus.permissionViolations.last?.contains("events.forbidden") == true)
        _ = try bus.subscribe("secrets.>", queueGroup: nil, limits: .standard)
        #expect(try await eventually { bus.permissionViolations.contains { $0.contains("secrets.>") } })
        let refused = await #expect(throws: BusError.self) {
            try await bus.request(text("events.asked", ""), timeout: .seconds(60))
        }
        #expect(refused?.code == .permissionDenied)
        let allowed = await #expect(throws: BusError.self) {
            try await bus.request(text("queries.asked", ""), timeout: .seconds(60))
        }
        #expect(allowed?.code == .noResponders)
        await bus.close()
        await server.server.terminate()
    }

    @Test func `demands a server's name wherever it can be known`() throws {
        func name(_ servers: [String], _ tls: NATSConfiguration.TLS?) throws -> String? {
            var configuration = NATSConfiguration(servers: servers, name: "node")
            configuration.tls = tls
            return try configuration.expectedServerName()
        }
        #expect(try name(["nats://a.example:4222"], nil) == nil)
        #expect(try name(["tls://anna:x@a.example:4222", "tls://a.example"], nil) == "a.example")
        #expect(try name(["nats://a.example:4222"], .init()) == "a.example")
        #expect(try name(["tls://127.0.0.1:4222"], .init(serverName: "b.example")) == "b.example")
        #expect(try name(["tls://127.0.0.1:4222"], .init(skipsVerification: true)) == nil)
        for servers in [["tls://127.0.0.1:4222"], ["tls://[fe80::1]:4222"], ["tls://a.example", "tls://b.example"]] {
            #expect(throws: BusError.self) { try name(servers, nil) }
        }
    }

    @Test func `doubles its wait up to the longest and never tells a password`() {
        var configuration = NATSConfiguration(servers: ["nats://anna:geheim@host:4222"], name: "node")
        configuration.credentials = .token("sesame")
        #expect(!"\(configuration)".contains("geheim") && !"\(configuration)".contains("sesame"))
        #expect("\(configuration)" == "node → nats://…@host:4222")
        let waits = [1, 2, 3, 6, 7, 100].map { configuration.reconnectDelayMilliseconds(attempt: $0) }
        #expect(waits == [100, 200, 400, 3200, 5000, 5000])
    }
}
