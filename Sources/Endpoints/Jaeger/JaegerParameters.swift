// What Jaeger's UI and Grafana search for. Source of the names: jaegertracing/jaeger, query_parser.go and
// apiv3/http_gateway.go.

import EventModel
import SwiftProtobuf

extension QueryParameters {
    /// A search as version 2 of the API asks for it.
    func search(now: Int64) throws(QueryFailure) -> JaegerSearch {
        guard let service = first("service") else { throw QueryFailure(400, "parameter 'service' is required") }
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
        try search.add(try tags("tags"))
        return search
    }

    /// A search as version 3 asks for it.
    func searchVersion3() throws(QueryFailure) -> JaegerSearch {
        guard let service = first("query.service_name", "query.serviceName") else {
            throw QueryFailure(400, "parameter 'query.service_name' is required")
        }
        var search = JaegerSearch(service)
        search.query.operationName = first("query.operation_name", "query.operationName") ?? ""
        search.query.minDurationNs = try duration("query.duration_min", "query.durationMin")
        search.query.maxDurationNs = try duration("query.duration_max", "query.durationMax")
        search.query.startTimeMin = try moment("query.start_time_min", "query.startTimeMin")
        search.query.startTimeMax = try moment("query.start_time_max", "query.startTimeMax")
        search.limit = try limit("query.search_depth", "query.searchDepth", "query.num_traces", "query.numTraces")
        search.raw = isTrue("query.raw_traces", "query.rawTraces")
        try search.add(try tags("query.attributes", "query.tags", pairs: "query.attribute"))
        return search
    }
}

/// A search, and how its traces are shown.
struct JaegerSearch {
    var query = Lattice_V1_TraceQuery()
    var limit = 20
    var raw = false

    init(_ service: String) { query.serviceName = service }

    /// What is a field with us and a tag with Jaeger goes into the query as such.
    mutating func add(_ tags: [(key: String, value: String)]) throws(QueryFailure) {
        for (key, value) in tags {
            switch (key, value) {
            case ("error", "true"): query.error = true
            case ("error", "false"): query.error = false
            case ("span.kind", _):
                guard let kind = SpanKind(name: value) else {
                    throw QueryFailure(400, "span.kind is server, client, producer, consumer or internal")
                }
                query.spanKind = Lattice_V1_SpanKind(rawValue: Int(kind.rawValue)) ?? .unspecified
            default:
                query.tags.append(
                    .with {
                        $0.key = key
                        $0.value = value
                    })
            }
        }
    }
}
