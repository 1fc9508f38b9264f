// A log that keeps no records: it numbers and stamps events, judges them as a node's intake does, and folds them.

import EventModel
import StateMachines

/// One machine over a log of its own, which begins as a new node's does: with the newest semantics.
///
/// Time passes by ticks, one each second of the clock, as on a node that runs all the while. A copy is a fork.
struct LocalLog<Machine: StateMachine>: Sendable {
    private static var second: Int64 { 1_000_000_000 }
    /// Where the clock jumps further, that is as if the node had been switched off until two hours ago.
    private static var ticksMaximum: Int64 { 7_200 }

    private var filter = RecordFilter()
    private(set) var machine: Machine
    private let clock: @Sendable () -> Timestamp

    init(_ machine: Machine, clock: @escaping @Sendable () -> Timestamp) {
        self.machine = machine
        self.clock = clock
        fold(.policy(.semanticsActivated(version: Semantics.newest.version, reason: "")), at: clock())
    }

    /// The last record.
    var asOf: AsOf { filter.moment.asOf }

    /// The same at the time that the clock shows.
    var now: Self {
        var copy = self
        copy.advance()
        return copy
    }

    // MARK: Writing

    /// Writes the ticks that are due; answers the clock's time.
    @discardableResult
    mutating func advance() -> Timestamp {
        let now = clock()
        let last = Self.slot(of: now)
        var slot = max(Self.slot(of: filter.moment.recordedAt), last - Self.ticksMaximum)
        while slot < last {
            slot += 1
            fold(.clock(.tick(slot: UInt64(max(0, slot)))), at: Timestamp(nanoseconds: slot * Self.second))
        }
        return now
    }

    /// Whole seconds since 1970, rounded down.
    private static func slot(of time: Timestamp) -> Int64 {
        let (quotient, remainder) = time.rawValue.quotientAndRemainder(dividingBy: second)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Writes one event, which may stand for several facts.
    ///
    /// - Parameter time: when, where time has passed until then already; nil: now.
    /// - Throws: `malformed` where a node would not write it; then nothing is written.
    mutating func append(_ event: Event, at time: Timestamp? = nil) throws(LocalError) -> OutcomeAnswer {
        let checked = try Self.checked(event)
        let now = time ?? advance()
        return fold(checked, at: now)
    }

    /// The same for one fact.
    ///
    /// - Throws: besides, `refused`.
    @discardableResult
    mutating func append(one event: Event, at time: Timestamp? = nil) throws(LocalError) -> OutcomeAnswer {
        let answer = try append(event, at: time)
        if let refusal = answer.refused.first { throw .refused(refusal.reason) }
        return answer
    }

    /// Lets time pass: the ticks that are due, and one right now.
    mutating func tick() {
        let now = advance()
        fold(.clock(.tick(slot: UInt64(max(0, Self.slot(of: now))))), at: now)
    }

    /// As `MeshState.apply`, with one machine.
    @discardableResult
    private mutating func fold(_ event: Event, at time: Timestamp) -> OutcomeAnswer {
        let record = EventRecord(sequence: filter.moment.sequence.next, recordedAt: time, event: event)
        let (verdict, moment, outcome) = filter.admit(record)
        let admitted = AdmittedRecord(record: record, moment: moment, verdict: verdict)
        return outcome.merged(with: machine.apply(admitted)).answer(verdict, record)
    }

    // MARK: Judging

    /// The event as it would be read back from a log.
    static func checked(_ event: Event) throws(LocalError) -> Event {
        guard let (type, facts) = EventCodec.encode(event) else { return event }
        if facts.count > Limits.messageBytes { throw .malformed(DecodeError("too_long", "message")) }
        // A batch of spans was judged when it was made.
        if case .trace = event { return event }
        do {
            return try EventCodec.decode(
                type: type.rawValue, schemaVersion: EventType.currentSchemaVersion, facts: facts[...])
        } catch {
            throw .malformed(error)
        }
    }

    /// Elements in as few messages as their bounds allow; what cannot stand in a message is alone in its piece.
    static func pieces<Element>(
        _ elements: ArraySlice<Element>, _ message: (ArraySlice<Element>) -> Event?
    ) -> [ArraySlice<Element>] {
        if elements.count < 2 { return elements.isEmpty ? [] : [elements] }
        if elements.count <= Limits.eventsPerMessage, let event = message(elements), (try? checked(event)) != nil {
            return [elements]
        }
        let middle = elements.startIndex + elements.count / 2
        return pieces(elements[..<middle], message) + pieces(elements[middle...], message)
    }
}

/// What became of a list whose elements stand in several records.
struct OutcomeSum {
    private var sum: OutcomeAnswer

    init(_ asOf: AsOf) { sum = OutcomeAnswer(sequence: asOf.sequence, recordedAt: asOf.recordedAt, verdict: .accepted) }

    /// Whether anything was refused so far.
    var hasRefusals: Bool { !sum.refused.isEmpty }

    /// Adds what became of a record whose elements have these places in the list.
    mutating func add(_ part: OutcomeAnswer, at places: some RandomAccessCollection<Int>) {
        func place(_ index: UInt32) -> UInt32 {
            UInt32(clamping: places[places.index(places.startIndex, offsetBy: Int(index))])
        }
        sum.sequence = part.sequence
        sum.recordedAt = part.recordedAt
        sum.accepted += part.accepted
        sum.refused += part.refused.map { Refusal(index: place($0.index), reason: $0.reason) }
        sum.replaced += part.replaced.map(place)
        sum.consequences += part.consequences
    }

    /// Refuses what was never written.
    mutating func refuse(_ places: some RandomAccessCollection<Int>, _ reason: RefusalReason) {
        sum.refused += places.map { Refusal(index: UInt32(clamping: $0), reason: reason) }
    }

    /// The whole; refusals in order of the list.
    var answer: OutcomeAnswer {
        var result = sum
        result.refused.sort { $0.index < $1.index }
        result.replaced.sort()
        if result.accepted == 0 && !result.refused.isEmpty { result.verdict = .refused }
        return result
    }
}
