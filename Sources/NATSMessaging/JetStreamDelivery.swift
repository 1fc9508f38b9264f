// What the acknowledgement subject of a consumer's message says.

/// A message's place in its stream and in its consumer, read from `$JS.ACK.…` (ADR-15): libnats' own reader allocates.
struct JetStreamDelivery: Hashable, Sendable {
    /// The place in the stream.
    var streamSequence: UInt64
    /// The place in what this consumer delivered: without gaps, unless messages were lost on the way.
    var consumerSequence: UInt64
    /// When the stream stored it, in nanoseconds since 1970.
    var recordedAtNanoseconds: Int64

    /// Reads both forms,
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>` and
    /// `$JS.ACK.<domain>.<account>.<stream>.<consumer>.…[.<random>]`; nil for anything else and for another consumer.
    init?(acknowledgementSubject subject: Span<UInt8>, consumer: [UInt8]) {
        guard subject.count > 8, subject[0] == UInt8(ascii: "$"), subject[7] == UInt8(ascii: ".") else { return nil }
        var ends = TokenEnds()
        for index in 0..<subject.count where subject[index] == UInt8(ascii: ".") { ends.append(index) }
        ends.append(subject.count)
        let consumerToken: Int
        switch ends.count {
        case 9: consumerToken = 3
        case 11, 12: consumerToken = 5
        default: return nil
        }
        guard Self.isEqual(subject, ends.range(consumerToken), consumer),
            let streamSequence = Self.number(subject, ends.range(consumerToken + 2)),
            let consumerSequence = Self.number(subject, ends.range(consumerToken + 3)),
            let time = Self.number(subject, ends.range(consumerToken + 4)), time <= UInt64(Int64.max)
        else { return nil }
        self.streamSequence = streamSequence
        self.consumerSequence = consumerSequence
        recordedAtNanoseconds = Int64(time)
    }

    /// Where up to twelve tokens end; one more makes the count 13, which no form has.
    private struct TokenEnds {
        private var ends: InlineArray<12, Int> = .init(repeating: 0)
        private(set) var count = 0

        mutating func append(_ end: Int) {
            if count < 12 { ends[count] = end }
            count = min(count + 1, 13)
        }

        func range(_ token: Int) -> Range<Int> { (ends[token - 1] + 1)..<ends[token] }
    }

    private static func isEqual(_ subject: Span<UInt8>, _ range: Range<Int>, _ token: [UInt8]) -> Bool {
        guard range.count == token.count else { return false }
        for index in 0..<token.count where subject[range.lowerBound + index] != token[index] { return false }
        return true
    }

    private static func number(_ subject: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        if range.isEmpty || range.count > 19 { return nil }
        var value: UInt64 = 0
        for index in range {
            let digit = subject[index] &- 0x30
            if digit > 9 { return nil }
            value = value &* 10 &+ UInt64(digit)
        }
        return value
    }
}
