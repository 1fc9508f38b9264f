// A node under test: `lattice serve` with an embedded server, and what asks it.

import Foundation
import TestKit
import Testing

/// Digests by machine, at a sequence.
struct Digests: Equatable, Sendable {
    var sequence: UInt64
    var machines: [String: String]
}

/// `lattice serve` that has said that it is ready.
final class RunningNode: Sendable {
    let scratch: Scratch
    let data: String
    let natsURL: String
    /// Empty without HTTP.
    let httpURL: String
    let banner: String
    private let process: LatticeProcess

    /// Starts a node on `data` (a name within the scratch directory) and waits until it is ready.
    init(_ scratch: Scratch, data name: String = "data", _ options: [String] = ["--http", "none"]) async throws {
        self.scratch = scratch
        data = scratch.path(name)
        let process = try LatticeProcess(["serve", "--data", data, "--json"] + options, in: scratch)
        self.process = process
        _ = try await eventually(within: .seconds(20)) { process.output.contains("\n") || !process.isRunning }
        banner = process.output
        try #require(!banner.isEmpty, "no banner: \(process.errors)")
        let facts = try JSONObject.members(of: banner)
        natsURL = try #require(facts["nats"] as? String)
        httpURL = facts["http"] as? String ?? ""
    }

    var facts: [String: Any] { get throws { try JSONObject.members(of: banner) } }

    /// Runs another command against this node.
    func lattice(_ arguments: String...) async throws -> Ended { try await lattice(arguments) }

    func lattice(_ arguments: [String]) async throws -> Ended {
        try await LatticeProcess.run(arguments + ["--nats", natsURL], in: scratch)
    }

    /// Registers an instance and returns the sequence of the record.
    @discardableResult
    func register(_ service: String, _ id: String, _ options: String...) async throws -> UInt64 {
        let ended = try await lattice(
            ["publish", "register", service, "--id", id, "--endpoint", "10.0.0.1:8080", "--json"] + options)
        try #require(ended.status == 0, "\(ended)")
        return try #require(ended.json["sequence"] as? UInt64)
    }

    func digests(at sequence: UInt64? = nil) async throws -> Digests {
        let position = sequence.map { ["--at", "\($0)"] } ?? []
        let ended = try await lattice(["query", "digest", "--json"] + position)
        try #require(ended.status == 0, "\(ended)")
        return try Digests(answer: ended.json)
    }

    /// What the node has said on standard error so far.
    var errors: String { process.errors }

    func send(_ signal: Int32) { process.send(signal) }

    func stop() async throws -> Ended {
        process.send(SIGTERM)
        return try await process.end()
    }

    /// Waits for an end of its own.
    func end() async throws -> Ended { try await process.end() }

    func kill() async throws {
        process.send(SIGKILL)
        _ = try await process.end()
    }
}

extension Digests {
    /// From `query digest --json`.
    init(answer: [String: Any]) throws {
        let asOf = try #require(answer["as_of"] as? [String: Any])
        sequence = try #require(asOf["sequence"] as? UInt64)
        machines = try Self.machines(answer)
    }

    /// From `replay --json`.
    init(replay: [String: Any]) throws {
        sequence = try #require(replay["sequence"] as? NSNumber).uint64Value
        machines = try Self.machines(replay)
    }

    private static func machines(_ members: [String: Any]) throws -> [String: String] {
        let list = try #require(members["machines"] as? [[String: String]])
        return Dictionary(uniqueKeysWithValues: list.map { ($0["machine"] ?? "", $0["digest"] ?? "") })
    }
}
