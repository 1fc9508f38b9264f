// What expressions can say of a mesh: the fields of each table, with type and meaning.

import EventModel

/// One field of a row, or of the mesh itself.
package struct MeshField: Sendable {
    package let name: String
    package let type: ExpressionType
    /// For people who look for a field.
    package let summary: String
    let read: @Sendable (MeshRow) -> ExpressionValue

    /// Whether services need their calls for it.
    var needsFigures: Bool { ["calls", "errors", "p50", "p95", "p99"].contains(name) }
}

/// The fields of everything.
package enum MeshFields {
    /// Of the mesh itself.
    package static let mesh: [MeshField] = [
        field("sequence", .integer, "the last record's sequence") { of($0) { .integer(clamped($0.moment.sequence)) } },
        field("time", .integer, "the last record's time, Unix nanoseconds") {
            of($0) { .integer($0.moment.recordedAt.rawValue) }
        },
        field("leader", .text, "who performs directives; empty: nobody yet") {
            of($0) { .text($0.admission.leaderID) }
        },
        field("leader_epoch", .integer, "how many claims to leadership were taken") {
            of($0) { .integer(clamped($0.admission.leaderEpoch)) }
        },
        field("repeats", .integer, "records whose message id had come before") {
            of($0) { .integer(clamped($0.admission.duplicateCount)) }
        },
        field("gaps", .integer, "times that messages were lost before the log") {
            of($0) { .integer(clamped($0.admission.gapCount)) }
        },
        field("duplicate_spans", .integer, "spans that came more than once") {
            of($0) { .integer(clamped($0.tracing.counters.duplicates)) }
        },
        field("outbox", .integer, "copies that are owed to shadows") {
            of($0) { state in .integer(state.mirror.stats().reduce(0) { $0 + Int64($1.pendingCount) }) }
        },
    ]

    /// The fields of a table.
    package static func of(_ table: MeshTable) -> [MeshField] {
        switch table {
        case .services: services
        case .instances: instances
        case .traces: traces
        case .operations: operations
        case .dependencies: dependencies
        case .mirrors: mirrors
        case .removals: removals
        }
    }

    static func find(_ name: String, in table: MeshTable?) -> MeshField? {
        (table.map { of($0) } ?? mesh).first { $0.name == name }
    }

    private static let services: [MeshField] =
        [
            service("name", .text, "the service's name") { .text($0.name) },
            service("instances", .integer, "instances that are registered") {
                .integer(Int64($0.topology?.instances ?? 0))
            },
            service("healthy", .integer, "instances that are healthy, and not silent under the guard") {
                .integer(Int64($0.topology?.healthy ?? 0))
            },
            service("weight", .integer, "the weights' sum") { .integer(clamped($0.topology?.weight ?? 0)) },
            service("protected", .boolean, "whether the eviction guard holds") {
                .boolean($0.topology?.protected ?? false)
            },
            service("changed_sequence", .integer, "the record that last changed what a resolver sees") {
                .integer(clamped($0.topology?.changedSequence ?? .origin))
            },
        ] + figures { row in if case .service(let service) = row { service.figures ?? CallFigures() } else { nil } }

    private static let instances: [MeshField] = [
        instance("id", .text, "the instance's id") { .text($0.instance.instanceID) },
        instance("service", .text, "whose instance it is") { .text($0.instance.serviceName) },
        instance("endpoint", .text, "host:port") { .text($0.instance.endpoint) },
        instance("region", .text, "its region") { .text($0.instance.region) },
        instance("zone", .text, "its zone") { .text($0.instance.zone) },
        instance("weight", .integer, "0 to 1000") { .integer(Int64($0.instance.weight)) },
        instance("health", .text, "\"healthy\", \"unhealthy\", \"stale\" or \"protected\"") { .text($0.standing) },
        instance("healthy", .boolean, "health is \"healthy\"") { .boolean($0.health == .healthy && !$0.isProtected) },
        instance("stale", .boolean, "health is \"stale\"") { .boolean($0.health == .stale) },
        instance("failures", .integer, "consecutive failed health checks") {
            .integer(Int64($0.status?.consecutiveFailures ?? 0))
        },
        instance("connections", .integer, "active connections") { .integer(Int64($0.activeConnections)) },
        instance("registered_at", .integer, "Unix nanoseconds") { .integer($0.instance.registeredAt.rawValue) },
        instance("last_heartbeat", .integer, "Unix nanoseconds") { .integer($0.instance.lastHeartbeat.rawValue) },
        instance("incarnation", .integer, "the start time of its process") { .integer($0.instance.incarnation) },
        field("protected", .boolean, "whether the eviction guard holds its service") { row in
            if case .instance(_, let isProtected) = row { .boolean(isProtected) } else { .nothing }
        },
    ]

    private static let traces: [MeshField] = [
        trace("id", .text, "32 hexadecimal digits") { .text($0.traceID.description) },
        trace("service", .text, "of the root, else of the first span") { .text($0.root.serviceName) },
        trace("operation", .text, "of the root, else of the first span") { .text($0.root.operationName) },
        trace("spans", .integer, "spans that have come") { .integer(Int64($0.spanCount)) },
        trace("errors", .integer, "spans that failed") { .integer(Int64($0.errorCount)) },
        trace("duration", .integer, "of the root, nanoseconds") { .integer($0.root.duration.rawValue) },
        trace("start", .integer, "of the root, Unix nanoseconds") { .integer($0.root.startTime.rawValue) },
        trace("rooted", .boolean, "whether its root has come") { .boolean($0.hasRoot) },
        trace("anomalous", .boolean, "whether it was judged out of the ordinary") {
            .boolean($0.verdict?.isAnomalous ?? false)
        },
        trace("slow", .boolean, "whether its root exceeds its operation's baseline") {
            .boolean($0.verdict?.isSlow ?? false)
        },
    ]

    private static let operations: [MeshField] =
        [
            operation("service", .text, "whose operation it is") { .text($0.serviceName) },
            operation("name", .text, "its name") { .text($0.operationName) },
            operation("kind", .text, "\"server\", \"client\", \"producer\", \"consumer\" or \"internal\"") {
                .text("\($0.kind)")
            },
        ]
        + figures { row in
            guard case .operation(let metric) = row else { return nil }
            var figures = CallFigures()
            figures.add(metric)
            return figures
        }

    private static let dependencies: [MeshField] =
        [
            dependency("from", .text, "who calls") { .text($0.parent) },
            dependency("to", .text, "who is called") { .text($0.child) },
        ]
        + figures { row in
            guard case .dependency(let edge) = row else { return nil }
            var figures = CallFigures()
            (figures.callCount, figures.errorCount, figures.latency) = (edge.callCount, edge.errorCount, edge.latency)
            return figures
        }

    private static let mirrors: [MeshField] = [
        mirror("id", .text, "the mirror's id") { .text($0.configuration.mirrorID) },
        mirror("source", .text, "whose requests are copied") { .text($0.configuration.sourceService) },
        mirror("shadow", .text, "host:port of the shadow") { .text($0.configuration.shadowEndpoint) },
        mirror("enabled", .boolean, "whether it copies") { .boolean($0.configuration.enabled) },
        mirror("allowed", .boolean, "whether its shadow is on the allow-list") { .boolean($0.isAllowed) },
        mirror("pending", .integer, "copies that wait") { .integer(Int64($0.pendingCount)) },
        mirror("pending_bytes", .integer, "their bytes") { .integer(clamped($0.pendingBytes)) },
        mirror("mirrored", .integer, "requests that were copied") { .integer(clamped($0.counts.mirrored)) },
        mirror("answered", .integer, "copies that the shadow answered") { .integer(clamped($0.counts.succeeded)) },
        mirror("equal", .integer, "comparisons without a difference") { .integer(clamped($0.counts.equal)) },
        mirror("different", .integer, "comparisons with one") { .integer(clamped($0.counts.different)) },
        mirror("failed", .integer, "copies that failed, timed out or were rejected") { row in
            let reasons: [MirrorLedgerReason] = [.dispatchFailed, .dispatchTimedOut, .dispatchRejected]
            return .integer(clamped(reasons.reduce(UInt64(0)) { $0 &+ row.ledger[$1] }))
        },
        mirror("overflowed", .integer, "copies dropped because the buffer was full") {
            .integer(clamped($0.ledger[.overflow]))
        },
        mirror("expired", .integer, "copies that waited too long") { .integer(clamped($0.ledger[.expired])) },
    ]

    private static let removals: [MeshField] = [
        removal("instance", .text, "who went") { .text($0.instanceID) },
        removal("service", .text, "of which service") { .text($0.serviceName) },
        removal("kind", .text, "\"deregistered\" or \"evicted\"") { .text($0.kind.name) },
        removal("reason", .text, "as it was given") { .text($0.reason) },
        removal("actor", .text, "by whom") { .text($0.actor) },
        removal("sequence", .integer, "by which record") { .integer(clamped($0.position.sequence)) },
    ]
}

extension MeshFields {
    private static func field(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (MeshRow) -> ExpressionValue
    ) -> MeshField { MeshField(name: name, type: type, summary: summary, read: read) }

    private static func of(_ row: MeshRow, _ read: (MeshState) -> ExpressionValue) -> ExpressionValue {
        if case .mesh(let state) = row { read(state) } else { .nothing }
    }

    private static func service(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (MeshService) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .service(let row) = $0 { read(row) } else { .nothing } } }

    private static func instance(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (InstanceSnapshot) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .instance(let row, _) = $0 { read(row) } else { .nothing } } }

    private static func trace(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (FoundTrace) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .trace(let row) = $0 { read(row) } else { .nothing } } }

    private static func operation(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (SpanMetric) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .operation(let row) = $0 { read(row) } else { .nothing } } }

    private static func dependency(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (DependencyEdge) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .dependency(let row) = $0 { read(row) } else { .nothing } } }

    private static func mirror(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (MirrorStatistics) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .mirror(let row) = $0 { read(row) } else { .nothing } } }

    private static func removal(
        _ name: String, _ type: ExpressionType, _ summary: String,
        _ read: @escaping @Sendable (Removal) -> ExpressionValue
    ) -> MeshField { field(name, type, summary) { if case .removal(let row) = $0 { read(row) } else { .nothing } } }

    /// What everything that is called has.
    private static func figures(_ read: @escaping @Sendable (MeshRow) -> CallFigures?) -> [MeshField] {
        let percentiles: [(String, UInt32)] = [("p50", 5_000), ("p95", 9_500), ("p99", 9_900)]
        return [
            field("calls", .integer, "spans that were counted") { row in
                read(row).map { .integer(clamped($0.callCount)) } ?? .nothing
            },
            field("errors", .integer, "those that failed") { row in
                read(row).map { .integer(clamped($0.errorCount)) } ?? .nothing
            },
        ]
            + percentiles.map { name, basisPoints in
                field(name, .integer, "that percentile of their durations, nanoseconds") { row in
                    read(row)?.latency.percentile(basisPoints: basisPoints).map { .integer($0.rawValue) } ?? .nothing
                }
            }
    }

    private static func clamped(_ value: UInt64) -> Int64 { Int64(clamping: value) }
    private static func clamped(_ value: SequenceNumber) -> Int64 { Int64(clamping: value.rawValue) }
}
