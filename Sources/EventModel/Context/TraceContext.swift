// Which trace a request belongs to, in the headers that carry it between processes.
// Sources: W3C Trace Context level 2; github.com/openzipkin/b3-propagation; Jaeger's client libraries documentation.

/// The place in a trace from which a request was sent.
public struct TraceContext: Sendable, Hashable {
    /// Which headers it was read from.
    public enum Format: Sendable, Hashable {
        case traceparent, b3Single, b3Multiple, uberTraceID
    }

    public var traceID: TraceID
    /// The sender's span: the parent of the receiver's.
    public var spanID: SpanID
    /// Nil: the sender left it to the receiver, which only b3 can say.
    public var isSampled: Bool?
    /// The trace id is random in its right-most 7 bytes (W3C level 2, 3.2.2.5.2).
    public var hasRandomTraceID: Bool
    public var traceState: TraceState
    public var baggage: Baggage
    public var format: Format

    public init(
        traceID: TraceID, spanID: SpanID, isSampled: Bool?, hasRandomTraceID: Bool = false,
        traceState: TraceState = TraceState(), baggage: Baggage = Baggage(), format: Format = .traceparent
    ) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.hasRandomTraceID = hasRandomTraceID
        self.traceState = traceState
        self.baggage = baggage
        self.format = format
    }

    /// The value of the header `traceparent`, version 00.
    public var traceparent: String {
        let flags = (isSampled == true ? 1 : 0) | (hasRandomTraceID ? 2 : 0)
        return "00-\(traceID)-\(spanID)-0\(flags)"
    }
}

/// Puts a trace context into the headers of a request (`inject_trace_context`; W3C format).
///
/// A `tracestate` that is there stays if it is valid and the `traceparent` there is of the same trace.
/// - Precondition: neither id is all zeros.
public func injectTraceContext(
    _ headers: [HeaderField], traceID: TraceID, spanID: SpanID, sampled: Bool
) -> [HeaderField] {
    let earlier = extractTraceContext(headers.filter { !HeaderName.isForeign($0.name) })
    var context = TraceContext(traceID: traceID, spanID: spanID, isSampled: sampled)
    if let earlier, earlier.traceID == traceID {
        context.traceState = earlier.traceState
        context.hasRandomTraceID = earlier.hasRandomTraceID
    }
    context.baggage = Baggage(headers: headers)
    return injectTraceContext(headers, context)
}

/// Puts a trace context into the headers of a request; what they said before of W3C's headers is replaced.
///
/// - Precondition: neither id is all zeros.
public func injectTraceContext(_ headers: [HeaderField], _ context: TraceContext) -> [HeaderField] {
    precondition(context.traceID.isValid && context.spanID.isValid, "a trace context has ids")
    var result = headers.filter { !HeaderName.isW3C($0.name) }
    result.append(HeaderField(name: "traceparent", value: context.traceparent))
    let state = context.traceState.headerValue()
    if !state.isEmpty { result.append(HeaderField(name: "tracestate", value: state)) }
    let baggage = context.baggage.headerValue()
    if !baggage.isEmpty { result.append(HeaderField(name: "baggage", value: baggage)) }
    return result
}

/// Reads the trace context from the headers of a request (`extract_trace_context`).
///
/// Nil where there is none, and where `traceparent` is there but not valid: then the receiver begins a new trace and
/// forgets `tracestate` (W3C level 2, 4.2). Without `traceparent` the headers of b3 and of Jaeger are read.
public func extractTraceContext(_ headers: [HeaderField]) -> TraceContext? {
    let parents = HeaderName.values("traceparent", in: headers)
    var context: TraceContext?
    if parents.isEmpty {
        context = B3Headers.read(headers) ?? UberTraceID.read(headers)
    } else if parents.count == 1 {
        context = TraceParent.read(parents[0])
        context?.traceState = TraceState(fields: HeaderName.values("tracestate", in: headers)) ?? TraceState()
    }
    context?.baggage = Baggage(headers: headers)
    return context
}

/// Names of headers without regard to case.
enum HeaderName {
    static func isEqual(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && zip(left.utf8, right.utf8).allSatisfy { lower($0) == lower($1) }
    }

    static func isW3C(_ name: String) -> Bool {
        ["traceparent", "tracestate", "baggage"].contains { isEqual($0, name) }
    }

    /// Whether a header is another format's.
    static func isForeign(_ name: String) -> Bool {
        ["b3", "x-b3-traceid", "uber-trace-id"].contains { isEqual($0, name) }
    }

    /// The values of all headers of a name, in their order, as bytes without white space around them.
    static func values(_ name: String, in headers: [HeaderField]) -> [ArraySlice<UInt8>] {
        headers.filter { isEqual($0.name, name) }.map { trimmed(Array($0.value.utf8)[...]) }
    }

    static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var rest = text.drop { $0 == 0x20 || $0 == 0x09 }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return rest
    }

    private static func lower(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte + 32 : byte
    }
}

/// The header `traceparent` (W3C level 2, 3.2).
private enum TraceParent {
    static func read(_ text: ArraySlice<UInt8>) -> TraceContext? {
        let bytes = Array(text)
        guard bytes.count >= 55, [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
            [0..<2, 3..<35, 36..<52, 53..<55].allSatisfy({ HexadecimalDigits.isLower(bytes[$0]) }),
            let version = HexadecimalDigits.number(bytes[0..<2]), version != 255,
            isEndValid(bytes, version: version), let flags = HexadecimalDigits.number(bytes[53..<55]),
            let traceID = TraceID(hexadecimal: String(decoding: bytes[3..<35], as: UTF8.self)),
            let spanID = SpanID(hexadecimal: String(decoding: bytes[36..<52], as: UTF8.self))
        else { return nil }
        return TraceContext(
            traceID: traceID, spanID: spanID, isSampled: flags & 1 != 0, hasRandomTraceID: flags & 2 != 0)
    }

    /// Version 00 ends here; later ones may go on behind a dash.
    private static func isEndValid(_ bytes: [UInt8], version: UInt64) -> Bool {
        bytes.count == 55 || version > 0 && bytes[55] == UInt8(ascii: "-")
    }
}

/// The headers of b3, in one or in several.
private enum B3Headers {
    static func read(_ headers: [HeaderField]) -> TraceContext? {
        if let single = HeaderName.values("b3", in: headers).first, let context = read(single: single) {
            return context
        }
        func value(_ name: String) -> String {
            String(decoding: HeaderName.values(name, in: headers).first ?? [], as: UTF8.self)
        }
        guard let traceID = traceID(value("x-b3-traceid")), let spanID = SpanID(hexadecimal: value("x-b3-spanid"))
        else { return nil }
        let isDebug = value("x-b3-flags") == "1"
        let sampled: Bool? =
            switch value("x-b3-sampled") {
            case "1", "true", "True": true
            case "0", "false", "False": false
            default: nil
            }
        return TraceContext(
            traceID: traceID, spanID: spanID, isSampled: isDebug ? true : sampled, format: .b3Multiple)
    }

    /// `trace-span-sampled-parent`, the last two optional. A decision without ids is no context.
    private static func read(single: ArraySlice<UInt8>) -> TraceContext? {
        let parts = single.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard (2...4).contains(parts.count), let traceID = traceID(parts[0]), let spanID = SpanID(hexadecimal: parts[1])
        else { return nil }
        var context = TraceContext(traceID: traceID, spanID: spanID, isSampled: nil, format: .b3Single)
        if parts.count > 2 {
            switch parts[2] {
            case "1", "d": context.isSampled = true
            case "0": context.isSampled = false
            default: return nil
            }
        }
        if parts.count == 4 && SpanID(hexadecimal: parts[3]) == nil { return nil }
        return context
    }

    private static func traceID(_ text: String) -> TraceID? {
        [16, 32].contains(text.utf8.count) ? TraceID(hexadecimal: text) : nil
    }
}

/// The header `uber-trace-id` of Jaeger's clients: `trace:span:parent:flags`, zeros on the left left out.
private enum UberTraceID {
    static func read(_ headers: [HeaderField]) -> TraceContext? {
        guard let value = HeaderName.values("uber-trace-id", in: headers).first else { return nil }
        let parts = PercentCoding.decoded(value).split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 4, (1...32).contains(parts[0].count), (1...16).contains(parts[1].count),
            (1...2).contains(parts[3].count),
            let high = HexadecimalDigits.number(parts[0].dropLast(min(16, parts[0].count))),
            let low = HexadecimalDigits.number(parts[0].suffix(16)), let span = HexadecimalDigits.number(parts[1]),
            let flags = HexadecimalDigits.number(parts[3]), high | low != 0, span != 0
        else { return nil }
        return TraceContext(
            traceID: TraceID(high: high, low: low), spanID: SpanID(span), isSampled: flags & 3 != 0,
            format: .uberTraceID)
    }
}
