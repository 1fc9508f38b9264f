// Which log this is, and where its records come from.

package import EventModel

/// 16 random bytes given to a log when it is made, and written into each of its segments.
package struct LogID: Hashable, Sendable, CustomStringConvertible {
    static let byteCount = 16

    /// 16 bytes.
    package let bytes: [UInt8]

    /// Takes 16 bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount)
        self.bytes = bytes
    }

    /// 16 bytes of chance.
    package static func random() -> LogID {
        var generator = SystemRandomNumberGenerator()
        return LogID(bytes: (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    init?(hexadecimal text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(text), bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// 32 hexadecimal digits, lower case.
    package var description: String { Hexadecimal.text(bytes) }
}

/// Who orders the records (decision 3).
package enum LogSource: Hashable, Sendable {
    /// The node numbers what it receives.
    case core
    /// A stream orders; a stream of the same name made anew is another stream.
    case jetStream(name: String, createdAt: Timestamp)
}
