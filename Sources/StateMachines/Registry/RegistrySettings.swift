// The settings of the registry that change what its state means: folded from events, never read from a file.

package import EventModel

/// Time-outs, guard and panic thresholds; the defaults stand in Limits.md.
package struct RegistrySettings: Sendable, Hashable {
    /// A heartbeat that is older makes an instance stale.
    package var staleAfter = Nanoseconds.seconds(30)
    /// An instance that was stale for longer is evicted; also the length of the guard's window.
    package var evictAfter = Nanoseconds.seconds(600)
    /// Share of a service that may go missing within one window before the guard holds it; at least one instance.
    package var guardServiceBasisPoints: UInt32 = 1_500
    /// Share of the mesh that may go missing within one window before the guard holds; at least two instances.
    package var guardMeshBasisPoints: UInt32 = 1_000
    /// How long a service's last instance is held.
    package var guardLastInstance = Nanoseconds.seconds(3_600)
    /// Windows after which a guarded service goes on evicting at the permitted rate.
    package var guardWindows: UInt32 = 10
    /// Share of healthy instances below which `resolve` answers all, if asked to.
    package var panicBasisPoints: UInt32 = 5_000
    /// Whether endpoints on loopback are taken.
    package var allowLoopback = false
    /// Where the addresses of endpoints must lie; empty: anywhere that a service may be.
    package var endpointNetworks: [IPNetwork] = []
    /// The most networks there may be, and bytes of the text of one.
    package static let networksMaximum = 256
    private static let networkBytes = 64

    package init() {}

    /// These settings with a change; nil where a value is out of range.
    package func applying(_ change: RegistryConfiguration) -> RegistrySettings? {
        guard let result = changed(by: change), result.isInRange else { return nil }
        return result
    }

    /// With a change that may be out of range; nil where a text of it is no network.
    func changed(by change: RegistryConfiguration) -> RegistrySettings? {
        var result = self
        if let value = change.staleAfter { result.staleAfter = value }
        if let value = change.evictAfter { result.evictAfter = value }
        if let value = change.guardServiceBasisPoints { result.guardServiceBasisPoints = value }
        if let value = change.guardMeshBasisPoints { result.guardMeshBasisPoints = value }
        if let value = change.guardLastInstance { result.guardLastInstance = value }
        if let value = change.guardWindows { result.guardWindows = value }
        if let value = change.panicBasisPoints { result.panicBasisPoints = value }
        if let value = change.allowLoopback { result.allowLoopback = value }
        if !change.endpointNetworks.isEmpty {
            guard let networks = Self.networks(change.endpointNetworks) else { return nil }
            result.endpointNetworks = networks
        }
        return result
    }

    /// Nil where a text is no network.
    private static func networks(_ texts: [String]) -> [IPNetwork]? {
        guard texts.count <= networksMaximum, texts.allSatisfy({ $0.utf8.count <= networkBytes }) else { return nil }
        let networks = texts.compactMap { IPNetwork($0) }
        return networks.count == texts.count ? networks : nil
    }

    /// Whether an endpoint is taken under these settings.
    package func judge(_ endpoint: String) -> EndpointRule.Verdict {
        EndpointRule.judge(endpoint, networks: endpointNetworks, allowLoopback: allowLoopback)
    }

    private var isInRange: Bool { mistake == nil }

    /// The first setting that is out of range, with its range; nil: none is.
    var mistake: String? {
        let ranges: [(name: String, isInRange: Bool, range: String)] = [
            (
                "stale_after", staleAfter >= .milliseconds(100) && staleAfter <= .seconds(86_400), "100ms to 1d"
            ),
            (
                "evict_after", evictAfter >= .milliseconds(100) && evictAfter <= .seconds(7 * 86_400), "100ms to 7d"
            ),
            ("guard_service", guardServiceBasisPoints <= 10_000, "0 to 10000 basis points"),
            ("guard_mesh", guardMeshBasisPoints <= 10_000, "0 to 10000 basis points"),
            (
                "guard_last_instance", guardLastInstance >= .zero && guardLastInstance <= .seconds(30 * 86_400),
                "0s to 30d"
            ),
            ("guard_windows", guardWindows <= 10_000, "0 to 10000"),
            ("panic", panicBasisPoints <= 10_000, "0 to 10000 basis points (5000 is a half)"),
        ]
        return ranges.first { !$0.isInRange }.map { "\($0.name) lies in \($0.range)" }
    }

    /// How many of `members` may go missing in one window.
    package func permitted(ofService members: Int) -> Int {
        max(1, members * Int(guardServiceBasisPoints) / 10_000)
    }

    /// How many of the mesh's `members` may go missing in one window.
    package func permitted(ofMesh members: Int) -> Int {
        max(2, members * Int(guardMeshBasisPoints) / 10_000)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, staleAfter)
        writer.field(2, evictAfter)
        writer.field(3, guardServiceBasisPoints)
        writer.field(4, guardMeshBasisPoints)
        writer.field(5, guardLastInstance)
        writer.field(6, guardWindows)
        writer.field(7, panicBasisPoints)
        writer.field(8, allowLoopback)
        for network in endpointNetworks { writer.element(9, network.description) }
    }

    /// The settings of a checkpoint; nil where there can be none such.
    init?(_ nested: CheckpointReader) {
        var reader = nested
        staleAfter = .zero
        evictAfter = .zero
        guardServiceBasisPoints = 0
        guardMeshBasisPoints = 0
        guardLastInstance = .zero
        guardWindows = 0
        panicBasisPoints = 0
        var networks: [String] = []
        while let field = reader.next() {
            switch field.number {
            case 1: staleAfter = Nanoseconds(field.signed)
            case 2: evictAfter = Nanoseconds(field.signed)
            case 3: guardServiceBasisPoints = UInt32(truncatingIfNeeded: field.value)
            case 4: guardMeshBasisPoints = UInt32(truncatingIfNeeded: field.value)
            case 5: guardLastInstance = Nanoseconds(field.signed)
            case 6: guardWindows = UInt32(truncatingIfNeeded: field.value)
            case 7: panicBasisPoints = UInt32(truncatingIfNeeded: field.value)
            case 8: allowLoopback = field.value != 0
            case 9: networks.append(reader.text(field))
            default: return nil
            }
        }
        guard let known = Self.networks(networks) else { return nil }
        endpointNetworks = known
        guard reader.isComplete, isInRange else { return nil }
    }
}
