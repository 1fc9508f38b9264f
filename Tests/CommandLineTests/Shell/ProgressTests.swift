// What is shown of something long, to a person and to a file.

import Synchronization
import Testing

@testable import lattice

/// Keeps what was written.
private final class Paper: Sendable {
    private let lines = Mutex<[String]>([])

    var text: String { lines.withLock { $0.joined() } }

    func output(isSeen: Bool) -> ProgressOutput {
        ProgressOutput(isSeen: isSeen) { text in self.lines.withLock { $0.append(text) } }
    }
}

@Suite struct `A progress bar` {
    @Test func `is drawn for a person and taken away at the end`() {
        let paper = Paper()
        let bar = ProgressBar("replay", after: .zero, output: paper.output(isSeen: true))
        bar.report(1, of: 4)
        #expect(paper.text.hasPrefix("\rreplay ███████░"))
        #expect(paper.text.contains("25 %  1 of 4") && !paper.text.contains("\n"))
        bar.finish()
        #expect(paper.text.hasSuffix("\r\u{1B}[K"))
    }

    @Test func `is a line for a file`() {
        let paper = Paper()
        let bar = ProgressBar("replay", after: .zero, output: paper.output(isSeen: false))
        bar.report(1, of: 4)
        bar.report(2, of: 4)
        bar.finish()
        #expect(paper.text == "replay: 25 % (1 of 4)\n")
    }

    @Test func `is not there for what is short`() {
        let paper = Paper()
        let bar = ProgressBar("replay", after: .seconds(3_600), output: paper.output(isSeen: true))
        bar.report(1, of: 4)
        bar.finish()
        #expect(paper.text.isEmpty)
    }

    @Test func `takes nothing for all and too much for all`() {
        let paper = Paper()
        ProgressBar("a", after: .zero, output: paper.output(isSeen: false)).report(0, of: 0)
        ProgressBar("b", after: .zero, output: paper.output(isSeen: false)).report(9, of: 3)
        #expect(paper.text == "a: 100 % (0 of 0)\nb: 100 % (9 of 3)\n")
    }
}
