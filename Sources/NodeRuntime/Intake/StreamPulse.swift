// Whether a node's stream takes and gives what it is for.

import EventModel
import Logging
import Messaging
import Synchronization

/// Asks the stream what became of the node's own events, and how it is when nothing comes of it any more, so that a node is not
/// ready where nobody's events are taken. It changes nothing else.
final class StreamPulse: Sendable {
    private struct State {
        var lastSequence = SequenceNumber.origin
        var heardAt = ContinuousClock.now
        var isAsking = false
        var trouble: String?
        /// Publications so far, and the latest one whose answer counted: answers may overtake each other.
        var publications: UInt64 = 0
        var answered: UInt64 = 0
    }

    private let stream: any StreamSource
    private let bus: any MessageBus
    private let logger: Logger
    /// Silence for so long, while somebody should tick, is looked into.
    private let silenceMax: Duration
    private let state = Mutex(State())
    private static let answerTimeout = Duration.seconds(2)

    /// Nil on core NATS.
    init?(_ environment: NodeEnvironment, tickInterval: Nanoseconds) {
        guard let stream = environment.stream else { return nil }
        self.stream = stream
        bus = environment.answerBus
        logger = environment.logger
        silenceMax = max(Self.answerTimeout, .nanoseconds(tickInterval.rawValue) * 2)
    }

    /// What is wrong, in a word for programs; nil: nothing that is known.
    var trouble: String? { state.withLock { $0.trouble } }

    /// Publishes an event of the node's own, without waiting for what the stream says of it.
    func publish(_ message: Message) {
        let number = state.withLock { state in
            state.publications += 1
            return state.publications
        }
        Task {
            do throws(BusError) {
                let answer = try await bus.request(message, timeout: Self.answerTimeout)
                // Who would begin a stream that somebody has begun is refused, and that is no trouble.
                let isConditional = message.header("Nats-Expected-Last-Sequence") != nil
                guard !isConditional, isNews(number) else { return }
                if let refusal = stream.refusal(in: answer) { return note("stream_refuses", refusal) }
                note(nil)
            } catch {
                if isNews(number) { note(error) }
            }
        }
    }

    /// Whether no later publication was answered before this one.
    private func isNews(_ number: UInt64) -> Bool {
        state.withLock { state in
            guard number > state.answered else { return false }
            state.answered = number
            return true
        }
    }

    /// Once per tick: `sequence` is the last record that came of the stream.
    func look(_ sequence: SequenceNumber) {
        let isSilent = state.withLock { state in
            if sequence != state.lastSequence {
                (state.lastSequence, state.heardAt) = (sequence, .now)
                return false
            }
            guard !state.isAsking, state.heardAt.duration(to: .now) >= silenceMax else { return false }
            state.isAsking = true
            return true
        }
        guard isSilent else { return }
        Task {
            do throws(BusError) { _ = try await stream.status() } catch { note(error) }
            state.withLock { $0.isAsking = false }
        }
    }

    private func note(_ error: BusError) {
        switch error.code {
        case .timeout, .streamUnavailable: note(BusError.Code.streamUnavailable.rawValue, error)
        case .noResponders, .streamNotFound: note(BusError.Code.streamNotFound.rawValue, error)
        // That NATS is away is known otherwise.
        default: break
        }
    }

    private func note(_ word: String?, _ error: BusError? = nil) {
        let isNew = state.withLock { state in
            defer { state.trouble = word }
            return state.trouble != word
        }
        guard isNew else { return }
        if let word {
            logger.error(
                "no events are taken: the stream is in trouble",
                metadata: ["reason": "\(word)", "error": "\(error.map(\.description) ?? "")"])
        } else {
            logger.notice("the stream takes events again")
        }
    }
}
