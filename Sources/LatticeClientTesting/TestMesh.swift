// A mesh inside a test's own process: a real node, a bus in memory, a clock that can be moved on.

internal import EventModel
internal import EventStore
internal import Foundation
public import LatticeClient
internal import Logging
internal import Messaging
internal import NodeRuntime
internal import Synchronization

/// A node with its log in a temporary directory, and a connection to it; no server, no port, no other process.
///
/// The node is the one that `lattice serve` runs, so what a service sees here is what it sees in a mesh: registrations,
/// evictions, refusals, traces. Only the bus is another. End it with ``stop()``, which removes the directory.
public final class TestMesh: Sendable {
    /// What a test could not do.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        /// Why.
        public let description: String
    }

    /// The connection that the code under test is given. It stays open until ``stop()``.
    public let connection: MeshConnection
    private let bus: InMemoryMessageBus
    private let node: Node
    private let directory: String
    private let clock: MovableClock
    /// The incarnation of each instance that was registered here.
    private let incarnations = Mutex<[String: Int64]>([:])

    private init(_ bus: InMemoryMessageBus, _ node: Node, _ directory: String, _ clock: MovableClock) {
        self.bus = bus
        self.node = node
        self.directory = directory
        self.clock = clock
        connection = MeshConnection(
            bus: bus, requestTimeout: .seconds(5),
            logger: Logger(label: "lattice.testing") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Starts a mesh of one node, which has answered before this returns. Endpoints on loopback are allowed.
    ///
    /// - Throws: ``Failure`` where the temporary directory cannot be written or the node does not start.
    public static func start() async throws(Failure) -> TestMesh {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("lattice-\(UUID().uuidString)")
            .path
        let bus = InMemoryMessageBus()
        let clock = MovableClock()
        var configuration = NodeConfiguration(directory: directory)
        configuration.registry.allowLoopback = true
        configuration.tickInterval = .milliseconds(100)
        configuration.diskPressure = nil
        let environment = NodeEnvironment(
            intakeBus: bus, answerBus: bus, clock: NodeClock { clock.now },
            logger: Logger(label: "lattice.testing") { _ in SwiftLogNoOpLogHandler() })
        do throws(NodeFailure) {
            return TestMesh(bus, try await Node.start(configuration, environment), directory, clock)
        } catch {
            try? FileManager.default.removeItem(atPath: directory)
            throw Failure(description: "the node does not start: \(error)")
        }
    }

    /// Ends the node and removes its directory. Idempotent.
    public func stop() async {
        await connection.close()
        await node.stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Registry

    /// Registers an instance, and returns once the node answers with it.
    ///
    /// - Parameters:
    ///   - endpoint: `host:port`.
    ///   - weight: 0 to 1000.
    /// - Throws: ``Failure`` with the registry's word where it refuses.
    public func register(
        _ service: String, instanceID: String, endpoint: String, region: String = "", zone: String = "",
        weight: UInt32 = 100
    ) async throws(Failure) {
        let incarnation = clock.now.rawValue
        let registration = Registration(
            instanceID: instanceID, endpoint: endpoint, region: region, zone: zone, weight: weight,
            incarnation: incarnation)
        try await tell(.registry(.registered(Registered(serviceName: service, events: [registration]))), of: service)
        incarnations.withLock { $0[service + "/" + instanceID] = incarnation }
    }

    /// Takes out an instance that was registered here.
    ///
    /// - Throws: ``Failure`` with the registry's word where it refuses.
    public func deregister(_ service: String, instanceID: String) async throws(Failure) {
        let incarnation = incarnations.withLock { $0[service + "/" + instanceID] } ?? clock.now.rawValue
        let event = Deregistration(instanceID: instanceID, incarnation: incarnation, reason: "test")
        try await tell(.registry(.deregistered(Batch(serviceName: service, events: [event]))), of: service)
    }

    /// Moves the node's clock on, so that what has not been heard of for that long becomes stale or is evicted; returns once
    /// the node has recorded it.
    ///
    /// A node that has just begun takes nothing for stale during its first minute, as after every start: move on further.
    ///
    /// - Parameter duration: nothing happens where it is not positive.
    /// - Throws: ``Failure`` where the node does not tick within ten seconds.
    public func advance(by duration: Duration) async throws(Failure) {
        var rest = duration
        while rest > .zero {
            // Of a longer silence of the clock itself the registry counts no more than this.
            let step = min(rest, .seconds(5))
            rest -= step
            clock.advance(step)
            try await waitForTick(at: clock.now)
        }
    }

    private func waitForTick(at wanted: Timestamp) async throws(Failure) {
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end {
            if await node.status().asOf.recordedAt >= wanted { return }
            do { try await Task.sleep(for: .milliseconds(2)) } catch { break }
        }
        throw Failure(description: "the node does not tick")
    }

    private func tell(_ event: Event, of service: String) async throws(Failure) {
        guard let (type, facts) = EventCodec.encode(event) else {
            throw Failure(description: "the event cannot be written")
        }
        let outcome: OutcomeNotice
        do {
            let answer = try await bus.request(
                Message(
                    subject: connection.subject(type, of: service),
                    headers: [MessageHeader("Content-Type", "application/protobuf")], payload: facts),
                timeout: .seconds(10))
            outcome = try OutcomeNotice.decode(answer.payload[...])
        } catch { throw Failure(description: "no outcome: \(error)") }
        guard outcome.word == "accepted" else {
            let reasons = outcome.refusals.isEmpty ? [outcome.reason] : outcome.refusals.map(\.reason)
            throw Failure(description: "\(outcome.word): \(reasons.joined(separator: ", "))")
        }
    }
}

/// The time of this machine, moved on.
private final class MovableClock: Sendable {
    private let offset = Mutex(Nanoseconds(0))

    var now: Timestamp { PosixStorage().now() + offset.withLock { $0 } }

    func advance(_ duration: Duration) {
        let parts = duration.components
        let step = Nanoseconds(parts.seconds &* 1_000_000_000 &+ parts.attoseconds / 1_000_000_000)
        offset.withLock { $0 = Nanoseconds($0.rawValue &+ step.rawValue) }
    }
}
