// Whether another node answers on the same prefix, asked before a node of core mode begins.

import Messaging

/// Core mode has one node: two would number the same messages differently.
enum SecondNodeCheck {
    static func run(
        _ configuration: NodeConfiguration, _ environment: NodeEnvironment
    ) async throws(NodeFailure) {
        let question = Message(subject: "\(configuration.prefix).queries.node.status", payload: [])
        do throws(BusError) {
            _ = try await environment.answerBus.request(question, timeout: .milliseconds(500))
        } catch {
            // Silence is nobody, or somebody who only listens to everything.
            if error.code == .noResponders || error.code == .timeout { return }
            throw NodeFailure(error.code.rawValue, error.message)
        }
        throw NodeFailure(
            "second_node",
            "another node answers on prefix `\(configuration.prefix)`; core mode has one node (use another --prefix, or "
                + "JetStream mode for several)")
    }
}
