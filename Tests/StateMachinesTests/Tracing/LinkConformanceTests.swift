// The rule of dependency links against the cases of Zipkin's linker.

import EventModel
import Testing

@testable import StateMachines

@Suite(.enabled(if: Conformance.isPresent, Conformance.absence)) struct `Dependency links among others` {
    private struct Endpoint: Decodable {
        var serviceName: String?
    }

    private struct Span: Decodable {
        var id: String
        var parentId: String?
        var kind: String?
        var localEndpoint: Endpoint?
        var remoteEndpoint: Endpoint?
        var tags: [String: String]?
        var shared: Bool?
    }

    private struct Link: Decodable, Hashable, CustomStringConvertible {
        var parent: String
        var child: String
        var callCount: Int
        var errorCount: Int?

        var description: String { "\(parent)>\(child) \(callCount)/\(errorCount ?? 0)" }
    }

    private struct Case: Decodable {
        var id: String
        var traces: [[Span]]
        var expected: [Link]
    }

    private struct File: Decodable {
        var cases: [Case]
    }

    /// Where LatticeForge's links are not Zipkin's, and why.
    private static let differences: [String: String] = [
        "zipkin-errorsOnUninstrumentedLinks":
            "two clients below a span without kind and service: Zipkin looks past it to "
            + "the next span that has a kind; by decision 19 a call is told from a span's own parent, and a span without "
            + "a service is not taken at all"
    ]

    /// Spans as LatticeForge takes them: a span with `shared`, or the second of an id, is the server's half.
    private func nodes(_ spans: [Span]) -> (nodes: [SpanNode], links: [LinkNode<String>]) {
        var services: [String: Int] = [:]
        var nodes: [SpanNode] = []
        var links: [LinkNode<String>] = []
        var seen: Set<SpanKey> = []
        for (order, span) in spans.enumerated() {
            guard let id = try? JaegerTrace.id(span.id) else { continue }
            let kind = span.kind.flatMap { SpanKind(name: $0) } ?? .internal
            let key = SpanKey(spanID: id, isServerHalf: kind == .server)
            if !seen.insert(key).inserted { continue }
            let service = span.localEndpoint?.serviceName
            let number = services[service ?? "", default: services.count]
            services[service ?? ""] = number
            nodes.append(
                SpanNode(
                    key: key, parentID: span.parentId.flatMap { try? JaegerTrace.id($0) }, kind: kind, service: number,
                    start: Int64(order), end: Int64(order)))
            links.append(
                LinkNode(
                    kind: kind, service: service, peer: span.remoteEndpoint?.serviceName,
                    isError: span.tags?["error"] != nil))
        }
        return (nodes, links)
    }

    private func links(_ traces: [[Span]]) -> [String] {
        var counts: [String: (calls: Int, errors: Int)] = [:]
        for trace in traces {
            let (nodes, links) = nodes(trace)
            let forest = TraceForest(nodes)
            for index in nodes.indices {
                let parent = forest.parents[index] < 0 ? nil : links[forest.parents[index]]
                let found = DependencyRule.links(of: links[index], parent: parent) {
                    forest.children(index).contains { DependencyRule.isRemote(links[$0], of: links[index]) }
                }
                for link in [found.first, found.second] {
                    guard let link else { continue }
                    let name = "\(link.parent)>\(link.child)"
                    counts[name, default: (0, 0)].calls += 1
                    counts[name, default: (0, 0)].errors += link.isError ? 1 : 0
                }
            }
        }
        return counts.map { "\($0.key) \($0.value.calls)/\($0.value.errors)" }.sorted()
    }

    @Test func `calls and errors are Zipkin's but where it is said why not`() throws {
        let file: File = try Conformance.read("dependency_links/zipkin_linker.json")
        var agreeing = 0
        for one in file.cases {
            let found = links(one.traces)
            let expected = one.expected.map(\.description).sorted()
            if Self.differences[one.id] != nil {
                #expect(found != expected, "\(one.id) agrees now: strike it from the list")
            } else {
                #expect(found == expected, "\(one.id)")
                agreeing += 1
            }
        }
        print("conformance: dependency links agree in \(agreeing) of \(file.cases.count) cases")
        #expect(!file.cases.isEmpty)
    }
}
