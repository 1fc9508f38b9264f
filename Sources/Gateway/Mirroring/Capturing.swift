// What the gateway keeps of a request and its answer for the mirrors of a service, bounded and off the event loop.

package import EventModel
package import MeshRules
import NIOCore
import NIOHTTP1
import Synchronization

/// A request and its answer as the gateway saw them, not yet redacted.
package struct CapturedPair: Sendable {
    package var service: String
    package var request: ObservedRequest
    package var response: ObservedResponse
    package var latency: Nanoseconds
    package var payloadLimit: Int
}

/// Where captures go; bounded, and never waits. False: there was no room.
package protocol CaptureSink: Sendable {
    func take(_ pair: CapturedPair) -> Bool
}

/// What is being kept of one exchange.
struct CaptureDraft {
    let service: String
    let limit: Int
    let requestID: String
    let traceID: TraceID
    let intent: String
    let method: String
    let target: String
    let fields: [(String, String)]
    let occurredAt: Timestamp
    private var requestBytes: [ByteBuffer] = []
    private var requestLength = 0
    private var status: UInt = 0
    private var answerFields = HTTPHeaders()
    private var answerBytes: [ByteBuffer] = []
    private var answerLength = 0

    init(
        _ exchange: Exchange, limit: Int, requestID: String, trace: TraceID, intent: String
    ) {
        service = exchange.route.rule.service
        self.limit = limit
        self.requestID = requestID
        traceID = trace
        self.intent = intent
        method = exchange.request.method.rawValue
        target = exchange.route.target(for: exchange.judged.target)
        fields = exchange.judged.fields
        occurredAt = exchange.loop.time(exchange.started)
    }

    mutating func requestBody(_ bytes: ByteBuffer) {
        if requestLength < limit { requestBytes.append(bytes) }
        requestLength += bytes.readableBytes
    }

    mutating func answerBegan(_ head: HTTPResponseHead) {
        status = head.status.code
        answerFields = head.headers
    }

    mutating func answerBody(_ bytes: ByteBuffer) {
        if answerLength < limit { answerBytes.append(bytes) }
        answerLength += bytes.readableBytes
    }

    func pair(latency: TimeAmount) -> CapturedPair {
        var request = ObservedRequest(
            requestID: requestID, traceID: traceID.bytes, intent: intent, method: method, target: target,
            headers: fields.map { HeaderField(name: $0.0, value: $0.1) },
            body: Self.joined(requestBytes, limit), occurredAt: occurredAt)
        request.bodyLength = requestLength
        let response = ObservedResponse(
            status: UInt32(status), headers: answerFields.map { HeaderField(name: $0.name, value: $0.value) },
            body: Self.joined(answerBytes, limit), bodyLength: answerLength)
        return CapturedPair(
            service: service, request: request, response: response, latency: Nanoseconds(latency.nanoseconds),
            payloadLimit: limit)
    }

    private static func joined(_ parts: [ByteBuffer], _ limit: Int) -> [UInt8] {
        if parts.isEmpty { return [] }
        var result: [UInt8] = []
        result.reserveCapacity(min(limit, parts.reduce(0) { $0 + $1.readableBytes }))
        for part in parts { result += part.readableBytesView.prefix(limit - result.count) }
        return result
    }
}

/// The mirrors of all services as they are configured now.
package final class MirrorBook: Sendable {
    /// The mirrors of one service, prepared.
    struct Entry: Sendable {
        let selection: MirrorSelection
        /// Those that also copy requests that write.
        let writing: UInt64
        let payloadLimit: Int
    }

    private let state = Mutex<(version: UInt64, entries: [String: Entry])>((0, [:]))
    let version = Atomic<UInt64>(0)

    package init() {}

    /// Takes all mirrors that there are now.
    package func replace(_ mirrors: [MirrorConfiguration]) {
        var entries: [String: Entry] = [:]
        for (service, group) in Dictionary(grouping: mirrors, by: \.sourceService) {
            let active = group.filter { $0.enabled && $0.mode != .replay }.prefix(64)
            if active.isEmpty { continue }
            var writing: UInt64 = 0
            for (index, mirror) in active.enumerated() where mirror.allowWrites { writing |= 1 << UInt64(index) }
            entries[service] = Entry(
                selection: MirrorSelection(Array(active)), writing: writing,
                payloadLimit: Int(active.map(\.payloadLimit).max() ?? 0))
        }
        state.withLock { state in
            state = (state.version + 1, entries)
            version.store(state.version, ordering: .releasing)
        }
    }

    func current() -> (version: UInt64, entries: [String: Entry]) { state.withLock { $0 } }
}

/// The mirrors as one event loop knows them.
final class LoopMirrors {
    private let book: MirrorBook
    private let sink: any CaptureSink
    private let figures: GatewayFigures
    private var version: UInt64
    private var entries: [String: MirrorBook.Entry]

    init(_ book: MirrorBook, _ sink: any CaptureSink, _ figures: GatewayFigures) {
        self.book = book
        self.sink = sink
        self.figures = figures
        (version, entries) = book.current()
    }

    /// Begins to keep a request, if some mirror of its service takes it. One with a shadow's mark is never mirrored.
    func draft(_ exchange: Exchange, requestID: String, trace: TraceID, isMarked: Bool) -> CaptureDraft? {
        if book.version.load(ordering: .acquiring) != version { (version, entries) = book.current() }
        guard !isMarked, exchange.judged.upgrade == nil, let entry = entries[exchange.route.rule.service] else {
            return nil
        }
        let path = exchange.route.target(for: exchange.judged.target).prefix { $0 != "?" }
        var intent = "\(exchange.request.method.rawValue) \(path)"
        if intent.utf8.count > Limits.identifierBytes {
            intent = String(intent.utf8.prefix(Limits.identifierBytes)) ?? ""
        }
        var chosen = entry.selection.selected(intent: intent, sampleSeed: requestID)
        if exchange.request.method != .GET && exchange.request.method != .HEAD { chosen &= entry.writing }
        guard chosen != 0 else { return nil }
        return CaptureDraft(exchange, limit: entry.payloadLimit, requestID: requestID, trace: trace, intent: intent)
    }

    func take(_ draft: CaptureDraft, latency: TimeAmount) {
        figures.captured(isKept: sink.take(draft.pair(latency: latency)))
    }
}
