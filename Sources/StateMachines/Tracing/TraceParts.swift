// The collector in parts for several actors, and the parts as one: neither state nor digest depends on how many there are.

package import EventModel

extension TraceCollector {
    /// The whole from all its parts, in order, at one position of the log.
    ///
    /// What was counted is added up; one part may have taken back what another one added before a restart, so that only
    /// the whole's counts mean something.
    /// - Precondition: the parts are all there, of one position and under the same settings.
    /// - Complexity: O(series) of all parts but the first; spans are shared, not copied.
    package init(joining parts: [TraceCollector]) {
        precondition(!parts.isEmpty, "a whole has parts")
        for (index, one) in parts.enumerated() {
            precondition(one.part == index && one.parts == parts.count, "all parts in order")
            precondition(one.moment == parts[0].moment && one.settings == parts[0].settings, "parts of one position")
        }
        self = parts[0]
        if parts.count == 1 { return }
        partitions = (0..<Self.partitionCount).map { parts[$0 % parts.count].partitions[$0 / parts.count] }
        (part, self.parts) = (0, 1)
        for other in parts.dropFirst() { series.merge(other.series) }
    }

    /// The parts of a whole; the first keeps all that was counted so far.
    ///
    /// - Precondition: this is a whole, and `count` lies in 1 … 256.
    package func split(into count: Int) -> [TraceCollector] {
        precondition(parts == 1 && (1...Self.partitionCount).contains(count), "a whole is split into 1 to 256 parts")
        return (0..<count).map { index in
            var result = self
            (result.part, result.parts) = (index, count)
            result.partitions = stride(from: index, to: Self.partitionCount, by: count).map { partitions[$0] }
            if index > 0 { result.series.removeAll() }
            return result
        }
    }

    /// The digest of the whole from those of all its parts at one position: they add up, and the first part's holds what
    /// all have alike.
    package static func combined(_ digests: [Digest]) -> Digest { digests.reduce(.zero) { $0 &+ $1 } }

    /// What became of one record from what all parts say of it: each speaks of the spans of its own partitions.
    package static func combined(_ outcomes: [Outcome]) -> Outcome {
        var result = Outcome()
        for outcome in outcomes {
            result.accepted += outcome.accepted
            result.refused += outcome.refused
        }
        result.refused.sort { $0.index < $1.index }
        return result
    }
}
