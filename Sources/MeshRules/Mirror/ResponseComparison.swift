// The comparison of a shadow's response with production's: status, selected headers, body (`compare_responses`).

package import EventModel

/// A response as it was captured.
package struct ObservedResponse: Sendable, Hashable {
    package var status: UInt32
    package var headers: [HeaderField]
    /// What was kept of the body.
    package var body: [UInt8]
    /// Its full length in bytes.
    package var bodyLength: Int

    package init(status: UInt32 = 200, headers: [HeaderField] = [], body: [UInt8] = [], bodyLength: Int? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.bodyLength = bodyLength ?? body.count
    }

    /// Whether only the beginning of the body was kept.
    package var isCut: Bool { bodyLength > body.count }

    /// The values of a header, in order.
    func values(of name: String) -> [String] {
        headers.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// Whether the body says that it is JSON; nil: it says nothing.
    var claimsJSON: Bool? {
        guard let type = values(of: "content-type").first else { return nil }
        let media = type.lowercased().prefix { $0 != ";" && $0 != "," }.filter { $0 != " " && $0 != "\t" }
        return media == "application/json" || media == "text/json" || media.hasSuffix("+json")
    }
}

/// Why a body was not compared as JSON although it claims to be.
package enum ComparisonNote: UInt8, Sendable, Hashable, CaseIterable {
    case productionMalformed = 1, shadowMalformed, productionInvalidUTF8, shadowInvalidUTF8
    case productionDuplicateMember, shadowDuplicateMember, productionTooDeep, shadowTooDeep
    case productionTooLarge, shadowTooLarge, productionCut, shadowCut

    /// One sentence for people.
    package var text: String {
        switch self {
        case .productionMalformed: "production's body is not valid JSON: compared by bytes"
        case .shadowMalformed: "the shadow's body is not valid JSON: compared by bytes"
        case .productionInvalidUTF8: "production's body is not UTF-8: compared by bytes"
        case .shadowInvalidUTF8: "the shadow's body is not UTF-8: compared by bytes"
        case .productionDuplicateMember: "production's body has a member twice: compared by bytes"
        case .shadowDuplicateMember: "the shadow's body has a member twice: compared by bytes"
        case .productionTooDeep: "production's body is nested too deeply: compared by bytes"
        case .shadowTooDeep: "the shadow's body is nested too deeply: compared by bytes"
        case .productionTooLarge: "production's body is too large to be taken apart: compared by bytes"
        case .shadowTooLarge: "the shadow's body is too large to be taken apart: compared by bytes"
        case .productionCut: "only the beginning of production's body was kept"
        case .shadowCut: "only the beginning of the shadow's body was kept"
        }
    }

    init(_ fault: JSONFault, isShadow: Bool) {
        self =
            switch fault {
            case .malformed: isShadow ? .shadowMalformed : .productionMalformed
            case .invalidUTF8: isShadow ? .shadowInvalidUTF8 : .productionInvalidUTF8
            case .duplicateMember: isShadow ? .shadowDuplicateMember : .productionDuplicateMember
            case .tooDeep: isShadow ? .shadowTooDeep : .productionTooDeep
            case .tooLarge: isShadow ? .shadowTooLarge : .productionTooLarge
            }
    }
}

/// What came of comparing two responses.
package struct ResponseComparison: Sendable, Hashable {
    package var verdict: ComparisonVerdict
    /// The differences, status first, then headers, then the body from its beginning; bounded.
    package var differences: [ResponseDifference]
    /// All of them, told or not.
    package var differenceCount: Int
    package var notes: [ComparisonNote]

    /// Nothing differs.
    package static let equal = ResponseComparison(verdict: .equal, differences: [], differenceCount: 0, notes: [])

    /// The places that differ, each once, in the order in which they were found.
    package var differingPaths: [DifferingPath] {
        var seen: Set<DifferingPath> = []
        return differences.map(\.counted).filter { seen.insert($0).inserted }
    }

    /// A few lines for people: the verdict, the notes, the first differences.
    package var summary: String {
        var lines: [String] = []
        switch verdict {
        case .equal: lines.append("equal")
        case .undecided: lines.append("undecided")
        case .different: lines.append(differenceCount == 1 ? "1 difference" : "\(differenceCount) differences")
        }
        lines += notes.map { "note: \($0.text)" }
        lines += differences.prefix(8).map(\.summary)
        let told = min(8, differences.count)
        if differenceCount > told { lines.append("… and \(differenceCount - told) more") }
        return lines.joined(separator: "\n")
    }
}

/// Compares a shadow's response with production's.
///
/// - Complexity: one pass where the bytes are equal; else as `JSONComparison`; memory is bounded by the rules' bounds.
package func compareResponses(
    production: ObservedResponse, shadow: ObservedResponse, rules: ComparisonRules = .strict
) -> ResponseComparison {
    var result = ResponseComparison.equal
    if production.status != shadow.status {
        result.add(
            ResponseDifference(
                part: .status, path: "", pattern: "", kind: .value, production: "\(production.status)",
                shadow: "\(shadow.status)"))
    }
    for name in rules.comparedHeaders {
        compareHeader(name, production.values(of: name), shadow.values(of: name), rules, &result)
    }
    compareBodies(production, shadow, rules, &result)
    if result.differenceCount > 0 {
        result.verdict = .different
    } else if production.isCut || shadow.isCut {
        result.verdict = .undecided
    }
    return result
}

private func compareHeader(
    _ name: String, _ production: [String], _ shadow: [String], _ rules: ComparisonRules,
    _ result: inout ResponseComparison
) {
    if production == shadow { return }
    let isSecret = RedactionRules.standard.isSecret(header: name)
    func side(_ values: [String]) -> String {
        if values.isEmpty { return "" }
        if isSecret { return SideText.secret }
        return SideText.shortened(Array(values.joined(separator: ", ").utf8)[...], rules.bounds.sideBytes)
    }
    let kind: DifferenceKind = production.isEmpty ? .unexpected : shadow.isEmpty ? .missing : .value
    result.add(
        ResponseDifference(
            part: .header, path: name, pattern: name, kind: kind, production: side(production), shadow: side(shadow)))
}

private func compareBodies(
    _ production: ObservedResponse, _ shadow: ObservedResponse, _ rules: ComparisonRules,
    _ result: inout ResponseComparison
) {
    if production.isCut || shadow.isCut { return compareCut(production, shadow, &result) }
    if ByteComparison.areEqual(production.body, shadow.body) { return }
    guard isJSON(production, shadow) else { return compareBytes(production.body, shadow.body, &result) }
    let one = parse(production.body, isShadow: false, rules, &result)
    // Whoever cannot be compared needs no second tape.
    let other = one == nil ? nil : parse(shadow.body, isShadow: true, rules, &result)
    guard let one, let other else { return compareBytes(production.body, shadow.body, &result) }
    var comparison = JSONComparison(one, other, rules)
    comparison.run()
    result.differenceCount += comparison.count
    result.differences += comparison.differences
}

private func isJSON(_ production: ObservedResponse, _ shadow: ObservedResponse) -> Bool {
    if let claim = production.claimsJSON ?? shadow.claimsJSON { return claim || shadow.claimsJSON == true }
    let first = production.body.first { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }
    return first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
}

private func parse(
    _ body: [UInt8], isShadow: Bool, _ rules: ComparisonRules, _ result: inout ResponseComparison
) -> JSONTape? {
    do {
        return try JSONTapeParser.parse(
            body, depthMaximum: rules.bounds.depth, bytesMaximum: rules.bounds.bodyBytes)
    } catch {
        result.notes.append(ComparisonNote(error, isShadow: isShadow))
        return nil
    }
}

private func compareBytes(_ production: [UInt8], _ shadow: [UInt8], _ result: inout ResponseComparison) {
    let offset = ByteComparison.commonCount(production, shadow)
    if offset == production.count && offset == shadow.count { return }
    result.add(
        ResponseDifference(
            part: .body, path: "", pattern: "", kind: .value,
            production: "\(production.count) bytes that differ from byte \(offset) on",
            shadow: "\(shadow.count) bytes"))
}

/// A cut body is not compared: where it ends in the middle, neither values nor bytes tell what was meant.
private func compareCut(
    _ production: ObservedResponse, _ shadow: ObservedResponse, _ result: inout ResponseComparison
) {
    if production.isCut { result.notes.append(.productionCut) }
    if shadow.isCut { result.notes.append(.shadowCut) }
}

extension ResponseComparison {
    fileprivate mutating func add(_ difference: ResponseDifference) {
        differenceCount += 1
        differences.append(difference)
    }
}
