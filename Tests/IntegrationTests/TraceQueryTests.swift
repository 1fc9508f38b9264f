// Every question about traces over NATS, in both encodings, now and in the past, and what a wrong question is told.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `asked about traces` {
        private let maker = SpanMaker()
        private let one = #"{"trace_id":"\#(SpanMaker.trace(1))""#

        private func onStage(_ story: (Client, RunningNode) async throws -> Void) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                try await story(try await stage.client(), node)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `assembles a trace, to the tag`(_ encoding: Encoding) async throws {
            try await onStage { client, node in
                let outcome = try await client.call(maker)
                #expect(outcome["accepted"].number == 2)
                let answer = try await client.query("trace.trace", one + "}", as: encoding)
                #expect(answer["as_of"]["sequence"].number == Int(node.node.appliedSequence.rawValue))
                #expect(answer["spans"].items.map { $0["span"]["operation_name"].text } == ["GET /", "o", "add", "o"])
                #expect(answer["spans"].items.map { $0["parent_index"].text } == ["", "0", "1", "2"])
                #expect(answer["resources"].items.map { $0["service_name"].text } == ["web", "cart"])
                #expect(answer["resources"][1]["tags"][0]["string_value"].text == "cart-1")
                let add = answer["spans"][2]
                #expect(
                    add["span"]["tags"][0]["key"].text == "user" && add["span"]["tags"][0]["string_value"].text == "u1")
                #expect(add["span"]["logs"][0]["name"].text == "retry" && add["span"]["status_message"].text == "m")
                #expect(add["sequence"].text == outcome["sequence"].text && add["resource_index"].number == 1)
                #expect(add["self_time_ns"].number == 20_000_000)
                #expect(answer["complete"].isTrue && answer["total_duration_ns"].number == 100_000_000)
                #expect(answer["span_count"].number == 4 && answer["service_count"].number == 2)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `takes settings by an event, answers by them, and keeps the past as it was`(
            _ encoding: Encoding
        ) async throws {
            try await onStage { client, _ in
                let before = try await client.tell(.guardReleased, "alice", #"{"service_name":"nobody"}"#)
                let objective = #"{"service_name":"cart","latency_ns":"25000000","availability_basis_points":9900}"#
                let change = #"{"spans_per_trace":3,"objectives":["# + objective + #"],"reason":"test"}"#
                let done = try await client.tell(.tracesConfigured, "alice", change, as: encoding)
                #expect(done["outcome"].text == "accepted")
                let wrong = try await client.tell(.tracesConfigured, "alice", #"{"anomaly_factor":0}"#, as: encoding)
                #expect(wrong["outcome"].text == "refused" && wrong["reason"].text == "invalid_setting")
                try await client.call(maker)
                let spans = (5...6).map { maker.span($0, in: 1, 0, 10) }
                let full = try await client.trace("web", spans)
                #expect(full["refused"][0]["reason"].text == "too_many_spans")
                let report = try await client.query("trace.slo", as: encoding)
                #expect(report["services"][0]["objective"]["service_name"].text == "cart")
                #expect(try await client.query("trace.stats")["settings"]["spans_per_trace"].number == 3)
                let past = try await client.query("trace.stats", #"{"at_sequence":"\#(before["sequence"].text)"}"#)
                #expect(past["settings"]["spans_per_trace"].number == 20_000)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `finds by kind, duration and whom one span calls`(_ encoding: Encoding) async throws {
            try await onStage { client, _ in
                try await client.call(maker)
                try await client.trace("web", [maker.span(9, 0, 10, trace: 2, kind: "server")])
                func found(_ fields: String) async throws -> Int {
                    try await client.query("trace.search", "{\(fields)}", as: encoding)["traces"].items.count
                }
                #expect(try await found(#""span_kind":"client""#) == 1)
                #expect(try await found(#""service_name":"web","span_kind":"producer""#) == 0)
                #expect(try await found(#""peer_name":"mysql""#) == 1)
                #expect(try await found(#""service_name":"web","peer_name":"mysql""#) == 0)
                #expect(try await found(#""peer_name":"nobody""#) == 0)
                #expect(try await found(#""service_name":"web","min_span_duration_ns":"50000000""#) == 1)
                #expect(try await found(#""service_name":"web","max_span_duration_ns":"10000000""#) == 1)
                #expect(try await found(#""min_span_duration_ns":"2","max_span_duration_ns":"1""#) == 0)
                #expect(try await found(#""tags":[{"key":"user","any_value":true}]"#) == 1)
                #expect(try await found(#""tags":[{"key":"retry","any_value":true}]"#) == 1, "a log's name")
                #expect(try await found(#""tags":[{"key":"nothing","any_value":true}]"#) == 0)
                #expect(try await found("") == 2)
            }
        }

        @Test func `corrects clocks, and shows them as they were where asked`() async throws {
            try await onStage { client, _ in
                try await client.trace("web", [maker.span(1, 0, 100, kind: "client")], host: "a")
                try await client.trace("cart", [maker.span(2, in: 1, 500, 540)], host: "b")
                func start(_ more: String) async throws -> Int {
                    let answer = try await client.query("trace.trace", one + more + "}")
                    return (answer["spans"][1]["span"]["start_time"].number - Int(maker.start)) / 1_000_000
                }
                #expect(try await start("") == 30)
                #expect(try await start(#","raw":true"#) == 500)
                #expect(try await start(#","max_clock_skew_ns":"1000""#) == 500)
                let refused = try await client.query("trace.trace", one + #","max_clock_skew_ns":"1000"}"#)
                #expect(refused["spans"][1]["warnings"][0].text.contains("exceeded"))
            }
        }

        @Test func `pages a trace`() async throws {
            try await onStage { client, _ in
                try await client.trace("web", (1...25).map { maker.span($0, in: $0 == 1 ? nil : 1, $0, $0 + 1) })
                var (token, found) = ("", [String]())
                repeat {
                    let page = try await client.query("trace.trace", one + #","limit":10,"page_token":"\#(token)"}"#)
                    #expect(page["offset"].number == found.count && page["span_count"].number == 25)
                    found += page["spans"].items.map { $0["span"]["span_id"].text }
                    token = page["next_page_token"].text
                } while !token.isEmpty
                #expect(found == (1...25).map { SpanMaker.span($0) })
            }
        }

        @Test func `cuts a page where a message ends`() async throws {
            try await onStage { client, _ in
                let text = String(repeating: "x", count: 4_000)
                for batch in 0..<4 {
                    try await client.trace(
                        "web",
                        (1...64).map { maker.span(batch * 64 + $0, $0, $0 + 1, tags: ["a": text]) })
                }
                let page = try await client.query("trace.trace", one + "}", as: .protobuf)
                #expect(page["span_count"].number == 256 && (100..<256).contains(page["spans"].items.count))
                let rest = try await client.query(
                    "trace.trace", one + #","page_token":"\#(page["next_page_token"].text)"}"#, as: .protobuf)
                #expect(rest["spans"].items.count == 256 - page["spans"].items.count)
            }
        }

        @Test(arguments: Encoding.allCases)
        func `finds spans and children`(_ encoding: Encoding) async throws {
            try await onStage { client, _ in
                try await client.call(maker)
                let span = one + #","span_id":"\#(SpanMaker.span(3))"}"#
                let found = try await client.query("trace.span", span, as: encoding)
                #expect(found["spans"].items.map { $0["span"]["operation_name"].text } == ["add"])
                #expect(found["spans"][0]["span"]["tags"][0]["string_value"].text == "u1")
                let children = try await client.query("trace.children", span, as: encoding)
                #expect(children["spans"].items.map { $0["span"]["span_id"].text } == [SpanMaker.span(4)])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `breaks latency down and walks the critical path`(_ encoding: Encoding) async throws {
            try await onStage { client, _ in
                try await client.call(maker, status: "error")
                let rows = try await client.query("trace.latency_breakdown", one + "}", as: encoding)["services"]
                #expect(rows.items.map { $0["service_name"].text } == ["cart", "web"])
                #expect(rows.items.map { $0["self_ns"].number } == [50_000_000, 50_000_000])
                #expect(rows[0]["error_rate"].text == "0.5")
                let path = try await client.query("trace.critical_path", one + "}", as: encoding)
                let total = path["sections"].items.map { $0["duration_ns"].number }.reduce(0, +)
                #expect(total == 100_000_000 && path["total_duration_ns"].number == total)
                #expect(path["shares"].items.map { $0["share_basis_points"].number } == [5_000, 5_000])
                #expect(path["slacks"].items.count == 4)
                let short = try await client.query("trace.critical_path", one + #","limit":1}"#, as: encoding)
                #expect(short["sections"].items.count == 1 && short["omitted"].number > 0)
            }
        }

        @Test func `draws a flame graph, folded and nested`() async throws {
            try await onStage { client, _ in
                try await client.call(maker)
                let folded = try await client.query("trace.flamegraph", one + "}")["folded"].text
                #expect(folded.split(separator: "\n").count == 4 && folded.hasPrefix("web: GET / 30000000\n"))
                let nested = try await client.query("trace.flamegraph", one + #","format":"json"}"#)["json"].text
                #expect(try JSON(text: Array(nested.utf8))["value"].number == 100_000_000)
            }
        }

        @Test func `compares two traces`() async throws {
            try await onStage { client, _ in
                try await client.call(maker)
                try await client.call(maker, trace: 2)
                try await client.trace("cart", [maker.span(9, in: 3, 61, 69, trace: 2, operation: "new")])
                let answer = try await client.query(
                    "trace.compare", one + #","other_trace_id":"\#(SpanMaker.trace(2))"}"#)
                let new = answer["operations"].items.filter { $0["operation_name"].text == "new" }
                #expect(new.map { $0["count_after"].number } == [1] && new.map { $0["count_before"].number } == [0])
                #expect(answer["paths"].items.map { $0["path"].items.last?.text } == ["cart: new"])
            }
        }

        @Test(arguments: Encoding.allCases)
        func `searches by service, operation, duration, error and time, page by page`(
            _ encoding: Encoding
        ) async throws {
            try await onStage { client, _ in
                for trace in 1...12 {
                    try await client.call(maker, trace: trace, at: trace * 10, status: trace % 4 == 0 ? "error" : "ok")
                }
                func ids(_ question: String) async throws -> [String] {
                    let answer = try await client.query("trace.search", question, as: encoding)
                    return answer["traces"].items.map { $0["trace_id"].text }
                }
                #expect(try await ids("{}") == (1...12).reversed().map { SpanMaker.trace($0) })
                #expect(try await ids(#"{"service_name":"cart","operation_name":"GET /"}"#).isEmpty)
                #expect(try await ids(#"{"service_name":"web","operation_name":"GET /"}"#).count == 12)
                #expect(try await ids(#"{"error":true}"#) == [12, 8, 4].map { SpanMaker.trace($0) })
                #expect(try await ids(#"{"min_duration_ns":"100000001"}"#).isEmpty)
                let early = maker.start + 30_000_000
                #expect(try await ids(#"{"start_time_max":"\#(early)"}"#) == [3, 2, 1].map { SpanMaker.trace($0) })
                var (token, found) = ("", [String]())
                repeat {
                    let page = try await client.query(
                        "trace.search", #"{"limit":5,"page_token":"\#(token)"}"#, as: encoding)
                    found += page["traces"].items.map { $0["trace_id"].text }
                    token = page["next_page_token"].text
                } while !token.isEmpty
                #expect(found == (1...12).reversed().map { SpanMaker.trace($0) })
            }
        }

        @Test func `searches by tags of a span or its process`() async throws {
            try await onStage { client, _ in
                for trace in 1...6 { try await client.call(maker, trace: trace, at: trace) }
                func ids(_ key: String, _ value: String, _ more: String = "") async throws -> [String] {
                    let answer = try await client.query(
                        "trace.search", #"{"tags":[{"key":"\#(key)","value":"\#(value)"}]\#(more)}"#)
                    return answer["traces"].items.map { $0["trace_id"].text }
                }
                #expect(try await ids("user", "u4") == [SpanMaker.trace(4)])
                #expect(try await ids("user", "u4", #","service_name":"web""#).isEmpty)
                #expect(try await ids("host.name", "cart-1").count == 6)
                #expect(try await ids("user", "nobody").isEmpty)
                #expect(try await ids("host.name", "cart-1", #","limit":2"#) == [6, 5].map { SpanMaker.trace($0) })
            }
        }

        @Test(arguments: Encoding.allCases)
        func `knows services, operations and who calls whom`(_ encoding: Encoding) async throws {
            try await onStage { client, _ in
                for trace in 1...3 { try await client.call(maker, trace: trace, status: trace == 1 ? "error" : "ok") }
                let services = try await client.query("trace.services", "{}", as: encoding)["operations"]
                #expect(services.items.map { $0["service_name"].text } == ["cart", "web"])
                #expect(
                    services.items.map { $0["call_count"].number } == [6, 6] && services[0]["error_count"].number == 1)
                let cart = try await client.query("trace.operations", #"{"service_name":"cart"}"#, as: encoding)
                #expect(cart["operations"].items.map { $0["operation_name"].text } == ["add", "o"])
                #expect(cart["operations"].items.map { $0["kind"].text } == ["server", "client"])
                #expect(cart["operations"][0]["latency"]["max_ns"].number / 1_000_000 == 50)
                let graph = try await client.query("trace.dependencies", "{}", as: encoding)["links"]
                #expect(graph.items.map { $0["parent"].text + ">" + $0["child"].text } == ["cart>mysql", "web>cart"])
                #expect(graph.items.map { $0["call_count"].number } == [3, 3] && graph[0]["child_virtual"].isTrue)
                #expect(graph[1]["error_count"].number == 1)
                let past = try await client.query("trace.dependencies", #"{"start_time_max":"1"}"#, as: encoding)
                #expect(past["links"].items.isEmpty)
            }
        }

        @Test func `gives percentiles and objectives`() async throws {
            try await onStage { client, _ in
                try await client.trace("web", (1...100).map { maker.span($0, 0, $0, trace: $0) })
                let answer = try await client.query(
                    "trace.percentiles", #"{"service_name":"web","percentile_basis_points":[0,5000,10000]}"#)
                #expect(answer["percentiles"].items.map { $0["latency_ns"].number / 1_000_000 } == [1, 50, 100])
                #expect(answer["call_count"].number == 100)
                let usual = try await client.query("trace.percentiles", #"{"service_name":"web"}"#)
                #expect(usual["percentiles"].items.map { $0["basis_points"].number } == [5_000, 9_000, 9_500, 9_900])
                let report = try await client.query(
                    "trace.slo",
                    #"{"objectives":[{"service_name":"web","latency_ns":"90500000","availability_basis_points":9500}]}"#
                )
                #expect(report["services"][0]["slow_count"].number == 10 && !report["services"][0]["compliant"].isTrue)
                #expect((Double(report["services"][0]["burn_rate"].text) ?? 0).rounded() == 2)
                let contracts = try await client.query("trace.slo")["services"]
                #expect(
                    contracts.items.map { $0["objective"]["service_name"].text } == ["discovery", "mirror", "tracing"])
            }
        }

        @Test func `lists slow spans and incomplete traces, and counts what it holds`() async throws {
            try await onStage { client, _ in
                try await client.call(maker)
                try await client.call(maker)
                try await client.trace("cart", [maker.span(7, in: 6, 0, 5, trace: 2)])
                let slow = try await client.query("trace.slow_spans", #"{"threshold_ns":"60000000"}"#)["spans"]
                #expect(slow.items.map { $0["span"]["span_id"].text } == [1, 2].map { SpanMaker.span($0) })
                #expect(slow[0]["span"]["tags"][0]["key"].text == "http.route")
                let incomplete = try await client.query("trace.incomplete")["traces"]
                #expect(incomplete.items.map { $0["trace_id"].text } == [SpanMaker.trace(2)])
                #expect(!incomplete[0]["has_root"].isTrue)
                let stats = try await client.query("trace.stats")
                #expect(stats["trace_count"].number == 2 && stats["span_count"].number == 5)
                #expect(stats["duplicates"].number == 4)
            }
        }

        @Test func `lists traces out of the ordinary once they have settled`() async throws {
            let clock = TestClock()
            try await Stage.with { stage in
                let node = try await stage.node(clock: clock) { $0.tickInterval = .seconds(5) }
                let client = try await stage.client()
                let time = clock.now.rawValue
                let span =
                    #"{"trace_id":"\#(SpanMaker.trace(1))","span_id":"\#(SpanMaker.span(1))","operation_name":"o","#
                    + #""status":"error","start_time":"\#(time)","end_time":"\#(time + 1_000)"}"#
                try await client.trace("web", [span])
                #expect(try await client.query("trace.anomalies")["traces"].items.isEmpty)
                let found = try await eventually {
                    clock.advance(.seconds(5))
                    return try await !client.query("trace.anomalies")["traces"].items.isEmpty
                }
                #expect(found)
                let answer = try await client.query("trace.anomalies")["traces"][0]
                #expect(answer["verdict"]["error"].isTrue && !answer["verdict"]["slow"].isTrue)
                _ = node
            }
        }

        @Test(arguments: ["trace", "critical_path", "search", "dependencies", "services", "stats", "span"])
        func `says the same of the past whatever came later`(_ name: String) async throws {
            try await onStage { client, _ in
                let sequence = try await client.call(maker)["sequence"].text
                let question = one + #","span_id":"\#(SpanMaker.span(3))","at_sequence":"\#(sequence)"}"#
                let before = try await client.raw("trace.\(name)", question, as: .protobuf).payload
                try await client.trace("cart", [maker.span(9, in: 3, 1, 99, tags: ["late": "yes"])])
                try await client.trace("cart", [maker.span(3, in: 1, 1, 99, tags: ["a": "1", "b": "2", "c": "3"])])
                try await client.call(maker, trace: 2)
                #expect(try await client.raw("trace.\(name)", question, as: .protobuf).payload == before)
                let now = try await client.raw(
                    "trace.\(name)", one + #","span_id":"\#(SpanMaker.span(3))"}"#, as: .protobuf)
                #expect(now.payload != before)
            }
        }

        @Test func `waits for a sequence, and says when it does not come`() async throws {
            try await onStage { client, node in
                let next = node.node.appliedSequence.rawValue + 1
                async let answer = client.query("trace.stats", #"{"min_sequence":"\#(next)"}"#)
                try await client.trace("web", [maker.span(1, 0, 5)])
                #expect(try await answer["span_count"].number == 1)
                let future = try await client.query("trace.stats", #"{"at_sequence":"99999"}"#)
                #expect(future["code"].text == "not_yet")
            }
        }

        @Test(arguments: [
            ("trace", "{}", "invalid_argument"),
            ("span", #"{"trace_id":"00000000000000000000000000000001"}"#, "not_found"),
            ("trace", #"{"trace_id":"00000000000000000000000000000001"}"#, "not_found"),
            ("compare", #"{"trace_id":"00000000000000000000000000000001"}"#, "invalid_argument"),
            ("percentiles", "{}", "invalid_argument"), ("percentiles", #"{"service_name":"x"}"#, "not_found"),
            ("search", #"{"page_token":"nonsense"}"#, "invalid_argument"), ("nothing", "{}", "unknown_query"),
            ("search", #"{"trace_id":"12"}"#, "invalid_argument"),
            ("search", #"{"min_duration_ns":"-1"}"#, "invalid_argument"),
            ("slo", #"{"objectives":[{"availability_basis_points":10001}]}"#, "invalid_argument"),
        ])
        func `tells what is wrong with a question`(_ name: String, _ question: String, _ code: String) async throws {
            try await onStage { client, _ in
                let answer = try await client.raw("trace.\(name)", question)
                #expect(try JSON(answer, .errorAnswer)["code"].text == code)
            }
        }

        @Test func `tells what is missing in a trace that is there`() async throws {
            try await onStage { client, _ in
                try await client.trace("cart", [maker.span(7, in: 6, 0, 5)])
                #expect(try await client.query("trace.critical_path", one + "}")["code"].text == "not_found")
                let span = try await client.query("trace.span", one + #","span_id":"00000000000000ff"}"#)
                #expect(span["code"].text == "not_found")
                #expect(try await client.query("trace.span", one + "}")["code"].text == "invalid_argument")
                let format = try await client.query("trace.flamegraph", one + #","format":"svg"}"#)
                #expect(format["code"].text == "invalid_argument")
                let partial = try await client.query("trace.trace", one + "}")
                #expect(!partial["complete"].isTrue && partial["orphans"].items.count == 1)
                #expect(partial["spans"][0]["warnings"].items.count == 1)
            }
        }

        @Test func `answers the same after a restart`() async throws {
            try await Stage.with { stage in
                let first = try await stage.node()
                let client = try await stage.client()
                for trace in 1...5 { try await client.call(maker, trace: trace, at: trace) }
                let before = try await client.query("trace.search")["traces"].items.map { $0["trace_id"].text }
                await first.stop()
                try await stage.node { $0.traceParts = 3 }
                let after = try await client.query("trace.search")["traces"].items.map { $0["trace_id"].text }
                #expect(before == after && after.count == 5)
                let trace = try await client.query("trace.trace", one + "}")
                #expect(trace["spans"][2]["span"]["tags"][0]["string_value"].text == "u1")
            }
        }
    }
}
