// How far something long has come, on standard error.

import Synchronization

/// Where progress is shown.
struct ProgressOutput: Sendable {
    /// Whether a person looks; a file gets whole lines, and fewer.
    var isSeen: Bool
    var write: @Sendable (String) -> Void

    static let standardError = ProgressOutput(isSeen: Terminal.errorsAreSeen, write: Terminal.draw)
}

/// Says nothing during the first second; then draws a bar for a person, or a line every two seconds for a file.
final class ProgressBar: Sendable {
    private struct State {
        var nextDraw: ContinuousClock.Instant
        var hasDrawn = false
    }

    private let title: String
    private let output: ProgressOutput
    private let start = ContinuousClock.now
    private let state: Mutex<State>
    private static let width = 30

    init(_ title: String, after silence: Duration = .seconds(1), output: ProgressOutput = .standardError) {
        self.title = title
        self.output = output
        state = Mutex(State(nextDraw: .now.advanced(by: silence)))
    }

    /// Shows how much of the patience is used up, until it is cancelled.
    static func whileWaiting(upTo patience: Duration) -> Task<Void, Never> {
        Task {
            let bar = ProgressBar("waiting for the node, seconds")
            defer { bar.finish() }
            while !Task.isCancelled {
                bar.report(UInt64(bar.seconds), of: UInt64(max(1, patience.components.seconds)))
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// How long this has been going on, in seconds.
    var seconds: Double {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    func report(_ done: UInt64, of total: UInt64) {
        let isDue = state.withLock { state in
            guard ContinuousClock.now >= state.nextDraw else { return false }
            state.nextDraw = .now.advanced(by: output.isSeen ? .milliseconds(100) : .seconds(2))
            state.hasDrawn = true
            return true
        }
        if isDue { draw(done, total) }
    }

    private func draw(_ done: UInt64, _ total: UInt64) {
        let share = total == 0 ? 1 : min(1, Double(done) / Double(total))
        let percent = Int(share * 100)
        guard output.isSeen else { return output.write("\(title): \(percent) % (\(done) of \(total))\n") }
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
        output.write("\r\(title) \(bar) \(percent) %  \(done) of \(total) ")
    }

    /// Takes the bar away.
    func finish() {
        let hasDrawn = state.withLock { $0.hasDrawn }
        if hasDrawn && output.isSeen { output.write("\r\u{1B}[K") }
    }
}
