// The NATS micro protocol (ADR-32): `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, so that `nats micro ls` shows the node.

import Dispatch
import EventModel
import Logging
import Messaging
import StateMachines

/// Answers the discovery subjects of one node.
struct MicroProtocol: Sendable {
    /// Nodes that share a stream share the questions.
    static let queueGroup = "lattice-queries"
    /// Where every node's answer says which semantics it has at the most.
    package static let semanticsKey = "semantics_supported"
    let serviceName = "lattice"
    let id: String
    let version: String
    let prefix: String
    let startedAt: Timestamp

    /// The subjects to subscribe to: all services, those of this name, this one.
    var subjects: [String] {
        ["PING", "INFO", "STATS"].flatMap { verb in
            ["$SRV.\(verb)", "$SRV.\(verb).\(serviceName)", "$SRV.\(verb).\(serviceName).\(id)"]
        }
    }

    /// The answer to a message on one of them.
    ///
    /// - Parameter status: how the node is doing, as JSON; goes with the figures of its endpoint.
    func answer(_ subject: String, figures: QueryFigures, status: [UInt8] = []) -> [UInt8] {
        let verb = subject.split(separator: ".").dropFirst().first ?? "PING"
        let head =
            #""name":"\#(serviceName)","id":"\#(id)","version":"\#(semantic(version))","metadata":{"#
            + #""prefix":"\#(Self.escaped(prefix))","\#(Self.semanticsKey)":"\#(RecordFilter.supportedSemantics)"}"#
        switch verb {
        case "INFO":
            return Array(
                (#"{"type":"io.nats.micro.v1.info_response",\#(head),"description":"#
                    + #""service registry of the mesh","endpoints":[\#(endpoints(""))]}"#).utf8)
        case "STATS":
            let average = figures.answered == 0 ? 0 : figures.processingNanoseconds / figures.answered
            let numbers =
                #","num_requests":\#(figures.answered),"num_errors":\#(figures.failed),"last_error":"#
                + #""\#(Self.escaped(figures.lastError))","processing_time":\#(figures.processingNanoseconds),"#
                + #""average_processing_time":\#(average)"#
                + (status.isEmpty ? "" : #","data":\#(String(decoding: status, as: UTF8.self))"#)
            return Array(
                (#"{"type":"io.nats.micro.v1.stats_response",\#(head),"started":"\#(RFC3339.text(startedAt))","#
                    + #""endpoints":[\#(endpoints(numbers))]}"#).utf8)
        default: return Array(#"{"type":"io.nats.micro.v1.ping_response",\#(head)}"#.utf8)
        }
    }

    private func endpoints(_ more: String) -> String {
        #"{"name":"queries","subject":"\#(Self.escaped(prefix)).queries.>","queue_group":"\#(Self.queueGroup)"\#(more)}"#
    }

    /// The protocol wants a semantic version.
    private func semantic(_ version: String) -> String {
        version.split(separator: ".").count == 3 ? Self.escaped(version) : "0.0.0"
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Answers the discovery subjects until its subscription ends.
struct DiscoveryResponder: Sendable {
    let micro: MicroProtocol
    let bus: any MessageBus
    let logger: Logger
    let figures: @Sendable () -> QueryFigures
    /// How the node is doing.
    let status: @Sendable () async -> NodeStatus
    /// Batches for which the status is asked; beyond it the subscription's own queue waits.
    private let room = DispatchSemaphore(value: 4)

    init(
        micro: MicroProtocol, bus: any MessageBus, logger: Logger, figures: @escaping @Sendable () -> QueryFigures,
        status: @escaping @Sendable () async -> NodeStatus
    ) {
        self.micro = micro
        self.bus = bus
        self.logger = logger
        self.figures = figures
        self.status = status
    }

    /// Blocks the calling thread.
    func serve(_ subscription: any MessageSubscription) {
        let known = Set(micro.subjects)
        while let messages = try? subscription.receive(maximum: 64, timeout: .milliseconds(500)) {
            let asked = messages.filter {
                known.contains($0.subject) && ReplySender.isInbox($0.replyTo, prefix: micro.prefix)
            }
            if asked.isEmpty { continue }
            guard asked.contains(where: { $0.subject.hasPrefix("$SRV.STATS") }) else {
                answer(asked, status: [])
                continue
            }
            room.wait()
            Task {
                let status = await status().encode()
                answer(asked, status: (try? JSONTranscoder.json(fromBinary: status, kind: .nodeStatus)) ?? [])
                room.signal()
            }
        }
    }

    private func answer(_ messages: [Message], status: [UInt8]) {
        let answers = messages.map { message in
            Message(
                subject: message.replyTo, headers: [WireFormat.json],
                payload: micro.answer(message.subject, figures: figures(), status: status))
        }
        ReplySender(bus: bus, logger: logger).send(answers)
    }
}
