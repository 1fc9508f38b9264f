// A span while it is open: an object that many tasks may hold, as swift-distributed-tracing asks for.

internal import EventModel
public import Instrumentation
internal import Synchronization
public import Tracing

/// A span of ``LatticeTracer``. Ending it twice, and changing it after its end, changes nothing.
public final class LatticeSpan: Tracing.Span {
    /// What is known from the beginning.
    struct Origin: Sendable {
        var place: TraceContext
        var parent: SpanID?
        var kind: Tracing.SpanKind
        var start: Timestamp
    }

    private struct State {
        var isOpen: Bool
        var name: String
        var attributes: SpanAttributes = [:]
        var events: [SpanEvent] = []
        var links: [Tracing.SpanLink] = []
        var status: Tracing.SpanStatus?
    }

    /// Where in the trace it is; its own place is in it, for whatever is done within.
    public let context: InstrumentationContext
    private let origin: Origin
    private let records: Bool
    private let tracer: LatticeTracer
    private let state: Mutex<State>
    /// More events and links of one span are not kept.
    private static let countMaximum = 128

    init(
        _ name: String, context: InstrumentationContext, isRecording: Bool, origin: Origin, tracer: LatticeTracer
    ) {
        self.context = context
        self.origin = origin
        self.tracer = tracer
        records = isRecording
        state = Mutex(State(isOpen: isRecording, name: name))
    }

    /// Whether it is open and its trace is recorded.
    public var isRecording: Bool { records && state.withLock { $0.isOpen } }

    /// What is done.
    public var operationName: String {
        get { state.withLock { $0.name } }
        set { change { $0.name = newValue } }
    }

    /// What describes it.
    public var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { change { $0.attributes = newValue } }
    }

    /// How it ends; the last word counts.
    public func setStatus(_ status: Tracing.SpanStatus) { change { $0.status = status } }

    /// Something that happened meanwhile.
    public func addEvent(_ event: SpanEvent) {
        change { if $0.events.count < Self.countMaximum { $0.events.append(event) } }
    }

    /// An event `exception`, as OpenTelemetry names it; the status is the caller's to set.
    public func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        guard isRecording else { return }
        var described = attributes
        described["exception.type"] = String(reflecting: type(of: error))
        described["exception.message"] = String(describing: error)
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: described))
    }

    /// Another span that has to do with it.
    public func addLink(_ link: Tracing.SpanLink) {
        change { if $0.links.count < Self.countMaximum { $0.links.append(link) } }
    }

    /// Ends it and hands it to the publisher.
    public func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard records else { return }
        let time = Timestamp(nanoseconds: Int64(clamping: instant().nanosecondsSinceEpoch))
        let ended = state.withLock { state -> State? in
            guard state.isOpen else { return nil }
            defer { state.isOpen = false }
            return state
        }
        guard let ended else { return }
        tracer.ended(
            SpanRecord(
                origin: origin, end: max(time, origin.start), name: ended.name, attributes: ended.attributes,
                events: ended.events, links: ended.links, status: ended.status))
    }

    private func change(_ body: (inout State) -> Void) {
        guard records else { return }
        state.withLock { state in
            if state.isOpen { body(&state) }
        }
    }
}
