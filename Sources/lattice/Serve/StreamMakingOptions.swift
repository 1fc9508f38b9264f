// How `lattice serve` makes a stream that is missing, and whether it waits for what is not there yet.

import ArgumentParser
import EventModel
import NATSMessaging

/// Settings of a stream at its creation; one that is there keeps its own.
struct StreamMakingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Servers that hold the stream, if it is made: 1, 3 or 5 (from nats-server 2.12 on).", valueName: "count"))
    var streamReplicas = 1

    @Option(
        help: ArgumentHelp(
            "Bytes that the stream keeps, if it is made; the oldest messages go (default: no limit).",
            valueName: "size"))
    var streamMaxBytes: ByteCountArgument?

    @Option(
        help: ArgumentHelp(
            "How long the stream keeps messages, if it is made; longer than any node is away (default: for ever).",
            valueName: "duration"))
    var streamMaxAge: DurationArgument?

    @Flag(
        help: "End with status 3 where NATS or the stream cannot be reached at the start, instead of waiting for it.")
    var noWait = false

    func validate() throws {
        guard [1, 3, 5].contains(streamReplicas) else { throw ValidationError("--stream-replicas takes 1, 3 or 5") }
        if let streamMaxBytes, streamMaxBytes.value < 1 << 20 {
            throw ValidationError("--stream-max-bytes is at least 1MiB")
        }
        if let streamMaxAge, streamMaxAge.duration < .seconds(60) {
            throw ValidationError("--stream-max-age is at least 1m")
        }
    }

    /// The stream that a node of this prefix is fed from.
    func configuration(name: String, prefix: String) -> StreamConfiguration {
        StreamConfiguration(
            name: name, subjects: ["\(prefix).events.>"], maximumAge: streamMaxAge?.duration,
            maximumBytes: streamMaxBytes.map { Int64(clamping: $0.value) }, replicas: streamReplicas)
    }
}
