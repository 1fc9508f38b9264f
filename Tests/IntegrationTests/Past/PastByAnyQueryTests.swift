// Every query of every machine about the past: the node's bytes are those of its log alone, however late spans came later.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import StateMachines
import TestKit
import Testing

extension `A node` {
    @Suite struct `Asked about its past by any query` {
        private let maker = SpanMaker()

        private static let registryQueries: [(RegistryQueryName, String)] = [
            (.resolve, #""service_name":"cart""#), (.select, #""service_name":"cart","seed":"7""#),
            (.select, #""service_name":"cart""#), (.instance, #""instance_id":"cart-1""#), (.staleInstances, ""),
            (.failoverCandidates, #""service_name":"cart""#), (.services, ""), (.topology, ""), (.removals, ""),
            (.digest, ""),
        ]

        /// Names with fields; the first trace is in all of them.
        private static let traceQueries: [(TraceQueryName, String)] = TraceQueryName.allCases.map { name in
            let trace = #""trace_id":"\#(SpanMaker.trace(1))""#
            switch name {
            case .span, .children: return (name, trace + #","span_id":"\#(SpanMaker.span(3))""#)
            case .compare: return (name, trace + #","other_trace_id":"\#(SpanMaker.trace(2))""#)
            case .trace, .latencyBreakdown, .criticalPath, .flamegraph: return (name, trace)
            case .percentiles, .operations: return (name, #""service_name":"cart""#)
            case .search, .services, .anomalies, .incomplete, .dependencies, .slowSpans, .slo, .stats: return (name, "")
            }
        }

        /// Each of these machines' questions at these sequences, as the node answers now.
        private func answers(_ client: Client, _ points: [UInt64]) async throws -> [String: [UInt8]] {
            var found: [String: [UInt8]] = [:]
            for (subject, fields) in Self.questions {
                for point in points {
                    let separator = fields.isEmpty ? "" : ","
                    let text = #"{\#(fields)\#(separator)"at_sequence":"\#(point)"}"#
                    found["\(subject) \(text)"] = try await client.raw(subject, text, as: .protobuf).payload
                }
            }
            return found
        }

        private static let questions: [(subject: String, fields: String)] =
            registryQueries.map { ("registry.\($0.0.rawValue)", $0.1) }
            + traceQueries.map { ("trace.\($0.0.rawValue)", $0.1) }
            + MirrorQueryName.allCases.filter { $0 != .comparison && $0 != .captures }.map {
                ("mirror.\($0.rawValue)", #""mirror_id":"cart-next","source_service":"cart","limit":5"#)
            }

        private func lives(_ client: Client) async throws -> [UInt64] {
            var points: [UInt64] = []
            _ = try await client.register("cart", ["cart-1"])
            _ = try await client.register("cart", ["cart-2"])
            points.append(try #require(UInt64(try await client.call(maker)["sequence"].text)))
            _ = try await client.tell(
                .shadowsAllowed, "cart", #"{"source_service":"cart","endpoints":["10.0.0.0/8:*"]}"#)
            _ = try await client.tell(
                .mirrorAdded, "cart",
                #"{"source_service":"cart","events":[{"mirror_id":"cart-next","shadow_endpoint":"10.0.0.9:80"}]}"#)
            points.append(try #require(UInt64(try await client.call(maker, trace: 2, at: 5)["sequence"].text)))
            let gone = try await client.tell(
                .deregistered, "cart",
                #"{"service_name":"cart","events":[{"instance_id":"cart-2","incarnation":"1","reason":"r"}]}"#)
            points.append(try #require(UInt64(gone["sequence"].text)))
            return points
        }

        @Test func `answers as its log does, then and later`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let points = try await lives(client)
                let before = try await answers(client, points)
                // Late spans: new ones, a better half of one that is known, another trace; another registration.
                try await client.trace("cart", [maker.span(9, in: 3, 1, 99, tags: ["late": "yes"])])
                try await client.trace("cart", [maker.span(3, in: 1, 1, 99, tags: ["a": "1", "b": "2", "c": "3"])])
                try await client.call(maker, trace: 3)
                _ = try await client.register("cart", ["cart-3"])
                #expect(try await answers(client, points) == before)

                let directory = stage.directory.path + "/data"
                let timeline = Timeline(
                    reader: try LogReader.open(directory: directory),
                    checkpoints: CheckpointStore(directory: directory + "/checkpoints"))
                for (subject, fields) in Self.questions {
                    for point in points {
                        let sequence = SequenceNumber(point)
                        let state = try timeline.state(at: sequence)
                        let separator = fields.isEmpty ? "" : ","
                        let key = #"\#(subject) {\#(fields)\#(separator)"at_sequence":"\#(point)"}"#
                        let live = try #require(before[key])
                        do throws(QueryError) {
                            let question = try PastQuery_(subject: subject, json: Array("{\(fields)}".utf8))
                            #expect(try await timeline.answer(question, in: state, at: sequence) == live, "\(key)")
                        } catch {
                            // What the log refuses the node refuses, too.
                            let said = String(decoding: live, as: UTF8.self)
                            #expect(said.contains(error.message), "\(key): \(error)")
                        }
                    }
                }
            }
        }
    }
}
