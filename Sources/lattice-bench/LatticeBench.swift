// The benchmark's command line: each subcommand measures real parts and prints conditions, runs and medians.

import ArgumentParser

/// The program: one benchmark, or one in turns with another build of it.
@main
enum BenchProgram {
    static func main() async {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            if let paired = try PairedRuns(arguments) {
                // What the benchmark does not take is said before anything is measured.
                _ = try LatticeBench.parseAsRoot(arguments)
                return try paired.run()
            }
        } catch {
            LatticeBench.exit(withError: error)
        }
        await LatticeBench.main()
    }
}

/// `lattice-bench NAME [options] [--json]`.
struct LatticeBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lattice-bench",
        abstract: "Measures LatticeForge: a real nats-server, a real disk, publishers and node on the same cores.",
        discussion: """
            Each benchmark prints its conditions, every run and the medians; --json prints one object. Compare figures of
            one machine and one hour only: --against-program runs two builds in turns and prints ratios with 95 % intervals.
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

    @Option(
        help: ArgumentHelp(
            "Run in turns with the lattice-bench of another build (make baseline keeps one) and print each figure's ratio.",
            valueName: "path"))
    var againstProgram: String?

    @Option(help: "Turns with --against-program; each has one run of either program.")
    var turns = 11

    func validate() throws {
        if runs < 1 || runs > 100 { throw ValidationError("--runs takes 1 to 100") }
    }
}
