// How far something long has come, on standard error.

import Synchronization

/// Says nothing during the first second; then draws a bar for a person, or a line every two seconds for a file.
final class ProgressBar: Sendable {
    private struct State {
        var nextDraw: ContinuousClock.Instant
        var hasDrawn = false
    }

    private let title: String
    private let start = ContinuousClock.now
    private let state: Mutex<State>
    private static let width = 30

    init(_ title: String) {
        self.title = title
        state = Mutex(State(nextDraw: .now.advanced(by: .seconds(1))))
    }

    /// How long this has been going on, in seconds.
    var seconds: Double {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    func report(_ done: UInt64, of total: UInt64) {
        let isDue = state.withLock { state in
            guard ContinuousClock.now >= state.nextDraw else { return false }
            state.nextDraw = .now.advanced(by: Terminal.errorsAreSeen ? .milliseconds(100) : .seconds(2))
            state.hasDrawn = true
            return true
        }
        if isDue { draw(done, total) }
    }

    private func draw(_ done: UInt64, _ total: UInt64) {
        let share = total == 0 ? 1 : min(1, Double(done) / Double(total))
        let percent = Int(share * 100)
        guard Terminal.errorsAreSeen else {
            Terminal.complain("\(title): \(percent) % (\(done) of \(total))")
            return
        }
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
        Terminal.draw("\r\(title) \(bar) \(percent) %  \(done) of \(total) ")
    }

    /// Takes the bar away.
    func finish() {
        let hasDrawn = state.withLock { $0.hasDrawn }
        if hasDrawn && Terminal.errorsAreSeen { Terminal.draw("\r\u{1B}[K") }
    }
}
