// Staleness, eviction, and the guard that keeps a bad hour from emptying the registry.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Staleness` {
    @Test func `an instance is stale when its heartbeat is older than the timeout`() {
        var story = Story()
        story.serve(names(0..<3))
        story.pass(30, beating: names(1..<3))
        #expect(story.one("a-00")?.health == .healthy)
        story.pass(5, beating: names(1..<3))
        #expect(story.one("a-00")?.health == .stale)
        #expect(story.ids() == ["a-01", "a-02"])
        #expect(story.registry.staleInstances().instances.map(\.instance.instanceID) == ["a-00"])
        #expect(story.registry.staleInstances(serviceName: "cart").instances.isEmpty)
    }

    @Test func `the log's time decides and not the asker's clock`() {
        var story = Story()
        story.serve(["a"])
        story.now = story.now + .seconds(86_400)
        #expect(story.registry.staleInstances().instances.isEmpty)
    }

    @Test func `only ticks make stale, so that it falls on a recorded position`() {
        var story = Story()
        story.serve(names(0..<3))
        for _ in 0..<10 {
            story.now = story.now + .seconds(5)
            story.happens(heartbeat(["a-01", "a-02"]), changes: [])
        }
        #expect(story.one("a-00")?.health == .healthy)
        story.happens(.clock(.tick(slot: 1)), changes: ["checkout"])
        #expect(story.one("a-00")?.health == .stale)
    }

    @Test func `another timeout holds from the next tick on`() {
        var story = Story()
        story.serve(names(0..<3))
        story.pass(10, beating: names(1..<3))
        story.happens(configured(RegistryConfiguration(staleAfter: .seconds(5))))
        story.pass(5, beating: names(1..<3))
        #expect(story.one("a-00")?.health == .stale)
        story.happens(configured(RegistryConfiguration(staleAfter: .seconds(60))))
        story.pass(5, beating: names(1..<3))
        #expect(story.one("a-00")?.health == .healthy)
    }

    @Test func `a clock that jumps an hour forth and back makes nobody stale`() {
        var story = Story()
        story.serve(names(0..<3))
        story.now = story.now + .seconds(3_600)
        story.tick()
        story.now = Timestamp(nanoseconds: story.now.rawValue - 3_600_000_000_000)
        story.tick()
        story.pass(20)
        #expect(story.ids().count == 3)
        #expect(story.state.admission.backwardSteps == 1)
        #expect(story.registry.removals().removals.isEmpty)
    }

    @Test func `log time never runs backwards`() {
        var story = Story()
        story.serve(["a"])
        let later = story.now
        story.now = Timestamp(nanoseconds: later.rawValue - 1)
        story.serve(["b"])
        #expect(story.one("b")?.instance.registeredAt == later)
        #expect(story.state.moment.recordedAt < later && story.state.moment.logTime == later)
    }

    @Test func `a process that was paused for an hour finds everybody there`() {
        var story = Story()
        story.serve(names(0..<3))
        for _ in 0..<5 {
            story.now = story.now + .seconds(3_600)
            story.tick()
        }
        #expect(story.ids().count == 3)
    }
}

@Suite struct `Eviction` {
    @Test func `an instance that was stale for longer than the limit is evicted with a reason and a position`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(630, beating: names(1..<20))
        story.pass(5, beating: names(1..<20), evicting: ["a-00"])
        let removal = story.registry.removals().removals.first
        #expect(removal?.reason == "heartbeat_timeout" && removal?.kind == .evicted && removal?.actor == "registry")
        #expect(removal?.position == EventPosition(sequence: SequenceNumber(story.sequence), ordinal: 1))
        #expect(story.changedSequence("checkout") == story.sequence)
        story.expectSameFromScratch()
    }

    @Test func `those unseen the longest go first`() {
        var story = Story()
        story.serve(names(0..<20))
        story.serve(names(0..<30, "b"), of: "cart")
        story.pass(20)
        story.append(heartbeat(["a-00"] + names(3..<20)))
        story.append(heartbeat(names(0..<30, "b"), of: "cart"))
        for _ in 0..<65 {
            story.append(heartbeat(names(3..<20)))
            story.append(heartbeat(names(0..<30, "b"), of: "cart"))
            story.pass(10, evicting: nil)
        }
        #expect(story.registry.removals().removals.map(\.instanceID) == ["a-00", "a-02", "a-01"])
    }

    @Test func `nothing becomes stale for twice the timeout after the node came back`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(20)
        story.happens(.clock(.nodeResumed(nodeID: "n", reason: "start")), changes: [])
        story.pass(55, beating: names(1..<20))
        #expect(story.one("a-00")?.health == .healthy)
        story.pass(5, beating: names(1..<20))
        #expect(story.one("a-00")?.health == .stale)
    }

    @Test func `nobody is evicted for twice the timeout after a gap in the intake`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(630, beating: names(1..<20))
        story.happens(.clock(.intakeGap(nodeID: "n", reason: "slow", droppedCount: 3)))
        #expect(story.state.admission.gapCount == 1)
        story.pass(55, beating: names(1..<20))
        story.pass(5, beating: names(1..<20), evicting: ["a-00"])
    }

    @Test func `an outage of ten minutes evicts nobody and answers go on`() {
        var story = Story()
        story.serve(names(0..<10))
        story.serve(names(0..<10, "b"), of: "cart")
        story.pass(600)
        #expect(story.ids().count == 10 && story.ids("cart").count == 10)
        #expect(story.isProtected() && story.isProtected("cart"))
        story.happens(.clock(.intakeGap(nodeID: "n", reason: "reconnect", droppedCount: 0)))
        story.pass(50)
        story.append(heartbeat(names(0..<10)))
        story.append(heartbeat(names(0..<10, "b"), of: "cart"))
        story.pass(15)
        #expect(story.ids().count == 10 && story.ids("cart").count == 10)
        #expect(!story.isProtected() && !story.isProtected("cart"))
    }

    @Test func `an empty registry ticks`() {
        var story = Story()
        story.pass(700)
        #expect(story.registry.instanceCount == 0)
    }
}

@Suite struct `Eviction guard` {
    /// Twenty instances of which ten fell silent, in a mesh that is large enough not to care.
    private func halfLost(after seconds: Int64 = 40) -> Story {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(seconds, beating: Array(names(10..<20)))
        return story
    }

    @Test func `too many missing at once are protected, count as healthy and the answer says so`() {
        var story = halfLost()
        #expect(story.isProtected())
        #expect(story.ids().count == 20)
        #expect(story.registry.instance(id: "a-00")?.protected == true)
        #expect(story.registry.staleInstances().protected)
        #expect(story.registry.staleInstances().instances.count == 10)
        #expect(story.registry.serviceTopology().services.first?.protected == true)
        story.pass(2_000, beating: names(10..<20))
        #expect(story.ids().count == 20)
    }

    @Test func `an unhealthy report is not overridden by the protection`() {
        var story = halfLost()
        story.happens(healthReported([report("a-00", healthy: false, checked: story.now)]))
        #expect(story.one("a-00")?.health == .unhealthy)
        #expect(!story.ids().contains("a-00"))
    }

    @Test func `as many as permitted may go without a guard`() {
        var story = Story()
        story.serve(names(0..<20))
        story.serve(names(0..<20, "b"), of: "cart")
        for _ in 0..<65 {
            story.append(heartbeat(names(0..<20, "b"), of: "cart"))
            story.pass(10, beating: names(3..<20), evicting: nil)
            #expect(!story.isProtected())
        }
        #expect(story.ids() == names(3..<20))
    }

    @Test func `it counts a service for itself`() {
        var story = Story()
        story.serve(names(0..<20))
        story.serve(names(0..<60, "b"), of: "cart")
        for _ in 0..<4 {
            story.append(heartbeat(names(0..<60, "b"), of: "cart"))
            story.pass(10, beating: names(4..<20))
        }
        #expect(story.isProtected() && !story.isProtected("cart"))
    }

    @Test func `it holds for the mesh when each service lost only a little`() {
        var story = Story()
        let services = names(0..<4, "s")
        for service in services { story.serve(names(0..<5, service), of: service) }
        for _ in 0..<4 {
            for service in services { story.append(heartbeat(names(1..<5, service), of: service)) }
            story.pass(10)
        }
        for service in services { #expect(story.isProtected(service)) }
    }

    @Test func `the last instance does not go in the window in which another one went`() {
        var story = Story()
        story.happens(configured(RegistryConfiguration(guardLastInstance: .zero, guardWindows: 0)))
        story.serve(["a", "b"])
        story.pass(630)
        story.pass(5, evicting: ["a"])
        story.pass(560)
        story.pass(5, evicting: ["b"])
    }

    @Test func `the last instance of a service is held for an hour`() {
        var story = Story()
        story.serve(["a"])
        story.pass(3_600)
        #expect(story.ids(healthyOnly: false) == ["a"])
        #expect(story.ids().isEmpty)
        story.pass(5, evicting: ["a"])
    }

    @Test func `after ten windows it evicts at the permitted rate`() {
        var story = Story()
        story.serve(names(0..<20))
        story.serve(names(0..<60, "b"), of: "cart")
        var evictedByWindow: [Int64: Int] = [:]
        for _ in 0..<1_500 {
            story.append(heartbeat(names(10..<20)))
            story.append(heartbeat(names(0..<60, "b"), of: "cart"))
            story.now = story.now + .seconds(5)
            let evicted = story.tick()
            evictedByWindow[story.registry.window, default: 0] += evicted.count
        }
        #expect(evictedByWindow.filter { $0.value > 0 } == [10: 3, 11: 2, 12: 2])
        #expect(story.ids().count == 13)
        story.expectSameFromScratch()
    }

    @Test func `it ends when the heartbeats return`() {
        var story = halfLost()
        story.happens(heartbeat(names(0..<20)))
        story.pass(5)
        #expect(!story.isProtected())
    }

    @Test func `it ends when the missing deregister`() {
        var story = halfLost()
        story.happens(deregistered(names(0..<10)))
        story.pass(5)
        #expect(!story.isProtected())
        #expect(story.ids() == names(10..<20))
    }

    @Test func `it ends when everybody deregisters`() {
        var story = halfLost()
        story.happens(deregistered(names(0..<20)))
        story.pass(5)
        #expect(!story.isProtected())
    }

    @Test func `it ends when the missing are replaced`() {
        var story = halfLost()
        story.happens(
            registered(names(0..<10).map { instance($0, incarnation: 2) }), replaced: Array(0..<10))
        story.pass(5)
        #expect(!story.isProtected())
    }

    @Test func `it ends when the operator says so, and the missing are evicted when they are due`() {
        var story = halfLost()
        story.happens(released(), changes: ["checkout"])
        #expect(!story.isProtected())
        #expect(story.ids() == names(10..<20))
        story.pass(590, beating: names(10..<20))
        story.pass(5, beating: names(10..<20), evicting: names(0..<10))
    }

    @Test func `a release outlives the window it was said in`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(500, beating: names(0..<20))
        story.pass(95, beating: names(10..<20))
        #expect(story.isProtected())
        story.happens(released(""))
        var evicted: [String] = []
        for _ in 0..<120 {
            story.now = story.now + .seconds(5)
            story.append(heartbeat(names(10..<20)))
            evicted += story.tick()
        }
        #expect(evicted == names(0..<10))
    }

    @Test func `a release does not last for ever`() {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(5)
        story.happens(released())
        story.pass(1_200, beating: names(0..<20))
        story.pass(40, beating: names(10..<20))
        #expect(story.isProtected())
    }

    @Test func `the release of one service does not put the mesh under guard`() {
        var story = Story()
        story.serve(names(0..<20))
        story.serve(names(0..<20, "b"), of: "cart")
        story.pass(40)
        story.append(heartbeat(names(0..<20, "b"), of: "cart"))
        story.happens(released())
        for _ in 0..<60 {
            story.append(heartbeat(names(1..<20, "b"), of: "cart"))
            story.pass(10, evicting: nil)
        }
        #expect(story.ids(healthyOnly: false).isEmpty)
        #expect(!story.isProtected("cart"))
    }

    @Test func `a release of a service that nobody knows is refused`() {
        var story = Story()
        story.happens(released("nobody"), refused: [0: .unknownService])
    }

    @Test func `another length of the window keeps the age of a protection`() {
        var story = halfLost()
        story.happens(configured(RegistryConfiguration(evictAfter: .seconds(5))))
        #expect(story.isProtected())
        story.pass(20, beating: names(10..<20))
        #expect(story.ids().count == 20)
    }

    @Test func `without windows to wait it evicts at the permitted rate at once`() {
        var story = Story()
        story.happens(configured(RegistryConfiguration(guardWindows: 0)))
        story.serve(names(0..<20))
        story.pass(630, beating: names(10..<20))
        story.pass(5, beating: names(10..<20), evicting: ["a-00", "a-01"])
    }
}

@Suite struct `Settings` {
    @Test func `a setting out of range is refused and changes nothing`() {
        var story = Story()
        let before = story.registry.settings
        for change in [
            RegistryConfiguration(staleAfter: .zero), RegistryConfiguration(staleAfter: Nanoseconds(.min)),
            RegistryConfiguration(evictAfter: Nanoseconds(.max)),
            RegistryConfiguration(guardServiceBasisPoints: 10_001),
            RegistryConfiguration(guardMeshBasisPoints: .max),
            RegistryConfiguration(guardLastInstance: Nanoseconds(-1)),
            RegistryConfiguration(guardWindows: .max), RegistryConfiguration(panicBasisPoints: 10_001),
            RegistryConfiguration(endpointNetworks: ["10.0.0.0/33"]),
            RegistryConfiguration(endpointNetworks: ["10.0.0.0/8", "office"]),
            RegistryConfiguration(endpointNetworks: Array(repeating: "10.0.0.0/8", count: 257)),
        ] {
            story.happens(configured(change), refused: [0: .invalidSetting])
        }
        #expect(story.registry.settings == before)
    }

    @Test func `every setting can be changed by an event and survives a checkpoint`() {
        var story = Story()
        story.happens(
            configured(
                RegistryConfiguration(
                    staleAfter: .seconds(1), evictAfter: .seconds(2), guardServiceBasisPoints: 0,
                    guardMeshBasisPoints: 3, guardLastInstance: .zero, guardWindows: 4, panicBasisPoints: 5,
                    allowLoopback: true, endpointNetworks: ["10.0.0.0/8", "fd00::/8"])))
        let restored = ServiceRegistry(checkpoint: story.registry.encodeCheckpoint())
        #expect(restored?.settings == story.registry.settings)
        #expect(restored?.settings.guardWindows == 4 && restored?.settings.allowLoopback == true)
        #expect(restored?.settings.endpointNetworks.map(\.description) == ["10.0.0.0/8", "fd00::/8"])
    }
}
