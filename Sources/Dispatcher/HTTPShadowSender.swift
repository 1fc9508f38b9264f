// Sends copies to shadows over HTTP: one address, one deadline, no redirects, bounded answers.

package import EventModel
import MeshRules
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
    /// Whether a shadow that does not answer is left alone for a while.
    package var hasBreaker = true
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
    private let client: ShadowClient
    private let mark: ShadowMark
    private let credentials: ShadowCredentials
    private let breakers = Mutex<[String: ShadowBreaker]>([:])
    /// Shadows whose breakers are remembered.
    private static let remembered = 4_096

    /// - Precondition: the mark's key has at least 16 bytes.
    package convenience init(_ configuration: ShadowSenderConfiguration) {
        self.init(configuration, resolver: .shared)
    }

    init(_ configuration: ShadowSenderConfiguration, resolver: ShadowResolver) {
        guard let mark = ShadowMark(key: configuration.markKey) else { preconditionFailure("a key of 16 bytes") }
        self.configuration = configuration
        self.mark = mark
        credentials = ShadowCredentials(directory: configuration.credentialsDirectory)
        client = ShadowClient(ShadowPool.Limits(perAddress: configuration.placesPerShadow), resolver)
    }

    /// Ends the connections, and what is under way.
    package func shutdown() async { await client.shutdown() }

    package func send(_ request: ShadowRequest) async -> ShadowAnswer {
        if !request.allowWrites, request.method != "GET", request.method != "HEAD" {
            return ShadowAnswer(.skipped, reason: "method_not_allowed")
        }
        let captured = ShadowHeaders.kept(request.headers)
        if let reason = CopyBytes.refusal(request) ?? CopyBytes.refusal(captured) {
            return ShadowAnswer(.skipped, reason: reason)
        }
        var headers = captured
        if !request.authentication.isEmpty {
            guard let own = credentials.headers(request.authentication) else {
                return ShadowAnswer(.skipped, reason: "no_credentials")
            }
            headers = headers.filter { field in !own.contains { $0.name == field.name.lowercased() } }
            headers += ShadowHeaders.own(own)
        }
        switch enter(request.endpoint) {
        case .open: return ShadowAnswer(.rejected, reason: "breaker_open")
        case .busy: return ShadowAnswer(.rejected, reason: "busy")
        case .admitted: break
        }
        let start = ContinuousClock.now
        let end = await client.carryOut(plan(request, headers))
        let latency = Self.nanoseconds(since: start)
        leave(request.endpoint, isAnswered: Self.isAnswer(end))
        var answer = answer(end)
        answer.latency = latency
        return answer
    }

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
        breakers.withLock { $0[endpoint]?.leave(isAnswered: isAnswered || !configuration.hasBreaker, at: now) }
    }

    /// Who answers lives, and is not left alone because the answer is more than is read.
    private static func isAnswer(_ end: ExchangeEnd) -> Bool {
        switch end {
        case .answered: true
        case .failed(let fault, let status): fault == .tooLarge && status > 0
        case .refused, .timedOut, .cancelled: false
        }
    }

    // MARK: One exchange

    private func plan(_ request: ShadowRequest, _ headers: [HeaderField]) -> ExchangePlan {
        let value = mark.value(method: request.method, target: request.target, at: configuration.now())
        var limits = AnswerParser.Limits()
        limits.headers = configuration.headersMaximum
        limits.bodyBytes = configuration.bodyBytesMaximum
        return ExchangePlan(
            endpoint: request.endpoint, allowLoopback: request.allowLoopback,
            bytes: CopyBytes.make(request, headers, mark: value),
            parser: AnswerParser(isHead: request.method == "HEAD", limits: limits),
            isSafe: ["GET", "HEAD", "OPTIONS"].contains(request.method), timeout: request.timeout)
    }

    private func answer(_ end: ExchangeEnd) -> ShadowAnswer {
        switch end {
        case .answered(let answer): unpacked(answer)
        case .failed(let fault, let status): ShadowAnswer(.failed, status: status, reason: fault.reason)
        case .refused(let refusal):
            ShadowAnswer(refusal == .refused ? .skipped : .failed, reason: refusal.reason)
        case .timedOut: ShadowAnswer(.timedOut, reason: "timed_out")
        case .cancelled: ShadowAnswer(.failed, reason: "cancelled")
        }
    }

    private func unpacked(_ answer: ParsedAnswer) -> ShadowAnswer {
        do throws(AnswerInflation.Failure) {
            let body = try AnswerInflation.inflated(answer, bytesMaximum: configuration.bodyBytesMaximum)
            return ShadowAnswer(.succeeded, status: answer.status, headers: answer.headers, body: body)
        } catch {
            let reason =
                switch error {
                case .tooLarge: AnswerFault.tooLarge.reason
                case .malformed: "malformed_encoding"
                }
            return ShadowAnswer(.failed, status: answer.status, reason: reason)
        }
    }
}
