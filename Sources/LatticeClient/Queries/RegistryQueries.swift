// Questions to the registry, typed.

public import EventModel
internal import Queries

/// Asks the registry. Each answer says which position of the log it is true for; the same question at the same position
/// has the same answer for ever.
public struct RegistryQueries: Sendable {
    private let connection: MeshConnection

    init(_ connection: MeshConnection) { self.connection = connection }

    /// The instances of a service, by id.
    ///
    /// - Parameters:
    ///   - region: empty: every region.
    ///   - healthyOnly: leaves out those that are unhealthy or stale.
    ///   - allowPanic: answers all where too few are healthy.
    ///   - limit: of one page; 0: all instances, in as many pages as that takes, true for one position.
    ///   - page: where a limit is given: ``InstancesAnswer/nextPageToken`` of the page before; empty: the first.
    ///   - withoutMetadata: leaves out the instances' metadata.
    ///   - position: now, in the past, or not before a sequence of one's own.
    /// - Throws: `overloaded` where the service changes faster than its pages can be read.
    public func resolve(
        _ service: String, region: String = "", healthyOnly: Bool = true, minimumWeight: UInt32 = 0,
        allowPanic: Bool = false, limit: UInt32 = 0, page: String = "", withoutMetadata: Bool = false,
        at position: ReadPosition = .now
    ) async throws(MeshError) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.region = region
        query.healthyOnly = healthyOnly
        query.minimumWeight = minimumWeight
        query.allowPanic = allowPanic
        query.limit = limit
        query.pageToken = page
        query.withoutMetadata = withoutMetadata
        query.position = position
        if limit > 0 {
            return try await connection.ask(.registry(.resolve), query.encode(), decode: InstancesAnswer.decode)
        }
        let question = query
        return try await connection.answering { () async throws(UnansweredQuery) in
            try await connection.queries.everyInstance(question)
        }
    }

    /// One instance of a service, chosen by the registry; where the answer is needed for each request, a
    /// ``LocalBalancer`` over a ``RegistryReplica`` answers without a round trip.
    ///
    /// - Parameters:
    ///   - zone: preferred; then the region counts as preferred too, else it is a filter.
    ///   - seed: the dice of random strategies; nil: the node's.
    ///   - cursor: how many selections came before (round robin); nil: the node counts.
    public func select(
        _ service: String, strategy: SelectionStrategy = .weightedRandom, region: String = "", zone: String = "",
        seed: UInt64? = nil, cursor: UInt64? = nil, allowPanic: Bool = false, at position: ReadPosition = .now
    ) async throws(MeshError) -> SelectionAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.strategy = strategy
        query.region = region
        query.zone = zone
        query.seed = seed
        query.cursor = cursor
        query.allowPanic = allowPanic
        query.position = position
        return try await connection.ask(.registry(.select), query.encode(), decode: SelectionAnswer.decode)
    }

    /// One instance by its id.
    ///
    /// - Throws: `notFound` where it is not registered.
    public func instance(
        _ id: String, at position: ReadPosition = .now
    ) async throws(MeshError) -> InstancesAnswer {
        var query = RegistryQuery()
        query.instanceID = id
        query.position = position
        return try await connection.ask(.registry(.instance), query.encode(), decode: InstancesAnswer.decode)
    }

    /// Whose last heartbeat is too old.
    ///
    /// - Parameters:
    ///   - service: empty: of every service.
    ///   - limit: of one page; 0: 1,000.
    ///   - page: ``InstancesAnswer/nextPageToken`` of the page before; empty: the first.
    public func staleInstances(
        _ service: String = "", limit: UInt32 = 0, page: String = "", at position: ReadPosition = .now
    ) async throws(MeshError) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.limit = limit
        query.pageToken = page
        query.position = position
        return try await connection.ask(.registry(.staleInstances), query.encode(), decode: InstancesAnswer.decode)
    }

    /// Where to go when regions fail: healthy first, then by region, weight descending, id.
    ///
    /// - Parameter limit: the first so many; 0: all, in as many pages as that takes.
    public func failoverCandidates(
        _ service: String, excludedRegions: [String], limit: UInt32 = 0, at position: ReadPosition = .now
    ) async throws(MeshError) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.excludedRegions = excludedRegions
        query.limit = limit
        query.position = position
        if limit > 0 {
            return try await connection.ask(
                .registry(.failoverCandidates), query.encode(), decode: InstancesAnswer.decode)
        }
        let question = query
        return try await connection.answering { () async throws(UnansweredQuery) in
            try await connection.queries.failoverCandidates(question)
        }
    }

    /// Every service by name, without its zones.
    public func services(at position: ReadPosition = .now) async throws(MeshError) -> TopologyAnswer {
        var query = RegistryQuery()
        query.position = position
        let question = query
        return try await connection.answering { () async throws(UnansweredQuery) in
            try await connection.queries.services(question)
        }
    }

    /// Services by region and zone.
    ///
    /// - Parameter service: empty: every service.
    public func topology(
        _ service: String = "", at position: ReadPosition = .now
    ) async throws(MeshError) -> TopologyAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.position = position
        let question = query
        return try await connection.answering { () async throws(UnansweredQuery) in
            try await connection.queries.topology(question)
        }
    }

    /// Who went, why and by whom, newest first.
    ///
    /// - Parameters:
    ///   - service: empty: of every service.
    ///   - instance: empty: every instance.
    ///   - limit: of one page, at most 1,000; 0: 100.
    ///   - page: ``RemovalsAnswer/nextPageToken`` of the page before; empty: the first.
    public func removals(
        _ service: String = "", instance: String = "", limit: UInt32 = 0, page: String = "",
        at position: ReadPosition = .now
    ) async throws(MeshError) -> RemovalsAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.instanceID = instance
        query.limit = limit
        query.pageToken = page
        query.position = position
        return try await connection.ask(.registry(.removals), query.encode(), decode: RemovalsAnswer.decode)
    }
}

extension MeshConnection {
    /// Questions to the registry.
    public var registry: RegistryQueries { RegistryQueries(self) }

    /// Questions about traces.
    public var traces: TraceQueries { TraceQueries(self) }
}
