// Whole lists of services, candidates and mirrors, put together from pages.

package import EventModel

extension QueryClient {
    /// Every service by name, without its zones.
    package func services(_ query: RegistryQuery = RegistryQuery()) async throws(UnansweredQuery) -> TopologyAnswer {
        try await topology(.services, query)
    }

    /// Services by region and zone, by name, whatever number of pages it takes.
    package func topology(_ query: RegistryQuery) async throws(UnansweredQuery) -> TopologyAnswer {
        try await topology(.topology, query)
    }

    private func topology(
        _ name: RegistryQueryName, _ query: RegistryQuery
    ) async throws(UnansweredQuery) -> TopologyAnswer {
        var question = query
        question.limit = pageRows
        var whole = try await ask(.registry(name), question.encode(), decode: TopologyAnswer.decode)
        // All pages are of the position of the first.
        if !whole.nextPageToken.isEmpty { question.position = ReadPosition(atSequence: whole.asOf.sequence) }
        while !whole.nextPageToken.isEmpty {
            question.pageToken = whole.nextPageToken
            let page = try await ask(.registry(name), question.encode(), decode: TopologyAnswer.decode)
            var services = page.services[...]
            if let next = services.first, let last = whole.services.last,
                next.serviceName.equalsInBytes(last.serviceName)
            {
                whole.services[whole.services.count - 1].zones += next.zones
                services.removeFirst()
            }
            whole.services += services
            whole.nextPageToken = page.nextPageToken
        }
        return whole
    }

    /// Where to go when regions fail, all of them: healthy first, then by region, weight descending, id.
    package func failoverCandidates(_ query: RegistryQuery) async throws(UnansweredQuery) -> InstancesAnswer {
        var question = query
        question.healthyOnly = false
        question.excludedRegions = []
        // Pages in this order would be of several positions; those in order of id can be put together.
        var answer = try await everyInstance(question)
        answer.instances.removeAll { snapshot in
            query.excludedRegions.contains { $0.equalsInBytes(snapshot.instance.region) }
        }
        answer.instances.sort { Self.isBetter($0, $1) }
        return answer
    }

    private static func isBetter(_ left: InstanceSnapshot, _ right: InstanceSnapshot) -> Bool {
        let (one, other) = (left.instance, right.instance)
        if (left.health == .healthy) != (right.health == .healthy) { return left.health == .healthy }
        if !one.region.equalsInBytes(other.region) { return one.region.precedesInBytes(other.region) }
        if one.weight != other.weight { return one.weight > other.weight }
        return one.instanceID.precedesInBytes(other.instanceID)
    }

    /// The answer to a query of the registry, encoded: where the asker names no limit, lists come whole.
    package func whole(_ name: RegistryQueryName, _ query: RegistryQuery) async throws(UnansweredQuery) -> [UInt8] {
        guard query.limit == 0, query.pageToken.isEmpty, query.changedSince == .origin else {
            return try await ask(.registry(name), query.encode())
        }
        return switch name {
        case .resolve: try await everyInstance(query).encode()
        case .failoverCandidates: try await failoverCandidates(query).encode()
        case .services: try await services(query).encode()
        case .topology: try await topology(query).encode()
        case .select, .instance, .staleInstances, .removals, .digest:
            try await ask(.registry(name), query.encode())
        }
    }

    /// The configurations of all mirrors, in order of id.
    package func mirrors(
        _ query: MirrorQuery = MirrorQuery()
    ) async throws(UnansweredQuery) -> MirrorConfigurationsPage {
        var question = query
        question.limit = pageRows
        var whole = try await ask(.mirror(.mirrors), question.encode(), decode: MirrorsAnswer.configurations)
        if !whole.nextPageToken.isEmpty { question.position = ReadPosition(atSequence: whole.asOf.sequence) }
        while !whole.nextPageToken.isEmpty {
            question.pageToken = whole.nextPageToken
            let page = try await ask(.mirror(.mirrors), question.encode(), decode: MirrorsAnswer.configurations)
            whole.configurations += page.configurations
            whole.nextPageToken = page.nextPageToken
        }
        return whole
    }
}
