// Which requests are mirrored, how mirrors are specified, what is redacted, and how differences are judged.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

func mirror(
    _ id: String = "m", of service: String = "checkout", to shadow: String = "10.0.0.9:8080", mode: MirrorMode = .full,
    rate: UInt32 = 100, include: [String] = [], exclude: [String] = [], enabled: Bool = true
) -> MirrorConfiguration {
    MirrorConfiguration(
        mirrorID: id, sourceService: service, shadowEndpoint: shadow, mode: mode, sampleRateBasisPoints: rate,
        includeIntents: include, excludeIntents: exclude, enabled: enabled)
}

@Suite struct `Should a request be mirrored` {
    private func admits(_ mirror: MirrorConfiguration, _ intent: String = "GET /cart", seed: String = "r-1") -> Bool {
        shouldMirror(mirror, intent: intent, sampleSeed: seed)
    }

    @Test func `full takes all, replay none that is live, a disabled one none`() {
        #expect(admits(mirror()))
        #expect(!admits(mirror(mode: .replay)))
        #expect(!admits(mirror(enabled: false)))
    }

    @Test func `the sample is FNV-1a 32 of the seed modulo 10,000`() {
        // Reference values of the FNV distribution: "" is 811c9dc5, "a" e40c292c, "foobar" bf9cf968.
        #expect(SampleBucket.of("") == 0x811C_9DC5 % 10_000)
        #expect(SampleBucket.of("a") == 0xE40C_292C % 10_000)
        #expect(SampleBucket.of("foobar") == 0xBF9C_F968 % 10_000)
    }

    @Test func `a sample begins exactly at its rate`() {
        let bucket = SampleBucket.of("r-1")
        #expect(!admits(mirror(mode: .sampled, rate: bucket)))
        #expect(admits(mirror(mode: .sampled, rate: bucket + 1)))
        #expect(!admits(mirror(mode: .sampled, rate: 0)))
        #expect(admits(mirror(mode: .sampled, rate: 10_000)))
    }

    @Test func `a sample is as large as its rate says`() {
        let taken = (0..<100_000).count { admits(mirror(mode: .sampled, rate: 1_000), seed: "request-\($0)") }
        #expect((9_500...10_500).contains(taken))
    }

    @Test func `who is in a small sample is in each larger one`() {
        for index in 0..<2_000 where admits(mirror(mode: .sampled, rate: 500), seed: "r\(index)") {
            #expect(admits(mirror(mode: .sampled, rate: 800), seed: "r\(index)"))
        }
    }

    @Test func `filtered includes, then excludes`() {
        let filter = mirror(mode: .filtered, include: ["GET /cart*", "order.*"], exclude: ["*/internal/*"])
        #expect(admits(filter, "GET /cart/7"))
        #expect(admits(filter, "order.created"))
        #expect(!admits(filter, "GET /cart/internal/7"))
        #expect(!admits(filter, "POST /cart"))
        #expect(admits(mirror(mode: .filtered, exclude: ["a"]), "b"))
        #expect(!admits(mirror(mode: .filtered, include: ["a", "a"], exclude: ["a"]), "a"))
    }

    @Test(arguments: [
        ("*", "", true), ("", "", true), ("", "a", false), ("a*b*c", "a-b-b-c", true), ("a*b*c", "a-b-b-cd", false),
        ("**", "x", true), ("*é", "café", true), ("a*", "ba", false), ("*aab", "aaaab", true), ("a?", "ab", false),
    ])
    func `globs know nothing but the star`(_ example: (String, String, Bool)) {
        #expect(Glob(example.0).matches(example.1) == example.2)
    }

    @Test func `a glob made to be slow is not`() {
        let pattern = String(repeating: "a*", count: 100) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 5_000)))
    }

    @Test func `several mirrors are asked at once`() {
        let all = (0..<10).map { mirror("m\($0)", mode: $0 % 2 == 0 ? .full : .replay) }
        #expect(MirrorSelection(all).selected(intent: "x", sampleSeed: "y") == 0b01_0101_0101)
    }

    @Test func `only what reads is copied unless writes are allowed`() {
        var one = mirror()
        #expect(one.admits(method: "GET") && one.admits(method: "HEAD"))
        #expect(!one.admits(method: "POST") && !one.admits(method: "get"))
        one.allowWrites = true
        #expect(one.admits(method: "DELETE"))
    }
}

@Suite struct `A mirror's specification` {
    private func specification(_ members: (String, SpecificationValue)...) -> SpecificationValue {
        let base: [(String, SpecificationValue)] = [
            ("mirror_id", .text("m")), ("source_service", .text("checkout")), ("shadow_endpoint", .text("next:80")),
        ]
        let named = Set(members.map(\.0))
        return .object(
            (base.filter { !named.contains($0.0) } + members).map { SpecificationMember($0.0, $0.1) })
    }

    private func error(_ members: (String, SpecificationValue)...) -> String {
        let named = Set(members.map(\.0))
        guard case .object(let base) = specification() else { return "" }
        let all = base.filter { !named.contains($0.name) } + members.map { SpecificationMember($0.0, $0.1) }
        do {
            _ = try createMirrorFromSpec(.object(all))
            return "none"
        } catch {
            return error.description
        }
    }

    @Test func `what is not said has the documented default`() throws {
        let made = try createMirrorFromSpec(specification())
        #expect(made == MirrorConfiguration(mirrorID: "m", sourceService: "checkout", shadowEndpoint: "next:80"))
        #expect(made.mode == .sampled && made.sampleRateBasisPoints == 100 && made.timeout == .seconds(1))
        #expect(made.payloadLimit == 16_384 && made.bufferRequests == 1_000 && made.bufferBytes == 64 << 20)
    }

    @Test func `every field is read`() throws {
        let made = try createMirrorFromSpec(
            specification(
                ("mode", .text("filtered")), ("sample_rate", .number("0.25")),
                ("include_intents", .list([.text("a*")])),
                ("exclude_intents", .list([.text("b")])), ("timeout_ms", .number("250")), ("enabled", .boolean(false)),
                ("allow_writes", .boolean(true)), ("payload_limit", .number("1024")),
                ("buffer_requests", .number("10")), ("buffer_bytes", .number("4096")),
                ("shadow_auth", .text("next.token")),
                ("ignore_fields", .list([.text("id"), .text("/a/*")])), ("unordered_arrays", .list([.text("/tags")])),
                ("compared_headers", .list([.text("etag")])), ("baseline_endpoint", .text("again:80")),
                ("baseline_auth", .text("again.token"))))
        #expect(made.mode == .filtered && made.sampleRateBasisPoints == 2_500 && made.timeout == .milliseconds(250))
        #expect(!made.enabled && made.allowWrites && made.payloadLimit == 1_024 && made.bufferRequests == 10)
        #expect(made.bufferBytes == 4_096 && made.shadowAuthentication == "next.token")
        #expect(made.includeIntents == ["a*"] && made.excludeIntents == ["b"] && made.ignoreFields == ["id", "/a/*"])
        #expect(made.unorderedArrays == ["/tags"] && made.comparedHeaders == ["etag"])
        #expect(made.baselineEndpoint == "again:80" && made.baselineAuthentication == "again.token")
    }

    @Test func `errors name the field`() {
        #expect(error(("mirror_id", .text(""))) == "mirror_id: is missing")
        #expect(error(("mode", .text("all"))) == "mode: is none of full, sampled, filtered, replay")
        #expect(error(("sample_rate", .number("1.5"))).hasPrefix("sample_rate: "))
        #expect(error(("include_intents", .list([.text("a"), .null]))) == "include_intents[1]: is not a text")
        #expect(error(("timeout_ms", .number("0"))) == "timeout_ms: is not a whole number from 1 to 60000")
        #expect(error(("enabled", .text("yes"))) == "enabled: is neither true nor false")
        #expect(error(("ignore_fields", .list([.text("/~")]))) == "ignore_fields: `/~` is no JSON Pointer")
        #expect(error(("baseline_auth", .text("x"))) == "baseline_auth: goes with baseline_endpoint")
        #expect(error(("baseline_endpoint", .text("next:80"))).hasPrefix("baseline_endpoint: is the shadow"))
        #expect(error(("colour", .null)) == "colour: is not known")
        #expect(error(("x", .null), ("mode", .text("full")), ("mode", .text("full"))) == "x: is not known")
        #expect(error(("mode", .text("full")), ("mode", .text("full"))) == "mode: stands twice")
        #expect(throws: InvalidField("mirror", "is not an object")) { try createMirrorFromSpec(.null) }
    }

    @Test(
        arguments: [
            ("0", 0), ("1", 10_000), ("1.0", 10_000), ("0.01", 100), ("0.0001", 1), ("0.00010", 1), ("1%", 100),
            ("0.01%", 1), ("100%", 10_000), ("12.34%", 1_234), ("0.00001", nil), ("1.0001", nil), ("101%", nil),
            ("-1", nil),
            ("", nil), (".5", nil), ("5.", nil), ("1e-2", nil), ("0.001%", nil), ("%", nil), ("1.2.3", nil),
            ("99999999999999999999", nil), ("0.00000000000000000000", nil),
        ] as [(String, UInt32?)])
    func `rates are decimal text`(_ example: (String, UInt32?)) {
        #expect(BasisPoints.parse(example.0) == example.1)
    }
}
