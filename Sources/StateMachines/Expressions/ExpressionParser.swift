// Reads an expression into a tree, checking names and types on the way, so that an evaluation cannot fail.

/// A parser by recursive descent, bounded in depth and number of parts.
struct ExpressionParser {
    private let source: String
    private let tokens: [ExpressionToken]
    private var position = 0
    private var depth = 0
    private var nodeCount = 0
    /// The table whose rows are in question; nil: the mesh.
    private var scope: MeshTable?

    private init(_ source: String) throws(ExpressionError) {
        self.source = source
        tokens = try ExpressionLexer.tokens(of: source)
    }

    /// The tree of a whole text.
    static func parse(_ source: String) throws(ExpressionError) -> ExpressionNode {
        var parser = try ExpressionParser(source)
        let node = try parser.expression(1)
        guard parser.current.kind == .end else {
            throw parser.error("the expression should end here", parser.current.range)
        }
        return node
    }

    // MARK: Words

    private var current: ExpressionToken { tokens[position] }

    private mutating func advance() { if position < tokens.count - 1 { position += 1 } }

    private func isAt(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

    private mutating func take(_ symbol: String) -> Bool {
        guard isAt(symbol) else { return false }
        advance()
        return true
    }

    private mutating func expect(_ symbol: String) throws(ExpressionError) {
        if !take(symbol) { throw error("`\(symbol)` is missing", current.range) }
    }

    private func error(_ message: String, _ range: Range<Int>) -> ExpressionError {
        ExpressionError(message: message, source: source, range: range)
    }

    private mutating func node(
        _ kind: ExpressionNode.Kind, _ type: ExpressionType, _ range: Range<Int>
    ) throws(ExpressionError) -> ExpressionNode {
        nodeCount += 1
        if nodeCount > ExpressionLimits.nodes {
            throw error("an expression has at most \(ExpressionLimits.nodes) parts", range)
        }
        return ExpressionNode(kind: kind, type: type, range: range)
    }

    private func require(_ node: ExpressionNode, _ type: ExpressionType, _ role: String) throws(ExpressionError) {
        if node.type == type || (node.type == .nothing && type != .boolean) { return }
        throw error("\(role) must be of type \(type.rawValue), not \(node.type.rawValue)", node.range)
    }

    // MARK: Operators

    private mutating func expression(_ precedence: Int) throws(ExpressionError) -> ExpressionNode {
        depth += 1
        defer { depth -= 1 }
        if depth > ExpressionLimits.depth {
            throw error("an expression is at most \(ExpressionLimits.depth) parts deep", current.range)
        }
        var left = try prefix()
        while let infix = ExpressionOperator(current.kind), infix.precedence >= precedence {
            advance()
            let right = try expression(infix.precedence + 1)
            left = try joined(left, infix, right)
            let isComparison = infix.precedence == ExpressionOperator.comparisonPrecedence
            if isComparison, let next = ExpressionOperator(current.kind), next.precedence == infix.precedence {
                throw error("comparisons do not chain; join them with `and`", current.range)
            }
        }
        return left
    }

    private mutating func joined(
        _ left: ExpressionNode, _ infix: ExpressionOperator, _ right: ExpressionNode
    ) throws(ExpressionError) -> ExpressionNode {
        let range = left.range.lowerBound..<right.range.upperBound
        let role = "what stands beside `\(infix.rawValue)`"
        var type = ExpressionType.boolean
        switch infix {
        case .or, .and:
            try require(left, .boolean, role)
            try require(right, .boolean, role)
        case .equal, .unequal, .less, .atMost, .greater, .atLeast:
            let isOrder = infix != .equal && infix != .unequal
            if isOrder, left.type == .boolean { throw error("booleans have no order", left.range) }
            if left.type != .nothing && right.type != .nothing { try require(right, left.type, role) }
        case .like:
            try require(left, .text, role)
            try require(right, .text, role)
        case .plus, .minus, .times, .dividedBy, .modulo:
            try require(left, .integer, role)
            try require(right, .integer, role)
            type = .integer
        }
        return try node(.binary(infix, left, right), type, range)
    }

    private mutating func prefix() throws(ExpressionError) -> ExpressionNode {
        let start = current.range.lowerBound
        if isAt("!") || current.kind == .name("not") {
            advance()
            let inner = try expression(3)
            try require(inner, .boolean, "what stands behind `not`")
            return try node(.not(inner), .boolean, start..<inner.range.upperBound)
        }
        if take("-") {
            let inner = try expression(7)
            try require(inner, .integer, "what stands behind `-`")
            return try node(.negate(inner), .integer, start..<inner.range.upperBound)
        }
        return try primary()
    }

    // MARK: Parts

    private mutating func primary() throws(ExpressionError) -> ExpressionNode {
        let token = current
        advance()
        switch token.kind {
        case .integer(let value): return try node(.literal(.integer(value)), .integer, token.range)
        case .text(let text): return try node(.literal(.text(text)), .text, token.range)
        case .hundredths: throw error("numbers are whole, but for the rank of a percentile", token.range)
        case .symbol("("):
            let inner = try expression(1)
            try expect(")")
            return inner
        case .name(let name): return try named(name, token.range)
        case .symbol(let symbol): throw error("a value is missing before `\(symbol)`", token.range)
        case .end: throw error("a value is missing", token.range)
        }
    }

    private mutating func named(_ name: String, _ range: Range<Int>) throws(ExpressionError) -> ExpressionNode {
        switch name {
        case "true", "false": return try node(.literal(.boolean(name == "true")), .boolean, range)
        case "nothing": return try node(.literal(.nothing), .nothing, range)
        default: break
        }
        if isAt("(") { return try call(name, range) }
        if let field = MeshFields.find(name, in: scope) { return try node(.field(field), field.type, range) }
        throw error(unknown(name), range)
    }

    private func unknown(_ name: String) -> String {
        let known = (scope.map { MeshFields.of($0) } ?? MeshFields.mesh).map(\.name).joined(separator: ", ")
        if let scope { return "\(scope.rawValue) have no field `\(name)`; there are \(known)" }
        if let table = MeshTable(rawValue: name) {
            return "`\(name)` is a table: count(\(name)), any(\(name), CONDITION), …"
                + (table.singular.map { ", or \($0)(…).FIELD" } ?? "")
        }
        return "the mesh has no field `\(name)`; there are \(known)"
    }

    private mutating func call(_ name: String, _ range: Range<Int>) throws(ExpressionError) -> ExpressionNode {
        advance()
        if let function = ExpressionNode.Aggregate.Function(rawValue: name) {
            return try aggregate(function, range)
        }
        if let table = MeshTable.allCases.first(where: { $0.singular == name }) {
            return try lookup(table, name, range)
        }
        if name == "metadata", scope == .instances {
            let key = try text("the metadata's key")
            let end = current.range.upperBound
            try expect(")")
            return try node(.metadata(key), .text, range.lowerBound..<end)
        }
        let functions = ExpressionNode.Aggregate.Function.allCases.map(\.rawValue)
        let known = (functions + MeshTable.allCases.compactMap(\.singular)).joined(separator: ", ")
        throw error("there is no function `\(name)`; there are \(known)", range)
    }

    private mutating func text(_ role: String) throws(ExpressionError) -> String {
        guard case .text(let text) = current.kind else { throw error("\(role) is a text in quotes", current.range) }
        advance()
        return text
    }

    private mutating func lookup(
        _ table: MeshTable, _ name: String, _ range: Range<Int>
    ) throws(ExpressionError) -> ExpressionNode {
        if let scope {
            throw error("one row at a time: within \(scope.rawValue) nothing else is looked up", range)
        }
        var keys: [String] = []
        for key in table.keyNames {
            if !keys.isEmpty { try expect(",") }
            keys.append(try text("the \(key) of \(table.singular ?? "")"))
        }
        var end = current.range.upperBound
        try expect(")")
        guard take(".") else { return try node(.lookup(table, keys: keys, nil), .boolean, range.lowerBound..<end) }
        guard case .name(let fieldName) = current.kind, let field = MeshFields.find(fieldName, in: table) else {
            scope = table
            throw error(
                unknown(
                    String(
                        decoding: source.utf8.prefix(current.range.upperBound).dropFirst(current.range.lowerBound),
                        as: UTF8.self)), current.range)
        }
        end = current.range.upperBound
        advance()
        return try node(.lookup(table, keys: keys, field), field.type, range.lowerBound..<end)
    }

    // MARK: Over tables

    private mutating func aggregate(
        _ function: ExpressionNode.Aggregate.Function, _ range: Range<Int>
    ) throws(ExpressionError) -> ExpressionNode {
        if let scope {
            throw error("one table at a time: within \(scope.rawValue) nothing else is counted", range)
        }
        guard case .name(let name) = current.kind, let table = MeshTable(rawValue: name) else {
            let known = MeshTable.allCases.map(\.rawValue).joined(separator: ", ")
            throw error("the first part of `\(function.rawValue)` is a table: \(known)", current.range)
        }
        advance()
        scope = table
        defer { scope = nil }
        var result = ExpressionNode.Aggregate(function: function, table: table)
        switch function {
        case .count: result.condition = try condition(isNeeded: false)
        case .any, .all: result.condition = try condition(isNeeded: true)
        case .sum, .min, .max:
            result.value = try value()
            result.condition = try condition(isNeeded: false)
        case .percentile:
            result.value = try value()
            try expect(",")
            result.basisPoints = try rank()
            result.condition = try condition(isNeeded: false)
        }
        let end = current.range.upperBound
        try expect(")")
        let type: ExpressionType = function == .any || function == .all ? .boolean : .integer
        return try node(.aggregate(result), type, range.lowerBound..<end)
    }

    private mutating func value() throws(ExpressionError) -> ExpressionNode {
        try expect(",")
        let node = try expression(1)
        try require(node, .integer, "what is calculated with")
        return node
    }

    private mutating func condition(isNeeded: Bool) throws(ExpressionError) -> ExpressionNode? {
        if isNeeded { try expect(",") } else if !take(",") { return nil }
        let node = try expression(1)
        try require(node, .boolean, "a condition")
        return node
    }

    /// Of a percentile: 0 to 100, with at most two digits behind the point.
    private mutating func rank() throws(ExpressionError) -> Int64 {
        let token = current
        advance()
        switch token.kind {
        case .integer(let value) where (0...100).contains(value): return value * 100
        case .hundredths(let value) where (0...10_000).contains(value): return value
        default: throw error("the rank of a percentile is a number from 0 to 100", token.range)
        }
    }
}
