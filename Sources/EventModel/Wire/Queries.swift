// Questions to the registry and to the node, and how they are read from the wire (queries.proto).

/// Where in the log a question is asked.
public struct ReadPosition: Sendable, Hashable {
    /// Time travel: the state at this sequence.
    public var atSequence: SequenceNumber?
    /// Time travel: the state at the last record that is not later.
    public var atTime: Timestamp?
    /// Read your own writes: wait until this sequence is applied.
    public var minimumSequence: SequenceNumber?

    public init(
        atSequence: SequenceNumber? = nil, atTime: Timestamp? = nil, minimumSequence: SequenceNumber? = nil
    ) {
        self.atSequence = atSequence
        self.atTime = atTime
        self.minimumSequence = minimumSequence
    }

    /// Now, whatever is applied.
    public static let now = ReadPosition()
}

/// A question to the registry: the fields of `RegistryQuery`; each query reads those it needs.
public struct RegistryQuery: Sendable, Hashable {
    public var serviceName = ""
    /// Empty: every region.
    public var region = ""
    public var healthyOnly = true
    public var minimumWeight: UInt32 = 0
    public var strategy = SelectionStrategy.weightedRandom
    /// The dice of random strategies; nil: derived from the position, so that the answer stays a function of it.
    public var seed: UInt64?
    /// How many selections came before (round robin); nil: whoever answers counts.
    public var cursor: UInt64?
    public var excludedRegions: [String] = []
    public var instanceID = ""
    /// 0: the query's own default.
    public var limit: UInt32 = 0
    public var allowPanic = false
    /// Preferred zone; empty: none.
    public var zone = ""
    /// The asker's name among load reporters.
    public var reporter = ""
    /// The asker's own connection counts by instance id.
    public var localLoads: [LocalLoad] = []
    /// Lists: the page that the page before named; empty: the first.
    public var pageToken = ""
    /// Instances come without their metadata.
    public var withoutMetadata = false
    /// `resolve`: only what changed after this sequence, and what left; origin: everything.
    public var changedSince = SequenceNumber.origin
    public var position = ReadPosition.now

    public init() {}
}

/// How many connections the asker itself has to an instance.
public struct LocalLoad: Sendable, Hashable {
    public var instanceID: String
    public var activeConnections: UInt32

    public init(instanceID: String, activeConnections: UInt32) {
        self.instanceID = instanceID
        self.activeConnections = activeConnections
    }
}

/// A question to the node.
public struct NodeQuery: Sendable, Hashable {
    /// `outcome`: of which record.
    public var sequence = SequenceNumber.origin
    public var position = ReadPosition.now

    public init() {}
}

/// The names of the registry's queries: the last token of the subject.
public enum RegistryQueryName: String, Sendable, Hashable, CaseIterable {
    case resolve
    case select
    case instance
    case staleInstances = "stale_instances"
    case failoverCandidates = "failover_candidates"
    case services
    case topology
    case removals
    case digest
}

/// The names of the node's queries.
public enum NodeQueryName: String, Sendable, Hashable, CaseIterable {
    case status
    case outcome
    case digest
}

extension RegistryQuery {
    /// Reads a request; an empty payload is a request without fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> RegistryQuery {
        var query = RegistryQuery()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            try query.read(field, payload)
        }
        try FieldRules.finish(cursor, "request")
        return query
    }

    private mutating func read(_ field: WireField, _ payload: ArraySlice<UInt8>) throws(DecodeError) {
        switch field.number {
        case 1: serviceName = try FieldRules.identifier(payload, field, "service_name")
        case 2: region = try FieldRules.identifier(payload, field, "region")
        case 3: healthyOnly = try FieldRules.number(field, "healthy_only") != 0
        case 4: minimumWeight = try FieldRules.small(field, "min_weight")
        case 5:
            let raw = try FieldRules.small(field, "strategy")
            guard let known = SelectionStrategy(rawValue: raw) else {
                if raw == 0 { return }
                throw DecodeError("unknown_enum_value", "strategy")
            }
            strategy = known
        case 6: seed = try FieldRules.number(field, "seed")
        case 7: cursor = try FieldRules.number(field, "cursor")
        case 8:
            guard excludedRegions.count < Limits.selectionCandidates else {
                throw DecodeError("too_many", "exclude_regions")
            }
            excludedRegions.append(try FieldRules.identifier(payload, field, "exclude_regions"))
        case 9: instanceID = try FieldRules.identifier(payload, field, "instance_id")
        case 10: limit = try FieldRules.small(field, "limit")
        case 11: allowPanic = try FieldRules.number(field, "allow_panic") != 0
        case 12: zone = try FieldRules.identifier(payload, field, "zone")
        case 13...15: try position.read(field)
        case 16: reporter = try FieldRules.identifier(payload, field, "reporter")
        case 17: localLoads.append(try Self.localLoad(field, payload))
        case 18: pageToken = try FieldRules.text(payload, field, "page_token", limit: Limits.valueBytes)
        case 19: withoutMetadata = try FieldRules.number(field, "without_metadata") != 0
        case 20: changedSince = SequenceNumber(try FieldRules.number(field, "changed_since"))
        default: break
        }
    }

    private static func localLoad(
        _ field: WireField, _ payload: ArraySlice<UInt8>
    ) throws(DecodeError) -> LocalLoad {
        guard field.isBytes else { throw DecodeError("malformed", "local_loads") }
        var load = LocalLoad(instanceID: "", activeConnections: 0)
        var inner = WireCursor(field.range)
        while let field = inner.next(in: payload.span) {
            switch field.number {
            case 1: load.instanceID = try FieldRules.identifier(payload, field, "local_loads.instance_id")
            case 2: load.activeConnections = try FieldRules.small(field, "local_loads.active_connections")
            default: break
            }
        }
        try FieldRules.finish(inner, "local_loads")
        return load
    }

    /// The request as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, serviceName)
        writer.field(2, region)
        writer.optionalField(3, healthyOnly ? nil : 0)
        writer.field(4, minimumWeight)
        writer.field(5, strategy.rawValue)
        writer.optionalField(6, seed)
        writer.optionalField(7, cursor)
        for region in excludedRegions { writer.element(8, region) }
        writer.field(9, instanceID)
        writer.field(10, limit)
        writer.field(11, allowPanic)
        writer.field(12, zone)
        position.write(&writer)
        writer.field(16, reporter)
        for load in localLoads {
            writer.message(17) { inner in
                inner.field(1, load.instanceID)
                inner.field(2, load.activeConnections)
            }
        }
        writer.field(18, pageToken)
        writer.field(19, withoutMetadata)
        writer.field(20, changedSince)
        return writer.bytes
    }
}

extension ReadPosition {
    mutating func read(_ field: WireField) throws(DecodeError) {
        let value = try FieldRules.number(field, "position")
        switch field.number {
        case 13: atSequence = value == 0 ? nil : SequenceNumber(value)
        case 14: atTime = value == 0 ? nil : Timestamp(nanoseconds: Int64(bitPattern: value))
        case 15: minimumSequence = value == 0 ? nil : SequenceNumber(value)
        default: break
        }
    }

    func write(_ writer: inout WireWriter) {
        writer.field(13, atSequence ?? .origin)
        writer.field(14, atTime ?? .zero)
        writer.field(15, minimumSequence ?? .origin)
    }
}

extension NodeQuery {
    /// Reads a request; an empty payload is a request without fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> NodeQuery {
        var query = NodeQuery()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: query.sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            case 13...15: try query.position.read(field)
            default: break
            }
        }
        try FieldRules.finish(cursor, "request")
        return query
    }

    /// The request as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, sequence)
        position.write(&writer)
        return writer.bytes
    }
}
