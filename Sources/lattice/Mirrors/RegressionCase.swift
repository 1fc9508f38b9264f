// A regression case: requests, expected answers, rules and the registry as it was, in one file that needs no node.

import EventModel
import Foundation

/// The file of `lattice mirror export`, and what `lattice mirror check` runs.
struct RegressionCase: Codable {
    struct Header: Codable {
        var name: String
        var value: String
    }

    struct Message: Codable {
        var headers: [Header]
        /// UTF-8 where the bytes are that.
        var text: String?
        /// Base64 where they are not.
        var base64: String?
        /// Of the whole body, which may be longer than what was kept.
        var length: UInt64
    }

    struct Exchange: Codable {
        var request_id: String
        var sequence: UInt64
        var time_ns: String
        var intent: String
        var method: String
        var target: String
        var request: Message
        var status: UInt32
        var response: Message
    }

    /// An instance of the service as the registry had it.
    struct Instance: Codable {
        var instance_id: String
        var endpoint: String
        var region: String
        var zone: String
        var weight: UInt32
        var health: String
    }

    static let formatName = "lattice-regression-case"

    var format = Self.formatName
    var version = 1
    var source_service: String
    var first_sequence: UInt64
    var last_sequence: UInt64
    var ignore_fields: [String]
    var unordered_arrays: [String]
    var compared_headers: [String]
    /// The registry after the first record of the range.
    var registry_sequence: UInt64
    var registry: [Instance]
    var exchanges_: [Exchange]

    enum CodingKeys: String, CodingKey {
        case format, version, source_service, first_sequence, last_sequence, ignore_fields, unordered_arrays
        case compared_headers, registry_sequence, registry
        case exchanges_ = "exchanges"
    }

    var ignoreFields: [String] { ignore_fields }
    var unorderedArrays: [String] { unordered_arrays }
    var comparedHeaders: [String] { compared_headers }

    /// Reads a file, or says what is wrong with it.
    static func read(_ path: String) throws(CommandFailure) -> RegressionCase {
        guard let content = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.usage, "\(path) can not be read")
        }
        let decoded: RegressionCase
        do {
            decoded = try JSONDecoder().decode(RegressionCase.self, from: content)
        } catch {
            throw CommandFailure(.usage, "\(path) is no regression case: \(Self.place(of: error))")
        }
        guard decoded.format == formatName, decoded.version == 1 else {
            throw CommandFailure(.usage, "\(path) is not in version 1 of \(formatName)")
        }
        return decoded
    }

    private static func place(of error: any Error) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        }
        return switch error as? DecodingError {
        case .keyNotFound(let key, let context): "\(path(context)) lacks \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "\(path(context)): \(context.debugDescription)"
        default: "\(error)"
        }
    }

    /// What is sent, and what is expected.
    func exchanges() -> [RecordedExchange] {
        exchanges_.map { exchange in
            let (asked, answered) = (exchange.request.body, exchange.response.body)
            let fact = RequestCapture(
                requestID: exchange.request_id, intent: exchange.intent, method: exchange.method,
                payloadLength: exchange.request.length, payloadKept: UInt64(asked.count), status: exchange.status,
                responseLength: exchange.response.length, responseKept: UInt64(answered.count))
            let content = CapturedContent(
                target: exchange.target, requestHeaders: exchange.request.fields, requestBody: asked,
                responseHeaders: exchange.response.fields, responseBody: answered)
            return RecordedExchange(
                sequence: exchange.sequence, recordedAt: Int64(exchange.time_ns) ?? 0, fact: fact, content: content)
        }
    }
}

extension RegressionCase.Message {
    init(_ headers: [HeaderField], _ body: [UInt8], length: UInt64) {
        self.headers = headers.map { .init(name: $0.name, value: $0.value) }
        self.length = length
        if let text = String(validating: body, as: UTF8.self) {
            self.text = text
        } else {
            base64 = Data(body).base64EncodedString()
        }
    }

    var fields: [HeaderField] { headers.map { HeaderField(name: $0.name, value: $0.value) } }

    var body: [UInt8] {
        if let text { return Array(text.utf8) }
        return base64.flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? []
    }
}

extension RegressionCase.Exchange {
    init(_ exchange: RecordedExchange) {
        let (fact, content) = (exchange.fact, exchange.content)
        self.init(
            request_id: fact.requestID, sequence: exchange.sequence, time_ns: String(exchange.time),
            intent: fact.intent, method: fact.method, target: content.target,
            request: .init(content.requestHeaders, content.requestBody, length: fact.payloadLength),
            status: fact.status,
            response: .init(content.responseHeaders, content.responseBody, length: fact.responseLength))
    }
}
