// The kinds of values the command line takes: durations, sizes, addresses, positions in the log.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// A length of time: `500ms`, `30s`, `10m`, `2h`, `3d`.
struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    let value: Nanoseconds
    private let text: String

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let suffix = argument.dropFirst(digits.count)
        guard let count = Int64(digits), let unit = Self.units.first(where: { $0.suffix == suffix }) else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow else { return nil }
        value = Nanoseconds(product)
        text = argument
    }

    var defaultValueDescription: String { text }
    var duration: Duration { .nanoseconds(value.rawValue) }
}

/// A size in bytes: `1048576`, `64KiB`, `4MiB`, `50GiB`.
struct ByteCountArgument: ExpressibleByArgument, Sendable, Hashable {
    let value: UInt64
    private let text: String

    private static let units: [String: UInt64] = [
        "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    ]

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let count = UInt64(digits), let unit = Self.units[String(argument.dropFirst(digits.count))] else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, product <= UInt64(Int.max) else { return nil }
        value = product
        text = argument
    }

    var defaultValueDescription: String { text }
}

/// When records are made durable: `always`, `interval=MS`, `never`.
struct SyncArgument: ExpressibleByArgument, Sendable, Hashable {
    let value: EventLogOptions.Durability
    let text: String

    init?(argument: String) {
        text = argument
        switch argument {
        case "always": value = .always
        case "never": value = .never
        default:
            guard argument.hasPrefix("interval="), let count = Int64(argument.dropFirst(9)),
                (1...3_600_000).contains(count)
            else { return nil }
            value = .interval(.milliseconds(count))
        }
    }

    var defaultValueDescription: String { text }
}

/// Networks in which endpoints must lie: `10.0.0.0/8,fd00::/8`, or `any`.
struct NetworksArgument: ExpressibleByArgument, Sendable, Hashable {
    static let help = ArgumentHelp(
        "Take endpoints with addresses in these networks only: 10.0.0.0/8,fd00::/8; any: wherever a service may be. "
            + "Names are taken as they are; loopback follows --allow-loopback.", valueName: "networks")

    let networks: [String]

    init?(argument: String) {
        if argument == "any" {
            networks = ["0.0.0.0/0", "::/0"]
            return
        }
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= RegistrySettings.networksMaximum, parts.allSatisfy({ IPNetwork($0) != nil }) else {
            return nil
        }
        networks = parts
    }

    var defaultValueDescription: String { networks.joined(separator: ",") }
}

/// Where the levels of disk pressure begin, `SHARE[:ROOM]` each: `80:20GiB,90:10GiB,97:3GiB`, or `none`.
struct DiskPressureArgument: ExpressibleByArgument, Sendable, Hashable {
    /// Nil for `none`.
    let thresholds: DiskPressureThresholds?
    let text: String

    init?(argument: String) {
        text = argument
        if argument == "none" {
            thresholds = nil
            return
        }
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Self.threshold($0) }
        guard parts.count == 3, let captures = parts[0], let spans = parts[1], let rest = parts[2],
            let thresholds = DiskPressureThresholds(captures: captures, spans: spans, registryOnly: rest)
        else { return nil }
        self.thresholds = thresholds
    }

    private static func threshold(_ text: Substring) -> DiskPressureThreshold? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let percent = UInt64(parts[0]), percent <= 100 else { return nil }
        if parts.count == 1 { return DiskPressureThreshold(usedShare: percent * 100) }
        guard let room = ByteCountArgument(argument: String(parts[1])) else { return nil }
        return DiskPressureThreshold(usedShare: percent * 100, freeBytes: room.value)
    }

    var defaultValueDescription: String { text }
}

/// Where to listen: `HOST:PORT` (`[::1]:8501` for IPv6), or `none`.
struct ListenArgument: ExpressibleByArgument, Sendable, Hashable {
    struct Address: Sendable, Hashable {
        var host: String
        var port: Int

        /// Whether only this machine can connect.
        var isLoopback: Bool { host == "localhost" || host == "::1" || isLoopbackIPv4 }

        private var isLoopbackIPv4: Bool {
            let parts = host.split(separator: ".", omittingEmptySubsequences: false)
            return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
        }
    }

    /// Nil for `none`.
    let address: Address?
    let text: String

    init?(argument: String) {
        text = argument
        if argument == "none" {
            address = nil
            return
        }
        guard let colon = argument.lastIndex(of: ":"), let port = UInt16(argument[argument.index(after: colon)...])
        else { return nil }
        var host = String(argument[..<colon])
        if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { return nil }
        address = Address(host: host, port: Int(port))
    }

    var defaultValueDescription: String { text }
}

/// A position in the log: a sequence, or a moment in RFC 3339.
enum PositionArgument: ExpressibleByArgument, Sendable, Hashable {
    case sequence(SequenceNumber)
    case time(Timestamp)

    init?(argument: String) {
        if let number = UInt64(argument) {
            guard number > 0 else { return nil }
            self = .sequence(SequenceNumber(number))
        } else if let time = Timestamp(rfc3339: argument) {
            self = .time(time)
        } else {
            return nil
        }
    }

    var position: ReadPosition {
        switch self {
        case .sequence(let sequence): ReadPosition(atSequence: sequence)
        case .time(let time): ReadPosition(atTime: time)
        }
    }
}

/// A strategy of `query select`, by its name with `_` or `-`.
struct StrategyArgument: ExpressibleByArgument, Sendable, Hashable {
    let value: SelectionStrategy

    static let weightedRandom = StrategyArgument(value: .weightedRandom)

    private init(value: SelectionStrategy) { self.value = value }

    init?(argument: String) {
        guard let strategy = SelectionStrategy(name: argument) else { return nil }
        value = strategy
    }

    static var allValueStrings: [String] { SelectionStrategy.allCases.map(\.name) }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
    var defaultValueDescription: String { value.name }
}
