// An instance that reads bytes as the RFC says and no other way: what it is sent is what it was meant to get, or a fault.

import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A request as it stood on the wire.
struct StrictRequest: Sendable {
    enum Framing: Sendable, Equatable {
        case none
        case length(Int)
        case chunks
    }

    /// Of which connection, and its how many-th request there.
    var connection: Int
    var place: Int
    var method: String
    var target: String
    var fields: [(name: String, value: String)]
    var framing: Framing
    var body = ""

    /// What the test calls it.
    var id: String { field("x-id") ?? "" }

    func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// Reads one connection.
struct StrictReader {
    struct Fault: Error {
        var text: String
    }

    private enum State {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case trailers
    }

    private var bytes: [UInt8] = []
    private var state = State.head
    private(set) var open: StrictRequest?
    private let connection: Int
    private var count = 0

    init(connection: Int) { self.connection = connection }

    var isBetweenRequests: Bool { bytes.isEmpty && open == nil }

    mutating func take(_ new: some Sequence<UInt8>) { bytes += new }

    /// The next whole request; nil: more bytes are needed.
    mutating func next() throws(Fault) -> StrictRequest? {
        while true {
            switch state {
            case .head:
                guard let head = text(through: "\r\n\r\n") else { return nil }
                try begin(head)
            case .length(let rest):
                let part = String(decoding: bytes.prefix(rest), as: UTF8.self)
                bytes.removeFirst(part.utf8.count)
                open?.body += part
                if part.utf8.count < rest {
                    state = .length(rest - part.utf8.count)
                    return nil
                }
                return end()
            case .chunkSize:
                guard let line = text(through: "\r\n") else { return nil }
                // One character of two bytes.
                let digits = line.dropLast()
                guard !digits.isEmpty, digits.utf8.count <= 8, let size = Int(digits, radix: 16), !digits.hasPrefix("+")
                else { throw Fault(text: "chunk size \(line.debugDescription)") }
                state = size == 0 ? .trailers : .chunk(size)
            case .chunk(let size):
                guard bytes.count >= size + 2 else { return nil }
                open?.body += String(decoding: bytes.prefix(size), as: UTF8.self)
                guard Array(bytes[size..<size + 2]) == Array("\r\n".utf8) else { throw Fault(text: "end of a chunk") }
                bytes.removeFirst(size + 2)
                state = .chunkSize
            case .trailers:
                guard let line = text(through: "\r\n") else { return nil }
                if line == "\r\n" { return end() }
            }
        }
    }

    private mutating func end() -> StrictRequest? {
        defer { open = nil }
        state = .head
        return open
    }

    private mutating func text(through end: String) -> String? {
        let mark = Array(end.utf8)
        guard bytes.count >= mark.count,
            let start = (0...bytes.count - mark.count).first(where: { Array(bytes[$0..<$0 + mark.count]) == mark })
        else { return nil }
        defer { bytes.removeFirst(start + mark.count) }
        return String(decoding: bytes.prefix(start + mark.count), as: UTF8.self)
    }

    private mutating func begin(_ head: String) throws(Fault) {
        var lines = head.components(separatedBy: "\r\n").dropLast(2)
        let words = lines.removeFirst().components(separatedBy: " ")
        guard words.count == 3, words[2] == "HTTP/1.1", !words[0].isEmpty,
            words[0].utf8.allSatisfy({ 0x41...0x5A ~= $0 }), words[1].hasPrefix("/")
        else { throw Fault(text: "request line \(words)") }
        var fields: [(name: String, value: String)] = []
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex, !line.hasPrefix(" ") else {
                throw Fault(text: "field \(line.debugDescription)")
            }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            fields.append((line[..<colon].lowercased(), String(value)))
        }
        let (lengths, encodings) = (
            fields.filter { $0.name == "content-length" }, fields.filter { $0.name == "transfer-encoding" }
        )
        guard fields.count(where: { $0.name == "host" }) == 1, lengths.count + encodings.count <= 1 else {
            throw Fault(text: "host or framing \(fields)")
        }
        count += 1
        var framing = StrictRequest.Framing.none
        state = .length(0)
        if let length = lengths.first {
            guard let number = Int(length.value), number >= 0, !length.value.hasPrefix("+") else {
                throw Fault(text: "length \(length.value)")
            }
            (framing, state) = (.length(number), .length(number))
        } else if let encoding = encodings.first {
            guard encoding.value == "chunked" else { throw Fault(text: "encoding \(encoding.value)") }
            (framing, state) = (.chunks, .chunkSize)
        }
        open = StrictRequest(
            connection: connection, place: count, method: words[0], target: words[1], fields: fields, framing: framing)
    }
}

/// One instance; it answers with the id of the request. What else it does a request says itself, in `x-do`.
///
/// - `close`: says that the connection ends with the answer, and ends it.
/// - `early`: answers at the head and reads on.
/// - `hang-up`: closes at the first byte of the body.
/// - `end-framed`: answers without a length and ends the connection; `reset`: the same, with an RST.
/// - `raw`: answers with the bytes in `x-raw`, in hexadecimal.
final class StrictService: Sendable {
    private struct State {
        var requests: [StrictRequest] = []
        var faults: [String] = []
        var cut: [StrictRequest] = []
        var begun: Set<String> = []
        var connections = 0
    }

    private let state = Mutex(State())
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel = Mutex<(any Channel)?>(nil)

    static func start() async throws -> StrictService {
        let service = StrictService()
        let listener = try await ServerBootstrap(group: service.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StrictHandler(service))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        service.channel.withLock { $0 = listener }
        return service
    }

    var endpoint: String { "127.0.0.1:\(channel.withLock { $0?.localAddress?.port ?? 0 })" }
    /// Whole requests, of all connections.
    var requests: [StrictRequest] { state.withLock { $0.requests } }
    /// What could not be read.
    var faults: [String] { state.withLock { $0.faults } }
    /// Requests whose connection ended before them.
    var cut: [StrictRequest] { state.withLock { $0.cut } }
    var connections: Int { state.withLock { $0.connections } }

    func requests(_ id: String) -> [StrictRequest] { requests.filter { $0.id == id } }

    /// Whether the head of a request was read.
    func hasBegun(_ id: String) -> Bool { state.withLock { $0.begun.contains(id) } }

    fileprivate func began(_ id: String) { state.withLock { _ = $0.begun.insert(id) } }

    fileprivate func opened() -> Int {
        state.withLock { state in
            state.connections += 1
            return state.connections
        }
    }

    fileprivate func heard(_ request: StrictRequest) { state.withLock { $0.requests.append(request) } }
    fileprivate func failed(_ text: String) { state.withLock { $0.faults.append(text) } }
    fileprivate func wasCut(_ request: StrictRequest) { state.withLock { $0.cut.append(request) } }

    func stop() async {
        try? await channel.withLock { $0 }?.close().get()
        try? await group.shutdownGracefully()
    }
}

private final class StrictHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let service: StrictService
    private var reader: StrictReader
    private var answered = 0

    init(_ service: StrictService) {
        self.service = service
        reader = StrictReader(connection: service.opened())
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reader.take(Self.unwrapInboundIn(data).readableBytesView)
        do throws(StrictReader.Fault) {
            while let request = try reader.next() {
                service.heard(request)
                if request.place > answered { answer(request, context) }
            }
            guard let open = reader.open else { return }
            service.began(open.id)
            if open.place <= answered { return }
            switch open.field("x-do") {
            case "early": answer(open, context)
            case "hang-up" where !open.body.isEmpty: context.close(promise: nil)
            default: break
            }
        } catch {
            service.failed(error.text)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let open = reader.open { service.wasCut(open) }
    }

    private func answer(_ request: StrictRequest, _ context: ChannelHandlerContext) {
        answered = request.place
        let text = "id=\(request.id);"
        let body = request.method == "HEAD" ? "" : text
        switch request.field("x-do") {
        case "close":
            send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: \(text.utf8.count)\r\n\r\n\(body)", context)
            context.close(promise: nil)
        case "end-framed":
            send("HTTP/1.1 200 OK\r\n\r\n\(body)", context)
            context.close(promise: nil)
        case "reset":
            send("HTTP/1.1 200 OK\r\n\r\n\(body)", context)
            let channel = context.channel
            // The gateway must have read the bytes, or it sees nothing but the reset.
            context.eventLoop.scheduleTask(in: .milliseconds(100)) {
                _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).always { _ in
                    channel.close(promise: nil)
                }
            }
        case "raw":
            var bytes = ByteBuffer()
            var digits = (request.field("x-raw") ?? "")[...]
            while let byte = UInt8(digits.prefix(2), radix: 16) {
                bytes.writeInteger(byte)
                digits = digits.dropFirst(2)
            }
            context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
        default: send("HTTP/1.1 200 OK\r\ncontent-length: \(text.utf8.count)\r\n\r\n\(body)", context)
        }
    }

    private func send(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}
