// How a mesh is doing, on twenty lines: every node, the guard, and what somebody has to be woken for.

import ArgumentParser
import EventModel
import Foundation
import Messaging
import NATSMessaging

/// `lattice status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "How the mesh is doing: its nodes, the eviction guard, what pages.",
        discussion: """
            Every node is asked, also where several hold one log. What stands under `page` is worth waking somebody, what \
            stands under `ticket` is not; the alert rules in Documentation/alerts.yml say the same with names.

              lattice status
              lattice status --watch
              lattice status --json | jq '.problems'
              lattice status >/dev/null || echo "somebody should look"

            Exit status: 0 nothing pages; 1 something does; 3 no node answers.
            """)

    @Flag(help: "One JSON object: nodes, problems, whether something pages.") var json = false
    @Flag(help: "Look again and again, until Ctrl-C.") var watch = false
    @Option(help: ArgumentHelp("How often --watch looks.", valueName: "duration"))
    var interval: DurationArgument = DurationArgument(argument: "2s")!
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        guard interval.value >= .milliseconds(100) else { throw ValidationError("--interval is at least 100ms") }
    }

    func run() async throws {
        let client = try await client.connect(as: "lattice status")
        defer { Task { await client.close() } }
        guard watch else {
            let status = try await look(client)
            show(status)
            if status.pages { throw CommandFailure(.failed) }
            return
        }
        while true {
            do throws(CommandFailure) {
                show(try await look(client))
            } catch {
                // Nobody answers now: somebody may again.
                Terminal.say(json ? #"{"error":\#(JSONOutput.encode(error.message))}"# : error.message)
            }
            try await Task.sleep(for: interval.duration)
        }
    }

    private func look(_ client: NodeClient) async throws(CommandFailure) -> MeshStatus {
        let nodes = try await NodeFinder(client).nodes()
        return MeshStatus(nodes: nodes, prefix: client.prefix, now: Self.now)
    }

    private static var now: Timestamp { Timestamp(nanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000_000)) }

    private func show(_ status: MeshStatus) {
        if json { return Terminal.say(status.json) }
        if watch && Terminal.outputIsSeen { Terminal.write("\u{1B}[H\u{1B}[2J") }
        for line in status.lines { Terminal.say(line) }
        if watch && !Terminal.outputIsSeen { Terminal.say("") }
    }
}

/// Asks all nodes of a prefix how they are: by the micro protocol, which each of them answers for itself.
private struct NodeFinder {
    private let client: NodeClient
    /// When nobody has spoken for so long, all have.
    private static let silence = Duration.milliseconds(400)

    init(_ client: NodeClient) { self.client = client }

    func nodes() async throws(CommandFailure) -> [Lattice_V1_NodeStatus] {
        var found: [String: Lattice_V1_NodeStatus] = [:]
        for payload in await answers() {
            if let status = status(in: payload) { found[status.nodeID] = status }
        }
        if found.isEmpty {
            // An older node says less of itself, or this user may not ask all of them.
            let payload = try await client.ask(.node(.status), NodeQuery().encode())
            guard let status = StatusText.decode(payload) else {
                throw CommandFailure(.failed, "the answer is not understood; is the node of another version?")
            }
            found[status.nodeID] = status
        }
        return found.values.sorted { $0.nodeID < $1.nodeID }
    }

    private func answers() async -> [[UInt8]] {
        let inbox = "\(client.bus.configuration.inboxPrefix).\(UUID().uuidString)"
        guard let subscription = try? client.bus.subscribe(inbox, queueGroup: nil, limits: .standard) else { return [] }
        defer { subscription.drain() }
        do {
            try client.bus.publish(Message(subject: "$SRV.STATS.lattice", replyTo: inbox, payload: []))
        } catch {
            return []
        }
        let patience = client.timeout
        return await blocking {
            var payloads: [[UInt8]] = []
            while let messages = try? subscription.receive(
                maximum: 256, timeout: payloads.isEmpty ? patience : Self.silence)
            {
                // Empty: the server says that nobody listens.
                let told = messages.map(\.payload).filter { !$0.isEmpty }
                if told.isEmpty || payloads.count > 1_000 { break }
                payloads += told
            }
            return payloads
        }
    }

    /// What a node of this prefix says; nil for others.
    private func status(in payload: [UInt8]) -> Lattice_V1_NodeStatus? {
        guard let answer = try? JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any],
            (answer["metadata"] as? [String: Any])?["prefix"] as? String == client.prefix,
            let endpoint = (answer["endpoints"] as? [[String: Any]])?.first, let data = endpoint["data"],
            JSONSerialization.isValidJSONObject(data), let text = try? JSONSerialization.data(withJSONObject: data),
            let binary = try? JSONTranscoder.binary(fromJSON: Array(text), kind: .nodeStatus)
        else { return nil }
        return StatusText.decode(binary)
    }
}
