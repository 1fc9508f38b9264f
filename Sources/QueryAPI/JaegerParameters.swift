// What Jaeger's UI and Grafana put behind the question mark. Source of the names: jaegertracing/jaeger, query_parser.go
// and apiv3/http_gateway.go.

import EventModel
import FoundationEssentials
import Hummingbird
import SwiftProtobuf

/// Reads the parameters of a search.
struct JaegerParameters {
    private let values: [(name: String, value: String)]

    init(_ request: Request) {
        values = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    func all(_ name: String) -> [String] { values.filter { $0.name == name && !$0.value.isEmpty }.map(\.value) }

    /// The first value of the first of these names that has one.
    func first(_ names: String...) -> String? {
        for name in names { if let value = all(name).first { return value } }
        return nil
    }

    func isTrue(_ names: String...) -> Bool { names.contains { all($0).first == "true" } }

    /// A count between 1 and `maximum`.
    func limit(_ names: String..., standard: Int = 20, maximum: Int = 1_500) throws(QuestionFailure) -> Int {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let number = Int(text), number > 0 else { throw QuestionFailure(400, "\(name) is no count") }
            return min(number, maximum)
        }
        return standard
    }

    /// Nanoseconds of `1.5s`, `100ms`, `2h45m`: Go's durations.
    func duration(_ names: String...) throws(QuestionFailure) -> Int64 {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let value = Self.nanoseconds(text) else {
                throw QuestionFailure(400, "\(name) is no duration like 1.5s or 100ms")
            }
            return value
        }
        return 0
    }

    static func nanoseconds(_ text: String) -> Int64? {
        let units: [(String, Double)] = [
            ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9),
        ]
        var rest = Substring(text)
        var total = 0.0
        if rest.isEmpty { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { !$0.isNumber && $0 != "." }
            rest = rest[unit.endIndex...]
            guard let number = Double(digits), let scale = units.first(where: { $0.0 == unit })?.1 else { return nil }
            total += number * scale
        }
        return total.isFinite && total < 9e18 ? Int64(total) : nil
    }

    /// Nanoseconds of a moment in microseconds; zero where there is none.
    func microseconds(_ name: String) throws(QuestionFailure) -> Int64 {
        guard let text = all(name).first else { return 0 }
        guard let number = Int64(text), number.magnitude < 9_000_000_000_000_000 else {
            throw QuestionFailure(400, "\(name) is no time in microseconds")
        }
        return number * 1_000
    }

    /// Nanoseconds of a moment in RFC 3339; zero where there is none.
    func moment(_ names: String...) throws(QuestionFailure) -> Int64 {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let time = Timestamp(rfc3339: text) else { throw QuestionFailure(400, "\(name) is not RFC 3339") }
            return time.rawValue
        }
        return 0
    }

    /// `tags={"k":"v"}` and `tag=k:v`.
    func tags(_ objects: String..., pairs: String = "tag") throws(QuestionFailure) -> [(key: String, value: String)] {
        var tags: [(key: String, value: String)] = []
        for text in objects.flatMap({ all($0) }) {
            guard let members = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8)) else {
                throw QuestionFailure(400, "tags are no JSON object of texts")
            }
            tags += members.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
        }
        for text in all(pairs) {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw QuestionFailure(400, "tag is not key:value") }
            tags.append((key: String(parts[0]), value: String(parts[1])))
        }
        return tags
    }

    /// A search as version 2 of the API asks for it.
    func search(now: Int64) throws(QuestionFailure) -> JaegerSearch {
        guard let service = first("service") else { throw QuestionFailure(400, "parameter 'service' is required") }
        var search = JaegerSearch(service)
        search.query.operationName = first("operation") ?? ""
        search.query.minDurationNs = try duration("minDuration")
        search.query.maxDurationNs = try duration("maxDuration")
        search.query.startTimeMax = try microseconds("end")
        search.query.startTimeMin = try microseconds("start")
        if search.query.startTimeMin == 0, let text = first("lookback"), let span = Self.nanoseconds(text) {
            search.query.startTimeMin = (search.query.startTimeMax > 0 ? search.query.startTimeMax : now) - span
        }
        search.limit = try limit("limit")
        search.add(try tags("tags"))
        return search
    }

    /// A search as version 3 asks for it.
    func searchVersion3() throws(QuestionFailure) -> JaegerSearch {
        guard let service = first("query.service_name", "query.serviceName") else {
            throw QuestionFailure(400, "parameter 'query.service_name' is required")
        }
        var search = JaegerSearch(service)
        search.query.operationName = first("query.operation_name", "query.operationName") ?? ""
        search.query.minDurationNs = try duration("query.duration_min", "query.durationMin")
        search.query.maxDurationNs = try duration("query.duration_max", "query.durationMax")
        search.query.startTimeMin = try moment("query.start_time_min", "query.startTimeMin")
        search.query.startTimeMax = try moment("query.start_time_max", "query.startTimeMax")
        search.limit = try limit("query.search_depth", "query.searchDepth", "query.num_traces", "query.numTraces")
        search.raw = isTrue("query.raw_traces", "query.rawTraces")
        search.add(try tags("query.attributes", "query.tags", pairs: "query.attribute"))
        return search
    }
}

/// A search and what the query can not say.
struct JaegerSearch {
    var query = Lattice_V1_TraceQuery()
    var limit = 20
    var raw = false
    /// A span of the service has to be of this kind: with us a field, with Jaeger a tag.
    var kind: SpanKind?

    init(_ service: String) { query.serviceName = service }

    mutating func add(_ tags: [(key: String, value: String)]) {
        for (key, value) in tags {
            switch (key, value) {
            case ("error", "true"): query.error = true
            case ("error", "false"): query.error = false
            case ("span.kind", _): kind = SpanKind(name: value)
            default:
                query.tags.append(
                    .with {
                        $0.key = key
                        $0.value = value
                    })
            }
        }
    }

    /// Whether a trace has what the query could not ask for.
    func matches(_ trace: Lattice_V1_TraceAnswer) -> Bool {
        guard let kind else { return true }
        return trace.spans.contains { collected in
            let index = Int(collected.resourceIndex)
            return UInt32(collected.span.kind.rawValue) == kind.rawValue && index < trace.resources.count
                && trace.resources[index].serviceName == query.serviceName
        }
    }
}
