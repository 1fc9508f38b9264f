// A backend of swift-metrics that can be read by Prometheus (text format 0.0.4).

package import CoreMetrics
import Synchronization

/// Keeps every metric of the process and writes them down when asked.
package final class PrometheusMetrics: MetricsFactory {
    private let metrics = Mutex<[String: Metric]>([:])

    /// Upper bounds of timers' buckets, in seconds.
    private static let seconds = [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    /// Upper bounds of the buckets of other recorders.
    private static let counts = [1.0, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    package init() {}

    /// All metrics, by name and labels.
    package func text() -> String {
        let all = metrics.withLock { Array($0.values) }.sorted { ($0.name, $0.labels) < ($1.name, $1.labels) }
        var text = ""
        var described = ""
        for metric in all {
            if described != metric.name {
                described = metric.name
                // A text that repeats the name would tell nobody anything.
                if let help = MetricHelp.texts[metric.name] { text += "# HELP \(metric.name) \(help)\n" }
                text += "# TYPE \(metric.name) \(metric.kind.name)\n"
            }
            text += metric.text()
        }
        return text
    }

    /// The same, and what the operating system knows of this process.
    package func textWithProcess() -> String { text() + ProcessFigures.text }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        metric(label, dimensions, .counter)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        metric(label, dimensions, aggregate ? .histogram(Self.counts) : .gauge)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        metric(label + "_seconds", dimensions, .histogram(Self.seconds))
    }

    // The figures of the process live as long as the process.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func metric(_ label: String, _ dimensions: [(String, String)], _ kind: Metric.Kind) -> Metric {
        let made = Metric(name: Metric.name(label), labels: Metric.labels(dimensions), kind: kind)
        return metrics.withLock { metrics in
            if let known = metrics[made.id] { return known }
            metrics[made.id] = made
            return made
        }
    }
}

/// One metric with its labels.
private final class Metric: CounterHandler, RecorderHandler, TimerHandler {
    /// How values add up.
    enum Kind {
        case counter, gauge
        /// The upper bounds of the buckets, ascending; one without a bound follows.
        case histogram([Double])

        var name: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct Value {
        var sum: Double = 0
        var count: UInt64 = 0
        /// Of each bucket alone; empty until something was recorded.
        var buckets: [UInt64] = []
    }

    let name: String
    let kind: Kind
    let labels: String
    private let value = Mutex(Value())

    var id: String { name + labels }

    /// Name and labels as Prometheus writes them.
    init(name: String, labels: String, kind: Kind) {
        self.name = name
        self.labels = labels
        self.kind = kind
    }

    static func name(_ label: String) -> String { plain(label) }

    static func labels(_ dimensions: [(String, String)]) -> String {
        if dimensions.isEmpty { return "" }
        let pairs = dimensions.sorted { $0.0 < $1.0 }.map { plain($0.0) + "=\"" + escaped($0.1) + "\"" }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    func increment(by amount: Int64) { value.withLock { $0.sum += Double(amount) } }
    func reset() { value.withLock { $0 = Value() } }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ new: Double) {
        value.withLock { value in
            value.count += 1
            guard case .histogram(let bounds) = kind else { return value.sum = new }
            value.sum += new
            if value.buckets.isEmpty { value.buckets = [UInt64](repeating: 0, count: bounds.count) }
            if let bucket = bounds.firstIndex(where: { new <= $0 }) { value.buckets[bucket] += 1 }
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func text() -> String {
        let value = value.withLock { $0 }
        guard case .histogram(let bounds) = kind else { return "\(name)\(labels) \(Self.number(value.sum))\n" }
        var text = ""
        var count: UInt64 = 0
        for (bound, number) in zip(bounds, value.buckets.isEmpty ? bounds.map { _ in 0 } : value.buckets) {
            count += number
            text += "\(name)_bucket\(labels(upTo: Self.number(bound))) \(count)\n"
        }
        text += "\(name)_bucket\(labels(upTo: "+Inf")) \(value.count)\n"
        return text + "\(name)_sum\(labels) \(Self.number(value.sum))\n\(name)_count\(labels) \(value.count)\n"
    }

    private func labels(upTo bound: String) -> String {
        labels.isEmpty ? "{le=\"\(bound)\"}" : labels.dropLast() + ",le=\"\(bound)\"}"
    }

    private static func number(_ value: Double) -> String {
        value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
    }

    private static func plain(_ text: String) -> String {
        String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
