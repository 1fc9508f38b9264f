// The expression language: what it says of a mesh, and where its errors point.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Expressions` {
    /// Three instances of checkout, one of them unhealthy; a trace of two spans; no mirror.
    private static let mesh: MeshState = {
        var story = Story()
        story.append(
            .registry(
                .registered(
                    Registered(
                        serviceName: "checkout",
                        events: ["a", "b", "c"].enumerated().map { index, id in
                            Registration(
                                instanceID: id, endpoint: "10.0.0.\(index + 1):80", region: index == 0 ? "eu" : "us",
                                weight: UInt32(index + 1) * 10,
                                metadata: [MetadataEntry(key: "version", value: "1.\(index)")], incarnation: 1)
                        }))))
        story.append(
            .registry(
                .healthReported(
                    Batch(
                        serviceName: "checkout",
                        events: [HealthReport(instanceID: "b", healthy: false, lastCheck: story.now)]))))
        for number in 1...10 {
            let start = story.now
            let spans = [
                TraceSpan(
                    spanID: SpanID(1), traceID: TraceID(high: 0, low: UInt64(number)), serviceName: "web",
                    operationName: "GET /", kind: .server, status: number == 3 ? .error : .ok, startTime: start,
                    endTime: start + .milliseconds(Int64(number)))
            ]
            story.append(.trace(.spansReceived(SpanBatch(serviceName: "web", spans: spans)!)))
        }
        return story.state
    }()

    private func value(_ source: String) throws -> ExpressionValue {
        try MeshExpression(anything: source).value(in: Self.mesh)
    }

    @Test(
        arguments: [
            ("1 + 2 * 3 == 7", true), ("(1 + 2) * 3 == 9", true), ("7 / 2 == 3 and 7 % 2 == 1", true),
            ("-2 - -3 == 1", true), ("not 1 == 2", true), ("!(1 == 1)", false), ("1 / 0 == nothing", true),
            ("1 / 0 < 5", false), ("9223372036854775807 + 1 == 9223372036854775807", true),
            ("250ms + 1s == 1250000000", true), ("'a' < \"b\"", true), ("true or false and false", true),
            ("'checkout' like 'check*'", true), ("'checkout' like '*cart'", false), ("1 < 2 && 2 < 1 || 3 >= 3", true),
        ])
    func `operators bind and calculate as everybody expects`(_ source: String, _ expected: Bool) throws {
        #expect(try value(source) == .boolean(expected), "\(source)")
    }

    @Test(
        arguments: [
            ("count(instances)", 3), ("count(instances, service == 'checkout' and healthy)", 2),
            ("sum(instances, weight)", 60), ("max(instances, weight, region == 'us')", 30),
            ("min(instances, weight)", 10), ("service('checkout').healthy", 2), ("instance('c').weight", 30),
            ("count(traces, errors > 0)", 1), ("percentile(traces, duration, 50)", 5_000_000),
            ("percentile(traces, duration, 99.9)", 10_000_000), ("percentile(traces, duration, 0)", 1_000_000),
            ("service('web').calls", 10), ("service('web').errors", 1), ("operation('web', 'GET /').calls", 10),
            ("count(services)", 2), ("count(mirrors)", 0), ("sequence", 12), ("count(removals)", 0),
            ("count(instances, metadata('version') == '1.2')", 1),
        ])
    func `a mesh can be counted`(_ source: String, _ expected: Int64) throws {
        #expect(try value(source) == .integer(expected), "\(source)")
    }

    @Test(
        arguments: [
            ("any(instances, health == 'unhealthy')", true), ("all(instances, weight >= 10)", true),
            ("all(instances, healthy)", false), ("any(mirrors, pending > 0)", false), ("all(mirrors, enabled)", true),
            ("instance('z')", false), ("instance('a')", true), ("instance('z').weight == nothing", true),
            ("instance('z').weight < 5", false), ("dependency('web', 'db')", false),
        ])
    func `a mesh can be asked`(_ source: String, _ expected: Bool) throws {
        #expect(try value(source) == .boolean(expected), "\(source)")
    }

    @Test func `a percentile of nothing is nothing`() throws {
        #expect(try value("percentile(traces, duration, 99, service == 'nobody')") == .nothing)
        #expect(try value("min(instances, weight, region == 'mars')") == .nothing)
    }

    @Test(
        arguments: [
            ("", 1, "missing"), ("1 +", 4, "missing"), ("count(instances) = 3", 18, "=="),
            ("service('x').wight == 1", 14, "wight"), ("count(instance, true)", 7, "table"),
            ("any(instances, weight)", 16, "boolean"), ("1 < 'a'", 5, "integer"), ("'abc", 1, "does not end"),
            ("any(instances, count(mirrors) > 1)", 16, "one table"), ("1 < 2 < 3", 7, "chain"),
            ("percentile(traces, duration, 101)", 30, "0 to 100"), ("5 parsecs == 1", 3, "end here"),
            ("5parsecs == 1", 1, "unit"), ("instances > 3", 1, "is a table"), ("héalthy", 2, "means nothing"),
            ("1 + true == 2", 5, "integer"), ("3.14 > 3", 1, "whole"), ("99999999999999999999 > 1", 1, "too large"),
            ("count(instances", 16, "`)`"), ("evaluate(1)", 1, "no function"), ("1", 1, "true or false"),
        ])
    func `an error points at its column`(_ source: String, _ column: Int, _ words: String) {
        do {
            _ = try MeshExpression(source)
            Issue.record("`\(source)` was accepted")
        } catch {
            #expect(error.column == column && error.message.contains(words), "\(source): \(error.description)")
        }
    }

    @Test func `depth, length and number of parts are bounded`() {
        let sources = [
            String(repeating: "(", count: 40) + "true" + String(repeating: ")", count: 40),
            Array(repeating: "true", count: 400).joined(separator: " or "),
            String(repeating: "not ", count: 500) + "true", "'" + String(repeating: "x", count: 5_000) + "' == 'x'",
        ]
        for source in sources {
            #expect(throws: ExpressionError.self) { try MeshExpression(source) }
        }
    }

    @Test func `an expression knows which records can change it`() throws {
        let heartbeat = heartbeat(["a"], of: "checkout")
        let spans = Event.trace(
            .spansReceived(SpanBatch(serviceName: "web", spans: [span("a", 1, 2, service: "web")])!))
        let registry = try MeshExpression("count(instances, healthy) < 2")
        #expect(registry.mayChange(with: heartbeat) && !registry.mayChange(with: spans))
        #expect(registry.mayChange(with: .clock(.tick(slot: 1))))
        let traces = try MeshExpression("count(traces) > 2")
        #expect(!traces.mayChange(with: heartbeat) && traces.mayChange(with: spans))
        #expect(try MeshExpression("sequence > 5").mayChange(with: .opaque(reason: "")))
    }

    @Test(
        arguments: [
            ("service('chekout').healthy < 2", ["service(\"chekout\")"]), ("service('checkout').healthy < 2", []),
            ("instance('a') and not instance('z') or instance('z').healthy", ["instance(\"z\")"]),
            ("dependency('web', 'db').calls > 1", ["dependency(\"web\", \"db\")"]),
        ])
    func `names that nothing has are told`(_ source: String, _ absent: [String]) throws {
        #expect(try MeshExpression(source).absentRows(in: Self.mesh) == absent, "\(source)")
    }

    @Test func `observations name what changed`() throws {
        var story = Story()
        story.serve(["a", "b"])
        let before = story.state
        story.append(
            .registry(
                .healthReported(
                    Batch(
                        serviceName: "checkout",
                        events: [HealthReport(instanceID: "b", healthy: false, lastCheck: story.now)]))))
        let expression = try MeshExpression("count(instances, not healthy) > 0 and service('checkout').healthy < 2")
        let observations = expression.observations(before, story.state)
        #expect(observations.map(\.text) == ["count(instances, not healthy)", "service('checkout').healthy"])
        #expect(observations[0].before == .integer(0) && observations[0].after == .integer(1))
        #expect(observations[0].appeared == ["b"] && observations[0].disappeared.isEmpty)
        #expect(observations[1].after == .integer(1))
    }

    @Test func `random texts neither trap nor hang`() {
        var dice = SplitMix64(state: 7)
        let words = [
            "count", "(", ")", "instances", ",", "weight", ">", "1", "'a'", "and", "not", "-", ".", "99.9", "%", "/",
            "percentile", "traces", "duration", "service", "5ms", "nothing", "like", "\"", "é", "max", "==", "true",
        ]
        for _ in 0..<20_000 {
            let count = Int(dice.next(below: 14)) + 1
            let source = (0..<count).map { _ in words[Int(dice.next(below: UInt64(words.count)))] }
                .joined(separator: " ")
            if let expression = try? MeshExpression(anything: source) { _ = expression.value(in: MeshState()) }
        }
    }
}
