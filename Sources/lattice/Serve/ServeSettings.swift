// What the settings of `lattice serve` come to.

import NodeRuntime
import EventModel
import EventStore

extension Serve {
    /// What is used where nothing is set.
    var derived: [String: String] {
        let shadows = ShadowSetUp(self)
        var derived = [
            "shadow_auth_dir": shadows.credentialsDirectory, "shadow_key": shadows.keyPath,
            "nats": "a server of its own",
        ]
        if connection.servers.isEmpty { derived["allow_loopback"] = "true with a server of its own" }
        for listener in listeners where listener.isDefault { derived[listener.name] = listener.text }
        return derived
    }

    /// What the node is told.
    var nodeConfiguration: NodeConfiguration {
        var configuration = NodeConfiguration(directory: node.data)
        configuration.prefix = node.prefix
        if let stream = node.stream { configuration.mode = .jetStream(stream: stream) }
        configuration.log.durability = log.sync.value
        configuration.retention = RetentionLimits(age: log.retentionAge.value, byteCount: log.retentionBytes.value)
        configuration.checkpointRecords = log.checkpointRecords
        configuration.checkpointInterval = log.checkpointInterval.value
        configuration.diskPressure = log.diskPressure.thresholds
        if anchors.anchorKey != nil { configuration.anchorInterval = anchors.anchorInterval.value }
        configuration.bytesPerSecond = Int(node.bytesPerSecond.value)
        configuration.spansPerSecond = node.spansPerSecond
        configuration.registry = registryConfiguration
        configuration.traces = traces.change(reason: "lattice serve")
        configuration.version = Lattice.version
        return configuration
    }

    /// The settings of the registry that were asked for; the others stay as the log has them.
    var registryConfiguration: RegistryConfiguration {
        let isEmbedded = connection.servers.isEmpty
        return RegistryConfiguration(
            staleAfter: node.staleAfter?.value, evictAfter: node.evictAfter?.value,
            allowLoopback: node.allowLoopback ?? (isEmbedded ? true : nil),
            endpointNetworks: node.endpointNetworks?.networks ?? [], reason: "lattice serve")
    }
}
