// The writer's thread from its first breath to its last: opens the log, waits for the word, runs the loop.

import Dispatch
import EventModel
import EventStore
import Logging
import Messaging
import StateMachines
import Synchronization

/// What opening the log found.
struct OpenedLog: Sendable {
    var reader: LogReader
    var report: RecoveryReport
    var id: LogID
    var lastSequence: SequenceNumber
}

/// Where the messages come from, once the state is recovered.
struct IntakeOrigin: Sendable {
    var bus: any MessageBus
    /// JetStream mode: the stream.
    var stream: (any StreamSource)?
    /// In force when the state was recovered.
    var semanticsVersion = Semantics.first.version
}

/// Owns the thread that owns the log.
final class WriterThread: Sendable {
    let control = WriterControl()
    let channel: BatchChannel
    /// The only one of this node: a key that is destroyed must be in nobody's memory.
    let vault: ContentVault
    private let configuration: NodeConfiguration
    private let replies: ReplyPublisher
    private let clock: NodeClock
    private let logger: Logger
    private let queue = DispatchQueue(label: "lattice.writer", qos: .userInitiated)
    private let permission = DispatchSemaphore(value: 0)
    private let start = Mutex<Start?>(nil)
    private let errand = Mutex<Errand?>(nil)

    /// Something to do with the log before it is served.
    private struct Errand {
        var origin: IntakeOrigin
        var done: CheckedContinuation<Result<SequenceNumber, NodeFailure>, Never>
    }

    private struct Start {
        var origin: IntakeOrigin
        var opened: CheckedContinuation<NodeFailure?, Never>
    }

    init(configuration: NodeConfiguration, replies: ReplyPublisher, clock: NodeClock, logger: Logger) {
        self.configuration = configuration
        self.replies = replies
        self.clock = clock
        self.logger = logger
        channel = BatchChannel(capacity: configuration.batchesInFlight)
        vault = ContentVault.of(dataDirectory: configuration.directory)
    }

    /// Opens the log on the thread that will write it. `onEnd` is told how the thread ended.
    func open(onEnd: @escaping @Sendable (NodeFailure?) -> Void) async throws(NodeFailure) -> OpenedLog {
        let result: Result<OpenedLog, NodeFailure> = await withCheckedContinuation { continuation in
            queue.async {
                let log: EventLog
                do throws(EventStoreError) {
                    let (opened, report) = try EventLog.open(
                        directory: self.configuration.directory, options: self.configuration.log)
                    try opened.requirePrefix(self.configuration.prefix)
                    log = opened
                    continuation.resume(
                        returning: .success(
                            OpenedLog(
                                reader: log.reader, report: report, id: log.id, lastSequence: log.lastSequence)))
                } catch {
                    return continuation.resume(returning: .failure(Self.failure(error)))
                }
                self.runWhenPermitted(log, onEnd)
            }
        }
        return try result.get()
    }

    /// The state is recovered: begin to take messages. Returns when the subscriptions are made, or throws why not.
    func begin(_ origin: IntakeOrigin) async throws(NodeFailure) {
        let failure: NodeFailure? = await withCheckedContinuation { opened in
            start.withLock { $0 = Start(origin: origin, opened: opened) }
            permission.signal()
        }
        if let failure { throw failure }
    }

    /// Takes what the stream holds behind the log's end to the disk; answers the last record then.
    func readOn(_ origin: IntakeOrigin) async throws(NodeFailure) -> SequenceNumber {
        let result: Result<SequenceNumber, NodeFailure> = await withCheckedContinuation { done in
            errand.withLock { $0 = Errand(origin: origin, done: done) }
            permission.signal()
        }
        return try result.get()
    }

    /// The start failed: give the log back.
    func abandon() { permission.signal() }

    private func runWhenPermitted(_ log: EventLog, _ onEnd: @Sendable (NodeFailure?) -> Void) {
        permission.wait()
        while let errand = takeErrand() {
            do throws(NodeFailure) {
                errand.done.resume(returning: .success(try readOn(log, errand.origin)))
            } catch {
                errand.done.resume(returning: .failure(error))
            }
            permission.wait()
        }
        var failure: NodeFailure?
        if let start = start.withLock({ $0 }) {
            do throws(NodeFailure) {
                let source = try open(log, start)
                start.opened.resume(returning: nil)
                try run(log, source, start.origin)
            } catch {
                failure = error
                var figures = control.figures
                figures.intake = error.code
                control.figures = figures
            }
        }
        try? log.close()
        channel.finish()
        onEnd(failure)
    }

    private func takeErrand() -> Errand? {
        errand.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
    }

    private func readOn(_ log: EventLog, _ origin: IntakeOrigin) throws(NodeFailure) -> SequenceNumber {
        guard let stream = origin.stream else { return log.lastSequence }
        let opened: (source: StreamIntake, last: SequenceNumber)
        do throws(BusError) {
            opened = try openStream(stream, log)
        } catch {
            throw NodeFailure(error.code.rawValue, error.message)
        }
        var reading = StreamReadingOn(
            log: log, source: opened.source, last: opened.last, configuration: configuration, clock: clock,
            stager: RecordStager(configuration, semanticsVersion: origin.semanticsVersion, vault: vault))
        return try reading.run()
    }

    private func open(_ log: EventLog, _ start: Start) throws(NodeFailure) -> any IntakeSource {
        do throws(BusError) {
            if let stream = start.origin.stream {
                let intake = try openStream(stream, log).source
                try bind(log)
                return intake
            }
            guard log.source == nil || log.source == .core else {
                throw BusError(.other, "the log was fed from a stream; move it with `lattice log export` and `import`")
            }
            do throws(EventStoreError) { try log.setSource(.core) } catch { throw Self.busError(error) }
            let intake = try CoreIntake(bus: start.origin.bus, prefix: configuration.prefix)
            try bind(log)
            return intake
        } catch {
            let failure = NodeFailure(error.code.rawValue, error.message)
            start.opened.resume(returning: failure)
            throw failure
        }
    }

    private func run(
        _ log: EventLog, _ source: any IntakeSource, _ origin: IntakeOrigin
    ) throws(NodeFailure) {
        var loop = LogWriterLoop(
            log: log, source: source, configuration: configuration, nodeID: Self.nodeID(log.id), clock: clock,
            control: control, channel: channel,
            stager: RecordStager(configuration, semanticsVersion: origin.semanticsVersion, vault: vault), vault: vault,
            replies: replies, logger: logger)
        do throws(NodeFailure) {
            try loop.run()
        } catch {
            // Nobody reads it any more: the server must not go on filling it.
            source.drain()
            throw error
        }
    }

    private func openStream(
        _ stream: any StreamSource, _ log: EventLog
    ) throws(BusError) -> (source: StreamIntake, last: SequenceNumber) {
        var identity: StreamIdentity?
        switch log.source {
        case .jetStream(let name, let createdAt): identity = StreamIdentity(name: name, createdAt: createdAt)
        case .core: throw BusError(.streamRolledBack, "the log was fed on core NATS; move it with `lattice log export`")
        case nil: break
        }
        let lastMessage = log.lastFrame.map {
            StreamMessageFingerprint(recordedAt: $0.recordedAt, hash: $0.sourceHash)
        }
        let status = try stream.open(
            after: StreamResumePoint(
                identity: identity, lastSequence: log.lastSequence, lastMessage: lastMessage))
        if identity == nil {
            do throws(EventStoreError) {
                try log.setSource(.jetStream(name: status.identity.name, createdAt: status.identity.createdAt))
            } catch {
                throw Self.busError(error)
            }
        }
        return (StreamIntake(stream), status.lastSequence)
    }

    /// From here on the log is this mesh's.
    private func bind(_ log: EventLog) throws(BusError) {
        do throws(EventStoreError) { try log.setPrefix(configuration.prefix) } catch { throw Self.busError(error) }
    }

    private static func busError(_ error: EventStoreError) -> BusError { BusError(.other, error.description) }

    /// A name for this node, from its log's identity.
    static func nodeID(_ id: LogID) -> String { "node-" + id.description.prefix(10) }

    static func failure(_ error: EventStoreError) -> NodeFailure {
        switch error.code {
        case .locked: NodeFailure("log_locked", "\(error): another `lattice serve` runs on this directory")
        case .hole, .manifestDamaged:
            NodeFailure(
                "log_damaged", "\(error): nothing was changed; `lattice verify` shows it, `lattice log repair` decides")
        case .recordsMissing:
            NodeFailure(
                "records_missing",
                "\(error): records that had been durable are gone; nothing was changed. Restore them, or let `lattice log "
                    + "repair` set aside what proves them and go on without")
        case .removed: NodeFailure("log_removed", "\(error)")
        case .prefixMismatch:
            NodeFailure(
                "log_of_another_mesh",
                "\(error): name its own directory with --data, or its own prefix with --prefix; `lattice log export` and "
                    + "`import` make a log that belongs to nobody yet")
        default: NodeFailure("log_failed", "\(error)")
        }
    }
}
