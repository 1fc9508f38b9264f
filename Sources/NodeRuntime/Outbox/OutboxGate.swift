// Whether this node may send what is owed to shadows, and when it is worth to look (decision 7).

import EventModel
import EventStore
import Logging
import StateMachines
import Synchronization

/// Opens when the node's own claim, made in this life of its, is applied; wakes the runner when something may be owed.
final class OutboxGate: Sendable {
    private let nodeID: String
    private let isStream: Bool
    /// Ends the message id with which a leader says that it is here, in this life.
    private let ownMark: [UInt8]
    private let isOpen = Atomic<Bool>(false)
    private let fence: DirectiveFence
    private let fenced: Atomic<Bool>
    /// Whoever waits until what was read is in the log.
    let audits = AuditWatch()
    let signals: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let logger: Logger

    init(nodeID: String, isStream: Bool, lifeMark: String, fence: DirectiveFence, logger: Logger) {
        self.nodeID = nodeID
        self.isStream = isStream
        self.fence = fence
        self.logger = logger
        fenced = Atomic(fence.isRaised)
        ownMark = Array(lifeMark.utf8)
        (signals, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        if isFenced {
            logger.warning("the data was restored: nothing is sent to shadows until `lattice directives resume`")
        }
    }

    /// Whether directives may be performed, if the log says that this node leads.
    var isArmed: Bool { isOpen.load(ordering: .acquiring) && !isFenced }

    /// Whether the data was restored, and nobody has said yet that what its log owes may be sent.
    var isFenced: Bool { fenced.load(ordering: .acquiring) }

    /// Looks at a live batch that is applied.
    func applied(_ records: [AdmittedRecord]) {
        var isWorthALook = false
        for record in records {
            switch record.record.event {
            case .mirror: isWorthALook = true
            case .clock(let event):
                isWorthALook = true
                // What was not admitted is opaque by now.
                if isOwn(event, record.record.messageID) { isOpen.store(true, ordering: .releasing) }
            case .policy: resume(record.record)
            case .audit: audits.applied(record.record.messageID)
            case .registry, .trace, .opaque: break
            }
        }
        if isWorthALook { wake() }
    }

    /// Looks at a record of the past: a node that ended between a resumption and the end of its fence.
    func recovered(_ record: EventRecord) { resume(record) }

    private func resume(_ record: EventRecord) {
        guard isFenced, case .policy(.directivesResumed(let id, _)) = record.event, id.isEmpty || id == nodeID,
            fence.isPassed(by: record.sequence)
        else { return }
        do throws(EventStoreError) {
            try fence.lower()
            fenced.store(false, ordering: .releasing)
            logger.notice("directives are resumed", metadata: ["by": "\(record.principal)"])
        } catch {
            logger.error("directives are not resumed: the mark can not be removed", metadata: ["error": "\(error)"])
        }
    }

    private func isOwn(_ event: ClockEvent, _ messageID: ArraySlice<UInt8>) -> Bool {
        switch event {
        // Alone, every claim after the recovery is of this life.
        case .leadershipClaimed(let id, _): id == nodeID && !isStream
        // On a stream, claims of an earlier life may come late; this one carries the mark of this one.
        case .nodeResumed(let id, _): id == nodeID && isStream && messageID.suffix(ownMark.count).elementsEqual(ownMark)
        case .tick, .intakeGap: false
        }
    }

    func wake() { continuation.yield() }

    func close() { continuation.finish() }
}
