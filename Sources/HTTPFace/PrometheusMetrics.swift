// A backend of swift-metrics that can be read by Prometheus (text format 0.0.4).

package import CoreMetrics
import Synchronization

/// Keeps every metric of the process and writes them down when asked.
package final class PrometheusMetrics: MetricsFactory {
    private let metrics = Mutex<[String: Metric]>([:])

    package init() {}

    /// All metrics, by name and labels.
    package func text() -> String {
        let all = metrics.withLock { Array($0.values) }.sorted { ($0.name, $0.labels) < ($1.name, $1.labels) }
        var text = ""
        var described = ""
        for metric in all {
            if described != metric.name {
                described = metric.name
                text += "# HELP \(metric.name) \(metric.name.replacing("_", with: " "))\n"
                text += "# TYPE \(metric.name) \(metric.kind)\n"
            }
            text += metric.text()
        }
        return text
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        metric(label, dimensions, "counter")
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        metric(label, dimensions, aggregate ? "summary" : "gauge")
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        metric(label + "_seconds", dimensions, "summary")
    }

    // The figures of the process live as long as the process.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func metric(_ label: String, _ dimensions: [(String, String)], _ kind: String) -> Metric {
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
    private struct Value {
        var sum: Double = 0
        var count: UInt64 = 0
    }

    let name: String
    let kind: String
    let labels: String
    private let value = Mutex(Value())

    var id: String { name + labels }

    /// Name and labels as Prometheus writes them.
    init(name: String, labels: String, kind: String) {
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
            value.sum = kind == "gauge" ? new : value.sum + new
            value.count += 1
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func text() -> String {
        let value = value.withLock { $0 }
        if kind == "summary" { return "\(name)_sum\(labels) \(value.sum)\n\(name)_count\(labels) \(value.count)\n" }
        return "\(name)\(labels) \(value.sum)\n"
    }

    private static func plain(_ text: String) -> String {
        String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
