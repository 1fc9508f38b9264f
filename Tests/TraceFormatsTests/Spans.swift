// What tests of translations share: spans read back from messages, and a seeded source of chance.

import EventModel
import Foundation
import TraceFormats
import Testing

extension SpanTranslation {
    /// All spans, as whoever reads the log sees them.
    func spans() throws -> [TraceSpan] {
        try messages.flatMap { message in
            let batch = try SpanBatch(facts: message.payload[...])
            #expect(batch.serviceName == message.serviceName)
            #expect(batch.count == message.spanCount)
            return batch.spans
        }
    }

    /// The only span.
    func onlySpan() throws -> TraceSpan {
        let spans = try spans()
        try #require(spans.count == 1, "\(refusals.summary)")
        return spans[0]
    }
}

extension TraceSpan {
    /// The value of its own tag, as text.
    func text(_ key: String) -> String? { tags.first { $0.key == key }?.value.description }
}

/// Files that others made, beside the project; absent in some checkouts.
enum ConformanceFiles {
    static let folder = ProcessInfo.processInfo.environment["LATTICE_CONFORMANCE"] ?? "../shared/conformance"

    static func path(_ name: String) -> String { "\(folder)/traces/\(name)" }

    static var areHere: Bool { FileManager.default.fileExists(atPath: path("otlp/trace.json")) }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(folder)).sorted()
    }
}
