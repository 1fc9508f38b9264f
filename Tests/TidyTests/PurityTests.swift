// The core computes from the log alone: nothing in it asks the clock, the dice, the machine or another task.

import Testing

@Suite struct `Purity of the core` {
    private static let core: Set<String> = ["StateMachines", "MeshRules", "EventModel"]
    private static let ambient = [
        "Date(", "Date.now", "ContinuousClock", "SuspendingClock", "clock_gettime", "gettimeofday", ".random(",
        "random(",
        "arc4random", ".randomElement", ".shuffled", ".shuffle(", "SystemRandomNumberGenerator", "Hasher(",
        ".hashValue",
        "print(", "debugPrint(", "ProcessInfo", "getenv(", "UUID(", "FileManager",
    ]
    private static let concurrency = ["async", "await", "Task", "DispatchQueue", "Mutex", "Atomic"]

    @Test func `the core makes no ambient calls`() {
        let findings = SourceTree.sources.filter { Self.core.contains($0.target) }.flatMap { file in
            file.findings(of: Self.ambient) { "`\($0)` asks the machine; take it from the record or from the asker" }
        }
        expectNone(findings, "Ambient calls in the core:")
    }

    @Test func `the state machines neither wait nor share`() {
        let findings = SourceTree.sources.filter { ["StateMachines", "MeshRules"].contains($0.target) }.flatMap {
            file in
            file.findings(of: Self.concurrency) { "`\($0)` in a state machine: apply is synchronous and alone" }
        }
        expectNone(findings, "Concurrency in the state machines:")
    }

    /// Swift seeds the order of dictionaries and sets per process. What is typed so cannot be seen here; the words can.
    @Test func `the state machines walk no dictionary without sorting it`() {
        let orderless = ["(", ".sorted", ".min", ".max", ".count", ".isEmpty", ".allSatisfy", ".contains"]
        let findings = SourceTree.sources.filter { ["StateMachines", "MeshRules"].contains($0.target) }.flatMap {
            file in
            file.codeLines.enumerated().compactMap { offset, line -> Finding? in
                for word in [".values", ".keys"] where Words.contains(line, word) {
                    guard let range = line.firstRange(of: word) else { continue }
                    let rest = line[range.upperBound...]
                    if orderless.contains(where: rest.hasPrefix) { continue }
                    return Finding(
                        path: file.path, line: offset + 1,
                        message: "`\(word)` has another order in every process: sort it in the same expression")
                }
                return nil
            }
        }
        expectNone(findings, "Unordered iteration in the state machines:")
    }
}
