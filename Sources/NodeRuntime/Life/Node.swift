// One node: the parts put together, started in order, stopped without losing anything.

import Dispatch
package import EventModel
package import EventStore
import Logging
import Messaging
import StateMachines
import Synchronization

/// A running node.
package final class Node: Sendable {
    struct Progress {
        var isReady = false
        var isStopping = false
        /// The writer's thread has ended.
        var isEnding = false
        var failure: NodeFailure?
        var checkpointSequence = SequenceNumber.origin
        var checkpointedAt = Timestamp.zero
        /// When it was written, or what it is true for where an earlier run wrote it.
        var checkpointTime = Timestamp.zero
        var checkpointsIgnored = 0
        var end: Result<Void, NodeFailure>?
        var waiting: [CheckedContinuation<Result<Void, NodeFailure>, Never>] = []
        var keeper: Task<Void, Never>?
    }

    package let configuration: NodeConfiguration
    package let id: String
    package let reader: LogReader
    package let recovery: RecoveryReport
    let environment: NodeEnvironment
    let serviceFigures = ServiceFigures()
    private let life: LifeLog
    let writer: WriterThread
    let hosts: MachineHosts
    let applier: Applier
    private let checkpoints: CheckpointStore
    private let contents: ContentReader
    let outbox: Outbox
    let startedAt: Timestamp
    let anchorer: Anchorer?
    /// Over a stream: whether it takes and gives.
    let pulse: StreamPulse?
    let progress = Mutex(Progress())
    private let subscriptions = Mutex<[any MessageSubscription]>([])
    private let responderBox = Mutex<QueryResponder?>(nil)

    // MARK: Start

    /// Opens the log, recovers the state, begins to take events and to answer.
    package static func start(
        _ configuration: NodeConfiguration, _ environment: NodeEnvironment,
        progress report: @escaping @Sendable (SequenceNumber, SequenceNumber) -> Void = { _, _ in }
    ) async throws(NodeFailure) -> Node {
        if configuration.mode == .core { try await SecondNodeCheck.run(configuration, environment) }
        let replies = ReplyPublisher(
            bus: environment.answerBus, prefix: configuration.prefix, logger: environment.logger)
        let writer = WriterThread(
            configuration: configuration, replies: replies, clock: environment.clock, logger: environment.logger)
        let end = EndSignal()
        let opened = try await writer.open { end.set($0) }
        let node = Node(configuration, environment, writer, replies, opened)
        // Whoever is told that the start failed may start again: the directory is free by then.
        do throws(NodeFailure) {
            try await node.recover(through: opened.lastSequence, report)
        } catch {
            writer.abandon()
            _ = await end.value()
            throw error
        }
        do throws(NodeFailure) {
            try await node.startServing(end)
        } catch {
            writer.abandon()
            await node.stop()
            throw error
        }
        return node
    }

    private init(
        _ configuration: NodeConfiguration, _ environment: NodeEnvironment, _ writer: WriterThread,
        _ replies: ReplyPublisher,
        _ opened: OpenedLog
    ) {
        self.configuration = configuration
        self.environment = environment
        self.writer = writer
        id = WriterThread.nodeID(opened.id)
        reader = opened.reader
        recovery = opened.report
        hosts = MachineHosts(indexKey: configuration.indexKey, traceParts: configuration.traceParts)
        startedAt = environment.clock.now()
        outbox = Outbox(nodeID: id, configuration, environment)
        life = LifeLog(logger: environment.logger)
        applier = Applier(
            hosts: hosts, replies: replies, gate: outbox.gate, life: life, leaderID: outbox.leaderID)
        checkpoints = CheckpointStore(
            directory: configuration.directory + "/" + CheckpointStore.folder, keptCount: configuration.checkpointsKept,
            olderCount: configuration.olderCheckpoints)
        contents = ContentReader(reader: reader, vault: writer.vault)
        anchorer = Anchorer(nodeID: id, prefix: configuration.prefix, environment)
        pulse = StreamPulse(environment, tickInterval: configuration.tickInterval)
    }

    private func recover(
        through last: SequenceNumber, _ report: @escaping @Sendable (SequenceNumber, SequenceNumber) -> Void
    ) async throws(NodeFailure) {
        do throws(EventStoreError) {
            try writer.vault.settle(after: last)
            let states = StateRecovery(
                configuration: configuration, reader: reader, checkpoints: checkpoints, logger: environment.logger)
            let found = try states.newest(notAfter: last)
            progress.withLock { $0.checkpointsIgnored = found.ignoredCount }
            if let state = found.state {
                progress.withLock { progress in
                    progress.checkpointSequence = state.moment.sequence
                    progress.checkpointTime = state.moment.recordedAt
                }
                await applier.restore(state)
            } else if reader.firstRetained > SequenceNumber(1) && last > .origin && configuration.mode == .core {
                throw EventStoreError(.checkpointDamaged, detail: "the log was trimmed and no checkpoint can be read")
            }
        } catch {
            throw WriterThread.failure(error)
        }
        let recovery = LogFold(
            reader: reader, applier: applier, vault: contents.vault, gate: outbox.gate, report: report)
        if try await !recovery.fold(through: last, isFinal: configuration.mode == .core) {
            // The stream may hold a record that skips the one at which this node would stop.
            let origin = IntakeOrigin(bus: environment.intakeBus, stream: environment.stream)
            _ = try await recovery.fold(through: writer.readOn(origin), isFinal: true)
        }
        if let reason = await applier.stopReason { throw reason }
    }

    private func startServing(_ end: EndSignal) async throws(NodeFailure) {
        let responder = makeResponder()
        responderBox.withLock { $0 = responder }
        progress.withLock { $0.checkpointedAt = startedAt }
        let consumer = Task { await self.consume() }
        Task {
            let failure = await end.value()
            await consumer.value
            await self.ended(failure)
        }
        do throws(BusError) {
            try subscribe("\(configuration.prefix).queries.>", queueGroup: MicroProtocol.queueGroup) {
                responder.serve($0)
            }
            let discovery = DiscoveryResponder(
                micro: MicroProtocol(
                    id: id, version: configuration.version, prefix: configuration.prefix, startedAt: startedAt),
                bus: environment.answerBus, logger: environment.logger, figures: { responder.figures },
                status: { [weak self] in
                    await self?.status() ?? NodeStatus(asOf: AsOf(sequence: .origin, recordedAt: .zero))
                })
            try subscribe("$SRV.>", queueGroup: nil) { discovery.serve($0) }
        } catch {
            throw NodeFailure(error.code.rawValue, error.message)
        }
        outbox.open(configuration, environment, hosts.mirror, contents)
        await recordStart()
        try await writer.begin(
            IntakeOrigin(
                bus: environment.intakeBus, stream: environment.stream,
                semanticsVersion: await applier.standing.semanticsVersion))
        progress.withLock { progress in
            if !progress.isEnding { progress.keeper = Task { await self.keepHouse() } }
        }
        do throws(BusError) {
            // Whoever was told that the node is ready must be heard: the server has to know the subscriptions.
            for bus in [environment.intakeBus, environment.answerBus] { try await bus.flush(timeout: .seconds(5)) }
        } catch {
            throw NodeFailure(error.code.rawValue, error.message)
        }
        progress.withLock { $0.isReady = true }
        tellReady()
    }

    private func makeResponder() -> QueryResponder {
        let context = QueryContext(
            applier: applier, hosts: hosts,
            mirror: MirrorResponder(hosts.mirror, contents, auditRecorder, configuration),
            traveller: TimeTraveller(reader: reader, checkpoints: checkpoints, indexKey: configuration.indexKey),
            timeout: configuration.queryTimeout,
            status: { [weak self] in
                await self?.status() ?? NodeStatus(asOf: AsOf(sequence: .origin, recordedAt: .zero))
            })
        return QueryResponder(
            prefix: configuration.prefix, bus: environment.answerBus, context: context,
            travellersMaximum: configuration.travellersMaximum, logger: environment.logger)
    }

    private func subscribe(
        _ subject: String, queueGroup: String?, _ serve: @escaping @Sendable (any MessageSubscription) -> Void
    ) throws(BusError) {
        let subscription = try environment.answerBus.subscribe(
            subject, queueGroup: queueGroup, limits: PendingLimits(messages: 65_536, bytes: 64 << 20))
        subscriptions.withLock { $0.append(subscription) }
        DispatchQueue(label: "lattice.answers").async { serve(subscription) }
    }

    /// What a new log means, the settings it was started with, and that the node is here, are records too (over a stream
    /// the leader says the last, and the command line the settings).
    private func recordStart() async {
        let standing = await applier.standing
        guard configuration.mode == .core else {
            if standing.moment.sequence == .origin {
                pulse?.publish(LeadershipKeeper.beginning(of: configuration.prefix, by: id))
            }
            return
        }
        for start in await StartRecord.all(of: id, configuration, hosts, standing) {
            writer.control.send(.record(start.event, subject: start.subject))
        }
    }

    // MARK: Work

    private func consume() async {
        for await batch in writer.channel.batches {
            if let point = batch.anchorPoint { anchorer?.anchor(point, await applier.digests()) }
            await applier.process(batch.records, isLive: true)
            writer.channel.settled()
            if let reason = await applier.stopReason, fail(reason) { writer.control.send(.stop) }
        }
    }

    /// Once per tick: checkpoints when they are due; leadership and ticks over a stream; metrics.
    private func keepHouse() async {
        var keeper = LeadershipKeeper(
            nodeID: id, prefix: configuration.prefix, tickInterval: configuration.tickInterval,
            lifeMark: outbox.lifeMark)
        var watch = await NodeWatch(self, life)
        while !Task.isCancelled {
            let now = environment.clock.now()
            if configuration.mode != .core { await lead(&keeper, now) }
            pulse?.look(appliedSequence)
            await checkpointIfDue(now)
            await watch.look(now: now, queryFigures)
            try? await Task.sleep(for: .nanoseconds(configuration.tickInterval.rawValue))
        }
    }

    private func lead(_ keeper: inout LeadershipKeeper, _ now: Timestamp) async {
        let isFenced = outbox.gate.isFenced
        for message in keeper.step(await applier.standing, now: now, isFenced: isFenced) { pulse?.publish(message) }
    }

    // MARK: Checkpoints

    private func checkpointIfDue(_ now: Timestamp) async {
        let (sequence, time) = progress.withLock { ($0.checkpointSequence, $0.checkpointedAt) }
        let applied = await applier.moment.sequence
        guard applied > sequence else { return }
        let isDue =
            applied.rawValue - sequence.rawValue >= configuration.checkpointRecords
            || now - time >= configuration.checkpointInterval
        guard isDue else { return }
        await checkpoint()
        ProcessMemory.giveBack()
    }

    /// Writes a checkpoint now. The machines go on while it is written.
    package func checkpoint() async {
        // What comes after a record that this version must not pass is no state to start from.
        guard let state = await applier.cut() else { return }
        let now = environment.clock.now()
        guard state.moment.sequence > progress.withLock({ $0.checkpointSequence }) else { return }
        let (store, log) = (checkpoints, reader)
        let first = reader.firstRetained
        let failure: EventStoreError? = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                do throws(EventStoreError) {
                    try CheckpointCodec.save(state, of: log, to: store, createdAt: now)
                    try store.prune(neededAtOrBefore: first)
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: error)
                }
            }
        }
        if let failure {
            environment.logger.error("checkpoint failed", metadata: ["error": "\(failure)"])
            return
        }
        progress.withLock { progress in
            progress.checkpointSequence = state.moment.sequence
            progress.checkpointedAt = now
            progress.checkpointTime = now
        }
        environment.logger.notice("checkpoint written", metadata: ["sequence": "\(state.moment.sequence)"])
        writer.control.send(.retain(checkpoint: state.moment.sequence))
    }

    // MARK: Status

    private var queryFigures: QueryFigures { responderBox.withLock { $0?.figures } ?? QueryFigures() }

    /// Whether events are taken and questions answered.
    package var isReady: Bool { unreadiness.isEmpty }

    /// Why not, in words for programs (`Readiness`); empty where they are.
    package var unreadiness: [String] {
        let now = progress.withLock { ($0.isReady, $0.isStopping || $0.isEnding, $0.failure) }
        return Readiness(
            isStarted: now.0, isStopping: now.1, failure: now.2,
            intake: pulse?.trouble ?? writer.control.figures.intake,
            intakeBus: environment.intakeBus.state, answerBus: environment.answerBus.state
        ).reasons
    }

    /// What the newest checkpoint is true for.
    var checkpointSequence: SequenceNumber { progress.withLock { $0.checkpointSequence } }

    /// The last applied sequence, without waiting for anybody.
    package var appliedSequence: SequenceNumber { SequenceNumber(applier.applied.load(ordering: .acquiring)) }

    /// How long the log's fdatasync took so far; brought up to date once a second.
    package var syncLatency: LatencyFigures { writer.control.figures.syncLatency }

    /// The digest of each machine now.
    package func digests() async -> DigestAnswer { await applier.digests() }

    // MARK: End

    /// Takes what has arrived, makes it durable, applies it, tells the publishers, writes a checkpoint, ends.
    package func stop() async {
        let isFirst = progress.withLock { progress in
            defer { progress.isStopping = true }
            return !progress.isStopping
        }
        if isFirst { environment.logger.notice("stopping") }
        if isFirst { await outbox.close() }
        if isFirst { writer.control.send(.stop) }
        _ = await result()
    }

    /// Returns when the node has ended; throws if it was not asked to.
    package func waitForEnd() async throws(NodeFailure) { try await result().get() }

    private func result() async -> Result<Void, NodeFailure> {
        await withCheckedContinuation { continuation in
            let end = progress.withLock { progress -> Result<Void, NodeFailure>? in
                if progress.end == nil { progress.waiting.append(continuation) }
                return progress.end
            }
            if let end { continuation.resume(returning: end) }
        }
    }

    /// Remembers why the node stops; false if it knew a reason already.
    @discardableResult
    private func fail(_ failure: NodeFailure) -> Bool {
        let isFirst = progress.withLock { progress in
            if progress.failure != nil { return false }
            progress.failure = failure
            return true
        }
        if isFirst { environment.logger.critical("the node stops", metadata: ["reason": "\(failure)"]) }
        return isFirst
    }

    /// The writer's thread has ended and every batch of its was applied. Nobody is told before all is put away.
    private func ended(_ failure: NodeFailure?) async {
        if let failure { fail(failure) }
        let keeper = progress.withLock { progress in
            progress.isEnding = true
            return progress.keeper
        }
        for subscription in subscriptions.withLock({ $0 }) { subscription.drain() }
        await applier.dismissWaiters()
        if let responder = responderBox.withLock({ $0 }) { await responder.drain() }
        keeper?.cancel()
        life.tellFolded()
        // It may be writing a checkpoint, and a store takes one at a time.
        await keeper?.value
        if progress.withLock({ $0.failure == nil }) { await checkpoint() }
        await anchorer?.finish()
        try? await environment.answerBus.flush(timeout: .seconds(2))
        environment.logger.notice("stopped", metadata: ["sequence": "\(appliedSequence)"])
        let (waiting, end) = progress.withLock { progress in
            let end = progress.failure.map { Result<Void, NodeFailure>.failure($0) } ?? .success(())
            progress.end = end
            defer { progress.waiting = [] }
            return (progress.waiting, end)
        }
        for continuation in waiting { continuation.resume(returning: end) }
    }
}
