// Where questions about traces are asked: all parts of the live collector behind the same batch, or a state of the past.

import EventModel
import StateMachines

/// A collector to be read at one position.
enum TraceSource: Sendable {
    case live(Applier)
    case past(TraceCollector)

    /// Asks every part; the answers are true for one position.
    func read<Answer: Sendable>(
        _ body: @escaping @Sendable (borrowing TraceCollector) -> Answer
    ) async -> (asOf: AsOf, parts: [Answer]) {
        switch self {
        case .live(let applier): await applier.readTracing(body)
        case .past(let collector): (collector.moment.asOf, [body(collector)])
        }
    }
}

extension MachineHosts {
    /// Asks every part of the collector.
    func readTracing<Answer: Sendable>(
        _ body: @escaping @Sendable (borrowing TraceCollector) -> Answer
    ) async -> [Answer] {
        await withTaskGroup(of: Placed<Answer>.self) { group in
            for (index, host) in tracing.enumerated() {
                group.addTask { Placed(place: index, value: await host.read(body)) }
            }
            var answers: [Placed<Answer>] = []
            for await answer in group { answers.append(answer) }
            return answers.sorted { $0.place < $1.place }.map(\.value)
        }
    }
}
