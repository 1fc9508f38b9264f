// What Zipkin's UI searches for. Source of the names: openzipkin/zipkin, ZipkinQueryApiV2 and QueryRequest.

import EventModel

extension QueryParameters {
    /// A day, as Zipkin's server has it.
    private static let lookbackDefault: Int64 = 86_400_000

    /// A search; `now` in Unix milliseconds.
    func zipkinSearch(now: Int64) throws(QueryFailure) -> Lattice_V1_TraceQuery {
        var query = Lattice_V1_TraceQuery()
        query.serviceName = first("serviceName") ?? ""
        query.operationName = try name("spanName")
        query.peerName = first("remoteServiceName") ?? ""
        query.minSpanDurationNs = try microseconds("minDuration")
        query.maxSpanDurationNs = try microseconds("maxDuration")
        let end = try count("endTs") ?? now
        query.startTimeMax = end * 1_000_000
        query.startTimeMin = max(1, end - (try zipkinLookback())) * 1_000_000
        for filter in try annotationQuery() { query.tags.append(filter) }
        return query
    }

    /// Milliseconds.
    func zipkinLookback() throws(QueryFailure) -> Int64 { try count("lookback") ?? Self.lookbackDefault }

    /// `all` is what the UI sends for none.
    private func name(_ parameter: String) throws(QueryFailure) -> String {
        let name = first(parameter) ?? ""
        return name == "all" ? "" : name
    }

    private func count(_ name: String) throws(QueryFailure) -> Int64? {
        guard let text = first(name) else { return nil }
        guard let number = Int64(text), number > 0, number < 9_000_000_000_000 else {
            throw QueryFailure(400, "\(name) is no time in milliseconds")
        }
        return number
    }

    /// `error and http.method=GET`: a key alone is a tag with any value, or an annotation.
    private func annotationQuery() throws(QueryFailure) -> [Lattice_V1_TagFilter] {
        guard let text = first("annotationQuery") else { return [] }
        var filters: [Lattice_V1_TagFilter] = []
        for part in text.split(separator: " and ") {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            var filter = Lattice_V1_TagFilter()
            filter.key = Self.trimmed(words[0])
            filter.value = words.count == 2 ? Self.trimmed(words[1]) : ""
            filter.anyValue = words.count == 1
            if filter.key.isEmpty { throw QueryFailure(400, "annotationQuery is key=value and key") }
            filters.append(filter)
        }
        return filters
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
