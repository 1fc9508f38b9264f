// The conformance cases that lie beside the project: read in place, skipped with a reason where they are absent.

import EventModel
import Foundation
import Testing

/// Finds and reads conformance cases.
enum Conformance {
    /// `LATTICE_CONFORMANCE`, or `../shared/conformance` beside the project.
    static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["LATTICE_CONFORMANCE"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/conformance")
    }()

    static let isPresent = FileManager.default.fileExists(atPath: folder.appendingPathComponent("README.md").path)

    /// What a skipped test says.
    static let absence: Comment = "no conformance cases here; LATTICE_CONFORMANCE names their folder"

    static func read<Case: Decodable>(_ path: String, as type: Case.Type = Case.self) throws -> Case {
        try JSONDecoder().decode(Case.self, from: Data(contentsOf: folder.appendingPathComponent(path)))
    }

    static func lines<Case: Decodable>(_ path: String, as type: Case.Type = Case.self) throws -> [Case] {
        let text = try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
        return try text.split(separator: "\n").map { try JSONDecoder().decode(Case.self, from: Data($0.utf8)) }
    }

    static func names(in path: String, startingWith prefix: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(path).path)
            .filter { $0.hasPrefix(prefix) && $0.hasSuffix(".json") }.sorted()
    }
}

/// Span ids of cases, which are any text, as numbers in the order of the texts.
struct CaseNames {
    private let sorted: [String]

    init(_ names: some Sequence<String>) { sorted = Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }

    func id(_ name: String) -> SpanID { SpanID(UInt64((sorted.firstIndex(of: name) ?? -2) + 1)) }
    func name(_ id: SpanID) -> String { sorted[Int(id.rawValue) - 1] }
}

/// One span of a critical path case.
struct PathCaseSpan: Decodable {
    var spanId: String
    var parentSpanId: String?
    var name: String
    var service: String
    var kind: String
    var start_us: Int64
    var end_us: Int64
}

/// One stretch of an expected path.
struct PathCaseSection: Decodable, Hashable, CustomStringConvertible {
    var spanId: String
    var start_us: Int64
    var end_us: Int64

    var description: String { "\(spanId) \(start_us)-\(end_us)" }
}

/// A trace of Jaeger's JSON, as far as the tests look at it.
struct JaegerTrace: Decodable {
    struct Reference: Decodable {
        var refType: String
        var spanID: String
    }
    struct Tag: Decodable {
        var key: String
        var value: Value
    }
    enum Value: Decodable {
        case text(String)
        case other

        init(from decoder: any Decoder) throws {
            self = (try? decoder.singleValueContainer().decode(String.self)).map(Value.text) ?? .other
        }
    }
    struct Span: Decodable {
        var spanID: String
        var operationName: String
        var references: [Reference]?
        var startTime: Int64
        var duration: Int64
        var tags: [Tag]
        var processID: String
    }
    struct Process: Decodable {
        var serviceName: String
    }
    var traceID: String
    var spans: [Span]
    var processes: [String: Process]

    /// The spans as LatticeForge has them.
    func traceSpans() throws -> (trace: TraceID, spans: [TraceSpan]) {
        let trace = try #require(TraceID(hexadecimal: String(repeating: "0", count: 32 - traceID.count) + traceID))
        let converted = try spans.map { span in
            let kind = span.tags.first { $0.key == "span.kind" }.flatMap { tag -> SpanKind? in
                if case .text(let name) = tag.value { SpanKind(name: name) } else { nil }
            }
            return TraceSpan(
                spanID: try Self.id(span.spanID), traceID: trace,
                parentSpanID: try span.references?.first.map { try Self.id($0.spanID) },
                serviceName: processes[span.processID]?.serviceName ?? "", operationName: span.operationName,
                kind: kind ?? .internal, startTime: Timestamp(nanoseconds: span.startTime * 1_000),
                endTime: Timestamp(nanoseconds: (span.startTime + span.duration) * 1_000))
        }
        return (trace, converted)
    }

    static func id(_ text: String) throws -> SpanID {
        try #require(SpanID(hexadecimal: String(repeating: "0", count: 16 - text.count) + text))
    }
}
