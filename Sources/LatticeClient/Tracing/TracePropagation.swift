// The place in a trace as a service context carries it, and the headers that carry it between processes.

public import EventModel
public import Instrumentation
internal import Tracing

/// Where in a trace a piece of work is, and the baggage, which may travel without a trace.
struct TracePlace: Sendable {
    var context: TraceContext?
    var baggage: Baggage

    /// The key in a service context.
    enum Key: InstrumentationContextKey {
        typealias Value = TracePlace

        static var nameOverride: String? { "lattice-trace" }
    }
}

extension InstrumentationContext {
    var tracePlace: TracePlace? {
        get { self[TracePlace.Key.self] }
        set { self[TracePlace.Key.self] = newValue }
    }

    /// The trace that this work belongs to; nil: none.
    public var traceID: TraceID? { tracePlace?.context?.traceID }

    /// The span in which this work is done; nil: none.
    public var spanID: SpanID? { tracePlace?.context?.spanID }

    /// Whether the trace is recorded; nil: there is none, or nobody has decided.
    public var isTraceSampled: Bool? { tracePlace?.context?.isSampled }

    /// What travels along with requests under this key.
    public func baggage(_ key: String) -> String? { tracePlace?.baggage[key] }

    /// Lets a value travel along with the requests that are made in this context; nil takes it away.
    public mutating func setBaggage(_ key: String, _ value: String?) {
        var place = tracePlace ?? TracePlace(context: nil, baggage: Baggage())
        place.baggage.entries.removeAll { $0.key == key }
        if let value { place.baggage.entries.append(Baggage.Entry(key: key, value: value)) }
        place.context?.baggage = place.baggage
        tracePlace = place
    }
}

/// Reads and writes the headers: W3C Trace Context level 2 and Baggage; b3 and Jaeger's are read where W3C's are missing.
enum TracePropagation {
    private static let names = [
        "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags",
        "uber-trace-id",
    ]

    static func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        let headers = names.compactMap { name in
            extractor.extract(key: name, from: carrier).map { HeaderField(name: name, value: $0) }
        }
        if headers.isEmpty { return }
        let found = extractTraceContext(headers)
        context.tracePlace = TracePlace(context: found, baggage: found?.baggage ?? Baggage(headers: headers))
    }

    static func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let place = context.tracePlace else { return }
        if let found = place.context {
            for header in injectTraceContext([], found) {
                injector.inject(header.value, forKey: header.name, into: &carrier)
            }
        } else {
            let baggage = place.baggage.headerValue()
            if !baggage.isEmpty { injector.inject(baggage, forKey: "baggage", into: &carrier) }
        }
    }
}
