// Jaeger's query API, so that Grafana and Jaeger's UI read our traces. Source of the routes: jaegertracing/jaeger,
// cmd/query/app/http_handler.go and apiv3.

import EventModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
package import Listeners
package import Logging
package import Messaging
import NIOCore
package import ServiceLifecycle
import TraceFormats

/// What the endpoint is told.
package struct JaegerEndpointConfiguration: Sendable {
    package var host: String
    /// 0: any free one.
    package var port: Int
    package var prefix: String
    /// Who may read: a viewer.
    package var access: AccessPolicy
    /// Nil: the listener speaks without TLS.
    package var tls: ListenerTLS?
    package var bounds: ListenerBounds

    package init(
        host: String, port: Int, prefix: String, access: AccessPolicy = .open, tls: ListenerTLS? = nil,
        bounds: ListenerBounds = ListenerBounds()
    ) {
        self.host = host
        self.port = port
        self.prefix = prefix
        self.access = access
        self.tls = tls
        self.bounds = bounds
    }
}

/// Answers Jaeger's clients with what the node answers. It reads only; the node's own bounds hold.
package struct JaegerEndpoint: Sendable {
    private let configuration: JaegerEndpointConfiguration
    private let questions: TraceQueryClient

    package init(_ configuration: JaegerEndpointConfiguration, bus: any MessageBus) {
        self.configuration = configuration
        questions = TraceQueryClient(bus: bus, prefix: configuration.prefix)
    }

    /// The listener as a service; `onListening` is told the port. Throws what TLS refuses.
    package func service(logger: Logger, onListening: @escaping @Sendable (Int) async -> Void) throws -> any Service {
        let router = Router()
        router.add(
            middleware: RoleGate(configuration.access, .viewer) { objection in
                let errors = [JaegerError(code: objection.status.code, msg: objection.message)]
                return Self.json(JaegerEnvelope<[String]>(errors: errors), objection.status.code)
            })
        addVersion2(router)
        addVersion3(router)
        return try HTTPListener.service(
            router, host: configuration.host, port: configuration.port, tls: configuration.tls,
            bounds: configuration.bounds, logger: logger, onListening: onListening)
    }

    // MARK: Version 2

    private func addVersion2(_ router: Router<BasicRequestContext>) {
        router.get("api/services") { _, _ in
            await version2 { () throws(QueryFailure) in try await services() }
        }
        router.get("api/services/:service/operations") { _, context in
            await version2 { () throws(QueryFailure) in
                try await operations(Self.decoded(context.parameters.get("service"))).map(\.name)
            }
        }
        router.get("api/operations") { request, _ in
            await version2 { () throws(QueryFailure) in
                let parameters = QueryParameters(request)
                guard let service = parameters.first("service") else {
                    throw QueryFailure(400, "parameter 'service' is required")
                }
                let kind = parameters.first("spanKind")
                return try await operations(service).filter { kind == nil || $0.spanKind == kind }
            }
        }
        router.get("api/traces") { request, _ in
            await version2 { () throws(QueryFailure) in try await traces(QueryParameters(request)) }
        }
        router.get("api/traces/:id") { request, context in
            await version2 { () throws(QueryFailure) in
                let id = try Self.traceID(context.parameters.get("id") ?? "")
                let isRaw = QueryParameters(request).isTrue("raw")
                return [JaegerTraceJSON(try await questions.trace(id, raw: isRaw))]
            }
        }
        router.get("api/dependencies") { request, _ in
            await version2 { () throws(QueryFailure) in try await dependencies(QueryParameters(request)) }
        }
    }

    private func services() async throws(QueryFailure) -> [String] {
        let answer: Lattice_V1_OperationsAnswer = try await questions.ask(.services, Lattice_V1_TraceQuery())
        return answer.operations.map(\.serviceName)
    }

    private func operations(_ service: String) async throws(QueryFailure) -> [JaegerOperationJSON] {
        var query = Lattice_V1_TraceQuery()
        query.serviceName = service
        let answer: Lattice_V1_OperationsAnswer = try await questions.ask(.operations, query)
        return answer.operations.map { operation in
            let kind = SpanKind(rawValue: UInt32(operation.kind.rawValue))
            return JaegerOperationJSON(name: operation.operationName, spanKind: kind?.name ?? "")
        }
    }

    private func traces(_ parameters: QueryParameters) async throws(QueryFailure) -> [JaegerTraceJSON] {
        let names = parameters.all("traceID")
        if !names.isEmpty {
            var ids: [TraceID] = []
            for name in names.prefix(100) { ids.append(try Self.traceID(name)) }
            return try await questions.traces(ids, raw: parameters.isTrue("raw")).map { JaegerTraceJSON($0) }
        }
        var search = try parameters.search(now: Self.now)
        search.raw = parameters.isTrue("raw")
        return try await found(search).map { JaegerTraceJSON($0) }
    }

    private func dependencies(_ parameters: QueryParameters) async throws(QueryFailure) -> [JaegerDependencyJSON] {
        var query = Lattice_V1_TraceQuery()
        // Milliseconds, unlike everything else.
        query.startTimeMax = parameters.first("endTs").flatMap { Int64($0) }.map { $0 &* 1_000_000 } ?? 0
        if let lookback = parameters.first("lookback").flatMap({ Int64($0) }) {
            let end = query.startTimeMax > 0 ? query.startTimeMax : Self.now
            query.startTimeMin = max(0, end &- lookback &* 1_000_000)
        }
        let answer: Lattice_V1_DependenciesAnswer = try await questions.ask(.dependencies, query)
        return (answer.links + answer.selfLinks).map {
            JaegerDependencyJSON(parent: $0.parent, child: $0.child, callCount: $0.callCount)
        }
    }

    // MARK: Traces

    private func found(_ search: JaegerSearch) async throws(QueryFailure) -> [Lattice_V1_TraceAnswer] {
        let summaries = try await questions.search(search.query, limit: search.limit)
        let ids = summaries.compactMap { TraceID(bytes: $0.traceID) }
        return try await questions.traces(ids, raw: search.raw)
    }

    // MARK: Version 3

    private func addVersion3(_ router: Router<BasicRequestContext>) {
        router.get("api/v3/services") { _, _ in
            await version3 { () throws(QueryFailure) in ["services": try await services()] }
        }
        router.get("api/v3/operations") { request, _ in
            await version3 { () throws(QueryFailure) in
                let parameters = QueryParameters(request)
                guard let service = parameters.first("service") else {
                    throw QueryFailure(400, "parameter 'service' is required")
                }
                let kind = parameters.first("span_kind", "spanKind")
                return ["operations": try await operations(service).filter { kind == nil || $0.spanKind == kind }]
            }
        }
        router.get("api/v3/traces") { request, _ in
            await version3 { () throws(QueryFailure) in
                let traces = try await found(try QueryParameters(request).searchVersion3())
                return ["result": OTLPTracesJSON(traces)]
            }
        }
        router.get("api/v3/traces/:id") { request, context in
            await version3 { () throws(QueryFailure) in
                let id = try Self.traceID(context.parameters.get("id") ?? "")
                let isRaw = QueryParameters(request).isTrue("raw_traces", "rawTraces")
                return ["result": OTLPTracesJSON([try await questions.trace(id, raw: isRaw)])]
            }
        }
    }

    // MARK: Answers

    private func version2<Content: Encodable>(
        _ work: () async throws(QueryFailure) -> [Content]
    ) async -> Response {
        do throws(QueryFailure) {
            let data = try await work()
            return Self.json(JaegerEnvelope(data: data, total: data.count))
        } catch {
            let errors = [JaegerError(code: error.status, msg: error.message)]
            return Self.json(JaegerEnvelope<[String]>(errors: errors), error.status)
        }
    }

    private func version3<Content: Encodable>(
        _ work: () async throws(QueryFailure) -> Content
    ) async -> Response {
        do throws(QueryFailure) {
            return Self.json(try await work())
        } catch {
            let failure = JaegerFailure(httpCode: error.status, message: error.message)
            return Self.json(["error": failure], error.status)
        }
    }

    private static func json(_ content: some Encodable, _ status: Int = 200) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = (try? encoder.encode(content)) ?? Data("{}".utf8)
        return Response(
            status: .init(code: status), headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: JSONVisible.escaped(Array(data)))))
    }

    private static func traceID(_ text: String) throws(QueryFailure) -> TraceID {
        let padded = String(repeating: "0", count: max(0, 32 - text.utf8.count)) + text
        guard !text.isEmpty, let id = TraceID(hexadecimal: padded) else {
            throw QueryFailure(400, "'\(text.prefix(64))' is no trace id")
        }
        return id
    }

    /// `%2F` and the like as bytes of UTF-8; the text itself where it is not escaped well.
    private static func decoded(_ text: String?) -> String {
        let text = text ?? ""
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next(), let low = rest.next(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return text }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self) ?? text
    }

    /// Unix nanoseconds.
    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }
}
