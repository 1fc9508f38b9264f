// What a person who mistyped is told beyond what the parser says.

import ArgumentParser

/// Hints for mistakes on the command line.
enum UsageHints {
    /// The forms that a kind of value has, by the name it has in help texts.
    private static let forms: [(valueName: String, form: String)] =
        SettingKind.all.filter { $0.form != SettingKind.text.form }.map { (valueName: $0.name, form: $0.form) } + [
            (
                "seq|time",
                "a sequence from 1, or a moment with its zone: 4711, 2026-11-24T08:00:00Z, 2026-11-24T09:00:00+01:00"
            ),
            ("seq", "a sequence is a number: 4711"),
            ("basis points", "basis points are hundredths of a percent: 1500 is 15 %"),
        ]

    /// The parser's message, and behind its first line how such a value is written.
    static func explained(_ message: String) -> String {
        var lines = message.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let hint = forms.first(where: { lines[0].contains("<\($0.valueName)>'") }) else { return message }
        lines.insert("  \(hint.form)", at: 1)
        return lines.joined(separator: "\n")
    }

    /// The parser's message about a line with an option that there is not, where the parser found something else wrong
    /// first: what is missing is mostly what was mistyped.
    static func naming(_ message: String, _ arguments: [String], of root: any ParsableCommand.Type) -> String {
        guard let mistake = unknownOption(in: arguments, of: root), !message.contains("nknown option") else {
            return message
        }
        let rest = message.split(separator: "\n", omittingEmptySubsequences: false).dropFirst().filter {
            !$0.hasPrefix("Help:")
        }
        return (["Error: \(mistake)"] + rest.map(String.init)).joined(separator: "\n")
    }

    /// What to say of the first long option that the command does not have; nil where it has all of them.
    private static func unknownOption(in arguments: [String], of root: any ParsableCommand.Type) -> String? {
        let (command, path, _) = resolved(arguments, of: root)
        // What follows its point is another command's.
        if command is At.Type { return nil }
        let help = root.helpMessage(for: command, includeHidden: true)
        let ofParser = ["--generate-completion-script", "--experimental-dump-help", "--help-hidden"]
        let known = Set(ofParser).union(
            help.split { !$0.isLetter && !$0.isNumber && $0 != "-" }.filter { $0.hasPrefix("--") }.map(String.init))
        for word in arguments.prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
            let name = String(word.prefix { $0 != "=" })
            if known.contains(name) { continue }
            return "`\(Terminal.escaped(name))` is no option of `\(path)`\(guess(name, among: Array(known)))"
        }
        return nil
    }

    /// What to say where a word stands in the place of a command and is none; nil where all are known.
    static func unknownCommand(in arguments: [String], of root: any ParsableCommand.Type) -> String? {
        let (command, path, rest) = resolved(arguments, of: root)
        let names = command.configuration.subcommands.map(name(of:))
        guard let word = rest.first, !word.hasPrefix("-"), !names.isEmpty else { return nil }
        return "`\(Terminal.escaped(word))` is no command of `\(path)`\(guess(word, among: names))\n  there are "
            + names.joined(separator: ", ")
    }

    /// The command that the first words name, those words, and what follows them.
    static func resolved(
        _ arguments: [String], of root: any ParsableCommand.Type
    ) -> (command: any ParsableCommand.Type, path: String, rest: ArraySlice<String>) {
        var command = root
        var path = [name(of: root)]
        var rest = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
        while let word = rest.first, let next = command.configuration.subcommands.first(where: { name(of: $0) == word })
        {
            command = next
            path.append(word)
            rest = rest.dropFirst()
        }
        return (command, path.joined(separator: " "), rest)
    }

    /// The nearest of the words that there are, where it is near.
    static func guess(_ word: String, among words: [String]) -> String {
        let nearest = words.sorted().min { distance($0, word) < distance($1, word) }
        return nearest.flatMap { distance($0, word) <= 2 ? "; did you mean `\($0)`?" : nil } ?? ""
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
