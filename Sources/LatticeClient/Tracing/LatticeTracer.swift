// The backend of swift-distributed-tracing: spans of this process go to LatticeForge's collector.

public import EventModel
public import Instrumentation
internal import Messaging
public import ServiceLifecycle
public import Tracing

/// Makes spans, carries their context between processes, and publishes those of sampled traces.
///
/// ```swift
/// let tracer = LatticeTracer(service: "checkout", connection)
/// InstrumentationSystem.bootstrap(tracer)
/// // … and run `tracer` in the service group: it publishes what is left when the group shuts down.
/// ```
///
/// A trace that begins here is recorded by a hash of its id (``TraceSampling``); one that comes from elsewhere is recorded
/// if its sender records it. Spans of other traces cost little and are not published, but their context travels on.
public final class LatticeTracer: Tracer, Service {
    /// How spans are made.
    public struct Options: Sendable, Hashable {
        /// Which traces that begin here are recorded.
        public var sampling = TraceSampling.standard
        /// What the process says of itself, on each of its spans: `host.name`, `service.version`.
        public var resource: [SpanTag] = []
        /// The library or the program that makes the spans.
        public var scopeName = ""
        /// Its version.
        public var scopeVersion = ""
        /// What waits to be published.
        public var limits = PublisherLimits()

        /// The defaults.
        public init() {}
    }

    /// The name under which this process serves; NATS permissions tie spans to it.
    public let service: String
    private let options: Options
    private let publisher: SpanPublisher

    /// A tracer that publishes over a connection.
    public init(service: String, _ connection: MeshConnection, options: Options = Options()) {
        self.service = service
        self.options = options
        publisher = SpanPublisher(connection, limits: options.limits)
    }

    /// What has become of all spans.
    public var figures: PublisherFigures { publisher.figures }

    /// Publishes until the task is cancelled or the service group shuts down.
    public func run() async { await publisher.run() }

    /// Publishes what waits and returns when it is recorded; false where it was not within `limit`.
    @discardableResult
    public func flush(within limit: Duration = .seconds(2)) async -> Bool { await publisher.flush(within: limit) }

    /// Has what waits sent at once, and does not wait for it; ``flush(within:)`` does.
    public func forceFlush() { publisher.hurry() }

    // MARK: Spans

    /// Begins a span; the context decides to which trace it belongs.
    public func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> InstrumentationContext, ofKind kind: Tracing.SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> LatticeSpan {
        var context = context()
        let place = context.tracePlace
        let parent = place?.context
        var own = parent ?? Self.newTrace(baggage: place?.baggage ?? Baggage())
        let isSampled = own.isSampled ?? options.sampling.records(own.traceID)
        own.isSampled = isSampled
        own.spanID = Self.newSpanID()
        own.format = .traceparent
        context.tracePlace = TracePlace(context: own, baggage: own.baggage)
        return LatticeSpan(
            operationName, context: context, isRecording: isSampled,
            origin: .init(
                place: own, parent: parent?.spanID, kind: kind,
                start: Timestamp(nanoseconds: Int64(clamping: instant().nanosecondsSinceEpoch))),
            tracer: self)
    }

    private static func newTrace(baggage: Baggage) -> TraceContext {
        var id = TraceID(high: 0, low: 0)
        while !id.isValid {
            id = TraceID(high: UInt64.random(in: .min ... .max), low: UInt64.random(in: .min ... .max))
        }
        return TraceContext(
            traceID: id, spanID: SpanID(0), isSampled: nil, hasRandomTraceID: true, baggage: baggage)
    }

    private static func newSpanID() -> SpanID { SpanID(UInt64.random(in: 1 ... .max)) }

    /// Takes a span that has ended.
    func ended(_ span: SpanRecord) {
        publisher.publish(
            span.traceSpan(
                service: service, resource: options.resource, scope: (options.scopeName, options.scopeVersion)))
    }

    // MARK: Context

    /// Reads the place in a trace from what came with a request.
    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        TracePropagation.extract(carrier, into: &context, using: extractor)
    }

    /// Writes the place in a trace into what goes with a request.
    public func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        TracePropagation.inject(context, into: &carrier, using: injector)
    }
}
