// Files of tokens: what they may hold, that they change while the node runs, and that nobody else should read them.

import Foundation
import Listeners
import TestKit
import Testing

private let long = String(repeating: "k", count: 32)

@Suite struct `Files of tokens` {
    @Test func `lines are a name, a role and a token`() throws {
        let tokens = try AccessTokens(
            parsing: "\u{FEFF}# people\r\n\r\n\talice  operator\t\(long)1\nalice operator \(long)2\n"
                + "pay.eu service \(long)3\n  # end")
        #expect(tokens.all.map(\.description) == ["alice (operator)", "alice (operator)", "pay.eu (service)"])
        #expect(tokens.holder(of: "\(long)2")?.name == "alice")
        #expect(tokens.holder(of: "\(long)3")?.role == .service)
        for wrong in ["", long, "\(long)4", "\(long)22", String(repeating: "x", count: 33)] {
            #expect(tokens.holder(of: wrong[...]) == nil)
        }
    }

    @Test(arguments: [
        "", "# nothing\n", "alice \(long)", "alice operator", "alice operator \(long) more", "alice admin \(long)",
        "alice Operator \(long)", "alice operator short", "unverified operator \(long)",
        "unverified:x viewer \(long)", "a operator \(long)\nb viewer \(long)", "a operator \(long)1\na viewer \(long)2",
        "a operator \(long)ü", "\(String(repeating: "n", count: 257)) viewer \(long)", "a\u{9B}b viewer \(long)",
    ])
    func `a mistake is told by its line, without the token`(text: String) {
        do {
            let tokens = try AccessTokens(parsing: text)
            Issue.record("\(tokens.all)")
        } catch {
            #expect(!error.description.contains(long), "\(error)")
            #expect(error.description.contains("line ") || text.isEmpty || text.hasPrefix("#"), "\(error)")
        }
    }

    private func status(_ node: RunningNode, _ token: String) async throws -> Int {
        try await ReceiverNode.get(node.httpURL + "/v1/queries/audit/trail", token: token).status
    }

    @Test func `a file that changes is taken, and one with a mistake is not`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("tokens", "frank forensic \(long)1\n")
        let node = try await RunningNode(scratch, ["--http", "127.0.0.1:0", "--http-tokens-file", file])
        #expect(try await status(node, long + "1") == 200)
        _ = try scratch.write("tokens", "grace forensic \(long)2\n")
        let isTaken = try await eventually(within: .seconds(20)) { try await status(node, long + "2") == 200 }
        #expect(isTaken)
        #expect(try await status(node, long + "1") == 401)
        _ = try scratch.write("tokens", "grace forensic \(long)2\nmallory operator\n")
        let isTold = try await eventually(within: .seconds(20)) { node.errors.contains("line 2") }
        #expect(isTold, "\(node.errors)")
        #expect(try await status(node, long + "2") == 200)
        // Whoever does not want to wait sends a signal.
        _ = try scratch.write("tokens", "heidi forensic \(long)3\n")
        node.send(SIGHUP)
        let isTakenAtOnce = try await eventually { try await status(node, long + "3") == 200 }
        #expect(isTakenAtOnce)
        #expect(!node.errors.contains(long) && !node.banner.contains(long))
        #expect(try await node.stop().status == 0)
    }

    @Test func `a node does not start with a file of tokens that it can not use`() async throws {
        let scratch = try Scratch()
        for (text, reason) in [("alice operator short\n", "shorter"), ("alice \(long)\n", "NAME ROLE TOKEN")] {
            let file = try scratch.write("tokens", text)
            let ended = try await LatticeProcess.run(
                ["serve", "--data", scratch.path("data"), "--http", "127.0.0.1:0", "--http-tokens-file", file],
                in: scratch)
            #expect(ended.status == 1 && ended.errors.contains(reason) && !ended.errors.contains(long), "\(ended)")
        }
        let missing = try await LatticeProcess.run(
            [
                "serve", "--data", scratch.path("data"), "--http", "127.0.0.1:0", "--http-tokens-file",
                scratch.path("no"),
            ],
            in: scratch)
        #expect(missing.status == 1 && missing.errors.contains("can not be read"), "\(missing)")
    }

    @Test func `a file that others can read is told of`() async throws {
        let scratch = try Scratch()
        for (mode, isTold) in [(0o644, true), (0o600, false), (0o620, true), (0o440, false)] {
            let file = try scratch.write("tokens-\(mode)", "alice operator \(long)\n")
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
            let node = try await RunningNode(
                scratch, data: "data-\(mode)", ["--http", "127.0.0.1:0", "--http-tokens-file", file])
            #expect(node.errors.contains("chmod 600") == isTold, "\(mode) \(node.errors)")
        }
    }

    @Test func `the settings name the files, and never what stands in them`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("tokens", "alice operator \(long)\n")
        let ended = try await LatticeProcess.run(
            ["serve", "--print-config", "--http-tokens-file", file, "--http-host", "node", "--http-host", ".mesh"],
            in: scratch)
        #expect(ended.output.contains("\nhttp_tokens_file: \(file) "), "\(ended)")
        #expect(ended.output.contains(#"http_host: ["node", ".mesh"]"#), "\(ended)")
        #expect(!ended.output.contains(long))
        let mistake = try await LatticeProcess.run(
            ["serve", "--print-config", "--http-host", "http://node"], in: scratch)
        #expect(mistake.status == 2, "\(mistake)")
    }

    @Test func `readers of traces show a token of theirs or one with a name`() async throws {
        let scratch = try Scratch()
        let named = try scratch.write("tokens", "vera viewer \(long)1\ncheckout service \(long)2\n")
        let single = try scratch.write("reader", long + "3")
        let node = try await ReceiverNode(
            ["--jaeger", "127.0.0.1:0", "--http-tokens-file", named, "--reader-token-file", single], scratch: scratch)
        for (listener, path) in [("jaeger", "/api/services"), ("zipkin", "/api/v2/services")] {
            let url = try node.url(listener) + path
            for (token, expected) in [("1", 200), ("2", 403), ("3", 200), ("4", 401)] {
                let answer = try await ReceiverNode.get(url, token: long + token)
                #expect(answer.status == expected, "\(listener) \(token) \(answer)")
            }
            #expect(try await ReceiverNode.get(url).status == 401)
        }
        // The token of readers of traces is no token of the node's own HTTP.
        let http = try node.url("http") + "/metrics"
        #expect(try await ReceiverNode.get(http, token: long + "3").status == 401)
        #expect(try await ReceiverNode.get(http, token: long + "1").status == 200)
    }
}
