// Networks of endpoints: configured by an event, so that a replay judges every registration as it was judged then.

import EventModel
import StateMachines
import Testing

@Suite struct `Networks of endpoints` {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.1.2.3/8", "10.0.0.1", true),
        ("192.168.7.128/25", "192.168.7.128", true), ("192.168.7.128/25", "192.168.7.127", false),
        ("0.0.0.0/0", "255.255.255.255", true), ("0.0.0.0/0", "::1", false), ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false), ("10.0.0.1/32", "10.0.0.2", false), ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe00::1", false), ("2001:db8::/127", "2001:db8::1", true),
        ("2001:db8::/127", "2001:db8::2", false), ("::/0", "2001:db8::2", true), ("::/0", "10.0.0.1", false),
        ("2001:db8::1", "2001:db8:0:0:0:0:0:1", true), ("fd00::/64", "fd00::1:0:0:0:1", false),
        ("128.0.0.0/1", "200.1.1.1", true), ("8000::/1", "8000::", true), ("8000::/1", "7fff::", false),
    ])
    func `hold what they hold`(_ example: (String, String, Bool)) throws {
        let network = try #require(IPNetwork(example.0))
        let address = try #require(IPAddress(example.1))
        #expect(network.contains(address) == example.2)
        #expect(network.description == example.0)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8", "::/129",
        "[fd00::]/8", "fd00::%eth0/8", "010.0.0.0/8", "0x0a.0.0.0/8", "cart/8", "10.0.0.0 /8", "10.0.0.0/ 8",
        "::ffff:10.0.0.0/104", "10.0.0.0/٨", "10.0.0.0/0008",
    ])
    func `are refused where the text is none`(_ text: String) {
        #expect(IPNetwork(text) == nil)
    }

    @Test func `are everywhere until the operator names some`() {
        var story = Story()
        story.happens(registered([instance("a", endpoint: "8.8.8.8:80")]))
        story.happens(configured(RegistryConfiguration(endpointNetworks: ["10.0.0.0/8", "fd00::/8"])))
        story.happens(
            registered([instance("b", endpoint: "8.8.4.4:80")]), refused: [0: .endpointOutsideNetworks])
        story.happens(registered([instance("c", endpoint: "10.1.2.3:80"), instance("d", endpoint: "[fd00::1]:80")]))
        #expect(story.ids() == ["a", "c", "d"], "what was taken before stays")
        story.happens(configured(RegistryConfiguration(endpointNetworks: ["0.0.0.0/0", "::/0"])))
        story.happens(registered([instance("b", endpoint: "8.8.4.4:80")]))
    }

    @Test func `hold a replacement too`() {
        var story = Story()
        story.happens(registered([instance("a", endpoint: "10.0.0.1:80")]))
        story.happens(configured(RegistryConfiguration(endpointNetworks: ["10.0.0.0/8"])))
        story.happens(
            registered([instance("a", endpoint: "8.8.8.8:80")]), refused: [0: .endpointOutsideNetworks])
        #expect(story.registry.instanceCount == 1)
    }

    @Test func `leave names to whoever resolves them`() {
        var story = Story()
        story.happens(configured(RegistryConfiguration(endpointNetworks: ["10.0.0.0/8"])))
        story.happens(registered([instance("a", endpoint: "cart.internal:80")]))
    }

    @Test func `never permit what no service may have`() {
        var story = Story()
        story.happens(configured(RegistryConfiguration(endpointNetworks: ["0.0.0.0/0", "::/0", "127.0.0.0/8"])))
        for endpoint in ["127.0.0.1:80", "169.254.169.254:80", "0.0.0.0:80", "224.0.0.1:80", "[::ffff:a00:1]:80"] {
            story.happens(registered([instance("a", endpoint: endpoint)]), refused: [0: .invalidEndpoint])
        }
    }

    @Test func `do not stand in the way of loopback where that is allowed`() {
        var story = Story()
        story.happens(configured(RegistryConfiguration(allowLoopback: true, endpointNetworks: ["10.0.0.0/8"])))
        story.happens(registered([instance("a", endpoint: "127.0.0.1:80"), instance("b", endpoint: "[::1]:80")]))
    }

    @Test func `are part of the digest and of a checkpoint, and absent where none are named`() throws {
        var named = Story()
        var plain = Story()
        named.happens(configured(RegistryConfiguration(endpointNetworks: ["10.0.0.0/8"])))
        plain.happens(configured(RegistryConfiguration(guardWindows: 10)))
        var (first, second) = (named.registry, plain.registry)
        #expect(first.digest() != second.digest())
        var restored = try #require(ServiceRegistry(checkpoint: first.encodeCheckpoint()))
        #expect(restored.digest() == first.digest())
        #expect(restored.settings.judge("8.8.8.8:80") == .outsideNetworks)
        #expect(second.settings.judge("8.8.8.8:80") == .accepted)
    }
}
