// Lists of services and of removals, page by page.

import EventModel

extension ServiceRegistry {
    /// Where a page of services ends: behind a service, or behind one of its zones.
    struct TopologyPlace {
        var service: String
        var zone: (region: String, zone: String)?

        var token: String {
            PageToken.text([service] + (zone.map { [$0.region, $0.zone] } ?? []))
        }
    }

    /// A page of `services` and `topology`.
    func topologyPage(_ query: RegistryQuery, withZones: Bool) throws(QueryError) -> TopologyAnswer {
        let parts = try PageToken.parts(query.pageToken, count: withZones ? [1, 3] : [1])
        let place = parts.map { parts in
            TopologyPlace(service: parts[0], zone: parts.count == 3 ? (region: parts[1], zone: parts[2]) : nil)
        }
        return topology(query, withZones: withZones, after: place)
    }

    func topology(_ query: RegistryQuery, withZones: Bool, after place: TopologyPlace?) -> TopologyAnswer {
        var answer = TopologyAnswer(asOf: moment.asOf, services: [])
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        var last = place
        for index in services.indicesByName {
            let name = services[index].name
            guard query.serviceName.isEmpty || name.equalsInBytes(query.serviceName) else { continue }
            var behind: (region: String, zone: String)?
            if let place, !place.service.precedesInBytes(name) {
                guard place.service.equalsInBytes(name), let zone = place.zone else { continue }
                behind = zone
            }
            let whole = topology(services[index], withZones: withZones)
            let (service, isCut) = Self.part(whole, behind: behind, &budget)
            guard let service else {
                answer.nextPageToken = last?.token ?? ""
                return answer
            }
            answer.services.append(service)
            last = TopologyPlace(service: name, zone: isCut ? service.zones.last.map { ($0.region, $0.zone) } : nil)
            if isCut {
                answer.nextPageToken = last?.token ?? ""
                return answer
            }
        }
        return answer
    }

    /// So many of a service's zones as fit; nil: not even the first.
    private static func part(
        _ whole: ServiceTopology, behind place: (region: String, zone: String)?, _ budget: inout PageBudget
    ) -> (service: ServiceTopology?, isCut: Bool) {
        var service = whole
        let zones = whole.zones.filter { zone in
            guard let place else { return true }
            return place.region.equalsInBytes(zone.region)
                ? place.zone.precedesInBytes(zone.zone) : place.region.precedesInBytes(zone.region)
        }
        service.zones = []
        guard budget.take(whole.pageBytes + (zones.first?.pageBytes ?? 0)) else { return (nil, true) }
        for (number, zone) in zones.enumerated() {
            if number > 0, !budget.take(zone.pageBytes, rows: 0) { return (service, true) }
            service.zones.append(zone)
        }
        return (service, false)
    }

    // MARK: Removals

    /// A page of `removals`.
    func removalsPage(_ query: RegistryQuery) throws(QueryError) -> RemovalsAnswer {
        guard let parts = try PageToken.parts(query.pageToken, count: [3]) else { return removals(query, after: nil) }
        guard let sequence = UInt64(parts[0]), let index = UInt32(parts[1]), let ordinal = UInt32(parts[2]) else {
            throw PageToken.unknown
        }
        return removals(
            query, after: EventPosition(sequence: SequenceNumber(sequence), index: index, ordinal: ordinal))
    }

    func removals(_ query: RegistryQuery, after place: EventPosition?) -> RemovalsAnswer {
        var answer = RemovalsAnswer(asOf: moment.asOf, removals: [])
        let limit = query.limit == 0 ? 100 : min(Int(query.limit), Self.rowsMaximum)
        var budget = PageBudget(rows: limit, isCutByBytes: query.isPaged)
        for removal in removals.reversed() {
            if let place, removal.position >= place { continue }
            guard query.serviceName.isEmpty || removal.serviceName.equalsInBytes(query.serviceName),
                query.instanceID.isEmpty || removal.instanceID.equalsInBytes(query.instanceID)
            else { continue }
            guard budget.take(removal.pageBytes) else {
                if let last = answer.removals.last?.position {
                    answer.nextPageToken = PageToken.text(
                        ["\(last.sequence)", "\(last.index)", "\(last.ordinal)"])
                }
                return answer
            }
            answer.removals.append(removal)
        }
        return answer
    }
}
