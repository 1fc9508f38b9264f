// Sends copies to shadows over HTTP: one address, one deadline, no redirects, bounded answers.

import AsyncHTTPClient
package import EventModel
import MeshRules
import NIOCore
import NIOHTTP1
import NIOHTTPCompression
import Synchronization

/// How copies are sent.
package struct ShadowSenderConfiguration: Sendable {
    /// Where the files lie that `shadow_auth` names.
    package var credentialsDirectory: String
    /// What all gateways and nodes of a mesh share, for the shadow mark; at least 16 bytes.
    package var markKey: [UInt8]
    /// Copies that one shadow gets at once.
    package var placesPerShadow = 32
    /// Inflated bytes of an answer's body that are read.
    package var bodyBytesMaximum = 1_048_576
    /// Headers of an answer that are read.
    package var headersMaximum = 64
    /// Nanoseconds since 1970.
    package var now: @Sendable () -> Timestamp

    package init(credentialsDirectory: String, markKey: [UInt8], now: @escaping @Sendable () -> Timestamp) {
        self.credentialsDirectory = credentialsDirectory
        self.markKey = markKey
        self.now = now
    }
}

/// The one that speaks HTTP for the node.
package final class HTTPShadowSender: ShadowSender {
    private let configuration: ShadowSenderConfiguration
    private let client: HTTPClient
    private let mark: ShadowMark
    private let credentials: ShadowCredentials
    private let breakers = Mutex<[String: ShadowBreaker]>([:])
    /// Shadows whose breakers are remembered.
    private static let remembered = 4_096

    /// - Precondition: the mark's key has at least 16 bytes.
    package init(_ configuration: ShadowSenderConfiguration) {
        guard let mark = ShadowMark(key: configuration.markKey) else { preconditionFailure("a key of 16 bytes") }
        self.configuration = configuration
        self.mark = mark
        credentials = ShadowCredentials(directory: configuration.credentialsDirectory)
        var settings = HTTPClient.Configuration(redirectConfiguration: .disallow)
        settings.decompression = .enabled(limit: .size(configuration.bodyBytesMaximum))
        settings.httpVersion = .http1Only
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.placesPerShadow
        settings.connectionPool.idleTimeout = .seconds(30)
        settings.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    }

    /// Ends the connections.
    package func shutdown() async { try? await client.shutdown() }

    package func send(_ request: ShadowRequest) async -> ShadowAnswer {
        if !request.allowWrites, request.method != "GET", request.method != "HEAD" {
            return ShadowAnswer(.skipped, reason: "method_not_allowed")
        }
        guard ShadowHeaders.isToken(request.method), request.target.hasPrefix("/"), Self.isPlain(request.target) else {
            return ShadowAnswer(.skipped, reason: "not_sendable")
        }
        var headers = ShadowHeaders.kept(request.headers)
        if !request.authentication.isEmpty {
            guard let own = credentials.headers(request.authentication) else {
                return ShadowAnswer(.skipped, reason: "no_credentials")
            }
            headers = headers.filter { field in !own.contains { $0.name == field.name.lowercased() } } + own
        }
        switch enter(request.endpoint) {
        case .open: return ShadowAnswer(.rejected, reason: "breaker_open")
        case .busy: return ShadowAnswer(.rejected, reason: "busy")
        case .admitted: break
        }
        let start = ContinuousClock.now
        var answer = await exchange(request, headers)
        answer.latency = Self.nanoseconds(since: start)
        leave(request.endpoint, isAnswered: answer.outcome == .succeeded)
        return answer
    }

    /// A target goes into the request's first line: no blanks and no control characters.
    private static func isPlain(_ target: String) -> Bool { target.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F } }

    private static func nanoseconds(since start: ContinuousClock.Instant) -> Nanoseconds {
        let elapsed = start.duration(to: .now).components
        return Nanoseconds(max(0, elapsed.seconds * 1_000_000_000 + elapsed.attoseconds / 1_000_000_000))
    }

    // MARK: Breakers

    private func enter(_ endpoint: String) -> ShadowBreaker.Admission {
        let now = configuration.now()
        return breakers.withLock { breakers in
            if breakers.count >= Self.remembered { breakers = breakers.filter { !$0.value.isIdle } }
            return breakers[endpoint, default: ShadowBreaker(places: configuration.placesPerShadow)].enter(at: now)
        }
    }

    private func leave(_ endpoint: String, isAnswered: Bool) {
        let now = configuration.now()
        breakers.withLock { $0[endpoint]?.leave(isAnswered: isAnswered, at: now) }
    }

    // MARK: One exchange

    /// Everything within one deadline, the resolving of a name and the last byte of the answer too.
    private func exchange(_ request: ShadowRequest, _ headers: [HeaderField]) async -> ShadowAnswer {
        await withTaskGroup(of: ShadowAnswer.self) { group in
            group.addTask { await self.attempt(request, headers) }
            group.addTask {
                try? await Task.sleep(for: .nanoseconds(request.timeout.rawValue))
                return ShadowAnswer(.timedOut, reason: "timed_out")
            }
            let first = await group.next() ?? ShadowAnswer(.failed, reason: "cancelled")
            group.cancelAll()
            return first
        }
    }

    private func attempt(_ request: ShadowRequest, _ headers: [HeaderField]) async -> ShadowAnswer {
        let address: ShadowAddress
        do throws(AddressRefusal) {
            address = try await ShadowResolver.resolve(request.endpoint, allowLoopback: request.allowLoopback)
        } catch {
            return ShadowAnswer(error.reason == "unresolved" ? .failed : .skipped, reason: error.reason)
        }
        var outgoing = HTTPClientRequest(url: "http://\(address.host):\(address.port)\(request.target)")
        outgoing.method = HTTPMethod(rawValue: request.method)
        for field in headers { outgoing.headers.add(name: field.name, value: field.value) }
        outgoing.headers.add(name: "host", value: request.endpoint)
        outgoing.headers.add(
            name: ShadowMark.header,
            value: mark.value(method: request.method, target: request.target, at: configuration.now()))
        if !request.body.isEmpty { outgoing.body = .bytes(ByteBuffer(bytes: request.body)) }
        do {
            let response = try await client.execute(
                outgoing, deadline: .now() + .nanoseconds(request.timeout.rawValue))
            return try await read(response)
        } catch {
            return Self.failure(error)
        }
    }

    private func read(_ response: HTTPClientResponse) async throws -> ShadowAnswer {
        var body: [UInt8] = []
        for try await part in response.body {
            guard body.count + part.readableBytes <= configuration.bodyBytesMaximum else {
                return ShadowAnswer(.failed, status: UInt32(response.status.code), reason: "too_large")
            }
            body += part.readableBytesView
        }
        let headers = response.headers.prefix(configuration.headersMaximum).map {
            HeaderField(name: $0.name, value: $0.value)
        }
        return ShadowAnswer(.succeeded, status: UInt32(response.status.code), headers: headers, body: body)
    }

    /// What went wrong, in a word that tells nothing of the contents.
    private static func failure(_ error: any Error) -> ShadowAnswer {
        if let error = error as? HTTPClientError {
            let isTimeOut = error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout
            return ShadowAnswer(
                isTimeOut ? .timedOut : .failed, reason: isTimeOut ? "timed_out" : error.shortDescription)
        }
        let text = String(describing: type(of: error))
        return ShadowAnswer(.failed, reason: text.contains("Decompression") ? "too_large" : "not_connected")
    }
}
