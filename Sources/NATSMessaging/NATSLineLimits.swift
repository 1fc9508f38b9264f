// What a server takes in one message before it closes the connection: the line with the subjects, and the whole.

internal import Messaging
internal import Synchronization

/// Refuses a message for which the server would hang up, so that it costs itself alone.
///
/// The size of a whole message stands in the server's greeting. How long the line may be that carries subject, reply subject
/// and sizes does not (`max_control_line`, 4096 unless an operator set it): a server with less is found out when it hangs up
/// for it.
final class NATSLineLimits: Sendable {
    /// nats-server's own default.
    static let lineBytes = 4_096
    /// No server that takes a client's greeting has less.
    static let lineBytesMin = 256
    /// Blanks, and two sizes of up to ten digits.
    private static let lineOverhead = 24
    /// `NATS/1.0`, the empty line, and the four characters around each header.
    private static let headerBlockOverhead = 12
    private static let headerOverhead = 4

    private let maximum = Atomic(lineBytes)
    private let longest = Atomic(0)

    /// A new connection.
    func begin() { longest.store(0, ordering: .relaxed) }

    /// Throws what is wrong with a message that the server would not take.
    func admit(_ message: Message, replyTo: String, maximumPayload: Int?) throws(BusError) {
        let line = message.subject.utf8.count + replyTo.utf8.count + Self.lineOverhead
        guard line <= maximum.load(ordering: .relaxed) else {
            let text =
                "publish \(message.subject.prefix(64))…: its subjects have \(line) bytes, more than a server takes"
            throw BusError(.invalidArgument, text)
        }
        if line > longest.load(ordering: .relaxed) { longest.max(line, ordering: .relaxed) }
        guard let maximumPayload else { return }
        var size = message.payload.count
        if !message.headers.isEmpty {
            size += Self.headerBlockOverhead
            for header in message.headers {
                size += header.name.utf8.count + header.value.utf8.count + Self.headerOverhead
            }
        }
        guard size <= maximumPayload else {
            let text = "publish \(message.subject): \(size) bytes, and the server takes \(maximumPayload)"
            throw BusError(.messageTooLarge, text)
        }
    }

    /// Lowers the limit where the server hung up for a line that kept to it; the new one, if so.
    func learn(from reason: String) -> Int? {
        guard reason.lowercased().contains("control line") else { return nil }
        let known = maximum.load(ordering: .relaxed)
        let lowered = max(Self.lineBytesMin, min(known, longest.load(ordering: .relaxed)) / 2)
        guard lowered < known else { return nil }
        maximum.store(lowered, ordering: .relaxed)
        return lowered
    }
}
