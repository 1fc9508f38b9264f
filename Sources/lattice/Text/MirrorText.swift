// The mirror's answers as tables, and differences side by side.

import EventModel
import Foundation
import SwiftProtobuf

/// Shows answers to people.
enum MirrorText {
    private static func decoded<Body: SwiftProtobuf.Message>(_ payload: [UInt8], _ type: Body.Type) throws -> Body {
        do {
            return try Body(serializedBytes: payload)
        } catch {
            throw CommandFailure(.failed, "the answer is not understood: \(error); is the node of another version?")
        }
    }

    static func position(_ asOf: Lattice_V1_AsOf) {
        Terminal.say("as of sequence \(asOf.sequence), \(AnswerText.time(asOf.recordedAt))")
    }

    static func list(_ payload: [UInt8]) throws {
        let answer = try decoded(payload, Lattice_V1_MirrorsAnswer.self)
        var table = TextTable("MIRROR", "SOURCE", "SHADOW", "BASELINE", "MODE", "RATE", "TIMEOUT", "STATE")
        for state in answer.mirrors {
            let mirror = state.mirror
            let mode = mirror.mode.isEmpty ? MirrorMode.sampled.name : mirror.mode
            let points = mirror.hasSampleRateBasisPoints ? mirror.sampleRateBasisPoints : 100
            let timeout = mirror.hasTimeoutNs ? mirror.timeoutNs : 1_000_000_000
            let word = mirror.disabled ? "disabled" : state.shadowNotAllowed ? "shadow not allowed" : "enabled"
            table.add(
                mirror.mirrorID, state.sourceService, mirror.shadowEndpoint, mirror.baselineEndpoint, mode,
                mode == MirrorMode.sampled.name ? percent(UInt64(points)) : "", "\(timeout / 1_000_000)ms", word)
        }
        if table.isEmpty { Terminal.say("no mirrors") } else { table.show() }
        if !answer.allowedShadows.isEmpty {
            let loopback = answer.allowLoopback ? ", loopback too" : ""
            Terminal.say("allowed: \(answer.allowedShadows.map(Terminal.escaped).joined(separator: ", "))\(loopback)")
        }
        position(answer.asOf)
    }

    static func stats(_ payload: [UInt8]) throws {
        let answer = try decoded(payload, Lattice_V1_MirrorsAnswer.self)
        var table = TextTable(
            "MIRROR", "PENDING", "MIRRORED", "ANSWERED", "EQUAL", "DIFFERENT", "UNDECIDED", "NOT CARRIED OUT",
            "MEAN", "MAX")
        for state in answer.mirrors {
            let mean = state.succeeded == 0 ? 0 : state.latencyTotalNs / Int64(clamping: state.succeeded)
            let lost = state.mirrored - min(state.mirrored, state.pending + state.succeeded)
            table.add(
                state.mirror.mirrorID, "\(state.pending)", "\(state.mirrored)", "\(state.succeeded)",
                "\(state.equal)", "\(state.different)", "\(state.undecided)", "\(lost)", milliseconds(mean),
                milliseconds(state.latencyMaxNs))
        }
        if table.isEmpty { Terminal.say("no mirrors") } else { table.show() }
        position(answer.asOf)
    }

    static func ledger(_ payload: [UInt8]) throws {
        let answer = try decoded(payload, Lattice_V1_MirrorLedgerAnswer.self)
        var table = TextTable("MIRROR", "REASON", "COUNT")
        for row in answer.rows {
            let name = row.mirrorID.isEmpty ? "(removed mirrors)" : row.mirrorID
            for entry in row.entries { table.add(name, entry.reason, "\(entry.count)") }
        }
        if table.isEmpty { Terminal.say("nothing was skipped, dropped or refused") } else { table.show() }
        position(answer.asOf)
    }

    /// Basis points as a percentage.
    static func percent(_ basisPoints: UInt64) -> String {
        let rest = basisPoints % 100
        return "\(basisPoints / 100).\(rest < 10 ? "0" : "")\(rest) %"
    }

    static func milliseconds(_ nanoseconds: Int64) -> String {
        nanoseconds == 0 ? "" : String(format: "%.2fms", Double(nanoseconds) / 1_000_000)
    }
}

/// Two columns with the sides of a difference.
struct SideBySide {
    let isColoured: Bool
    /// Characters of one column.
    let width: Int

    /// The lines of one difference: production left, in green, the shadow right, in red.
    func lines(production: String, shadow: String) -> [String] {
        let left = wrapped(Terminal.escaped(production.isEmpty ? "(nothing)" : production))
        let right = wrapped(Terminal.escaped(shadow.isEmpty ? "(nothing)" : shadow))
        return (0..<max(left.count, right.count)).map { row in
            let one = row < left.count ? left[row] : ""
            let other = row < right.count ? right[row] : ""
            let blanks = String(repeating: " ", count: width - one.count)
            return "    \(painted(one, 32))\(blanks) | \(painted(other, 31))"
        }
    }

    /// Text in a colour of the terminal (ECMA-48, SGR), if colours are wanted.
    func painted(_ text: String, _ colour: Int) -> String {
        isColoured && !text.isEmpty ? "\u{1B}[\(colour)m\(text)\u{1B}[0m" : text
    }

    private func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(String(rest.prefix(width)))
            rest = rest.dropFirst(width)
        }
        return lines
    }
}
