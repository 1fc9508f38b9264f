// The gateway's part in a trace: a server span of its own, a client span for each attempt (W3C Trace Context level 2).

package import EventModel
import LatticeClient
import MeshRules
import NIOCore

/// Where spans go; bounded, and never waits.
package protocol SpanSink: Sendable {
    func publish(_ span: TraceSpan)
}

/// One request's place in its trace.
struct TracePart {
    let traceID: TraceID
    /// The span that the client sent the request from.
    let parent: SpanID?
    let serverSpan: SpanID
    let isSampled: Bool
    private let hasRandomID: Bool
    /// A foreign trace that was not gone on with.
    let link: SpanLink?
    /// As it is passed on; empty: none.
    private let state: String
    private let baggage: String

    /// Reads what a request says; begins a trace where it says nothing that is valid.
    init(_ fields: [HeaderField], _ settings: TracingSettings, _ dice: inout SplitMix64, forced: () -> Bool) {
        let context = fields.isEmpty ? nil : extractTraceContext(fields)
        baggage = fields.isEmpty ? "" : (context?.baggage ?? Baggage(headers: fields)).headerValue()
        serverSpan = Self.spanID(&dice)
        guard let context, !settings.restartsForeignTraces else {
            link = context.map {
                SpanLink(traceID: $0.traceID, spanID: $0.spanID, traceState: $0.traceState.headerValue())
            }
            traceID = TraceID(high: dice.next() | 1, low: dice.next())
            (parent, hasRandomID, state) = (nil, true, "")
            isSampled = TraceSampling(basisPoints: settings.sampleBasisPoints).records(traceID)
            return
        }
        link = nil
        (traceID, parent, hasRandomID) = (context.traceID, context.spanID, context.hasRandomTraceID)
        state = context.traceState.headerValue()
        let own = TraceSampling(basisPoints: settings.sampleBasisPoints).records(traceID)
        guard settings.acceptsForeignDecision, let theirs = context.isSampled else {
            isSampled = own
            return
        }
        isSampled = theirs && (own || forced())
    }

    /// Not all zeros.
    static func spanID(_ dice: inout SplitMix64) -> SpanID { SpanID(dice.next() | 1) }

    /// The fields of one attempt.
    func add(to fields: inout [(String, String)], attempt span: SpanID) {
        var context = TraceContext(traceID: traceID, spanID: span, isSampled: isSampled)
        context.hasRandomTraceID = hasRandomID
        fields.append(("traceparent", context.traceparent))
        if !state.isEmpty { fields.append(("tracestate", state)) }
        if !baggage.isEmpty { fields.append(("baggage", baggage)) }
    }

    var traceState: String { state }
}

/// One attempt as its span tells it.
struct AttemptRecord {
    let span: SpanID
    let target: Target
    let began: NIODeadline
    var ended: NIODeadline?
    var status: UInt?
    var outcome: AttemptOutcome?
}

/// What became of an attempt.
enum AttemptOutcome: Equatable {
    /// Its answer went to the client, or was passed over for another attempt.
    case done
    case answered(UInt)
    case failed(String)
    case overloaded

    /// For the tag `error.type`.
    var error: String? {
        switch self {
        case .done: nil
        case .answered(let status): String(status)
        case .failed(let reason): reason
        case .overloaded: "overloaded"
        }
    }
}
