// What Prometheus is told of targets: the healthy instances of every service.

import EventModel
import FoundationEssentials
import Hummingbird
import Queries

/// Answers `GET /sd/prometheus` as Prometheus' http_sd wants it: the full list each time.
struct PrometheusDiscovery: Sendable {
    private let queries: QueryClient

    init(_ queries: QueryClient) { self.queries = queries }

    /// All targets, or none of them: Prometheus forgets what a list lacks, and a failure leaves its targets as they are.
    func answer() async -> Response {
        do throws(UnansweredQuery) {
            var groups: [TargetGroup] = []
            for service in try await queries.services().services where service.instances > 0 {
                var query = RegistryQuery()
                query.serviceName = service.serviceName
                query.withoutMetadata = true
                groups += try await queries.everyInstance(query).instances.map { TargetGroup($0.instance) }
            }
            return AdminEndpoint.json(AdminEndpoint.encode(groups))
        } catch {
            return AdminEndpoint.failure(error)
        }
    }
}

/// The word in an outcome.
struct Verdict: Decodable { var outcome: String }

/// One target of http_sd with its labels.
struct TargetGroup: Encodable {
    var targets: [String]
    var labels: [String: String]

    init(_ instance: ServiceInstance) {
        targets = [instance.endpoint]
        labels = [
            "__meta_lattice_service": instance.serviceName, "__meta_lattice_instance": instance.instanceID,
            "__meta_lattice_region": instance.region, "__meta_lattice_zone": instance.zone,
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
