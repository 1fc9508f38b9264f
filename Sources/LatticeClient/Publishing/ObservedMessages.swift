// Events of an observer as messages: one kind for one service in each, cut to what the server takes.

internal import EventModel
internal import MeshRules
internal import Messaging

/// What one message carries.
struct ObservedKind: Hashable, Sendable {
    var type: EventType
    var service: String

    /// How many batches may be under way at once: what is said of an instance's health and load must arrive in order.
    var parallel: Int { type == .healthReported || type == .loadReported ? 1 : 8 }
}

/// One event that waits.
enum ObservedEvent: Sendable {
    case health(HealthReport)
    case load(LoadReport)
    case selection(InstanceSelection)
    case capture(MadeCapture)
}

/// Makes the messages of one kind.
struct ObservedMessages {
    let subject: String
    let kind: ObservedKind
    let bytesMaximum: Int

    func encode(_ events: [ObservedEvent]) -> [EncodedBatch] {
        let service = kind.service
        switch kind.type {
        case .healthReported:
            let reports = events.compactMap { if case .health(let report) = $0 { report } else { nil } }
            return batches(reports[...]) { .registry(.healthReported(Batch(serviceName: service, events: $0))) }
        case .loadReported:
            let reports = events.compactMap { if case .load(let report) = $0 { report } else { nil } }
            return loads(reports)
        case .instanceSelected:
            let choices = events.compactMap { if case .selection(let choice) = $0 { choice } else { nil } }
            return batches(choices[...]) { .registry(.instanceSelected(Batch(serviceName: service, events: $0))) }
        case .requestCaptured:
            let captures = events.compactMap { if case .capture(let capture) = $0 { capture } else { nil } }
            return self.captures(captures[...])
        default: return []
        }
    }

    /// The latest count of each instance by each reporter; those before it count as told.
    private func loads(_ reports: [LoadReport]) -> [EncodedBatch] {
        struct Owner: Hashable {
            var instance: String
            var reporter: String
        }
        var places: [Owner: Int] = [:]
        var latest: [LoadReport] = []
        for report in reports {
            let owner = Owner(instance: report.instanceID, reporter: report.reporter)
            if let place = places[owner] {
                latest[place] = report
            } else {
                places[owner] = latest.count
                latest.append(report)
            }
        }
        let service = kind.service
        var result = batches(latest[...]) { .registry(.loadReported(Batch(serviceName: service, events: $0))) }
        if !result.isEmpty { result[0].count += reports.count - latest.count }
        return result
    }

    private func captures(_ captures: ArraySlice<MadeCapture>) -> [EncodedBatch] {
        let event = MirrorEvent.captured(Batch(serviceName: kind.service, events: captures.map(\.fact)))
        let contents = MirrorAttachment.encode(captures.map(\.content))
        let payload = MirrorAttachment.message(event, contents: contents).payload
        let facts = MirrorAttachment.split(payload[...], of: kind.type).facts
        if let batch = batch(payload, facts: facts, count: captures.count) { return [batch] }
        if captures.count <= 1 { return [] }
        let middle = captures.startIndex + captures.count / 2
        return self.captures(captures[..<middle]) + self.captures(captures[middle...])
    }

    /// All in one message, or half by half where they are too large or one of them breaks the rules.
    private func batches<Event>(
        _ events: ArraySlice<Event>, _ make: ([Event]) -> EventModel.Event
    ) -> [EncodedBatch] {
        if events.isEmpty { return [] }
        if let facts = EventCodec.encode(make(Array(events)))?.facts,
            let batch = batch(facts, facts: facts[...], count: events.count)
        {
            return [batch]
        }
        if events.count == 1 { return [] }
        let middle = events.startIndex + events.count / 2
        return batches(events[..<middle], make) + batches(events[middle...], make)
    }

    private func batch(_ payload: [UInt8], facts: ArraySlice<UInt8>, count: Int) -> EncodedBatch? {
        guard payload.count <= bytesMaximum,
            (try? EventCodec.decode(
                type: kind.type.rawValue, schemaVersion: EventType.currentSchemaVersion, facts: facts)) != nil
        else { return nil }
        return EncodedBatch(
            message: Message(
                subject: subject, headers: [MessageHeader("Content-Type", "application/protobuf")], payload: payload),
            count: count)
    }
}
