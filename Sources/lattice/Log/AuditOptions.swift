// Who does what is told to the audit trail: the options, and the events of those who take copies.

import ArgumentParser
import EventModel
import Foundation
import SwiftProtobuf

/// Who changes what belongs to a service.
struct AdministratorOptions: ParsableArguments {
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal at the subject's end, which NATS permissions enforce (default: nobody, which the "
                + "audit trail shows as unverified).", valueName: "name"))
    var name = ""
}

/// Who reads captured contents, and why.
struct ReaderOptions: ParsableArguments {
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who reads: the principal at the subject's end, which NATS permissions enforce (default: the user of this "
                + "machine, which the audit trail shows as unverified).", valueName: "name"))
    var name = ""
    @Option(help: "Why; for the audit trail.") var reason = ""

    /// A question with what is recorded of whoever asks it.
    func signed(_ query: MirrorQuery) -> MirrorQuery {
        var query = query
        query.actor = claimed
        query.reason = reason
        return query
    }

    /// Who this machine says it is, where nobody said who they are.
    var claimed: String {
        guard name.isEmpty else { return "" }
        let user = ProcessInfo.processInfo.environment["USER"] ?? ProcessInfo.processInfo.userName
        return user.utf8.count <= Limits.identifierBytes ? user : ""
    }
}

/// The ends of events' subjects.
enum EventSubject {
    /// `mirror.checkout.added`, and who did it behind it.
    static func of(_ type: EventType, owner: String, administrator: String = "") -> String {
        let subject = "\(type.family.rawValue).\(SubjectToken.escape(owner)).\(type.name)"
        return administrator.isEmpty ? subject : subject + ".\(SubjectToken.escape(administrator))"
    }
}

extension NodeClient {
    /// Tells the log that a copy is about to be taken; returns when that is durable.
    func tell(_ reader: ReaderOptions, _ export: Exported) async throws(CommandFailure) {
        var export = export
        export.actor = reader.claimed
        export.reason = reader.reason
        guard let (type, facts) = EventCodec.encode(.audit(.exported(export))) else {
            preconditionFailure("no opaque events here")
        }
        let principal = reader.name.isEmpty ? Unverified.principal : reader.name
        let payload = try await publish(EventSubject.of(type, owner: principal), facts, id: nil, asJSON: false)
        guard let outcome = try? Lattice_V1_OutcomeAnswer(serializedBytes: payload),
            ["accepted", "duplicate"].contains(outcome.outcome)
        else {
            throw CommandFailure(
                .failed, "the node did not record that a copy is taken, so none was taken")
        }
    }
}

extension Exported {
    /// Of captured requests.
    init(_ harvest: CaptureHarvest, of range: CaptureRange, as format: String, to target: String) {
        self.init(
            what: "captures", format: format, sourceService: range.service, firstSequence: range.first,
            lastSequence: range.last, count: UInt64(harvest.exchanges.count), target: Self.short(target))
    }

    /// The end of a long name: events have limits.
    static func short(_ text: String) -> String {
        text.utf8.count <= Limits.valueBytes ? text : String(decoding: text.utf8.suffix(1_024), as: UTF8.self)
    }
}
