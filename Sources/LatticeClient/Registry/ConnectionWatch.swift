// Whether notices may have been missed: the subscription to them, and what has happened to the connection below it.

package import EventModel
internal import Logging
package import Messaging

/// The notices of a family's changes, and the connection on which they come. One task's own.
package struct ConnectionWatch: ~Copyable {
    private let connection: MeshConnection
    private var reader: SubscriptionReader?
    private var reconnects: UInt64
    private var dropped: UInt64 = 0
    private var isNew = false
    private let family: EventFamily

    /// - Parameter family: whose changes are heard of: of the registry, or of mirrors.
    package init(_ connection: MeshConnection, changesOf family: EventFamily = .registry) {
        self.connection = connection
        self.family = family
        reconnects = connection.bus.reconnectCount
    }

    /// Why nothing is heard now; nil: it is.
    package var trouble: String? {
        switch connection.bus.state {
        case .connected: nil
        case .closed: "the connection is closed"
        default: "NATS is away"
        }
    }

    /// Opens the subscription, if there is none yet.
    package mutating func subscribe(_ take: @escaping @Sendable ([Message]) -> Void) {
        guard reader == nil else { return }
        do throws(BusError) {
            let subscription = try connection.bus.subscribe(
                "\(connection.prefix).changes.\(family.rawValue).*", queueGroup: nil,
                limits: PendingLimits(messages: 16_384, bytes: 16 << 20))
            reader = SubscriptionReader(subscription, take)
            isNew = true
        } catch {
            connection.logger.debug("notices of changes can not be heard yet", metadata: ["reason": "\(error)"])
        }
    }

    /// Whether something may have been missed since the last time that this was asked.
    package mutating func hasMissedSomething() -> Bool {
        let (reconnects, dropped) = (connection.bus.reconnectCount, reader?.droppedCount ?? 0)
        defer { (self.reconnects, self.dropped, isNew) = (reconnects, dropped, false) }
        return reconnects != self.reconnects || dropped != self.dropped || isNew
    }

    /// Ends the subscription.
    package func end() { reader?.end() }
}

/// What `<prefix>.changes.<family>.<service>` says.
package enum ChangeNotice {
    /// The sequence of the change; nil where the notice is not understood.
    package static func sequence(_ message: Message) -> SequenceNumber? {
        let isJSON = message.payload.first == UInt8(ascii: "{")
        guard
            let payload = isJSON
                ? try? JSONTranscoder.binary(fromJSON: message.payload, kind: .changeNotice) : message.payload
        else { return nil }
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            if field.number == 2 && field.isVarint { return SequenceNumber(field.value) }
        }
        return nil
    }
}
