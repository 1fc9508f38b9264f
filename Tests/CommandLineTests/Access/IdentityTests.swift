// How the command line shows a server who it is, and whom it trusts.

import Foundation
import NATSMessaging
import TestKit
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
        #expect(try await eventually(within: .seconds(20)) { node.output.contains("\n") || !node.isRunning })
        try #require(node.isRunning, "\(node.errors)")
        let asked = try await LatticeProcess.run(
            ["query", "status", "--json", "--nats", url] + options, in: scratch, environment: environment)
        #expect(asked.status == 0, "\(asked)")
        let published = try await LatticeProcess.run(
            ["publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80", "--nats", url] + options,
            in: scratch, environment: environment)
        #expect(published.status == 0, "\(published)")
        let stranger = try await LatticeProcess.run(
            ["query", "status", "--nats", url.replacingOccurrences(of: "tls://", with: "nats://")], in: scratch)
        #expect(stranger.status == 3, "\(stranger)")
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
        await guarded.server.terminate()
    }

    @Test func `a token, also from the environment`() async throws {
        let configuration = "authorization { token: sesame }"
        try await isServed(configuration, ["--token", "sesame"], scratch: try Scratch())
        for variable in ["LATTICE_TOKEN", "LATTICE_NATS_TOKEN"] {
            try await isServed(configuration, [], environment: [variable: "sesame"], scratch: try Scratch())
        }
        let scratch = try Scratch()
        let file = try scratch.write("token", "sesame\n")
        try await isServed(configuration, ["--token-file", file], scratch: scratch)
    }

    @Test func `a user and a password, also from the environment`() async throws {
        let configuration = "authorization { user: anna, password: geheim }"
        try await isServed(configuration, ["--user", "anna", "--password", "geheim"], scratch: try Scratch())
        try await isServed(
            configuration, ["--user", "anna"], environment: ["LATTICE_NATS_PASSWORD": "geheim"], scratch: try Scratch())
        let scratch = try Scratch()
        let file = try scratch.write("password", "geheim\n")
        try await isServed(
            configuration, ["--password-file", file], environment: ["LATTICE_USER": "anna"], scratch: scratch)
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

    @Test func `a missing certificate or name is said`() async throws {
        let scratch = try Scratch()
        try CertificateFixtures.make(in: scratch.directory)
        let path = scratch.directory
        let guarded = try await GuardedServer(
            scratch,
            """
            tls { cert_file: "\(path)/server.pem", key_file: "\(path)/server.key", ca_file: "\(path)/ca.pem", verify: true }
            """)
        let ask = ["query", "status", "--nats", guarded.server.url, "--tls-ca", path + "/ca.pem"]
        let nameless = try await LatticeProcess.run(ask, in: scratch)
        #expect(nameless.status == 2 && nameless.errors.contains("--tls-server-name"), "\(nameless)")
        let bare = try await LatticeProcess.run(ask + ["--tls-server-name", "localhost"], in: scratch)
        #expect(bare.status == 3 && bare.errors.contains("--tls-cert"), "\(bare)")
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

    @Test func `the shipped roles are enough for a node, a viewer and an operator, each with an inbox of its own`()
        async throws
    {
        let scratch = try Scratch()
        let root = BuiltProgram.repository
        let roles = try String(contentsOf: root.appendingPathComponent("Documentation/roles.conf"), encoding: .utf8)
        let guarded = try await GuardedServer(
            scratch, roles.replacing(/\$LATTICE_PASSWORD_[A-Z]+/, with: "secret"))
        func role(_ user: String) -> [String] {
            [
                "--nats", guarded.server.url, "--user", user, "--password", "secret", "--inbox-prefix",
                "_INBOX.\(user)",
            ]
        }
        func run(_ arguments: [String], as user: String) async throws -> Ended {
            try await LatticeProcess.run(arguments + role(user), in: scratch)
        }
        let node = try await RunningNode(scratch, ["--http", "none"] + role("node"))
        let registered = try await run(
            ["publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80"], as: "checkout")
        #expect(registered.status == 0, "\(registered)")
        let seen = try await run(["query", "resolve", "checkout", "--json"], as: "viewer")
        #expect(seen.status == 0 && seen.output.contains(#""instance_id":"a""#), "\(seen)")
        let refused = try await run(
            ["publish", "deregister", "checkout", "--id", "a", "--timeout", "1s"], as: "viewer")
        #expect(refused.status != 0, "\(refused)")
        let removed = try await run(
            ["publish", "deregister", "checkout", "--id", "a", "--as", "alice"], as: "alice")
        #expect(removed.status == 0, "\(removed)")
        let curious = try await LatticeProcess.run(
            ["query", "services", "--timeout", "1s"] + role("viewer").dropLast(2), in: scratch)
        #expect(curious.status != 0, "heard an inbox that is not its own: \(curious)")
        #expect(try await node.stop().status == 0)
        await guarded.server.terminate()
    }
}
