// The writer's figures: what others may know of the log and of its disk.

import EventModel
import EventStore

/// What others may know of the log without asking its thread.
struct LogFigures: Sendable {
    var firstSequence = SequenceNumber.origin
    var durableSequence = SequenceNumber.origin
    var byteCount: UInt64 = 0
    var segmentCount = 0
    var diskSpace = DiskSpace(freeBytes: 0, totalBytes: 0)
    var pressure = DiskPressureLevel.none
    /// Of the rejected messages those for which the disk had no room to spare.
    var pressureRejections: UInt64 = 0
    var daysLeft: UInt64?
    var syncLatency = LatencyFigures()
    var rejectedMessages: UInt64 = 0
    /// `ok`, or why nothing is taken.
    var intake = "starting"
}

extension LogFigures {
    /// Puts what belongs to the log and its disk into the answer.
    func describe(_ status: inout NodeStatus) {
        status.logBytes = byteCount
        status.segments = UInt32(segmentCount)
        status.rejectedMessages = rejectedMessages
        status.intake = intake
        status.diskFreeBytes = diskSpace.freeBytes
        status.diskTotalBytes = diskSpace.totalBytes
        status.diskPressure = pressure.name
        status.retentionDaysLeft = daysLeft.map { Double($0) } ?? -1
        status.syncP99 = Nanoseconds(Int64(clamping: syncLatency.nanoseconds(percentile: 99)))
    }
}
