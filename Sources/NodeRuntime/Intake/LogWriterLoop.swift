// The thread that owns the log: takes messages, numbers and stamps them, makes them durable, hands them on.

import Dispatch
import EventModel
import EventStore
import Logging
import Messaging
import Synchronization

/// What the node may ask of the writer's thread.
enum WriterCommand: Sendable {
    /// Log an event of the node's own (core mode).
    case record(Event, subject: String, messageID: String = "")
    /// Drop what retention no longer keeps.
    case retain(checkpoint: SequenceNumber)
    /// Take what has arrived, then end.
    case stop
}

/// The way into the writer's thread and the figures out of it.
final class WriterControl: Sendable {
    private let commands = Mutex<[WriterCommand]>([])
    private let published = Mutex(LogFigures())

    var figures: LogFigures {
        get { published.withLock { $0 } }
        set { published.withLock { $0 = newValue } }
    }

    /// Counted at once: whoever was told of a rejection finds it in the status.
    func count(_ rejections: [Rejection]) {
        let forRoom = rejections.count { $0.reason == RecordStager.pressureReason }
        published.withLock { figures in
            figures.rejectedMessages += UInt64(rejections.count)
            figures.pressureRejections += UInt64(forRoom)
        }
    }

    func send(_ command: WriterCommand) { commands.withLock { $0.append(command) } }

    func takeCommands() -> [WriterCommand] {
        commands.withLock { waiting in
            defer { waiting.removeAll() }
            return waiting
        }
    }
}

/// Batches on their way to the applier; the sender waits when too many are under way.
final class BatchChannel: Sendable {
    let batches: AsyncStream<StagedBatch>
    private let continuation: AsyncStream<StagedBatch>.Continuation
    private let room: DispatchSemaphore

    init(capacity: Int) {
        (batches, continuation) = AsyncStream.makeStream()
        room = DispatchSemaphore(value: capacity)
    }

    /// Blocks the writer's thread while there is no room.
    func send(_ batch: StagedBatch) {
        room.wait()
        continuation.yield(batch)
    }

    /// One batch was taken care of.
    func settled() { room.signal() }

    func finish() { continuation.finish() }
}

/// Why the writer ended.
package struct NodeFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// A word for programs: `stream_rolled_back`, `log_failed`, `second_node`, `unsupported_semantics`, ….
    package var code: String
    package var message: String

    package init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code): \(message)" }
}

/// One pass after another: pull, stage, append, fsync, hand on. While one group is on its way to the disk, the next one
/// gathers in the bus's queue: that is the group commit.
struct LogWriterLoop: ~Copyable {
    private let log: EventLog
    private let source: any IntakeSource
    private let configuration: NodeConfiguration
    private let nodeID: String
    private let clock: NodeClock
    private let control: WriterControl
    private let channel: BatchChannel
    private let replies: ReplyPublisher
    private let logger: Logger
    private var stager: RecordStager
    private let vault: ContentVault
    private var pressure: DiskPressure
    private var nextTick = Timestamp.zero
    private var nextFigures = Timestamp.zero
    private var nextAnchor = Timestamp.zero
    private var rejections = RejectionTally()
    private var isStopping = false
    /// What could not be recorded while the disk was full.
    private var postponed: [WriterCommand] = []
    /// Bytes of frames after which a group is written, however many messages wait.
    private static let groupBytes = 4 << 20
    private static let patience = Duration.milliseconds(50)

    init(
        log: EventLog, source: any IntakeSource, configuration: NodeConfiguration, nodeID: String, clock: NodeClock,
        control: WriterControl, channel: BatchChannel, stager: RecordStager, vault: ContentVault,
        replies: ReplyPublisher,
        logger: Logger
    ) {
        self.log = log
        self.source = source
        self.configuration = configuration
        self.nodeID = nodeID
        self.clock = clock
        self.control = control
        self.channel = channel
        self.replies = replies
        self.logger = logger
        self.vault = vault
        pressure = DiskPressure(configuration.diskPressure)
        self.stager = stager
    }

    /// Runs until stopped or until something is wrong that cannot be corrected here.
    mutating func run() throws(NodeFailure) {
        while true {
            let messages: [Message]
            do throws(BusError) {
                messages = try source.receive(maximum: configuration.batchMessages, timeout: Self.patience)
            } catch {
                if error.code == .closed && isStopping { return try finish() }
                // A stream that is not there now may be there later, and then it is seen whether it is the same.
                guard [.streamNotFound, .streamUnavailable].contains(error.code) else {
                    throw NodeFailure(error.code.rawValue, error.message)
                }
                missStream(error)
                messages = []
            }
            if !messages.isEmpty { setIntake("ok") }
            try take(messages)
        }
    }

    private func missStream(_ error: BusError) {
        if control.figures.intake != error.code.rawValue {
            logger.error("no events are taken from the stream", metadata: ["error": "\(error)"])
        }
        setIntake(error.code.rawValue)
        Self.pause()
    }

    private static func pause() { _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(200)) }

    private mutating func take(_ messages: [Message]) throws(NodeFailure) {
        var batch = StagedBatch()
        let now = clock.now()
        let isDue = now >= nextFigures || now < nextFigures + Nanoseconds(-2_000_000_000)
        if isDue {
            measureDisk()
            try requirePresence()
        }
        try obey(now, &batch)
        stageOwn(now, &batch)
        for message in messages {
            stager.stage(message, after: last(batch), now: now, &batch)
            if batch.frames.byteCount > Self.groupBytes { try settle(&batch, now) }
        }
        try settle(&batch, now)
        if isDue {
            nextFigures = now + .seconds(1)
            publishFigures()
            rejections.tell(logger, now: now)
        }
    }

    private func last(_ batch: borrowing StagedBatch) -> SequenceNumber {
        batch.records.last?.record.sequence ?? log.lastSequence
    }

    // MARK: The node's own records

    private mutating func obey(_ now: Timestamp, _ batch: inout StagedBatch) throws(NodeFailure) {
        let commands = postponed + control.takeCommands()
        postponed = []
        for command in commands {
            switch command {
            case .record(let event, let subject, let messageID):
                stager.stage(
                    event, subject: subject, messageID: messageID, after: last(batch), now: now, &batch)
            case .retain(let checkpoint): retain(checkpoint, now)
            case .stop:
                isStopping = true
                source.drain()
            }
        }
    }

    private mutating func stageOwn(_ now: Timestamp, _ batch: inout StagedBatch) {
        guard configuration.mode == .core else { return }
        for gap in source.takeGaps() {
            logger.warning("intake gap", metadata: ["reason": "\(gap.reason)", "dropped": "\(gap.droppedCount)"])
            let event = ClockEvent.intakeGap(nodeID: nodeID, reason: gap.reason, droppedCount: gap.droppedCount)
            stager.stage(.clock(event), subject: "clock.intake_gap", after: last(batch), now: now, &batch)
        }
        // Nobody can be heard, so nobody gets older; when the bus is back, the gap is recorded first.
        guard source.isConnected else { return }
        let interval = configuration.tickInterval
        // A clock that was set back must not stop the ticks.
        if now < nextTick && nextTick - now <= interval { return }
        nextTick = now + interval
        let slot = UInt64(max(0, now.rawValue / max(1, interval.rawValue)))
        stager.stage(.clock(.tick(slot: slot)), subject: "clock.tick", after: last(batch), now: now, &batch)
    }

    // MARK: Disk

    private mutating func settle(_ batch: inout StagedBatch, _ now: Timestamp) throws(NodeFailure) {
        if batch.isEmpty { return }
        if !batch.rejections.isEmpty {
            control.count(batch.rejections)
            rejections.add(batch.rejections)
            replies.reject(batch.rejections, now: now)
        }
        if !batch.records.isEmpty {
            batch.anchorPoint = openPointIfDue(now)
            try write(batch.frames)
            for staged in batch.records { erase(staged.record) }
            if let point = log.takeSealedPoint(), configuration.anchorInterval != nil { batch.anchorPoint = point }
            channel.send(batch)
        }
        batch = StagedBatch()
    }

    /// Acknowledgement and application follow durability: nothing leaves here before its fsync.
    private mutating func write(_ frames: FrameBatch) throws(NodeFailure) {
        var isReported = false
        while true {
            do throws(EventStoreError) {
                try log.append(frames)
                break
            } catch {
                guard error.code == .diskFull else { throw NodeFailure("log_failed", "\(error)") }
                if !isReported {
                    logger.error("the disk is full: no events are taken", metadata: ["error": "\(error)"])
                }
                isReported = true
                setIntake("disk_full")
                try waitForRoom()
            }
        }
        do throws(EventStoreError) {
            try log.commit()
        } catch {
            // Whatever the reason: nobody knows what an fsync that failed has left, and trying again would not tell.
            throw NodeFailure("log_failed", "\(error)")
        }
        if isReported { logger.notice("there is room on the disk again") }
        if control.figures.intake == "disk_full" { setIntake("ok") }
    }

    /// The keys go before anybody is told that the contents are erased; a crash in between is made good by recovery.
    private func erase(_ record: EventRecord) {
        do throws(EventStoreError) {
            if try vault.erase(record) > 0 { logger.notice("captured contents were erased") }
        } catch {
            logger.error("captured contents were not erased", metadata: ["error": "\(error)"])
        }
    }

    private mutating func waitForRoom() throws(NodeFailure) {
        for command in control.takeCommands() {
            switch command {
            case .stop:
                throw NodeFailure("disk_full", "stopped while the disk was full; nothing acknowledged is lost")
            case .retain(let checkpoint): retain(checkpoint, clock.now())
            case .record: postponed.append(command)
            }
        }
        Self.pause()
    }

    private func setIntake(_ word: String) {
        if control.figures.intake == word { return }
        var figures = control.figures
        figures.intake = word
        control.figures = figures
    }

    private func retain(_ checkpoint: SequenceNumber, _ now: Timestamp) {
        do throws(EventStoreError) {
            let dropped = try log.applyRetention(configuration.retention, now: now, checkpointSequence: checkpoint)
            if dropped > 0 {
                logger.notice("segments dropped by retention", metadata: ["count": "\(dropped)"])
                if let frame = try log.reader.frame(at: log.reader.firstRetained) {
                    // A day of grace: times of records may go back.
                    try vault.prune(before: ContentVault.day(of: frame.recordedAt) - 1)
                }
            }
        } catch {
            logger.error("retention failed", metadata: ["error": "\(error)"])
        }
    }

    /// Once a second, before anything more is acknowledged: whoever removes or replaces the files under a running node would
    /// otherwise have it acknowledge into nothing.
    private func requirePresence() throws(NodeFailure) {
        do throws(EventStoreError) { try log.requirePresence() } catch { throw WriterThread.failure(error) }
    }

    /// Once a second. Over a stream the level is reported and nothing is refused: replicas hold the same log.
    private mutating func measureDisk() {
        guard let space = try? log.diskSpace(), pressure.note(space) else { return }
        stager.pressure = pressure.level
        pressure.level.tell(logger, space, isStream: configuration.mode != .core)
        var figures = control.figures
        figures.pressure = pressure.level
        control.figures = figures
    }

    private func publishFigures() {
        guard let status = try? log.status() else { return }
        var figures = control.figures
        figures.firstSequence = status.firstRetained
        figures.durableSequence = status.lastDurableSequence
        figures.byteCount = status.byteCount
        figures.segmentCount = status.segmentCount
        figures.diskSpace = status.diskSpace
        figures.daysLeft = status.daysLeft
        figures.syncLatency = status.syncLatency
        if figures.intake == "starting" { figures.intake = "ok" }
        control.figures = figures
    }

    /// The end of the unsealed segment, once in a while: the less of the log is not anchored, the better.
    private mutating func openPointIfDue(_ now: Timestamp) -> AnchorPoint? {
        guard let interval = configuration.anchorInterval else { return nil }
        if nextAnchor == .zero { nextAnchor = now + interval }
        guard now >= nextAnchor else { return nil }
        nextAnchor = now + interval
        // What is wrong with the log will be told by the write that follows.
        return try? log.anchorPoint()
    }

    private mutating func finish() throws(NodeFailure) {
        do throws(EventStoreError) {
            if configuration.anchorInterval != nil, let point = try log.anchorPoint() {
                var last = StagedBatch()
                last.anchorPoint = point
                channel.send(last)
            }
            try log.close()
        } catch {
            throw NodeFailure("log_failed", "\(error)")
        }
    }
}
