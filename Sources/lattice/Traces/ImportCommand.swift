// Files of traces that others wrote, published like any spans.

import ArgumentParser
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Endpoints
import TraceFormats

/// `lattice import`
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take traces from files: Jaeger JSON, OTLP JSON, Zipkin JSON.",
        discussion: """
            The format is recognised; one file may hold many documents, one after the other (JSON lines). Secrets in tags \
            are replaced as everywhere. Spans that are there already are counted once, so an import can be repeated. A \
            service above its rate is waited for.

              lattice import trace.json
              lattice import --json *.jsonl

            Status 1: something was refused or could not be read; the rest was taken.
            """)

    @Argument(help: ArgumentHelp("Files; - reads standard input.", valueName: "file"), completion: .file())
    var files: [String]

    @Option(help: "auto, otlp, zipkin or jaeger.") var format = TraceFileFormat.auto
    @OptionGroup(title: "Connection") var client: ClientOptions
    @Flag(help: "Print the counts as one line of JSON.") var json = false

    func run() async throws {
        let client = try await client.connect(as: "lattice import")
        let importer: TraceImporter
        do {
            importer = try await take(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        if json {
            Terminal.say(JSONOutput.encode(importer.counts))
        } else {
            importer.say()
        }
        if importer.hasFindings { throw CommandFailure(.failed) }
    }

    private func take(_ client: NodeClient) async throws -> TraceImporter {
        let outcomes = client.outcomes
        let delivery = SpanDelivery(prefix: client.prefix, timeout: client.timeout) {
            message, timeout throws(BusError) in
            try await outcomes.outcome(of: message, timeout: timeout)
        }
        var importer = TraceImporter(delivery: delivery, format: format)
        for file in files { try await importer.take(file) }
        return importer
    }
}

/// How a file of traces is written.
enum TraceFileFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto, otlp, zipkin, jaeger

    /// By the names that only one of them has; nil where there is none.
    static func detect(_ document: ArraySlice<UInt8>) -> Self? {
        let text = String(decoding: document.prefix(65_536), as: UTF8.self)
        if text.contains("\"resourceSpans\"") || text.contains("\"resource_spans\"") { return .otlp }
        if text.contains("\"traceID\"") || text.contains("\"processes\"") || text.contains("\"data\"") {
            return .jaeger
        }
        if text.contains("\"traceId\"") { return .zipkin }
        return document.allSatisfy { [0x5B, 0x5D, 0x20, 0x0A, 0x0D, 0x09].contains($0) } ? .zipkin : nil
    }

    func translate(_ document: [UInt8]) throws(MalformedInput) -> SpanTranslation {
        switch self {
        case .otlp: try OTLPTranslation.translate(try OTLPJSON.protobuf(document))
        case .zipkin: try ZipkinSpans.translate(document)
        case .jaeger: try JaegerTraces.translate(document)
        case .auto:
            if let format = Self.detect(document[...]) {
                try format.translate(document)
            } else {
                throw MalformedInput("neither OTLP nor Zipkin nor Jaeger JSON")
            }
        }
    }
}

/// Documents of JSON, one after the other; long lists in portions.
struct JSONDocuments {
    /// Elements of a list that are handed on together.
    private static let portion = 1_000
    private let bytes: [UInt8]
    private(set) var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next document; nil at the end. What is no JSON comes as it is: whoever reads it says what is wrong.
    mutating func next() -> [UInt8]? {
        while position < bytes.count, Self.isBlank(bytes[position]) || bytes[position] == 0x2C { position += 1 }
        guard position < bytes.count else { return nil }
        let start = position
        position = Self.end(of: bytes, from: start)
        return Array(bytes[start..<position])
    }

    /// A list's elements as lists of at most a thousand; anything else as it is.
    static func portions(_ document: [UInt8]) -> [[UInt8]] {
        guard document.first == UInt8(ascii: "["), document.last == UInt8(ascii: "]") else { return [document] }
        var elements = JSONDocuments(Array(document.dropFirst().dropLast()))
        var portions: [[UInt8]] = []
        var current: [UInt8] = []
        var count = 0
        while let element = elements.next() {
            current += (current.isEmpty ? [] : [0x2C]) + element
            count += 1
            if count % portion == 0 {
                portions.append([0x5B] + current + [0x5D])
                current = []
            }
        }
        if !current.isEmpty || portions.isEmpty { portions.append([0x5B] + current + [0x5D]) }
        return portions
    }

    private static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

    /// Behind the value that begins at `start`.
    private static func end(of bytes: [UInt8], from start: Int) -> Int {
        var depth = 0
        var isText = false
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if isText {
                if byte == 0x5C { index += 1 }
                if byte == 0x22 { isText = false }
                continue
            }
            switch byte {
            case 0x22: isText = true
            case 0x7B, 0x5B: depth += 1
            case 0x7D, 0x5D:
                depth -= 1
                if depth <= 0 { return min(index, bytes.count) }
            case 0x0A where depth == 0: return index
            default: break
            }
        }
        return bytes.count
    }
}

/// Reads, translates, publishes, counts.
struct TraceImporter {
    struct Counts: Encodable {
        var accepted = 0
        var documents = 0
        var files = 0
        var refused = 0
        var refusedReasons = ""
        var unreadable = 0

        enum CodingKeys: String, CodingKey {
            case refusedReasons = "refused_reasons"
            case accepted, documents, files, refused, unreadable
        }
    }

    private let delivery: SpanDelivery
    private let format: TraceFileFormat
    private var refusals = SpanRefusals()
    private(set) var counts = Counts()
    /// Complaints about documents of one file; the rest is counted.
    private static let complaintsMaximum = 5

    init(delivery: SpanDelivery, format: TraceFileFormat) {
        self.delivery = delivery
        self.format = format
    }

    var hasFindings: Bool { counts.refused + counts.unreadable > 0 }

    mutating func take(_ file: String) async throws(CommandFailure) {
        let handle = file == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: file)
        guard let data = try? handle?.readToEnd() ?? Data(), handle != nil else {
            throw CommandFailure(.failed, "\(Terminal.escaped(file)) can not be read")
        }
        counts.files += 1
        let bar = ProgressBar("import \(Terminal.escaped(file))")
        defer { bar.finish() }
        var documents = JSONDocuments(Array(data))
        var complaints = 0
        while let document = documents.next() {
            counts.documents += 1
            for portion in JSONDocuments.portions(document) {
                do throws(MalformedInput) {
                    try await deliver(try format.translate(portion))
                } catch {
                    counts.unreadable += 1
                    complaints += 1
                    if complaints <= Self.complaintsMaximum {
                        Terminal.complain(
                            "lattice: \(Terminal.escaped(file)), document \(counts.documents): \(error.reason)")
                    }
                    continue
                }
            }
            bar.report(UInt64(documents.position), of: UInt64(data.count))
        }
    }

    /// One message after the other; a service above its rate is waited for.
    private mutating func deliver(_ translation: SpanTranslation) async throws(MalformedInput) {
        refusals.add(translation.refusals)
        for message in translation.messages {
            let one = SpanTranslation(messages: [message])
            var report = await delivery.deliver(one)
            var attempts = 0
            while let trouble = report.trouble {
                attempts += 1
                let isUnavailable = if case .unavailable = trouble { true } else { false }
                guard attempts < (isUnavailable ? 3 : 240) else {
                    throw MalformedInput("the node does not take spans now")
                }
                try? await Task.sleep(for: .milliseconds(250))
                report = await delivery.deliver(one)
            }
            refusals.add(report.refusals)
            counts.accepted += report.acceptedCount
        }
        counts.refused = refusals.total
        counts.refusedReasons = refusals.summary
    }

    func say() {
        Terminal.say("\(counts.accepted) spans taken, \(counts.refused) refused")
        if counts.refused > 0 { Terminal.say("  \(Terminal.escaped(counts.refusedReasons))") }
        if counts.refusedReasons.contains("disk_pressure"), let advice = RefusalAdvice.of("disk_pressure") {
            Terminal.say("  \(advice)")
        }
        if counts.unreadable > 0 { Terminal.say("  \(counts.unreadable) documents could not be read") }
    }
}
