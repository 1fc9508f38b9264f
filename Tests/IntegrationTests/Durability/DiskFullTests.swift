// A full disk: nothing is taken, nothing is lost, and the node goes on when there is room.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Synchronization
import TestKit
import Testing

/// A file system of so many bytes in memory; needs the right to mount.
final class SmallDisk: Sendable {
    let path: String

    private init(path: String) { self.path = path }

    deinit { _ = try? Self.run("umount", ["-l", path]) }

    static func make(at path: String, size: String) throws -> SmallDisk? {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard try run("mount", ["-t", "tmpfs", "-o", "size=\(size)", "none", path]) else { return nil }
        return SmallDisk(path: path)
    }

    /// Whether this process may mount at all.
    static let isPossible: Bool = {
        guard let directory = try? Scratch() else { return false }
        return (try? make(at: directory.path, size: "1m")) ?? nil != nil
    }()

    private static func run(_ command: String, _ arguments: [String]) throws -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [command] + arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

/// Registers a hundred instances with long names under one service after the other, until nobody answers.
private func fill(_ client: Client) async throws -> (acknowledged: Set<String>, last: String) {
    var acknowledged: Set<String> = []
    for batch in 0..<900 {
        let service = "s\(batch)"
        let ids = (0..<100).map { "\(service)-\($0)-" + String(repeating: "x", count: 200) }
        let event = try client.event(.registered, service, Client.registration(service, ids), as: .protobuf)
        guard let reply = try? await client.bus.request(event, timeout: .milliseconds(700)) else {
            return (acknowledged, service)
        }
        if try JSON(reply, .outcomeAnswer)["accepted"].number == 100 { acknowledged.insert(service) }
    }
    throw StageError("the disk does not fill")
}

extension Client {
    /// The services all of whose hundred instances are there.
    fileprivate func whole() async throws -> Set<String> {
        let services = try await query("registry.services")["services"].items
        return Set(services.filter { $0["instances"].number == 100 }.map { $0["service_name"].text })
    }
}

extension `A node` {
    @Suite(.serialized, .enabled(if: SmallDisk.isPossible, "needs the right to mount a tmpfs"))
    struct `on a disk that is full` {
        @Test func `says so, takes nothing, loses nothing, and goes on when there is room`() async throws {
            try await Stage.with { stage in
                let disk = try #require(try SmallDisk.make(at: stage.directory.path + "/disk", size: "4m"))
                let filler = disk.path + "/filler"
                try Data(count: 3 << 20).write(to: URL(filePath: filler))
                let node = try await stage.node(in: disk.path + "/data")
                let client = try await stage.client()
                let (acknowledged, last) = try await fill(client)
                #expect(acknowledged.count > 5)
                let isTold = try await eventually { try await client.status()["intake"].text == "disk_full" }
                #expect(isTold)
                #expect(!node.node.isReady)
                #expect(stage.words.contain("the disk is full"))
                #expect(try await client.whole().isSuperset(of: acknowledged), "questions are still answered")
                try FileManager.default.removeItem(atPath: filler)
                let goesOn = try await eventually { try await client.status()["intake"].text == "ok" }
                #expect(goesOn)
                #expect(try await client.register("later", ["l"])["outcome"].text == "accepted")
                #expect(try await client.whole().isSuperset(of: acknowledged.union([last])), "what waited is taken")
                let digest = await node.digest()
                await node.stop()
                let again = try await stage.node(in: disk.path + "/data")
                let question = #"{"at_sequence":"\#(digest.prefix { $0 != " " })"}"#
                let past = try await client.query("node.digest", question)
                #expect(past["machines"].items.allSatisfy { digest.contains($0["digest"].text) })
                await again.stop()
            }
        }

        @Test func `can be stopped, tells why it ended, and has what it acknowledged`() async throws {
            try await Stage.with { stage in
                let disk = try #require(try SmallDisk.make(at: stage.directory.path + "/disk", size: "1m"))
                let node = try await stage.node(in: disk.path + "/data")
                let client = try await stage.client()
                let (acknowledged, _) = try await fill(client)
                let isTold = try await eventually { try await client.status()["intake"].text == "disk_full" }
                #expect(isTold)
                await node.stop()
                #expect(try await node.failure() == "disk_full")
                let folder = stage.directory.path + "/copy"
                try FileManager.default.copyItem(atPath: disk.path + "/data", toPath: folder)
                let again = try await stage.node(in: folder)
                #expect(try await client.whole().isSuperset(of: acknowledged))
                await again.stop()
            }
        }

        @Test func `counts what it had to drop meanwhile, in a record of the gap`() async throws {
            try await Stage.with { stage in
                let disk = try #require(try SmallDisk.make(at: stage.directory.path + "/disk", size: "96m"))
                let filler = disk.path + "/filler"
                try Data(count: 94 << 20).write(to: URL(filePath: filler))
                let node = try await stage.node(in: disk.path + "/data")
                let client = try await stage.client()
                _ = try await fill(client)
                let isTold = try await eventually { try await client.status()["intake"].text == "disk_full" }
                #expect(isTold)
                let published = 300_000
                let beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                try client.bus.publish(contentsOf: Array(repeating: beat, count: published))
                try await client.bus.flush(timeout: .seconds(30))
                try FileManager.default.removeItem(atPath: filler)
                let hasGap = try await eventually(within: .seconds(30)) {
                    let status = try await client.status()
                    return status["gaps"].number > 0 && status["intake"].text == "ok"
                }
                #expect(hasGap)
                // Queued behind everything that was not dropped.
                #expect(try await client.register("later", ["l"])["outcome"].text == "accepted")
                let dropped = try node.records(.intakeGap).reduce(0) { sum, record in
                    guard case .clock(.intakeGap(_, _, let count)) = record.event else { return sum }
                    return sum + Int(count)
                }
                let taken = try node.records(.heartbeat).count
                #expect(dropped > 0)
                #expect(dropped + taken == published, "taken and dropped are all there were")
                #expect(try await client.status()["eviction_suspended"].isTrue)
            }
        }
    }
}
