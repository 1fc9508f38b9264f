// Explanations of traces: which facts there are, which choice belongs to which call, and when that is a guess.

import EventModel
import Testing

@testable import StateMachines

/// A log around one trace, and its explanation.
private struct Told {
    private var state = MeshState()
    private var start = MeshState()
    private(set) var records: [EventRecord] = []
    var now = Timestamp(nanoseconds: Story.beginning)
    private var hasBegun = false
    static let trace = TraceID(high: 0, low: 42)

    @discardableResult
    mutating func append(_ event: Event) -> SequenceNumber {
        now = now + .milliseconds(1)
        let sequence = SequenceNumber(state.moment.sequence.rawValue + 1)
        let record = EventRecord(sequence: sequence, recordedAt: now, event: event)
        if hasBegun { records.append(record) }
        state.apply(record)
        return sequence
    }

    /// The window begins here.
    mutating func begins() {
        start = state
        hasBegun = true
    }

    mutating func select(
        _ service: String, _ chosen: String, among candidates: [String], for id: TraceID = trace, asOf: UInt64 = 0
    ) {
        let selection = InstanceSelection(
            traceID: id.bytes, candidates: candidates, chosen: chosen, strategy: .roundRobin,
            asOf: SequenceNumber(asOf == 0 ? state.moment.sequence.rawValue : asOf), seed: 0)
        append(.registry(.instanceSelected(Batch(serviceName: service, events: [selection]))))
    }

    /// `web` calls a service so many times, one after the other.
    mutating func call(
        _ service: String, milliseconds: [Int64], id: TraceID = trace, status: SpanStatus = .ok
    ) {
        let begin = now
        let total = milliseconds.reduce(2, +)
        func span(_ number: UInt64, _ name: String, _ from: Int64, _ length: Int64, _ parent: UInt64?) -> TraceSpan {
            TraceSpan(
                spanID: SpanID(number), traceID: id, parentSpanID: parent.map { SpanID($0) }, serviceName: name,
                operationName: "GET /\(name)", kind: .server, status: parent == nil ? .ok : status,
                startTime: begin + .milliseconds(from), endTime: begin + .milliseconds(from + length))
        }
        append(.trace(.spansReceived(SpanBatch(serviceName: "web", spans: [span(1, "web", 0, total, nil)])!)))
        var at: Int64 = 1
        for (index, length) in milliseconds.enumerated() {
            let own = span(UInt64(index + 2), service, at, length, 1)
            append(.trace(.spansReceived(SpanBatch(serviceName: service, spans: [own])!)))
            at += length
        }
    }

    func explanation(everyService: Bool = false, healthy: TraceID? = nil) -> TraceExplanation? {
        guard let facts = state.tracing.facts(of: Self.trace) else { return nil }
        let begin = facts.spans.map(\.startTime).min()!
        let end = facts.spans.map { $0.startTime + $0.duration }.max()!
        let window = TraceExplanation.Window(
            from: start.moment.asOf, through: state.moment.asOf, traceStart: begin, traceEnd: end, isShifted: false)
        var choices: [TraceExplanation.Choice] = []
        for record in records {
            guard case .registry(.instanceSelected(let batch)) = record.event else { continue }
            for (index, selection) in batch.events.enumerated()
            where TraceID(bytes: selection.traceID) == Self.trace {
                choices.append(
                    .init(
                        position: EventPosition(sequence: record.sequence, index: UInt32(index)),
                        recordedAt: record.recordedAt, serviceName: batch.serviceName, selection: selection))
            }
        }
        var fold = ExplanationFold(facts, window, choices: choices, everyService: everyService, from: start)
        var walker = start
        for record in records {
            walker.apply(record)
            fold.take(record, walker)
        }
        return fold.explanation(in: state, healthy: healthy)
    }
}

@Suite struct `Explanations` {
    /// Two instances of cart, and a window that begins behind their registration.
    private func beginning() -> Told {
        var told = Told()
        told.append(registered([instance("cart-1"), instance("cart-2")], of: "cart"))
        told.append(registered([instance("mail-1")], of: "mail"))
        told.begins()
        return told
    }

    @Test func `every kind of change of a service is a fact, in the order of the log`() throws {
        var told = beginning()
        var newer = instance("cart-1", incarnation: 2)
        newer.metadata = [MetadataEntry(key: "version", value: "2")]
        told.append(registered([newer], of: "cart"))
        told.append(registered([instance("cart-2", weight: 7)], of: "cart"))
        told.append(registered([instance("cart-3")], of: "cart"))
        told.append(healthReported([report("cart-2", healthy: false, checked: told.now, reason: "503")], of: "cart"))
        told.append(deregistered(["cart-3"], of: "cart", reason: "scaled in"))
        told.append(deregistered(["mail-1"], of: "mail"))
        told.append(configured(RegistryConfiguration(staleAfter: .seconds(45), reason: "calm")))
        told.append(.clock(.intakeGap(nodeID: "n", reason: "slow consumer", droppedCount: 3)))
        told.now = told.now + .seconds(1)
        told.call("cart", milliseconds: [10])
        told.now = told.now + .seconds(1)
        told.append(deregistered(["cart-2"], of: "cart"))
        let explanation = try #require(told.explanation())
        #expect(
            explanation.facts.map(\.kind) == [
                .restarted, .reconfigured, .registered, .health, .deregistered, .settings, .intakeGap, .deregistered,
            ])
        #expect(explanation.facts[0].after == "version 2" && explanation.facts[1].before == "weight 100")
        #expect(explanation.facts[3].after == "unhealthy" && explanation.facts[3].reason == "503")
        #expect(explanation.facts[4].reason == "scaled in" && explanation.facts[5].after == "stale after 45s")
        #expect(explanation.facts.map(\.relation).dropLast().allSatisfy { $0 == .before })
        #expect(explanation.facts.last?.relation == .after)
        #expect(explanation.elsewhereCount == 1)
        let all = try #require(told.explanation(everyService: true))
        #expect(all.facts.contains { $0.serviceName == "mail" } && all.elsewhereCount == 0)
    }

    @Test func `a call is shown with the registry that its balancer had applied`() throws {
        var told = beginning()
        let old = told.append(healthReported([report("cart-2", healthy: false, checked: told.now)], of: "cart"))
        told.append(healthReported([report("cart-2", healthy: true, checked: told.now)], of: "cart"))
        told.select("cart", "cart-1", among: ["cart-1"], asOf: old.rawValue)
        told.call("cart", milliseconds: [10])
        let hop = try #require(told.explanation()?.hops.first { $0.serviceName == "cart" })
        #expect(hop.isCertain && hop.caller == "web" && hop.view?.asOf.sequence == old)
        #expect(hop.view?.instances.map(\.health) == [.healthy, .unhealthy])
    }

    @Test func `without a selection the instances at the call's start are shown`() throws {
        var told = beginning()
        told.call("cart", milliseconds: [10])
        let hop = try #require(told.explanation()?.hops.first { $0.serviceName == "cart" })
        #expect(hop.choices.isEmpty && hop.view?.instances.count == 2 && !hop.isCertain)
    }

    @Test func `equally many choices and calls are paired in order, others are all named`() throws {
        var told = beginning()
        told.select("cart", "cart-1", among: ["cart-1", "cart-2"])
        told.select("cart", "cart-2", among: ["cart-1", "cart-2"])
        told.call("cart", milliseconds: [10, 20])
        let hops = try #require(told.explanation()).hops.filter { $0.serviceName == "cart" }
        #expect(hops.map { $0.choices.map(\.selection.chosen) } == [["cart-1"], ["cart-2"]])
        #expect(hops.allSatisfy { !$0.isCertain })
        told.select("cart", "cart-2", among: ["cart-2"])
        let again = try #require(told.explanation()).hops.filter { $0.serviceName == "cart" }
        #expect(again.allSatisfy { $0.choices.count == 3 && !$0.isCertain })
    }

    @Test func `who was selected and sent no span is a call that may never have arrived`() throws {
        var told = beginning()
        told.select("mail", "mail-1", among: ["mail-1"])
        told.append(deregistered(["mail-1"], of: "mail", reason: "crashed"))
        told.call("cart", milliseconds: [10])
        let explanation = try #require(told.explanation())
        let hop = try #require(explanation.hops.first { $0.serviceName == "mail" })
        #expect(hop.span == nil && hop.choices.first?.selection.chosen == "mail-1")
        #expect(explanation.suspicions.first?.fact.reason == "crashed")
        #expect(explanation.suspicions.first?.fact.isOfChosen == true)
    }

    @Test func `the healthy trace is the middle one by duration of the earlier ones without an error`() throws {
        var told = beginning()
        for (number, length) in [Int64(30), 10, 20, 500, 12].enumerated() {
            told.call("cart", milliseconds: [length], id: TraceID(high: 1, low: UInt64(number + 1)))
            told.now = told.now + .seconds(1)
        }
        told.call("cart", milliseconds: [5], id: TraceID(high: 1, low: 6), status: .error)
        told.now = told.now + .seconds(1)
        told.call("cart", milliseconds: [100])
        told.now = told.now + .seconds(1)
        told.call("cart", milliseconds: [11], id: TraceID(high: 1, low: 7))
        let explanation = try #require(told.explanation())
        #expect(explanation.healthy?.traceID == TraceID(high: 1, low: 3) && explanation.healthy?.candidateCount == 5)
        #expect(explanation.path.map(\.growth) == [80_000_000, 0])
        #expect(explanation.path.first?.operationName == "GET /cart")
        let named = try #require(told.explanation(healthy: TraceID(high: 1, low: 7)))
        #expect(named.healthy?.isEarlier == false && named.path.first?.growth == 89_000_000)
    }

    @Test func `without another trace of the operation there is nothing to hold it against`() throws {
        var told = beginning()
        told.call("cart", milliseconds: [10])
        let explanation = try #require(told.explanation())
        #expect(explanation.healthy == nil && explanation.path.map(\.here.rawValue).reduce(0, +) == 12_000_000)
        #expect(explanation.suspicions.isEmpty)
    }

    @Test func `calls are summed by the instance that was chosen, as far as that can be told`() throws {
        var told = beginning()
        for number in UInt64(1)...6 {
            let id = TraceID(high: 1, low: number)
            told.select("cart", number % 2 == 0 ? "cart-2" : "cart-1", among: ["cart-1", "cart-2"], for: id)
            told.call("cart", milliseconds: number == 6 ? [5, 5] : [number % 2 == 0 ? 90 : 10], id: id)
        }
        told.select("cart", "cart-2", among: ["cart-1", "cart-2"])
        told.call("cart", milliseconds: [95])
        let figures = try #require(told.explanation()).figures
        #expect(figures.map(\.instanceID) == ["cart-1", "cart-2"] && figures.map(\.callCount) == [3, 3])
        #expect(figures.map(\.median) == [.milliseconds(10), .milliseconds(90)])
        #expect(figures.map(\.isChosen) == [false, true] && figures[1].maximum == .milliseconds(95))
    }
}
