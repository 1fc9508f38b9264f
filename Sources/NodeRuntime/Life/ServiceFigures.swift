// How the services are doing in numbers: counted again only where something changed.

import EventModel
import StateMachines
import Synchronization

/// What one look at the registry found.
struct ServiceLook: Sendable {
    /// Services that changed since the look before, also those that have no instances any more.
    var changed: [ServiceTopology] = []
    /// Services that the eviction guard holds, silent for longest first.
    var guarded: [ServiceTopology] = []
    /// Sums over all services; the name is empty.
    var total = ServiceTopology(serviceName: "", changedSequence: .origin, protected: false)
    /// Services with at least one instance.
    var serviceCount = 0
    /// The newest evictions that the registry remembers.
    var recentEvictions: [Removal] = []
}

/// Remembers the services as of the last look, so that a mesh in which nothing happens costs next to nothing.
final class ServiceFigures: Sendable {
    private struct Known {
        /// By the bytes of the name: what Unicode calls equal may be two services.
        var services: [[UInt8]: ServiceTopology] = [:]
        /// The last record of which everything is known.
        var through = SequenceNumber.origin
    }

    private let known = Mutex(Known())

    /// Asks the registry for what changed since the last look.
    func look(at host: MachineHost<ServiceRegistry>) async -> ServiceLook {
        let through = known.withLock { $0.through }
        let (changed, moment, evictions) = await host.read { registry in
            (
                registry.services(changedAfter: through), registry.moment.sequence,
                registry.evictions(limit: NodeStatus.evictionsListed)
            )
        }
        return known.withLock { known in
            for service in changed { Self.take(service, &known) }
            known.through = max(known.through, moment)
            var look = Self.sum(known.services.values)
            look.changed = changed
            look.recentEvictions = evictions
            return look
        }
    }

    /// Two may look at once: the later record is right.
    private static func take(_ service: ServiceTopology, _ known: inout Known) {
        let key = Array(service.serviceName.utf8)
        if let earlier = known.services[key], earlier.changedSequence > service.changedSequence { return }
        let isNothing = service.instances == 0 && !service.protected
        known.services[key] = isNothing ? nil : service
    }

    private static func sum(_ services: some Sequence<ServiceTopology>) -> ServiceLook {
        var look = ServiceLook()
        for service in services {
            if service.instances > 0 { look.serviceCount += 1 }
            look.total.instances += service.instances
            look.total.healthy += service.healthy
            look.total.unhealthy += service.unhealthy
            look.total.stale += service.stale
            look.total.protectedInstances += service.protectedInstances
            if service.protected { look.guarded.append(service) }
        }
        look.guarded.sort { left, right in
            let (first, second) = (left.silentSince?.rawValue ?? .max, right.silentSince?.rawValue ?? .max)
            return first == second ? left.serviceName.precedesInBytes(right.serviceName) : first < second
        }
        return look
    }
}

extension ServiceLook {
    /// Puts what belongs to the mesh into the answer.
    func describe(_ status: inout NodeStatus) {
        status.guards = guarded.prefix(NodeStatus.guardsListed).map {
            GuardedService(
                serviceName: $0.serviceName, instances: $0.instances, protectedInstances: $0.protectedInstances,
                silentSince: $0.silentSince)
        }
        status.guardedServices = UInt32(clamping: guarded.count)
        status.services = UInt32(clamping: serviceCount)
        status.instances = total.instances
        status.healthyInstances = total.healthy
        status.unhealthyInstances = total.unhealthy
        status.staleInstances = total.stale
        status.protectedInstances = total.protectedInstances
        status.recentEvictions = recentEvictions
    }
}
