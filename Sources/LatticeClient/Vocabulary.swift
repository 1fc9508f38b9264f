// The words that this module shares with the rest of LatticeForge, so that one import is enough to name them.

public import EventModel

/// A record's place in the log; strictly increasing, not dense.
public typealias SequenceNumber = EventModel.SequenceNumber
/// A moment in nanoseconds since 1970-01-01T00:00:00Z.
public typealias Timestamp = EventModel.Timestamp
/// A length of time in nanoseconds.
public typealias Nanoseconds = EventModel.Nanoseconds
/// The position that an answer is true for.
public typealias AsOf = EventModel.AsOf
/// Where in the log a question is asked: now, in the past, or after a write of one's own.
public typealias ReadPosition = EventModel.ReadPosition
/// How an instance is doing, as far as the log knows.
public typealias HealthState = EventModel.HealthState
/// One line of an instance's metadata.
public typealias MetadataEntry = EventModel.MetadataEntry
/// How one of several instances is chosen.
public typealias SelectionStrategy = EventModel.SelectionStrategy
/// The id of a trace.
public typealias TraceID = EventModel.TraceID
/// The id of a span.
public typealias SpanID = EventModel.SpanID
/// One header line.
public typealias HeaderField = EventModel.HeaderField

// Answers of the registry.

/// A process that serves under a name.
public typealias ServiceInstance = EventModel.ServiceInstance
/// An instance with all that is known of it at a position.
public typealias InstanceSnapshot = EventModel.InstanceSnapshot
/// Answer of `resolve`, `instance`, `staleInstances` and `failoverCandidates`.
public typealias InstancesAnswer = EventModel.InstancesAnswer
/// Answer of `select`.
public typealias SelectionAnswer = EventModel.SelectionAnswer
/// Services by region and zone.
public typealias TopologyAnswer = EventModel.TopologyAnswer
/// One service by region and zone.
public typealias ServiceTopology = EventModel.ServiceTopology
/// Who went, newest first.
public typealias RemovalsAnswer = EventModel.RemovalsAnswer
/// That an instance went, why, and by whom.
public typealias Removal = EventModel.Removal

// Spans.

/// A span as the collector has it.
public typealias TraceSpan = EventModel.TraceSpan
/// One line of a span's tags.
public typealias SpanTag = EventModel.SpanTag
/// The value of a tag.
public typealias TagValue = EventModel.TagValue
/// What the search for traces looks for on one span.
public typealias TagFilter = EventModel.TagFilter
