// ReplySender over a real nats-server: without a node, and with somebody who answers like one.

import EventModel
import Foundation
import Logging
import Messaging
import NATSMessaging
@testable import Endpoints
import Testing
import TraceFormats

@Suite struct `ReplySender of spans` {
    private func translation(services: [String]) -> SpanTranslation {
        var batches = SpanBatches()
        for (index, service) in services.enumerated() {
            batches.append(
                TraceSpan(
                    spanID: SpanID(UInt64(index + 1)), traceID: TraceID(high: 1, low: 1), serviceName: service,
                    operationName: "op", startTime: Timestamp(nanoseconds: 5), endTime: Timestamp(nanoseconds: 6)))
        }
        return batches.finish()
    }

    /// Runs a story with a bus; `answer` says what a node would about a message, nil: nothing.
    private func withBus(
        answer: (@Sendable (Message) -> [UInt8]?)?, _ story: (SpanDelivery) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/lattice-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let server = try await EmbeddedNATSServer.start(EmbeddedNATSServer.Options(directory: directory))
        var configuration = NATSConfiguration(servers: [server.url], name: "test")
        configuration.sendsAtOnce = true
        let bus = try await NATSMessageBus.connect(configuration, logger: Logger(label: "test"))
        if let answer {
            let subscription = try bus.subscribe("lattice.events.trace.>", queueGroup: nil, limits: .standard)
            Thread {
                while let messages = try? subscription.receive(maximum: 16, timeout: .milliseconds(100)) {
                    for message in messages {
                        guard let inbox = message.header("Lattice-Reply"), let payload = answer(message) else {
                            continue
                        }
                        try? bus.publish(Message(subject: inbox, payload: payload))
                    }
                }
            }.start()
            try await bus.flush(timeout: .seconds(5))
        }
        let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
        let delivery = SpanDelivery(prefix: "lattice", timeout: .milliseconds(300)) {
            message, timeout throws(BusError) in
            try await inbox.outcome(of: message, timeout: timeout)
        }
        try await story(delivery)
        await bus.close()
        await server.terminate()
    }

    private static func outcome(_ word: String, reason: String = "", refused: [String] = []) -> [UInt8] {
        var writer = WireWriter()
        writer.field(3, word)
        for (index, reason) in refused.enumerated() {
            writer.message(5) { inner in
                inner.field(1, index)
                inner.field(2, reason)
            }
        }
        writer.field(6, reason)
        return writer.bytes
    }

    @Test func `without a node there is trouble that passes`() async throws {
        try await withBus(answer: nil) { delivery in
            let report = await delivery.deliver(translation(services: ["a"]))
            #expect(report.trouble == .unavailable("timeout") && report.acceptedCount == 0)
        }
    }

    @Test func `each message goes to the subject of its service, and refusals are added up`() async throws {
        try await withBus(answer: { message in
            message.subject == "lattice.events.trace.b%2Fc.spans"
                ? Self.outcome("refused", refused: ["too_old"]) : Self.outcome("accepted")
        }) { delivery in
            let report = await delivery.deliver(translation(services: ["a", "b/c", "a"]))
            #expect(report.trouble == nil && report.acceptedCount == 2)
            #expect(report.refusals.summary == "1 × too_old")
        }
    }

    @Test func `a rate that is used up passes, any other rejection is for ever`() async throws {
        try await withBus(answer: { message in
            Self.outcome("rejected", reason: message.subject.contains(".busy.") ? "rate_limited" : "wrong_owner")
        }) { delivery in
            let busy = await delivery.deliver(translation(services: ["busy"]))
            #expect(busy.trouble == .backPressure("rate_limited") && busy.refusals.isEmpty)
            let refused = await delivery.deliver(translation(services: ["else"]))
            #expect(refused.trouble == nil && refused.refusals.summary == "1 × wrong_owner")
        }
    }

    @Test func `more messages than may be under way all arrive`() async throws {
        try await withBus(answer: { _ in Self.outcome("accepted") }) { delivery in
            let report = await delivery.deliver(translation(services: (0..<100).map { "service-\($0)" }))
            #expect(report.trouble == nil && report.acceptedCount == 100)
        }
    }

    @Test func `a budget refuses what does not fit and gives back what was spent`() async {
        let budget = ReceiverBudget(bytes: 100)
        let inner = await budget.spend(60) { await budget.spend(60) { 1 } }
        #expect(inner == .some(nil))
        #expect(await budget.spend(100) { 2 } == 2)
    }
}
