// What a server says on standard error while it runs: one line an event, the message first.

import ArgumentParser
import EventModel
import EventStore
import Foundation
import Glibc
import Logging

/// How the lines are written.
enum LogFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// `TIME LEVEL message key=value`
    case text
    /// One object a line: `time`, `level`, `message`, `fields`.
    case json

    static let help = ArgumentHelp("Lines for people (text) or for programs (json).", valueName: "format")

    /// From now on all loggers of the process write so.
    func bootstrap(level: Logger.Level) {
        LoggingSystem.bootstrap { _ in LineLogHandler(format: self, logLevel: level) }
    }

    /// One line, with its end. What others may have sent can neither end the line nor begin another.
    func line(_ time: Timestamp, _ level: Logger.Level, _ message: String, _ fields: [String: String]) -> String {
        // Nobody reads nanoseconds.
        let time = RFC3339.text(Timestamp(nanoseconds: time.rawValue - time.rawValue % 1_000_000))
        switch self {
        case .text:
            let pairs = fields.sorted { $0.key < $1.key }.map { " \(Self.word($0.key))=\(Self.word($0.value))" }
            return "\(Self.fixed(time)) \(level.rawValue.uppercased()) \(Terminal.escaped(message))\(pairs.joined())\n"
        case .json:
            return JSONOutput.encode(
                JSONLine(fields: fields, level: level.rawValue, message: message, time: Self.fixed(time))) + "\n"
        }
    }

    private struct JSONLine: Encodable {
        var fields: [String: String]
        var level: String
        var message: String
        var time: String
    }

    /// Three digits behind the point, also where they are zero: lines stand under each other.
    private static func fixed(_ time: String) -> String {
        guard let point = time.firstIndex(of: ".") else { return time.dropLast() + ".000Z" }
        return time[...point] + time[point...].dropFirst().prefix(3) + "Z"
    }

    /// As it is where it is one word, else in quotes.
    private static func word(_ text: String) -> String {
        let escaped = Terminal.escaped(text)
        let isPlain = !escaped.isEmpty && !escaped.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0 == "\\" }
        if isPlain { return escaped }
        return "\"" + escaped.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}

/// Writes each event with one system call, so that lines of several threads do not mix.
private struct LineLogHandler: LogHandler {
    let format: LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(format: LogFormat, logLevel: Logger.Level) {
        self.format = format
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields: [String: String] = [:]
        for source in [metadata, metadataProvider?.get() ?? [:], event.metadata ?? [:]] {
            for (key, value) in source { fields[key] = "\(value)" }
        }
        if let error = event.error { fields["error"] = "\(error)" }
        let line = format.line(PosixStorage().now(), event.level, "\(event.message)", fields)
        try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
    }
}
