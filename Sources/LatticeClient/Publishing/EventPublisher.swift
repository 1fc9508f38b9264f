// Publishes what an observer of traffic learns: health, load, choices, captures.

package import EventModel
package import MeshRules
public import ServiceLifecycle

/// Takes events over from the threads that made them and publishes them in batches of one kind for one service.
///
/// As with spans nobody waits, what does not fit is dropped and counted, and the rest stays until a node has it on disk. Of the load of an instance only the latest
/// count of a batch is published.
public final class EventPublisher: Service {
    private let publisher: BatchPublisher<ObservedKind, ObservedEvent>

    public init(_ connection: MeshConnection, limits: PublisherLimits = PublisherLimits()) {
        publisher = BatchPublisher(connection, limits, parallel: { $0.parallel }) { kind, events, bytesMaximum in
            ObservedMessages(
                subject: connection.subject(kind.type, of: kind.service), kind: kind, bytesMaximum: bytesMaximum
            ).encode(events)
        }
    }

    /// Tells what a health check, or a real request, found; false: the queue was full, and it is lost.
    @discardableResult
    package func publish(_ report: HealthReport, of service: String) -> Bool {
        add(.health(report), .healthReported, service, bytes: 64 + report.instanceID.utf8.count)
    }

    /// Tells how many connections there are to an instance.
    @discardableResult
    package func publish(_ report: LoadReport, of service: String) -> Bool {
        add(.load(report), .loadReported, service, bytes: 48 + report.instanceID.utf8.count)
    }

    /// Tells which instance was chosen, so that the choice can be explained later.
    @discardableResult
    package func publish(_ selection: InstanceSelection, of service: String) -> Bool {
        let bytes = selection.candidates.reduce(64) { $0 + 2 + $1.utf8.count }
        return add(.selection(selection), .instanceSelected, service, bytes: bytes)
    }

    /// Tells of a captured request of a service, and hands its contents over.
    @discardableResult
    package func publish(_ capture: MadeCapture, of service: String) -> Bool {
        add(.capture(capture), .requestCaptured, service, bytes: capture.estimatedBytes)
    }

    private func add(_ event: ObservedEvent, _ type: EventType, _ service: String, bytes: Int) -> Bool {
        publisher.add(ObservedKind(type: type, service: service), event, bytes: bytes)
    }

    /// What has become of all events.
    public var figures: PublisherFigures { publisher.figures }

    /// Publishes until the task is cancelled or the service group shuts down.
    public func run() async { await publisher.run() }

    /// Publishes what waits and returns when it is recorded; false where it was not within `limit`.
    @discardableResult
    public func flush(within limit: Duration = .seconds(2)) async -> Bool { await publisher.flush(within: limit) }
}

extension MadeCapture {
    fileprivate var estimatedBytes: Int {
        let headers = (content.requestHeaders + content.responseHeaders).reduce(0) {
            $0 + 8 + $1.name.utf8.count + $1.value.utf8.count
        }
        return 192 + content.target.utf8.count + content.requestBody.count + content.responseBody.count + headers
    }
}
