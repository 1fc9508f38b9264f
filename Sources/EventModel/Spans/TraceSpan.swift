// Spans as values: what one operation of one service did in a trace.

/// Which side of a call or a message a span is.
public enum SpanKind: UInt32, Sendable, Hashable, CaseIterable {
    case server = 1
    case client = 2
    case producer = 3
    case consumer = 4
    /// Neither; also what a span is that does not say.
    case `internal` = 5

    /// The name in JSON and on the command line.
    public var name: String {
        switch self {
        case .server: "server"
        case .client: "client"
        case .producer: "producer"
        case .consumer: "consumer"
        case .internal: "internal"
        }
    }

    /// Reads a name in lower or upper case.
    public init?(name: some StringProtocol) {
        guard let found = Self.allCases.first(where: { $0.name == name.lowercased() }) else { return nil }
        self = found
    }
}

/// How an operation ended.
public enum SpanStatus: UInt32, Sendable, Hashable, CaseIterable {
    case ok = 1
    case error = 2
    case timeout = 3
    case cancelled = 4

    /// The name in JSON and on the command line.
    public var name: String {
        switch self {
        case .ok: "ok"
        case .error: "error"
        case .timeout: "timeout"
        case .cancelled: "cancelled"
        }
    }

    /// Reads a name in lower or upper case.
    public init?(name: some StringProtocol) {
        guard let found = Self.allCases.first(where: { $0.name == name.lowercased() }) else { return nil }
        self = found
    }
}

/// The value of a tag.
public enum TagValue: Sendable, Hashable, CustomStringConvertible {
    case string(String)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case bytes([UInt8])
    /// An array or an object, as JSON text.
    case json(String)

    /// Equality of type and content, fractions by their bits, so that a value always equals itself.
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.string(let one), .string(let other)), (.json(let one), .json(let other)): one == other
        case (.bool(let one), .bool(let other)): one == other
        case (.int(let one), .int(let other)): one == other
        case (.double(let one), .double(let other)): one.bitPattern == other.bitPattern
        case (.bytes(let one), .bytes(let other)): one == other
        default: false
        }
    }

    /// Equal values have equal descriptions.
    public func hash(into hasher: inout Hasher) { hasher.combine(description) }

    /// The value for people; bytes in hexadecimal.
    public var description: String {
        switch self {
        case .string(let value), .json(let value): value
        case .bool(let value): String(value)
        case .int(let value): String(value)
        case .double(let value): String(value)
        case .bytes(let value):
            value.map { HexadecimalDigits.text(UInt64($0)).suffix(2) }.joined()
        }
    }
}

/// One line of a span's or a log's tags; their order is kept.
public struct SpanTag: Sendable, Hashable {
    public var key: String
    public var value: TagValue

    public init(key: String, value: TagValue) {
        self.key = key
        self.value = value
    }

    public init(_ key: String, _ value: String) { self.init(key: key, value: .string(value)) }
}

/// Something that happened during a span.
public struct SpanLog: Sendable, Hashable {
    public var time: Timestamp
    public var name: String
    public var fields: [SpanTag]

    public init(time: Timestamp, name: String = "", fields: [SpanTag] = []) {
        self.time = time
        self.name = name
        self.fields = fields
    }
}

/// A span that has to do with this one without being its parent.
public struct SpanLink: Sendable, Hashable {
    public var traceID: TraceID
    public var spanID: SpanID
    public var traceState: String
    public var tags: [SpanTag]

    public init(traceID: TraceID, spanID: SpanID, traceState: String = "", tags: [SpanTag] = []) {
        self.traceID = traceID
        self.spanID = spanID
        self.traceState = traceState
        self.tags = tags
    }
}

/// What tells two spans of a trace apart: the id, and which half of a call it is, since Zipkin's client and server
/// share one id (decision 18).
public struct SpanKey: Sendable, Hashable, Comparable {
    public var spanID: SpanID
    public var isServerHalf: Bool

    public init(spanID: SpanID, isServerHalf: Bool) {
        self.spanID = spanID
        self.isServerHalf = isServerHalf
    }

    /// By id, the client's half first.
    public static func < (left: Self, right: Self) -> Bool {
        if left.spanID != right.spanID { return left.spanID < right.spanID }
        return !left.isServerHalf && right.isServerHalf
    }
}

/// A single span in a distributed trace.
public struct TraceSpan: Sendable, Hashable {
    public var spanID: SpanID
    public var traceID: TraceID
    /// Nil: a root.
    public var parentSpanID: SpanID?
    public var serviceName: String
    public var operationName: String
    public var kind: SpanKind
    public var status: SpanStatus
    public var startTime: Timestamp
    /// Not before the start.
    public var endTime: Timestamp
    public var tags: [SpanTag]
    public var logs: [SpanLog]
    public var links: [SpanLink]
    /// What the process says of itself: the same for all spans of a batch.
    public var resource: [SpanTag]
    /// The other side of a call as its sender names it; empty: see the tags.
    public var peerService: String
    public var statusMessage: String
    public var traceState: String
    /// The library that made the span.
    public var scopeName: String
    public var scopeVersion: String

    public init(
        spanID: SpanID, traceID: TraceID, parentSpanID: SpanID? = nil, serviceName: String, operationName: String,
        kind: SpanKind = .internal, status: SpanStatus = .ok, startTime: Timestamp, endTime: Timestamp,
        tags: [SpanTag] = [], logs: [SpanLog] = [], links: [SpanLink] = [], resource: [SpanTag] = [],
        peerService: String = "", statusMessage: String = "", traceState: String = "", scopeName: String = "",
        scopeVersion: String = ""
    ) {
        self.spanID = spanID
        self.traceID = traceID
        self.parentSpanID = parentSpanID
        self.serviceName = serviceName
        self.operationName = operationName
        self.kind = kind
        self.status = status
        self.startTime = startTime
        self.endTime = endTime
        self.tags = tags
        self.logs = logs
        self.links = links
        self.resource = resource
        self.peerService = peerService
        self.statusMessage = statusMessage
        self.traceState = traceState
        self.scopeName = scopeName
        self.scopeVersion = scopeVersion
    }

    /// How long it took, saturating.
    public var duration: Nanoseconds { endTime - startTime }

    /// Milliseconds, for people.
    public var durationMs: Double { Double(duration.rawValue) / 1_000_000 }

    /// Whether it ended in any other way than well.
    public var isError: Bool { status != .ok }

    /// The id with the half.
    public var key: SpanKey { SpanKey(spanID: spanID, isServerHalf: kind == .server) }

    /// The value of the first tag of this name, the span's own before the process's.
    public func tag(_ name: String) -> TagValue? {
        (tags.first { $0.key == name } ?? resource.first { $0.key == name })?.value
    }

    /// The tags that say where a span ran, the first that has a text counts.
    public static let hostTags = ["ip", "host.ip", "net.host.ip", "host.name", "hostname", "host.id"]

    /// Where it ran, as far as it says, its own tags before the process's; nil: unknown.
    public var host: String? { Self.host(tags) ?? Self.host(resource) }

    private static func host(_ tags: [SpanTag]) -> String? {
        for name in hostTags {
            for tag in tags where tag.key == name {
                if case .string(let value) = tag.value, (1...Limits.identifierBytes).contains(value.utf8.count) {
                    return value
                }
            }
        }
        return nil
    }
}
