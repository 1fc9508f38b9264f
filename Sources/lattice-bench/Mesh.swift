// The mesh that is measured: services with instances, their registrations and heartbeats.

import EventModel
import Foundation
import Messaging

/// So many instances, a hundred to a service, and the messages they send.
struct Mesh: Sendable {
    let instanceCount: Int
    private let perService: Int

    init(instances: Int) {
        instanceCount = instances
        perService = min(100, instances)
    }

    var serviceCount: Int { (instanceCount + perService - 1) / perService }

    func service(_ index: Int) -> String { "service-\(index)" }

    private func instances(of service: Int) -> [String] {
        let first = service * perService
        return (first..<min(first + perService, instanceCount)).map { "instance-\($0)" }
    }

    /// One message a service that registers its instances.
    func registrations(prefix: String) -> [Message] {
        (0..<serviceCount).map { service in
            let events = instances(of: service).enumerated().map { index, id in
                Registration(
                    instanceID: id, endpoint: "10.\(service >> 8).\(service & 255).\(index + 1):8080",
                    region: "region-\(index % 3)", zone: "zone-\(index % 6)", incarnation: 1)
            }
            return message(
                .registered(Registered(serviceName: self.service(service), events: events)), "registered", prefix)
        }
    }

    /// Messages of `batch` heartbeats each, over all services in turn.
    func heartbeats(batch: Int, prefix: String) -> [Message] {
        var messages: [Message] = []
        // So many rounds that every instance beats.
        let rounds = min(perService, 25)
        for round in 0..<rounds {
            for service in 0..<serviceCount {
                let all = instances(of: service)
                let chosen = (0..<batch).map { all[(round * batch + $0) % all.count] }
                let facts = EventCodec.heartbeats(service: self.service(service), instances: chosen, incarnation: 1)
                messages.append(
                    Message(
                        subject: "\(prefix).events.registry.\(self.service(service)).heartbeat", payload: facts))
            }
        }
        return messages
    }

    private func message(_ event: RegistryEvent, _ kind: String, _ prefix: String) -> Message {
        Message(
            subject: "\(prefix).events.registry.\(event.serviceName).\(kind)",
            payload: EventCodec.encode(.registry(event))?.facts ?? [])
    }
}
