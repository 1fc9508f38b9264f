// A mirror from a specification that somebody wrote (`create_mirror_from_spec`); reading YAML is the caller's.

package import EventModel
package import MeshRules

/// A value of a specification, numbers as they were written.
package indirect enum SpecificationValue: Sendable, Hashable {
    case null
    case boolean(Bool)
    case number(String)
    case text(String)
    case list([SpecificationValue])
    case object([SpecificationMember])
}

/// One member of a specification's object.
package struct SpecificationMember: Sendable, Hashable {
    package var name: String
    package var value: SpecificationValue

    package init(_ name: String, _ value: SpecificationValue) {
        self.name = name
        self.value = value
    }
}

/// A rate as basis points, from the decimal text without floating point (decision 14).
package enum BasisPoints {
    /// `0.01` (a share from 0 to 1) or `1%`; nil for anything else and for what is finer than a basis point.
    package static func parse(_ text: String) -> UInt32? {
        let isPercent = text.utf8.last == UInt8(ascii: "%")
        let parts = (isPercent ? text.dropLast() : text[...]).split(separator: ".", omittingEmptySubsequences: false)
        let places = isPercent ? 2 : 4
        guard parts.count <= 2, let whole = digits(parts[0]), whole <= 100 else { return nil }
        var fraction = parts.count == 2 ? parts[1] : "0"
        guard fraction.utf8.count <= 18, digits(fraction) != nil else { return nil }
        while fraction.utf8.count > places, fraction.utf8.last == UInt8(ascii: "0") { fraction = fraction.dropLast() }
        guard fraction.utf8.count <= places, let rest = digits(fraction) else { return nil }
        var scaled = rest
        for _ in fraction.utf8.count..<places { scaled *= 10 }
        let points = whole * (isPercent ? 100 : 10_000) + scaled
        return points <= 10_000 ? UInt32(points) : nil
    }

    private static func digits(_ text: Substring) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) else { return nil }
        return UInt64(text)
    }
}

/// A mirror from a specification.
///
/// Names are those of the wire: `mirror_id`, `source_service`, `shadow_endpoint`, `mode`, `sample_rate`, …
/// - Throws: the first field that is unknown, missing, of the wrong type or out of range, by its name.
package func createMirrorFromSpec(_ specification: SpecificationValue) throws(InvalidField) -> MirrorConfiguration {
    guard case .object(let members) = specification else { throw InvalidField("mirror", "is not an object") }
    var reader = SpecificationReader()
    for member in members { try reader.take(member) }
    return try reader.finish()
}

/// Reads member after member.
private struct SpecificationReader {
    private var result = MirrorConfiguration(mirrorID: "", sourceService: "", shadowEndpoint: "")
    private var seen: Set<String> = []

    mutating func take(_ member: SpecificationMember) throws(InvalidField) {
        guard seen.insert(member.name).inserted else { throw InvalidField(member.name, "stands twice") }
        let field = SpecificationField(member)
        switch member.name {
        case "mirror_id": result.mirrorID = try field.text()
        case "source_service": result.sourceService = try field.text()
        case "shadow_endpoint": result.shadowEndpoint = try field.text()
        case "mode":
            guard let mode = MirrorMode(name: try field.text()) else {
                throw InvalidField("mode", "is none of full, sampled, filtered, replay")
            }
            result.mode = mode
        case "sample_rate":
            guard let points = BasisPoints.parse(try field.decimal()) else {
                throw InvalidField("sample_rate", "is not a share from 0 to 1 or a percentage, in steps of 0.0001")
            }
            result.sampleRateBasisPoints = points
        case "include_intents": result.includeIntents = try field.texts()
        case "exclude_intents": result.excludeIntents = try field.texts()
        case "timeout_ms": result.timeout = .milliseconds(Int64(try field.whole(1...60_000)))
        case "enabled": result.enabled = try field.boolean()
        case "allow_writes": result.allowWrites = try field.boolean()
        case "payload_limit": result.payloadLimit = UInt32(try field.whole(0...262_144))
        case "buffer_requests": result.bufferRequests = UInt32(try field.whole(1...100_000))
        case "buffer_bytes": result.bufferBytes = try field.whole(1...1_073_741_824)
        case "shadow_auth": result.shadowAuthentication = try field.text()
        case "baseline_endpoint": result.baselineEndpoint = try field.text()
        case "baseline_auth": result.baselineAuthentication = try field.text()
        case "ignore_fields": result.ignoreFields = try field.texts()
        case "unordered_arrays": result.unorderedArrays = try field.texts()
        case "compared_headers": result.comparedHeaders = try field.texts()
        default: throw InvalidField(member.name, "is not known")
        }
    }

    func finish() throws(InvalidField) -> MirrorConfiguration {
        if result.mirrorID.isEmpty { throw InvalidField("mirror_id", "is missing") }
        if result.sourceService.isEmpty { throw InvalidField("source_service", "is missing") }
        if result.shadowEndpoint.isEmpty { throw InvalidField("shadow_endpoint", "is missing") }
        if result.baselineEndpoint.isEmpty, !result.baselineAuthentication.isEmpty {
            throw InvalidField("baseline_auth", "goes with baseline_endpoint")
        }
        if !result.baselineEndpoint.isEmpty, result.baselineEndpoint.equalsInBytes(result.shadowEndpoint) {
            throw InvalidField("baseline_endpoint", "is the shadow: it runs production's own version")
        }
        _ = try result.comparisonRules()
        return result
    }
}

extension MirrorConfiguration {
    /// The rules by which its answers are compared.
    package func comparisonRules() throws(InvalidField) -> ComparisonRules {
        try ComparisonRules(
            ignoreFields: ignoreFields, unorderedArrays: unorderedArrays, comparedHeaders: comparedHeaders)
    }
}

/// One member with its name for the error.
private struct SpecificationField {
    private let name: String
    private let value: SpecificationValue

    init(_ member: SpecificationMember) {
        name = member.name
        value = member.value
    }

    func text() throws(InvalidField) -> String {
        guard case .text(let text) = value else { throw InvalidField(name, "is not a text") }
        guard text.utf8.count <= Limits.identifierBytes else { throw InvalidField(name, "is longer than 256 bytes") }
        return text
    }

    func decimal() throws(InvalidField) -> String {
        switch value {
        case .number(let text), .text(let text): return text
        default: throw InvalidField(name, "is not a number")
        }
    }

    func boolean() throws(InvalidField) -> Bool {
        guard case .boolean(let value) = value else { throw InvalidField(name, "is neither true nor false") }
        return value
    }

    func texts() throws(InvalidField) -> [String] {
        guard case .list(let values) = value else { throw InvalidField(name, "is not a list") }
        guard values.count <= MirrorLimits.rules else {
            throw InvalidField(name, "has more than \(MirrorLimits.rules) entries")
        }
        var result: [String] = []
        for (index, value) in values.enumerated() {
            result.append(try SpecificationField(SpecificationMember("\(name)[\(index)]", value)).text())
        }
        return result
    }

    func whole(_ range: ClosedRange<UInt64>) throws(InvalidField) -> UInt64 {
        guard case .number(let text) = value, let number = UInt64(text), range.contains(number) else {
            throw InvalidField(name, "is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
