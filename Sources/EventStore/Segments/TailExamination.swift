// Tells a torn tail, which a crash leaves, from a hole, which is damage in durable data.

import EventModel

/// What follows the first damaged byte of an unsealed segment.
///
/// A crash may drop any subset of the sectors written since the last fdatasync. So intact frames behind damage prove
/// nothing; but a mark does: it was written after an fdatasync had returned, and says how far that reached.
struct TailExamination: Hashable {
    /// Whether something behind the damage proves that the damaged bytes had been durable.
    var isHole = false
    /// Intact frames behind the damage.
    var intactFrameCount: UInt64 = 0
    /// Bytes from the damage to the end of the file.
    var byteCount: UInt64 = 0

    /// Looks at everything from the damaged byte on. Takes memory for the rest of the file.
    static func examine(
        _ file: any LogFile, damageAt offset: UInt64, after sequence: SequenceNumber
    ) throws(EventStoreError) -> TailExamination {
        let size = try file.byteCount()
        var examination = TailExamination()
        guard size > offset else { return examination }
        let bytes = try file.read(at: offset, count: Int(size - offset))
        examination.byteCount = UInt64(bytes.count)
        for finding in FrameParser.search(bytes.span) {
            switch finding.what {
            case .frame(_, let found) where found > sequence: examination.intactFrameCount += 1
            case .mark(let durableOffset, _)
            where durableOffset > offset && durableOffset <= offset + UInt64(finding.offset):
                examination.isHole = true
            default: break
            }
        }
        return examination
    }
}
