// One instance as the gateway sees it: what all event loops know of it.

import EventModel
import NIOCore
import Synchronization

/// What the registry, or the file, says of an instance.
package struct InstanceDescription: Sendable, Hashable {
    package var id: String
    /// `host:port`.
    package var endpoint: String
    package var region = ""
    package var zone = ""
    package var weight: UInt32 = Limits.defaultWeight
    package var isHealthy = true
    package var incarnation: Int64 = 0
    /// What others than this gateway count.
    package var reportedConnections: UInt64 = 0

    package init(id: String, endpoint: String) {
        self.id = id
        self.endpoint = endpoint
    }
}

/// What the gateway has learned of one instance; shared by all loops, without locks.
final class Target: Sendable {
    let service: String
    let instanceID: String
    let endpoint: String
    let incarnation: Int64
    /// Requests that are on their way or being answered.
    let activeCount = Atomic<Int>(0)
    let connectionCount = Atomic<Int>(0)
    /// Failures since the last success.
    let failureCount = Atomic<Int>(0)
    /// When the ejection ends, in uptime nanoseconds; 0: not ejected.
    let ejectedUntil = Atomic<Int64>(0)
    /// It was ejected, and nobody was told yet that this is over.
    let isReturnDue = Atomic<Bool>(false)
    /// How often it was ejected of late; what each ejection lasts grows with it.
    let ejectionCount = Atomic<Int>(0)

    init(service: String, _ description: InstanceDescription) {
        self.service = service
        instanceID = description.id
        endpoint = description.endpoint
        incarnation = description.incarnation
    }

    func isEjected(at now: NIODeadline) -> Bool {
        let until = ejectedUntil.load(ordering: .relaxed)
        return until != 0 && now.uptimeNanoseconds < UInt64(bitPattern: until)
    }
}

/// One candidate in a view.
struct Candidate: Sendable {
    var description: InstanceDescription
    var target: Target
}

/// The instances of a service at one moment, in order of id; never changed, only replaced.
final class ClusterView: Sendable {
    let version: UInt64
    let candidates: [Candidate]
    /// The registry's position that it was made from.
    let asOf: SequenceNumber

    init(version: UInt64, candidates: [Candidate], asOf: SequenceNumber) {
        self.version = version
        self.candidates = candidates
        self.asOf = asOf
    }
}
