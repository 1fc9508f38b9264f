// Sending copies and comparing what comes back: what the dispatcher, a replay and a check have in common.

package import EventModel
package import MeshRules

/// A copy with what production answered.
package struct ShadowCopy: Sendable {
    package var request: ShadowRequest
    package var production: ObservedResponse

    package init(request: ShadowRequest, production: ObservedResponse) {
        self.request = request
        self.production = production
    }
}

/// What came of one copy.
package struct DispatchedCopy: Sendable {
    package var answer: ShadowAnswer
    /// How the answers compare; nil: the shadow gave none.
    package var comparison: ResponseComparison?
}

/// What a child of the task group hands back, with its place: a struct, since the compiler breaks tuples here
/// (decision 138).
private struct EndedCopy: Sendable {
    var place: Int
    var value: DispatchedCopy
}

/// Sends one copy to its shadow and compares the answers (`dispatch_to_shadow` of Specification.md).
///
/// Whatever happens is an answer, within the request's own time.
package func dispatchToShadow(
    _ copy: ShadowCopy, rules: ComparisonRules, shadowHandler: any ShadowSender
) async -> DispatchedCopy {
    let answer = await shadowHandler.send(copy.request)
    guard answer.outcome == .succeeded else { return DispatchedCopy(answer: answer) }
    let comparison = compareResponses(
        production: copy.production, shadow: ObservedResponse(shadow: answer), rules: rules)
    return DispatchedCopy(answer: answer, comparison: comparison)
}

/// Sends copies in their order, at most `batchSize` under way at once (`batch_dispatch`).
///
/// - Parameters:
///   - pace: awaited before each copy, by its place; a replay waits there for the copy's time.
///   - ended: told of each copy as it ends, by its place, one after the other.
package func batchDispatch(
    _ copies: [ShadowCopy], batchSize: Int, rules: ComparisonRules, shadowHandler: any ShadowSender,
    pace: (Int) async -> Void = { _ in }, ended: (Int, DispatchedCopy) -> Void
) async {
    await withTaskGroup(of: EndedCopy.self) { group in
        var underWay = 0
        for (place, copy) in copies.enumerated() {
            if underWay >= max(1, batchSize), let copy = await group.next() {
                ended(copy.place, copy.value)
                underWay -= 1
            }
            await pace(place)
            group.addTask {
                EndedCopy(place: place, value: await dispatchToShadow(copy, rules: rules, shadowHandler: shadowHandler))
            }
            underWay += 1
        }
        for await copy in group { ended(copy.place, copy.value) }
    }
}

extension ObservedResponse {
    /// A shadow's answer, redacted as production's was before it was captured.
    package init(shadow answer: ShadowAnswer, rules: RedactionRules = .standard) {
        switch rules.redact(body: answer.body, headers: answer.headers) {
        case .kept(let body):
            self.init(status: answer.status, headers: rules.redact(headers: answer.headers), body: body)
        case .withheld:
            self.init(
                status: answer.status, headers: rules.redact(headers: answer.headers), body: [],
                bodyLength: answer.body.count)
        }
    }
}
