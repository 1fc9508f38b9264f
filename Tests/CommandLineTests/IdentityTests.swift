// How the command line shows a server who it is, and whom it trusts.

import Foundation
import NATSMessaging
import TestFixtures
import Testing

/// A nats-server with a configuration of the test's own.
private struct GuardedServer {
    let server: EmbeddedNATSServer

    init(_ scratch: Scratch, _ configuration: String) async throws {
        var options = EmbeddedNATSServer.Options(directory: scratch.directory)
        options.configurationFile = try scratch.write("\(UUID().uuidString).conf", configuration)
        server = try await EmbeddedNATSServer.start(options)
    }
}

@Suite struct `Identity on the command line` {
    /// Runs a node and a customer with these options, and shows that others are turned away.
    private func isServed(
        _ configuration: String, _ options: [String], environment: [String: String] = [:], scratch: Scratch
    ) async throws {
        let guarded = try await GuardedServer(scratch, configuration)
        let url = guarded.server.url
        let node = try LatticeProcess(
            ["serve", "--data", "data", "--json", "--http", "none", "--nats", url] + options, in: scratch,
            environment: environment)
        #expect(try await eventually(within: 20) { node.output.contains("\n") || !node.isRunning })
        try #require(node.isRunning, "\(node.errors)")
        let asked = try await LatticeProcess.run(
            ["query", "status", "--json", "--nats", url] + options, in: scratch, environment: environment)
        #expect(asked.status == 0, "\(asked)")
        let published = try await LatticeProcess.run(
            ["publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80", "--nats", url] + options,
            in: scratch, environment: environment)
        #expect(published.status == 0, "\(published)")
        let stranger = try await LatticeProcess.run(["query", "status", "--nats", url], in: scratch)
        #expect(stranger.status == 3, "\(stranger)")
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
        await guarded.server.terminate()
    }

    @Test func `a token, also from the environment`() async throws {
        let configuration = "authorization { token: sesame }"
        try await isServed(configuration, ["--token", "sesame"], scratch: try Scratch())
        try await isServed(
            configuration, [], environment: ["LATTICE_NATS_TOKEN": "sesame"], scratch: try Scratch())
    }

    @Test func `a user and a password, also from the environment`() async throws {
        let configuration = "authorization { user: anna, password: geheim }"
        try await isServed(configuration, ["--user", "anna", "--password", "geheim"], scratch: try Scratch())
        try await isServed(
            configuration, ["--user", "anna"], environment: ["LATTICE_NATS_PASSWORD": "geheim"], scratch: try Scratch())
    }

    @Test func `an NKey`() async throws {
        let scratch = try Scratch()
        let seed = try scratch.write("user.nk", IdentityFixtures.seed)
        try await isServed(
            "authorization { users: [ { nkey: \(IdentityFixtures.publicKey) } ] }",
            ["--nkey", seed, "--nkey-public", IdentityFixtures.publicKey], scratch: scratch)
    }

    @Test func `a credentials file`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("user.creds", IdentityFixtures.credentials)
        try await isServed(IdentityFixtures.serverConfiguration, ["--creds", file], scratch: scratch)
    }

    @Test func `certificates of both sides`() async throws {
        let scratch = try Scratch()
        try CertificateFixtures.make(in: scratch.directory)
        let path = scratch.directory
        try await isServed(
            """
            tls { cert_file: "\(path)/server.pem", key_file: "\(path)/server.key", ca_file: "\(path)/ca.pem", verify: true }
            """,
            [
                "--tls-ca", path + "/ca.pem", "--tls-cert", path + "/client.pem", "--tls-key", path + "/client.key",
                "--tls-server-name", "localhost",
            ], scratch: scratch)
    }

    @Test func `a server of another authority is not trusted, and the answer says what to give`() async throws {
        let scratch = try Scratch()
        try CertificateFixtures.make(in: scratch.directory)
        let path = scratch.directory
        let guarded = try await GuardedServer(
            scratch, "tls { cert_file: \"\(path)/server.pem\", key_file: \"\(path)/server.key\" }")
        let ended = try await LatticeProcess.run(
            [
                "query", "status", "--nats", guarded.server.url, "--tls-ca", path + "/other-ca.pem",
                "--tls-server-name", "localhost",
            ], in: scratch)
        #expect(ended.status == 3 && ended.errors.contains("--tls-ca"), "\(ended)")
        await guarded.server.terminate()
    }

    @Test func `a wrong password is said, with what there is to give`() async throws {
        let scratch = try Scratch()
        let guarded = try await GuardedServer(scratch, "authorization { user: anna, password: geheim }")
        let ended = try await LatticeProcess.run(
            ["query", "status", "--nats", guarded.server.url, "--user", "anna", "--password", "x"], in: scratch)
        #expect(ended.status == 3 && ended.errors.contains("--creds"), "\(ended)")
        #expect(!ended.errors.contains("geheim"))
        await guarded.server.terminate()
    }

    @Test func `a user who may hear an inbox of its own only asks and publishes with it`() async throws {
        let scratch = try Scratch()
        let guarded = try await GuardedServer(
            scratch,
            """
            authorization { users: [
                { user: node, password: x }
                { user: alice, password: x, permissions: {
                    publish: ["lattice.queries.>", "lattice.events.>"], subscribe: ["_INBOX.alice.>"] } }
            ] }
            """)
        let url = guarded.server.url
        let node = try await RunningNode(
            scratch, ["--http", "none", "--nats", url, "--user", "node", "--password", "x"])
        let alice = ["--nats", url, "--user", "alice", "--password", "x", "--inbox-prefix", "_INBOX.alice"]
        let asked = try await LatticeProcess.run(["query", "services"] + alice, in: scratch)
        #expect(asked.status == 0, "\(asked)")
        let published = try await LatticeProcess.run(
            ["publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80"] + alice, in: scratch)
        #expect(published.status == 0, "\(published)")
        let without = try await LatticeProcess.run(
            ["query", "services", "--timeout", "1s"] + alice.dropLast(2), in: scratch)
        #expect(without.status != 0, "\(without)")
        #expect(try await node.stop().status == 0)
        await guarded.server.terminate()
    }
}
