// Texts that are longer than the log takes: cut at a character, and said so on the span.

import EventModel
import MeshRules

/// Cuts texts to the limits of Limits.md.
enum SpanText {
    /// The tag that says how many texts of a span were cut.
    static let cutTag = "lattice.texts_cut"

    /// The longest prefix of at most `limit` bytes that ends between two characters of UTF-8.
    static func cut(_ bytes: [UInt8], _ range: Range<Int>, _ limit: Int) -> Range<Int> {
        if range.count <= limit { return range }
        var end = range.lowerBound + limit
        while end > range.lowerBound && bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return range.lowerBound..<end
    }

    /// The same of a text; counts where it had to cut.
    static func cut(_ text: String, _ limit: Int, _ cutCount: inout Int) -> String {
        if text.utf8.count <= limit { return text }
        cutCount += 1
        let bytes = Array(text.utf8)
        return String(decoding: bytes[cut(bytes, 0..<bytes.count, limit)], as: UTF8.self)
    }

    /// A tag whose value is short enough: what is cut of JSON is text.
    static func cut(_ tag: SpanTag, _ cutCount: inout Int) -> SpanTag {
        switch tag.value {
        case .string(let text):
            return SpanTag(tag.key, cut(text, Limits.valueBytes, &cutCount))
        case .json(let text) where text.utf8.count > Limits.valueBytes:
            return SpanTag(tag.key, cut(text, Limits.valueBytes, &cutCount))
        case .bytes(let bytes) where bytes.count > Limits.valueBytes:
            cutCount += 1
            return SpanTag(key: tag.key, value: .bytes(Array(bytes.prefix(Limits.valueBytes))))
        default: return tag
        }
    }
}

extension TraceSpan {
    /// The span as it may leave the process: without secrets, its texts within the limits.
    func fitForLog() -> TraceSpan {
        var count = 0
        var span = self
        span.operationName = SpanText.cut(operationName, Limits.identifierBytes, &count)
        span.statusMessage = SpanText.cut(statusMessage, Limits.valueBytes, &count)
        span.peerService = SpanText.cut(peerService, Limits.identifierBytes, &count)
        span.tags = Self.fit(tags, &count)
        span.resource = Self.fit(resource, &count)
        span.logs = logs.map { log in
            SpanLog(
                time: log.time, name: SpanText.cut(log.name, Limits.identifierBytes, &count),
                fields: Self.fit(log.fields, &count))
        }
        span.links = links.map { link in
            var link = link
            link.tags = Self.fit(link.tags, &count)
            return link
        }
        if count > 0 { span.tags.append(SpanTag(key: SpanText.cutTag, value: .int(Int64(count)))) }
        return span
    }

    private static func fit(_ tags: [SpanTag], _ count: inout Int) -> [SpanTag] {
        tags.map { SpanText.cut(SpanSecrets.redacted($0), &count) }
    }

    /// Why the log would not want it; nil if it does (Tracing.md, What is taken).
    var objection: String? {
        if startTime.rawValue <= 0 { return "missing: start_time" }
        if endTime < startTime { return "end_before_start: end_time" }
        if operationName.isEmpty { return "missing: operation_name" }
        return nil
    }
}
