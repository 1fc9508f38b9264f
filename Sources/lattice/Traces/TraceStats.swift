// What the trace collector holds, what it counted besides, and the settings that it judges by.

import ArgumentParser
import EventModel
import Endpoints

/// `lattice trace stats`
struct TraceStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "What is resident, what was dropped, and the settings.",
        discussion: "Example: lattice trace stats; `lattice publish configure-traces` changes the settings.")

    @OptionGroup var options: TraceOptions

    func run() async throws {
        let query = Lattice_V1_TraceQuery()
        if options.json { return try await options.printJSON(.stats, query) }
        let stats: Lattice_V1_CollectorStats = try await options.asking { try await $0.ask(.stats, query) }
        show(stats)
        show(stats.settings)
    }

    private func show(_ stats: Lattice_V1_CollectorStats) {
        var table = TextTable("COUNT", "WHAT")
        let rows: [(UInt64, String)] = [
            (stats.traceCount, "traces resident"), (stats.spanCount, "spans resident"),
            (stats.duplicates, "duplicates"), (stats.replaced, "of them better than the span before"),
            (stats.droppedSpans, "spans refused, their trace was full"),
            (stats.evictedTraces, "traces that made room for others"), (stats.evictedSpans, "their spans"),
            (stats.expiredTraces, "traces whose time was over"), (stats.lateSpans, "spans after the verdict"),
            (stats.overflowedEdges, "calls under __other__"), (stats.overflowedNames, "names under __other__"),
        ]
        for (count, text) in rows { table.add("\(count)", text) }
        table.show()
    }

    private func show(_ settings: Lattice_V1_TraceSettings) {
        Terminal.say("")
        var table = TextTable("SETTING", "VALUE")
        table.add("time to live", ShortDuration.of(settings.timeToLiveNs))
        table.add("spans a trace", "\(settings.spansPerTrace)")
        table.add("judged after", ShortDuration.of(settings.settleAfterNs))
        table.add("anomaly factor", "\(settings.anomalyFactor)")
        table.add("anomaly floor", ShortDuration.of(settings.anomalyFloorNs))
        table.add("anomaly samples", "\(settings.anomalySamples)")
        let threshold = settings.anomalyThresholdNs
        table.add("anomaly threshold", threshold == 0 ? "none" : ShortDuration.of(threshold))
        table.add("windows of 5 minutes", "\(settings.seriesWindows)")
        table.add("services, peers", "\(settings.services), \(settings.peers)")
        table.add("operations a service", "\(settings.operationsPerService)")
        for objective in settings.objectives {
            let points = objective.availabilityBasisPoints
            let hundredths = points % 100 < 10 ? "0\(points % 100)" : "\(points % 100)"
            table.add(
                "objective of \(objective.serviceName)",
                "\(ShortDuration.of(objective.latencyNs)), \(points / 100).\(hundredths) %")
        }
        table.show()
    }
}
