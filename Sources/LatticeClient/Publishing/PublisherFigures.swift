// What has become of what was handed to a publisher.

/// Counts since a publisher was made; all but ``pending`` only grow.
public struct PublisherFigures: Sendable, Hashable {
    /// Handed to NATS; where outcomes are awaited: recorded, or refused by the registry.
    public var published: UInt64 = 0
    /// Lost because the queue was full.
    public var dropped: UInt64 = 0
    /// Lost because it breaks the rules of the format: too long, without an id.
    public var invalid: UInt64 = 0
    /// Lost because NATS or the node would not take it in time.
    public var failed: UInt64 = 0
    /// Waiting, or under way.
    public var pending = 0

    public init() {}
}
