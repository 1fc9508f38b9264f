// Where the next page of a list begins, as text that its asker hands back as it is.

/// The parts of a row's place in its list, each as a token of a subject, with dots between them, and `~` for `%`: a token stands
/// in a URL as it is.
package enum PageToken {
    /// The token of a place.
    package static func text(_ parts: [String]) -> String {
        parts.map(SubjectToken.escape).joined(separator: ".").replacing("%", with: "~")
    }

    /// The parts of a token; nil: it is empty, which is the first page.
    ///
    /// - Throws: `invalid_argument` where it does not have so many parts, or one that is none.
    package static func parts(_ token: String, count: Set<Int>) throws(QueryError) -> [String]? {
        if token.isEmpty { return nil }
        let tokens = token.replacing("~", with: "%").split(separator: ".", omittingEmptySubsequences: false)
        let parts = tokens.compactMap { $0.isEmpty ? "" : SubjectToken.unescape(String($0)) }
        guard parts.count == tokens.count, count.contains(parts.count) else { throw unknown }
        return parts
    }

    /// That a token is none of this query.
    package static var unknown: QueryError { QueryError(.invalidArgument, "page_token is none of this query") }
}

/// How much of a list goes on one page: so many rows, and so many bytes of JSON, which has more of them than protobuf.
package struct PageBudget: Sendable {
    /// Bytes of JSON on a page: half of what NATS takes unless it is told otherwise, since what is counted is an estimate.
    package static let pageBytes = 512 << 10

    private var rows: Int
    private var bytes: Int
    private var isEmpty = true

    /// - Parameters:
    ///   - rows: 0: any number.
    ///   - isCutByBytes: whether the asker knows pages; else it gets everything, or the error that it does not fit.
    package init(rows: Int, isCutByBytes: Bool) {
        self.rows = rows == 0 ? .max : rows
        bytes = isCutByBytes ? Self.pageBytes : .max
    }

    /// Whether one more row fits, and if so counts it. The first one always does.
    ///
    /// - Parameter size: of the row; not looked at where there is no bound.
    package mutating func take(_ size: @autoclosure () -> Int, rows count: Int = 1) -> Bool {
        if bytes == .max && rows == .max { return true }
        let size = bytes == .max ? 0 : size()
        guard isEmpty || (rows >= count && bytes >= size) else { return false }
        isEmpty = false
        if rows != .max { rows = max(0, rows - count) }
        if bytes != .max { bytes = max(0, bytes - size) }
        return true
    }

    /// Bytes of a text in JSON, at the most.
    package static func size(_ text: String) -> Int {
        var size = 0
        for byte in text.utf8 {
            switch byte {
            case 0x00..<0x20, 0x22, 0x5C, 0x7F: size += 6
            case 0x80...: size += 2
            default: size += 1
            }
        }
        return size
    }
}

extension InstanceSnapshot {
    /// Bytes in JSON, at the most: names of fields and numbers, and the texts.
    package var pageBytes: Int {
        var size = 512 + 2 * PageBudget.size(instance.instanceID) + PageBudget.size(instance.serviceName)
        for text in [instance.endpoint, instance.region, instance.zone] { size += PageBudget.size(text) }
        for entry in instance.metadata { size += 24 + PageBudget.size(entry.key) + PageBudget.size(entry.value) }
        if let status { size += PageBudget.size(status.reason) }
        return size
    }
}

extension Removal {
    /// Bytes in JSON, at the most.
    package var pageBytes: Int {
        [instanceID, serviceName, reason, actor].reduce(320) { $0 + PageBudget.size($1) }
    }
}

extension ServiceTopology {
    /// Bytes in JSON without the zones, at the most.
    package var pageBytes: Int { 384 + PageBudget.size(serviceName) }
}

extension ZoneTopology {
    /// Bytes in JSON, at the most.
    package var pageBytes: Int { 224 + PageBudget.size(region) + PageBudget.size(zone) }
}
