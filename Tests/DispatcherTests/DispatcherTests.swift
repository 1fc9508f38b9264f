// The parts of the dispatcher by themselves: marks, headers, breakers, credentials, addresses.

import EventModel
import Foundation
import MeshRules
import Testing

@testable import Dispatcher

@Suite struct `Shadow marks` {
    private let now = Timestamp(nanoseconds: 1_795_000_000_000_000_000)
    private let key = Array("0123456789abcdef".utf8)

    @Test func `a mark is valid for its request, its time and its key only`() throws {
        let mark = try #require(ShadowMark(key: key))
        let value = mark.value(method: "GET", target: "/a", at: now)
        #expect(mark.isValid(value, method: "GET", target: "/a", at: now + .seconds(299)))
        #expect(!mark.isValid(value, method: "GET", target: "/a", at: now + .seconds(301)))
        #expect(!mark.isValid(value, method: "GET", target: "/a", at: now + .seconds(-301)))
        #expect(!mark.isValid(value, method: "POST", target: "/a", at: now))
        #expect(!mark.isValid(value, method: "GET", target: "/b", at: now))
        let other = try #require(ShadowMark(key: Array("another key of 16".utf8)))
        #expect(!other.isValid(value, method: "GET", target: "/a", at: now))
    }

    @Test(arguments: ["", ".", "1", "x.y", "1795000000.", "1795000000.00", "1795000000.zz.zz"])
    func `what is no mark is not valid`(_ value: String) throws {
        let mark = try #require(ShadowMark(key: key))
        #expect(!mark.isValid(value, method: "GET", target: "/a", at: now))
    }

    @Test func `a short key makes no marks`() { #expect(ShadowMark(key: Array("short".utf8)) == nil) }
}

@Suite struct `Headers of a copy` {
    private func kept(_ fields: (String, String)...) -> [String] {
        ShadowHeaders.kept(fields.map { HeaderField(name: $0.0, value: $0.1) }).map(\.name)
    }

    @Test func `end-to-end headers stay, in order`() {
        #expect(kept(("Accept", "a"), ("X-B", "b"), ("accept", "c")) == ["Accept", "X-B", "accept"])
    }

    @Test(arguments: [
        "Connection", "keep-alive", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host",
        "Content-Length", "X-Lattice-Shadow", "x-lattice-anything", "Expect",
    ]) func `hop-by-hop headers and those made anew go`(_ name: String) { #expect(kept((name, "v")).isEmpty) }

    @Test func `what Connection names goes too`() {
        #expect(kept(("connection", "close, X-Hop ,\tX-Two"), ("x-hop", "1"), ("X-TWO", "2"), ("x-3", "3")) == ["x-3"])
    }

    @Test func `redacted values and values that split go`() {
        #expect(kept(("cookie", "[redacted]"), ("a", "x\r\nb: c"), ("b\r\n", "v"), ("", "v"), ("c", "\u{0}")).isEmpty)
    }
}

@Suite struct `The breaker of a shadow` {
    private let start = Timestamp(nanoseconds: 1_000_000_000_000)

    private func failed(_ count: Int, _ breaker: inout ShadowBreaker, at time: Timestamp) {
        for _ in 0..<count {
            let admission = breaker.enter(at: time)
            #expect(admission == .admitted)
            breaker.leave(isAnswered: false, at: time)
        }
    }

    @Test func `opens after five failures in a row and lets one probe through after a second`() {
        var breaker = ShadowBreaker(places: 4)
        failed(5, &breaker, at: start)
        let early = breaker.enter(at: start)
        #expect(early == .open)
        let later = start + .seconds(1)
        let probe = breaker.enter(at: later)
        let second = breaker.enter(at: later)
        #expect(probe == .admitted && second == .open)
        breaker.leave(isAnswered: true, at: later)
        let healed = breaker.enter(at: later)
        #expect(healed == .admitted)
    }

    @Test func `a failed probe doubles the time, up to a minute`() {
        var breaker = ShadowBreaker(places: 1)
        failed(5, &breaker, at: start)
        var time = start
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            let early = breaker.enter(at: time + .milliseconds(Int64(wait) * 1_000 - 1))
            #expect(early == .open, "\(wait)")
            time = time + .seconds(Int64(wait))
            failed(1, &breaker, at: time)
        }
    }

    @Test func `an answer in between starts the count anew`() {
        var breaker = ShadowBreaker(places: 1)
        failed(4, &breaker, at: start)
        _ = breaker.enter(at: start)
        breaker.leave(isAnswered: true, at: start)
        #expect(breaker.isIdle)
        failed(4, &breaker, at: start)
        let next = breaker.enter(at: start)
        #expect(next == .admitted)
    }

    @Test func `places are bounded`() {
        var breaker = ShadowBreaker(places: 2)
        let admissions = (0..<3).map { _ in breaker.enter(at: start) }
        #expect(admissions == [.admitted, .admitted, .busy])
        breaker.leave(isAnswered: true, at: start)
        let freed = breaker.enter(at: start)
        #expect(freed == .admitted)
    }
}

@Suite struct `Credentials of a shadow` {
    private func headers(_ text: String, named name: String = "file", asked: String = "file") throws -> [HeaderField]? {
        let folder = FileManager.default.temporaryDirectory.path + "/lattice-credentials-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
        return ShadowCredentials(directory: folder).headers(asked)
    }

    @Test func `one line is the value of authorization, lines with names are headers`() throws {
        #expect(try headers("Bearer abc\n") == [HeaderField(name: "authorization", value: "Bearer abc")])
        #expect(
            try headers("X-Api-Key: k \n\nAuthorization:  Basic x\n") == [
                HeaderField(name: "x-api-key", value: "k"), HeaderField(name: "authorization", value: "Basic x"),
            ])
    }

    @Test func `what is neither is refused`() throws {
        #expect(try headers("") == nil)
        #expect(try headers("a: b\nno header\n") == nil)
        #expect(try headers(String(repeating: "x", count: 20_000)) == nil)
    }

    @Test(arguments: ["../file", "/etc/passwd", ".hidden", "a/b", "", "missing"])
    func `a name leads nowhere but into the folder`(_ name: String) throws {
        #expect(try headers("Bearer abc", asked: name) == nil)
    }
}

@Suite struct `Addresses of shadows` {
    private static func resolve(
        _ endpoint: String, allowLoopback: Bool, by resolver: ShadowResolver = .shared
    ) async -> Result<ShadowAddress, AddressRefusal> {
        await withCheckedContinuation { continuation in
            resolver.resolve(endpoint, allowLoopback: allowLoopback) { continuation.resume(returning: $0) }
        }
    }

    @Test(arguments: [
        "127.0.0.1:80", "localhost:80", "169.254.169.254:80", "0.0.0.0:80", "[::1]:80", "224.0.0.1:80",
        "[::ffff:10.0.0.1]:80", "10.0.0.1:0", "10.0.0.1", "host:99999",
    ])
    func `what no service may have is refused`(_ endpoint: String) async {
        #expect(await Self.resolve(endpoint, allowLoopback: false) == .failure(.refused))
    }

    @Test func `an address is itself, and a name its address`() async throws {
        let literal = try await Self.resolve("10.0.0.1:8080", allowLoopback: false).get()
        #expect(literal == ShadowAddress(host: "10.0.0.1", port: 8080))
        let six = try await Self.resolve("[fd12::1]:8080", allowLoopback: false).get()
        #expect(six == ShadowAddress(host: "[fd12::1]", port: 8080) && six.plainHost == "fd12::1")
        let named = try await Self.resolve("localhost:80", allowLoopback: true).get()
        #expect(["127.0.0.1", "[::1]"].contains(named.host))
    }

    @Test(arguments: [
        "127.0.0.1", "::1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "224.0.0.1", "255.255.255.255", "::", "::7f00:1", "::a00:1", "::ffff:127.0.0.1", "::ffff:7f00:1",
        "::FFFF:10.0.0.1", "::ffff:0:a00:1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "FEC0::1", "feff::1",
        "ff02::1", "fd00:ec2::254", "FD00:0EC2:0:0:0:0:0:254", "fd00:ec2::253", "fd20:ce::254", "fd20:00ce:0:0::0254",
        "FD20:CE:0:0:0:0:0:254", "2001::1", "2001:0:4136:e378::1", "2001:0000::7f00:1", "2002:7f00:1::1",
        "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "0064:FF9B::a00:1", "64:ff9b:1::a00:1",
        "fd12::5efe:a00:1", "2001:db8::200:5efe:7f00:1", "not an address",
    ])
    func `a name does not lead where no service may be`(_ address: String) async {
        let resolver = ShadowResolver { _, _ in address }
        #expect(await Self.resolve("a.name:80", allowLoopback: false, by: resolver) == .failure(.refused))
        if !address.contains("%"), !address.contains(" ") {
            let literal = address.contains(":") ? "[\(address)]" : address
            #expect(await Self.resolve("\(literal):80", allowLoopback: false) == .failure(.refused))
        }
    }

    @Test(arguments: ["10.0.0.1", "192.168.1.1", "8.8.8.8", "100.64.0.1", "fd12::1", "2001:db8::1", "2a00:1450::1"])
    func `a name leads to what a service may have`(_ address: String) async throws {
        let resolver = ShadowResolver { _, _ in address }
        let found = try await Self.resolve("a.name:80", allowLoopback: false, by: resolver).get()
        #expect(found.plainHost == address)
        #expect(
            await Self.resolve("a.name:80", allowLoopback: false, by: ShadowResolver { _, _ in nil })
                == .failure(.unresolved))
    }
}
