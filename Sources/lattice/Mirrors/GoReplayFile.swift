// Captures as GoReplay keeps them: `.gor` files (github.com/buger/goreplay, wiki "Saving and Replaying from file").

import EventModel
import Foundation

/// Writes and reads `.gor` files: a line `kind id time`, the raw HTTP message, a line with three monkeys.
enum GoReplayFile {
    private static let separator = Array("\n🐵🙈🙉\n".utf8)
    /// The kinds of payloads: a request, production's answer, the answer to a replay.
    private static let (request, response) = ("1", "2")

    /// A request with the answer to it, if there is one.
    struct Entry {
        var id: String
        var time: Int64
        var method: String
        var target: String
        var headers: [HeaderField]
        var body: [UInt8]
        var status: UInt32 = 0
        var latency: Int64 = 0
        var responseHeaders: [HeaderField] = []
        var responseBody: [UInt8] = []
    }

    // MARK: Writing

    static func encode(_ exchanges: [RecordedExchange]) -> [UInt8] {
        var bytes: [UInt8] = []
        for exchange in exchanges {
            let id = identifier(exchange)
            let (fact, content) = (exchange.fact, exchange.content)
            bytes += "\(request) \(id) \(exchange.time)\n".utf8
            bytes += message(
                "\(fact.method) \(content.target) HTTP/1.1", content.requestHeaders, content.requestBody,
                needsHost: true)
            bytes += separator
            let answered = Timestamp(nanoseconds: exchange.time) + fact.latency
            bytes += "\(response) \(id) \(answered.rawValue) \(fact.latency.rawValue)\n".utf8
            bytes += message("HTTP/1.1 \(fact.status) ", content.responseHeaders, content.responseBody)
            bytes += separator
        }
        return bytes
    }

    /// 24 hexadecimal digits, as GoReplay has them.
    private static func identifier(_ exchange: RecordedExchange) -> String {
        let digest = Digest.of(Array("\(exchange.sequence) \(exchange.fact.requestID)".utf8))
        return String(digest.description.prefix(24))
    }

    private static func message(
        _ start: String, _ headers: [HeaderField], _ body: [UInt8], needsHost: Bool = false
    ) -> [UInt8] {
        var text = start + "\r\n"
        let framing: Set<String> = ["content-length", "transfer-encoding"]
        for field in headers where !framing.contains(field.name.lowercased()) {
            text += "\(field.name): \(field.value)\r\n"
        }
        if needsHost, !headers.contains(where: { $0.name.lowercased() == "host" }) { text += "Host: captured\r\n" }
        text += "Content-Length: \(body.count)\r\n\r\n"
        return Array(text.utf8) + body
    }

    // MARK: Reading

    /// The entries of a file, in order; answers are put to their requests.
    ///
    /// - Throws: which payload of the file is not understood.
    static func decode(_ bytes: [UInt8]) throws(CommandFailure) -> [Entry] {
        var entries: [Entry] = []
        var places: [String: Int] = [:]
        for (number, payload) in split(bytes).enumerated() {
            guard let lineEnd = payload.firstIndex(of: 0x0A) else { throw broken(number, "no first line") }
            let meta = String(decoding: payload[payload.startIndex..<lineEnd], as: UTF8.self).split(separator: " ")
            guard meta.count >= 3, let time = Int64(meta[2]) else { throw broken(number, "no `kind id time`") }
            guard let parsed = RawHTTPMessage(payload[(lineEnd + 1)...]) else {
                throw broken(number, "no HTTP message")
            }
            let id = String(meta[1])
            switch String(meta[0]) {
            case request:
                let words = parsed.startLine.split(separator: " ", omittingEmptySubsequences: false)
                guard words.count == 3 else { throw broken(number, "no request line") }
                places[id] = entries.count
                entries.append(
                    Entry(
                        id: id, time: time, method: String(words[0]), target: String(words[1]),
                        headers: parsed.headers, body: parsed.body))
            case response:
                guard let place = places[id] else { continue }
                let words = parsed.startLine.split(separator: " ")
                guard words.count >= 2, let status = UInt32(words[1]) else { throw broken(number, "no status line") }
                entries[place].status = status
                entries[place].latency =
                    meta.count > 3 ? Int64(meta[3]) ?? 0 : latency(from: entries[place].time, to: time)
                entries[place].responseHeaders = parsed.headers
                entries[place].responseBody = parsed.body
            default: continue
            }
        }
        return entries
    }

    /// The file may say any times.
    private static func latency(from asked: Int64, to answered: Int64) -> Int64 {
        max(0, (Timestamp(nanoseconds: answered) - Timestamp(nanoseconds: asked)).rawValue)
    }

    private static func broken(_ number: Int, _ what: String) -> CommandFailure {
        CommandFailure(.usage, "payload \(number + 1) of the file: \(what)")
    }

    private static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[rest.startIndex..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        // The last payload may stand without its separator.
        if rest.contains(where: { $0 > 0x20 }) { parts.append(rest) }
        return parts.filter { !$0.isEmpty }
    }
}

/// An HTTP/1.1 message as bytes (RFC 9112), taken apart.
struct RawHTTPMessage {
    var startLine: String
    var headers: [HeaderField]
    var body: [UInt8]

    init?(_ bytes: ArraySlice<UInt8>) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: bytes[bytes.startIndex..<end.lowerBound], as: UTF8.self)
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard let first = lines.first, !first.isEmpty else { return nil }
        startLine = String(first)
        var found: [HeaderField] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            found.append(HeaderField(name: String(line[..<colon]), value: String(value)))
        }
        headers = found
        let rest = bytes[end.upperBound...]
        func value(_ name: String) -> String? { found.first { $0.name.lowercased() == name }?.value }
        if value("transfer-encoding")?.lowercased().contains("chunked") == true {
            body = Self.unchunked(rest)
        } else {
            body = Array(rest.prefix(max(0, value("content-length").flatMap { Int($0) } ?? rest.count)))
        }
    }

    /// The chunks as far as they are whole (RFC 9112, section 7.1).
    private static func unchunked(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let end = rest.firstRange(of: [0x0D, 0x0A]) {
            let digits = String(decoding: rest[rest.startIndex..<end.lowerBound], as: UTF8.self).prefix { $0 != ";" }
            guard let count = Int(digits, radix: 16), count > 0, count <= rest.endIndex - end.upperBound else { break }
            result += rest[end.upperBound..<end.upperBound + count]
            rest = rest[(end.upperBound + count)...].dropFirst(2)
        }
        return result
    }
}
