// The answer to a request of OTLP.

import FoundationEssentials
import SwiftProtobuf

/// Writes `ExportTraceServiceResponse`.
package enum OTLPResponse {
    /// The answer's body; with `partialSuccess` only where something was rejected.
    package static func success(_ refusals: SpanRefusals, _ isJSON: Bool) -> [UInt8] {
        var response = Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse()
        if !refusals.isEmpty {
            response.partialSuccess.rejectedSpans = Int64(refusals.total)
            response.partialSuccess.errorMessage = refusals.summary
        }
        let data: Data? = isJSON ? try? response.jsonUTF8Data() : try? response.serializedData()
        return data.map { Array($0) } ?? []
    }
}
