// Somebody on a bus within the process who answers the registry's queries as a node does, from a registry of its own.

import EventModel
import Messaging
import StateMachines
import Synchronization

/// Answers `lattice.queries.registry.>`.
final class FakeNode: Sendable {
    private struct State {
        var mesh = MeshState()
        var sequence: UInt64 = 0
        var asked: [RegistryQuery] = []
        /// Runs before each answer, with its number.
        var beforeAnswer: (@Sendable (FakeNode, Int) -> Void)?
    }

    let bus: InMemoryMessageBus
    private let state = Mutex(State())
    private let reader = Mutex<SubscriptionReader?>(nil)

    init(_ bus: InMemoryMessageBus = InMemoryMessageBus()) throws {
        self.bus = bus
        let subscription = try bus.subscribe("lattice.queries.registry.*", queueGroup: nil, limits: .standard)
        let made = SubscriptionReader(subscription, maximum: 1) { [weak self] messages in
            for message in messages { self?.answer(message) }
        }
        reader.withLock { $0 = made }
    }

    func end() { reader.withLock { $0?.end() } }

    /// The questions that came.
    var asked: [RegistryQuery] { state.withLock { $0.asked } }

    /// What a reader of pages does not know: that something happens between them.
    func beforeEachAnswer(_ body: @escaping @Sendable (FakeNode, Int) -> Void) {
        state.withLock { $0.beforeAnswer = body }
    }

    /// The registry as it is now.
    var registry: ServiceRegistry { state.withLock { $0.mesh.registry } }

    @discardableResult
    func append(_ event: RegistryEvent) -> SequenceNumber {
        state.withLock { state in
            state.sequence += 1
            _ = state.mesh.apply(
                EventRecord(
                    sequence: SequenceNumber(state.sequence),
                    recordedAt: Timestamp(nanoseconds: 1_750_000_000_000_000_000 + Int64(state.sequence)),
                    messageID: [], event: .registry(event)))
            return SequenceNumber(state.sequence)
        }
    }

    func register(_ ids: [String], of service: String = "cart", metadata: [MetadataEntry] = []) {
        for start in stride(from: 0, to: ids.count, by: 2_000) {
            let events = ids[start..<min(start + 2_000, ids.count)].map {
                Registration(instanceID: $0, endpoint: "10.0.0.1:80", weight: 100, metadata: metadata, incarnation: 1)
            }
            append(.registered(Registered(serviceName: service, events: events)))
        }
    }

    func deregister(_ ids: [String], of service: String = "cart") {
        let events = ids.map { Deregistration(instanceID: $0, incarnation: 1, reason: "test") }
        append(.deregistered(Batch(serviceName: service, events: events)))
    }

    private func answer(_ message: Message) {
        guard let name = RegistryQueryName(rawValue: String(message.subject.split(separator: ".").last ?? "")),
            let query = try? RegistryQuery.decode(message.payload[...])
        else { return }
        let (number, body) = state.withLock { state in
            state.asked.append(query)
            return (state.asked.count, state.beforeAnswer)
        }
        body?(self, number)
        let registry = registry
        do throws(QueryError) {
            let payload = try registry.answer(name, query)
            try? bus.publish(Message(subject: message.replyTo, payload: payload))
        } catch {
            try? bus.publish(
                Message(
                    subject: message.replyTo,
                    headers: [
                        MessageHeader("Nats-Service-Error", error.message),
                        MessageHeader("Nats-Service-Error-Code", "\(error.code.number)"),
                    ], payload: error.encode()))
        }
    }
}
