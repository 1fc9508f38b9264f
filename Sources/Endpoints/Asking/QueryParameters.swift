// What clients put behind the question mark.

import EventModel
import FoundationEssentials
import Hummingbird

/// Reads the parameters of a request.
struct QueryParameters {
    private let values: [(name: String, value: String)]

    init(_ request: Request) {
        values = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    func all(_ name: String) -> [String] { values.filter { $0.name == name && !$0.value.isEmpty }.map(\.value) }

    /// The first value of the first of these names that has one.
    func first(_ names: String...) -> String? {
        for name in names { if let value = all(name).first { return value } }
        return nil
    }

    func isTrue(_ names: String...) -> Bool { names.contains { all($0).first == "true" } }

    /// A count between 1 and `maximum`.
    func limit(_ names: String..., standard: Int = 20, maximum: Int = 1_500) throws(QueryFailure) -> Int {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let number = Int(text), number > 0 else { throw QueryFailure(400, "\(name) is no count") }
            return min(number, maximum)
        }
        return standard
    }

    /// Nanoseconds of `1.5s`, `100ms`, `2h45m`: Go's durations.
    func duration(_ names: String...) throws(QueryFailure) -> Int64 {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let value = Self.nanoseconds(text) else {
                throw QueryFailure(400, "\(name) is no duration like 1.5s or 100ms")
            }
            return value
        }
        return 0
    }

    static func nanoseconds(_ text: String) -> Int64? {
        let units: [(String, Double)] = [
            ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9),
        ]
        var rest = Substring(text)
        var total = 0.0
        if rest.isEmpty { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { !$0.isNumber && $0 != "." }
            rest = rest[unit.endIndex...]
            guard let number = Double(digits), let scale = units.first(where: { $0.0 == unit })?.1 else { return nil }
            total += number * scale
        }
        return total.isFinite && total < 9e18 ? Int64(total) : nil
    }

    /// Nanoseconds of a moment in microseconds; zero where there is none.
    func microseconds(_ name: String) throws(QueryFailure) -> Int64 {
        guard let text = all(name).first else { return 0 }
        guard let number = Int64(text), number.magnitude < 9_000_000_000_000_000 else {
            throw QueryFailure(400, "\(name) is no time in microseconds")
        }
        return number * 1_000
    }

    /// Nanoseconds of a moment in RFC 3339; zero where there is none.
    func moment(_ names: String...) throws(QueryFailure) -> Int64 {
        for name in names {
            guard let text = all(name).first else { continue }
            guard let time = Timestamp(rfc3339: text) else { throw QueryFailure(400, "\(name) is not RFC 3339") }
            return time.rawValue
        }
        return 0
    }

    /// `tags={"k":"v"}` and `tag=k:v`.
    func tags(_ objects: String..., pairs: String = "tag") throws(QueryFailure) -> [(key: String, value: String)] {
        var tags: [(key: String, value: String)] = []
        for text in objects.flatMap({ all($0) }) {
            guard let members = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8)) else {
                throw QueryFailure(400, "tags are no JSON object of texts")
            }
            tags += members.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
        }
        for text in all(pairs) {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw QueryFailure(400, "tag is not key:value") }
            tags.append((key: String(parts[0]), value: String(parts[1])))
        }
        return tags
    }
}
