// Directives of a node whose data was restored: held back until an operator says otherwise.

import ArgumentParser
import EventModel
import EventStore

/// `lattice directives`
struct DirectivesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "directives",
        abstract: "What a restored node owes to shadows: hold it back, let it go.",
        discussion: """
            A backup that is served again owes what its original may have sent since. So it begins fenced: it answers, \
            takes events and captures, and sends nothing, until somebody who knows that the original is gone says so. \
            What waits too long meanwhile expires, and the mirrors' ledgers say it.

              lattice query status | grep directives
              lattice directives resume --as alice --reason "the old machine is off"
              lattice directives fence --data ./restored      after a copy by other means, before the start
            """,
        subcommands: [DirectivesResume.self, DirectivesFence.self])
}

struct DirectivesResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a restored node send again; an event, and in the audit trail.",
        discussion: "Example: lattice directives resume --as alice --reason \"the old machine is off\"")

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @Option(help: ArgumentHelp("Only this node (default: every node that hears it).", valueName: "id")) var node = ""
    @Option(help: "Why.") var reason = ""
    @OptionGroup var options: PublishOptions

    func run() async throws {
        try await options.publish(.policy(.directivesResumed(nodeID: node, reason: reason)), owner: principal)
    }
}

struct DirectivesFence: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fence", abstract: "Mark a data directory as restored; it holds from the next start.",
        discussion: """
            For copies that were not made by `lattice backup` or `lattice log import`, which do this themselves: a \
            snapshot of a file system, a copied directory.

              lattice directives fence --data ./restored
            """)

    @OptionGroup var log: LogOptions

    func run() async throws {
        let last = try log.reader().lastSequence
        let fence = DirectiveFence(directory: log.data)
        try readingLog { () throws(EventStoreError) in try fence.raise(after: last) }
        Terminal.say("fenced behind record \(last); `lattice directives resume` ends it")
    }
}
