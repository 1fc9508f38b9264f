// What a node is told when it starts. Settings that change what state means are not here: those are events.

package import EventModel
package import EventStore

/// How one node runs.
package struct NodeConfiguration: Sendable {
    /// Who orders the records (Architecture.md, Who orders).
    package enum Mode: Sendable, Hashable {
        /// The node numbers what it receives.
        case core
        /// A JetStream stream of this name orders.
        case jetStream(stream: String)

        /// The word in `status`.
        package var name: String {
            switch self {
            case .core: "core"
            case .jetStream: "jetstream"
            }
        }
    }

    /// The first tokens of every subject.
    package var prefix = "lattice"
    package var mode = Mode.core
    /// Where the log and the checkpoints lie.
    package var directory: String
    package var log = EventLogOptions()
    package var retention = RetentionLimits(age: .seconds(72 * 3_600), byteCount: 50 << 30)
    /// Records between two checkpoints…
    package var checkpointRecords: UInt64 = 250_000
    /// …or this time after a change, whichever comes first.
    package var checkpointInterval = Nanoseconds.seconds(300)
    package var checkpointsKept = 3
    /// Checkpoints before them that are kept for journeys into the past, spread evenly over the log.
    package var olderCheckpoints = 12
    /// Time between ticks.
    package var tickInterval = Nanoseconds.seconds(1)
    /// Messages taken at once.
    package var batchMessages = 2_048
    /// Batches that may wait between the log and the machines; beyond it the intake waits.
    package var batchesInFlight = 8
    /// Bytes per second and service that core mode takes; burst is twice that. 0: no limit.
    package var bytesPerSecond = 4 << 20
    /// Spans per second and service, likewise.
    package var spansPerSecond = 10_000
    /// Actors that share the 256 partitions of the trace collector (1 … 256); without influence on any answer.
    package var traceParts = 2
    /// Where the levels of disk pressure begin; nil: there are none.
    package var diskPressure: DiskPressureThresholds? = DiskPressureThresholds()
    /// Time between two anchors of the unsealed segment; sealed ones and the end are anchored anyway. Nil: no anchors.
    package var anchorInterval: Nanoseconds?
    /// Time-travel queries at one time.
    package var travellersMaximum = 2
    /// How long a query may wait or travel.
    package var queryTimeout = Nanoseconds.seconds(10)
    /// Changes of the registry's settings to record at start, if the folded ones differ.
    package var registry = RegistryConfiguration()
    /// The same of the trace collector's settings.
    package var traces = TracesConfiguration()
    /// Seeds look-up tables; without influence on any answer.
    package var indexKey: UInt64 = UInt64.random(in: .min ... .max)
    /// How much may be under way to shadows.
    package var outbox = OutboxLimits()
    /// Told to whoever asks for the status.
    package var version = "dev"

    package init(directory: String) { self.directory = directory }
}

/// The wall clock, as the intake reads it. Nothing below the intake does.
package struct NodeClock: Sendable {
    package var now: @Sendable () -> Timestamp

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }
}
