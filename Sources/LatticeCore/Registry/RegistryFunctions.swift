// The specification's functions on a service registry, over one in the caller's own process.

public import EventModel

/// Creates a registry (`create_registry`).
///
/// - Parameters:
///   - configuration: what differs from the defaults in Limits.md.
///   - clock: the time of day; simulations give their own.
/// - Throws: `refused(.invalidSetting)` where a value is out of its range.
public func createRegistry(
    _ configuration: RegistryConfiguration = RegistryConfiguration(),
    clock: @escaping @Sendable () -> Timestamp = LocalTime.wallClock
) throws(LocalError) -> LocalRegistry { try LocalRegistry(configuration, clock: clock) }

/// Registers instances in the order of the list (`bulk_register`).
///
/// - Parameter failFast: stop at the first one that is refused; the rest is refused as `notAttempted`.
/// - Returns: how many were accepted, which replaced an earlier one, and which were refused and why, by their places in
///   the list.
/// - Throws: `malformed` where one breaks the rules of the log's format; then none is registered.
@discardableResult
public func bulkRegister(
    _ registry: inout LocalRegistry, _ instances: [ServiceInstance], failFast: Bool = false
) throws(LocalError) -> OutcomeAnswer { try registry.register(instances, failFast: failFast) }

/// Records results of health checks, then evicts whoever failed too often (`health_check_sweep`).
///
/// - Parameter evictThreshold: instances with at least so many consecutive failures are evicted, as far as the eviction
///   guard permits (Registry.md): a service's last instance stays, and no more than a share of a service goes at once.
///   0: none is evicted.
/// - Returns: how many results were taken, which were refused, by their places in the list, and as `consequences` who
///   was evicted.
/// - Throws: `malformed` where one breaks the rules of the log's format; then none is taken.
@discardableResult
public func healthCheckSweep(
    _ registry: inout LocalRegistry, _ results: [HealthStatus], evictThreshold: UInt32 = 3
) throws(LocalError) -> OutcomeAnswer { try registry.sweep(results, evictThreshold: evictThreshold) }

/// Where to go when regions fail: healthy ones first, then by region, the greatest weight first, then by id
/// (`failover_candidates`).
///
/// - Parameter excludedRegions: instances there are left out.
public func failoverCandidates(
    _ registry: LocalRegistry, _ serviceName: String, excludedRegions: [String] = []
) -> InstancesAnswer { registry.failoverCandidates(serviceName, excludedRegions) }
