// What has become of what was handed to a publisher.

/// Counts since a publisher was made; all but ``pending`` only grow.
public struct PublisherFigures: Sendable, Hashable {
    /// Recorded by the node: they are in its log, on disk.
    public var published: UInt64 = 0
    /// Recorded, but without effect: the registry does not know the instance any more, or a rule forbids it.
    public var refused: UInt64 = 0
    /// Lost because the queue was full.
    public var dropped: UInt64 = 0
    /// Lost because it breaks the rules of the format: too long, without an id.
    public var invalid: UInt64 = 0
    /// Lost because the node rejected it, or did not answer for it before the end.
    public var failed: UInt64 = 0
    /// Waiting, or under way.
    public var pending = 0

    public init() {}
}
