// An expression as a tree whose parts have types and places.

import EventModel
import MeshRules

/// One part of an expression.
struct ExpressionNode: Sendable {
    indirect enum Kind: Sendable {
        case literal(ExpressionValue)
        /// Of the row in question, or of the mesh.
        case field(MeshField)
        /// `metadata("version")` of the instance in question.
        case metadata(String)
        /// `service("checkout").healthy`; without a field: whether there is one.
        case lookup(MeshTable, keys: [String], MeshField?)
        case aggregate(Aggregate)
        case not(ExpressionNode)
        case negate(ExpressionNode)
        case binary(ExpressionOperator, ExpressionNode, ExpressionNode)
    }

    /// `count(instances, weight > 0)` and its like.
    struct Aggregate: Sendable {
        enum Function: String, Sendable, CaseIterable {
            case count, any, all, sum, min, max, percentile
        }

        var function: Function
        var table: MeshTable
        /// What is summed, or of which the percentile is taken.
        var value: ExpressionNode?
        var condition: ExpressionNode?
        /// Of a percentile, 0 to 10,000.
        var basisPoints: Int64 = 0
    }

    var kind: Kind
    var type: ExpressionType
    var range: Range<Int>
}

/// What stands between two parts.
enum ExpressionOperator: String, Sendable, CaseIterable {
    case or, and
    case equal = "=="
    case unequal = "!="
    case less = "<"
    case atMost = "<="
    case greater = ">"
    case atLeast = ">="
    case like
    case plus = "+"
    case minus = "-"
    case times = "*"
    case dividedBy = "/"
    case modulo = "%"

    /// Which binds how tightly; 1 least.
    var precedence: Int {
        switch self {
        case .or: 1
        case .and: 2
        case .equal, .unequal, .less, .atMost, .greater, .atLeast, .like: 4
        case .plus, .minus: 5
        case .times, .dividedBy, .modulo: 6
        }
    }

    static let comparisonPrecedence = 4

    /// Reads an operator; `&&` and `||` are `and` and `or`.
    init?(_ kind: ExpressionToken.Kind) {
        switch kind {
        case .symbol("&&"): self = .and
        case .symbol("||"): self = .or
        case .symbol(let text), .name(let text): self.init(rawValue: text)
        default: return nil
        }
    }

    func apply(_ left: ExpressionValue, _ right: ExpressionValue) -> ExpressionValue {
        switch self {
        case .or: return .boolean(left.isTrue || right.isTrue)
        case .and: return .boolean(left.isTrue && right.isTrue)
        case .equal: return .boolean(Self.isEqual(left, right))
        case .unequal: return .boolean(!Self.isEqual(left, right))
        case .less: return .boolean(Self.precedes(left, right) ?? false)
        case .atMost: return .boolean(Self.precedes(right, left).map { !$0 } ?? false)
        case .greater: return .boolean(Self.precedes(right, left) ?? false)
        case .atLeast: return .boolean(Self.precedes(left, right).map { !$0 } ?? false)
        case .like:
            guard case (.text(let text), .text(let pattern)) = (left, right) else { return .boolean(false) }
            return .boolean(Glob(pattern).matches(text))
        case .plus, .minus, .times, .dividedBy, .modulo:
            guard case (.integer(let one), .integer(let other)) = (left, right) else { return .nothing }
            return calculate(one, other)
        }
    }

    private static func isEqual(_ left: ExpressionValue, _ right: ExpressionValue) -> Bool {
        if case (.text(let one), .text(let other)) = (left, right) { return one.equalsInBytes(other) }
        return left == right
    }

    /// Nil where one of them is nothing.
    private static func precedes(_ left: ExpressionValue, _ right: ExpressionValue) -> Bool? {
        switch (left, right) {
        case (.integer(let one), .integer(let other)): one < other
        case (.text(let one), .text(let other)): one.precedesInBytes(other)
        default: nil
        }
    }

    /// Saturating; a division by zero is nothing.
    private func calculate(_ one: Int64, _ other: Int64) -> ExpressionValue {
        let (value, overflow): (Int64, Bool)
        switch self {
        case .plus: (value, overflow) = one.addingReportingOverflow(other)
        case .minus: (value, overflow) = one.subtractingReportingOverflow(other)
        case .times: (value, overflow) = one.multipliedReportingOverflow(by: other)
        case .dividedBy:
            if other == 0 { return .nothing }
            (value, overflow) = one.dividedReportingOverflow(by: other)
            if overflow { return .integer(.max) }
        default:
            if other == 0 { return .nothing }
            return .integer(one.remainderReportingOverflow(dividingBy: other).partialValue)
        }
        if !overflow { return .integer(value) }
        let isNegative: Bool
        switch self {
        case .plus: isNegative = one < 0
        case .minus: isNegative = one < 0
        default: isNegative = (one < 0) != (other < 0)
        }
        return .integer(isNegative ? .min : .max)
    }
}
