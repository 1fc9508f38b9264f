// The command that holds all others, and where every way out of the process is decided.

import ArgumentParser
import EventStore
import Foundation
import Glibc

/// `lattice`: a service registry on NATS whose every state can be replayed.
@main
struct Lattice: AsyncParsableCommand {
    /// Shown by `--version`, by `status` and in the micro protocol.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "lattice",
        abstract: "A service registry for meshes on NATS: event-sourced, replayable, explainable.",
        discussion: """
            Begin with a node; nothing else is needed (it starts a nats-server of its own):

              lattice serve

            In a second terminal, announce an instance and ask for it:

              lattice publish register checkout --id checkout-1 --endpoint 10.0.0.1:8080
              lattice query resolve checkout

            Ask the same of the past, and prove that the log tells the same story:

              lattice query resolve checkout --at 5
              lattice replay
              lattice verify

            \(ExitStatus.explanation)
            """,
        version: version,
        subcommands: [
            Serve.self, GatewayCommand.self, Publish.self, Query.self, StatusCommand.self, TraceCommand.self,
            ServicesCommand.self,
            DependenciesCommand.self,
            ImportCommand.self, MirrorCommand.self, Erase.self, Tail.self, Replay.self, At.self, Bisect.self, Diff.self,
            Step.self, Explain.self, WhatIf.self, Verify.self,
            AuditCommand.self, AnchorsCommand.self, Backup.self, DirectivesCommand.self,
            LogCommand.self,
        ])

    static func main() async {
        OpenFiles.raiseLimit()
        var sources: SettingSources?
        do {
            let typed = Array(CommandLine.arguments.dropFirst())
            if let mistake = UsageHints.unknownCommand(in: typed, of: Lattice.self) {
                throw CommandFailure(.usage, mistake)
            }
            let found = try SettingSources(
                typed, of: Lattice.self, environment: ProcessInfo.processInfo.environment)
            sources = found
            var command = try parseAsRoot(found.arguments)
            if let configured = command as? any ConfiguredCommand, configured.printConfig {
                return Terminal.say(PrintedSettings(found, configured).text)
            }
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            leave(with: error, sources)
        }
    }

    /// Says what went wrong and ends the process with the status of `ExitStatus`.
    private static func leave(with error: any Error, _ sources: SettingSources?) -> Never {
        if let failure = error as? CommandFailure {
            if !failure.message.isEmpty { Terminal.complain("lattice: \(failure.message)") }
            Glibc.exit(failure.status.rawValue)
        }
        let code = exitCode(for: error)
        let text = fullMessage(for: error)
        if code.isSuccess {
            Terminal.say(text)
            Glibc.exit(ExitStatus.success.rawValue)
        }
        if !text.isEmpty {
            let arguments = Array(CommandLine.arguments.dropFirst())
            let told = UsageHints.explained(UsageHints.naming(text, arguments, of: Lattice.self))
            Terminal.complain(sources?.explained(told) ?? told)
        }
        Glibc.exit(code == .validationFailure ? ExitStatus.usage.rawValue : ExitStatus.failed.rawValue)
    }
}
