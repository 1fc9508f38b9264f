// The benchmark's command line: each subcommand measures real parts and prints conditions, runs and medians.

import ArgumentParser

/// `lattice-bench NAME [options] [--json]`.
@main
struct LatticeBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lattice-bench",
        abstract: "Measures LatticeForge: a real nats-server, a real disk, publishers and node on the same cores.",
        discussion: """
            Each benchmark prints its conditions, every run and the medians; --json prints one object. Compare figures of
            one machine and one hour only: run the two things in turn.
            """,
        subcommands: [
            IngestBench.self, ReplayBench.self, PublishBench.self, QueryBench.self, LogBench.self, StartBench.self,
            MemoryBench.self, SpansBench.self, CriticalPathBench.self, SearchBench.self, OTLPBench.self,
            ShouldMirrorBench.self, CaptureBench.self, CompareBench.self, ShadowBench.self,
            TravelBench.self, BisectBench.self, DiffBench.self, StepBench.self, GatewayBench.self, GatewayPeer.self,
        ])
}

/// What all benchmarks share.
struct CommonOptions: ParsableArguments {
    @Option(help: "Runs; the median is reported.")
    var runs = 3

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    @Option(help: "Where logs are written; the disk matters.")
    var directory = "."

    func validate() throws {
        if runs < 1 || runs > 100 { throw ValidationError("--runs takes 1 to 100") }
    }
}
