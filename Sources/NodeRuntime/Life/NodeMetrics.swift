// The node's figures for Prometheus, through swift-metrics.

import EventModel
import EventStore
import Metrics

/// Publishes figures once per tick; nothing on the hot path touches a metric.
struct NodeMetrics {
    /// The label of what is beyond the services that are told apart.
    static let otherServices = "__other__"

    private let accepted = Counter(label: "lattice_events_accepted_total")
    private let refused = Counter(label: "lattice_events_refused_total")
    private let rejected = Counter(label: "lattice_messages_rejected_total")
    private let duplicates = Counter(label: "lattice_messages_duplicate_total")
    private let gaps = Counter(label: "lattice_intake_gaps_total")
    private let queries = Counter(label: "lattice_queries_total")
    private let queryErrors = Counter(label: "lattice_query_errors_total")
    private let leadershipChanges = Counter(label: "lattice_leadership_changes_total")
    private let sequence = Gauge(label: "lattice_applied_sequence")
    private let durable = Gauge(label: "lattice_durable_sequence")
    private let bytes = Gauge(label: "lattice_log_bytes")
    private let free = Gauge(label: "lattice_disk_free_bytes")
    private let used = Gauge(label: "lattice_disk_used_ratio")
    private let fullIn = Gauge(label: "lattice_disk_full_in_seconds")
    private let pressure = Gauge(label: "lattice_disk_pressure")
    private let pressureRejections = Counter(label: "lattice_disk_pressure_rejected_total")
    private let anchored = Gauge(label: "lattice_anchored_sequence")
    private let sync = Gauge(label: "lattice_fsync_p99_seconds")
    private let leader: Gauge
    private let ready = Gauge(label: "lattice_ready")
    private let semantics = Gauge(label: "lattice_semantics_version")
    private let checkpoint = Gauge(label: "lattice_checkpoint_sequence")
    private let checkpointAge = Gauge(label: "lattice_checkpoint_age_seconds")
    private let checkpointsIgnored = Gauge(label: "lattice_checkpoints_ignored")
    private let lag = Gauge(label: "lattice_intake_lag_seconds")
    private let outboxAge = Gauge(label: "lattice_outbox_oldest_age_seconds")
    private let outboxWaiting = Gauge(label: "lattice_outbox_waiting")
    private let suspended = Gauge(label: "lattice_eviction_suspended")
    private let protected = Gauge(label: "lattice_protected_instances")
    private let fenced = Gauge(label: "lattice_directives_fenced")
    private var services = ServiceMetrics()
    private var last: [String: UInt64] = [:]

    init(nodeID: String, version: String) {
        leader = Gauge(label: "lattice_leader", dimensions: [("node", nodeID)])
        Gauge(label: "lattice_build_info", dimensions: [("version", version)]).record(1)
    }

    mutating func publish(
        _ status: NodeStatus, _ figures: ApplierFigures, _ log: LogFigures, _ answers: QueryFigures
    ) {
        add(accepted, "accepted", figures.acceptedEvents)
        add(refused, "refused", figures.refusedEvents)
        add(rejected, "rejected", log.rejectedMessages)
        add(duplicates, "duplicates", figures.duplicateMessages)
        add(gaps, "gaps", status.gaps)
        add(queries, "queries", answers.answered)
        add(queryErrors, "query_errors", answers.failed)
        // What the log says of earlier lives is no change that this node saw.
        if last["epoch"] == nil { last["epoch"] = status.leaderEpoch }
        add(leadershipChanges, "epoch", status.leaderEpoch)
        sequence.record(status.asOf.sequence.rawValue)
        durable.record(status.durableSequence.rawValue)
        leader.record(status.isLeader ? 1 : 0)
        ready.record(status.unreadyReasons.isEmpty ? 1 : 0)
        semantics.record(status.semanticsVersion)
        suspended.record(status.isEvictionSuspended ? 1 : 0)
        protected.record(status.protectedInstances)
        fenced.record(status.areDirectivesFenced ? 1 : 0)
        lag.record(Self.seconds(status.intakeLag))
        outboxAge.record(Self.seconds(status.outboxOldestAge))
        outboxWaiting.record(status.outboxWaiting)
        anchored.record(status.anchoredSequence.rawValue)
        publish(log)
        services.publish(evictions: figures.evictionsByService)
    }

    private mutating func publish(_ log: LogFigures) {
        bytes.record(log.byteCount)
        free.record(log.diskSpace.freeBytes)
        used.record(Double(log.diskSpace.usedBasisPoints) / 10_000)
        fullIn.record(log.daysLeft.map { Double($0) * 86_400 } ?? .nan)
        pressure.record(Int(log.pressure.rawValue))
        add(pressureRejections, "pressure_rejections", log.pressureRejections)
        sync.record(Double(log.syncLatency.nanoseconds(percentile: 99)) / 1e9)
    }

    /// - Parameter age: since the newest checkpoint was written, or since the start where none was.
    func publish(checkpoint sequence: SequenceNumber, age: Nanoseconds, ignored: Int) {
        checkpoint.record(sequence.rawValue)
        checkpointAge.record(Self.seconds(age))
        checkpointsIgnored.record(ignored)
    }

    /// Services that changed since the last time.
    mutating func publish(_ changed: [ServiceTopology]) { services.publish(changed) }

    private static func seconds(_ duration: Nanoseconds) -> Double { Double(duration.rawValue) / 1e9 }

    private mutating func add(_ counter: Counter, _ name: String, _ value: UInt64) {
        let before = last[name] ?? 0
        last[name] = value
        if value > before { counter.increment(by: value - before) }
    }
}

/// The figures that bear a service's name: of a thousand services, and of the rest together.
private struct ServiceMetrics {
    static let servicesMaximum = 1_000

    private struct Handles {
        let healthy: Gauge
        let unhealthy: Gauge
        let stale: Gauge
        let protected: Gauge
        let guarding: Gauge
        let evictions: Counter

        init(_ service: String) {
            func instances(_ health: String) -> Gauge {
                Gauge(label: "lattice_instances", dimensions: [("service", service), ("health", health)])
            }
            healthy = instances("healthy")
            unhealthy = instances("unhealthy")
            stale = instances("stale")
            protected = instances("protected")
            guarding = Gauge(label: "lattice_guard_active", dimensions: [("service", service)])
            evictions = Counter(label: "lattice_evictions_total", dimensions: [("service", service)])
        }

        func record(_ service: ServiceTopology) {
            healthy.record(service.healthy)
            unhealthy.record(service.unhealthy)
            stale.record(service.stale)
            protected.record(service.protectedInstances)
            guarding.record(service.protected ? 1 : 0)
        }
    }

    private var handles: [[UInt8]: Handles] = [:]
    /// Services without a name of their own here, while they have instances.
    private var others: [[UInt8]: ServiceTopology] = [:]
    private var evicted: [String: UInt64] = [:]

    mutating func publish(_ changed: [ServiceTopology]) {
        var areOthersChanged = false
        for service in changed {
            let key = Array(service.serviceName.utf8)
            if let own = own(key, service.serviceName) {
                own.record(service)
                continue
            }
            areOthersChanged = true
            others[key] = service.instances == 0 && !service.protected ? nil : service
        }
        guard areOthersChanged else { return }
        var sum = ServiceTopology(serviceName: NodeMetrics.otherServices, changedSequence: .origin, protected: false)
        for service in others.values {
            sum.healthy += service.healthy
            sum.unhealthy += service.unhealthy
            sum.stale += service.stale
            sum.protectedInstances += service.protectedInstances
            sum.protected = sum.protected || service.protected
        }
        rest.record(sum)
    }

    mutating func publish(evictions: [String: UInt64]) {
        for (service, count) in evictions where count > evicted[service] ?? 0 {
            let counter = (own(Array(service.utf8), service) ?? rest).evictions
            counter.increment(by: count - (evicted[service] ?? 0))
            evicted[service] = count
        }
    }

    /// Nil: there are a thousand others.
    private mutating func own(_ key: [UInt8], _ name: String) -> Handles? {
        if let known = handles[key] { return known }
        guard handles.count < Self.servicesMaximum else { return nil }
        let made = Handles(name)
        handles[key] = made
        return made
    }

    private lazy var rest = Handles(NodeMetrics.otherServices)
}
