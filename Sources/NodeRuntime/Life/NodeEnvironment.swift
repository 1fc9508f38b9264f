// Where a node is put: the buses, the stream, the clock and the log of its words.

package import EventModel
package import EventStore
package import Logging
package import Messaging

/// What a node needs from outside: buses, a stream in JetStream mode, the clock.
package struct NodeEnvironment: Sendable {
    /// Takes events; may be slow to write.
    package var intakeBus: any MessageBus
    /// Answers at once.
    package var answerBus: any MessageBus
    package var stream: (any StreamSource)?
    package var clock: NodeClock
    package var logger: Logger
    /// Signs heads of the log; without it none are published.
    package var anchorKey: AnchorKey?
    /// Sends copies to shadows; nil: what is owed to them expires.
    package var shadows: (any ShadowSender)?

    package init(
        intakeBus: any MessageBus, answerBus: any MessageBus, stream: (any StreamSource)? = nil, clock: NodeClock,
        logger: Logger, shadows: (any ShadowSender)? = nil
    ) {
        self.intakeBus = intakeBus
        self.answerBus = answerBus
        self.stream = stream
        self.clock = clock
        self.logger = logger
        self.shadows = shadows
    }
}
