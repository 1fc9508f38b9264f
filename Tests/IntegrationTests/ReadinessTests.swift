// The words in which a node says why it is not ready.

import NodeRuntime
import Messaging
import Testing

@Suite struct `The readiness of a node` {
    private func reasons(_ change: (inout Readiness) -> Void) -> [String] {
        var readiness = Readiness(
            isStarted: true, isStopping: false, failure: nil, intake: "ok", intakeBus: .connected,
            answerBus: .connected)
        change(&readiness)
        return readiness.reasons
    }

    @Test func `has no reason against it when all is well`() { #expect(reasons { _ in } == []) }

    @Test func `names what is wrong, the gravest first`() {
        #expect(
            reasons {
                $0.isStarted = false; $0.intake = "starting"
            } == ["recovering"])
        #expect(reasons { $0.isStopping = true } == ["stopping"])
        #expect(reasons { $0.intake = "disk_full" } == ["disk_full"])
        #expect(reasons { $0.intake = "stream_not_found" } == ["stream_not_found"])
        #expect(reasons { $0.intakeBus = .reconnecting } == ["intake_disconnected"])
        #expect(reasons { $0.answerBus = .closed } == ["answers_disconnected"])
        for code in ["stream_rolled_back", "unsupported_semantics", "log_failed"] {
            let words = reasons {
                $0.failure = NodeFailure(code, "")
                $0.isStopping = true
                $0.intake = code
            }
            #expect(words == [code, "stopping"])
        }
    }
}
