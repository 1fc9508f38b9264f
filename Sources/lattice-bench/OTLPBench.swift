// Spans over OTLP/HTTP: exporters on a few connections, each request answered after the log was fsynced.

import NodeRuntime
import ArgumentParser
import EventModel
import Logging
import Messaging
import NATSMessaging
import NIOCore
import NIOPosix
import Endpoints
import ServiceLifecycle

/// `otlp --batch 100`.
struct OTLPBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "otlp",
        abstract: "Spans a second over OTLP/HTTP or OTLP/gRPC in protobuf, answered after the fsync.",
        discussion: """
            Spans of 236 bytes, ten to a trace, ids all different. Each connection has one request under way. Exporters, \
            receiver, nats-server and node share the machine; receiver and node are one process, as in `lattice serve`.

            With --grpc the same requests go over gRPC, each connection with one call under way.

            With --against the same load goes to another collector that runs already: what it answers with 2xx counts, \
            on disk or not.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Spans a request.") var batch = 100
    @Option(help: "Connections.") var connections = 8
    @Option(help: "Seconds a run.") var seconds = 5
    @Flag(help: "Over gRPC instead of HTTP.") var grpc = false
    @Option(
        help: "Where another collector takes OTLP, on this machine: PORT/PATH (with --grpc the path of the method).")
    var against: OTLPTarget?

    func run() async throws {
        var report = Report("otlp", common)
        if let against { report.condition("against", "\(against)") }
        report.condition("transport", grpc ? "grpc" : "http")
        report.condition("batch", "\(batch)")
        report.condition("connections", "\(connections)")
        report.condition("span_bytes", "\(OTLPTemplate.spanBytes)")
        if against == nil { report.condition("fsync", "always, group commit") }
        for _ in 0..<common.runs {
            if let against {
                report.run(try await load(against).figures)
            } else {
                report.run(try await measure())
            }
        }
        report.finish()
    }

    /// Loads whatever listens there.
    private func load(_ target: OTLPTarget) async throws -> OTLPLoad {
        var exporters: [any SpanExporter] = []
        for number in 0..<connections {
            if grpc {
                exporters.append(try await GRPCExporter.connect(target, number: number, batch: batch))
            } else {
                exporters.append(try await Exporter.connect(target, number: number, batch: batch))
            }
        }
        var load = OTLPLoad()
        let start = ContinuousClock.now
        for exporter in exporters { exporter.start(until: .now() + .seconds(Int64(seconds))) }
        for exporter in exporters {
            let (requests, sample) = try await exporter.finish()
            load.spans += requests * batch
            load.latencies.add(sample)
        }
        load.duration = start.duration(to: .now)
        return load
    }

    private func measure() async throws -> [(String, Double)] {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let bus = try await stage.connect("receiver", atOnce: true)
        let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
        let delivery = SpanDelivery(prefix: "lattice") { message, timeout throws(BusError) in
            try await inbox.outcome(of: message, timeout: timeout)
        }
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let service = try service(delivery, stage.logger) { port.yield($0) }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                logger: stage.logger))
        let serving = Task { try await group.run() }
        let before = await running.node.status().acceptedEvents
        var load = OTLPLoad()
        for await port in ports {
            load = try await self.load(OTLPTarget(port: port, path: grpc ? GRPCExporter.path : "v1/traces"))
            break
        }
        let accepted = await running.node.status().acceptedEvents - before
        await group.triggerGracefulShutdown()
        try await serving.value
        await bus.close()
        await running.stop()
        await stage.close()
        guard accepted >= UInt64(load.spans) else {
            throw BenchError("\(accepted) of \(load.spans) spans were accepted")
        }
        return load.figures
    }

    private func service(
        _ delivery: SpanDelivery, _ logger: Logger, _ onListening: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        let configuration = ReceiverConfiguration(host: "127.0.0.1", port: 0)
        if grpc {
            return try OTLPGRPCEndpoint(configuration, delivery: delivery, budget: ReceiverBudget())
                .service(logger: logger, onListening: onListening)
        }
        return try OTLPHTTPEndpoint(configuration, delivery: delivery, budget: ReceiverBudget())
            .service(logger: logger, onListening: onListening)
    }
}

/// Where spans are taken, on this machine.
struct OTLPTarget: ExpressibleByArgument, CustomStringConvertible {
    var port: Int
    /// Without the slash at its beginning.
    var path: String

    init(port: Int, path: String) {
        self.port = port
        self.path = path
    }

    init?(argument: String) {
        let parts = argument.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let port = Int(parts[0]), (1...65_535).contains(port) else { return nil }
        self.init(port: port, path: String(parts[1]))
    }

    var description: String { "127.0.0.1:\(port)/\(path)" }
}

/// What a load came to.
private struct OTLPLoad {
    var spans = 0
    var duration = Duration.zero
    var latencies = LatencySample()

    var figures: [(String, Double)] {
        [
            ("spans_per_second", Double(spans) / duration.inSeconds), ("p50_ms", latencies.milliseconds(50)),
            ("p99_ms", latencies.milliseconds(99)),
        ]
    }
}

/// A request that is sent again and again with new ids.
struct OTLPTemplate {
    static let spanBytes = 236
    private static let spansPerTrace = 10
    private var bytes: [UInt8]
    private let idOffsets: [Int]
    private var counter: UInt64

    /// - Parameter number: tells the ids of several templates apart.
    init(batch: Int, number: Int) {
        var spans: [[UInt8]] = []
        for index in 0..<batch { spans.append(Self.span(isRoot: index % Self.spansPerTrace == 0)) }
        var resource = WireWriter()
        resource.message(1) { $0.message(1) { Self.attribute("service.name", "checkout-\(number)", &$0) } }
        var scope = WireWriter()
        scope.message(1) { $0.field(1, "bench") }
        let scopeStart = scope.bytes.count
        for span in spans { scope.field(2, span) }
        var resourceSpans = WireWriter(copying: resource.bytes[...])
        resourceSpans.field(2, scope.bytes)
        var request = WireWriter()
        request.field(1, resourceSpans.bytes)
        bytes = request.bytes
        // Tag, two bytes of length, tag and length of the trace's id.
        let first = bytes.count - scope.bytes.count + scopeStart
        let step = (scope.bytes.count - scopeStart) / batch
        idOffsets = (0..<batch).map { first + $0 * step + 5 }
        counter = UInt64(number) << 40
    }

    /// A span of 236 bytes: six attributes, a status; the root's id of a parent is padding.
    private static func span(isRoot: Bool) -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, [UInt8](repeating: 1, count: 16))
        writer.field(2, [UInt8](repeating: 1, count: 8))
        if !isRoot { writer.field(4, [UInt8](repeating: 1, count: 8)) }
        writer.field(5, isRoot ? "POST /checkout/orders/{id}" : "GET /cart/items")
        writer.field(6, isRoot ? 2 : 3 as UInt32)
        writer.fixed64(7, 1_795_000_000_000_000_000)
        writer.fixed64(8, 1_795_000_000_004_200_000)
        for (key, value) in [("http.request.method", "GET"), ("url.path", "/cart"), ("net.peer", "10.0.0.7")] {
            writer.message(9) { attribute(key, value, &$0) }
        }
        writer.message(9) { inner in
            inner.field(1, "http.response.status_code")
            inner.message(2) { $0.optionalField(3, 200) }
        }
        writer.message(9) { attribute("k8s.pod", "checkout-5f7", &$0) }
        // Tags and lengths of the attribute, its key, its value and the text.
        let rest = spanBytes - writer.bytes.count - 8 - "note".utf8.count
        writer.message(9) { attribute("note", String(repeating: "x", count: rest), &$0) }
        precondition(writer.bytes.count == spanBytes, "\(writer.bytes.count)")
        return writer.bytes
    }

    private static func attribute(_ key: String, _ value: String, _ writer: inout WireWriter) {
        writer.field(1, key)
        writer.message(2) { $0.field(1, value) }
    }

    /// The request with ids that were not there before.
    mutating func next() -> [UInt8] {
        for (index, offset) in idOffsets.enumerated() {
            counter += 1
            let position = index % Self.spansPerTrace
            let root = counter - UInt64(position)
            // Well mixed, since ids are random in life.
            write((root &+ 1) &* 0x9E37_79B9_7F4A_7C15, at: offset)
            write(root, at: offset + 8)
            write(counter, at: offset + 18)
            if position > 0 { write(root, at: offset + 28) }
        }
        return bytes
    }

    private mutating func write(_ value: UInt64, at offset: Int) {
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * index)) }
    }
}

/// Sends requests on one connection, one at a time.
protocol SpanExporter: Sendable {
    func start(until deadline: NIODeadline)
    /// Waits for the end: how many requests were answered, and how fast.
    func finish() async throws -> (Int, LatencySample)
}

/// One connection of HTTP/1.1 with one request under way.
final class Exporter: ChannelInboundHandler, SpanExporter, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let channelResult: EventLoopPromise<(Int, LatencySample)>
    private let channel: any Channel
    private let path: String
    private let state: NIOLoopBoundBox<State>

    private struct State {
        var template: OTLPTemplate
        var answer = ByteBuffer()
        var deadline = NIODeadline.distantFuture
        var requests = 0
        var latencies = LatencySample()
        var sentAt = ContinuousClock.now
    }

    private init(_ channel: any Channel, _ path: String, number: Int, batch: Int) {
        self.channel = channel
        self.path = path
        channelResult = channel.eventLoop.makePromise()
        state = NIOLoopBoundBox(
            State(template: OTLPTemplate(batch: batch, number: number)), eventLoop: channel.eventLoop)
    }

    /// One thread for all exporters, so that they share no loop with the receiver's connections.
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    static func connect(_ target: OTLPTarget, number: Int, batch: Int) async throws -> Exporter {
        let bootstrap = ClientBootstrap(group: group)
        let channel = try await bootstrap.connect(host: "127.0.0.1", port: target.port).get()
        return try await channel.eventLoop.submit {
            let exporter = Exporter(channel, target.path, number: number, batch: batch)
            try channel.pipeline.syncOperations.addHandler(exporter)
            return exporter
        }.get()
    }

    func start(until deadline: NIODeadline) {
        channel.eventLoop.execute {
            self.state.value.deadline = deadline
            self.send()
        }
    }

    /// Waits for the end: how many requests were answered, and how fast.
    func finish() async throws -> (Int, LatencySample) {
        let result = try await channelResult.futureResult.get()
        try await channel.close().get()
        return result
    }

    private func send() {
        let body = state.value.template.next()
        var buffer = channel.allocator.buffer(capacity: body.count + 160)
        buffer.writeString(
            "POST /\(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
                + "Content-Length: \(body.count)\r\n\r\n")
        buffer.writeBytes(body)
        state.value.sentAt = .now
        channel.writeAndFlush(buffer, promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        state.value.answer.writeBuffer(&buffer)
        let text = String(buffer: state.value.answer)
        guard let end = text.firstRange(of: "\r\n\r\n")?.upperBound else { return }
        let lines = text[..<end].lowercased().split(separator: "\r\n")
        let length = lines.first { $0.hasPrefix("content-length: ") }.flatMap { Int($0.dropFirst(16)) } ?? 0
        guard text[end...].utf8.count >= length else { return }
        state.value.answer.clear()
        guard text.hasPrefix("HTTP/1.1 2") else {
            return channelResult.fail(BenchError("answered: \(text.prefix(200))"))
        }
        state.value.requests += 1
        state.value.latencies.add(state.value.sentAt.duration(to: .now))
        if NIODeadline.now() < state.value.deadline { return send() }
        channelResult.succeed((state.value.requests, state.value.latencies))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { channelResult.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { channelResult.fail(BenchError("the connection was closed")) }
}
