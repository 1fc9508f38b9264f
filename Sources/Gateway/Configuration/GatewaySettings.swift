// What a gateway is told at its start; routes come from a file that can be read anew.

package import EventModel
package import NIOSSL

/// The settings of one gateway. The defaults stand in Limits.md, Gateway.
package struct GatewaySettings: Sendable {
    /// Where clients come in.
    package var host: String
    /// 0: any free one.
    package var port: Int
    /// Without it clients speak plain HTTP.
    package var tls: TLSConfiguration?
    /// Event loops; each has connections of its own, and a request stays on one.
    package var threadCount: Int
    /// What the gateway calls itself: as the reporter of loads and in `Via`.
    package var gatewayID: String
    /// The name that its spans bear.
    package var serviceName = "gateway"
    /// Where it runs, for the choice of near instances.
    package var region = ""
    package var zone = ""
    package var limits = ClientLimits()
    /// What all gateways and nodes of a mesh share, for shadow marks; fewer than 16 bytes: no mark counts.
    package var markKey: [UInt8] = []
    package var tracing = TracingSettings()

    /// - Precondition: there is at least one thread.
    package init(host: String, port: Int, threadCount: Int, gatewayID: String) {
        precondition(threadCount > 0, "a gateway needs a thread")
        self.host = host
        self.port = port
        self.threadCount = threadCount
        self.gatewayID = gatewayID
    }
}

/// What one client may cost.
package struct ClientLimits: Sendable, Hashable {
    /// Bytes of a request's header fields; more is answered with 431.
    package var headerBytes = 32_768
    /// Header fields of a request.
    package var headerCount = 128
    /// From the first byte of a request to the end of its head; and from connecting to the first byte.
    package var headTimeout = Nanoseconds.seconds(10)
    /// Without a byte for so long a connection ends: between requests, within a body, or while a client reads nothing.
    package var idleTimeout = Nanoseconds.seconds(60)
    /// Bytes of a request's body; more is answered with 413.
    package var bodyBytes = 104_857_600
    /// Bytes of a body that are kept, so that the request can be sent again.
    package var replayBytes = 65_536
    /// Requests at once, of all clients; beyond them 503.
    package var concurrentRequests = 8_192
    /// Connections at once; beyond them they are closed.
    package var connections = 16_384

    package init() {}
}

/// Which requests are traced.
package struct TracingSettings: Sendable, Hashable {
    /// So many of 10,000 traces, by their ids; errors always.
    package var sampleBasisPoints: UInt32 = 1_000
    /// Whether the sampled flag of a client's `traceparent` counts, at most `forcedPerSecond` times beyond the sample.
    package var acceptsForeignDecision = true
    /// Traces a second that are sampled only because a client said so.
    package var forcedPerSecond = 10
    /// Begin a trace of its own for each request and link the client's.
    package var restartsForeignTraces = false

    package init() {}
}
