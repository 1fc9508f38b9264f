// What the endpoint reads of answers, and what it tells Prometheus of targets.

import FoundationEssentials

/// The names in an answer of `services`.
struct ServiceNames: Decodable {
    struct Service: Decodable { var service_name: String }
    var services: [Service]?
}

/// The instances in an answer of `resolve`.
struct ResolvedInstances: Decodable {
    struct Instance: Decodable {
        var instance_id: String
        var service_name: String
        var endpoint: String
        var region: String?
        var zone: String?
    }

    var instances: [Instance]?
}

/// The word in an outcome.
struct Verdict: Decodable { var outcome: String }

/// One target of http_sd with its labels.
struct TargetGroup: Encodable {
    var targets: [String]
    var labels: [String: String]

    init(_ instance: ResolvedInstances.Instance) {
        targets = [instance.endpoint]
        labels = [
            "__meta_lattice_service": instance.service_name, "__meta_lattice_instance": instance.instance_id,
            "__meta_lattice_region": instance.region ?? "", "__meta_lattice_zone": instance.zone ?? "",
        ]
    }
}

extension AdminEndpoint {
    static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }

    static func encode(_ groups: [TargetGroup]) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(groups)).map { Array($0) } ?? Array("[]".utf8)
    }
}

extension String {
    /// `%2F` and the like as bytes of UTF-8; the text itself where it is not escaped well.
    var removingPercentEncodingOnce: String {
        var bytes: [UInt8] = []
        var rest = utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next(), let low = rest.next(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return self }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self) ?? self
    }
}
