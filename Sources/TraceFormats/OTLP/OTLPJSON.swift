// OTLP in JSON: protobuf's mapping, but ids in hexadecimal (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding).

import EventModel
import FoundationEssentials
import SwiftProtobuf

/// Turns JSON into protobuf, so that there is one translation.
package enum OTLPJSON {
    /// The request in protobuf.
    ///
    /// - Throws: what the JSON reader found wrong, without the content.
    package static func protobuf(_ json: [UInt8]) throws(MalformedInput) -> [UInt8] {
        try ForeignJSON.checkDepth(json)
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        options.messageDepthLimit = 4 * Limits.jsonDepth
        do {
            var request = try Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceRequest(
                jsonUTF8Data: Data(json), options: options)
            for resource in request.resourceSpans.indices {
                for scope in request.resourceSpans[resource].scopeSpans.indices {
                    try fixIDs(&request.resourceSpans[resource].scopeSpans[scope].spans)
                }
            }
            let bytes: Data = try request.serializedData()
            return Array(bytes)
        } catch let error as MalformedInput {
            throw error
        } catch {
            throw MalformedInput("not OTLP in JSON")
        }
    }

    private static func fixIDs(_ spans: inout [Opentelemetry_Proto_Trace_V1_Span]) throws(MalformedInput) {
        for index in spans.indices {
            spans[index].traceID = try fixed(spans[index].traceID, 16, "traceId")
            spans[index].spanID = try fixed(spans[index].spanID, 8, "spanId")
            spans[index].parentSpanID = try fixed(spans[index].parentSpanID, 8, "parentSpanId")
            for link in spans[index].links.indices {
                let sent = spans[index].links[link]
                spans[index].links[link].traceID = try fixed(sent.traceID, 16, "links.traceId")
                spans[index].links[link].spanID = try fixed(sent.spanID, 8, "links.spanId")
            }
        }
    }

    /// The reader took the digits for base64, of which all of them are letters: written back, they are digits again.
    /// Who sent base64 after all, as plain protobuf JSON would, is understood too.
    private static func fixed(_ id: Data, _ count: Int, _ name: String) throws(MalformedInput) -> Data {
        if id.isEmpty || id.count == count { return id }
        let digits = id.base64EncodedString()
        var bytes = Data()
        for pair in stride(from: 0, to: digits.utf8.count - 1, by: 2) {
            let text = digits.dropFirst(pair).prefix(2)
            guard text.allSatisfy(\.isHexDigit), let byte = UInt8(text, radix: 16) else {
                throw MalformedInput("\(name) is not hexadecimal")
            }
            bytes.append(byte)
        }
        guard bytes.count == count else { throw MalformedInput("\(name) has not \(2 * count) digits") }
        return bytes
    }
}
