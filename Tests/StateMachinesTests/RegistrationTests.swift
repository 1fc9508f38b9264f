// Who comes and who goes.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Registration of instances` {
    @Test func `a new instance can be resolved with all that it said of itself`() {
        var story = Story()
        var event = instance("a", endpoint: "10.1.2.3:80", region: "us", zone: "us-2", weight: 7, incarnation: 9)
        event.metadata = [MetadataEntry(key: "version", value: "1.2")]
        story.happens(registered([event]), changes: ["checkout"])
        let found = story.one("a")?.instance
        #expect(found?.endpoint == "10.1.2.3:80")
        #expect(found?.region == "us" && found?.zone == "us-2")
        #expect(found?.weight == 7 && found?.incarnation == 9)
        #expect(found?.metadata == [MetadataEntry(key: "version", value: "1.2")])
        #expect(found?.registeredAt == story.now && found?.lastHeartbeat == story.now)
        #expect(story.registry.instanceCount == 1)
    }

    @Test func `an id that registers again is replaced and keeps when it was registered first`() {
        var story = Story()
        story.serve(["a"])
        let first = story.now
        story.now = story.now + .seconds(3)
        story.happens(
            registered([instance("a", endpoint: "10.0.0.9:1", weight: 3)]), replaced: [0], changes: ["checkout"])
        let found = story.one("a")?.instance
        #expect(found?.endpoint == "10.0.0.9:1" && found?.weight == 3)
        #expect(found?.registeredAt == first)
        #expect(found?.lastHeartbeat == story.now)
    }

    @Test func `an id of another service is refused`() {
        var story = Story()
        story.serve(["a"])
        story.happens(registered([instance("a")], of: "cart"), refused: [0: .wrongService], changes: [])
        #expect(story.one("a")?.instance.serviceName == "checkout")
    }

    @Test func `an older process can not take the place of a newer one`() {
        var story = Story()
        story.happens(registered([instance("a", incarnation: 5)]))
        story.happens(registered([instance("a", incarnation: 4)]), refused: [0: .staleIncarnation])
        #expect(story.one("a")?.instance.incarnation == 5)
    }

    @Test func `a new process starts without the health and the load of the one before`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        story.happens(load("a", 12))
        story.happens(registered([instance("a", incarnation: 2)]), replaced: [0])
        #expect(story.one("a")?.status == nil)
        #expect(story.one("a")?.activeConnections == 0)
    }

    @Test func `the same process that registers again keeps its health and load`() {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        story.happens(load("a", 12))
        story.happens(registered([instance("a")]), replaced: [0])
        #expect(story.one("a")?.status?.healthy == false)
        #expect(story.one("a")?.activeConnections == 12)
    }

    @Test func `weights go from zero to a thousand`() {
        var story = Story()
        story.happens(
            registered([instance("a", weight: 0), instance("b", weight: 1_000), instance("c", weight: 1_001)]),
            refused: [2: .weightOutOfRange])
        #expect(story.ids() == ["a", "b"])
    }

    @Test func `a registration from more than five minutes ahead is refused`() {
        var story = Story()
        story.happens(registered([instance("a", occurredAt: story.now + .seconds(300))]))
        story.happens(
            registered([instance("b", occurredAt: story.now + .seconds(301))]), refused: [0: .timeAhead])
    }

    @Test func `a batch goes on behind a refused registration`() {
        var story = Story()
        story.happens(
            registered([instance("a"), instance("b", weight: 2_000), instance("c")]), refused: [1: .weightOutOfRange])
        #expect(story.ids() == ["a", "c"])
    }

    @Test func `a batch that is to fail fast stops at the first refused registration`() {
        var story = Story()
        story.happens(
            registered([instance("a"), instance("b", weight: 2_000), instance("c")], failFast: true),
            refused: [1: .weightOutOfRange, 2: .notAttempted])
        #expect(story.ids() == ["a"])
    }

    @Test func `the same id twice in a batch registers and then replaces`() {
        var story = Story()
        story.happens(registered([instance("a", weight: 1), instance("a", weight: 2)]), replaced: [1])
        #expect(story.one("a")?.instance.weight == 2)
    }

    @Test func `service number one thousand and one is refused while all have instances`() {
        var story = Story()
        for number in 0..<ServiceTable.maximumCount {
            story.append(registered([instance("i-\(number)")], of: "s-\(number)"))
        }
        story.happens(registered([instance("late")], of: "late"), refused: [0: .tooManyServices], changes: [])
        #expect(story.registry.serviceTopology().services.count == 1_000)
    }

    @Test func `a new service takes the place of the one that is empty the longest`() {
        var story = Story()
        for number in 0..<ServiceTable.maximumCount {
            story.append(registered([instance("i-\(number)")], of: "s-\(number)"))
        }
        story.append(deregistered(["i-7"], of: "s-7"))
        story.append(deregistered(["i-3"], of: "s-3"))
        story.happens(registered([instance("late")], of: "late"), changes: ["late"])
        #expect(story.ids("late") == ["late"])
        #expect(story.registry.serviceTopology(serviceName: "s-7").services.isEmpty)
        #expect(story.registry.serviceTopology(serviceName: "s-3").services.count == 1)
        story.expectSameFromScratch()
    }

    @Test func `names that Unicode deems equal are two services`() {
        var story = Story()
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        story.serve(["a"], of: composed)
        story.serve(["b"], of: decomposed)
        #expect(story.ids(composed) == ["a"] && story.ids(decomposed) == ["b"])
        #expect(story.registry.serviceTopology(serviceName: composed).services.count == 1)
        #expect(story.registry.staleInstances(serviceName: composed).instances.isEmpty)
        story.happens(heartbeat(["a"], of: decomposed), refused: [0: .wrongService])
        story.happens(deregistered(["a"], of: decomposed), refused: [0: .wrongService])
        story.happens(deregistered(["b"], of: decomposed))
        #expect(story.registry.removals(serviceName: composed).removals.isEmpty)
        #expect(story.registry.removals(serviceName: decomposed).removals.count == 1)
    }

    @Test func `ids that Unicode deems equal are two instances`() {
        var story = Story()
        story.serve(["caf\u{E9}", "cafe\u{301}"])
        #expect(story.registry.instanceCount == 2)
        story.happens(deregistered(["caf\u{E9}"]))
        #expect(story.ids().map { Array($0.utf8) } == [Array("cafe\u{301}".utf8)])
    }

    @Test func `a loopback endpoint is taken once the operator allows it`() {
        var story = Story()
        let event = registered([instance("a", endpoint: "127.0.0.1:80")])
        story.happens(event, refused: [0: .invalidEndpoint])
        story.happens(configured(RegistryConfiguration(allowLoopback: true)))
        story.happens(event)
    }
}

@Suite struct `Endpoint rule` {
    @Test(arguments: [
        "10.0.0.1:80", "192.168.1.2:65535", "8.8.8.8:1", "[2001:db8::1]:80", "[fd12:3456::1]:443", "cart.internal:80",
        "cart_1.svc.cluster.local:8080", "[1:2:3:4:5:6:7:8]:9", "[1:2:3:4:5:6:7::]:9", "1cart:80",
    ])
    func `takes addresses and names`(endpoint: String) {
        #expect(EndpointRule.accepts(endpoint, allowLoopback: false))
    }

    @Test(arguments: [
        "0.0.0.0:80", "0.1.2.3:80", "169.254.169.254:80", "169.254.0.1:80", "224.0.0.1:80", "239.1.1.1:80",
        "240.0.0.1:80", "255.255.255.255:80", "[::]:80", "[fe80::1]:80", "[febf::1]:80", "[ff02::1]:80",
        "[::ffff:10.0.0.1]:80", "[::ffff:a00:1]:80", "[::10.0.0.1]:80", "[::a00:1]:80", "[64:ff9b::a00:1]:80",
        "[2002:a9fe:a9fe::1]:80", "[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80", "192.0.0.192:80",
    ])
    func `refuses unspecified, link-local, metadata, multicast, broadcast and embedded forms`(endpoint: String) {
        #expect(!EndpointRule.accepts(endpoint, allowLoopback: true))
    }

    @Test(arguments: [
        "127.0.0.1:80", "127.255.0.1:80", "[::1]:80", "localhost:80", "LOCALHOST:80", "x.localhost:80", "localhost.:80",
    ])
    func `takes loopback only where it is allowed`(endpoint: String) {
        #expect(!EndpointRule.accepts(endpoint, allowLoopback: false))
        #expect(EndpointRule.accepts(endpoint, allowLoopback: true))
    }

    @Test(arguments: [
        "2130706433:80", "127.1:80", "0177.0.0.1:80", "0x7f.1:80", "127.0.0.0x1:80", "0x7f000001:80", "1.2.3:80",
        "1.2.3.4.5:80", "256.1.1.1:80", "01.2.3.4:80", "127.0.0.1.:80", "cart.1:80",
    ])
    func `refuses the short, octal and hexadecimal spellings of addresses`(endpoint: String) {
        #expect(!EndpointRule.accepts(endpoint, allowLoopback: true))
    }

    @Test(arguments: [
        "[fd20:ce::254]:80", "[FD20:00CE::254]:80", "[fd00:ec2::253]:80", "[fec0::1]:80", "[feff::1]:80",
        "[2001::1]:80", "[2001:0:4136:e378::1]:80", "[::ffff:0:a00:1]:80", "[fd12::5efe:a00:1]:80",
        "[2001:db8::200:5efe:a00:1]:80",
    ])
    func `takes what it took when events were recorded, though nobody connects there any more`(endpoint: String) {
        #expect(EndpointRule.accepts(endpoint, allowLoopback: false))
        #expect(!EndpointRule.acceptsPeer(endpoint, allowLoopback: true))
    }

    @Test(arguments: [
        ("10.0.0.1:80", true), ("[2001:db8::1]:80", true), ("[fd12:3456::1]:443", true), ("cart.internal:80", true),
        ("127.0.0.1:80", false), ("[::1]:80", false), ("localhost:80", false), ("169.254.169.254:80", false),
        ("[::ffff:10.0.0.1]:80", false), ("cart", false),
    ])
    func `judges peers as it judges endpoints otherwise`(endpoint: String, isTaken: Bool) {
        #expect(EndpointRule.acceptsPeer(endpoint, allowLoopback: false) == isTaken)
    }

    @Test func `takes a peer on loopback once it is allowed`() {
        for endpoint in ["127.0.0.1:80", "[::1]:80", "localhost:80"] {
            #expect(EndpointRule.acceptsPeer(endpoint, allowLoopback: true))
        }
    }

    @Test(arguments: [
        "", ":", "cart", "cart:", ":80", "cart:0", "cart:65536", "cart:-1", "cart:+80", "cart:8o", "a b:80",
        "a\u{0}:80", "ca/rt:80", "http://cart:80", "user@cart:80", "[cart]:80", "[::1:80", "::1:80", "[10.0.0.1]:80",
        "[1:2:3]:80", "[1::2::3]:80", "[1:2:3:4:5:6:7:8:9]:80", "[12345::1]:80", "[g::1]:80", "[2001:db8::-0]:80",
        "[fe80::1%eth0]:80", "caf\u{E9}:80", "[2001:db8:::1]:80", "cart\u{301}:80", "cart:８０",
    ])
    func `refuses what is no endpoint`(endpoint: String) {
        #expect(!EndpointRule.accepts(endpoint, allowLoopback: true))
    }
}

@Suite struct `Deregistration of instances` {
    @Test func `an instance that says good-bye is gone`() {
        var story = Story()
        story.serve(["a", "b"])
        story.happens(deregistered(["a"]), changes: ["checkout"])
        #expect(story.ids() == ["b"])
        #expect(story.one("a") == nil)
    }

    @Test func `an unknown id is refused so that its publisher registers anew`() {
        var story = Story()
        story.happens(deregistered(["a"]), refused: [0: .unknownInstance])
    }

    @Test func `another service can not remove it`() {
        var story = Story()
        story.serve(["a"])
        story.happens(deregistered(["a"], of: "cart"), refused: [0: .wrongService])
    }

    @Test func `the incarnation must match`() {
        var story = Story()
        story.happens(registered([instance("a", incarnation: 5)]))
        story.happens(deregistered(["a"], incarnation: 4), refused: [0: .staleIncarnation])
        story.happens(deregistered(["a"], incarnation: 6), refused: [0: .incarnationMismatch])
        story.happens(deregistered(["a"], incarnation: 5))
    }

    @Test func `a goodbye from more than five minutes ahead is refused`() {
        var story = Story()
        story.serve(["a"])
        story.happens(deregistered(["a"], occurredAt: story.now + .seconds(301)), refused: [0: .timeAhead])
        #expect(story.ids() == ["a"])
        story.happens(deregistered(["a"], occurredAt: story.now + .seconds(300)))
        #expect(story.ids().isEmpty)
    }

    @Test func `who removed it, when and why is answered from the log`() {
        var story = Story()
        story.serve(["a", "b"])
        story.now = story.now + .seconds(1)
        story.happens(deregistered(["a", "b"], reason: "deploy", actor: "ops"))
        let removals = story.registry.removals().removals
        #expect(removals.map(\.instanceID) == ["b", "a"])
        #expect(removals.last?.reason == "deploy" && removals.last?.actor == "unverified:ops")
        #expect(removals.last?.kind == .deregistered && removals.last?.recordedAt == story.now)
        #expect(removals.map(\.position.index) == [1, 0])
        #expect(story.registry.removals(instanceID: "a").removals.count == 1)
        #expect(story.registry.removals(serviceName: "cart").removals.isEmpty)
        #expect(story.registry.removals(limit: 1).removals.map(\.instanceID) == ["b"])
    }

    @Test func `a service that removes its own instance is the actor`() {
        var story = Story()
        story.serve(["a"])
        story.happens(deregistered(["a"]))
        #expect(story.registry.removals().removals.first?.actor == "service:checkout")
    }

    @Test func `the registry remembers a bounded number of removals, the newest`() {
        var story = Story()
        let ids = (0..<ServiceRegistry.removalCapacity + 10).map { "i-\($0)" }
        story.append(registered(ids.map { instance($0) }))
        story.append(deregistered(ids))
        #expect(story.registry.removals.count == ServiceRegistry.removalCapacity)
        #expect(story.registry.removals.first?.instanceID == "i-10")
        #expect(story.registry.removals(limit: 9_999).removals.count == ServiceRegistry.rowsMaximum)
        #expect(story.registry.removals().removals.count == 100)
        story.expectSameFromScratch()
    }

    @Test func `an id that went can come back`() {
        var story = Story()
        story.serve(["a", "b"])
        story.happens(deregistered(["a"]))
        story.serve(["a", "c"])
        #expect(story.ids() == ["a", "b", "c"])
        story.expectSameFromScratch()
    }
}
