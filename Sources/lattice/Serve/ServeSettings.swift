// Every setting of `lattice serve` as it will be used.

import NodeRuntime
import EventModel
import EventStore

/// What `--print-config` prints; secrets are not in it.
struct ServeSettings: Encodable, Sendable {
    var allowLoopback: Bool?
    var anomalyThreshold: String?
    var anchorInterval: String
    var anchorKey: String?
    var bytesPerSecond: UInt64
    var checkpointInterval: String
    var checkpointRecords: UInt64
    var credentials: String
    var data: String
    var diskPressure: String
    var embeddedServer: Bool
    var endpointNetworks: [String]
    var evictAfter: String?
    var http: String
    var httpCert: String?
    var httpKey: String?
    var httpHosts: [String]
    var httpTokenFile: String?
    var httpTokensFile: String?
    var inboxPrefix: String
    var insecure: Bool
    var jaeger: String
    var logFormat: String
    var logLevel: String
    var mode: String
    var nats: [String]
    var natsPort: UInt16?
    var noWait: Bool
    var otlpGRPC: String
    var otlpHTTP: String
    var prefix: String
    var queryTimeout: String
    var readerTokenFile: String?
    var receiverCert: String?
    var receiverKey: String?
    var receiverTokenFile: String?
    var retentionAge: String
    var retentionBytes: UInt64
    var objectives: [String]
    var shadowAuthentication: String
    var shadowKey: String
    var spansPerSecond: Int
    var spansPerTrace: UInt32?
    var staleAfter: String?
    var stream: String?
    var streamMaxAge: String?
    var streamMaxBytes: UInt64?
    var streamReplicas: Int
    var sync: String
    var tickInterval: String
    var tlsCA: String?
    var traceTimeToLive: String?
    var travellersMaximum: Int
    var zipkin: String

    enum CodingKeys: String, CodingKey {
        case allowLoopback = "allow_loopback"
        case anomalyThreshold = "anomaly_threshold"
        case anchorInterval = "anchor_interval"
        case anchorKey = "anchor_key"
        case bytesPerSecond = "bytes_per_second"
        case checkpointInterval = "checkpoint_interval"
        case checkpointRecords = "checkpoint_records"
        case diskPressure = "disk_pressure"
        case embeddedServer = "embedded_server"
        case endpointNetworks = "endpoint_networks"
        case evictAfter = "evict_after"
        case httpCert = "http_cert"
        case httpKey = "http_key"
        case httpHosts = "http_hosts"
        case httpTokenFile = "http_token_file"
        case httpTokensFile = "http_tokens_file"
        case inboxPrefix = "inbox_prefix"
        case logFormat = "log_format"
        case logLevel = "log_level"
        case natsPort = "nats_port"
        case noWait = "no_wait"
        case otlpGRPC = "otlp_grpc"
        case otlpHTTP = "otlp_http"
        case queryTimeout = "query_timeout"
        case readerTokenFile = "reader_token_file"
        case receiverCert = "receiver_cert"
        case receiverKey = "receiver_key"
        case receiverTokenFile = "receiver_token_file"
        case retentionAge = "retention_age"
        case retentionBytes = "retention_bytes"
        case shadowAuthentication = "shadow_auth_dir"
        case shadowKey = "shadow_key"
        case spansPerSecond = "spans_per_second"
        case spansPerTrace = "spans_per_trace"
        case staleAfter = "stale_after"
        case streamMaxAge = "stream_max_age"
        case streamMaxBytes = "stream_max_bytes"
        case streamReplicas = "stream_replicas"
        case tickInterval = "tick_interval"
        case tlsCA = "tls_ca"
        case traceTimeToLive = "trace_ttl"
        case travellersMaximum = "travellers_maximum"
        case credentials, data, http, insecure, jaeger, mode, nats, objectives, prefix, stream, sync, zipkin
    }

    init(_ serve: Serve) {
        let node = serve.nodeConfiguration
        allowLoopback = node.registry.allowLoopback
        anomalyThreshold = serve.traces.anomalyThreshold?.defaultValueDescription
        anchorInterval = serve.anchors.anchorInterval.defaultValueDescription
        anchorKey = serve.anchors.anchorKey
        bytesPerSecond = UInt64(node.bytesPerSecond)
        checkpointInterval = serve.log.checkpointInterval.defaultValueDescription
        checkpointRecords = node.checkpointRecords
        credentials = serve.connection.credentialsKind
        data = node.directory
        diskPressure = serve.log.diskPressure.text
        embeddedServer = serve.connection.servers.isEmpty
        endpointNetworks = node.registry.endpointNetworks
        evictAfter = serve.node.evictAfter?.defaultValueDescription
        http = serve.http.listen.text
        httpCert = serve.http.httpCert
        httpKey = serve.http.httpKey
        httpHosts = serve.http.httpHost
        httpTokenFile = serve.http.httpTokenFile
        httpTokensFile = serve.http.httpTokensFile
        inboxPrefix = serve.connection.inboxPrefix
        insecure = serve.http.insecure
        jaeger = serve.receivers.listeners[3].text
        logFormat = serve.logFormat.rawValue
        logLevel = serve.logLevel
        mode = node.mode.name
        nats = serve.connection.servers
        natsPort = serve.node.natsPort
        noWait = serve.node.streamMaking.noWait
        objectives = serve.traces.slo.map(\.text)
        prefix = node.prefix
        otlpGRPC = serve.receivers.listeners[1].text
        otlpHTTP = serve.receivers.listeners[0].text
        queryTimeout = "\(node.queryTimeout.rawValue / 1_000_000_000)s"
        readerTokenFile = serve.receivers.readerTokenFile
        receiverCert = serve.receivers.receiverCert
        receiverKey = serve.receivers.receiverKey
        receiverTokenFile = serve.receivers.receiverTokenFile
        retentionAge = serve.log.retentionAge.defaultValueDescription
        retentionBytes = node.retention.byteCount ?? 0
        shadowAuthentication = ShadowSetUp(serve).credentialsDirectory
        shadowKey = ShadowSetUp(serve).keyPath
        spansPerSecond = node.spansPerSecond
        spansPerTrace = serve.traces.spansPerTrace
        staleAfter = serve.node.staleAfter?.defaultValueDescription
        stream = serve.node.stream
        streamMaxAge = serve.node.streamMaking.streamMaxAge?.defaultValueDescription
        streamMaxBytes = serve.node.streamMaking.streamMaxBytes?.value
        streamReplicas = serve.node.streamMaking.streamReplicas
        sync = serve.log.sync.text
        tickInterval = "\(node.tickInterval.rawValue / 1_000_000_000)s"
        tlsCA = serve.connection.tlsCa
        traceTimeToLive = serve.traces.traceTtl?.defaultValueDescription
        travellersMaximum = node.travellersMaximum
        zipkin = serve.receivers.listeners[2].text
    }
}

extension Serve {
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
