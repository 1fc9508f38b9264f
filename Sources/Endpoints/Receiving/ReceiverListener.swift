// A listener for HTTP, common to the endpoints that speak it.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import Listeners
import Logging
import NIOCore
import ServiceLifecycle

/// Routes of one endpoint, bound to an address.
struct ReceiverListener: Sendable {
    let configuration: ReceiverConfiguration
    let budget: ReceiverBudget

    /// What an endpoint makes of a body: the answer's status and content.
    typealias Handler = @Sendable (_ type: String, _ body: [UInt8]) async -> ReceiverAnswer

    /// The listener as a service; `onListening` is told the port.
    ///
    /// - Parameters:
    ///   - failure: a failure in the form of the endpoint, for a type of content.
    ///   - routes: further ones on the same listener.
    func service(
        path: String, logger: Logger, failure: @escaping @Sendable (ReceiverFailure, _ type: String) -> ReceiverAnswer,
        routes: Routes? = nil, onListening: @escaping @Sendable (Int) async -> Void, handler: @escaping Handler
    ) throws -> any Service {
        let router = Router()
        routes?.add(router)
        router.post(RouterPath(path)) { request, _ in
            let type = Self.mediaType(request)
            let answer: ReceiverAnswer
            do throws(ReceiverFailure) {
                answer = try await self.answer(request, type, handler)
            } catch {
                var refusal = failure(error, type)
                if error == .unsupportedEncoding { refusal.headers.append(("accept-encoding", Self.encodings)) }
                answer = refusal
            }
            return Self.response(answer)
        }
        return try HTTPListener.service(
            router, host: configuration.host, port: configuration.port, tls: configuration.tls,
            bounds: configuration.bounds, logger: logger, onListening: onListening)
    }

    private func answer(
        _ request: Request, _ type: String, _ handler: Handler
    ) async throws(ReceiverFailure) -> ReceiverAnswer {
        guard configuration.admits(request.headers[.authorization]) else { throw .unauthorized }
        let encoding = try Self.encoding(request)
        let packed = try await body(request)
        if let encoding {
            return try await budget.unpack(packed, encoding: encoding) { content in await handler(type, content) }
        }
        let answer = await budget.spend(packed.readableBytes) { await handler(type, Array(packed.readableBytesView)) }
        guard let answer else { throw .busy("too many requests under way") }
        return answer
    }

    private func body(_ request: Request) async throws(ReceiverFailure) -> ByteBuffer {
        if let text = request.headers[.contentLength], let length = Int(text), length > ReceiverLimits.bodyBytes {
            throw .tooLarge
        }
        do {
            return try await request.body.collect(upTo: ReceiverLimits.bodyBytes)
        } catch is NIOTooManyBytesError {
            throw .tooLarge
        } catch let error as any HTTPResponseError where error.status == .contentTooLarge {
            throw .tooLarge
        } catch {
            throw .malformed("the body did not come whole")
        }
    }

    private static let encodings = "gzip, deflate, identity"

    /// Nil: not packed. No name at all is none (other collectors take it so), `x-gzip` is `gzip` (RFC 9110, 8.4.1.3).
    private static func encoding(_ request: Request) throws(ReceiverFailure) -> String? {
        let name = request.headers[.contentEncoding]?.lowercased().split(separator: " ").joined()
        switch name {
        case nil, "", "identity": return nil
        case "gzip", "x-gzip": return "gzip"
        case "deflate": return "deflate"
        default: throw .unsupportedEncoding
        }
    }

    private static func mediaType(_ request: Request) -> String {
        let text = request.headers[.contentType]?.lowercased() ?? ""
        return text.prefix { $0 != ";" }.split(separator: " ").joined()
    }

    private static func response(_ answer: ReceiverAnswer) -> Response {
        var headers = HTTPFields()
        if !answer.type.isEmpty { headers[.contentType] = answer.type }
        if let seconds = answer.retryAfter { headers[.retryAfter] = "\(seconds)" }
        if answer.status == 401 { headers[.wwwAuthenticate] = "Bearer" }
        for (name, value) in answer.headers { if let name = HTTPField.Name(name) { headers[name] = value } }
        return Response(
            status: .init(code: answer.status), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: answer.body)))
    }
}

/// An answer before it is one of HTTP's.
struct ReceiverAnswer: Sendable {
    var status: Int
    var type = ""
    var body: [UInt8] = []
    /// Seconds.
    var retryAfter: Int?
    var headers: [(String, String)] = []
}

/// Why a request as a whole is not taken.
enum ReceiverFailure: Error, Sendable, Hashable {
    case malformed(String)
    case unsupportedType(String)
    case unsupportedEncoding
    case unauthorized
    case tooLarge
    /// Come again.
    case busy(String)
    case unavailable(String)

    init(_ trouble: SpanDelivery.Trouble) {
        switch trouble {
        case .backPressure(let reason): self = .busy(reason)
        case .unavailable(let reason): self = .unavailable("no node answers: \(reason)")
        }
    }

    /// Of HTTP.
    var status: Int {
        switch self {
        case .malformed: 400
        case .unauthorized: 401
        case .tooLarge: 413
        case .unsupportedType, .unsupportedEncoding: 415
        case .busy: 429
        case .unavailable: 503
        }
    }

    /// Seconds; nil where coming again is of no use.
    var retryAfter: Int? { [429, 503].contains(status) ? 1 : nil }

    var message: String {
        switch self {
        case .malformed(let reason), .unsupportedType(let reason), .busy(let reason), .unavailable(let reason): reason
        case .unsupportedEncoding: "Content-Encoding is gzip, deflate or identity"
        case .unauthorized: "a bearer token is needed"
        case .tooLarge:
            "a body has at most 4 MiB, unpacked 20 MiB and a hundred times what came"
        }
    }
}
