// Verdicts on traces and objectives of services under other thresholds.

import EventModel

/// Judges anew what the collector judged. A verdict says what it was judged by, so no second collector is needed.
struct VerdictComparison: Sendable {
    /// How often the collector is looked at, in log time: far more often than a trace is forgotten.
    private static let interval = Nanoseconds.seconds(60)

    private let settings: WhatIfSettings
    private var seen: Set<TraceID> = []
    private var lastLook: Timestamp
    private var rows = WhatIfReport.Rows<WhatIfReport.Judged>()
    private var judgedCount = 0
    private var recordedCount = 0
    private var changedCount = 0
    private var objectives = WhatIfReport.Rows<WhatIfReport.Objective>()
    private var windowCount = 0
    /// The first window of five minutes whose objectives were not looked at; nil: the log has not begun.
    private var nextWindow: Int64?

    /// Verdicts that the collector has given already are not looked at.
    init(_ settings: WhatIfSettings, _ collector: TraceCollector) {
        self.settings = settings
        lastLook = collector.moment.logTime
        if lastLook != .zero { nextWindow = SeriesKey.window(of: lastLook.rawValue) }
        collector.forEachVerdict { id, _, _ in seen.insert(id) }
    }

    mutating func look(at collector: TraceCollector) {
        if nextWindow == nil { nextWindow = SeriesKey.window(of: collector.moment.logTime.rawValue) }
        if collector.moment.logTime - lastLook < Self.interval { return }
        lastLook = collector.moment.logTime
        judge(collector)
        // Windows are looked at as late as possible, since late spans still change them.
        let oldest = SeriesKey.window(of: lastLook.rawValue) - collector.settings.windows + 2
        lookAtObjectives(collector, before: oldest)
    }

    /// Before the collector's own settings change: what was judged until then was judged by the present ones.
    mutating func settingsWillChange(_ collector: TraceCollector) { judge(collector) }

    mutating func finish(_ collector: TraceCollector) {
        judge(collector)
        lookAtObjectives(collector, before: SeriesKey.window(of: collector.moment.logTime.rawValue) + 1)
    }

    private mutating func judge(_ collector: TraceCollector) {
        if settings.anomalyFactor == nil && settings.anomalyThreshold == nil { return }
        var found: [(TraceID, TraceVerdict, SpanFacts)] = []
        collector.forEachVerdict { id, verdict, root in
            guard seen.insert(id).inserted else { return }
            let changed = anew(verdict, collector.settings)
            judgedCount += 1
            recordedCount += verdict.isAnomalous ? 1 : 0
            changedCount += changed.isAnomalous ? 1 : 0
            if changed.isSlow == verdict.isSlow && changed.isOverThreshold == verdict.isOverThreshold { return }
            found.append((id, verdict, root()))
        }
        found.sort { left, right in
            left.2.startTime != right.2.startTime ? left.2.startTime < right.2.startTime : left.0 < right.0
        }
        for (id, verdict, root) in found {
            rows.add(
                WhatIfReport.Judged(
                    traceID: id, serviceName: root.serviceName, operationName: root.operationName, recorded: verdict,
                    changed: anew(verdict, collector.settings)))
        }
    }

    /// The same trace under the changed settings: limit = median + k × width (decision 20).
    private func anew(_ verdict: TraceVerdict, _ recorded: TraceSettings) -> TraceVerdict {
        var result = verdict
        if let factor = settings.anomalyFactor, verdict.limit != .zero, verdict.limit.rawValue != .max {
            let width = (verdict.limit.rawValue &- verdict.median.rawValue) / max(1, recorded.anomalyFactor)
            let (product, overflow) = width.multipliedReportingOverflow(by: factor)
            let (sum, isTooMuch) = verdict.median.rawValue.addingReportingOverflow(product)
            result.limit = Nanoseconds(overflow || isTooMuch ? .max : sum)
            result.isSlow = verdict.duration > result.limit
        }
        if let threshold = settings.anomalyThreshold {
            result.isOverThreshold = threshold > .zero && verdict.duration > threshold
        }
        return result
    }

    private mutating func lookAtObjectives(_ collector: TraceCollector, before end: Int64) {
        guard !settings.objectives.isEmpty, var window = nextWindow, window < end else { return }
        let changed = NamedObjectives(settings.objectives)
        while window < end {
            let series = collector.series(windows: window...window)
            let recorded = series.complianceReport(collector.settings.objectives)
            for row in series.complianceReport(changed) where row.requestCount > 0 {
                let before = recorded.first { $0.serviceName.equalsInBytes(row.serviceName) }
                windowCount += 1
                if before?.isCompliant == row.isCompliant { continue }
                objectives.add(
                    WhatIfReport.Objective(
                        serviceName: row.serviceName,
                        windowStart: Timestamp(nanoseconds: window * SeriesKey.windowLength.rawValue),
                        requests: row.requestCount, goodRecorded: before?.goodCount, goodChanged: row.goodCount,
                        isKeptRecorded: before?.isCompliant, isKeptChanged: row.isCompliant))
            }
            window += 1
        }
        nextWindow = window
    }

    func fill(_ report: inout WhatIfReport) {
        report.verdicts = rows
        report.judgedTraces = judgedCount
        report.recordedAnomalies = recordedCount
        report.changedAnomalies = changedCount
        report.objectives = objectives
        report.objectiveWindows = windowCount
    }
}

extension TraceCollector {
    /// Every resident trace that was judged, with its root where it has one, else its first span; in no order.
    func forEachVerdict(_ body: (TraceID, TraceVerdict, () -> SpanFacts) -> Void) {
        for partition in partitions {
            for case let row? in partition.traces {
                guard let verdict = row.verdict else { continue }
                body(row.id, verdict) { facts(row.rows[row.root ?? 0], row.id) }
            }
        }
    }
}
