// Who a connection is by its NKey: the file, the signature, and a signature that libnats would lose.

import EventModel
@testable import NATSMessaging
import Messaging
import TestKit
import Testing

@Suite struct `An identity with an NKey` {
    private static let seed = Array(IdentityFixtures.seed.utf8)

    @Test func `signs as Ed25519 does`() throws {
        // Made with another library (RFC 8032).
        let expected =
            "df07817eb8e311892850be298f6c5f0a2f60b0cf9100afd6233acd804a4ff269"
            + "fb5d4cd43fe4331e8df4cad80faa8b136f64678544009b98abd2b44e10510600"
        let signature = try NATSSignature.sign(Array("a nonce".utf8), seed: Self.seed)
        #expect(signature == .made(try #require(bytes(expected))))
    }

    @Test func `knows the signatures that an old libnats would not send`() throws {
        let nonce = Array("slluCS7KXdBGKT8".utf8)
        #expect(try NATSSignature.sign(nonce, seed: Self.seed, version: 0x03_0401) == .unsendable)
        guard case .made(let signature) = try NATSSignature.sign(nonce, seed: Self.seed, version: 0x03_0800) else {
            throw BusError(.other, "not made")
        }
        #expect(signature.first == 0 && signature.count == 64)
    }

    @Test func `reads a seed alone, a file of credentials, and lines that end as on Windows`() throws {
        let directory = try Scratch()
        let windows = IdentityFixtures.credentials.replacing("\n", with: "\r\n")
        // As nsc and the server's own library write it.
        let decorated =
            IdentityFixtures.credentials.replacing(
                "-----BEGIN USER NKEY SEED-----",
                with: """
                    ************************* IMPORTANT *************************
                    NKEY Seed printed below can be used to sign and prove identity.
                    NKEYs are sensitive and should be treated as secrets.

                    -----BEGIN USER NKEY SEED-----
                    """) + "\n*************************************************************\n"
        for text in [IdentityFixtures.credentials, windows, decorated] {
            let file = NATSIdentityFile(path: try directory.write("user.creds", text))
            #expect(try file.seed() == Self.seed)
            let token = String(decoding: try file.token(), as: UTF8.self)
            #expect(token.hasPrefix("eyJ") && token.split(separator: ".").count == 3)
        }
        for text in [IdentityFixtures.seed, "# a comment\n\n  \(IdentityFixtures.seed)\t\n"] {
            let file = NATSIdentityFile(path: try directory.write("user.nk", text))
            #expect(try file.seed() == Self.seed)
            #expect(throws: BusError.self) { try file.token() }
        }
    }

    @Test func `says what is wrong with a file, and nothing of what is in it`() throws {
        let directory = try Scratch()
        for text in ["", "---", "-----BEGIN USER NKEY SEED-----\n", "sesame", "---\nsesame\n---\n", "\u{0}\n\u{0}"] {
            let file = NATSIdentityFile(path: try directory.write("user.creds", text))
            let error = #expect(throws: BusError.self) { try file.seed() }
            #expect(error?.code == .invalidArgument && error?.message.contains("sesame") == false, "\(text)")
        }
        let missing = NATSIdentityFile(path: directory.path + "/missing")
        #expect(throws: BusError.self) { try missing.seed() }
        #expect(throws: BusError.self) { try NATSSignature.sign([1], seed: Array("SUA".utf8)) }
    }

    @Test(arguments: [false, true])
    func `comes back when its file is right again`(hasToken: Bool) async throws {
        let directory = try Scratch()
        let right = hasToken ? IdentityFixtures.credentials : IdentityFixtures.seed
        let file = try directory.write("user", right)
        let configuration =
            hasToken
            ? IdentityFixtures.serverConfiguration
            : "authorization { users: [ { nkey: \(IdentityFixtures.publicKey) } ] }"
        let server = try await TestServer.start(configuration: configuration)
        let bus = try await server.connect {
            $0.credentials =
                hasToken
                ? .credentialsFile(file) : .nkey(seedFile: file, publicKey: IdentityFixtures.publicKey)
        }
        _ = try directory.write("user", "nothing")
        await server.server.terminate()
        let again = try await server.restarted(configuration: configuration)
        // Several attempts fail meanwhile; none of them is the last.
        try await Task.sleep(for: .milliseconds(400))
        #expect(bus.state != .connected)
        _ = try directory.write("user", right)
        #expect(try await eventually { bus.state == .connected })
        await bus.close()
        await again.server.terminate()
    }

    @Test(arguments: [false, true])
    func `is let in by a server that asks nobody`(hasToken: Bool) async throws {
        let server = try await TestServer.start()
        let file = try server.directory.write(
            "user", hasToken ? IdentityFixtures.credentials : IdentityFixtures.seed)
        let bus = try await server.connect {
            $0.credentials =
                hasToken
                ? .credentialsFile(file) : .nkey(seedFile: file, publicKey: IdentityFixtures.publicKey)
        }
        try await bus.flush(timeout: .seconds(5))
        await bus.close()
        await server.server.terminate()
    }

    private func bytes(_ hex: String) -> [UInt8]? {
        let digits = Array(hex)
        guard digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).reduce(into: [UInt8]()) { bytes, index in
            if let byte = UInt8(String(digits[index...index + 1]), radix: 16) { bytes.append(byte) }
        }
    }
}
