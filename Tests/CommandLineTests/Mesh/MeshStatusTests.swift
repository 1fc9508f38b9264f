// What `lattice status` makes of what nodes say, without a node.

import EventModel
import Foundation
import Logging
import Testing

@testable import lattice

@Suite struct `The status of a mesh` {
    private static let now = Timestamp(nanoseconds: 1_795_000_000_000_000_000)

    private func node(_ id: String, leads: Bool = true) -> Lattice_V1_NodeStatus {
        var node = Lattice_V1_NodeStatus()
        (node.nodeID, node.version, node.semanticsVersion, node.leader) = (id, "1.2.3", 2, leads)
        (node.leaderID, node.startedAt, node.checkpointAt) = ("a", Self.now.rawValue, Self.now.rawValue)
        (node.asOf.sequence, node.asOf.recordedAt) = (4_711, Self.now.rawValue)
        (node.diskFreeBytes, node.diskPressure, node.retentionDaysLeft) = (400 << 30, "none", -1)
        return node
    }

    private func status(_ nodes: Lattice_V1_NodeStatus...) -> MeshStatus {
        MeshStatus(nodes: nodes, prefix: "lattice", now: Self.now)
    }

    private func guarded(_ service: String, silentFor seconds: Int64) -> Lattice_V1_GuardedService {
        var guarded = Lattice_V1_GuardedService()
        (guarded.serviceName, guarded.instances, guarded.protectedInstances) = (service, 6, 4)
        guarded.silentSince = Self.now.rawValue - seconds * 1_000_000_000
        return guarded
    }

    @Test func `says that there is nothing to do where there is nothing to do`() {
        let status = status(node("a"), node("b", leads: false))
        #expect(status.problems.isEmpty && !status.pages && status.lines.last == "nothing to do")
    }

    private static let pages: [(String, @Sendable (inout Lattice_V1_NodeStatus) -> Void)] = [
        ("is not ready: disk_full", { $0.unreadyReasons = ["disk_full"] }),
        ("is 6s behind", { $0.intakeLagNs = 6_000_000_000 }),
        ("the leader a does not answer", { $0.leader = false }),
        (
            "no node leads",
            {
                $0.leader = false
                $0.leaderID = ""
            }
        ),
    ]

    @Test(arguments: 0..<4) func `pages`(_ index: Int) {
        let (text, change) = Self.pages[index]
        var node = node("a")
        change(&node)
        let status = status(node)
        #expect(status.pages)
        #expect(status.lines.contains { $0.hasPrefix("page    ") && $0.contains(text) }, "\(status.lines)")
    }

    @Test func `a guard is a ticket at first and pages after ten minutes of silence`() {
        var node = node("a")
        (node.guards, node.guardedServices) = ([guarded("checkout", silentFor: 600)], 1)
        #expect(!status(node).pages && status(node).problems.count == 1)
        node.guards = [guarded("checkout", silentFor: 660)]
        #expect(status(node).pages)
        #expect(status(node).lines.contains { $0.contains("4 of 6 silent, for 11m") }, "\(status(node).lines)")
    }

    private static let tickets: [@Sendable (inout Lattice_V1_NodeStatus) -> Void] = [
        { $0.diskPressure = "spans" }, { $0.retentionDaysLeft = 0 }, { $0.outboxOldestAgeNs = 60_000_000_000 },
        { $0.syncP99Ns = 60_000_000 }, { $0.directivesFenced = true },
        {
            $0.checkpointAt -= 901_000_000_000
            $0.startedAt -= 901_000_000_000
        },
    ]

    @Test(arguments: 0..<6) func `wakes nobody for a ticket`(_ index: Int) {
        var node = node("a")
        Self.tickets[index](&node)
        #expect(status(node).problems.count == 1 && !status(node).pages)
    }

    @Test func `takes at most twenty lines, and none that somebody else could have ended`() throws {
        var nodes: [Lattice_V1_NodeStatus] = []
        for index in 0..<50 {
            var node = node("node-\(index)\n\u{1B}[2J", leads: index % 2 == 0)
            node.version = "\(index)\r\n"
            node.unreadyReasons = ["disk_full\n"]
            node.guards = (0..<20).map { guarded("s\($0)\n", silentFor: 1_000) }
            node.guardedServices = 900
            var removal = Lattice_V1_Removal()
            (removal.instanceID, removal.reason, removal.recordedAt) = ("i\n", "gone\u{202E}", 1)
            node.recentEvictions = [removal]
            nodes.append(node)
        }
        let status = MeshStatus(nodes: nodes, prefix: "lattice", now: Self.now)
        #expect(status.lines.count <= 20)
        for line in status.lines { #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202E }) }
        let json = try JSONObject.members(of: status.json)
        #expect((json["nodes"] as? [Any])?.count == 50 && json["pages"] as? Bool == true)
        #expect(!status.json.contains("\n"))
    }

    @Test(arguments: [
        (-1.0, "unknown"), (0.0, "0"), (12.75, "12"), (Double(bitPattern: 1_893), "0"), (1e300, "more than 10000"),
        (.nan, "unknown"), (.infinity, "unknown"),
    ])
    func `days are whole, and nothing that a node says ends the program`(_ left: Double, _ text: String) {
        #expect(StatusText.days(left) == text)
    }

    @Test(arguments: [
        (Int64(-5), "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (660, "11m"), (3_600, "1h"), (172_799, "47h"),
        (172_800, "2d"),
    ])
    func `ages are rounded down`(_ seconds: Int64, _ text: String) {
        #expect(AgeText.of(.seconds(seconds)) == text)
        #expect(AgeText.of(Nanoseconds(.max)).hasSuffix("d"))
    }

    @Test(arguments: [
        (UInt64(0), "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (20 << 30, "20.0 GiB"), (400 << 30, "400 GiB"),
        (.max, "15.9 EiB"),
    ])
    func `sizes are rounded down`(_ bytes: UInt64, _ text: String) { #expect(SizeText.of(bytes) == text) }

    // MARK: Lines of the log

    @Test func `a line of the log is one line, whatever is in it`() throws {
        let time = Timestamp(nanoseconds: 1_768_478_400_120_000_000)
        let fields = ["service": "check out\n2026 ERROR forged", "empty": "", "quote": #"a"b\c"#, "plain": "x-1"]
        let text = LogFormat.text.line(time, .warning, "an event\nforged", fields)
        #expect(
            text.hasPrefix("2026-01-15T12:00:00.120Z WARNING an event\\u{a}forged empty=\"\" plain=x-1 "), "\(text)")
        #expect(text.hasSuffix("\n") && text.dropLast().allSatisfy { !$0.isNewline })
        #expect(text.contains(#"quote="a\"b\\c""#), "\(text)")
        let json = LogFormat.json.line(time, .warning, "an event\nforged", fields)
        #expect(json.dropLast().allSatisfy { !$0.isNewline })
        let object = try JSONObject.members(of: json)
        #expect(object["time"] as? String == "2026-01-15T12:00:00.120Z" && object["level"] as? String == "warning")
        #expect((object["fields"] as? [String: String]) == fields && object["message"] as? String == "an event\nforged")
        #expect(LogFormat.text.line(Timestamp(nanoseconds: 0), .info, "x", [:]) == "1970-01-01T00:00:00.000Z INFO x\n")
    }
}
