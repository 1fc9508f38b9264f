// Chooses an instance of a service for each request, without a round trip: the registry's strategies over a local view.

public import EventModel
internal import MeshRules
internal import Synchronization

/// Where a process runs.
public struct Locality: Sendable, Hashable {
    /// Empty: not said.
    public var region: String
    /// Empty: not said.
    public var zone: String

    public init(region: String = "", zone: String = "") {
        self.region = region
        self.zone = zone
    }
}

/// Balances the requests of one process to one service.
///
/// Instances of the own zone come before those of the own region, and these before all others; each tier counts as long
/// as one of its instances can be chosen. Chosen from are healthy instances that are not ejected; where fewer than
/// ``Options/panicBasisPoints`` are healthy, all of them, since a registry that knows nothing good any more is the likelier
/// fault. One balancer serves one service: it keeps what it has prepared for the latest view.
public final class LocalBalancer: Sendable {
    /// Where a request goes when no instance of the own region is left.
    public enum RegionFailover: Sendable, Hashable {
        /// To any of the others, by the strategy, as the registry's `select` does.
        case anyRegion
        /// To the first region of `failover_candidates` that has one, by the strategy within it.
        case inOrder
    }

    /// How is chosen.
    public struct Options: Sendable, Hashable {
        public var strategy = SelectionStrategy.powerOfTwo
        public var locality = Locality()
        public var regionFailover = RegionFailover.anyRegion
        /// Below so many healthy instances of 10,000 all count; 0: never.
        public var panicBasisPoints = 5_000
        /// Where the dice begin; nil: at random.
        public var seed: UInt64?

        public init() {}
    }

    private let options: Options
    private let dice: Atomic<UInt64>
    private let turns = Atomic<UInt64>(0)
    private let prepared = Mutex<PreparedChoices?>(nil)

    public init(_ options: Options = Options()) {
        self.options = options
        dice = Atomic(options.seed ?? UInt64.random(in: .min ... .max))
    }

    /// Chooses an instance.
    ///
    /// - Parameters:
    ///   - tried: instances that must not be chosen: this request was there already.
    ///   - recordsCandidates: keeps the ids of all that could have been chosen, for ``Choice/selection(traceID:)``.
    ///   - seed: the dice of this choice; nil: the balancer's own.
    ///   - cursor: how many choices came before (round robin); nil: the balancer's own count.
    /// - Returns: nil where nothing can be chosen: the service has no instance that was not tried.
    /// - Complexity: constant for `powerOfTwo` where weights are equal, linear in the tier's instances for the others; allocates only when
    ///   something was tried, or the view or what is ejected has changed.
    public func choose(
        from view: ServiceView, excluding tried: [InstanceStanding] = [], recordsCandidates: Bool = false,
        seed: UInt64? = nil, cursor: UInt64? = nil
    ) -> Choice? {
        let choices = choices(for: view)
        // The constant of SplitMix64, so that each choice has dice of its own.
        let seed = seed ?? dice.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        let cursor = cursor ?? turns.wrappingAdd(1, ordering: .relaxed).oldValue
        guard let (tier, place) = choices.choose(options.strategy, seed, cursor, tried) else { return nil }
        return Choice(
            instance: view.instances[tier.places[place]], view: view, reach: tier.reach,
            isPanic: choices.isPanic, strategy: options.strategy, seed: seed, cursor: cursor,
            candidates: recordsCandidates ? tier.candidates(without: tried) : [])
    }

    private func choices(for view: ServiceView) -> PreparedChoices {
        let epoch = view.standing.ejectionEpoch.load(ordering: .acquiring)
        return prepared.withLock { prepared in
            if let ready = prepared, ready.view === view, ready.ejectionEpoch == epoch { return ready }
            let made = PreparedChoices(view, epoch, options)
            prepared = made
            return made
        }
    }
}

/// How far a choice had to reach.
public enum Reach: String, Sendable, Hashable {
    case zone, region, any
}

/// A chosen instance, with what is needed to explain the choice later.
public struct Choice: Sendable {
    public let instance: ServedInstance
    /// What was known when it was chosen.
    public let view: ServiceView
    public let reach: Reach
    /// Too few were healthy: unhealthy ones counted too.
    public let isPanic: Bool
    public let strategy: SelectionStrategy
    public let seed: UInt64
    public let cursor: UInt64
    /// All that could have been chosen, in order of id; empty unless it was asked for.
    public let candidates: [String]

    /// The choice as an event of the registry, `instance_selected`.
    ///
    /// - Parameter traceID: nil: of no trace.
    public func selection(traceID: TraceID?) -> InstanceSelection {
        InstanceSelection(
            traceID: traceID?.bytes ?? [], candidates: Array(candidates.prefix(Limits.selectionCandidates)),
            chosen: instance.id, strategy: strategy, asOf: view.asOf.sequence, seed: seed)
    }
}

/// What a balancer makes of a view once: the tiers in the order in which they count.
final class PreparedChoices: Sendable {
    let view: ServiceView
    let ejectionEpoch: UInt64
    let isPanic: Bool
    private let tiers: [Tier]

    /// Instances of one reach, in order of id.
    struct Tier: Sendable {
        let reach: Reach
        /// Places among the view's instances.
        let places: [Int]
        let set: SelectionSet
        let view: ServiceView

        func candidates(without tried: [InstanceStanding]) -> [String] {
            places.map { view.instances[$0] }.filter { !tried.contains($0.standing) }.map(\.id)
        }
    }

    init(_ view: ServiceView, _ epoch: UInt64, _ options: LocalBalancer.Options) {
        self.view = view
        ejectionEpoch = epoch
        let healthy = view.instances.indices.filter {
            view.instances[$0].isHealthy || view.instances[$0].standing.isOnTrial
        }
        let isPanic = healthy.count * 10_000 < view.instances.count * options.panicBasisPoints
        self.isPanic = isPanic
        let usable = isPanic ? Array(view.instances.indices) : healthy
        let kept = usable.filter { !view.instances[$0].standing.isEjected }
        // Who has ejected all there is had better try again than answer nothing.
        let counted = kept.isEmpty ? usable : kept
        let isRoundRobin = options.strategy == .roundRobin
        tiers = Self.places(counted, view, options).filter { !$0.places.isEmpty }.map { reach, places in
            let weights = places.map { view.instances[$0].weight }
            return Tier(
                reach: reach, places: places, set: SelectionSet(weights: weights, preparesRoundRobin: isRoundRobin),
                view: view)
        }
    }

    private static func places(
        _ counted: [Int], _ view: ServiceView, _ options: LocalBalancer.Options
    ) -> [(reach: Reach, places: [Int])] {
        let own = options.locality
        let inRegion = own.region.isEmpty ? counted : counted.filter { view.instances[$0].region == own.region }
        let inZone = own.zone.isEmpty ? [] : inRegion.filter { view.instances[$0].zone == own.zone }
        var result: [(reach: Reach, places: [Int])] = [(.zone, inZone), (.region, own.region.isEmpty ? [] : inRegion)]
        guard options.regionFailover == .inOrder, !own.region.isEmpty else { return result + [(.any, counted)] }
        let others = Set(counted.map { view.instances[$0].region }).subtracting([own.region])
        for region in others.sorted(by: { $0.precedesInBytes($1) }) {
            result.append((.any, counted.filter { view.instances[$0].region == region }))
        }
        return result + [(.any, counted)]
    }

    func choose(
        _ strategy: SelectionStrategy, _ seed: UInt64, _ cursor: UInt64, _ tried: [InstanceStanding]
    ) -> (tier: Tier, place: Int)? {
        for (index, tier) in tiers.enumerated() {
            let isLast = index == tiers.count - 1
            let place =
                tried.isEmpty
                ? choose(tier, strategy, seed, cursor, needsWeight: !isLast)
                : choose(tier, strategy, seed, cursor, needsWeight: !isLast, without: tried)
            if let place { return (tier, place) }
        }
        return nil
    }

    private func choose(
        _ tier: Tier, _ strategy: SelectionStrategy, _ seed: UInt64, _ cursor: UInt64, needsWeight: Bool
    ) -> Int? {
        if needsWeight && !tier.set.hasWeight { return nil }
        return tier.set.choose(strategy, seed: seed, cursor: cursor) { load(tier, $0) }
    }

    private func choose(
        _ tier: Tier, _ strategy: SelectionStrategy, _ seed: UInt64, _ cursor: UInt64, needsWeight: Bool,
        without tried: [InstanceStanding]
    ) -> Int? {
        let place = tier.set.choose(strategy, seed: seed, cursor: cursor, load: { load(tier, $0) }) { place in
            tried.contains(view.instances[tier.places[place]].standing)
        }
        guard let place, !needsWeight || view.instances[tier.places[place]].weight > 0 else { return nil }
        return place
    }

    private func load(_ tier: Tier, _ place: Int) -> UInt64 {
        let instance = view.instances[tier.places[place]]
        return instance.standing.load(reported: instance.reportedConnections)
    }
}
