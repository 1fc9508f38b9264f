// Questions about the node itself: its digests, its status, what became of a record.

import ArgumentParser
import EventModel

/// The digests of every machine.
struct DigestQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digest", abstract: "The digest of every state machine.",
        discussion: """
            Two nodes, or a node and `lattice replay`, that differ at the same sequence have parted: that is a bug.

              lattice query digest --at 1000
              lattice replay --at 1000
            """)

    @OptionGroup var position: PositionOptions
    @OptionGroup var options: QueryOptions

    func run() async throws {
        var query = NodeQuery()
        query.position = position.position
        try await options.ask(.node(.digest), query.encode(), answer: .digestAnswer)
    }
}

/// How the node is doing.
struct StatusQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "How the node is doing.",
        discussion: "Example: lattice query status --json | jq .intake")

    @OptionGroup var options: QueryOptions

    func run() async throws {
        try await options.ask(.node(.status), NodeQuery().encode(), answer: .nodeStatus)
    }
}

/// What became of a record.
struct OutcomeQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outcome", abstract: "What became of a record: accepted, refused and why.",
        discussion: "Example: lattice query outcome 4711")

    @Argument(help: "The record's sequence.") var sequence: UInt64
    @OptionGroup var options: QueryOptions

    func validate() throws {
        if sequence == 0 { throw ValidationError("sequences begin at 1") }
    }

    func run() async throws {
        var query = NodeQuery()
        query.sequence = SequenceNumber(sequence)
        try await options.ask(.node(.outcome), query.encode(), answer: .outcomeAnswer)
    }
}
