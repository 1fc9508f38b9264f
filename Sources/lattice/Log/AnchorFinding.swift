// What signed heads say of a log, for `lattice verify`.

import EventModel
import EventStore

/// The part of the finding that is about anchors.
struct AnchorFinding: Encodable, Sendable {
    var confirmed: Int
    var behindHorizon: Int
    var foreign: Int
    var wronglySigned: Int
    var contradictions: [String]
    /// The last sequence that is surely what it was; nil: none is.
    var anchoredSequence: UInt64?
    /// Records behind it.
    var tail: UInt64
    var digestsConfirmed = 0

    enum CodingKeys: String, CodingKey {
        case confirmed, foreign, contradictions, tail
        case behindHorizon = "behind_horizon"
        case wronglySigned = "wrongly_signed"
        case anchoredSequence = "anchored_sequence"
        case digestsConfirmed = "digests_confirmed"
    }

    /// Holds a log that was walked through against the anchors of a file; answers the heads it agrees with, too.
    static func check(
        _ path: String, publicKeyFile: String, _ report: VerificationReport
    ) throws(CommandFailure) -> (finding: AnchorFinding, heads: [SegmentHead]) {
        let key = try AnchorFile.publicKey(publicKeyFile)
        let all = try AnchorFile.anchors(path)
        let signed = all.filter { $0.isSigned(by: key) }
        let result = try readingLog { () throws(EventStoreError) in try report.check(signed.map(\.head)) }
        let anchored = result.anchoredSequence
        let last = report.lastSequence?.rawValue ?? 0
        let finding = AnchorFinding(
            confirmed: result.confirmed.count, behindHorizon: result.behindHorizon, foreign: result.foreign,
            wronglySigned: all.count - signed.count,
            contradictions: result.contradictions.map { "anchor at \($0.sequence): \($0.detail)" },
            anchoredSequence: anchored?.rawValue, tail: last - min(last, anchored?.rawValue ?? 0))
        return (finding, result.confirmed)
    }

    /// Whether at least one anchor confirms the log and none says otherwise.
    var isGood: Bool { confirmed > 0 && wronglySigned == 0 && contradictions.isEmpty }

    /// Holds the digests of a head against those of a replay up to it.
    mutating func note(_ head: SegmentHead, _ digests: [MachineDigest]) {
        let differing = head.machines.filter { anchored in
            digests.contains { $0.machine == anchored.machine && $0.digest != anchored.digest }
        }
        if differing.isEmpty { return digestsConfirmed += 1 }
        let names = differing.map(\.machine).joined(separator: ", ")
        contradictions.append("anchor at \(head.sequence): a replay gives another digest of \(names)")
    }

    func show(lastSequence: UInt64) {
        if wronglySigned > 0 { Terminal.complain("  anchors that this key has NOT signed: \(wronglySigned)") }
        for contradiction in contradictions { Terminal.complain("  \(contradiction)") }
        guard confirmed > 0 else {
            return Terminal.complain("  NO anchor of this log: nothing says that it was not written anew")
        }
        Terminal.say("  anchors confirmed: \(confirmed), of them by a replay's digests: \(digestsConfirmed)")
        if behindHorizon > 0 { Terminal.say("  anchors of what retention has dropped: \(behindHorizon)") }
        if let anchoredSequence {
            Terminal.say(
                "  anchored up to \(anchoredSequence); not anchored: the \(tail) records up to \(lastSequence)")
        }
    }
}
