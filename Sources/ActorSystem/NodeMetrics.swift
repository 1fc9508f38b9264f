// The node's figures for Prometheus, through swift-metrics.

import EventModel
import EventStore
import Metrics

/// Publishes figures once per tick; nothing on the hot path touches a metric.
struct NodeMetrics {
    private let accepted = Counter(label: "lattice_events_accepted_total")
    private let refused = Counter(label: "lattice_events_refused_total")
    private let rejected = Counter(label: "lattice_messages_rejected_total")
    private let duplicates = Counter(label: "lattice_messages_duplicate_total")
    private let evictions = Counter(label: "lattice_evictions_total")
    private let gaps = Counter(label: "lattice_intake_gaps_total")
    private let queries = Counter(label: "lattice_queries_total")
    private let queryErrors = Counter(label: "lattice_query_errors_total")
    private let sequence = Gauge(label: "lattice_applied_sequence")
    private let durable = Gauge(label: "lattice_durable_sequence")
    private let bytes = Gauge(label: "lattice_log_bytes")
    private let free = Gauge(label: "lattice_disk_free_bytes")
    private let used = Gauge(label: "lattice_disk_used_ratio")
    private let pressure = Gauge(label: "lattice_disk_pressure")
    private let pressureRejections = Counter(label: "lattice_disk_pressure_rejected_total")
    private let anchored = Gauge(label: "lattice_anchored_sequence")
    private let sync = Gauge(label: "lattice_fsync_p99_seconds")
    private let leader = Gauge(label: "lattice_leader")
    private let checkpoint = Gauge(label: "lattice_checkpoint_sequence")
    private let suspended = Gauge(label: "lattice_eviction_suspended")
    private let fenced = Gauge(label: "lattice_directives_fenced")
    private var last: [String: UInt64] = [:]

    mutating func publish(
        _ status: NodeStatus, _ figures: SequencerFigures, _ log: LogFigures, _ answers: QueryFigures
    ) {
        add(accepted, "accepted", figures.acceptedEvents)
        add(refused, "refused", figures.refusedEvents)
        add(rejected, "rejected", log.rejectedMessages)
        add(duplicates, "duplicates", figures.duplicateMessages)
        add(evictions, "evictions", figures.evictions)
        add(gaps, "gaps", status.gaps)
        add(queries, "queries", answers.answered)
        add(queryErrors, "query_errors", answers.failed)
        sequence.record(status.asOf.sequence.rawValue)
        durable.record(status.durableSequence.rawValue)
        bytes.record(log.byteCount)
        free.record(log.diskSpace.freeBytes)
        used.record(Double(log.diskSpace.usedBasisPoints) / 10_000)
        pressure.record(Int(log.pressure.rawValue))
        add(pressureRejections, "pressure_rejections", log.pressureRejections)
        anchored.record(status.anchoredSequence.rawValue)
        sync.record(Double(log.syncLatencyP99) / 1e9)
        leader.record(status.isLeader ? 1 : 0)
        checkpoint.record(status.checkpointSequence.rawValue)
        suspended.record(status.isEvictionSuspended ? 1 : 0)
        fenced.record(status.areDirectivesFenced ? 1 : 0)
    }

    private mutating func add(_ counter: Counter, _ name: String, _ value: UInt64) {
        let before = last[name] ?? 0
        last[name] = value
        if value > before { counter.increment(by: value - before) }
    }
}
