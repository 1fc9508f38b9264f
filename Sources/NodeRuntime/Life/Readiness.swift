// Why a node is not ready, in words for programs.

package import Messaging

/// What readiness follows from.
package struct Readiness: Sendable {
    /// Whether the state is recovered and the subscriptions are made.
    package var isStarted: Bool
    package var isStopping: Bool
    package var failure: NodeFailure?
    /// `ok`, or why the writer takes nothing.
    package var intake: String
    package var intakeBus: ConnectionState
    package var answerBus: ConnectionState

    package init(
        isStarted: Bool, isStopping: Bool, failure: NodeFailure?, intake: String, intakeBus: ConnectionState,
        answerBus: ConnectionState
    ) {
        self.isStarted = isStarted
        self.isStopping = isStopping
        self.failure = failure
        self.intake = intake
        self.intakeBus = intakeBus
        self.answerBus = answerBus
    }

    /// Empty: events are taken and questions answered. Otherwise the gravest first: the code of a failure
    /// (`stream_rolled_back`, `unsupported_semantics`, `log_failed`, …), `stopping`, `recovering`, what the intake says
    /// (`disk_full`, `stream_not_found`, `stream_unavailable`, `stream_refuses`), `intake_disconnected`, `answers_disconnected`.
    package var reasons: [String] {
        var reasons: [String] = []
        if let failure { reasons.append(failure.code) }
        if isStopping { reasons.append("stopping") }
        if !isStarted { reasons.append("recovering") }
        if isStarted, intake != "ok", intake != failure?.code { reasons.append(intake) }
        if intakeBus != .connected { reasons.append("intake_disconnected") }
        if answerBus != .connected { reasons.append("answers_disconnected") }
        return reasons
    }
}
