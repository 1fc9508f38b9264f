// Builds spans and random traces for tests.

import EventModel

@testable import MeshRules
@testable import StateMachines

/// A span of trace 1 from letters: `span("b", in: "a", 10, 20)`.
func span(
    _ id: Character, in parent: Character? = nil, _ start: Int64, _ end: Int64, service: String = "checkout",
    operation: String? = nil, kind: SpanKind = .internal, status: SpanStatus = .ok, tags: [SpanTag] = [],
    host: String = ""
) -> TraceSpan {
    TraceSpan(
        spanID: spanID(id), traceID: TraceMaker.trace, parentSpanID: parent.map(spanID), serviceName: service,
        operationName: operation ?? String(id), kind: kind, status: status, startTime: Timestamp(nanoseconds: start),
        endTime: Timestamp(nanoseconds: end), tags: tags, resource: host.isEmpty ? [] : [SpanTag("ip", host)])
}

func spanID(_ letter: Character) -> SpanID { SpanID(UInt64(letter.unicodeScalars.first!.value)) }

/// A tree of trace 1.
func tree(_ spans: [TraceSpan]) -> TraceTree {
    TraceAnalysis.assemble(TraceMaker.trace, spans, asOf: Moment.origin.asOf)
}

extension TraceTree {
    /// The letter of a span.
    func letter(_ index: Int) -> Character { Character(Unicode.Scalar(UInt8(spans[index].spanID.rawValue))) }
    func index(_ letter: Character) -> Int { spans.firstIndex { $0.spanID == spanID(letter) } ?? -1 }
    func parent(_ letter: Character) -> Character? { structure.parents[index(letter)].map(self.letter) }

    /// The critical path as `c 60-100`.
    var path: [String] {
        (TraceAnalysis.criticalPath(self)?.sections ?? []).map {
            "\(letter($0.span)) \($0.start.rawValue)-\($0.end.rawValue)"
        }
    }
}

/// Random traces from a seed.
struct TraceMaker {
    static let trace = TraceID(high: 0, low: 1)
    var dice: SplitMix64

    init(seed: UInt64) { dice = SplitMix64(state: seed) }

    mutating func below(_ bound: Int) -> Int { Int(dice.next(below: UInt64(bound))) }

    /// A tree in one piece; children may overlap, overflow their parent, or lie outside of it.
    mutating func spans(_ count: Int, isTidy: Bool = false) -> [TraceSpan] {
        var result = [make(1, nil, 1_000, 1_000 + Int64(below(10_000)))]
        for id in 2..<max(3, count + 1) {
            let parent = result[below(result.count)]
            let (start, end) = (parent.startTime.rawValue, parent.endTime.rawValue)
            var from = start + Int64(below(Int(end - start) + 1))
            var to = isTidy ? from + Int64(below(Int(end - from) + 1)) : from + Int64(below(3_000))
            if !isTidy && below(10) == 0 { (from, to) = (from - 2_000, to - 1_500) }
            result.append(make(UInt64(id), parent.spanID, from, max(from, to)))
        }
        return result
    }

    private mutating func make(_ id: UInt64, _ parent: SpanID?, _ start: Int64, _ end: Int64) -> TraceSpan {
        let kinds: [SpanKind] = [.internal, .client, .server, .internal, .producer, .consumer]
        return TraceSpan(
            spanID: SpanID(id), traceID: Self.trace, parentSpanID: parent, serviceName: "s\(below(4))",
            operationName: "o\(below(5))", kind: kinds[below(6)], status: below(8) == 0 ? .error : .ok,
            startTime: Timestamp(nanoseconds: start), endTime: Timestamp(nanoseconds: end))
    }

    mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var result = elements
        for index in result.indices.reversed() { result.swapAt(index, below(index + 1)) }
        return result
    }
}
