// Spans and observations in batches: what arrives, what is dropped, and what happens while nobody takes them.

import NodeRuntime
import Dispatch
import EventModel
import MeshRules
import Messaging
import ServiceLifecycle
import Synchronization
import TestKit
import Testing

@testable import LatticeClient

/// Hears every event of a bus in memory and says that it is recorded, as a node does.
final class AcceptingLedger: Sendable {
    private let heard = Mutex<[Message]>([])

    init(_ bus: InMemoryMessageBus, _ subject: String) throws {
        let subscription = try bus.subscribe(subject, queueGroup: nil, limits: .standard)
        DispatchQueue(label: "ledger").async { [weak self] in
            while let messages = try? subscription.receive(maximum: 100, timeout: .milliseconds(50)) {
                guard let self else { return subscription.drain() }
                for message in messages { self.record(message, bus) }
            }
        }
    }

    private func record(_ message: Message, _ bus: InMemoryMessageBus) {
        heard.withLock { $0.append(message) }
        guard let inbox = message.header("Lattice-Reply") else { return }
        var writer = WireWriter(capacity: 32)
        writer.field(1, UInt64(1))
        writer.field(3, "accepted")
        try? bus.publish(Message(subject: inbox, headers: [], payload: writer.bytes))
    }

    /// What came since the last call.
    func takeMessages() -> [Message] {
        heard.withLock { heard in
            defer { heard = [] }
            return heard
        }
    }
}

/// Spans of a trace.
enum SomeSpans {
    static func span(
        _ number: UInt64, trace: UInt64 = 1, service: String = "cart", operation: String = "add", tags: [SpanTag] = [],
        resource: [SpanTag] = []
    ) -> TraceSpan {
        let start = WallClock.now
        return TraceSpan(
            spanID: SpanID(number), traceID: TraceID(high: 9, low: trace), serviceName: service,
            operationName: operation, kind: .server, startTime: start, endTime: start + .milliseconds(1), tags: tags,
            resource: resource)
    }
}

extension `The SDK` {
    @Suite(.serialized) struct `A publisher` {
        private static let waiting: PublisherLimits = {
            var limits = PublisherLimits()
            limits.interval = .seconds(3_600)
            return limits
        }()

        private func spans(_ trace: UInt64, _ connection: MeshConnection) async throws -> [TraceSpan] {
            do {
                return try await connection.traces.trace(TraceID(high: 9, low: trace)).spans
            } catch  where error.code == .notFound {
                return []
            }
        }

        /// A publisher whose node goes away after the first of two hundred spans.
        private func loseNode(_ stage: MeshStage, _ connection: MeshConnection) async throws -> SpanPublisher {
            let hasty = MeshConnection(bus: connection.bus, requestTimeout: .milliseconds(200))
            let publisher = SpanPublisher(hasty)
            stage.run { await publisher.run() }
            publisher.publish(SomeSpans.span(1))
            #expect(try await eventually { publisher.figures.published == 1 })
            await stage.stopNode()
            for number in UInt64(2)...200 { publisher.publish(SomeSpans.span(number)) }
            return publisher
        }

        // MARK: Spans

        @Test func `spans arrive, to the tag, each service in messages of its own`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection)
                stage.run { await publisher.run() }
                let resource = [SpanTag("host.name", "one")]
                #expect(publisher.publish(SomeSpans.span(1, tags: [SpanTag("user", "u1")], resource: resource)))
                #expect(publisher.publish(SomeSpans.span(2, service: "web")))
                #expect(publisher.publish(SomeSpans.span(3, resource: [SpanTag("host.name", "two")])))
                #expect(try await eventually { try await spans(1, connection).count == 3 })
                let found = try await spans(1, connection).sorted { $0.spanID < $1.spanID }
                #expect(found.map(\.serviceName) == ["cart", "web", "cart"])
                #expect(found[0].tags == [SpanTag("user", "u1")])
                #expect(found.map { $0.resource.map(\.value.description) } == [["one"], [], ["two"]])
                #expect(publisher.figures.published == 3 && publisher.figures.pending == 0)
            }
        }

        @Test func `a full batch does not wait for the interval`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection, limits: Self.waiting)
                stage.run { await publisher.run() }
                for number in 1...UInt64(Self.waiting.batch) { publisher.publish(SomeSpans.span(number)) }
                #expect(try await eventually { try await spans(1, connection).count == Self.waiting.batch })
            }
        }

        @Test(arguments: [1, 10, 63])
        func `what waited before it ran goes with the rest of its batch`(early: Int) async throws {
            let bus = InMemoryMessageBus()
            let ledger = try AcceptingLedger(bus, "lattice.events.trace.>")
            let publisher = SpanPublisher(MeshConnection(bus: bus), limits: Self.waiting)
            for number in 1...UInt64(early) { publisher.publish(SomeSpans.span(number)) }
            let running = Task { await publisher.run() }
            defer { running.cancel() }
            // The publisher has looked at what came early by then; a slower one is right too.
            try await Task.sleep(for: .milliseconds(50))
            for number in UInt64(early + 1)...UInt64(Self.waiting.batch) { publisher.publish(SomeSpans.span(number)) }
            #expect(try await eventually { publisher.figures.published == UInt64(Self.waiting.batch) })
            #expect(ledger.takeMessages().count == 1)
        }

        @Test func `what does not fit is dropped and counted, and nobody waits`() {
            var limits = Self.waiting
            limits.elements = 10
            let publisher = SpanPublisher(MeshConnection(bus: InMemoryMessageBus()), limits: limits)
            let taken = (1...15).map { publisher.publish(SomeSpans.span($0)) }
            #expect(taken.filter(\.self).count == 10)
            #expect(publisher.figures.dropped == 5 && publisher.figures.pending == 10)
            limits.bytes = 1_000
            let small = SpanPublisher(MeshConnection(bus: InMemoryMessageBus()), limits: limits)
            let long = SomeSpans.span(1, tags: [SpanTag("text", String(repeating: "x", count: 600))])
            #expect(small.publish(long) && !small.publish(long) && small.figures.dropped == 1)
        }

        @Test func `one span that breaks the rules takes no other with it`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection, limits: Self.waiting)
                let long = String(repeating: "x", count: Limits.valueBytes + 1)
                publisher.publish(SomeSpans.span(1))
                publisher.publish(SomeSpans.span(2, tags: [SpanTag("text", long)]))
                publisher.publish(SomeSpans.span(3))
                #expect(await publisher.flush(within: .seconds(10)))
                #expect(publisher.figures.published == 2 && publisher.figures.invalid == 1)
                #expect(
                    try await eventually { try await spans(1, connection).map(\.spanID.rawValue).sorted() == [1, 3] })
            }
        }

        @Test func `what is larger than a message is told in several`() async throws {
            let bus = InMemoryMessageBus(maximumPayload: 10_000)
            let ledger = try AcceptingLedger(bus, "lattice.events.>")
            let publisher = SpanPublisher(MeshConnection(bus: bus), limits: Self.waiting)
            let tags = [SpanTag("text", String(repeating: "x", count: 1_000))]
            for number in UInt64(1)...20 { publisher.publish(SomeSpans.span(number, tags: tags)) }
            #expect(await publisher.flush(within: .seconds(5)))
            let messages = ledger.takeMessages()
            #expect(messages.allSatisfy { $0.payload.count <= 10_000 - 4_096 } && messages.count > 1)
            let counts = try messages.map { try SpanBatch(facts: $0.payload[...]).count }
            #expect(counts.reduce(0, +) == 20 && publisher.figures.published == 20)
        }

        @Test func `the end publishes what is left`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection, limits: Self.waiting)
                let group = ServiceGroup(
                    configuration: .init(services: [.init(service: publisher)], logger: connection.logger))
                let running = Task { try await group.run() }
                publisher.publish(SomeSpans.span(1))
                await group.triggerGracefulShutdown()
                try await running.value
                #expect(publisher.figures.published == 1)
                #expect(!publisher.publish(SomeSpans.span(2)) && publisher.figures.dropped == 1)
                #expect(try await eventually { try await spans(1, connection).count == 1 })
            }
        }

        @Test func `the end is bounded, and what is lost then is counted`() async throws {
            try await MeshStage.with(node: false) { stage in
                let connection = try await stage.connect()
                await stage.killServer()
                #expect(try await eventually { !connection.isConnected })
                var limits = Self.waiting
                limits.shutdown = .milliseconds(50)
                let publisher = SpanPublisher(connection, limits: limits)
                publisher.publish(SomeSpans.span(1))
                let running = Task { await publisher.run() }
                running.cancel()
                await running.value
                #expect(publisher.figures.failed == 1 && publisher.figures.published == 0)
            }
        }

        @Test func `spans wait while NATS is away`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection)
                stage.run { await publisher.run() }
                await stage.killServer()
                #expect(try await eventually { !connection.isConnected })
                publisher.publish(SomeSpans.span(1))
                #expect(await !publisher.flush(within: .milliseconds(50)))
                #expect(publisher.figures.pending == 1)
                try await stage.restartServer()
                #expect(try await eventually { publisher.figures.published == 1 })
            }
        }

        @Test func `spans wait while no node is there, and each is recorded once`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = try await loseNode(stage, connection)
                try await Task.sleep(for: .milliseconds(700))
                #expect(publisher.figures.pending == 199, "NATS has taken them, and nobody has heard them")
                try await stage.startNode()
                #expect(try await eventually { publisher.figures.pending == 0 })
                #expect(publisher.figures.published == 200 && publisher.figures.failed == 0)
                #expect(try await spans(1, connection).count == 200)
            }
        }

        /// A stream takes an id once, whoever sends it: that it has one says nothing of whose it is (decision 32).
        @Test func `a stream that says it has a batch is believed once a node says whose it is`() async throws {
            try await MeshStage.with(jetStream: true) { stage in
                let connection = try await stage.connect()
                let publisher = try await loseNode(stage, connection)
                #expect(publisher.figures.pending > 0)
                try await stage.startNode()
                #expect(try await eventually { publisher.figures.pending == 0 }, "repeats are swallowed, not lost")
                #expect(publisher.figures.published == 200 && publisher.figures.failed == 0)
                #expect(try await eventually { try await spans(1, connection).count == 200 })
            }
        }

        @Test func `a hurried publisher does not wait for company`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection, limits: Self.waiting)
                stage.run { await publisher.run() }
                publisher.publish(SomeSpans.span(1))
                publisher.hurry()
                #expect(try await eventually { publisher.figures.published == 1 })
            }
        }

        @Test func `what is told of an instance that is gone is refused, and that is counted`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = EventPublisher(connection)
                stage.run { await publisher.run() }
                publisher.publish(HealthReport(instanceID: "x", healthy: false, lastCheck: WallClock.now), of: "cart")
                #expect(try await eventually { publisher.figures.refused == 1 })
                #expect(publisher.figures.pending == 0 && publisher.figures.published == 0)
            }
        }

        // MARK: Observations

        @Test func `health, load and choices reach the registry`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                try await stage.register("cart", ["a", "b"], connection)
                let publisher = EventPublisher(connection)
                stage.run { await publisher.run() }
                publisher.publish(HealthReport(instanceID: "b", healthy: false, lastCheck: WallClock.now), of: "cart")
                for count in UInt32(1)...5 {
                    publisher.publish(
                        LoadReport(instanceID: "a", reporter: "gw", activeConnections: count), of: "cart")
                }
                publisher.publish(
                    InstanceSelection(
                        traceID: [], candidates: ["a", "b"], chosen: "a", strategy: .powerOfTwo,
                        asOf: SequenceNumber(1), seed: 3), of: "cart")
                #expect(try await eventually { publisher.figures.published == 7 })
                let isKnown = try await eventually {
                    let answer = try await connection.registry.resolve("cart", healthyOnly: false)
                    return answer.instances.map(\.activeConnections) == [5, 0]
                        && answer.instances.map(\.health) == [.healthy, .unhealthy]
                }
                #expect(isKnown)
            }
        }

        @Test func `captures carry what was redacted and nothing else`() async throws {
            let bus = InMemoryMessageBus()
            let ledger = try AcceptingLedger(bus, "lattice.events.mirror.cart.captured")
            let publisher = EventPublisher(MeshConnection(bus: bus), limits: Self.waiting)
            let captures = try CapturePublisher(publisher, service: "cart", secretMembers: ["pin"])
            var exchange = CapturedExchange(requestID: "r1")
            exchange.traceID = TraceID(high: 1, low: 2)
            exchange.method = "POST"
            exchange.target = "/pay?token=s3cret&id=7"
            exchange.requestHeaders = [
                HeaderField(name: "authorization", value: "Bearer s3cret"),
                HeaderField(name: "content-type", value: "application/json"),
                HeaderField(name: "x-own", value: "s3cret"),
            ]
            exchange.requestBody = Array(#"{"pin":"s3cret","count":1}"#.utf8)
            exchange.status = 201
            exchange.responseBody = Array("ok".utf8)
            exchange.latency = .milliseconds(3)
            #expect(captures.capture(exchange))
            #expect(await publisher.flush(within: .seconds(5)))
            let message = try #require(ledger.takeMessages().first)
            let split = MirrorAttachment.split(message.payload[...], of: .requestCaptured)
            let contents = try MirrorAttachment.captured(split.contents)
            #expect(contents.map(\.responseBody) == [Array("ok".utf8)])
            #expect(
                contents[0].target.contains("id=7") && contents[0].requestHeaders.map(\.name).contains("content-type"))
            #expect(String(decoding: contents[0].requestBody, as: UTF8.self).contains(#""count":1"#))
            #expect(!String(decoding: message.payload, as: UTF8.self).contains("s3cret"))
            let event = try EventCodec.decode(
                type: EventType.requestCaptured.rawValue, schemaVersion: 1, facts: split.facts)
            guard case .mirror(.captured(let batch)) = event else { throw StageFailure("\(event)") }
            #expect(batch.events.map(\.status) == [201] && batch.events[0].latency == .milliseconds(3))
            #expect(throws: MeshError.self) {
                _ = try CapturePublisher(publisher, service: "cart", secretMembers: ["/a~b"])
            }
        }

        @Test func `a capture is in the log`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = EventPublisher(connection)
                stage.run { await publisher.run() }
                let before = try stage.node.appliedSequence
                #expect(try CapturePublisher(publisher, service: "cart").capture(CapturedExchange(requestID: "r1")))
                #expect(try await eventually { publisher.figures.published == 1 })
                #expect(try stage.node.appliedSequence > before)
            }
        }
    }
}
