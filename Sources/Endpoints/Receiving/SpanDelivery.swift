// From translated spans to durable ones: publishes, and waits for what the node says of each message.

import EventModel
package import Messaging
import Metrics
package import TraceFormats

/// Publishes an event and waits for its outcome; throws `timeout` where none came. Given from outside, since waiting on
/// a subscription takes a thread.
package typealias PublishWithOutcome = @Sendable (Message, Duration) async throws(BusError) -> Message

/// Publishes batches of spans.
package struct SpanDelivery: Sendable {
    /// What became of a request.
    package struct Report: Sendable {
        /// Spans that nobody will ever take.
        package var refusals = SpanRefusals()
        package var acceptedCount = 0
        /// Why the sender has to come again with all of it; what was taken already is known by its key.
        package var trouble: Trouble?
    }

    /// Why spans were not taken now.
    package enum Trouble: Sendable, Hashable {
        /// Too much at once: the service's rate, the disk, or requests under way.
        case backPressure(String)
        /// No node answers.
        case unavailable(String)
    }

    private let prefix: String
    private let timeout: Duration
    private let outcome: PublishWithOutcome
    private static let messagesUnderWay = 16
    /// Reasons of a rejection that pass by.
    private static let passing: Set<String> = ["rate_limited", "disk_pressure", "disk_full", "overloaded"]

    /// - Parameter timeout: how long an outcome may take.
    package init(prefix: String, timeout: Duration = .seconds(10), outcome: @escaping PublishWithOutcome) {
        self.prefix = prefix
        self.timeout = timeout
        self.outcome = outcome
    }

    /// Publishes all messages, at most sixteen at a time, and waits until each is durable and applied, or is not.
    package func deliver(_ translation: SpanTranslation) async -> Report {
        var report = Report(refusals: translation.refusals)
        if translation.messages.count == 1 {
            add(await settle(translation.messages[0]), to: &report)
            return report
        }
        await withTaskGroup(of: Report.self) { group in
            for (index, message) in translation.messages.enumerated() {
                if index >= Self.messagesUnderWay, let settled = await group.next() { add(settled, to: &report) }
                if report.trouble != nil { break }
                group.addTask { await settle(message) }
            }
            for await settled in group { add(settled, to: &report) }
        }
        return report
    }

    private func add(_ other: Report, to report: inout Report) {
        report.refusals.add(other.refusals)
        report.acceptedCount += other.acceptedCount
        report.trouble = report.trouble ?? other.trouble
    }

    private func settle(_ message: SpanMessage) async -> Report {
        let event = Message(
            subject: "\(prefix).events.trace.\(SubjectToken.escape(message.serviceName)).spans",
            headers: [MessageHeader("Content-Type", "application/x-protobuf")], payload: message.payload)
        do throws(BusError) {
            return judge(try await outcome(event, timeout), message)
        } catch {
            var report = Report()
            if error.code == .messageTooLarge {
                report.refusals.add("message_too_large", message.spanCount)
            } else {
                report.trouble = .unavailable(error.code.rawValue)
            }
            return report
        }
    }

    private func judge(_ answer: Message, _ message: SpanMessage) -> Report {
        var report = Report()
        guard let verdict = SpanOutcome(answer.payload) else {
            report.trouble = .unavailable("the outcome is not understood")
            return report
        }
        switch verdict.word {
        case "accepted", "duplicate", "opaque":
            for reason in verdict.refused { report.refusals.add(reason) }
            report.acceptedCount = message.spanCount - verdict.refused.count
        case "rejected" where Self.passing.contains(verdict.reason): report.trouble = .backPressure(verdict.reason)
        case "refused" where !verdict.refused.isEmpty:
            for reason in verdict.refused { report.refusals.add(reason) }
        default: report.refusals.add(verdict.reason.isEmpty ? verdict.word : verdict.reason, message.spanCount)
        }
        return report
    }
}

/// What a receiver reads of an outcome (schemas/lattice/v1/queries.proto, `OutcomeAnswer`).
private struct SpanOutcome {
    var word = ""
    var reason = ""
    var refused: [String] = []

    init?(_ payload: [UInt8]) {
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 3: word = String(decoding: payload[field.range], as: UTF8.self)
            case 5: refused.append(Self.reason(payload, field.range))
            case 6: reason = String(decoding: payload[field.range], as: UTF8.self)
            default: break
            }
        }
        if !cursor.isComplete || word.isEmpty { return nil }
    }

    private static func reason(_ payload: [UInt8], _ range: Range<Int>) -> String {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: payload.span) {
            if field.number == 2 { return String(decoding: payload[field.range], as: UTF8.self) }
        }
        return "refused"
    }
}

/// The figures of one endpoint.
struct ReceiverMetrics: Sendable {
    private let accepted: Counter
    private let refused: Counter
    private let failed: Counter

    init(_ face: String) {
        accepted = Counter(label: "lattice_receiver_spans_accepted_total", dimensions: [("face", face)])
        refused = Counter(label: "lattice_receiver_spans_refused_total", dimensions: [("face", face)])
        failed = Counter(label: "lattice_receiver_requests_failed_total", dimensions: [("face", face)])
    }

    func count(_ report: SpanDelivery.Report) {
        accepted.increment(by: Int64(report.acceptedCount))
        refused.increment(by: Int64(report.refusals.total))
        if report.trouble != nil { failed.increment() }
    }

    func countFailure() { failed.increment() }
}
