// The mirror machine's digest and checkpoint: one encoding of each entity serves both.

import DequeModule
package import EventModel

extension TrafficMirror {
    mutating func touch(_ mirror: Int) { mirrors[mirror].isDirty = true }
    mutating func touch(source: Int) { sources[source].isDirty = true }

    /// Directives and remembered requests are in the sum already; rows that were touched are hashed anew.
    package mutating func digest() -> Digest {
        for index in mirrors.indices where mirrors[index].isDirty {
            let digest = Self.digest(kind: 2) { mirrors[index].write(&$0) }
            sum = sum &- mirrors[index].digest &+ digest
            mirrors[index].digest = digest
            mirrors[index].isDirty = false
        }
        for index in sources.indices where sources[index].isDirty {
            let digest = Self.digest(kind: 1) { sources[index].write(&$0) }
            sum = sum &- sources[index].digest &+ digest
            sources[index].digest = digest
            sources[index].isDirty = false
        }
        return sum &+ Self.digest(kind: 5) { writeHead(&$0) }
    }

    func digest(of directive: PendingDirective, _ mirror: Int) -> Digest {
        Self.digest(kind: 3) { writer in
            directive.write(&writer)
            writer.field(7, mirrors[mirror].id)
        }
    }

    func digest(ofRecent request: Digest, _ source: Int) -> Digest {
        Self.digest(kind: 4) { writer in
            Self.write(request, &writer)
            writer.field(3, sources[source].name)
        }
    }

    private static func digest(kind: UInt64, _ body: (inout WireWriter) -> Void) -> Digest {
        var writer = WireWriter(capacity: 128)
        writer.varint(kind)
        body(&writer)
        return .of(writer.bytes)
    }

    private static func write(_ digest: Digest, _ writer: inout WireWriter) {
        writer.field(1, digest.high)
        writer.field(2, digest.low)
    }

    private func writeHead(_ writer: inout WireWriter) {
        writer.field(1, moment.sequence)
        writer.field(2, moment.recordedAt)
        writer.field(3, moment.logTime)
        writer.field(4, moment.expiryTime)
        writer.field(5, leaderID)
        writer.field(6, leaderEpoch)
        writer.field(7, hasLeaderResumed)
        ledger.write(8, &writer)
    }

    // MARK: Checkpoint

    package func encodeCheckpoint() -> [UInt8] {
        var writer = WireWriter(capacity: 4_096)
        writeHead(&writer)
        for source in sources {
            writer.message(16) { inner in
                source.write(&inner)
                // In the order in which they came: the first is the next to be forgotten.
                for request in source.recent { inner.message(16) { Self.write(request, &$0) } }
            }
        }
        for mirror in mirrors {
            writer.message(17) { inner in
                mirror.write(&inner)
                for directive in mirror.pending { inner.message(16) { directive.write(&$0) } }
            }
        }
        return writer.bytes
    }

    /// The state of a checkpoint; nil where the bytes are not one.
    package init?(checkpoint: [UInt8]) {
        var reader = CheckpointReader(checkpoint)
        while let field = reader.next() {
            switch field.number {
            case 1...7: restoreHead(field, &reader)
            case 8: guard ledger.restore(reader.nested(field)) else { return nil }
            case 16: guard restoreSource(reader.nested(field)) else { return nil }
            case 17: guard restoreMirror(reader.nested(field)) else { return nil }
            default: return nil
            }
        }
        guard reader.isComplete, moment.expiryTime >= .zero, mirrors.count <= Self.mirrorCapacity,
            sources.count <= Self.sourceCapacity
        else { return nil }
        indexSources()
        guard sources.allSatisfy({ $0.mirrors.count <= Self.mirrorsPerSource }) else { return nil }
    }

    private mutating func restoreHead(_ field: WireField, _ reader: inout CheckpointReader) {
        switch field.number {
        case 1: moment.sequence = SequenceNumber(field.value)
        case 2: moment.recordedAt = Timestamp(nanoseconds: field.signed)
        case 3: moment.logTime = Timestamp(nanoseconds: field.signed)
        case 4: moment.expiryTime = Nanoseconds(field.signed)
        case 5: leaderID = reader.text(field)
        case 6: leaderEpoch = field.value
        default: hasLeaderResumed = field.value != 0
        }
    }

    private mutating func restoreSource(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var (name, entries, allowLoopback) = ("", [String](), false)
        var recent: [Digest] = []
        while let field = reader.next() {
            switch field.number {
            case 1: name = reader.text(field)
            case 2: entries.append(reader.text(field))
            case 3: allowLoopback = field.value != 0
            case 16:
                guard let request = Self.request(reader.nested(field)) else { return false }
                recent.append(request)
            default: return false
            }
        }
        guard reader.isComplete, let list = ShadowAllowList(entries: entries, allowLoopback: allowLoopback),
            sources.last.map({ $0.name.precedesInBytes(name) }) ?? true, recent.count <= SourceRow.recentCapacity
        else { return false }
        var row = SourceRow(name: name)
        row.allowed = list
        row.isDirty = true
        sources.append(row)
        for request in recent {
            guard sources[sources.count - 1].remember(request).isNew else { return false }
            sum = sum &+ digest(ofRecent: request, sources.count - 1)
        }
        return true
    }

    private static func request(_ nested: CheckpointReader) -> Digest? {
        var reader = nested
        var digest = Digest.zero
        while let field = reader.next() {
            if field.number == 1 { digest.high = field.value } else { digest.low = field.value }
        }
        return reader.isComplete ? digest : nil
    }

    private mutating func restoreMirror(_ nested: CheckpointReader) -> Bool {
        guard let (read, pending) = MirrorRowReader.read(nested),
            mirrors.last.map({ $0.id.precedesInBytes(read.id) }) ?? true,
            let source = sourceIndex(read.configuration.sourceService)
        else { return false }
        var row = read
        row.isAllowed = sources[source].allowed.allows(row.configuration)
        row.isDirty = true
        mirrors.append(row)
        let index = mirrors.count - 1
        for directive in pending {
            if let last = mirrors[index].pending.last,
                !last.precedes(directive.causeSequence, directive.causeIndex) || last.since > directive.since
            {
                return false
            }
            guard directive.since >= .zero, directive.since <= moment.expiryTime, directive.bytes <= 1 << 42 else {
                return false
            }
            mirrors[index].pending.append(directive)
            mirrors[index].pendingBytes += directive.bytes
            sum = sum &+ digest(of: directive, index)
        }
        return mirrors[index].pending.count <= 100_000
    }
}

extension SourceRow {
    func write(_ writer: inout WireWriter) {
        writer.field(1, name)
        for entry in allowed.entries { writer.element(2, entry) }
        writer.field(3, allowed.allowLoopback)
    }
}

extension MirrorRow {
    func write(_ writer: inout WireWriter) {
        writer.message(1) { inner in MirrorConfiguration.write(configuration, &inner) }
        writer.field(2, configuration.sourceService)
        writer.field(3, configuration.createdAt)
        writer.message(4) { inner in counts.write(&inner) }
        ledger.write(5, &writer)
        for row in paths.rows {
            writer.message(6) { inner in
                inner.field(1, UInt32(row.path.part.rawValue))
                inner.field(2, row.path.pattern)
                inner.field(3, UInt32(row.path.kind.rawValue))
                inner.field(4, row.raw)
                inner.field(5, row.noise)
                inner.field(6, row.latest.sequence)
                inner.field(7, row.latest.index)
            }
        }
        writer.field(7, paths.otherRaw)
        writer.field(8, paths.otherNoise)
    }
}

extension MirrorCounts {
    fileprivate func write(_ writer: inout WireWriter) {
        writer.field(1, mirrored)
        writer.field(2, succeeded)
        writer.field(3, redispatched)
        writer.field(4, equal)
        writer.field(5, different)
        writer.field(6, undecided)
        writer.field(7, baselines)
        writer.field(8, latencyTotal)
        writer.field(9, latencyMaximum)
    }

    fileprivate init?(_ nested: CheckpointReader) {
        var reader = nested
        while let field = reader.next() {
            switch field.number {
            case 1: mirrored = field.value
            case 2: succeeded = field.value
            case 3: redispatched = field.value
            case 4: equal = field.value
            case 5: different = field.value
            case 6: undecided = field.value
            case 7: baselines = field.value
            case 8: latencyTotal = Nanoseconds(field.signed)
            case 9: latencyMaximum = Nanoseconds(field.signed)
            default: return nil
            }
        }
        guard reader.isComplete else { return nil }
    }
}

/// Reads one mirror of a checkpoint.
private enum MirrorRowReader {
    static func read(_ nested: CheckpointReader) -> (row: MirrorRow, pending: [PendingDirective])? {
        var reader = nested
        var configuration: MirrorConfiguration?
        var (source, createdAt) = ("", Timestamp.zero)
        var (counts, ledger, paths) = (MirrorCounts(), MirrorLedger(), PathCounts())
        var (otherRaw, otherNoise) = (UInt64(0), UInt64(0))
        var pending: [PendingDirective] = []
        while let field = reader.next() {
            switch field.number {
            case 1: configuration = try? MirrorConfiguration.read(reader.bytes(field))
            case 2: source = reader.text(field)
            case 3: createdAt = Timestamp(nanoseconds: field.signed)
            case 4:
                guard let read = MirrorCounts(reader.nested(field)) else { return nil }
                counts = read
            case 5: guard ledger.restore(reader.nested(field)) else { return nil }
            case 6: guard let row = path(reader.nested(field)), paths.restore(row) else { return nil }
            case 7: otherRaw = field.value
            case 8: otherNoise = field.value
            case 16:
                guard let directive = directive(reader.nested(field)) else { return nil }
                pending.append(directive)
            default: return nil
            }
        }
        guard reader.isComplete, var complete = configuration, complete.isInRange else { return nil }
        complete.sourceService = source
        complete.createdAt = createdAt
        paths.restore(otherRaw: otherRaw, otherNoise: otherNoise)
        var row = MirrorRow(complete)
        row.counts = counts
        row.ledger = ledger
        row.paths = paths
        return (row, pending)
    }

    private static func path(_ nested: CheckpointReader) -> PathCount? {
        var reader = nested
        var (part, pattern, kind) = (UInt64(0), "", UInt64(0))
        var (raw, noise) = (UInt64(0), UInt64(0))
        var latest = EventPosition(sequence: .origin)
        while let field = reader.next() {
            switch field.number {
            case 1: part = field.value
            case 2: pattern = reader.text(field)
            case 3: kind = field.value
            case 4: raw = field.value
            case 5: noise = field.value
            case 6: latest.sequence = SequenceNumber(field.value)
            case 7: latest.index = UInt32(truncatingIfNeeded: field.value)
            default: return nil
            }
        }
        guard reader.isComplete, let known = ResponsePart(rawValue: UInt8(truncatingIfNeeded: part)),
            let kind = DifferenceKind(rawValue: UInt8(truncatingIfNeeded: kind))
        else { return nil }
        let path = DifferingPath(part: known, pattern: pattern, kind: kind)
        return PathCount(path: path, raw: raw, noise: noise, latest: latest)
    }

    private static func directive(_ nested: CheckpointReader) -> PendingDirective? {
        var reader = nested
        var (sequence, index, since, bytes) = (UInt64(0), UInt64(0), Int64(0), UInt64(0))
        var (phase, isRedispatched) = (UInt64(0), false)
        while let field = reader.next() {
            switch field.number {
            case 1: sequence = field.value
            case 2: index = field.value
            case 3: since = field.signed
            case 4: bytes = field.value
            case 5: phase = field.value
            case 6: isRedispatched = field.value != 0
            default: return nil
            }
        }
        guard reader.isComplete, let known = PendingDirective.Phase(rawValue: UInt32(truncatingIfNeeded: phase)) else {
            return nil
        }
        return PendingDirective(
            causeSequence: SequenceNumber(sequence), causeIndex: UInt32(truncatingIfNeeded: index),
            since: Nanoseconds(since), bytes: bytes, phase: known, isRedispatched: isRedispatched)
    }
}
