// What Prometheus wants to know of every process, as Linux tells it in /proc.

import FoundationEssentials

/// The figures that client libraries of Prometheus publish under `process_`.
enum ProcessFigures {
    /// Ticks in which the kernel tells times to programs, each second: fixed on Linux, whatever its own clock does.
    private static let ticksPerSecond = 100.0

    /// In the text format, in order of name; what cannot be read is left out.
    static var text: String {
        let fields = statFields
        var text = ""
        func add(_ name: String, _ type: String, _ value: Double?) {
            guard let value else { return }
            text += "# HELP \(name) \(MetricHelp.texts[name] ?? "")\n# TYPE \(name) \(type)\n\(name) \(value)\n"
        }
        add("process_cpu_seconds_total", "counter", cpuSeconds(fields))
        add("process_open_fds", "gauge", openFiles)
        add("process_resident_memory_bytes", "gauge", residentBytes)
        add("process_start_time_seconds", "gauge", startTime(fields))
        return text
    }

    /// The fields of /proc/self/stat from the third on: the second is a name that may hold anything.
    private static var statFields: [Substring] {
        guard let content = read("/proc/self/stat"), let end = content.lastIndex(of: ")") else { return [] }
        return content[content.index(after: end)...].split(separator: " ")
    }

    private static func cpuSeconds(_ fields: [Substring]) -> Double? {
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        return (user + system) / ticksPerSecond
    }

    private static func startTime(_ fields: [Substring]) -> Double? {
        guard fields.count > 19, let ticks = Double(fields[19]), let boot = number(after: "btime", in: "/proc/stat")
        else { return nil }
        return boot + ticks / ticksPerSecond
    }

    private static var residentBytes: Double? { number(after: "VmRSS:", in: "/proc/self/status").map { $0 * 1_024 } }

    private static var openFiles: Double? {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")).map { Double($0.count) }
    }

    private static func number(after word: String, in path: String) -> Double? {
        let line = read(path)?.split(separator: "\n").first { $0.hasPrefix(word) }
        return line?.dropFirst(word.count).split { $0 == " " || $0 == "\t" }.first.flatMap { Double($0) }
    }

    private static func read(_ path: String) -> String? {
        guard let content = FileManager.default.contents(atPath: path) else { return nil }
        return String(decoding: content, as: UTF8.self)
    }
}
