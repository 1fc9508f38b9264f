// A view of endpoints that stand in no registry, so that a balancer treats them like any service.

internal import EventModel

extension ServiceView {
    /// Endpoints as healthy instances whose ids they are.
    ///
    /// - Parameter endpoints: `host:port`, each once.
    package static func fixed(service: String, endpoints: [String]) -> ServiceView {
        let standing = ServiceStanding()
        let instances = endpoints.sorted { $0.precedesInBytes($1) }.map { endpoint in
            let instance = ServiceInstance(
                instanceID: endpoint, serviceName: service, endpoint: endpoint, region: "", zone: "",
                weight: Limits.defaultWeight, metadata: [], registeredAt: .zero, lastHeartbeat: .zero, incarnation: 0)
            return ServedInstance(
                InstanceSnapshot(instance: instance, health: .healthy, status: nil, activeConnections: 0),
                changedAt: .origin, standing: InstanceStanding(instanceID: endpoint, service: standing))
        }
        return ServiceView(
            serviceName: service, instances: instances, asOf: AsOf(sequence: .origin, recordedAt: .zero),
            isProtected: false, generation: 1, standing: standing)
    }
}
