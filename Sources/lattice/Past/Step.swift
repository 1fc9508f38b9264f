// A session over a log: forward, back, watch.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import StateMachines

/// `lattice step`
struct Step: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Walk through the log, forward and back, and watch the state.",
        discussion: """
            Reads commands from the terminal, or from a pipe, one a line; `help` lists them. Offline, beside a running \
            node or on a copy; writes nothing. Going back takes no longer than going forward.

              lattice step                                       from the log's end
              lattice step --at -15m --watch "count(instances, healthy)"
              printf 'next 10\\nback\\nshow services\\n' | lattice step --at 1

            Points are \(PointArgument.forms).
            """)

    @OptionGroup var log: LogOptions
    @Option(parsing: .unconditional, help: ArgumentHelp("Begin here (default: the end).", valueName: "point"))
    var at: String?
    @Option(help: ArgumentHelp("Show this expression's value at each step; may be repeated.", valueName: "expression"))
    var watch: [String] = []

    func run() async throws {
        let past = try PastLog(log.data)
        let start = try at.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        guard past.reader.lastSequence > .origin else { throw CommandFailure(.failed, "the log has no record yet") }
        var session = try StepSession(past, at: start ?? past.reader.lastSequence)
        for text in watch { try session.watch(text) }
        session.showPosition()
        while let line = Prompt.line("step \(session.position)> ") {
            if try !session.perform(line) { break }
        }
        // A person has seen what was wrong; a script has only the status.
        if let mistake = session.firstMistake, !Terminal.inputIsTyped { throw CommandFailure(mistake) }
    }
}

/// Where a person is in the log, and what they watch.
struct StepSession {
    private let past: PastLog
    private var stepper: Stepper
    private var watched: [(expression: MeshExpression, value: ExpressionValue)] = []
    /// The status of the first line that could not be performed.
    private(set) var firstMistake: ExitStatus?
    private static let countMaximum = 1_000_000

    init(_ past: PastLog, at sequence: SequenceNumber) throws(CommandFailure) {
        self.past = past
        stepper = try asking { () throws(QueryError) in try Stepper(past.timeline, at: sequence) }
    }

    var position: SequenceNumber { stepper.sequence }

    mutating func watch(_ text: String) throws(CommandFailure) {
        do throws(ExpressionError) {
            let expression = try MeshExpression(anything: text)
            watched.append((expression, expression.value(in: stepper.state)))
        } catch {
            throw CommandFailure(.usage, Terminal.escapedLines(error.description))
        }
    }

    /// Performs one line; false: that was the end. A mistake is told, and the session goes on.
    mutating func perform(_ line: String) throws -> Bool {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        let rest = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : ""
        do {
            switch words.first ?? "next" {
            case "q", "quit", "exit": return false
            case "h", "help", "?": help()
            case "n", "next": try next(rest)
            case "b", "back": try back(rest)
            case "g", "go": try go(rest)
            case "f", "find": try find(rest)
            case "u", "until": try until(rest)
            case "w", "watch": try addWatch(rest)
            case "unwatch": watched.removeAll()
            case "p", "print": try printValue(rest)
            case "r", "record": try record()
            case "s", "show": try show(rest)
            case "o", "outbox": outbox()
            default: throw CommandFailure(.usage, "`\(Terminal.escaped(words[0]))` is no command; `help` lists them")
            }
        } catch let failure as CommandFailure where failure.status != .logDamaged {
            Terminal.complain(failure.message)
            if firstMistake == nil { firstMistake = failure.status }
        }
        return true
    }

    private func help() {
        Terminal.say(
            """
            next [COUNT]     one record on, or so many (also an empty line)
            back [COUNT]     one record back, or so many
            go POINT         to a sequence, a moment, or a while before the end (-15m)
            find WORD …      on to the next record whose subject has all the words: find registered checkout
            until EXPRESSION on to the next record at which it is true
            watch EXPRESSION show its value at each step; unwatch: none any more
            print EXPRESSION its value here
            show TABLE       services, topology, instances, mirrors, removals, digest
            outbox           what is owed to shadows
            record           the record as JSON
            quit             the end
            """)
    }

    private static func count(_ text: String) throws(CommandFailure) -> Int {
        if text.isEmpty { return 1 }
        guard let count = Int(text), (1...countMaximum).contains(count) else {
            throw CommandFailure(.usage, "a count is a number from 1 to \(countMaximum)")
        }
        return count
    }

    private mutating func next(_ text: String) throws(CommandFailure) {
        for index in 0..<(try Self.count(text)) {
            let frame = try asking { () throws(QueryError) in try stepper.forward() }
            if frame == nil {
                Terminal.say("the log ends here")
                if index == 0 { return }
                break
            }
        }
        showPosition()
    }

    private mutating func back(_ text: String) throws(CommandFailure) {
        let count = try Self.count(text)
        let isPossible = try asking { () throws(QueryError) in
            if count == 1 { return try stepper.back() }
            let target = SequenceNumber(stepper.sequence.rawValue - min(UInt64(count), stepper.sequence.rawValue))
            guard target >= past.beginning else { return false }
            try stepper.go(to: target)
            return true
        }
        if !isPossible { return Terminal.say("nothing before this can be reconstructed") }
        showPosition()
    }

    private mutating func go(_ text: String) throws(CommandFailure) {
        let target = try past.sequence(of: try PointArgument.parse(text))
        try asking { () throws(QueryError) in try stepper.go(to: target) }
        showPosition()
    }

    private mutating func find(_ text: String) throws(CommandFailure) {
        let words = text.split(separator: " ").map { Array(SubjectToken.escape(String($0)).utf8) }
        if words.isEmpty { throw CommandFailure(.usage, "find what? find registered checkout") }
        let frame = try asking { () throws(QueryError) in
            try stepper.forward { frame, _, _ in
                let tokens = frame.subject.split(separator: UInt8(ascii: "."))
                return words.allSatisfy { word in tokens.contains { $0.elementsEqual(word) } }
            }
        }
        if frame == nil { return Terminal.say("no such record from here to the end") }
        showPosition()
    }

    private mutating func until(_ text: String) throws(CommandFailure) {
        let expression = try ExpressionHelp.read(text)
        let frame = try asking { () throws(QueryError) in
            try stepper.forward { _, record, state in
                expression.mayChange(with: record.event) && expression.isTrue(in: state)
            }
        }
        if frame == nil { return Terminal.say("it is true nowhere from here to the end") }
        showPosition()
    }

    private mutating func addWatch(_ text: String) throws(CommandFailure) {
        if !text.isEmpty { try watch(text) }
        if watched.isEmpty { Terminal.say("nothing is watched: watch count(instances)") }
        showWatched()
    }

    private func printValue(_ text: String) throws(CommandFailure) {
        do throws(ExpressionError) {
            let value = try MeshExpression(anything: text).value(in: stepper.state)
            Terminal.say(Terminal.escaped(value.description))
        } catch {
            throw CommandFailure(.usage, Terminal.escapedLines(error.description))
        }
    }

    private func record() throws(CommandFailure) {
        let frame = try asking { () throws(QueryError) in try stepper.frame() }
        Terminal.say(frame.map { RecordLine.json($0) } ?? "before the first record")
    }

    private func show(_ table: String) throws {
        let kinds: [String: (RegistryQueryName, MessageKind)] = [
            "": (.services, RegistryQueryName.services.answer),
            "services": (.services, RegistryQueryName.services.answer),
            "topology": (.topology, RegistryQueryName.topology.answer),
            "removals": (.removals, RegistryQueryName.removals.answer),
        ]
        switch table {
        case "instances":
            var text = TextTable("INSTANCE", "SERVICE", "ENDPOINT", "WEIGHT", "HEALTH")
            for row in stepper.state.registry.everyInstance {
                let instance = row.snapshot.instance
                text.add(
                    instance.instanceID, instance.serviceName, instance.endpoint, "\(instance.weight)",
                    row.snapshot.health.name)
            }
            text.show()
        case "mirrors":
            var text = TextTable("MIRROR", "SOURCE", "SHADOW", "ENABLED", "PENDING", "EQUAL", "DIFFERENT")
            for row in stepper.state.mirror.stats() {
                let mirror = row.configuration
                text.add(
                    mirror.mirrorID, mirror.sourceService, mirror.shadowEndpoint, "\(mirror.enabled)",
                    "\(row.pendingCount)", "\(row.counts.equal)", "\(row.counts.different)")
            }
            text.show()
        case "digest": try show(.digest, .digestAnswer)
        default:
            guard let (name, kind) = kinds[table] else {
                throw CommandFailure(.usage, "show what? services, topology, instances, mirrors, removals, digest")
            }
            try show(.registry(name, RegistryQuery()), kind)
        }
    }

    private func show(_ question: PastQuery_, _ kind: MessageKind) throws {
        let payload = try asking { () throws(QueryError) in
            try stepper.state.answer(question, at: stepper.sequence)
        }
        try AnswerText.show(payload, kind)
    }

    private func outbox() {
        let directives = stepper.state.mirror.outbox(limit: 50).directives
        if directives.isEmpty { return Terminal.say("nothing is owed to a shadow") }
        var table = TextTable("CAUSE", "MIRROR", "SOURCE", "SHADOW", "AGAIN")
        for directive in directives {
            table.add(
                "\(directive.cause.sequence)/\(directive.cause.index)", directive.id.mirrorID, directive.sourceService,
                directive.shadowEndpoint, directive.isRedispatch ? "yes" : "no")
        }
        table.show()
    }

    /// The record, and what is watched.
    mutating func showPosition() {
        if let frame = try? stepper.frame() {
            Terminal.say(RecordLine.text(frame))
        } else {
            Terminal.say("before the first record")
        }
        showWatched()
    }

    private mutating func showWatched() {
        for index in watched.indices {
            let value = watched[index].expression.value(in: stepper.state)
            let change = value == watched[index].value ? "" : "   (was \(watched[index].value.description))"
            watched[index].value = value
            Terminal.say(Terminal.escaped("  \(watched[index].expression.source) = \(value.description)\(change)"))
        }
    }
}

/// Lines from a person or a pipe.
enum Prompt {
    /// The next line; nil at the end. A person sees the prompt.
    static func line(_ prompt: String) -> String? {
        if Terminal.outputIsSeen { Terminal.write(prompt) }
        let line = readLine(strippingNewline: true)
        if line == nil && Terminal.outputIsSeen { Terminal.say("") }
        return line
    }
}
