// What can be seen of the eviction guard: who is silent, since when, and how the sums add up.

import EventModel
import TestKit
import Testing

@testable import StateMachines

@Suite struct `What the guard holds` {
    /// Six instances of which four fell silent.
    private func fourOfSixSilent(for seconds: Int64 = 60) -> Story {
        var story = Story()
        story.serve(names(0..<3), zone: "eu-1")
        story.serve(names(3..<6), zone: "eu-2")
        story.pass(seconds, beating: Array(names(4..<6)))
        return story
    }

    @Test func `is healthy for balancers and told apart for people`() {
        let story = fourOfSixSilent()
        #expect(story.isProtected() && story.ids().count == 6)
        for id in names(0..<4) {
            let one = story.one(id)
            #expect(one?.health == .healthy && one?.isProtected == true && one?.standing == "protected")
            #expect(one?.silentSince == Timestamp(nanoseconds: Story.beginning))
        }
        for id in names(4..<6) {
            let one = story.one(id)
            #expect(one?.isProtected == false && one?.silentSince == nil && one?.standing == "healthy")
        }
    }

    @Test func `is counted apart, in a service and in its zones`() throws {
        let service = try #require(fourOfSixSilent().registry.serviceTopology().services.first)
        #expect(service.protected && service.instances == 6)
        #expect([service.healthy, service.protectedInstances, service.stale, service.unhealthy] == [2, 4, 0, 0])
        #expect(service.silentSince == Timestamp(nanoseconds: Story.beginning))
        #expect(service.zones.map(\.protectedInstances) == [3, 1] && service.zones.map(\.healthy) == [0, 2])
    }

    @Test func `ends with the silence, and nothing is left of it`() throws {
        var story = fourOfSixSilent()
        story.append(heartbeat(names(0..<6)))
        story.tick()
        let service = try #require(story.registry.serviceTopology().services.first)
        #expect(!service.protected && service.healthy == 6 && service.silentSince == nil)
        #expect(names(0..<6).allSatisfy { story.one($0)?.silentSince == nil })
    }

    @Test func `is stale where there is no guard`() throws {
        var story = Story()
        story.serve(names(0..<20))
        story.pass(60, beating: names(1..<20))
        let one = try #require(story.one("a-00"))
        #expect(one.health == .stale && !one.isProtected && one.silentSince != nil && one.standing == "stale")
        let service = try #require(story.registry.serviceTopology().services.first)
        #expect([service.healthy, service.stale, service.protectedInstances] == [19, 1, 0])
        #expect(service.silentSince == one.silentSince)
    }

    @Test func `is unhealthy where the last check says so, silent or not`() throws {
        var story = fourOfSixSilent()
        story.happens(healthReported([report("a-00", healthy: false, checked: story.now)]))
        let one = try #require(story.one("a-00"))
        #expect(one.standing == "unhealthy" && !one.isProtected && one.silentSince != nil)
        let service = try #require(story.registry.serviceTopology().services.first)
        #expect([service.healthy, service.unhealthy, service.protectedInstances] == [2, 1, 3])
    }

    @Test func `adds up after any history, and what is asked for since a record is all that changed`() {
        for seed in UInt64(0)..<20 {
            var dice = SeededGenerator(seed: seed)
            var story = Story()
            var known: [String: ServiceTopology] = [:]
            var seen = SequenceNumber.origin
            for _ in 0..<60 {
                step(&story, &dice)
                for service in story.registry.services(changedAfter: seen) { known[service.serviceName] = service }
                seen = story.registry.moment.sequence
                let now = story.registry.serviceTopology(withZones: false).services
                #expect(now.allSatisfy { known[$0.serviceName] == $0 }, "seed \(seed)")
                for service in now {
                    let sum = service.healthy + service.unhealthy + service.stale + service.protectedInstances
                    #expect(sum == service.instances, "seed \(seed)")
                    #expect(service.protectedInstances == 0 || service.protected, "seed \(seed)")
                }
            }
        }
    }

    private func step(_ story: inout Story, _ dice: inout SeededGenerator) {
        let service = "s\(dice.next() % 3)"
        let ids = (0..<(1 + dice.next() % 6)).map { "\(service)-\($0)" }
        switch dice.next() % 6 {
        case 0: story.append(registered(ids.map { instance($0) }, of: service))
        case 1: story.append(heartbeat(ids, of: service))
        case 2: story.append(deregistered([ids[0]], of: service))
        case 3: story.append(healthReported([report(ids[0], healthy: dice.next() % 2 == 0, checked: story.now)]))
        default: story.pass(Int64(5 + dice.next() % 60), evicting: nil)
        }
    }
}
