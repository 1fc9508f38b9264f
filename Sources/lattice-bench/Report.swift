// Runs, medians and conditions, for people and as JSON.

import Foundation

/// Collects the figures of several runs.
struct Report {
    private let name: String
    private let asJSON: Bool
    private var conditions: [(String, String)] = []
    private var figures: [(String, [Double])] = []

    init(_ name: String, _ common: CommonOptions) {
        self.name = name
        asJSON = common.json
        condition("cores", "\(ProcessInfo.processInfo.activeProcessorCount)")
        condition("processor", Self.processor)
    }

    mutating func condition(_ key: String, _ value: String) { conditions.append((key, value)) }

    /// Adds the figures of one run and shows it.
    mutating func run(_ values: [(String, Double)]) {
        for (key, value) in values {
            if let index = figures.firstIndex(where: { $0.0 == key }) {
                figures[index].1.append(value)
            } else {
                figures.append((key, [value]))
            }
        }
        if !asJSON {
            print(
                "  run \(figures.first?.1.count ?? 0): "
                    + values.map { "\($0)=\(Self.text($1))" }.joined(separator: "  "))
        }
    }

    func finish() {
        if asJSON { return printJSON() }
        print("\(name)")
        for (key, value) in conditions { print("  \(key): \(value)") }
        for (key, values) in figures {
            print(
                "  \(key): median \(Self.text(Self.median(values))), min \(Self.text(values.min() ?? 0)), max \(Self.text(values.max() ?? 0))"
            )
        }
    }

    private func printJSON() {
        var parts = [#""benchmark":"\#(name)""#]
        parts += figures.map { #""\#($0)":\#(Self.median($1))"# }
        let all = figures.map { #""\#($0)":[\#($1.map { "\($0)" }.joined(separator: ","))]"# }.joined(separator: ",")
        parts.append(#""runs":{\#(all)}"#)
        let circumstances = conditions.map { #""\#($0)":"\#(Self.escaped($1))""# }.joined(separator: ",")
        parts.append(#""conditions":{\#(circumstances)}"#)
        print("{\(parts.joined(separator: ","))}")
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    private static func text(_ value: Double) -> String {
        value >= 1_000 ? String(format: "%.0f", value) : String(format: "%.3f", value)
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
    }

    private static var processor: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line.map { String($0.split(separator: ":")[1]).trimmingCharacters(in: .whitespaces) } ?? "unknown"
    }
}

/// Latencies of many requests.
struct LatencySample {
    private var nanoseconds: [UInt64] = []

    mutating func add(_ duration: Duration) {
        let parts = duration.components
        nanoseconds.append(UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000))
    }

    mutating func add(_ other: LatencySample) { nanoseconds += other.nanoseconds }

    var count: Int { nanoseconds.count }

    /// Milliseconds at a percentile from 0 to 100.
    func milliseconds(_ percentile: Double) -> Double {
        guard !nanoseconds.isEmpty else { return 0 }
        let sorted = nanoseconds.sorted()
        let index = min(sorted.count - 1, Int(Double(sorted.count) * percentile / 100))
        return Double(sorted[index]) / 1e6
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
