// The audit trail as people read it: a table, lines that come one by one, or JSON lines.

import EventModel
import Foundation

/// Collects entries, and shows them.
struct AuditSheet {
    private struct Line: Encodable {
        var action: String
        var actor: String
        var anchored: Bool?
        var detail: String
        var index: UInt32
        var object: String
        var reason: String
        var recorded_at: String
        var segment: String?
        var segment_hash: String?
        var sequence: UInt64
        var service: String
    }

    private let isJSON: Bool
    private let isStreamed: Bool
    private let proof: AuditProof?
    private var table: TextTable

    /// - Parameter isStreamed: entries are shown as they come, without a table's columns.
    init(isJSON: Bool, isStreamed: Bool, proof: AuditProof?) {
        self.isJSON = isJSON
        self.isStreamed = isStreamed
        self.proof = proof
        table =
            proof == nil
            ? TextTable("SEQUENCE", "TIME", "WHO", "WHAT", "SERVICE", "OBJECT", "WHY", "DETAIL")
            : TextTable("SEQUENCE", "TIME", "WHO", "WHAT", "SERVICE", "OBJECT", "WHY", "DETAIL", "PROOF")
    }

    mutating func add(_ entry: Lattice_V1_AuditEntry) {
        if isJSON { return Terminal.say(JSONOutput.encode(line(entry))) }
        let place = entry.index == 0 ? "\(entry.sequence)" : "\(entry.sequence).\(entry.index)"
        let cells = [
            place, AnswerText.time(entry.recordedAt), entry.actor, entry.action, entry.service, entry.object,
            entry.reason, entry.detail,
        ]
        if isStreamed {
            let shown = cells.filter { !$0.isEmpty }.map { Terminal.escaped($0) }
            return Terminal.say(shown.joined(separator: "  "))
        }
        table.add(proof == nil ? cells : cells + [word(entry.sequence)])
    }

    /// What is proved of a record, in a few words.
    private func word(_ sequence: UInt64) -> String {
        guard let proof else { return "" }
        let (segment, hash) = proof.place(of: sequence)
        let chained = hash.map { "chained \($0.prefix(16))" } ?? "checksum only"
        return "\(proof.isAnchored(sequence) ? "anchored, " : "")\(chained), \(segment)"
    }

    private func line(_ entry: Lattice_V1_AuditEntry) -> Line {
        var line = Line(
            action: entry.action, actor: entry.actor, detail: entry.detail, index: entry.index,
            object: entry.object, reason: entry.reason,
            recorded_at: RFC3339Text.of(Timestamp(nanoseconds: entry.recordedAt)), sequence: entry.sequence,
            service: entry.service)
        if let proof {
            (line.segment, line.segment_hash) = proof.place(of: entry.sequence)
            line.anchored = proof.isAnchored(entry.sequence)
        }
        return line
    }

    func finish() {
        if !isJSON && !isStreamed {
            if table.isEmpty { Terminal.say("nothing administrative happened") } else { table.show() }
            proof?.show()
        }
    }
}
