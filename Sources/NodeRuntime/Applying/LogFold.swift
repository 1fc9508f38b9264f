// Folds what the log holds into the machines, before a node serves.

import EventModel
import EventStore
import Messaging
import StateMachines

/// One start's way through the log.
struct LogFold {
    let reader: LogReader
    let applier: Applier
    let vault: ContentVault
    let gate: OutboxGate
    /// Is told the last record folded, and the last one there is.
    let report: @Sendable (SequenceNumber, SequenceNumber) -> Void

    /// Folds on through a record.
    ///
    /// - Parameter isFinal: whether a record at which this version must stop is folded and so ends the start; otherwise
    ///   nothing of it or behind it is.
    /// - Returns: false where such a record was left.
    func fold(through last: SequenceNumber, isFinal: Bool) async throws(NodeFailure) -> Bool {
        do throws(EventStoreError) {
            return try await read(through: last, isFinal)
        } catch {
            throw WriterThread.failure(error)
        }
    }

    private func read(through last: SequenceNumber, _ isFinal: Bool) async throws(EventStoreError) -> Bool {
        var cursor = try reader.frames(from: await applier.moment.sequence.next, through: last)
        while let batch = try cursor.nextBatch() {
            var records: [StagedRecord] = []
            records.reserveCapacity(batch.count)
            for frame in batch {
                let record = try reader.record(of: frame)
                if !isFinal && record.needsNewerVersion { break }
                try vault.erase(record)
                gate.recovered(record)
                records.append(StagedRecord(record: record, replyTo: "", wantsJSON: false))
            }
            await applier.process(records, isLive: false)
            if let sequence = records.last?.record.sequence { report(sequence, last) }
            if records.count < batch.count { return false }
            if await applier.stopReason != nil { return true }
        }
        return true
    }
}

extension EventRecord {
    /// Whether it activates semantics that this version does not have.
    fileprivate var needsNewerVersion: Bool {
        guard case .policy(.semanticsActivated(let version, _)) = event else { return false }
        return version > RecordFilter.supportedSemantics
    }
}

/// Takes what a stream holds behind the log's end to the disk and folds nothing of it: what a node needs that stopped at
/// a record, and is to learn whether a later one skips it (decision 149).
struct StreamReadingOn {
    let log: EventLog
    let source: any IntakeSource
    /// The stream's last message when it was asked.
    let last: SequenceNumber
    let configuration: NodeConfiguration
    let clock: NodeClock
    var stager: RecordStager
    private static let groupBytes = 4 << 20
    /// The last messages of a stream may be deleted ones, for which nothing comes.
    private static let patience = Duration.seconds(5)

    /// - Returns: the log's last record then.
    mutating func run() throws(NodeFailure) -> SequenceNumber {
        var heardAt = ContinuousClock.now
        while log.lastSequence < last, ContinuousClock.now - heardAt < Self.patience {
            let messages: [Message]
            do throws(BusError) {
                messages = try source.receive(maximum: configuration.batchMessages, timeout: .milliseconds(50))
            } catch {
                throw NodeFailure(error.code.rawValue, error.message)
            }
            if messages.isEmpty { continue }
            heardAt = .now
            var batch = StagedBatch()
            for message in messages {
                let previous = batch.records.last?.record.sequence ?? log.lastSequence
                stager.stage(message, after: previous, now: clock.now(), &batch)
                if batch.frames.byteCount > Self.groupBytes { try write(&batch) }
            }
            try write(&batch)
        }
        return log.lastSequence
    }

    private func write(_ batch: inout StagedBatch) throws(NodeFailure) {
        if batch.records.isEmpty { return }
        do throws(EventStoreError) {
            try log.append(batch.frames)
            try log.commit()
        } catch {
            throw WriterThread.failure(error)
        }
        batch = StagedBatch()
    }
}
