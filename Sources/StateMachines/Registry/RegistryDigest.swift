// The registry's digest and checkpoint: one encoding of each entity serves both.

import DequeModule
package import EventModel

/// The sum of the entities' digests, kept up to date by difference; knows which entities were touched since.
struct DigestLedger: Sendable {
    private(set) var sum = Digest.zero
    private(set) var dirtyInstances: [Int] = []
    private(set) var dirtyServices: [Int] = []
    /// Slots whose mark stands although their row went: taking a mark out of the list would be a search for each removal.
    private var orphans: Set<Int> = []

    mutating func add(_ digest: Digest) { sum = sum &+ digest }
    mutating func forget(_ digest: Digest) { sum = sum &- digest }
    mutating func markDirty(instance slot: Int) { dirtyInstances.append(slot) }
    mutating func markDirty(service index: Int) { dirtyServices.append(index) }

    /// A dirty row goes: its mark stays for whoever gets the slot next, and means nothing if nobody does.
    mutating func orphanMark(instance slot: Int) { orphans.insert(slot) }

    /// Whether a new row finds the mark of an earlier one in its slot; if so, that mark is its own from now on.
    mutating func adoptMark(instance slot: Int) -> Bool { !orphans.isEmpty && orphans.remove(slot) != nil }

    mutating func takeDirty() -> (instances: [Int], services: [Int]) {
        defer {
            orphans.removeAll(keepingCapacity: true)
            dirtyInstances.removeAll(keepingCapacity: true)
            dirtyServices.removeAll(keepingCapacity: true)
        }
        return (dirtyInstances, dirtyServices)
    }
}

extension ServiceRegistry {
    mutating func touch(_ slot: Int) {
        let isNew = instances.update(slot) { row in
            defer { row.isDirty = true }
            return !row.isDirty
        }
        if isNew { digests.markDirty(instance: slot) }
    }

    mutating func touchService(_ index: Int) {
        if services[index].isDirty { return }
        services[index].isDirty = true
        digests.markDirty(service: index)
    }

    package mutating func digest() -> Digest {
        let dirty = digests.takeDirty()
        var writer = WireWriter()
        for slot in dirty.instances {
            guard let row = instances[slot] else { continue }
            let digest = Self.digest(kind: 1, &writer) { row.write(&$0) }
            digests.forget(row.digest)
            digests.add(digest)
            instances.update(slot) { row in
                row.digest = digest
                row.isDirty = false
            }
        }
        for index in dirty.services {
            let row = services[index]
            let digest = Self.digest(kind: 2, &writer) { row.write(&$0) }
            digests.forget(row.digest)
            digests.add(digest)
            services[index].digest = digest
            services[index].isDirty = false
        }
        return digests.sum &+ Self.digest(kind: 3, &writer) { writeHead(&$0) }
    }

    static func digest(of removal: Removal) -> Digest {
        var writer = WireWriter()
        return digest(kind: 4, &writer) { write(removal, &$0) }
    }

    static func digest(
        kind: UInt64, _ writer: inout WireWriter, _ body: (inout WireWriter) -> Void
    ) -> Digest {
        writer.removeAll()
        writer.varint(kind)
        body(&writer)
        return .of(writer.bytes)
    }

    private func writeHead(_ writer: inout WireWriter) {
        writer.field(1, moment.sequence)
        writer.field(2, moment.recordedAt)
        writer.field(3, moment.logTime)
        writer.field(4, moment.expiryTime)
        writer.field(5, suspendedUntil)
        writer.field(6, window)
        writer.field(7, meshMembersAtStart)
        writer.field(8, meshEvicted)
        writer.message(9) { inner in settings.write(&inner) }
    }

    private static func write(_ removal: Removal, _ writer: inout WireWriter) {
        writer.field(1, removal.instanceID)
        writer.field(2, removal.serviceName)
        writer.field(3, removal.incarnation)
        writer.field(4, removal.kind.rawValue)
        writer.field(5, removal.reason)
        writer.field(6, removal.actor)
        writer.field(7, removal.position.sequence)
        writer.field(8, removal.position.index)
        writer.field(9, removal.position.ordinal)
        writer.field(10, removal.recordedAt)
    }

    // MARK: Checkpoint

    package func encodeCheckpoint() -> [UInt8] {
        var writer = WireWriter(capacity: 1024 + instances.count * 160)
        writeHead(&writer)
        for removal in removals { writer.message(16) { inner in Self.write(removal, &inner) } }
        for index in services.indicesByName {
            writer.message(17) { inner in services[index].write(&inner) }
            for slot in services[index].members { writer.message(18) { inner in instances[slot]!.write(&inner) } }
        }
        return writer.bytes
    }

    package init?(checkpoint: [UInt8]) { self.init(checkpoint: checkpoint, indexKey: 0) }

    /// The state of a checkpoint; nil where the bytes are not one.
    package init?(checkpoint: [UInt8], indexKey: UInt64) {
        self.init(indexKey: indexKey)
        var reader = CheckpointReader(checkpoint)
        var hasSettings = false
        while let field = reader.next() {
            switch field.number {
            case 1...8: restoreHead(field)
            case 9:
                guard let settings = RegistrySettings(reader.nested(field)) else { return nil }
                self.settings = settings
                hasSettings = true
            case 16:
                guard let removal = Self.removal(reader.nested(field)) else { return nil }
                remember(removal)
            case 17: guard restoreService(reader.nested(field)) else { return nil }
            case 18: guard restoreInstance(reader.nested(field)) else { return nil }
            default: return nil
            }
        }
        guard reader.isComplete, hasSettings, isPlausible else { return nil }
        changesKnownAfter = moment.sequence
    }

    /// Whether the numbers of a checkpoint are such as folding can have left there: arithmetic relies on it.
    private var isPlausible: Bool {
        moment.expiryTime >= .zero && GuardState.windows.contains(window)
            && GuardState.counts.contains(meshMembersAtStart) && GuardState.counts.contains(meshEvicted)
            && services.rows.allSatisfy(\.eviction.isPlausible)
    }

    private mutating func restoreHead(_ field: WireField) {
        switch field.number {
        case 1: moment.sequence = SequenceNumber(field.value)
        case 2: moment.recordedAt = Timestamp(nanoseconds: field.signed)
        case 3: moment.logTime = Timestamp(nanoseconds: field.signed)
        case 4: moment.expiryTime = Nanoseconds(field.signed)
        case 5: suspendedUntil = Nanoseconds(field.signed)
        case 6: window = field.signed
        case 7: meshMembersAtStart = Int(field.signed)
        default: meshEvicted = Int(field.signed)
        }
    }

    private static func removal(_ nested: CheckpointReader) -> Removal? {
        var reader = nested
        var removal = Removal(
            instanceID: "", serviceName: "", incarnation: 0, kind: .deregistered, reason: "", actor: "",
            position: EventPosition(sequence: .origin), recordedAt: .zero)
        while let field = reader.next() {
            switch field.number {
            case 1: removal.instanceID = reader.text(field)
            case 2: removal.serviceName = reader.text(field)
            case 3: removal.incarnation = field.signed
            case 4:
                guard let kind = Removal.Kind(rawValue: UInt32(truncatingIfNeeded: field.value)) else { return nil }
                removal.kind = kind
            case 5: removal.reason = reader.text(field)
            case 6: removal.actor = reader.text(field)
            case 7: removal.position.sequence = SequenceNumber(field.value)
            case 8: removal.position.index = UInt32(truncatingIfNeeded: field.value)
            case 9: removal.position.ordinal = UInt32(truncatingIfNeeded: field.value)
            case 10: removal.recordedAt = Timestamp(nanoseconds: field.signed)
            default: return nil
            }
        }
        return reader.isComplete ? removal : nil
    }

    private mutating func restoreService(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var name = ""
        var changed = SequenceNumber.origin
        var guarding = GuardState()
        while let field = reader.next() {
            switch field.number {
            case 1: name = reader.text(field)
            case 2: changed = SequenceNumber(field.value)
            case 3: guarding.membersAtStart = Int(field.signed)
            case 4: guarding.evicted = Int(field.signed)
            case 5: guarding.protectedSince = field.signed
            case 6: guarding.releasedInWindow = field.signed
            default: return false
            }
        }
        guard reader.isComplete, services.index(of: name) == nil, let index = services.makeIndex(of: name) else {
            return false
        }
        services[index].changedSequence = changed
        services[index].eviction = guarding
        touchService(index)
        return true
    }

    private mutating func restoreInstance(_ nested: CheckpointReader) -> Bool {
        guard let (row, service) = RowReader.read(nested), let index = services.index(of: service),
            instances.slot(of: row.instance.instanceID) == nil
        else { return false }
        var complete = row
        complete.service = index
        insert(complete)
        return true
    }
}

/// Reads one instance of a checkpoint.
private enum RowReader {
    static func read(_ nested: CheckpointReader) -> (row: InstanceRow, service: String)? {
        var reader = nested
        var instance = ServiceInstance(
            instanceID: "", serviceName: "", endpoint: "", region: "", zone: "", weight: 0, metadata: [],
            registeredAt: .zero, lastHeartbeat: .zero, incarnation: 0)
        var row = InstanceRow(instance: instance, service: 0, lastSeen: .zero)
        while let field = reader.next() {
            switch field.number {
            case 1: instance.instanceID = reader.text(field)
            case 2: instance.serviceName = reader.text(field)
            case 3: instance.endpoint = reader.text(field)
            case 4: instance.region = reader.text(field)
            case 5: instance.zone = reader.text(field)
            case 6: instance.weight = UInt32(truncatingIfNeeded: field.value)
            case 7:
                guard let entry = metadata(reader.nested(field)) else { return nil }
                instance.metadata.append(entry)
            case 8: instance.registeredAt = Timestamp(nanoseconds: field.signed)
            case 9: instance.lastHeartbeat = Timestamp(nanoseconds: field.signed)
            case 10: instance.incarnation = field.signed
            case 11: row.lastSeen = Nanoseconds(field.signed)
            case 12: row.isStale = field.value != 0
            case 13:
                guard let status = status(reader.nested(field)) else { return nil }
                row.status = status
            case 14:
                guard let load = load(reader.nested(field)) else { return nil }
                row.loads.append(load)
            default: return nil
            }
        }
        row.status?.instanceID = instance.instanceID
        row.instance = instance
        return reader.isComplete && isPlausible(row) ? (row, instance.serviceName) : nil
    }

    private static func isPlausible(_ row: InstanceRow) -> Bool {
        row.instance.weight <= Limits.weight && row.loads.count <= ServiceRegistry.reportersPerInstance
            && zip(row.loads, row.loads.dropFirst()).allSatisfy { $0.reporter.precedesInBytes($1.reporter) }
    }

    private static func metadata(_ nested: CheckpointReader) -> MetadataEntry? {
        var reader = nested
        var entry = MetadataEntry(key: "", value: "")
        while let field = reader.next() {
            if field.number == 1 { entry.key = reader.text(field) } else { entry.value = reader.text(field) }
        }
        return reader.isComplete ? entry : nil
    }

    private static func status(_ nested: CheckpointReader) -> HealthStatus? {
        var reader = nested
        var status = HealthStatus(
            instanceID: "", healthy: false, latency: .zero, consecutiveFailures: 0, lastCheck: .zero)
        while let field = reader.next() {
            switch field.number {
            case 1: status.healthy = field.value != 0
            case 2: status.latency = Nanoseconds(field.signed)
            case 3: status.consecutiveFailures = UInt32(truncatingIfNeeded: field.value)
            case 4: status.lastCheck = Timestamp(nanoseconds: field.signed)
            default: status.reason = reader.text(field)
            }
        }
        return reader.isComplete ? status : nil
    }

    private static func load(_ nested: CheckpointReader) -> ReportedLoad? {
        var reader = nested
        var load = ReportedLoad(reporter: "", activeConnections: 0)
        while let field = reader.next() {
            if field.number == 1 {
                load.reporter = reader.text(field)
            } else {
                load.activeConnections = UInt32(truncatingIfNeeded: field.value)
            }
        }
        return reader.isComplete ? load : nil
    }
}
