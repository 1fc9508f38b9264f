// An expression over the state of a mesh: read once, evaluated as often as wanted.

package import EventModel

/// What `lattice bisect` and `lattice step` watch (the language is described in TimeTravel.md).
///
/// Names and types are checked when it is read; evaluating is total, changes nothing, and costs at most
/// `ExpressionLimits.nodes` steps for each row of the tables that are named.
package struct MeshExpression: Sendable {
    package let source: String
    private let root: ExpressionNode
    /// The families of events that can change its value besides time and settings, which can change any.
    package let families: Set<EventFamily>
    /// Whether it looks at the position itself, which each record changes.
    package let isPositional: Bool

    /// Reads an expression whose value is true or false.
    package init(_ source: String) throws(ExpressionError) {
        try self.init(anything: source)
        if root.type != .boolean {
            throw ExpressionError(
                message: "the whole must be true or false, not of type \(root.type.rawValue)", source: source,
                range: root.range)
        }
    }

    /// Reads an expression with any value.
    package init(anything source: String) throws(ExpressionError) {
        self.source = source
        root = try ExpressionParser.parse(source)
        var reads = ExpressionReads()
        reads.visit(root)
        families = reads.families
        isPositional = reads.isPositional
    }

    /// Its value in a state.
    package func value(in state: MeshState) -> ExpressionValue {
        var evaluator = MeshEvaluator(state)
        return evaluator.value(root, of: .mesh(state))
    }

    /// Whether it is true in a state.
    package func isTrue(in state: MeshState) -> Bool { value(in: state).isTrue }

    /// Whether a record of this family can change its value. Time and settings can change anything.
    package func mayChange(with event: Event) -> Bool {
        if isPositional { return true }
        switch event {
        case .registry: return families.contains(.registry)
        case .mirror: return families.contains(.mirror)
        case .trace: return families.contains(.trace)
        case .clock, .policy: return true
        case .audit, .opaque: return false
        }
    }

    /// What one part of an expression said of two states.
    package struct Observation: Sendable, Hashable {
        /// The part as it is written.
        package var text: String
        package var before: ExpressionValue
        package var after: ExpressionValue
        /// Rows that meet the condition in the second state only…
        package var appeared: [String] = []
        /// …and in the first only.
        package var disappeared: [String] = []
    }

    /// What each part that looks at the mesh says of two states, in the order of the text.
    package func observations(_ before: MeshState, _ after: MeshState) -> [Observation] {
        var (first, second) = (MeshEvaluator(before), MeshEvaluator(after))
        var parts: [ExpressionNode] = []
        Self.collect(root, &parts)
        return parts.map { part in
            var observation = Observation(
                text: text(part.range), before: first.value(part, of: .mesh(before)),
                after: second.value(part, of: .mesh(after)))
            if case .aggregate(let aggregate) = part.kind {
                let (old, new) = (first.labels(aggregate), second.labels(aggregate))
                let (oldSet, newSet) = (Set(old), Set(new))
                observation.appeared = new.filter { !oldSet.contains($0) }
                observation.disappeared = old.filter { !newSet.contains($0) }
            }
            return observation
        }
    }

    /// The rows that it names and that a state does not have, as they are written: `service("chekout")`. Whoever mistyped
    /// a name learns it from this.
    package func absentRows(in state: MeshState) -> [String] {
        var evaluator = MeshEvaluator(state)
        var lookups: [ExpressionNode] = []
        Self.collectLookups(root, &lookups)
        var found: [String] = []
        for node in lookups {
            guard case .lookup(let table, let keys, _) = node.kind, let name = table.singular else { continue }
            let row = ExpressionNode(kind: .lookup(table, keys: keys, nil), type: .boolean, range: node.range)
            if evaluator.value(row, of: .mesh(state)).isTrue { continue }
            let text = "\(name)(\(keys.map { "\"\($0)\"" }.joined(separator: ", ")))"
            if !found.contains(text) { found.append(text) }
        }
        return found
    }

    private static func collectLookups(_ node: ExpressionNode, _ found: inout [ExpressionNode]) {
        switch node.kind {
        // Within an aggregate nothing is looked up.
        case .literal, .metadata, .field, .aggregate: break
        case .lookup: found.append(node)
        case .not(let inner), .negate(let inner): collectLookups(inner, &found)
        case .binary(_, let left, let right):
            collectLookups(left, &found)
            collectLookups(right, &found)
        }
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: source.utf8.prefix(range.upperBound).dropFirst(range.lowerBound), as: UTF8.self)
    }

    /// The smallest parts that read the state.
    private static func collect(_ node: ExpressionNode, _ parts: inout [ExpressionNode]) {
        switch node.kind {
        case .literal, .metadata: break
        case .field, .lookup, .aggregate: parts.append(node)
        case .not(let inner), .negate(let inner): collect(inner, &parts)
        case .binary(_, let left, let right):
            collect(left, &parts)
            collect(right, &parts)
        }
    }
}

/// Which machines an expression reads.
private struct ExpressionReads {
    var families: Set<EventFamily> = []
    var isPositional = false

    mutating func visit(_ node: ExpressionNode) {
        switch node.kind {
        case .literal, .metadata: break
        case .field(let field): visit(mesh: field.name)
        case .lookup(let table, _, let field):
            visit(table)
            if table == .services, field?.needsFigures ?? true { families.insert(.trace) }
        case .aggregate(let aggregate):
            visit(aggregate.table)
            if aggregate.table == .services { families.insert(.trace) }
        case .not(let inner), .negate(let inner): visit(inner)
        case .binary(_, let left, let right):
            visit(left)
            visit(right)
        }
    }

    private mutating func visit(mesh name: String) {
        switch name {
        case "sequence", "time", "repeats": isPositional = true
        case "duplicate_spans": families.insert(.trace)
        case "outbox": families.insert(.mirror)
        default: break
        }
    }

    private mutating func visit(_ table: MeshTable) {
        switch table {
        case .services, .instances, .removals: families.insert(.registry)
        case .traces, .operations, .dependencies: families.insert(.trace)
        case .mirrors: families.insert(.mirror)
        }
    }
}

/// Evaluates over one state; each table is made once.
private struct MeshEvaluator {
    private let state: MeshState
    private var tables: [MeshTable: [MeshRow]] = [:]

    init(_ state: MeshState) { self.state = state }

    mutating func value(_ node: ExpressionNode, of row: MeshRow) -> ExpressionValue {
        switch node.kind {
        case .literal(let value): return value
        case .field(let field): return field.read(row)
        case .metadata(let key):
            guard case .instance(let snapshot, _) = row else { return .nothing }
            let entry = snapshot.instance.metadata.first { $0.key.equalsInBytes(key) }
            return entry.map { .text($0.value) } ?? .nothing
        case .lookup(let table, let keys, let field):
            let found = state.row(table, keys, withFigures: field?.needsFigures ?? true)
            guard let field else { return .boolean(found != nil) }
            return found.map { field.read($0) } ?? .nothing
        case .not(let inner): return .boolean(!value(inner, of: row).isTrue)
        case .negate(let inner): return ExpressionOperator.minus.apply(.integer(0), value(inner, of: row))
        case .binary(let infix, let left, let right):
            let first = value(left, of: row)
            if infix == .and && !first.isTrue { return .boolean(false) }
            if infix == .or && first.isTrue { return .boolean(true) }
            return infix.apply(first, value(right, of: row))
        case .aggregate(let aggregate): return value(aggregate)
        }
    }

    private mutating func rows(_ table: MeshTable) -> [MeshRow] {
        if let made = tables[table] { return made }
        let made = state.rows(table, withFigures: true)
        tables[table] = made
        return made
    }

    private mutating func matches(_ aggregate: ExpressionNode.Aggregate) -> [MeshRow] {
        guard let condition = aggregate.condition else { return rows(aggregate.table) }
        var result: [MeshRow] = []
        for row in rows(aggregate.table) where value(condition, of: row).isTrue { result.append(row) }
        return result
    }

    mutating func labels(_ aggregate: ExpressionNode.Aggregate) -> [String] { matches(aggregate).map(\.label) }

    private mutating func value(_ aggregate: ExpressionNode.Aggregate) -> ExpressionValue {
        let found = matches(aggregate)
        switch aggregate.function {
        case .count: return .integer(Int64(found.count))
        case .any: return .boolean(!found.isEmpty)
        case .all: return .boolean(found.count == rows(aggregate.table).count)
        case .sum, .min, .max, .percentile: break
        }
        guard let term = aggregate.value else { return .nothing }
        var numbers: [Int64] = []
        for row in found {
            if case .integer(let number) = value(term, of: row) { numbers.append(number) }
        }
        switch aggregate.function {
        case .sum:
            return numbers.reduce(.integer(0)) { ExpressionOperator.plus.apply($0, .integer($1)) }
        case .min: return numbers.min().map { .integer($0) } ?? .nothing
        case .max: return numbers.max().map { .integer($0) } ?? .nothing
        default: return Self.percentile(numbers, aggregate.basisPoints)
        }
    }

    /// The smallest number that so many basis points of the numbers do not exceed.
    private static func percentile(_ numbers: [Int64], _ basisPoints: Int64) -> ExpressionValue {
        if numbers.isEmpty { return .nothing }
        let rank = (numbers.count * Int(basisPoints) + 9_999) / 10_000
        return .integer(numbers.sorted()[max(0, rank - 1)])
    }
}
