// Any benchmark in turns with another build of it: the only comparison that a machine shared with others permits.

import Foundation

/// `lattice-bench NAME … --against-program PATH [--turns N]`: runs the benchmark of this program and of another one
/// alternately, and prints the ratio of each figure with its 95 % interval.
struct PairedRuns {
    /// The figures of one run by key.
    typealias Figures = [String: Double]

    private let arguments: [String]
    private let other: String
    private let pairs: Int
    private let asJSON: Bool

    /// Nil: no other program is named. Throws what is wrong with the options.
    init?(_ arguments: [String]) throws {
        var rest: [String] = []
        var values: [String: String] = [:]
        var isJSON = false
        var index = 0
        while index < arguments.count {
            let parts = arguments[index].split(separator: "=", maxSplits: 1).map(String.init)
            if ["--against-program", "--turns", "--runs"].contains(parts.first ?? "") {
                let isWhole = parts.count == 2
                if !isWhole { index += 1 }
                values[parts[0]] = isWhole ? parts[1] : index < arguments.count ? arguments[index] : ""
            } else if arguments[index] == "--json" {
                isJSON = true
            } else {
                rest.append(arguments[index])
            }
            index += 1
        }
        guard let path = values["--against-program"] else { return nil }
        let count = Int(values["--turns"] ?? "11") ?? 0
        guard (3...200).contains(count) else { throw BenchError("--turns takes 3 to 200") }
        self.arguments = rest
        other = try Self.program(path)
        pairs = count
        asJSON = isJSON
    }

    /// The benchmark at a path: the program itself, its directory, or the `lattice` beside it.
    private static func program(_ path: String) throws -> String {
        var url = URL(fileURLWithPath: path).standardizedFileURL
        if (try? url.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true {
            url.appendPathComponent("lattice-bench")
        } else if url.lastPathComponent == "lattice" {
            url = url.deletingLastPathComponent().appendingPathComponent("lattice-bench")
        }
        guard FileManager.default.isExecutableFile(atPath: url.path) else {
            throw BenchError("--against-program: there is no lattice-bench at \(url.path); make baseline builds one")
        }
        return url.path
    }

    /// Runs the pairs and prints the comparison.
    func run() throws {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        var (mine, theirs): ([Figures], [Figures]) = ([], [])
        for pair in 0..<pairs {
            // The first one finds a colder machine: each takes its turn.
            let order = pair % 2 == 0 ? [own, other] : [other, own]
            for program in order {
                let figures = try measure(program)
                if program == own { mine.append(figures) } else { theirs.append(figures) }
            }
            if !asJSON { print("  pair \(pair + 1) of \(pairs): \(line(mine[pair], theirs[pair]))") }
        }
        // A figure that one of the two does not have has no ratio.
        let comparisons = keys(mine + theirs).map { key in
            RatioEstimate(
                key,
                zip(mine, theirs).compactMap { mine, theirs in
                    mine[key].flatMap { mine in theirs[key].map { (mine, $0) } }
                })
        }.filter { $0.ratio.isFinite }
        if asJSON { return print(json(comparisons)) }
        print("\(arguments.joined(separator: " ")), this program against \(other), \(pairs) pairs in turns")
        print("  ratio above 1: this program is better, whether the figure is a rate or a time")
        for comparison in comparisons { print("  \(comparison.text)") }
    }

    private func keys(_ figures: [Figures]) -> [String] { Set(figures.flatMap(\.keys)).sorted() }

    private func line(_ mine: Figures, _ theirs: Figures) -> String {
        keys([mine, theirs]).map { key in
            "\(key)=\(RatioEstimate.short(mine[key] ?? .nan))/\(RatioEstimate.short(theirs[key] ?? .nan))"
        }.joined(separator: "  ")
    }

    private func json(_ comparisons: [RatioEstimate]) -> String {
        let members = comparisons.map { #""\#($0.key)":\#($0.json)"# }.joined(separator: ",")
        return #"{"arguments":"\#(arguments.joined(separator: " "))","pairs":\#(pairs),"ratios":{\#(members)}}"#
    }

    private func measure(_ program: String) throws -> Figures {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments + ["--runs", "1", "--json"]
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { throw BenchError("\(program) ended with \(process.terminationStatus)") }
        return object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
    }
}

/// The ratio of two programs in one figure, from pairs: the geometric mean with Student's 95 % interval of the
/// logarithms.
struct RatioEstimate {
    let key: String
    let ratio: Double
    let low: Double
    let high: Double
    private let medians: (mine: Double, theirs: Double)

    /// - Parameter pairs: this program's figure and the other's; those that are not positive tell nothing of a ratio.
    init(_ key: String, _ pairs: [(mine: Double, theirs: Double)]) {
        self.key = key
        medians = (Report.median(pairs.map(\.mine)), Report.median(pairs.map(\.theirs)))
        let isTime = Self.isBetterWhenSmall(key)
        let logarithms = pairs.filter { $0.mine > 0 && $0.theirs > 0 }.map { pair in
            log(isTime ? pair.theirs / pair.mine : pair.mine / pair.theirs)
        }
        let count = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / max(1, count)
        let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(1, count - 1)
        let reach = count < 2 ? .infinity : Self.student(Int(count) - 1) * (variance / count).squareRoot()
        ratio = logarithms.isEmpty ? .nan : exp(mean)
        low = logarithms.isEmpty ? .nan : exp(mean - reach)
        high = logarithms.isEmpty ? .nan : exp(mean + reach)
    }

    /// Times, memory and costs; all else is a rate or a share.
    static func isBetterWhenSmall(_ key: String) -> Bool {
        ["_ms", "_us", "_ns", "_mb", "seconds", "nanoseconds", "bytes_per_span", "failed", "lost"].contains {
            key.hasSuffix($0)
        } && !key.hasSuffix("per_second")
    }

    /// The two-sided 95 % quantile of Student's t.
    private static func student(_ freedom: Int) -> Double {
        let table = [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
            2.120,
            2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
        ]
        return freedom <= table.count ? table[max(0, freedom - 1)] : 1.96 + 2.4 / Double(freedom)
    }

    var text: String {
        let numbers = String(format: "%.3f  95 %% from %.3f to %.3f", ratio, low, high)
        let verdict = low > 0.95 ? "above 0.95" : high < 0.95 ? "BELOW 0.95" : "not shown to be above 0.95"
        return "\(key): \(numbers)  \(verdict)  (medians \(Self.short(medians.mine)) and \(Self.short(medians.theirs)))"
    }

    var json: String {
        let numbers = [
            ("ratio", ratio), ("low", low), ("high", high), ("median", medians.mine), ("other_median", medians.theirs),
        ]
        return "{" + numbers.map { #""\#($0)":\#($1.isFinite ? "\($1)" : "null")"# }.joined(separator: ",") + "}"
    }

    static func short(_ value: Double) -> String {
        value >= 1_000 ? String(format: "%.0f", value) : String(format: "%.3f", value)
    }
}
