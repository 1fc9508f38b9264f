// One dialect of JSON for people's tools, on the command line and over HTTP, and the wire's own where it is asked for.

import Foundation
import TestKit
import Testing

@Suite struct `The dialect of JSON` {
    @Test func `has numbers as numbers, moments in RFC 3339 and every field`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1")
        let answer = try await node.lattice("query", "resolve", "checkout", "--at", "\(sequence)", "--json")
        let members = try answer.json
        let asOf = try #require(members["as_of"] as? [String: Any])
        #expect(asOf["sequence"] as? UInt64 == sequence && (asOf["recorded_at"] as? String)?.hasSuffix("Z") == true)
        #expect(members["protected"] as? Bool == false && members["omitted"] as? Int == 0, "\(answer)")
        let instance = try #require((members["instances"] as? [[String: Any]])?.first)
        #expect(instance["region"] as? String == "" && instance["metadata"] as? [String] == [], "\(answer)")
        #expect(instance["silent_since"] is NSNull && (instance["registered_at"] as? String)?.hasSuffix("Z") == true)
        let chosen = try await node.lattice("query", "select", "checkout", "--seed", "18446744073709551615", "--json")
        #expect(chosen.output.contains(#""seed":"18446744073709551615""#), "\(chosen)")
        let nodes = try #require(try await node.lattice("status", "--json").json["nodes"] as? [[String: Any]])
        #expect(try #require(nodes.first?["durable_sequence"] as? UInt64) >= sequence, "\(nodes)")
    }

    @Test func `is the wire's own where that is asked for`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1")
        let query = ["query", "resolve", "checkout"]
        let live = try await node.lattice(query + ["--at", "\(sequence)", "--json=wire"])
        #expect(live.output.contains(#""sequence":"\#(sequence)""#), "\(live)")
        #expect(!live.output.contains("protected"), "\(live)")
        let past = try await LatticeProcess.run(
            ["at", "\(sequence)"] + query + ["--data", node.data, "--json=wire"], in: node.scratch)
        #expect(past.output == live.output, "\(past)")
        let raw = try await LatticeProcess.run(
            [
                "at", "\(sequence)", "query", "registry.resolve", #"{"service_name":"checkout","healthy_only":true}"#,
                "--data", node.data, "--json=wire",
            ], in: node.scratch)
        #expect(raw.output == live.output, "\(raw)")
        for (option, text) in [
            ("--json", #""sequence":\#(sequence),"#), ("--json=wire", #""sequence":"\#(sequence)","#),
        ] {
            for command in [["log", "cat"], ["tail", "--from", "1", "--once"]] {
                let records = try await LatticeProcess.run(
                    command + ["--data", node.data, option], in: node.scratch)
                #expect(records.output.contains(text), "\(command) \(option) \(records)")
            }
        }
        let told = try await node.lattice("publish", "heartbeat", "checkout", "--id", "checkout-1", "--json=wire")
        #expect(told.output.contains(#""sequence":""#), "\(told)")
        // What has no form on the wire has none here.
        let none = try await LatticeProcess.run(["log", "info", "--data", node.data, "--json=wire"], in: node.scratch)
        #expect(none.status == 2, "\(none)")
        let other = try await node.lattice(query + ["--json=other"])
        #expect(other.status == 2, "\(other)")
    }

    @Test(.enabled(if: Curl.path != nil, "no curl here"))
    func `is the same over HTTP`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "127.0.0.1:0"])
        let sequence = try await node.register("checkout", "checkout-1")
        for (query, fields) in [
            ("resolve", ["checkout"]), ("topology", ["checkout"]), ("services", []), ("removals", []),
        ] {
            let byCommand = try await node.lattice(["query", query] + fields + ["--at", "\(sequence)", "--json"])
            // What the command line asks for where nothing is said.
            let healthy = query == "resolve" ? "&healthy_only=true" : ""
            let name = fields.first.map { "&service_name=\($0)" } ?? ""
            let overHTTP = try await Curl.ask(
                CurlRequest(
                    url: node.httpURL + "/v1/queries/registry/\(query)?at_sequence=\(sequence)\(name)\(healthy)"),
                in: node.scratch)
            #expect(
                overHTTP.status == 200 && overHTTP.body + "\n" == byCommand.output, "\(query) \(overHTTP) \(byCommand)")
        }
        let refused = try await Curl.ask(
            CurlRequest(url: node.httpURL + "/v1/queries/registry/services?at_sequence=999999"), in: node.scratch)
        #expect(refused.status == 425, "\(refused)")
        #expect(try refused.json["code"] as? String == "not_yet" && refused.json["sequence"] is NSNumber, "\(refused)")
        let senseless = try await Curl.ask(
            CurlRequest(url: node.httpURL + "/v1/queries/registry/resolve?healthy_only=maybe"), in: node.scratch)
        #expect(try senseless.status == 400 && senseless.json["message"] as? String != nil, "\(senseless)")
    }
}
