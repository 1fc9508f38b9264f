// Zipkin's query API, so that Zipkin's UI reads our traces. Source of the routes: openzipkin/zipkin,
// ZipkinQueryApiV2 and ZipkinUiConfiguration; of the fields: openzipkin/zipkin-api, zipkin2-api.yaml.

import EventModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Listeners
package import Messaging
import NIOCore
import TraceFormats

/// Answers Zipkin's UI with what the node answers, on the listener of Zipkin's reporters. It reads only.
///
/// Where Zipkin's server has `/zipkin/…` besides, so have we: the UI asks there when it is served by a proxy.
package struct ZipkinQueries: Sendable {
    private let questions: TraceQueryClient
    private let access: AccessPolicy
    private static let tracesMaximum = 1_000
    /// Traces that are looked at for the keys and values of tags.
    private static let completionTraces = 100
    private static let completionValues = 1_000
    private static let completionBytes = 256

    /// - Parameter access: who may read: a viewer.
    package init(bus: any MessageBus, prefix: String, access: AccessPolicy) {
        questions = TraceQueryClient(bus: bus, prefix: prefix)
        self.access = access
    }

    /// For the listener of the receiver.
    package var routes: Routes {
        Routes { router in
            let group = router.group().add(
                middleware: RoleGate(access, .viewer) { objection in
                    Self.failure(QueryFailure(objection.status.code, objection.message))
                })
            for base in ["", "zipkin/"] {
                group.get(RouterPath(base + "config.json")) { _, _ in Self.json(ZipkinUISettings()) }
                add(base + "api/v2/", to: group)
            }
        }
    }

    private func add(_ base: String, to group: RouterGroup<BasicRequestContext>) {
        func get<Content: Encodable & SendableMetatype>(
            _ path: String, _ work: @escaping @Sendable (QueryParameters) async throws(QueryFailure) -> Content
        ) {
            group.get(RouterPath(base + path)) { request, _ in
                await Self.answer { () throws(QueryFailure) in try await work(QueryParameters(request)) }
            }
        }
        get("services") { _ throws(QueryFailure) in try await services() }
        get("spans") { parameters throws(QueryFailure) in try await spanNames(parameters) }
        get("remoteServices") { parameters throws(QueryFailure) in try await remoteServices(parameters) }
        get("traces") { parameters throws(QueryFailure) in try await traces(parameters) }
        get("traceMany") { parameters throws(QueryFailure) in try await traceMany(parameters) }
        get("dependencies") { parameters throws(QueryFailure) in try await dependencies(parameters) }
        get("autocompleteKeys") { _ throws(QueryFailure) in try await tags().keys.sorted() }
        get("autocompleteValues") { parameters throws(QueryFailure) in
            guard let key = parameters.first("key") else { throw QueryFailure(400, "parameter 'key' is required") }
            return try await tags()[key, default: []].sorted()
        }
        group.get(RouterPath(base + "trace/:id")) { _, context in
            await Self.answer { () throws(QueryFailure) in
                try await trace(try Self.traceID(context.parameters.get("id") ?? ""))
            }
        }
    }

    // MARK: Names

    private func services() async throws(QueryFailure) -> [String] {
        let answer: Lattice_V1_OperationsAnswer = try await questions.ask(.services, Lattice_V1_TraceQuery())
        return answer.operations.map(\.serviceName)
    }

    private func spanNames(_ parameters: QueryParameters) async throws(QueryFailure) -> [String] {
        var query = Lattice_V1_TraceQuery()
        query.serviceName = try Self.service(parameters)
        let answer: Lattice_V1_OperationsAnswer = try await questions.ask(.operations, query)
        return Set(answer.operations.map(\.operationName)).sorted()
    }

    /// Whom a service calls.
    private func remoteServices(_ parameters: QueryParameters) async throws(QueryFailure) -> [String] {
        let service = try Self.service(parameters)
        let answer: Lattice_V1_DependenciesAnswer = try await questions.ask(.dependencies, Lattice_V1_TraceQuery())
        return (answer.links + answer.selfLinks).filter { $0.parent == service }.map(\.child).sorted()
    }

    private static func service(_ parameters: QueryParameters) throws(QueryFailure) -> String {
        guard let service = parameters.first("serviceName") else {
            throw QueryFailure(400, "parameter 'serviceName' is required")
        }
        return service
    }

    /// Tags of the latest traces with their values: what Zipkin keeps for a configured list of keys.
    private func tags() async throws(QueryFailure) -> [String: Set<String>] {
        let found = try await questions.search(Lattice_V1_TraceQuery(), limit: Self.completionTraces)
        var values: [String: Set<String>] = [:]
        for trace in try await traces(found.compactMap { TraceID(bytes: $0.traceID) }) {
            for (key, value) in trace.spans.flatMap({ ZipkinSpanJSON($0, of: trace).tags }) {
                guard key.utf8.count + value.utf8.count <= Self.completionBytes,
                    values[key, default: []].count < Self.completionValues
                else { continue }
                values[key, default: []].insert(value)
            }
        }
        return values
    }

    // MARK: Traces

    private func trace(_ id: TraceID) async throws(QueryFailure) -> [ZipkinSpanJSON] {
        ZipkinSpanJSON.spans(of: try await questions.trace(id, raw: true))
    }

    private func traces(_ parameters: QueryParameters) async throws(QueryFailure) -> [[ZipkinSpanJSON]] {
        let limit = try parameters.limit("limit", standard: 10, maximum: Self.tracesMaximum)
        let found = try await questions.search(try parameters.zipkinSearch(now: Self.now), limit: limit)
        return try await traces(found.compactMap { TraceID(bytes: $0.traceID) }).map { ZipkinSpanJSON.spans(of: $0) }
    }

    private func traceMany(_ parameters: QueryParameters) async throws(QueryFailure) -> [[ZipkinSpanJSON]] {
        guard let list = parameters.first("traceIds") else {
            throw QueryFailure(400, "parameter 'traceIds' is required")
        }
        var ids: [TraceID] = []
        for text in list.split(separator: ",").prefix(Self.tracesMaximum) {
            let id = try Self.traceID(String(text))
            if ids.contains(id) { throw QueryFailure(400, "trace id \(id) stands there twice") }
            ids.append(id)
        }
        return try await traces(ids).map { ZipkinSpanJSON.spans(of: $0) }
    }

    /// Traces in the order of their ids, times as they were sent, since the UI corrects clocks itself; one that is gone
    /// is left out.
    private func traces(_ ids: [TraceID]) async throws(QueryFailure) -> [Lattice_V1_TraceAnswer] {
        try await questions.traces(ids, raw: true)
    }

    private func dependencies(_ parameters: QueryParameters) async throws(QueryFailure) -> [ZipkinLinkJSON] {
        guard let end = parameters.first("endTs").flatMap({ Int64($0) }), end > 0, end < 9_000_000_000_000 else {
            throw QueryFailure(400, "parameter 'endTs' is required, in milliseconds")
        }
        var query = Lattice_V1_TraceQuery()
        query.startTimeMax = end * 1_000_000
        query.startTimeMin = max(1, end - (try parameters.zipkinLookback())) * 1_000_000
        let answer: Lattice_V1_DependenciesAnswer = try await questions.ask(.dependencies, query)
        return (answer.links + answer.selfLinks).map {
            ZipkinLinkJSON(
                parent: $0.parent, child: $0.child, callCount: $0.callCount,
                errorCount: $0.errorCount == 0 ? nil : $0.errorCount)
        }
    }

    // MARK: Answers

    private static func answer<Content: Encodable>(
        _ work: () async throws(QueryFailure) -> Content
    ) async -> Response {
        do throws(QueryFailure) {
            return json(try await work())
        } catch {
            return failure(error)
        }
    }

    private static func failure(_ failure: QueryFailure) -> Response {
        Response(
            status: .init(code: failure.status), headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: failure.message + "\n")))
    }

    private static func json(_ content: some Encodable) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = (try? encoder.encode(content)) ?? Data("{}".utf8)
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: JSONVisible.escaped(Array(data)))))
    }

    private static func traceID(_ text: String) throws(QueryFailure) -> TraceID {
        let padded = String(repeating: "0", count: max(0, 32 - text.utf8.count)) + text
        guard !text.isEmpty, let id = TraceID(hexadecimal: padded) else {
            throw QueryFailure(400, "'\(text.prefix(64))' is no trace id")
        }
        return id
    }

    /// Unix milliseconds.
    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e3) }
}
