// Which traces are recorded: a share of them, the same on every machine.

public import EventModel
internal import MeshRules

/// Decides by a hash of the trace id, so that all who see a trace decide alike.
public struct TraceSampling: Sendable, Hashable {
    /// So many of 10,000 traces.
    public let basisPoints: UInt32

    /// One trace of ten.
    public static let standard = TraceSampling(basisPoints: 1_000)
    /// Every trace.
    public static let all = TraceSampling(basisPoints: 10_000)

    /// - Parameter basisPoints: 0 to 10,000; more is every trace.
    public init(basisPoints: UInt32) { self.basisPoints = basisPoints }

    /// Whether a trace without a decision of its sender is recorded.
    public func records(_ id: TraceID) -> Bool {
        if basisPoints == 0 { return false }
        return basisPoints >= SampleBucket.count || SampleBucket.of(id.description) < basisPoints
    }
}
