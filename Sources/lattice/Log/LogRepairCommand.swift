// Decides about a log that a start refuses: what each way costs first, then what was chosen.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore

/// `lattice log repair`
struct LogRepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Decide about damage, or missing records, that a start refuses.",
        discussion: """
            Without --yes nothing is changed: the damage is shown, and what each choice would lose. With it the choice is \
            made that loses less, unless --keep names one. Nothing is ever deleted: the damaged files are moved aside as \
            *.damaged, checkpoints and digests that were made of records the log does not have as *.foreign.

              lattice log repair                      look
              lattice log repair --yes                keep the most that can be kept
              lattice log repair --keep before --yes  end the log before the damage
              lattice log repair --keep intact --yes  keep every whole record, also behind the damage
            """)

    enum Choice: String, ExpressibleByArgument, CaseIterable, Encodable {
        case before, intact

        init(_ choice: RepairChoice) { self = choice == .beforeHole ? .before : .intact }

        var choice: RepairChoice { self == .before ? .beforeHole : .everythingIntact }
    }

    @OptionGroup var log: LogOptions
    @Option(help: "before: end the log before the damage. intact: keep every whole record. Default: what loses less.")
    var keep: Choice?
    @Flag(help: "Do it.") var yes = false
    @Flag(help: "Print one line of JSON.") var json = false

    struct Facts: Encodable {
        var damage: String?
        /// What is, or would be, done.
        var keep: Choice?
        /// The last record that both choices keep.
        var lastBefore: UInt64?
        var lostByBefore: UInt64?
        var lostByIntact: UInt64?
        var salvaged: UInt64 = 0
        var dropped: UInt64 = 0
        var moved: [String] = []
        /// Files beside the log that do not go with it.
        var unfit: [String] = []
        var missingThrough: UInt64?
    }

    func run() async throws {
        let directory = log.data
        guard yes else { return try look(directory) }
        let bar = ProgressBar("repair")
        let report = try readingLog { () throws(EventStoreError) in
            defer { bar.finish() }
            return try EventLog.repair(directory: directory, keep: keep?.choice) {
                bar.report($0.bytesDone, of: $0.bytesTotal)
            }
        }
        if json {
            let aside = report.unfit.compactMap(\.newPath)
            return show(
                Facts(
                    damage: report.damage?.description, keep: report.damage.map { _ in Choice(report.choice) },
                    lastBefore: report.lastSequenceBefore.rawValue, salvaged: report.salvagedFrameCount,
                    dropped: report.droppedFrameCount, moved: report.movedFiles, unfit: aside,
                    missingThrough: report.missingThrough?.rawValue))
        }
        say(report)
    }

    private func say(_ report: RepairReport) {
        if let damage = report.damage {
            Terminal.say("repaired: \(damage)")
            Terminal.say("  \(report.salvagedFrameCount) records salvaged, \(report.droppedFrameCount) dropped")
            for path in report.movedFiles { Terminal.say("  moved aside: \(path)") }
        } else if report.unfit.isEmpty {
            return Terminal.say(
                report.manifestWasRebuilt
                    ? "the log is whole; its manifest was made anew" : "the log is whole; nothing was changed")
        } else {
            Terminal.say("the log is whole")
        }
        if let missing = report.missingThrough {
            Terminal.say("  records through \(missing) are gone; what was made of them is set aside")
        }
        for file in report.unfit { Terminal.say("  set aside: \(file.newPath ?? file.path): \(file.reason)") }
    }

    private func look(_ directory: String) throws {
        let bar = ProgressBar("verify")
        let preview = try readingLog { () throws(EventStoreError) in
            defer { bar.finish() }
            return try EventLog.repairPreview(directory: directory) { bar.report($0.bytesDone, of: $0.bytesTotal) }
        }
        let choice = keep?.choice ?? preview.cheaper
        if json {
            var facts = Facts(
                damage: preview.damage?.description, unfit: preview.unfit.map(\.path),
                missingThrough: preview.missingThrough?.rawValue)
            if preview.damage?.code == .hole {
                facts.keep = Choice(choice)
                facts.lastBefore = preview.lastSequenceBefore.rawValue
                facts.lostByBefore = preview.lost(by: .beforeHole)
                facts.lostByIntact = preview.lost(by: .everythingIntact)
            }
            show(facts)
        } else {
            say(preview)
        }
        if preview.damage?.code == .hole {
            throw CommandFailure(
                .logDamaged, "nothing was changed; --yes does what --keep \(Choice(choice).rawValue) says")
        }
        if preview.damage != nil {
            throw CommandFailure(.logDamaged, "nothing was changed; --yes makes the manifest anew from the segments")
        }
        if preview.missingThrough != nil || preview.unfit.contains(where: { $0.kind == .damaged }) {
            throw CommandFailure(.logDamaged, "nothing was changed; --yes sets these files aside")
        }
        if preview.unfit.contains(where: { $0.kind == .foreign }) {
            throw CommandFailure(.failed, "nothing was changed; --yes, or the next start, sets these files aside")
        }
    }

    private func say(_ preview: RepairPreview) {
        if let damage = preview.damage {
            Terminal.say("\(damage)")
            if damage.code != .hole { return }
            Terminal.say("both choices keep what lies before the damage, through record \(preview.lastSequenceBefore)")
            var table = TextTable("CHOICE", "LOSES", "")
            for choice in Choice.allCases {
                let isCheaper = choice.choice == preview.cheaper
                table.add(
                    "--keep \(choice.rawValue)", "\(preview.lost(by: choice.choice)) records",
                    isCheaper ? "the default" : "")
            }
            table.show()
            return
        }
        if preview.unfit.isEmpty { return Terminal.say("the log is whole; there is nothing to repair") }
        Terminal.say("the log is whole; these files beside it do not go with it:")
        for file in preview.unfit { Terminal.say("  \(file.path): \(file.reason)") }
    }

    private func show(_ facts: Facts) { Terminal.say(JSONOutput.encode(facts, isSnakeCase: true)) }
}
