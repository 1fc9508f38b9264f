// What a capture or a comparison holds beside its facts: it is encrypted, and can be erased (decision 9).

/// The contents of one captured request and of production's answer, after redaction.
public struct CapturedContent: Sendable, Hashable {
    /// Path and query.
    public var target: String
    public var requestHeaders: [HeaderField]
    public var requestBody: [UInt8]
    public var responseHeaders: [HeaderField]
    public var responseBody: [UInt8]

    public init(
        target: String = "", requestHeaders: [HeaderField] = [], requestBody: [UInt8] = [],
        responseHeaders: [HeaderField] = [], responseBody: [UInt8] = []
    ) {
        self.target = target
        self.requestHeaders = requestHeaders
        self.requestBody = requestBody
        self.responseHeaders = responseHeaders
        self.responseBody = responseBody
    }
}

/// Both sides of the differences of one comparison, and why a body was compared by bytes.
public struct ComparedContent: Sendable, Hashable {
    /// One place with what each side has there, shortened.
    public struct Sides: Sendable, Hashable {
        public var path: String
        public var production: String
        public var shadow: String

        public init(path: String, production: String, shadow: String) {
            self.path = path
            self.production = production
            self.shadow = shadow
        }
    }

    public var sides: [Sides]
    public var notes: [String]

    public init(sides: [Sides] = [], notes: [String] = []) {
        self.sides = sides
        self.notes = notes
    }
}

/// Writes and reads the attachments of the mirror family: one entry for each event of the batch, in order.
package enum MirrorAttachment {
    package static func encode(_ entries: [CapturedContent]) -> [UInt8] {
        var writer = WireWriter(capacity: 1_024)
        for entry in entries { writer.message(1) { write(entry, &$0) } }
        return writer.bytes
    }

    static func write(_ entry: CapturedContent, _ writer: inout WireWriter) {
        writer.field(1, entry.target)
        write(entry.requestHeaders, 2, &writer)
        writer.field(3, entry.requestBody)
        write(entry.responseHeaders, 4, &writer)
        writer.field(5, entry.responseBody)
    }

    static func write(_ entry: ComparedContent, _ writer: inout WireWriter) {
        for sides in entry.sides {
            writer.message(1) { side in
                side.field(1, sides.path)
                side.field(2, sides.production)
                side.field(3, sides.shadow)
            }
        }
        for note in entry.notes { writer.element(2, note) }
    }

    package static func encode(_ entries: [ComparedContent]) -> [UInt8] {
        var writer = WireWriter()
        for entry in entries { writer.message(1) { write(entry, &$0) } }
        return writer.bytes
    }

    private static func write(_ headers: [HeaderField], _ number: Int, _ writer: inout WireWriter) {
        for header in headers {
            writer.message(number) { inner in
                inner.field(1, header.name)
                inner.field(2, header.value)
            }
        }
    }

    /// The entries of a capture's attachment.
    ///
    /// - Throws: `malformed`, `invalid_utf8` or `too_long` with the field's name.
    package static func captured(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> [CapturedContent] {
        try entries(bytes) { (bytes, range) throws(DecodeError) in
            var entry = CapturedContent()
            var cursor = WireCursor(range)
            while let field = cursor.next(in: bytes.span) {
                switch field.number {
                case 1: entry.target = try text(bytes, field, "target")
                case 2: entry.requestHeaders.append(try header(bytes, field))
                case 3: entry.requestBody = try content(bytes, field, "request_body")
                case 4: entry.responseHeaders.append(try header(bytes, field))
                case 5: entry.responseBody = try content(bytes, field, "response_body")
                default: break
                }
            }
            try FieldRules.finish(cursor, "entries")
            return entry
        }
    }

    /// The entries of a comparison's attachment.
    ///
    /// - Throws: `malformed`, `invalid_utf8` or `too_long` with the field's name.
    package static func compared(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> [ComparedContent] {
        try entries(bytes) { (bytes, range) throws(DecodeError) in
            var entry = ComparedContent()
            var cursor = WireCursor(range)
            while let field = cursor.next(in: bytes.span) {
                switch field.number {
                case 1: entry.sides.append(try sides(bytes, field))
                case 2: entry.notes.append(try text(bytes, field, "notes"))
                default: break
                }
            }
            try FieldRules.finish(cursor, "entries")
            return entry
        }
    }

    private static func entries<Entry>(
        _ bytes: ArraySlice<UInt8>, _ decode: (ArraySlice<UInt8>, Range<Int>) throws(DecodeError) -> Entry
    ) throws(DecodeError) -> [Entry] {
        var result: [Entry] = []
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number != 1 { continue }
            guard field.isBytes else { throw DecodeError("malformed", "entries") }
            result.append(try decode(bytes, field.range))
        }
        try FieldRules.finish(cursor, "attachment")
        return result
    }

    private static func header(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> HeaderField {
        guard field.isBytes else { throw DecodeError("malformed", "headers") }
        var result = HeaderField(name: "", value: "")
        var cursor = WireCursor(field.range)
        while let inner = cursor.next(in: bytes.span) {
            switch inner.number {
            case 1: result.name = try text(bytes, inner, "name")
            case 2: result.value = try text(bytes, inner, "value")
            default: break
            }
        }
        try FieldRules.finish(cursor, "headers")
        return result
    }

    private static func sides(
        _ bytes: ArraySlice<UInt8>, _ field: WireField
    ) throws(DecodeError) -> ComparedContent.Sides {
        guard field.isBytes else { throw DecodeError("malformed", "sides") }
        var result = ComparedContent.Sides(path: "", production: "", shadow: "")
        var cursor = WireCursor(field.range)
        while let inner = cursor.next(in: bytes.span) {
            switch inner.number {
            case 1: result.path = try text(bytes, inner, "path")
            case 2: result.production = try text(bytes, inner, "production")
            case 3: result.shadow = try text(bytes, inner, "shadow")
            default: break
            }
        }
        try FieldRules.finish(cursor, "sides")
        return result
    }

    private static func text(
        _ bytes: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString
    ) throws(DecodeError) -> String {
        try FieldRules.text(bytes, field, name, limit: Limits.messageBytes)
    }

    private static func content(
        _ bytes: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString
    ) throws(DecodeError) -> [UInt8] {
        guard field.isBytes else { throw DecodeError("malformed", "\(name)") }
        return Array(bytes[bytes.startIndex + field.start..<bytes.startIndex + field.end])
    }
}
