// An explanation as JSON; durations in nanoseconds.

import NodeRuntime
import EventModel
import StateMachines

/// What `lattice explain trace --json` prints.
struct ExplanationFacts: Encodable {
    struct Window: Encodable {
        var fromSequence: UInt64
        var throughSequence: UInt64
        var traceStart: String
        var traceEnd: String
        var isShifted: Bool
    }

    struct Instance: Encodable {
        var instanceId: String
        var endpoint: String
        var health: String
        var weight: UInt32
        var incarnation: Int64
        var metadata: [String: String]
        var isCandidate: Bool
        var isChosen: Bool
    }

    struct Choice: Encodable {
        var sequence: UInt64
        var chosen: String
        var candidates: [String]
        var strategy: String
        var asOf: UInt64
        var seed: UInt64
    }

    struct Hop: Encodable {
        var caller: String?
        var serviceName: String
        var operationName: String?
        var spanId: String?
        var durationNs: Int64?
        var failed: Bool
        var choices: [Choice]
        var isCertain: Bool
        var registrySequence: UInt64?
        var isProtected: Bool?
        var instances: [Instance]?
    }

    struct Fact: Encodable {
        var sequence: UInt64
        var recordedAt: String
        var kind: String
        var serviceName: String?
        var instanceId: String?
        var before: String?
        var after: String?
        var reason: String?
        var actor: String?
        var relation: String
        var isOfChosen: Bool

        init(_ fact: MeshFact) {
            sequence = fact.position.sequence.rawValue
            recordedAt = RFC3339.text(fact.recordedAt)
            kind = fact.kind.rawValue
            serviceName = Self.said(fact.serviceName)
            instanceId = Self.said(fact.instanceID)
            before = Self.said(fact.before)
            after = Self.said(fact.after)
            reason = Self.said(fact.reason)
            actor = Self.said(fact.actor)
            relation = fact.relation.rawValue
            isOfChosen = fact.isOfChosen
        }

        private static func said(_ text: String) -> String? { text.isEmpty ? nil : text }
    }

    struct Healthy: Encodable {
        var traceId: String
        var durationNs: Int64
        var candidates: Int
        var isEarlier: Bool
    }

    struct PathRow: Encodable {
        var serviceName: String
        var operationName: String
        var healthyNs: Int64
        var hereNs: Int64
        var growthNs: Int64
    }

    struct Figures: Encodable {
        var serviceName: String
        var instanceId: String
        var calls: Int
        var errors: Int
        var medianNs: Int64
        var maximumNs: Int64
        var isChosen: Bool
    }

    struct Guess: Encodable {
        var fact: Fact
        var growthNs: Int64
        var hasFailed: Bool
    }

    var traceId: String
    var serviceName: String
    var operationName: String
    var durationNs: Int64
    var spans: Int
    var errors: Int
    var asOf: UInt64
    var window: Window
    var hops: [Hop]
    var facts: [Fact]
    var omittedFacts: Int
    var changesElsewhere: Int
    var healthy: Healthy?
    var criticalPath: [PathRow]
    var calls: [Figures]
    var guesses: [Guess]
    /// Said in the answer itself, since it may be read without its manual.
    var note = "facts are in the order of the log; guesses are joins of facts, not causes"

    init(_ explanation: TraceExplanation) {
        let summary = explanation.summary
        traceId = summary.traceID.description
        serviceName = summary.root.serviceName
        operationName = summary.root.operationName
        durationNs = summary.duration.rawValue
        spans = summary.spanCount
        errors = summary.errorCount
        asOf = explanation.asOf.sequence.rawValue
        let window = explanation.window
        self.window = Window(
            fromSequence: window.from.sequence.rawValue + 1, throughSequence: window.through.sequence.rawValue,
            traceStart: RFC3339.text(window.traceStart), traceEnd: RFC3339.text(window.traceEnd),
            isShifted: window.isShifted)
        hops = explanation.hops.map(Self.hop)
        facts = explanation.facts.map { Fact($0) }
        omittedFacts = explanation.omittedFacts
        changesElsewhere = explanation.elsewhereCount
        healthy = explanation.healthy.map {
            Healthy(
                traceId: $0.traceID.description, durationNs: $0.duration.rawValue, candidates: $0.candidateCount,
                isEarlier: $0.isEarlier)
        }
        criticalPath = explanation.path.map {
            PathRow(
                serviceName: $0.serviceName, operationName: $0.operationName, healthyNs: $0.healthy.rawValue,
                hereNs: $0.here.rawValue, growthNs: $0.growth)
        }
        calls = explanation.figures.map {
            Figures(
                serviceName: $0.serviceName, instanceId: $0.instanceID, calls: $0.callCount, errors: $0.errorCount,
                medianNs: $0.median.rawValue, maximumNs: $0.maximum.rawValue, isChosen: $0.isChosen)
        }
        guesses = explanation.suspicions.map {
            Guess(fact: Fact($0.fact), growthNs: $0.growth.rawValue, hasFailed: $0.hasFailed)
        }
    }

    private static func hop(_ hop: TraceExplanation.Hop) -> Hop {
        let candidates = hop.choices.flatMap(\.selection.candidates)
        let chosen = hop.choices.map(\.selection.chosen)
        let choices = hop.choices.map { choice in
            Choice(
                sequence: choice.position.sequence.rawValue, chosen: choice.selection.chosen,
                candidates: choice.selection.candidates, strategy: choice.selection.strategy.name,
                asOf: choice.selection.asOf.rawValue, seed: choice.selection.seed)
        }
        let instances = hop.view?.instances.map { row in
            Instance(
                instanceId: row.instance.instanceID, endpoint: row.instance.endpoint, health: row.health.name,
                weight: row.instance.weight, incarnation: row.instance.incarnation,
                metadata: Dictionary(row.instance.metadata.map { ($0.key, $0.value) }) { _, last in last },
                isCandidate: candidates.contains(row.instance.instanceID),
                isChosen: chosen.contains(row.instance.instanceID))
        }
        return Hop(
            caller: hop.caller.isEmpty ? nil : hop.caller, serviceName: hop.serviceName,
            operationName: hop.span?.operationName, spanId: hop.span?.key.spanID.description,
            durationNs: hop.span?.duration.rawValue, failed: hop.span.map { $0.status != .ok } ?? true,
            choices: choices, isCertain: hop.isCertain, registrySequence: hop.view?.asOf.sequence.rawValue,
            isProtected: hop.view?.isProtected, instances: instances)
    }
}
