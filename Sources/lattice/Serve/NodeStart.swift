// Brings a node up once what it needs is there: NATS, and the stream that it is fed from.

import NodeRuntime
import Dispatcher
import EventModel
import EventStore
import Logging
import Messaging
import NATSMessaging

/// The start of a node, which waits for NATS and its stream unless it was told not to.
struct NodeStart: Sendable {
    let serve: Serve
    let buses: NodeBuses
    let anchorKey: AnchorKey?
    let shadows: HTTPShadowSender
    let launch: NodeLaunch
    let logger: Logger

    /// What an operator, or time, may mend while the process waits.
    private static let passing: Set<String> = [
        "not_connected", "authentication_failed", "permission_denied", "timeout", "no_responders", "stream_not_found",
        "stream_unavailable",
    ]
    private static let pauseMax = Duration.seconds(2)

    /// Why an attempt failed: a word for programs, and what the command would say of it.
    private struct Failure: Error {
        var code: String
        var command: CommandFailure
    }

    /// Whether a node that is started like this waits; its own server is there before it.
    static func waits(_ serve: Serve) -> Bool {
        !serve.connection.servers.isEmpty && !serve.node.streamMaking.noWait
    }

    func node() async throws(CommandFailure) -> Node {
        guard Self.waits(serve) else {
            do throws(Failure) { return try await attempt() } catch { throw error.command }
        }
        let complaint = RepeatedComplaint()
        var pause = Duration.milliseconds(100)
        while true {
            await connected()
            do throws(Failure) {
                let node = try await attempt()
                launch.waits(for: nil)
                return node
            } catch {
                guard Self.passing.contains(error.code) else { throw error.command }
                launch.waits(for: buses.areConnected ? error.code : NodeLaunch.notConnected)
                if buses.areConnected && complaint.isDue() {
                    logger.warning("waiting to start", metadata: ["reason": "\(error.command.message)"])
                }
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.pauseMax)
        }
    }

    /// Returns when both connections are there; the one for answers says so while they are not.
    private func connected() async {
        while !buses.areConnected {
            launch.waits(for: NodeLaunch.notConnected)
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func attempt() async throws(Failure) -> Node {
        let configuration = serve.nodeConfiguration
        var environment = NodeEnvironment(
            intakeBus: buses.intake, answerBus: buses.answers, clock: NodeClock { PosixStorage().now() },
            logger: logger, shadows: shadows)
        environment.anchorKey = anchorKey
        do throws(BusError) {
            if let stream = serve.node.stream {
                try await JetStreamAdministration(buses.answers).ensureStream(
                    serve.node.streamMaking.configuration(name: stream, prefix: configuration.prefix))
                environment.stream = try JetStreamSource(bus: buses.intake, stream: stream) { $0.fingerprint }
            }
        } catch {
            let url = buses.answers.configuration.servers.joined(separator: ", ")
            // Silence, too, is a stream that nobody speaks for.
            let isSilent = error.code == .timeout || error.code == .noResponders
            let code = isSilent ? BusError.Code.streamUnavailable : error.code
            throw Failure(code: code.rawValue, command: CommandFailure(error, url: url))
        }
        launch.waits(for: nil)
        let bar = ProgressBar("recovery")
        defer { bar.finish() }
        do throws(NodeFailure) {
            return try await Node.start(configuration, environment) { done, last in
                bar.report(done.rawValue, of: last.rawValue)
            }
        } catch {
            throw Failure(code: error.code, command: CommandFailure(error))
        }
    }
}
