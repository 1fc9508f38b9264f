// What `lattice serve` says when it is ready.

import NodeRuntime
import EventModel
import EventStore
import Glibc

/// The banner, or its JSON form; and the file by which customers find the node.
struct Announcement: Sendable {
    let node: Node
    let urls: [String]
    let serve: Serve
    let isEmbedded: Bool

    struct TornTail: Encodable {
        var bytes: UInt64
        var records: UInt64
    }

    struct Facts: Encodable {
        var data: String
        var http: String?
        var isNew: Bool
        var jaeger: String?
        var lastSequence: UInt64
        var mode: String
        var nats: String
        var nodeID: String
        var otlpGRPC: String?
        var otlpHTTP: String?
        var prefix: String
        var ready = true
        var scannedBytes: UInt64
        var tornTail: TornTail?
        var zipkin: String?

        enum CodingKeys: String, CodingKey {
            case isNew = "new_log"
            case lastSequence = "last_sequence"
            case nodeID = "node_id"
            case otlpGRPC = "otlp_grpc"
            case otlpHTTP = "otlp_http"
            case scannedBytes = "scanned_bytes"
            case tornTail = "torn_tail"
            case data, http, jaeger, mode, nats, prefix, ready, zipkin
        }
    }

    /// Writes the file, then says it.
    ///
    /// - Parameter listeners: addresses by the name of the listener.
    func ready(_ listeners: [String: String]) {
        let url = urls.joined(separator: ",")
        let file = NodeFile(
            natsURL: url, httpURL: listeners["http"], prefix: serve.node.prefix, processID: getpid())
        do {
            try file.write(in: serve.node.data)
        } catch {
            Terminal.complain("lattice: \(NodeFile.path(in: serve.node.data)) was not written: \(error)")
        }
        let facts = facts(url, listeners)
        if serve.json { return Terminal.say(JSONOutput.encode(facts)) }
        show(facts)
    }

    private func facts(_ url: String, _ listeners: [String: String]) -> Facts {
        Facts(
            data: serve.node.data, http: listeners["http"], isNew: node.recovery.isNew, jaeger: listeners["jaeger"],
            lastSequence: node.recovery.lastSequence.rawValue, mode: node.configuration.mode.name,
            nats: url, nodeID: node.id, otlpGRPC: listeners["otlp_grpc"], otlpHTTP: listeners["otlp_http"],
            prefix: serve.node.prefix, scannedBytes: node.recovery.scannedByteCount,
            tornTail: node.recovery.tornTail.map { TornTail(bytes: $0.byteCount, records: $0.discardedFrameCount) },
            zipkin: listeners["zipkin"])
    }

    private func show(_ facts: Facts) {
        Terminal.say("LatticeForge \(Lattice.version) is ready")
        Terminal.say("  nats    \(facts.nats)\(isEmbedded ? "  (embedded)" : "")  prefix \(facts.prefix)")
        if let http = facts.http { Terminal.say("  http    \(http)") }
        let spans = [facts.otlpHTTP, facts.otlpGRPC, facts.zipkin].compactMap { $0 }.joined(separator: "  ")
        if !spans.isEmpty { Terminal.say("  spans   \(spans)") }
        if let jaeger = facts.jaeger { Terminal.say("  traces  \(jaeger)  (Jaeger's query API)") }
        Terminal.say("  node    \(facts.nodeID)  mode \(facts.mode)")
        let state = facts.isNew ? "new log" : "last sequence \(facts.lastSequence)"
        Terminal.say("  data    \(facts.data)  \(state), sync \(serve.log.sync.text)")
        if let torn = facts.tornTail {
            Terminal.say(
                "  note    a torn tail of \(torn.bytes) bytes was cut off, as a crash leaves it; nothing acknowledged "
                    + "is lost")
        }
        if serve.log.sync.value != .always {
            Terminal.say("  note    --sync \(serve.log.sync.text): a power cut may lose what was acknowledged last")
        }
        Terminal.say("Stop with Ctrl-C; ask with `lattice query services`.")
    }
}
