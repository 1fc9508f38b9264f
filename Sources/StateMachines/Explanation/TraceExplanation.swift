// What the log says around one trace: who could be asked at each hop, and what happened to the mesh before and during it.

package import EventModel

/// The causal join of one trace with the registry, the mirrors and the settings of its time (`lattice explain`).
///
/// All of it is order: what the node had taken before what. What caused what is not in it.
package struct TraceExplanation: Sendable {
    /// Where a fact lies in time against the trace.
    package enum Relation: String, Sendable, Hashable {
        case before, during, after
    }

    /// One instance of a service as the registry had it at a position.
    package struct InstanceView: Sendable, Hashable {
        package var instance: ServiceInstance
        package var health: HealthState
        /// Why it is unhealthy, as its last report says; empty: nobody said.
        package var reason: String
    }

    /// One service as the registry had it from a position on.
    package struct ServiceView: Sendable, Hashable {
        package var asOf: AsOf
        /// By id.
        package var instances: [InstanceView]
        /// The eviction guard held: nobody counted as stale.
        package var isProtected: Bool
    }

    /// A choice that a balancer recorded for this trace.
    package struct Choice: Sendable, Hashable {
        package var position: EventPosition
        package var recordedAt: Timestamp
        package var serviceName: String
        package var selection: InstanceSelection

        package init(
            position: EventPosition, recordedAt: Timestamp, serviceName: String, selection: InstanceSelection
        ) {
            self.position = position
            self.recordedAt = recordedAt
            self.serviceName = serviceName
            self.selection = selection
        }
    }

    /// A call into a service, as far as the trace and the log tell of it.
    package struct Hop: Sendable, Hashable {
        /// Empty: from outside.
        package var caller: String
        package var serviceName: String
        /// The service's own side of the call; nil: it was selected, but sent no span.
        package var span: SpanFacts?
        /// The choices that belong to this hop: one, or all of the service's where it cannot be told which.
        package var choices: [Choice]
        /// One hop and one choice, or equally many of both in their orders with one only; else the pairing is a guess.
        package var isCertain: Bool
        /// The service at the position that the balancer had applied, or at the hop's start; nil: before the window.
        package var view: ServiceView?
    }

    /// A service's calls through one instance, from the choices recorded in the window.
    package struct ChoiceFigures: Sendable, Hashable {
        package var serviceName: String
        package var instanceID: String
        package var callCount = 0
        package var errorCount = 0
        package var median = Nanoseconds.zero
        package var maximum = Nanoseconds.zero
        /// It was chosen in this trace.
        package var isChosen = false
    }

    /// Time of one operation on the critical path, beside the healthy trace's.
    package struct PathChange: Sendable, Hashable {
        package var serviceName: String
        package var operationName: String
        package var healthy = Nanoseconds.zero
        package var here = Nanoseconds.zero

        package var growth: Int64 { here.rawValue &- healthy.rawValue }
    }

    /// The trace that this one is held against.
    package struct Healthy: Sendable, Hashable {
        package var traceID: TraceID
        package var duration: Nanoseconds
        /// How many traces the rule chose from; 0: it was named by the asker.
        package var candidateCount: Int
        /// It began before this one.
        package var isEarlier: Bool
    }

    /// How the trace is laid against the log.
    package struct Window: Sendable, Hashable {
        /// Facts are looked for from here…
        package var from: AsOf
        /// …through here.
        package var through: AsOf
        /// The trace's start and end on the log's clock.
        package var traceStart: Timestamp
        package var traceEnd: Timestamp
        /// The spans' own clocks are too far from the log's: the trace was laid where its first span was recorded.
        package var isShifted: Bool

        package init(from: AsOf, through: AsOf, traceStart: Timestamp, traceEnd: Timestamp, isShifted: Bool) {
            self.from = from
            self.through = through
            self.traceStart = traceStart
            self.traceEnd = traceEnd
            self.isShifted = isShifted
        }
    }

    package var asOf: AsOf
    package var summary: FoundTrace
    package var window: Window
    package var hops: [Hop] = []
    package var facts: [MeshFact] = []
    /// Facts beyond the bound; the oldest were left out.
    package var omittedFacts = 0
    /// Changes of services that the trace did not touch.
    package var elsewhereCount = 0
    /// Nil: there is none to hold it against.
    package var healthy: Healthy?
    /// The largest growth first.
    package var path: [PathChange] = []
    package var figures: [ChoiceFigures] = []
    /// What a person would look at first; see `Suspicion`.
    package var suspicions: [Suspicion] = []

    /// A guess: a fact about a service, or the instance that was chosen, that spends more of the critical path than in
    /// the healthy trace, or that failed.
    package struct Suspicion: Sendable, Hashable {
        package var fact: MeshFact
        package var growth: Nanoseconds
        package var hasFailed: Bool
    }
}

/// Something that happened to the mesh, at its position.
package struct MeshFact: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case registered, restarted, reconfigured, deregistered, evicted, health
        case guardBegan = "guard_began"
        case guardEnded = "guard_ended"
        case settings
        case guardReleased = "guard_released"
        case mirror
        case intakeGap = "intake_gap"
        case nodeResumed = "node_resumed"
        case leader
    }

    package var position: EventPosition
    package var recordedAt: Timestamp
    package var kind: Kind
    /// Empty: the whole mesh.
    package var serviceName: String
    /// Empty: the whole service.
    package var instanceID: String
    /// What was and what is, in words; empty where there is nothing to tell.
    package var before: String
    package var after: String
    /// As whoever did it says, and who; empty: nobody.
    package var reason: String
    package var actor: String
    package var relation = TraceExplanation.Relation.before
    /// The instance was chosen in the trace.
    package var isOfChosen = false

    init(
        _ kind: Kind, at position: EventPosition, _ recordedAt: Timestamp, service: String = "", instance: String = "",
        before: String = "", after: String = "", reason: String = "", actor: String = ""
    ) {
        self.kind = kind
        self.position = position
        self.recordedAt = recordedAt
        serviceName = service
        instanceID = instance
        self.before = before
        self.after = after
        self.reason = reason
        self.actor = actor
    }
}
