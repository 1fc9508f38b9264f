// A what-if for people: each kind of decision in sum, then the rows that differ.

import NodeRuntime
import EventModel
import StateMachines

/// Prints a report; text from the mesh is made safe to show.
struct WhatIfText {
    private let report: WhatIfReport
    private let settings: WhatIfSettings
    private let limit: Int

    init(_ report: WhatIfReport, _ settings: WhatIfSettings, limit: Int) {
        self.report = report
        self.settings = settings
        self.limit = limit
    }

    func show() {
        say(
            "records \(report.from.sequence.next) to \(report.through.sequence), \(report.recordCount) taken twice: as "
                + "recorded, and with the changed settings")
        if settings.registry != RegistryConfiguration() { showRegistry() }
        if settings.strategy != nil || settings.registry != RegistryConfiguration() { showSelections() }
        if !settings.mirror.isEmpty { showMirrors() }
        if settings.anomalyFactor != nil || settings.anomalyThreshold != nil { showVerdicts() }
        if !settings.objectives.isEmpty { showObjectives() }
        if report.isEmpty { title("no decision would have been different") }
        title("open loop: what was recorded stays as it was; latency and what would have followed were not simulated")
    }

    private func say(_ text: String) { Terminal.say(Terminal.escaped(text)) }

    /// Behind an empty line.
    private func title(_ text: String) {
        Terminal.say("")
        say(text)
    }

    private func list(_ count: Int, _ lines: [String]) {
        for line in lines.prefix(limit) { say("  " + line) }
        let rest = count - min(limit, lines.count)
        if rest > 0 { say("  and \(rest) more") }
    }

    // MARK: Registry

    private func showRegistry() {
        title(
            "evictions: \(report.recordedEvictions) recorded, \(report.changedEvictions) under the changed settings, "
                + "\(report.equalEvictions) at the same record")
        list(report.evictions.count, report.evictions.rows.map(Self.line))
        if report.episodes.count > 0 {
            let word = report.episodes.count == 1 ? "episode" : "episodes"
            title("guard and panic: \(report.episodes.count) \(word) that only one side has")
            list(report.episodes.count, report.episodes.rows.map(Self.line))
        }
        if report.refusals.isEmpty { return }
        title("events refused on one side only")
        for (reason, counts) in report.refusals.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            say("  \(reason.name): \(counts.recorded) as recorded, \(counts.changed) under the changed settings")
        }
    }

    private static func line(_ eviction: WhatIfReport.Eviction) -> String {
        let subject = "\(eviction.serviceName) \(eviction.instanceID)"
        let what =
            switch (eviction.recorded, eviction.changed) {
            case (let recorded?, nil): "evicted at record \(recorded.sequence) (\(eviction.reason)): would have stayed"
            case (nil, let changed?):
                "stayed: would have been evicted at record \(changed.sequence) (\(eviction.reason))"
            case (let recorded?, let changed?):
                "evicted at record \(recorded.sequence): would have been at \(changed.sequence), "
                    + later(recorded, changed)
            case (nil, nil): ""
            }
        let first = [eviction.recorded, eviction.changed].compactMap(\.self).min { $0.sequence < $1.sequence }
        guard let heard = eviction.heardAgain, let first else { return "\(subject) \(what)" }
        let silence = ShortDuration.of((heard.recordedAt - first.recordedAt).rawValue)
        return "\(subject) \(what); it was heard again at record \(heard.sequence), \(silence) after"
    }

    private static func later(_ recorded: AsOf, _ changed: AsOf) -> String {
        let distance = (changed.recordedAt - recorded.recordedAt).rawValue
        return distance >= 0 ? "\(ShortDuration.of(distance)) later" : "\(ShortDuration.of(-distance)) earlier"
    }

    private static func line(_ episode: WhatIfReport.Episode) -> String {
        let side = episode.isChanged ? "would have been" : "was, as recorded,"
        let word = episode.kind == .guarded ? "guarded" : "below the panic threshold"
        let end = episode.ended.map { "to record \($0.sequence)" } ?? "to the end"
        return "\(episode.serviceName) \(side) \(word) from record \(episode.began.sequence) \(end)"
    }

    // MARK: Selections

    private func showSelections() {
        if report.selectionCount == 0 { return title("selections: none was recorded") }
        let unknown = report.selectionCount - report.reproducedSelections
        title(
            "selections: \(report.selections.count) of \(report.selectionCount) recorded ones would have named another "
                + "instance")
        if unknown > 0 {
            say(
                "  \(unknown) of them the log alone does not make again: the balancer knew loads or a cursor that it does "
                    + "not hold; the recorded column is what the log makes of them")
        }
        var table = TextTable("SERVICE", "INSTANCE", "RECORDED", "CHANGED")
        for share in report.shares {
            table.add(
                share.serviceName, share.instanceID.isEmpty ? "(nobody)" : share.instanceID, "\(share.recorded)",
                "\(share.changed)")
        }
        for line in table.lines { Terminal.say("  " + line) }
        list(
            report.selections.count,
            report.selections.rows.map { row in
                let trace = row.traceID.map { "  trace \($0)" } ?? ""
                let changed = row.changed.isEmpty ? "nobody" : row.changed
                return "\(row.position.sequence)  \(row.serviceName)  \(row.recorded) -> \(changed)\(trace)"
            })
    }

    // MARK: Mirrors

    private func showMirrors() {
        if report.mirrors.isEmpty { return title("mirrors: no request was captured for one") }
        title("mirrors")
        var table = TextTable("MIRROR", "CAPTURED", "COPIED", "WOULD BE", "DIFFERENCES", "OF THEM UNSEEN")
        for mirror in report.mirrors {
            table.add(
                mirror.mirrorID, "\(mirror.captured)", "\(mirror.recorded)", "\(mirror.changed)",
                "\(mirror.differences)", "\(mirror.lostDifferences)")
        }
        for line in table.lines { Terminal.say("  " + line) }
        for mirror in report.mirrors {
            for path in mirror.lostPaths.prefix(limit) {
                say(
                    "  \(mirror.mirrorID): \(path.kind.name) at \(path.part.name) \(path.pattern) would never have been seen"
                )
            }
        }
        list(
            report.captures.count,
            report.captures.rows.map { row in
                func word(_ reason: MirrorLedgerReason?) -> String { reason?.name ?? "copied" }
                return "\(row.position.sequence)  \(row.mirrorID)  \(row.requestID)  \(word(row.recorded)) -> "
                    + word(row.changed)
            })
    }

    // MARK: Traces

    private func showVerdicts() {
        title(
            "traces out of the ordinary: \(report.recordedAnomalies) recorded, \(report.changedAnomalies) under the "
                + "changed settings, of \(report.judgedTraces) judged")
        list(
            report.verdicts.count,
            report.verdicts.rows.map { row in
                let limit = row.changed.limit == .zero ? "" : ", limit \(ShortDuration.of(row.changed.limit.rawValue))"
                return "\(row.traceID)  \(row.serviceName) \(row.operationName)  "
                    + "\(ShortDuration.of(row.recorded.duration.rawValue))\(limit)  \(Self.word(row.recorded)) -> "
                    + Self.word(row.changed)
            })
    }

    static func word(_ verdict: TraceVerdict) -> String {
        let words = [
            verdict.isSlow ? "slow" : "", verdict.isOverThreshold ? "over the threshold" : "",
            verdict.hasError ? "failed" : "",
        ].filter { !$0.isEmpty }
        return words.isEmpty ? "ordinary" : words.joined(separator: ", ")
    }

    private func showObjectives() {
        title(
            "objectives: \(report.objectives.count) of \(report.objectiveWindows) windows of five minutes would have "
                + "been judged otherwise")
        if report.objectiveWindows == 0 { Terminal.say("  none of these services has a span in these records") }
        list(
            report.objectives.count,
            report.objectives.rows.map { row in
                let before = row.isKeptRecorded.map { $0 ? "kept" : "missed" } ?? "no objective"
                return
                    "\(RFC3339.text(row.windowStart))  \(row.serviceName)  \(row.goodChanged) of \(row.requests) good  "
                    + "\(before) -> \(row.isKeptChanged ? "kept" : "missed")"
            })
    }
}
