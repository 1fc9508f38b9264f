// Whether this node may send what is owed to shadows, and when it is worth to look (decision 7).

import EventModel
import StateMachines
import Synchronization

/// Opens when the node's own claim, made in this life of its, is applied; wakes the runner when something may be owed.
final class OutboxGate: Sendable {
    private let nodeID: String
    private let isStream: Bool
    /// Ends the message id with which a leader says that it is here, in this life.
    private let ownMark: [UInt8]
    private let isOpen = Atomic<Bool>(false)
    let signals: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(nodeID: String, isStream: Bool, startedAt: Timestamp) {
        self.nodeID = nodeID
        self.isStream = isStream
        ownMark = Array("-\(nodeID)-\(startedAt.rawValue)".utf8)
        (signals, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether directives may be performed, if the log says that this node leads.
    var isArmed: Bool { isOpen.load(ordering: .acquiring) }

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
            case .registry, .policy, .trace, .opaque: break
            }
        }
        if isWorthALook { wake() }
    }

    private func isOwn(_ event: ClockEvent, _ messageID: ArraySlice<UInt8>) -> Bool {
        switch event {
        // Alone, every claim after the recovery is of this life.
        case .leadershipClaimed(let id, _): id == nodeID && !isStream
        // On a stream, claims of an earlier life may come late; this one carries the time of the start.
        case .nodeResumed(let id, _): id == nodeID && isStream && messageID.suffix(ownMark.count).elementsEqual(ownMark)
        case .tick, .intakeGap: false
        }
    }

    func wake() { continuation.yield() }

    func close() { continuation.finish() }
}
