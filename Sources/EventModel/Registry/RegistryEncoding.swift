// The registry's events into their canonical bytes.

extension RegistryCodec {
    static func write(_ event: RegistryEvent, _ writer: inout WireWriter) -> EventType {
        writer.field(1, event.serviceName)
        switch event {
        case .registered(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            writer.field(3, batch.failFast)
            return .registered
        case .deregistered(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            return .deregistered
        case .heartbeat(let batch):
            writer = WireWriter(copying: batch.facts)
            return .heartbeat
        case .healthReported(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            return .healthReported
        case .loadReported(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            return .loadReported
        case .healthSwept(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            writer.field(3, batch.evictThreshold)
            return .healthSwept
        case .instanceSelected(let batch):
            for element in batch.events { writer.message(2) { inner in write(element, &inner) } }
            return .instanceSelected
        }
    }

    private static func write(_ element: Registration, _ writer: inout WireWriter) {
        writer.field(1, element.instanceID)
        writer.field(2, element.endpoint)
        writer.field(3, element.region)
        writer.field(4, element.zone)
        writer.optionalField(5, element.weight == Limits.defaultWeight ? nil : UInt64(element.weight))
        write(element.metadata, 6, &writer)
        writer.field(7, element.incarnation)
        writer.field(8, element.occurredAt)
    }

    static func write(_ metadata: [MetadataEntry], _ number: Int, _ writer: inout WireWriter) {
        for entry in metadata {
            writer.message(number) { inner in
                inner.field(1, entry.key)
                inner.field(2, entry.value)
            }
        }
    }

    private static func write(_ element: Deregistration, _ writer: inout WireWriter) {
        writer.field(1, element.instanceID)
        writer.field(2, element.incarnation)
        writer.field(3, element.reason)
        writer.field(4, element.occurredAt)
        writer.field(5, element.actor)
    }

    private static func write(_ element: HealthReport, _ writer: inout WireWriter) {
        writer.field(1, element.instanceID)
        writer.field(2, element.healthy)
        writer.field(3, element.latency)
        writer.optionalField(4, element.consecutiveFailures.map { UInt64($0) })
        writer.field(5, element.lastCheck)
        writer.field(6, element.reason)
        writer.field(7, element.incarnation)
    }

    private static func write(_ element: LoadReport, _ writer: inout WireWriter) {
        writer.field(1, element.instanceID)
        writer.field(2, element.reporter)
        writer.field(3, element.activeConnections)
        writer.field(4, element.occurredAt)
        writer.field(5, element.incarnation)
    }

    private static func write(_ element: InstanceSelection, _ writer: inout WireWriter) {
        writer.field(1, element.traceID)
        for candidate in element.candidates { writer.element(2, candidate) }
        writer.field(3, element.chosen)
        writer.field(4, element.strategy.rawValue)
        writer.field(5, element.asOf)
        writer.field(6, element.seed)
    }
}
