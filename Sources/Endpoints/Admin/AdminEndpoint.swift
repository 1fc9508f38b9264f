// The administration of a node over HTTP: health, metrics, queries and events, as a customer of the bus like any other.

import EventModel
import HTTPTypes
import Hummingbird
package import Listeners
package import Logging
package import Messaging
import NIOCore
import Queries
package import ServiceLifecycle

/// What the endpoint is told.
package struct AdminEndpointConfiguration: Sendable {
    package var host: String
    /// 0: any free one.
    package var port: Int
    package var prefix: String
    /// Who may do what. Without any token the routes that change state, and those to contents, are closed.
    package var access = AccessPolicy.open
    /// Without it the listener speaks plain HTTP.
    package var tls: ListenerTLS?
    package var bounds = ListenerBounds()
    package var timeout = Duration.seconds(5)

    package init(host: String, port: Int, prefix: String) {
        self.host = host
        self.port = port
        self.prefix = prefix
    }
}

/// Routes and what they ask.
package struct AdminEndpoint: Sendable {
    private let configuration: AdminEndpointConfiguration
    private let queries: QueryClient
    private let unreadiness: @Sendable () -> [String]
    private let metrics: PrometheusMetrics
    private let outcome: PublishWithOutcome
    private static let bodyBytes = 1 << 20

    package init(
        _ configuration: AdminEndpointConfiguration, bus: any MessageBus, metrics: PrometheusMetrics,
        unreadiness: @escaping @Sendable () -> [String], outcome: @escaping PublishWithOutcome
    ) {
        self.outcome = outcome
        self.configuration = configuration
        queries = QueryClient(bus: bus, prefix: configuration.prefix, timeout: configuration.timeout)
        self.metrics = metrics
        self.unreadiness = unreadiness
    }

    /// The listener as a service; `onListening` is told the port. Throws what TLS refuses.
    package func service(
        logger: Logger, onListening: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        try HTTPListener.service(
            router(), host: configuration.host, port: configuration.port, tls: configuration.tls,
            bounds: configuration.bounds, logger: logger, onListening: onListening)
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: FailuresAsJSON())
        router.get("healthz") { _, _ in Self.text("ok\n") }
        router.get("readyz") { _, _ in
            let reasons = unreadiness()
            if reasons.isEmpty { return Self.json(Array(#"{"ready":true}"#.utf8)) }
            let words = reasons.map { #""\#(Self.escaped($0))""# }.joined(separator: ",")
            return Self.json(Array(#"{"ready":false,"reasons":[\#(words)]}"#.utf8), .serviceUnavailable)
        }
        let viewers = router.group().add(
            middleware: RoleGate(configuration.access, .viewer) { Self.failure($0.code, $0.message, $0.status) })
        viewers.get("metrics") { _, _ in
            Self.text(metrics.textWithProcess(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
        viewers.get("sd/prometheus") { _, _ in await PrometheusDiscovery(queries).answer() }
        router.post("v1/queries/:machine/:query") { request, context in
            try await query(request, context) { _ in try await body(request) }
        }
        router.get("v1/queries/:machine/:query") { request, context in
            try await query(request, context) { QueryFields.json(request.uri.queryParameters, for: $0) }
        }
        router.post("v1/events/:family/:owner/:kind") { request, context in try await publish(request, context) }
        return router
    }

    // MARK: Queries

    /// Asks the node for those who may ask: the node knows this endpoint only, and would answer it anything.
    private func query(
        _ request: Request, _ context: BasicRequestContext, _ question: (QueryName) async throws -> [UInt8]
    ) async throws -> Response {
        let access = configuration.access
        let caller = access.caller(request)
        let (machine, query) = (try context.parameters.require("machine"), try context.parameters.require("query"))
        guard let name = QueryName(machine: machine, query: query) else {
            // Who may look at nothing is told nothing, not even which queries there are.
            if let objection = access.objection(to: caller, asking: QueryRole.viewer) { return refusal(objection) }
            return Self.failure("unknown_query", "no such query", .notFound)
        }
        if let objection = access.objection(to: caller, asking: name) { return refusal(objection) }
        var reader = ""
        if name.handsOutContents {
            // The node records who reads: the token's name, which nobody can choose in a URL or a body.
            guard case .holder(let token) = caller else { return refusal(.missingToken) }
            reader = token.name
        }
        let fields = try await question(name)
        return await ask(name, fields.isEmpty ? Array("{}".utf8) : fields, by: reader)
    }

    /// Asks in protobuf and answers in the JSON of people's tools. What cannot be read goes on as it is: the node says why.
    private func ask(_ name: QueryName, _ text: [UInt8], by reader: String) async -> Response {
        do throws(UnansweredQuery) {
            guard let question = try? JSONTranscoder.binary(fromJSON: text, kind: name.question) else {
                return Self.json(try await queries.ask(name, text, as: .json, by: reader))
            }
            let answer = try await queries.ask(name, question, by: reader)
            guard let body = try? JSONTranscoder.people(fromBinary: answer, kind: name.answer) else {
                return Self.failure("internal", "the answer is not understood", .badGateway)
            }
            return Self.json(body)
        } catch {
            return Self.failure(error)
        }
    }

    private func refusal(_ objection: AccessObjection) -> Response {
        guard configuration.access.hasTokens else {
            return Self.failure("forbidden", Self.withoutTokens, .forbidden)
        }
        return objection.marking(Self.failure(objection.code, objection.message, objection.status))
    }

    private static let withoutTokens =
        "that takes a token, and this node was started without --http-tokens-file and --http-token-file"

    // MARK: Events

    private func publish(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let token: AccessToken
        switch configuration.access.caller(request) {
        case .nobody: return refusal(.missingToken)
        case .stranger: return refusal(.unknownToken)
        case .holder(let holder): token = holder
        }
        let owner = try context.parameters.require("owner").removingPercentEncodingOnce
        let subject: String
        switch EventPermission(
            token, family: try context.parameters.require("family"), owner: owner,
            kind: try context.parameters.require("kind"))
        {
        case .granted(let granted) where !owner.isEmpty: subject = granted
        case .granted, .unknownType: return Self.failure("unknown_event_type", "no such kind of event", .badRequest)
        case .refused(let reason): return Self.failure("forbidden", reason, .forbidden)
        }
        let isProtobuf = request.headers[.contentType]?.contains("protobuf") ?? false
        let type = isProtobuf ? "application/protobuf" : "application/json"
        var headers = [MessageHeader("Content-Type", type)]
        if let id = request.headers[HTTPField.Name("Nats-Msg-Id")!] { headers.append(MessageHeader("Nats-Msg-Id", id)) }
        let message = Message(
            subject: "\(configuration.prefix).events.\(subject)", headers: headers,
            payload: try await body(request))
        return try await publishedOutcome(of: message)
    }

    /// The outcome as JSON, in whichever encoding the event was sent.
    private func publishedOutcome(of message: Message) async throws -> Response {
        do throws(BusError) {
            let answer = try await outcome(message, configuration.timeout)
            let isText = answer.payload.first == UInt8(ascii: "{")
            let binary =
                isText ? try? JSONTranscoder.binary(fromJSON: answer.payload, kind: .outcomeAnswer) : answer.payload
            let payload = binary.flatMap { try? JSONTranscoder.people(fromBinary: $0, kind: .outcomeAnswer) }
            guard let payload, let verdict = Self.decode(Verdict.self, payload)?.outcome else {
                return Self.failure("internal", "the outcome is not understood", .badGateway)
            }
            switch verdict {
            case "accepted", "duplicate": return Self.json(payload)
            case "refused": return Self.json(payload, .conflict)
            default: return Self.json(payload, .badRequest)
            }
        } catch {
            return Self.failure(.undelivered(error))
        }
    }

    // MARK: In and out

    private func body(_ request: Request) async throws -> [UInt8] {
        let buffer = try await request.body.collect(upTo: Self.bodyBytes)
        return Array(buffer.readableBytesView)
    }

    static func text(_ text: String, type: String = "text/plain; charset=utf-8") -> Response {
        Response(
            status: .ok, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    static func json(_ bytes: [UInt8], _ status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: JSONVisible.escaped(bytes))))
    }

    static func failure(_ code: String, _ message: String, _ status: HTTPResponse.Status) -> Response {
        json(Array(#"{"code":"\#(escaped(code))","message":"\#(escaped(message))"}"#.utf8), status)
    }

    /// The node's own refusal as it wrote it, or why there is none.
    static func failure(_ failure: UnansweredQuery) -> Response {
        let status = HTTPResponse.Status(code: failure.httpStatus)
        guard case .refused(let error) = failure,
            let body = try? JSONTranscoder.people(fromBinary: error.encode(), kind: .errorAnswer)
        else { return Self.failure(failure.code, failure.message, status) }
        return json(body, status)
    }

    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
