// Collected traces as whole documents, in the forms that other tools read.

package import EventModel
import FoundationEssentials

/// Writes documents.
package enum TraceDocuments {
    /// OTLP's JSON: `{"resourceSpans":[…]}`.
    package static func otlp(_ traces: [Lattice_V1_TraceAnswer]) throws -> String {
        try text(OTLPTracesJSON(traces))
    }

    /// Jaeger's JSON, as its interface downloads it: `{"data":[…]}`.
    package static func jaeger(_ traces: [Lattice_V1_TraceAnswer]) throws -> String {
        try text(JaegerEnvelope(data: traces.map { JaegerTraceJSON($0) }))
    }

    private static func text(_ document: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self)
    }
}
