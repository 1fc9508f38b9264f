// What comparisons of answers come to, as values for whoever calls the mirror's functions.

public import EventModel
import MeshRules
import StateMachines

/// An answer, production's or a shadow's.
public struct MirroredResponse: Sendable, Hashable {
    /// The status of HTTP, 100 to 599.
    public var status: UInt32
    /// In order; names compare without regard to case.
    public var headers: [HeaderField]
    /// What there is of the body.
    public var body: [UInt8]
    /// Bytes of the whole body, of which `body` may be the beginning: then it is not compared.
    public var bodyLength: Int

    /// An answer.
    ///
    /// - Parameter bodyLength: nil: `body` is all of it.
    public init(status: UInt32 = 200, headers: [HeaderField] = [], body: [UInt8] = [], bodyLength: Int? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.bodyLength = max(body.count, bodyLength ?? body.count)
    }

    var observed: ObservedResponse {
        ObservedResponse(status: status, headers: headers, body: body, bodyLength: bodyLength)
    }
}

/// What came of comparing two answers.
public struct ComparisonResult: Sendable, Hashable {
    /// Equal, different, or undecided where nothing differs and not all was kept.
    public var verdict: ComparisonVerdict
    /// All differences, told or not.
    public var differenceCount: Int
    /// The first 64: the status, headers, then the body from its beginning.
    public var differences: [ComparedPlace]
    /// Why a body was compared by bytes or not at all, a sentence each.
    public var notes: [String]
    /// A few lines for people.
    public var summary: String

    init(_ comparison: ResponseComparison) {
        verdict = comparison.verdict
        differenceCount = comparison.differenceCount
        differences = comparison.differences.map { ComparedPlace($0) }
        notes = comparison.notes.map(\.text)
        summary = comparison.summary
    }
}

/// One place at which two answers differ.
public struct ComparedPlace: Sendable, Hashable {
    /// Status, header or body.
    public var part: ResponsePart
    /// The JSON Pointer in a JSON body, the name of a header, else empty.
    public var path: String
    /// The path with `*` for each element of an array: an entry of `ignoreFields` as it stands.
    public var pattern: String
    /// Missing, unexpected, of another type or of another value.
    public var kind: DifferenceKind
    /// What production has, at most 80 bytes of it, secrets hidden; empty where it has nothing.
    public var production: String
    /// What the shadow has, alike.
    public var shadow: String
    /// One line, for instance `body /items/0/price: 12.5 became 12.6`.
    public var summary: String

    init(_ difference: ResponseDifference) {
        part = difference.part
        path = difference.path
        pattern = difference.pattern
        kind = difference.kind
        production = difference.production
        shadow = difference.shadow
        summary = difference.summary
    }
}

/// Where answers differ and how often, against a threshold.
public struct DifferenceReport: Sendable, Hashable {
    /// Results that had an answer.
    public var comparedCount: UInt64
    /// Those in which something differs.
    public var differingCount: UInt64
    /// Results without an answer.
    public var failedCount: UInt64
    /// Differing ones of 10,000 compared, rounded down.
    public var basisPoints: UInt32
    /// How many of 10,000 compared may differ.
    public var thresholdBasisPoints: UInt32
    /// Worst first; then by part, path and kind.
    public var rates: [DifferenceShare]
    /// Whether no more than the threshold differ. Nothing compared is no pass.
    public var passes: Bool
    /// A few lines for people.
    public var summary: String

    init(_ analysis: DifferenceAnalysis) {
        comparedCount = analysis.comparedCount
        differingCount = analysis.differingCount
        failedCount = analysis.failedCount
        basisPoints = analysis.basisPoints
        thresholdBasisPoints = analysis.thresholdBasisPoints
        rates = analysis.rates.map { DifferenceShare(path: $0.path, count: $0.count, basisPoints: $0.basisPoints) }
        passes = analysis.passes
        summary = analysis.summary
    }
}

/// How often one kind of difference is seen at one place.
public struct DifferenceShare: Sendable, Hashable {
    /// The kind and the place.
    public var path: DifferingPath
    /// Pairs in which it is seen.
    public var count: UInt64
    /// The same of 10,000 pairs, rounded down.
    public var basisPoints: UInt32
}
