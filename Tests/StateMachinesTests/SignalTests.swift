// Heartbeats, health and load.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Heartbeat` {
    @Test func `a heartbeat moves the last sign of life to the log's time`() {
        var story = Story()
        story.serve(["a"])
        story.now = story.now + .seconds(4)
        story.happens(heartbeat(["a"], occurredAt: Timestamp(nanoseconds: 5)), changes: [])
        #expect(story.one("a")?.instance.lastHeartbeat == story.now)
    }

    @Test func `a heartbeat of an unknown instance is refused`() {
        var story = Story()
        story.serve(["a"])
        story.happens(heartbeat(["a", "b"]), refused: [1: .unknownInstance])
    }

    @Test func `a heartbeat in the name of another service is refused`() {
        var story = Story()
        story.serve(["a"])
        story.serve(["c"], of: "cart")
        story.happens(heartbeat(["a"], of: "cart"), refused: [0: .wrongService])
        story.happens(heartbeat(["a"], of: "nobody"), refused: [0: .wrongService])
    }

    @Test func `only the registered incarnation can beat`() {
        var story = Story()
        story.happens(registered([instance("a", incarnation: 5)]))
        story.happens(heartbeat(["a"], incarnation: 4), refused: [0: .staleIncarnation])
        story.happens(heartbeat(["a"], incarnation: 6), refused: [0: .incarnationMismatch])
        story.happens(heartbeat(["a"], incarnation: 5))
    }

    @Test func `a heartbeat from more than five minutes ahead is refused`() {
        var story = Story()
        story.serve(["a"])
        story.happens(heartbeat(["a"], occurredAt: story.now + .seconds(301)), refused: [0: .timeAhead])
    }

    @Test func `a heartbeat makes a stale instance healthy and wakes its watchers`() {
        var story = Story()
        story.serve(names(0..<3))
        story.pass(40, beating: names(1..<3))
        #expect(story.one("a-00")?.health == .stale)
        story.happens(heartbeat(["a-00"]), changes: ["checkout"])
        #expect(story.one("a-00")?.health == .healthy)
    }
}

@Suite struct `Health` {
    @Test func `an instance without a report counts as healthy`() {
        var story = Story()
        story.serve(["a"])
        #expect(story.one("a")?.health == .healthy)
        #expect(story.one("a")?.status == nil)
    }

    @Test func `an unhealthy report takes an instance out of the healthy ones`() {
        var story = Story()
        story.serve(["a", "b"])
        story.happens(
            healthReported([
                report("a", healthy: false, checked: story.now, latency: .milliseconds(7), reason: "503")
            ]), changes: ["checkout"])
        #expect(story.ids() == ["b"])
        #expect(story.ids(healthyOnly: false) == ["a", "b"])
        #expect(story.one("a")?.status?.reason == "503")
        #expect(story.one("a")?.status?.latencyMs == 7)
    }

    @Test func `a report that changes no verdict wakes nobody`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: true, checked: story.now)]), changes: [])
    }

    @Test func `a report older than the last one is refused as stale`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        let earlier = Timestamp(nanoseconds: story.now.rawValue - 1)
        story.happens(healthReported([report("a", healthy: true, checked: earlier)]), refused: [0: .stale])
        #expect(story.one("a")?.health == .unhealthy)
    }

    @Test func `failures are counted up where the reporter does not count`() {
        var story = Story()
        story.serve(["a"])
        for failures in UInt32(1)...3 {
            story.now = story.now + .seconds(1)
            story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
            #expect(story.one("a")?.status?.consecutiveFailures == failures)
        }
    }

    @Test func `a check that is reported twice is counted once`() {
        var story = Story()
        story.serve(["a"])
        let event = healthReported([report("a", healthy: false, checked: story.now)])
        story.happens(event)
        story.happens(event)
        #expect(story.one("a")?.status?.consecutiveFailures == 1)
    }

    @Test func `checks without a time are counted each time`() {
        var story = Story()
        story.serve(["a"])
        let event = healthReported([report("a", healthy: false, checked: .zero)])
        story.happens(event)
        story.happens(event)
        #expect(story.one("a")?.status?.consecutiveFailures == 2)
    }

    @Test func `the count of the reporter is taken as it is`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, failures: .max, checked: story.now)]))
        story.now = story.now + .seconds(1)
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        #expect(story.one("a")?.status?.consecutiveFailures == .max)
    }

    @Test func `a newer healthy report sets the failures to zero`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, failures: 4, checked: story.now)]))
        story.now = story.now + .seconds(1)
        story.happens(
            healthReported([report("a", healthy: true, failures: 4, checked: story.now)]), changes: ["checkout"])
        #expect(story.one("a")?.status?.consecutiveFailures == 0)
        #expect(story.ids() == ["a"])
    }

    @Test func `a check from more than five minutes ahead is refused`() {
        var story = Story()
        story.serve(["a"])
        let ahead = story.now + .seconds(300)
        story.happens(healthReported([report("a", healthy: true, checked: ahead)]))
        story.happens(
            healthReported([report("a", healthy: true, checked: ahead + .seconds(1))]), refused: [0: .timeAhead])
    }

    @Test func `a negative latency is refused`() {
        var story = Story()
        story.serve(["a"])
        story.happens(
            healthReported([report("a", healthy: true, checked: story.now, latency: Nanoseconds(-1))]),
            refused: [0: .negativeLatency])
    }

    @Test func `a report on the process before, on an unknown one or for another service is refused`() {
        var story = Story()
        story.happens(registered([instance("a", incarnation: 5)]))
        story.happens(
            healthReported([
                report("a", healthy: true, checked: story.now, incarnation: 4),
                report("z", healthy: true, checked: story.now),
                report("a", healthy: true, checked: story.now, incarnation: 5),
            ]), refused: [0: .staleIncarnation, 1: .unknownInstance])
        story.happens(
            healthReported([report("a", healthy: true, checked: story.now)], of: "cart"), refused: [0: .wrongService])
    }
}

@Suite struct `Health sweep` {
    @Test func `evicts whoever failed as often as the threshold says`() {
        var story = Story()
        story.serve(names(0..<20))
        story.happens(
            swept(
                [
                    report("a-00", healthy: false, failures: 3, checked: story.now),
                    report("a-01", healthy: false, failures: 2, checked: story.now),
                ], threshold: 3), evicted: ["a-00"], changes: ["checkout"])
        let removal = story.registry.removals().removals.first
        #expect(removal?.reason == "health_sweep" && removal?.kind == .evicted && removal?.actor == "registry")
        #expect(removal?.position.ordinal == 1)
    }

    @Test func `a threshold of zero only reports`() {
        var story = Story()
        story.serve(names(0..<20))
        story.happens(swept([report("a-00", healthy: false, failures: 9, checked: story.now)], threshold: 0))
        #expect(story.one("a-00")?.health == .unhealthy)
    }

    @Test func `shares the guard's budget with the evictions of the window`() {
        var story = Story()
        story.serve(names(0..<40))
        story.serve(names(0..<60, "b"), of: "cart")
        story.tick()
        let all = names(0..<10).map { report($0, healthy: false, failures: 5, checked: story.now) }
        story.happens(swept(all, threshold: 5), evicted: names(0..<6))
        story.happens(swept([report("a-06", healthy: false, failures: 5, checked: story.now)], threshold: 5))
        #expect(story.ids(healthyOnly: false).count == 34)
    }

    @Test func `leaves the mesh its own share`() {
        var story = Story()
        for service in names(0..<10, "s") { story.serve(names(0..<1, service), of: service) }
        story.tick()
        var evicted = 0
        for service in names(0..<10, "s") {
            story.append(registered([instance("\(service)-x")], of: service))
            let event = report("\(service)-00", healthy: false, failures: 5, checked: story.now)
            evicted += story.append(swept([event], threshold: 5, of: service)).consequences.count
        }
        #expect(evicted == 2)
    }

    @Test func `never empties a service`() {
        var story = Story()
        story.serve(["a"])
        story.happens(swept([report("a", healthy: false, failures: 99, checked: story.now)], threshold: 1))
        #expect(story.ids(healthyOnly: false) == ["a"])
    }

    @Test func `evicts nobody while the guard holds`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(40, beating: names(0..<10))
        #expect(story.isProtected())
        story.happens(swept([report("a-00", healthy: false, failures: 9, checked: story.now)], threshold: 1))
    }

    @Test func `evicts nobody right after a gap`() {
        var story = Story()
        story.serve(names(0..<20))
        story.happens(.clock(.intakeGap(nodeID: "n", reason: "reconnect", droppedCount: 0)))
        let event = swept([report("a-00", healthy: false, failures: 9, checked: story.now)], threshold: 1)
        story.happens(event)
        story.pass(60, beating: names(0..<20))
        story.happens(event, evicted: ["a-00"])
    }
}

@Suite struct `Load` {
    @Test func `counts are kept by reporter and added up`() {
        var story = Story()
        story.serve(["a"])
        story.happens(load("a", 3, by: "gw-1"), changes: [])
        story.happens(load("a", 4, by: "gw-2"))
        story.happens(load("a", 5, by: "gw-1"))
        #expect(story.one("a")?.activeConnections == 9)
    }

    @Test func `zero connections take a reporter away`() {
        var story = Story()
        story.serve(["a"])
        story.happens(load("a", 3, by: "gw-1"))
        story.happens(load("a", 0, by: "gw-1"))
        story.happens(load("a", 0, by: "gw-9"))
        #expect(story.one("a")?.activeConnections == 0)
        story.expectSameFromScratch()
    }

    @Test func `the number of reporters to an instance is bounded`() {
        var story = Story()
        story.serve(["a"])
        for reporter in names(0..<ServiceRegistry.reportersPerInstance, "gw") {
            story.happens(load("a", 1, by: reporter))
        }
        story.happens(load("a", 1, by: "late"), refused: [0: .tooManyReporters])
        story.happens(load("a", 7, by: "gw-03"))
        story.happens(load("a", 0, by: "gw-04"))
        story.happens(load("a", 1, by: "late"))
    }

    @Test func `the sum does not wrap, so that nobody looks idle by reporting too much`() {
        var story = Story()
        story.serve(["a"])
        story.happens(load("a", .max, by: "gw-1"))
        story.happens(load("a", 2, by: "gw-2"))
        #expect(story.one("a")?.activeConnections == .max)
    }

    @Test func `reporters that Unicode deems equal are two`() {
        var story = Story()
        story.serve(["a"])
        story.happens(load("a", 1, by: "caf\u{E9}"))
        story.happens(load("a", 2, by: "cafe\u{301}"))
        #expect(story.one("a")?.activeConnections == 3)
        story.expectSameFromScratch()
    }

    @Test func `reports on unknown, foreign, older or future instances are refused`() {
        var story = Story()
        story.happens(registered([instance("a", incarnation: 5)]))
        story.happens(load("z", 1), refused: [0: .unknownInstance])
        story.happens(load("a", 1, of: "cart"), refused: [0: .wrongService])
        story.happens(load("a", 1, incarnation: 4), refused: [0: .staleIncarnation])
        story.happens(load("a", 1, occurredAt: story.now + .seconds(301)), refused: [0: .timeAhead])
    }
}
