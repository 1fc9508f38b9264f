// The specification's functions on a traffic mirror, over one in the caller's own process and over answers in hand.

public import EventModel
import MeshRules
import StateMachines

/// Asks a shadow, whatever it is: what is sent in, what came back out.
///
/// Where the time of the request is over, the task is cancelled and the answer is `timedOut`; a handler that does not heed
/// its cancellation delays that answer. The latency is the one that the handler names: one beyond the request's time counts
/// as `timedOut`, too, so that simulations need not wait.
public typealias ShadowHandler = @Sendable (ShadowRequest) async -> ShadowAnswer

/// Compares a shadow's answer with production's (`compare_responses`): the status, headers that are named, and the body,
/// JSON by its structure and anything else by its bytes.
///
/// - Parameters:
///   - ignoreFields: names of members, or JSON Pointers in which `*` stands for one step, that are passed over.
///   - unorderedArrays: pointers to arrays whose order does not matter; `**` alone: all of them.
///   - comparedHeaders: headers that must be equal; none by default.
/// - Throws: `invalid` with the first rule that cannot be one.
public func compareResponses(
    production: MirroredResponse, shadow: MirroredResponse, ignoreFields: [String] = [],
    unorderedArrays: [String] = [], comparedHeaders: [String] = []
) throws(LocalError) -> ComparisonResult {
    let rules = try comparisonRules(ignoreFields, unorderedArrays, comparedHeaders)
    return ComparisonResult(
        MeshRules.compareResponses(production: production.observed, shadow: shadow.observed, rules: rules))
}

private func comparisonRules(
    _ ignoreFields: [String], _ unorderedArrays: [String], _ comparedHeaders: [String]
) throws(LocalError) -> ComparisonRules {
    do {
        return try ComparisonRules(
            ignoreFields: ignoreFields, unorderedArrays: unorderedArrays, comparedHeaders: comparedHeaders)
    } catch {
        throw .invalid(field: error.field, reason: error.reason)
    }
}

/// A mirror from a specification (`create_mirror_from_spec`).
///
/// - Parameter specification: an object with the names of the wire, as in the files of `lattice mirror add`: `mirror_id`,
///   `source_service` and `shadow_endpoint`, which it must have, `mode`, `sample_rate` (0 to 1 in steps of 0.0001, or a
///   text with `%`), `include_intents`, `exclude_intents`, `timeout_ms` (1 to 60000), `enabled`, …
/// - Throws: `invalid` with the first field that is unknown, missing, of the wrong type or out of its range, in order of
///   name.
public func createMirrorFromSpec(_ specification: JSONValue) throws(LocalError) -> MirrorConfiguration {
    do {
        return try StateMachines.createMirrorFromSpec(SpecificationValue(specification))
    } catch {
        throw .invalid(field: error.field, reason: error.reason)
    }
}

extension SpecificationValue {
    fileprivate init(_ value: JSONValue) {
        self =
            switch value {
            case .null: .null
            case .bool(let value): .boolean(value)
            case .int(let value): .number(String(value))
            case .double(let value): .number(String(value))
            case .string(let text): .text(text)
            case .array(let values): .list(values.map { SpecificationValue($0) })
            case .object(let members):
                .object(
                    members.sorted { $0.key.precedesInBytes($1.key) }.map {
                        SpecificationMember($0.key, SpecificationValue($0.value))
                    })
            }
    }
}

/// Sends one captured request to a shadow and, where production's answer is given, compares the answers
/// (`dispatch_to_shadow`). Whatever happens is a result.
///
/// - Parameters:
///   - production: nil: nothing is compared.
///   - shadowEndpoint: `host:port`, handed to the handler.
///   - timeout: for everything.
///   - ignoreFields: as of `compareResponses`.
///   - unorderedArrays: as of `compareResponses`.
///   - comparedHeaders: as of `compareResponses`.
/// - Throws: `invalid` with the first rule that cannot be one; then nothing is sent.
public func dispatchToShadow(
    _ request: MirroredRequest, production: MirroredResponse? = nil, shadowEndpoint: String,
    timeout: Nanoseconds = .seconds(1), ignoreFields: [String] = [], unorderedArrays: [String] = [],
    comparedHeaders: [String] = [], shadowHandler: @escaping ShadowHandler
) async throws(LocalError) -> MirrorResult {
    let rules = try comparisonRules(ignoreFields, unorderedArrays, comparedHeaders)
    let copy = ShadowCopy(
        request: ShadowRequest(request, to: shadowEndpoint, timeout: timeout),
        production: (production ?? MirroredResponse()).observed)
    let ended = await dispatchToShadow(copy, rules: rules, shadowHandler: TimedSender(handler: shadowHandler))
    let dispatch = ShadowDispatch(
        directive: DirectiveID(causeSequence: .origin, causeIndex: 0, mirrorID: ""), outcome: ended.answer.outcome,
        status: ended.answer.status, latency: ended.answer.latency, reason: ended.answer.reason)
    return MirrorResult(
        requestID: request.requestID, shadowEndpoint: shadowEndpoint, dispatch: dispatch,
        comparison: production == nil ? nil : ended.comparison)
}

/// Sends the oldest requests that wait for a mirror's shadow, compares the answers by the mirror's rules, and counts what
/// came of them in the mirror (`batch_dispatch`).
///
/// - Parameters:
///   - batchSize: at most so many; the rest goes on waiting.
///   - concurrency: at most so many under way at once, at least one.
/// - Returns: what came of each, the oldest request first.
/// - Throws: `refused`: `unknownMirror`, `shadowNotAllowed` where the allow-list has changed; then nothing is sent.
@discardableResult
public func batchDispatch(
    _ mirror: inout LocalMirror, _ mirrorID: String, batchSize: Int = 100, concurrency: Int = 8,
    shadowHandler: @escaping ShadowHandler
) async throws(LocalError) -> [MirrorResult] {
    let batch = try mirror.batch(mirrorID, limit: batchSize)
    var ended = [DispatchedCopy?](repeating: nil, count: batch.copies.count)
    await batchDispatch(
        batch.copies, batchSize: concurrency, rules: batch.rules, shadowHandler: TimedSender(handler: shadowHandler),
        ended: { ended[$0] = $1 })
    return try mirror.settle(batch, ended)
}

/// Counts where results differ (`analyze_diffs`).
///
/// - Parameter thresholdBasisPoints: how many of 10,000 compared may differ.
public func analyzeDiffs(_ results: [MirrorResult], thresholdBasisPoints: UInt32 = 0) -> DifferenceReport {
    let analysis: DifferenceAnalysis = StateMachines.analyzeDiffs(results, thresholdBasisPoints: thresholdBasisPoints)
    return DifferenceReport(analysis)
}

/// A handler whose requests end in time, and whose answers can stand in a log.
private struct TimedSender: ShadowSender {
    private static let reasonBytes = 1_024

    let handler: ShadowHandler

    func send(_ request: ShadowRequest) async -> ShadowAnswer {
        let late = ShadowAnswer(.timedOut, latency: max(.zero, request.timeout), reason: "timeout")
        var answer = await withTaskGroup(of: ShadowAnswer.self) { group in
            group.addTask { [handler] in await handler(request) }
            group.addTask {
                try? await Task.sleep(for: .nanoseconds(late.latency.rawValue))
                return late
            }
            let first = await group.next() ?? late
            group.cancelAll()
            return first
        }
        if answer.outcome == .succeeded && answer.latency > request.timeout { return late }
        answer.latency = min(max(.zero, answer.latency), late.latency)
        answer.reason = String(decoding: answer.reason.utf8.prefix(Self.reasonBytes), as: UTF8.self)
        return answer
    }
}
