// The tracing collector: spans of the whole mesh by trace, and what they say of services, folded from the log.

package import EventModel

/// Collects spans into traces and projections.
///
/// Traces fall into 256 partitions by id. A collector may hold some of them only; every part takes every record, so
/// that numbers of names and baselines are the same everywhere, and the digests of the parts add up to the whole's
/// (`combined`). Checkpoints, time travel and queries are about the whole: parts that stand at one position are joined
/// (`init(joining:)`), and a whole is split for any other number of parts (`split`). A copy is a fork: what is not
/// written to is shared, by partition.
package struct TraceCollector: StateMachine {
    package static let name = "tracing"
    package static let partitionCount = 256

    package internal(set) var moment = Moment.origin
    package private(set) var settings: TraceSettings
    /// The partitions that this part holds: those congruent to `part` modulo `parts`.
    package internal(set) var part: Int
    package internal(set) var parts: Int
    var partitions: [TracePartition]
    var names: NameTable
    var series = SeriesTable()
    var baseline = AnomalyBaseline()

    package init() { self.init(TraceSettings()) }

    /// One of several parts that together hold all partitions.
    ///
    /// - Precondition: `part` lies in 0 ..< `parts`, and `parts` in 1 … 256.
    package init(_ settings: TraceSettings, part: Int = 0, of parts: Int = 1) {
        precondition(
            (1...Self.partitionCount).contains(parts) && (0..<parts).contains(part), "a part of 256 partitions")
        self.settings = settings
        self.part = part
        self.parts = parts
        names = NameTable(bounds: settings.names)
        partitions = stride(from: part, to: Self.partitionCount, by: parts).map { TracePartition(number: $0) }
    }

    /// The partition of a trace: the top byte of its mixed id.
    package static func partition(of id: TraceID) -> Int {
        var mixed = id.low ^ (id.high &* 0x9E37_79B9_7F4A_7C15)
        mixed = (mixed ^ (mixed >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return Int((mixed ^ (mixed >> 32)) >> 56)
    }

    /// Where a trace lies in this part; nil: in another one.
    func place(of id: TraceID) -> Int? {
        let partition = Self.partition(of: id)
        return partition % parts == part ? partition / parts : nil
    }

    func trace(_ id: TraceID) -> TraceRow? { place(of: id).flatMap { partitions[$0].trace(id) } }

    /// Whether this part answers for what all parts have alike.
    private var isFirst: Bool { part == 0 }

    package mutating func apply(_ admitted: AdmittedRecord) -> Outcome {
        moment = admitted.moment
        series.prune(before: SeriesKey.window(of: moment.logTime.rawValue) - settings.windows + 1)
        baseline.advance(to: moment.logTime, settings)
        var outcome = Outcome()
        switch admitted.record.event {
        case .trace(.spansReceived(let batch)): take(batch, &outcome)
        case .clock(.tick): tick()
        case .policy(.tracesConfigured(let change)): configure(change, &outcome)
        case .clock, .registry, .policy, .mirror, .audit, .opaque: break
        }
        return outcome
    }

    /// The outcome names the refusals of all spans and counts as accepted those of this part's partitions.
    private mutating func take(_ batch: SpanBatch, _ outcome: inout Outcome) {
        let bytes = batch.facts.span
        let service = names.service(batch.serviceName)
        let host = batch.host.isEmpty ? 0 : names.host(bytes, batch.host)
        for (index, view) in batch.views.enumerated() {
            if let reason = refusal(view) {
                if isFirst { outcome.refuse(index, reason) }
                continue
            }
            let operation = names.operation(service, bytes, view.operation)
            let peer = view.calledPeer.isEmpty ? 0 : names.peer(bytes, view.calledPeer) + 1
            if !view.parentID.isValid { baseline.add(operation, view.end - view.start) }
            let ownHost = view.host.isEmpty ? host : names.host(bytes, view.host)
            guard let place = place(of: view.traceID) else { continue }
            let row = SpanRow(
                spanID: view.spanID.rawValue, parentID: view.parentID.rawValue, start: view.start,
                duration: view.end - view.start, hash: ContentHash.of(bytes, range: view.body),
                sequence: moment.sequence.rawValue, index: UInt32(index), operation: operation, service: service,
                peer: peer, host: ownHost,
                kindAndStatus: SpanRow.packed(view.kind, view.status ?? .ok), tagCount: UInt8(view.tagCount))
            switch partitions[place].take(row, of: view.traceID, at: moment.logTime, settings, &series) {
            case .added, .duplicate: outcome.accepted += 1
            case .full: outcome.refuse(index, .tooManySpans)
            }
        }
    }

    /// What a span lacks of `REQUIRED_SPAN_FIELDS`, or what is wrong with it.
    private func refusal(_ view: SpanView) -> RefusalReason? {
        if !view.traceID.isValid { return .invalidTraceID }
        if !view.spanID.isValid { return .invalidSpanID }
        if view.operation.isEmpty { return .missingOperationName }
        if view.status == nil { return .missingStatus }
        if view.start <= 0 || view.end <= 0 { return .missingTime }
        if view.end < view.start { return .endBeforeStart }
        if moment.isAhead(Timestamp(nanoseconds: view.start)) { return .timeAhead }
        if moment.isBoundedAndAhead(Timestamp(nanoseconds: view.end)) { return .timeAhead }
        return nil
    }

    /// Every part takes the change; one speaks for all of them.
    private mutating func configure(_ change: TracesConfiguration, _ outcome: inout Outcome) {
        guard let changed = settings.applying(change, moment.semantics) else {
            if isFirst { outcome.refuse(0, .invalidSetting) }
            return
        }
        settings = changed
        names.bounds = changed.names
        baseline.workOutLimits(changed)
        outcome.accepted = isFirst ? 1 : 0
    }

    private mutating func tick() {
        let (baseline, settings, time) = (baseline, settings, moment.logTime)
        for place in partitions.indices {
            partitions[place].pruneExpired(at: time, settings)
            partitions[place].settle(at: time, settings) { row in
                Self.judge(row, baseline, settings)
            }
        }
    }

    /// Nil: there is no root yet.
    private static func judge(
        _ trace: TraceRow, _ baseline: AnomalyBaseline, _ settings: TraceSettings
    ) -> TraceVerdict? {
        guard let root = trace.root.map({ trace.rows[$0] }) else { return nil }
        var verdict = TraceVerdict(
            hasError: trace.rows.contains { $0.isError }, duration: Nanoseconds(root.duration))
        if let (median, limit) = baseline.limit(of: root.operation) {
            (verdict.median, verdict.limit) = (Nanoseconds(median), Nanoseconds(limit))
            verdict.isSlow = root.duration > limit
        }
        let threshold = settings.anomalyThreshold
        verdict.isOverThreshold = threshold > .zero && root.duration > threshold.rawValue
        return verdict
    }

    // MARK: Digest and checkpoint

    package mutating func digest() -> Digest {
        var sum = series.digest()
        for place in partitions.indices { sum = sum &+ partitions[place].digest() }
        sum = sum &+ counterDigest
        if !isFirst { return sum }
        var writer = WireWriter()
        writeHead(&writer)
        writeSettings(&writer)
        writer.message(6) { inner in baseline.write(&inner) }
        return sum &+ Digest.of(writer.bytes) &+ names.sum
    }

    /// Linear, so that it does not matter which part counted.
    private var counterDigest: Digest {
        let counters = counters
        return CollectorCounters.fields.enumerated().reduce(.zero) { sum, field in
            let unit = LinearDigest.of(Digest(high: 1, low: 1), UInt64(field.offset))
            return sum &+ LinearDigest.times(unit, Int64(bitPattern: counters[keyPath: field.element]))
        }
    }

    /// What was counted besides, over this part's partitions.
    package var counters: CollectorCounters {
        partitions.reduce(into: CollectorCounters()) { sum, partition in
            for field in CollectorCounters.fields {
                sum[keyPath: field] &+= partition.counters[keyPath: field]
            }
        }
    }

    private func writeHead(_ writer: inout WireWriter) {
        writer.field(1, moment.sequence)
        writer.field(2, moment.recordedAt)
        writer.field(3, moment.logTime)
        writer.field(4, moment.expiryTime)
    }

    /// Before all that is read under them; nothing where no event changed them.
    private func writeSettings(_ writer: inout WireWriter) {
        if settings != TraceSettings() { writer.message(9) { inner in settings.writeWhole(&inner) } }
    }

    package func encodeCheckpoint() -> [UInt8] {
        var writer = WireWriter(capacity: 4_096)
        writeHead(&writer)
        writeSettings(&writer)
        writer.message(5) { inner in names.write(&inner) }
        writer.message(6) { inner in baseline.write(&inner) }
        writer.message(7) { inner in series.write(&inner) }
        for partition in partitions { writer.message(8) { inner in partition.write(&inner) } }
        return writer.bytes
    }

    package init?(checkpoint: [UInt8]) { self.init(checkpoint: checkpoint, part: 0, of: 1) }

    /// The state of a checkpoint of the same part; nil where the bytes are not one.
    package init?(checkpoint: [UInt8], part: Int, of parts: Int) {
        self.init(TraceSettings(), part: part, of: parts)
        var reader = CheckpointReader(checkpoint)
        var place = 0
        while let field = reader.next() {
            switch field.number {
            case 1: moment.sequence = SequenceNumber(field.value)
            case 2: moment.recordedAt = Timestamp(nanoseconds: field.signed)
            case 3: moment.logTime = Timestamp(nanoseconds: field.signed)
            case 4: moment.expiryTime = Nanoseconds(field.signed)
            case 5:
                guard let names = NameTable(reader.nested(field), bounds: settings.names) else { return nil }
                self.names = names
            case 6:
                guard let baseline = AnomalyBaseline(reader.nested(field), settings) else { return nil }
                self.baseline = baseline
            case 7:
                guard let series = SeriesTable(reader.nested(field), names: names) else { return nil }
                self.series = series
            case 8:
                let number = part + place * parts
                guard place < partitions.count,
                    let partition = TracePartition(reader.nested(field), number: number, names: names)
                else { return nil }
                partitions[place] = partition
                place += 1
            case 9:
                guard let settings = TraceSettings(reader.nested(field)) else { return nil }
                self.settings = settings
                names.bounds = settings.names
            default: return nil
            }
        }
        guard reader.isComplete, place == partitions.count else { return nil }
    }
}
