// An explanation for people; text from the mesh is made safe to show.

import NodeRuntime
import EventModel
import StateMachines

/// Prints an explanation.
struct ExplanationText {
    private let explanation: TraceExplanation
    /// Instances of one hop that are listed.
    private static let instanceMaximum = 12

    init(_ explanation: TraceExplanation) { self.explanation = explanation }

    func show() {
        showHead()
        showHops()
        showFacts()
        showPath()
        showFigures()
        showGuesses()
    }

    private func say(_ text: String) { Terminal.say(Terminal.escaped(text)) }

    /// Behind an empty line.
    private func title(_ text: String) {
        Terminal.say("")
        say(text)
    }

    private func showHead() {
        let (summary, window) = (explanation.summary, explanation.window)
        say(
            "trace \(summary.traceID)  \(summary.root.serviceName) \(summary.root.operationName)  "
                + "\(ShortDuration.of(summary.duration.rawValue)), \(summary.spanCount) spans, \(summary.errorCount) errors"
        )
        say(
            "began \(RFC3339.text(window.traceStart)); as of record \(explanation.asOf.sequence); looked at records "
                + "\(window.from.sequence.next) to \(window.through.sequence)")
        if window.isShifted {
            say("its spans' clocks are far from the log's: it is laid where its first span was recorded")
        }
        if !summary.hasRoot { say("it has no root yet") }
    }

    // MARK: Hops

    private func showHops() {
        title("calls, and who could be asked")
        for hop in explanation.hops { show(hop) }
    }

    private func show(_ hop: TraceExplanation.Hop) {
        let caller = hop.caller.isEmpty ? "" : hop.caller + " "
        if let span = hop.span {
            let at = span.startTime - explanation.summary.startTime
            let status = span.status == .ok ? "" : ", failed"
            say(
                "  \(caller)-> \(hop.serviceName)  \(span.operationName)  at +\(ShortDuration.of(at.rawValue)) for "
                    + "\(ShortDuration.of(span.duration.rawValue))\(status)")
        } else {
            say("  \(caller)-> \(hop.serviceName)  was selected, but sent no span")
        }
        for choice in hop.choices { show(choice, hop) }
        if hop.choices.count > 1 { say("      which of these choices was for this call, the log does not say") }
        guard let view = hop.view else {
            return say("      the registry of then lies before the window: a longer --before shows it")
        }
        if hop.choices.isEmpty && view.instances.isEmpty {
            return say("      no selection was recorded, and no instance was registered")
        }
        if hop.choices.isEmpty {
            say("      no selection was recorded; registered as of record \(view.asOf.sequence):")
        }
        show(view, hop)
    }

    private func show(_ choice: TraceExplanation.Choice, _ hop: TraceExplanation.Hop) {
        let pairing =
            hop.isCertain || hop.choices.count > 1 ? "" : "; paired with this call by their orders, which is a guess"
        let selection = choice.selection
        let asOf = selection.asOf == .origin ? "" : ", from the registry as of record \(selection.asOf)"
        say(
            "      \(selection.chosen) chosen by \(selection.strategy.name) at record \(choice.position.sequence)\(asOf)"
                + pairing)
    }

    private func show(_ view: TraceExplanation.ServiceView, _ hop: TraceExplanation.Hop) {
        let candidates = hop.choices.flatMap(\.selection.candidates)
        for row in view.instances.prefix(Self.instanceMaximum) {
            let id = row.instance.instanceID
            let isChosen = hop.choices.contains { $0.selection.chosen == id }
            var words = [row.health.name, "weight \(row.instance.weight)"]
            words += row.instance.metadata.prefix(4).map { "\($0.key) \($0.value)" }
            if !row.reason.isEmpty { words.append(row.reason) }
            if !hop.choices.isEmpty && !candidates.contains(id) { words.append("no candidate") }
            say("      \(isChosen ? "*" : " ") \(id)  \(words.joined(separator: ", "))")
        }
        let rest = view.instances.count - Self.instanceMaximum
        if rest > 0 { say("        and \(rest) more") }
        let known = Set(view.instances.map(\.instance.instanceID))
        for id in candidates where !known.contains(id) {
            say("        \(id)  a candidate, but not registered as of record \(view.asOf.sequence)")
        }
        if view.isProtected { say("        the eviction guard held: who was silent did not count as stale") }
    }

    // MARK: Facts

    private func showFacts() {
        title("what happened to its services, in the order of the log")
        if explanation.facts.isEmpty { say("  nothing") }
        if explanation.omittedFacts > 0 { say("  \(explanation.omittedFacts) earlier facts are left out") }
        for fact in explanation.facts {
            say(
                "  \(fact.isOfChosen ? "*" : " ") \(fact.position.sequence)  \(Self.when(fact, explanation.window))  \(Self.words(fact))"
            )
        }
        if explanation.facts.contains(where: \.isOfChosen) { say("  * of an instance that was chosen in this trace") }
        if explanation.elsewhereCount > 0 {
            say("  \(explanation.elsewhereCount) changes of other services; --every-service lists them")
        }
    }

    static func when(_ fact: MeshFact, _ window: TraceExplanation.Window) -> String {
        switch fact.relation {
        case .before: "\(length(window.traceStart - fact.recordedAt)) before"
        case .during: "during, at +\(length(fact.recordedAt - window.traceStart))"
        case .after: "\(length(fact.recordedAt - window.traceEnd)) after"
        }
    }

    private static func length(_ value: Nanoseconds) -> String { ShortDuration.of(value.rawValue) }

    static func words(_ fact: MeshFact) -> String {
        let subject = [fact.serviceName, fact.instanceID].filter { !$0.isEmpty }.joined(separator: " ")
        let by = fact.actor.isEmpty ? "" : " by \(fact.actor)"
        let why = fact.reason.isEmpty ? "" : ": \(fact.reason)"
        let change = [fact.before, fact.after].filter { !$0.isEmpty }.joined(separator: " -> ")
        switch fact.kind {
        case .registered: return "\(subject) came (\(fact.after))"
        case .restarted: return "\(subject) restarted" + (change.isEmpty ? "" : " (\(change))")
        case .reconfigured: return "\(subject) changed (\(change))"
        case .deregistered: return "\(subject) deregistered\(by)\(why)"
        case .evicted: return "\(subject) evicted, it was \(fact.before)\(by)\(why)"
        case .health: return "\(subject) \(change)\(why)"
        case .guardBegan: return "\(subject) guarded against eviction"
        case .guardEnded: return "\(subject) no longer guarded"
        case .settings: return "settings: \(fact.after)\(by)\(why)"
        case .guardReleased: return "guard of \(subject.isEmpty ? "every service" : subject) released\(by)\(why)"
        case .mirror: return "\(subject) mirror \(fact.after)\(why)"
        case .intakeGap: return "the log has a gap: \(change)\(why)"
        case .nodeResumed: return "node \(fact.after) came back\(why)"
        case .leader: return "leader \(fact.after)"
        }
    }

    // MARK: Critical path

    private func showPath() {
        title("critical path")
        guard let healthy = explanation.healthy else {
            say("  there is no healthy trace of the same operation to hold it against")
            var table = TextTable("TIME", "SERVICE", "OPERATION")
            for row in explanation.path.sorted(by: { $0.here > $1.here }) {
                table.add(ShortDuration.of(row.here.rawValue), row.serviceName, row.operationName)
            }
            for line in table.lines { Terminal.say("  " + line) }
            return
        }
        let place = healthy.isEarlier ? "before" : "behind"
        let rule =
            healthy.candidateCount == 0
            ? "named by --healthy"
            : "the middle one of \(healthy.candidateCount) in the ordinary that began \(place) it"
        say("  held against trace \(healthy.traceID), \(ShortDuration.of(healthy.duration.rawValue)): \(rule)")
        var table = TextTable("CHANGE", "HEALTHY", "HERE", "SERVICE", "OPERATION", "CHOSEN")
        for row in explanation.path {
            let chosen = explanation.hops.filter { $0.serviceName == row.serviceName }
                .flatMap(\.choices).map(\.selection.chosen)
            table.add(
                ShortDuration.change(row.growth), ShortDuration.of(row.healthy.rawValue),
                ShortDuration.of(row.here.rawValue), row.serviceName, row.operationName,
                Array(Set(chosen)).sorted().joined(separator: " "))
        }
        for line in table.lines { Terminal.say("  " + line) }
    }

    private func showFigures() {
        if explanation.figures.isEmpty { return }
        title("calls recorded in the window, by the instance that was chosen for them")
        var table = TextTable("SERVICE", "INSTANCE", "CALLS", "ERRORS", "MEDIAN", "LONGEST")
        for row in explanation.figures {
            table.add(
                row.serviceName, row.isChosen ? "* " + row.instanceID : row.instanceID, "\(row.callCount)",
                "\(row.errorCount)", ShortDuration.of(row.median.rawValue), ShortDuration.of(row.maximum.rawValue))
        }
        for line in table.lines { Terminal.say("  " + line) }
    }

    // MARK: Guesses

    private func showGuesses() {
        title("what is order, and what would be a guess")
        say("  Order: everything above. A smaller record number was taken earlier by the node; that is all it says.")
        if explanation.suspicions.isEmpty {
            return say(
                "  Guess: none. No fact of the window concerns a service that failed or grew on the critical path.")
        }
        for suspicion in explanation.suspicions.prefix(3) { say("  Guess: \(Self.guess(suspicion, explanation))") }
        say("  That one led to the other is for you to find out: the log does not say so.")
    }

    private static func guess(
        _ suspicion: TraceExplanation.Suspicion, _ explanation: TraceExplanation
    ) -> String {
        let fact = suspicion.fact
        var effects: [String] = []
        if suspicion.growth > .zero {
            effects.append("spends \(ShortDuration.of(suspicion.growth.rawValue)) more on the critical path")
        }
        if suspicion.hasFailed { effects.append("failed") }
        let chosen = fact.isOfChosen ? ", of the instance that was chosen" : ""
        return "\(fact.serviceName) \(effects.joined(separator: " and ")); record \(fact.position.sequence)\(chosen): "
            + "\(words(fact)), \(when(fact, explanation.window))"
    }
}
