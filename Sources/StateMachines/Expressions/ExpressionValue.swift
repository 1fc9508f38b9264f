// The values of expressions about a mesh, their types, and the error that points at a column.

/// What an expression, or a part of it, comes to.
package enum ExpressionValue: Sendable, Hashable {
    case integer(Int64)
    case text(String)
    case boolean(Bool)
    /// There is none: an instance that is not registered, a percentile of no values, a division by zero.
    case nothing

    var isTrue: Bool { self == .boolean(true) }

    /// As it is written in an expression.
    package var description: String {
        switch self {
        case .integer(let value): "\(value)"
        case .text(let text): "\"\(text)\""
        case .boolean(let value): "\(value)"
        case .nothing: "nothing"
        }
    }
}

/// What kind of value a part of an expression has.
package enum ExpressionType: String, Sendable, Hashable {
    case integer, text, boolean, nothing
}

/// Why a text is no expression, with the place in it.
package struct ExpressionError: Error, Sendable, Hashable {
    package var message: String
    package var source: String
    /// Bytes of the source that are meant; empty at its end.
    package var range: Range<Int>

    /// From 1, in characters.
    package var column: Int { characters(before: range.lowerBound) + 1 }

    /// The message, the expression, and a mark below the place.
    package var description: String {
        let width = max(1, characters(before: range.upperBound) - characters(before: range.lowerBound))
        let mark = String(repeating: " ", count: column - 1) + String(repeating: "^", count: width)
        return "column \(column): \(message)\n  \(source)\n  \(mark)"
    }

    private func characters(before offset: Int) -> Int {
        String(decoding: source.utf8.prefix(offset), as: UTF8.self).count
    }
}

/// What bounds an expression, so that anybody's may be evaluated.
package enum ExpressionLimits {
    /// Bytes of the text.
    package static let sourceBytes = 4_096
    /// Parts within parts.
    package static let depth = 32
    /// Parts in all. An evaluation costs at most so many steps for each row of the tables that are counted over.
    package static let nodes = 512
}
