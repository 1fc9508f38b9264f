// What is kept and for how long, and what the log says of itself.

package import EventModel

/// How much of the log is kept. A segment goes when either limit says so and a checkpoint has it behind.
package struct RetentionLimits: Hashable, Sendable {
    /// Segments all of whose records are older go; nil: no limit.
    package var age: Nanoseconds?
    /// The oldest segments go until all of them together are not larger; nil: no limit.
    package var byteCount: UInt64?

    package init(age: Nanoseconds? = nil, byteCount: UInt64? = nil) {
        self.age = age
        self.byteCount = byteCount
    }
}

/// A log's figures at one moment.
package struct LogStatus: Hashable, Sendable {
    package var id: LogID
    package var source: LogSource?
    package var segmentCount: Int
    /// Bytes of all segment files.
    package var byteCount: UInt64
    package var frameCount: UInt64
    /// The first record there is, or would be.
    package var firstRetained: SequenceNumber
    package var lastSequence: SequenceNumber
    package var lastDurableSequence: SequenceNumber
    package var firstRecordedAt: Timestamp?
    package var lastRecordedAt: Timestamp?
    /// Bytes the log grows by per day, from its own size and span of time; nil while the span is shorter than a minute.
    package var bytesPerDay: UInt64?
    package var diskSpace: DiskSpace
    package var syncLatency: LatencyFigures

    /// Whole days until the device is full if the log goes on growing and nothing is dropped.
    package var daysLeft: UInt64? { bytesPerDay.flatMap { $0 == 0 ? nil : diskSpace.freeBytes / $0 } }
}

extension EventLog {
    /// What the log says of itself; uncommitted records are counted in `lastSequence` only.
    package func status() throws(EventStoreError) -> LogStatus {
        let segments = catalog.segments
        let first = segments.first?.figures.firstRecordedAt
        let last = segments.last?.figures.lastRecordedAt
        let byteCount = segments.reduce(0) { $0 + $1.fileByteCount }
        var bytesPerDay: UInt64?
        if let first, let last, (last - first) >= .seconds(60) {
            let perSecond = Double(byteCount) / (Double((last - first).rawValue) / 1e9)
            bytesPerDay = UInt64(perSecond * 86_400)
        }
        return LogStatus(
            id: id, source: source, segmentCount: segments.count, byteCount: byteCount,
            frameCount: segments.reduce(0) { $0 + $1.figures.frameCount }, firstRetained: catalog.firstRetained,
            lastSequence: lastSequence, lastDurableSequence: lastDurableSequence, firstRecordedAt: first,
            lastRecordedAt: last, bytesPerDay: bytesPerDay, diskSpace: try storage.diskSpace(at: directory),
            syncLatency: syncLatency)
    }

    /// The room on the device that holds the log.
    package func diskSpace() throws(EventStoreError) -> DiskSpace { try storage.diskSpace(at: directory) }

    /// Drops the oldest segments that the limits no longer keep, and returns how many.
    ///
    /// A segment goes only if all its records are before `checkpointSequence`, so that the record stays by which that
    /// checkpoint proves itself. The newest segment always stays.
    /// The manifest first says durably where the log now begins and the hash the chain has there; then files go.
    @discardableResult
    package func applyRetention(
        _ limits: RetentionLimits, now: Timestamp, checkpointSequence: SequenceNumber
    ) throws(EventStoreError) -> Int {
        try requireHealth()
        let segments = catalog.segments
        var rest = segments.reduce(0) { $0 + $1.fileByteCount }
        var dropped: [CatalogSegment] = []
        for segment in segments.dropLast() where segment.isSealed && dropped.count < manifest.sealed.count {
            let isOld = limits.age.map { now - segment.figures.runningMaximum > $0 } ?? false
            let isTooMuch = limits.byteCount.map { rest > $0 } ?? false
            guard isOld || isTooMuch, segment.figures.lastSequence < checkpointSequence else { break }
            dropped.append(segment)
            rest -= segment.fileByteCount
        }
        guard let last = dropped.last else { return 0 }
        // Only the newest sealed segment's hash is not in the manifest yet.
        let known = manifest.sealed[dropped.count - 1].hash
        let chainHash = if let known { known } else { try newestSealedHash() }
        let lastDropped = last.figures.lastSequence
        let count = dropped.count
        try changeManifest { manifest in
            manifest.horizon = RetentionHorizon(lastDropped: lastDropped, chainHash: chainHash)
            manifest.sealed.removeFirst(count)
        }
        catalog.update { state in
            state.lastDropped = lastDropped
            state.segments.removeFirst(count)
        }
        for segment in dropped { try storage.remove(segment.path) }
        try storage.synchronizeDirectory(directory)
        return count
    }
}
