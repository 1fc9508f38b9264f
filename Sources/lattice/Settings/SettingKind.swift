// The kinds of values that settings take: how one is written, and which texts are one.

import ArgumentParser
import Logging

/// What a value may be, by the name that it has in help texts.
struct SettingKind: Sendable {
    /// What a value is in YAML.
    enum Shape: Sendable {
        case boolean, number, text
    }

    /// As in `--retention-age <duration>`.
    let name: String
    let shape: Shape
    /// How a value is written, for those who wrote another.
    let form: String
    let accepts: @Sendable (String) -> Bool

    private init(
        _ name: String, _ shape: Shape = .text, _ form: String = "a text",
        accepts: @escaping @Sendable (String) -> Bool = { !$0.isEmpty }
    ) {
        self.name = name
        self.shape = shape
        self.form = form
        self.accepts = accepts
    }

    private init<Value: ExpressibleByArgument & Sendable>(_ name: String, _ form: String, as: Value.Type) {
        self.init(name, .text, form) { Value(argument: $0) != nil }
    }

    /// May be empty.
    static let text = SettingKind("text") { _ in true }
    static let boolean = SettingKind("boolean", .boolean, "true or false") { $0 == "true" || $0 == "false" }

    /// Every kind that a setting has.
    static let all: [SettingKind] = [
        SettingKind("count", .number, "a number: 10000") { UInt64($0) != nil },
        SettingKind("port", .number, "a number up to 65535") { UInt16($0) != nil },
        SettingKind("percent", .number, "a number from 0 to 100: 0.5") {
            Double($0).map { (0...100).contains($0) } ?? false
        },
        SettingKind("duration", "a duration has a unit: 500ms, 30s, 10m, 2h, 3d", as: DurationArgument.self),
        SettingKind("size", "a size counts bytes: 1048576, 64KiB, 4MiB, 50GiB", as: ByteCountArgument.self),
        SettingKind("host:port", "127.0.0.1:8501, [::1]:8501, or none", as: ListenArgument.self),
        SettingKind("policy", "always, never, or interval=100 (milliseconds, up to an hour)", as: SyncArgument.self),
        SettingKind("networks", "networks separated by commas, or any: 10.0.0.0/8,fd00::/8", as: NetworksArgument.self),
        SettingKind(
            "percent[:room],…", "80:20GiB,90:10GiB,97:3GiB, by share alone 80,90,97, or none",
            as: DiskPressureArgument.self),
        SettingKind(
            "service=250ms,99.9",
            "a service, a latency with its unit and a percentage: checkout=150ms,99.9", as: ObjectiveArgument.self),
        SettingKind("format", "text or json", as: LogFormat.self),
        SettingKind("level", .text, "one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))") {
            Logger.Level(rawValue: $0) != nil
        },
        SettingKind("url", .text, "nats://HOST:PORT or tls://HOST:PORT") {
            $0.hasPrefix("nats://") || $0.hasPrefix("tls://")
        },
        SettingKind("origin", .text, "https://HOST[:PORT], or * for every page") {
            $0 == "*" || $0.hasPrefix("http://") || $0.hasPrefix("https://")
        },
        SettingKind("file"), SettingKind("dir"), SettingKind("name"), SettingKind("key"), SettingKind("id"),
        text,
    ]

    /// The kind of an option by the name of its value; nil for a name that no setting has.
    static func named(_ name: String) -> SettingKind? { all.first { $0.name == name } }
}
