// A difference as JSON; durations in nanoseconds.

import EventModel
import StateMachines

/// What `lattice diff --json` prints.
struct DifferenceFacts: Encodable {
    struct Point: Encodable {
        var sequence: UInt64
        var recordedAt: String

        init(_ asOf: AsOf) { (sequence, recordedAt) = (asOf.sequence.rawValue, RFC3339Text.of(asOf.recordedAt)) }
    }

    struct Instance: Encodable {
        var kind: String
        var instanceId: String
        var serviceName: String
        var endpoint: String
        var how: String?
        var reason: String?
        var actor: String?
        var sequence: UInt64?

        init(_ change: MeshDifference.InstanceChange) {
            kind = change.kind.rawValue
            instanceId = change.instance.instanceID
            serviceName = change.instance.serviceName
            endpoint = change.instance.endpoint
            how = change.removal?.kind.name
            reason = change.removal?.reason
            actor = change.removal?.actor
            sequence = change.removal?.position.sequence.rawValue
        }
    }

    struct Change: Encodable {
        var subject: String
        var serviceName: String
        var field: String
        var before: String
        var after: String

        init(_ change: MeshDifference.FieldChange) {
            (subject, serviceName, field) = (change.subject, change.serviceName, change.field)
            (before, after) = (change.before.plain, change.after.plain)
        }
    }

    struct Mirror: Encodable {
        var kind: String
        var mirrorId: String
        var sourceService: String
        var shadowEndpoint: String
    }

    struct Edge: Encodable {
        var kind: String
        var from: String
        var to: String
        var calls: UInt64
        var errors: UInt64
    }

    struct Calls: Encodable {
        var calls: UInt64
        var errors: UInt64
        var p50Ns: Int64?
        var p99Ns: Int64?

        init(_ figures: CallFigures) {
            (calls, errors) = (figures.callCount, figures.errorCount)
            p50Ns = figures.latency.percentile(basisPoints: 5_000)?.rawValue
            p99Ns = figures.latency.percentile(basisPoints: 9_900)?.rawValue
        }
    }

    struct Shift: Encodable {
        var serviceName: String
        var before: Calls
        var between: Calls
    }

    struct Operation: Encodable {
        var kind: String
        var serviceName: String
        var operationName: String
        var calls: UInt64
    }

    struct Trace: Encodable {
        var traceId: String
        var serviceName: String
        var operationName: String
        var durationNs: Int64
        var errors: Int
    }

    var from: Point
    var to: Point
    var servicesCome: [String]
    var servicesGone: [String]
    var instances: [Instance]
    var changes: [Change]
    var mirrors: [Mirror]
    var mirrorChanges: [Change]
    var dependencies: [Edge]
    var calls: [Shift]
    var operations: [Operation]
    var anomalousTraces: [Trace]

    init(_ difference: MeshDifference) {
        from = Point(difference.from)
        to = Point(difference.to)
        servicesCome = difference.servicesCome
        servicesGone = difference.servicesGone
        instances = difference.instances.map { Instance($0) }
        changes = difference.changes.map { Change($0) }
        mirrors =
            difference.mirrorsCome.map { Self.mirror("came", $0) }
            + difference.mirrorsGone.map { Self.mirror("went", $0) }
        mirrorChanges = difference.mirrorChanges.map { Change($0) }
        dependencies =
            difference.edgesCome.map { Self.edge("came", $0) } + difference.edgesGone.map { Self.edge("went", $0) }
        calls = difference.shifts.map {
            Shift(serviceName: $0.subject, before: Calls($0.before), between: Calls($0.between))
        }
        operations =
            difference.operationsCome.map { Self.operation("came", $0) }
            + difference.operationsSilent.map { Self.operation("silent", $0) }
        anomalousTraces = difference.anomalousTraces.map { trace in
            Trace(
                traceId: trace.traceID.description, serviceName: trace.root.serviceName,
                operationName: trace.root.operationName, durationNs: trace.root.duration.rawValue,
                errors: trace.errorCount)
        }
    }

    private static func mirror(_ kind: String, _ mirror: MirrorConfiguration) -> Mirror {
        Mirror(
            kind: kind, mirrorId: mirror.mirrorID, sourceService: mirror.sourceService,
            shadowEndpoint: mirror.shadowEndpoint)
    }

    private static func edge(_ kind: String, _ edge: DependencyEdge) -> Edge {
        Edge(kind: kind, from: edge.parent, to: edge.child, calls: edge.callCount, errors: edge.errorCount)
    }

    private static func operation(_ kind: String, _ metric: SpanMetric) -> Operation {
        Operation(
            kind: kind, serviceName: metric.serviceName, operationName: metric.operationName, calls: metric.callCount)
    }
}

extension ExpressionValue {
    /// Without quotes.
    var plain: String { if case .text(let text) = self { text } else { description } }
}
