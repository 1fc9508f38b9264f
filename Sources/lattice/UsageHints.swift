// What a person who mistyped is told beyond what the parser says.

import ArgumentParser

/// Hints for mistakes on the command line.
enum UsageHints {
    /// The forms that a kind of value has, by the name it has in help texts.
    private static let forms: [(valueName: String, form: String)] = [
        ("duration", "a duration has a unit: 500ms, 30s, 10m, 2h, 3d"),
        ("size", "a size counts bytes: 1048576, 64KiB, 4MiB, 50GiB"),
        (
            "seq|time",
            "a sequence from 1, or a moment with its zone: 4711, 2026-11-24T08:00:00Z, 2026-11-24T09:00:00+01:00"
        ),
        ("host:port", "127.0.0.1:8501, [::1]:8501, or none"),
        ("policy", "always, never, or interval=100 (milliseconds, up to an hour)"),
        ("port", "a number up to 65535"),
        ("seq", "a sequence is a number: 4711"),
        ("basis points", "basis points are hundredths of a percent: 1500 is 15 %"),
        ("service=250ms,99.9", "a service, a latency with its unit and a percentage: checkout=150ms,99.9"),
    ]

    /// The parser's message, and behind its first line how such a value is written.
    static func explained(_ message: String) -> String {
        var lines = message.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let hint = forms.first(where: { lines[0].contains("<\($0.valueName)>'") }) else { return message }
        lines.insert("  \(hint.form)", at: 1)
        return lines.joined(separator: "\n")
    }

    /// What to say where a word stands in the place of a command and is none; nil where all are known.
    static func unknownCommand(in arguments: [String], of root: any ParsableCommand.Type) -> String? {
        var command = root
        var path = [name(of: root)]
        for word in arguments.first == "help" ? arguments.dropFirst() : arguments[...] {
            let known = command.configuration.subcommands
            guard !word.hasPrefix("-"), !known.isEmpty else { return nil }
            guard let next = known.first(where: { name(of: $0) == word }) else {
                let names = known.map(name(of:))
                let nearest = names.min { distance($0, word) < distance($1, word) }
                let guess = nearest.flatMap { distance($0, word) <= 2 ? "; did you mean `\($0)`?" : nil } ?? ""
                return
                    "`\(Terminal.escaped(word))` is no command of `\(path.joined(separator: " "))`\(guess)\n  there are "
                    + names.joined(separator: ", ")
            }
            command = next
            path.append(word)
        }
        return nil
    }

    static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? "\(command)".lowercased()
    }

    /// How many letters must be put, taken or changed to make one word of the other.
    private static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let changed = diagonal + (letter == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(changed, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
