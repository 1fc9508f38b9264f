// What each figure means, for the HELP line that Prometheus and its users read.

/// Texts by the figure's name; none repeats it.
package enum MetricHelp {
    /// Of everything that a node or a gateway publishes.
    package static let texts: [String: String] = node.merging(edges) { first, _ in first }

    private static let node: [String: String] = [
        "lattice_applied_sequence": "The last record that every state machine has applied.",
        "lattice_durable_sequence": "The last record that is on the disk and synchronised.",
        "lattice_anchored_sequence":
            "The last record that a published, signed anchor stands for; 0: none since the start.",
        "lattice_build_info": "Always 1; the version of the program is the label.",
        "lattice_checkpoint_age_seconds":
            "Time since the newest checkpoint was written, or since the start of the node where none was.",
        "lattice_checkpoint_sequence": "The record that the newest checkpoint is true for.",
        "lattice_checkpoints_ignored":
            "Checkpoints that the start passed over because they are damaged or have another digest than they name.",
        "lattice_directives_fenced": "1 while a restored node sends nothing to shadows.",
        "lattice_disk_full_in_seconds":
            "Seconds until the disk is full if the log grows as it did; NaN while nobody knows.",
        "lattice_disk_free_bytes": "Room left on the file system of the log.",
        "lattice_disk_pressure":
            "What is refused for want of room: 0 nothing, 1 captures, 2 spans too, 3 all but registry and policy.",
        "lattice_disk_pressure_rejected_total": "Messages refused because the disk is too full for their kind.",
        "lattice_disk_used_ratio": "Share of the file system of the log that is in use.",
        "lattice_events_accepted_total": "Events that the state machines took, since the start.",
        "lattice_events_refused_total": "Events that the state machines refused with a reason, since the start.",
        "lattice_eviction_suspended": "1 while nothing is evicted because of a start, a gap or a reconnect.",
        "lattice_evictions_total": "Instances that the registry removed by itself, by service, since the start.",
        "lattice_fsync_p99_seconds": "The slowest hundredth of the fdatasync calls of the log.",
        "lattice_guard_active":
            "1 while the eviction guard holds a service because too many of its instances are silent at once.",
        "lattice_instances": "Registered instances by service and health; protected: silent, and held by the guard.",
        "lattice_intake_gaps_total": "Times at which messages may have been missed, as the log has them.",
        "lattice_intake_lag_seconds": "How far the applied state is behind the clock, beyond one tick.",
        "lattice_leader": "1 on the node that ticks, replies and sends to shadows; the node is the label.",
        "lattice_leadership_changes_total": "How often another node began to lead, since the start.",
        "lattice_log_bytes": "Size of all segments of the log.",
        "lattice_messages_duplicate_total": "Messages whose id had come before within two minutes.",
        "lattice_messages_rejected_total": "Messages that did not enter the log: not understood, or not allowed.",
        "lattice_outbox_oldest_age_seconds": "Age of the oldest copy that is owed to a shadow; they expire after 60 s.",
        "lattice_outbox_waiting": "Copies that are owed to shadows, or answered and not compared yet.",
        "lattice_protected_instances": "Silent instances of all services that the eviction guard holds.",
        "lattice_queries_total": "Questions that were answered, also with an error.",
        "lattice_query_errors_total": "Questions that were answered with an error.",
        "lattice_ready": "1 while events are taken and questions answered, as /readyz says it.",
        "lattice_semantics_version": "Which meaning of events the log has activated.",
    ]

    private static let edges: [String: String] = [
        "lattice_gateway_attempts_failed_total": "Attempts at an instance that brought no answer.",
        "lattice_gateway_captures_dropped_total": "Requests for whose copy there was no room.",
        "lattice_gateway_captures_total": "Requests kept for mirrors.",
        "lattice_gateway_ejected_instances": "Instances that the gateway leaves out now because they failed too often.",
        "lattice_gateway_ejections_total":
            "How often an instance was left out because it failed too often, by service.",
        "lattice_gateway_events_lost": "Spans and events that could not be handed on, since the start.",
        "lattice_gateway_refused_total": "Requests that the gateway answered itself, by reason.",
        "lattice_gateway_registry_stale": "1 while the node does not confirm what the gateway knows of a service.",
        "lattice_gateway_request_seconds": "From the head of a client's request to the end of its answer.",
        "lattice_gateway_requests_total":
            "Requests of clients by the hundred of their answer; cancelled: the client left.",
        "lattice_gateway_retries_total": "Attempts beyond the first.",
        "lattice_gateway_retry_budget_exhausted_total": "Further attempts that the budget forbade.",
        "lattice_receiver_requests_failed_total":
            "Requests of senders of spans that could not be carried out, by face.",
        "lattice_receiver_spans_accepted_total": "Spans that receivers delivered to the log, by face.",
        "lattice_receiver_spans_refused_total": "Spans that receivers refused, or the log did, by face.",
        "process_cpu_seconds_total": "Processor time that the process has used, in user and system mode.",
        "process_open_fds": "File descriptors that are open.",
        "process_resident_memory_bytes": "Memory of the process that is in RAM.",
        "process_start_time_seconds": "When the process began, in seconds since 1970.",
    ]
}
