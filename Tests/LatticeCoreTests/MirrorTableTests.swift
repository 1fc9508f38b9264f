// The mirror's rows of Specification.md, each with what it does in the caller's own process.

import EventModel
import LatticeCore
import Testing

@Suite struct `The specification's mirror` {
    private let clock = SetClock()

    private func configuration(_ id: String = "m", mode: MirrorMode = .full) -> MirrorConfiguration {
        MirrorConfiguration(mirrorID: id, sourceService: "cart", shadowEndpoint: "shadow:80", mode: mode)
    }

    private func mirror(_ configurations: MirrorConfiguration...) throws -> LocalMirror {
        var mirror = LocalMirror(clock: clock.reading)
        try mirror.allowShadows(["shadow:80"], of: "cart")
        for configuration in configurations { try mirror.addMirror(configuration) }
        return mirror
    }

    private func request(_ id: String, intent: String = "cart.read", method: String = "GET") -> MirroredRequest {
        MirroredRequest(requestID: id, sourceService: "cart", intent: intent, method: method, target: "/cart?id=\(id)")
    }

    private func json(_ text: String) -> MirroredResponse {
        MirroredResponse(
            headers: [HeaderField(name: "content-type", value: "application/json")], body: Array(text.utf8))
    }

    private func ledger(_ mirror: LocalMirror) -> [String: UInt64] {
        Dictionary(
            (mirror.stats().mirrors.first?.ledger ?? []).map { ($0.reason, $0.count) },
            uniquingKeysWith: { first, _ in first })
    }

    /// A shadow that answers every request with this body.
    private func shadow(_ body: String, latency: Nanoseconds = .milliseconds(3)) -> ShadowHandler {
        { _ in
            ShadowAnswer(
                .succeeded, status: 200, headers: [HeaderField(name: "content-type", value: "application/json")],
                body: Array(body.utf8), latency: latency)
        }
    }

    @Test func `MirrorMode, the type`() throws {
        var filtered = configuration("f", mode: .filtered)
        filtered.includeIntents = ["cart.*"]
        filtered.excludeIntents = ["*.write"]
        var sampled = configuration("s", mode: .sampled)
        sampled.sampleRateBasisPoints = 0
        var mirror = try mirror(configuration("all"), filtered, sampled, configuration("r", mode: .replay))
        #expect(try mirror.capture(request("1")) == ["all", "f"])
        #expect(try mirror.capture(request("2", intent: "cart.write")) == ["all"])
    }

    @Test func `MirrorConfig, the type`() throws {
        var told = configuration()
        told.createdAt = Timestamp(nanoseconds: 5)
        let found = try #require(try mirror(told).stats().mirrors.first?.configuration)
        #expect(found.mirrorID == "m" && found.sourceService == "cart" && found.shadowEndpoint == "shadow:80")
        #expect(found.mode == .full && found.enabled && found.includeIntents.isEmpty && found.excludeIntents.isEmpty)
        #expect(found.sampleRateBasisPoints == 100 && found.timeout == .seconds(1) && found.createdAt == clock.now)
    }

    @Test func `MirroredRequest, the type`() throws {
        var mirror = try mirror(configuration())
        var told = request("1")
        told.traceID = [UInt8](repeating: 7, count: 16)
        told.payload = Array(#"{"password":"x","n":1}"#.utf8)
        told.headers = [
            HeaderField(name: "content-type", value: "application/json"),
            HeaderField(name: "authorization", value: "Bearer x"),
        ]
        try mirror.capture(told)
        let drained = try mirror.drain("m")
        let found = try #require(drained.first)
        #expect(found.requestID == "1" && found.traceID == told.traceID && found.sourceService == "cart")
        #expect(found.intent == "cart.read" && found.mirroredAt == clock.now && found.target == "/cart?id=1")
        let body = String(decoding: found.payload, as: UTF8.self)
        #expect(!body.contains("\"x\"") && body.contains("\"n\":1"))
        #expect(found.headers.count == 2 && !found.headers.contains { $0.value.contains("Bearer") })
    }

    @Test func `MirrorResult, the type`() async throws {
        let result = try await dispatchToShadow(
            request("1"), production: json("[1,2]"), shadowEndpoint: "shadow:80", shadowHandler: shadow("[1,3]"))
        #expect(result.requestID == "1" && result.shadowEndpoint == "shadow:80" && result.success)
        #expect(result.latency == .milliseconds(3) && result.latencyMs == 3 && result.responseCode == 200)
        #expect(result.diffDetected && result.diffSummary.contains("/1: 2 became 3"))
        #expect(result.differences == [DifferingPath(part: .body, pattern: "/*", kind: .value)])
    }

    @Test func `TrafficMirror, the type`() throws {
        var mirror = try mirror(configuration())
        let fork = mirror
        try mirror.capture(request("1"))
        #expect(mirror.pendingCount("m") == 1 && fork.pendingCount("m") == 0)
        #expect(mirror.digest != fork.digest && mirror.asOf.sequence > fork.asOf.sequence)
    }

    @Test func `add_mirror(config), remove_mirror(mirror_id)`() throws {
        var mirror = try mirror(configuration())
        #expect(try mirror.addMirror(configuration()).replaced == [0])
        var astray = configuration("n")
        astray.shadowEndpoint = "elsewhere:80"
        expectRefusal(.shadowNotAllowed) { try mirror.addMirror(astray) }
        astray = configuration("n")
        astray.timeout = .zero
        expectRefusal(.invalidSetting) { try mirror.addMirror(astray) }
        expectRefusal(.invalidSetting) { try mirror.allowShadows(["no port"], of: "cart") }
        expectMalformed("mirror_id") { try mirror.addMirror(configuration("")) }
        try mirror.capture(request("1"))
        try mirror.removeMirror("m")
        #expect(mirror.stats().mirrors.isEmpty && mirror.pendingCount("m") == nil)
        expectRefusal(.unknownMirror) { try mirror.removeMirror("m") }
    }

    @Test func `enable_mirror(mirror_id), disable_mirror(mirror_id)`() throws {
        var mirror = try mirror(configuration())
        try mirror.capture(request("1"))
        try mirror.disableMirror("m")
        #expect(try mirror.capture(request("2")) == [])
        #expect(mirror.pendingCount("m") == 1)
        #expect(ledger(mirror)["disabled"] == 1)
        try mirror.enableMirror("m")
        #expect(try mirror.capture(request("3")) == ["m"])
        expectRefusal(.unknownMirror) { try mirror.enableMirror("x") }
        expectRefusal(.unknownMirror) { try mirror.disableMirror("x") }
    }

    @Test func `should_mirror(config, intent, sample_seed)`() throws {
        let mirror = try mirror()
        var sampled = configuration(mode: .sampled)
        sampled.sampleRateBasisPoints = 2_500
        let taken = (0..<4_000).filter { mirror.shouldMirror(sampled, intent: "", sampleSeed: "seed-\($0)") }.count
        #expect((850...1_150).contains(taken), "a quarter, not \(taken)")
        #expect(
            mirror.shouldMirror(sampled, intent: "a", sampleSeed: "x")
                == mirror.shouldMirror(sampled, intent: "b", sampleSeed: "x"))
        var disabled = configuration()
        disabled.enabled = false
        #expect(!mirror.shouldMirror(disabled, intent: "a", sampleSeed: ""))
        #expect(!mirror.shouldMirror(configuration(mode: .replay), intent: "a", sampleSeed: ""))
    }

    @Test func `capture(request_id, trace_id, source_service, intent, payload, headers)`() throws {
        var small = configuration()
        small.payloadLimit = 4
        small.bufferRequests = 2
        var mirror = try mirror(small)
        #expect(try mirror.capture(requestID: "1", sourceService: "cart", intent: "a", payload: [1, 2]) == ["m"])
        expectRefusal(.duplicateRequest) { try mirror.capture(requestID: "1", sourceService: "cart", intent: "a") }
        #expect(try mirror.capture(requestID: "2", sourceService: "cart", intent: "a", payload: [1, 2, 3, 4, 5]) == [])
        #expect(try mirror.capture(request("3", method: "POST")) == [])
        #expect(try mirror.capture(requestID: "4", sourceService: "nobody", intent: "a") == [])
        #expect(ledger(mirror) == ["truncated": 1, "method_not_allowed": 1])
        for id in 5...7 { try mirror.capture(request("\(id)")) }
        #expect(ledger(mirror)["overflow"] == 2, "the oldest make room")
        #expect(try mirror.drain("m").map(\.requestID) == ["6", "7"])
        expectMalformed("request_id") { try mirror.capture(requestID: "", sourceService: "cart", intent: "a") }
    }

    @Test func `pending_count(mirror_id)`() throws {
        var mirror = try mirror(configuration())
        #expect(mirror.pendingCount("m") == 0 && mirror.pendingCount("x") == nil)
        try mirror.capture(request("1"))
        clock.pass(60)
        #expect(mirror.pendingCount("m") == 1)
        clock.pass(1)
        #expect(mirror.pendingCount("m") == 0)
        mirror.advance()
        #expect(ledger(mirror) == ["expired": 1])
    }

    @Test func `drain(mirror_id, limit)`() throws {
        var mirror = try mirror(configuration())
        for id in 1...5 { try mirror.capture(request("\(id)")) }
        #expect(try mirror.drain("m", limit: 0) == [])
        #expect(mirror.pendingCount("m") == 5)
        #expect(try mirror.drain("m", limit: 2).map(\.requestID) == ["1", "2"])
        #expect(try mirror.drain("m").map(\.requestID) == ["3", "4", "5"])
        #expect(try mirror.drain("m") == [])
        #expect(ledger(mirror)["drained"] == 5)
        expectRefusal(.unknownMirror) { try mirror.drain("x") }
    }

    @Test func `stats()`() throws {
        var other = configuration("o")
        other.sourceService = "web"
        var mirror = try mirror(configuration("b"), configuration("a"))
        try mirror.allowShadows(["*.example:80", "shadow:80"], of: "web")
        try mirror.addMirror(other)
        for id in 0..<300 { try mirror.capture(request("\(id)")) }
        let stats = mirror.stats()
        #expect(stats.mirrors.map(\.configuration.mirrorID) == ["a", "b", "o"])
        #expect(stats.mirrors.map(\.mirrored) == [300, 300, 0] && stats.mirrors.map(\.pendingCount) == [300, 300, 0])
        #expect(mirror.stats(sourceService: "web").mirrors.count == 1)
        #expect(mirror.stats(sourceService: "nobody").mirrors.isEmpty)
        // What is handed out late is what came early, whatever was forgotten meanwhile.
        try mirror.drain("a")
        #expect(try mirror.drain("b").map(\.requestID) == (0..<300).map { String($0) })
    }

    @Test func `compare_responses(production, shadow, ignore_fields)`() throws {
        let production = json(#"{"id":1,"at":"09:00","items":[1,2]}"#)
        let shadow = json(#"{"items":[2,1],"at":"10:00","id":"1"}"#)
        let found = try compareResponses(production: production, shadow: shadow)
        #expect(found.verdict == .different && found.differenceCount == 4)
        #expect(found.differences.contains { $0.path == "/id" && $0.kind == .type && $0.summary.contains("/id") })
        let ruled = try compareResponses(
            production: production, shadow: shadow, ignoreFields: ["at", "/id"], unorderedArrays: ["/items"])
        #expect(ruled.verdict == .equal && ruled.differences.isEmpty && ruled.summary == "equal")
        let status = try compareResponses(production: MirroredResponse(), shadow: MirroredResponse(status: 500))
        #expect(status.differences.map(\.part) == [.status])
        let cut = try compareResponses(
            production: MirroredResponse(body: [1], bodyLength: 9), shadow: MirroredResponse(body: [1]))
        #expect(cut.verdict == .undecided && !cut.notes.isEmpty)
        #expect(throws: LocalError.self) {
            try compareResponses(production: production, shadow: shadow, ignoreFields: ["/~2"])
        }
    }

    @Test func `create_mirror_from_spec(spec)`() throws {
        var members: [String: JSONValue] = [
            "mirror_id": .string("m"), "source_service": .string("cart"), "shadow_endpoint": .string("shadow:80"),
            "mode": .string("sampled"), "sample_rate": .double(0.25), "timeout_ms": .int(250), "enabled": .bool(false),
            "include_intents": .array([.string("a.*")]),
        ]
        let made = try createMirrorFromSpec(.object(members))
        #expect(made.sampleRateBasisPoints == 2_500 && made.timeout == .milliseconds(250) && !made.enabled)
        #expect(made.mode == .sampled && made.includeIntents == ["a.*"])
        func fault(_ name: String, _ value: JSONValue?) -> String? {
            var changed = members
            changed[name] = value
            do {
                _ = try createMirrorFromSpec(.object(changed))
                return nil
            } catch {
                guard case .invalid(let field, _) = error else { return nil }
                return field
            }
        }
        #expect(fault("sample_rate", .double(0.00001)) == "sample_rate")
        #expect(fault("sample_rate", .string("12.5%")) == nil)
        #expect(fault("timeout_ms", .int(-1)) == "timeout_ms" && fault("timeout_ms", .string("1")) == "timeout_ms")
        #expect(fault("mirror_id", nil) == "mirror_id" && fault("surprise", .null) == "surprise")
        #expect(throws: LocalError.self) { try createMirrorFromSpec(.array([])) }
        members["mode"] = .string("all")
        #expect(throws: LocalError.self) { try createMirrorFromSpec(.object(members)) }
    }

    @Test func `dispatch_to_shadow(request, shadow_endpoint, timeout_ms, shadow_handler)`() async throws {
        let same = try await dispatchToShadow(
            request("1"), production: json("[1]"), shadowEndpoint: "shadow:80", shadowHandler: shadow("[1]"))
        #expect(same.success && !same.diffDetected && same.diffSummary.isEmpty)
        let sent = try await dispatchToShadow(
            request("2"), shadowEndpoint: "other:81", timeout: .milliseconds(70)
        ) { sent in
            let isRight =
                sent.endpoint == "other:81" && sent.timeout == .milliseconds(70) && sent.target == "/cart?id=2"
            return ShadowAnswer(.succeeded, status: isRight ? 200 : 400, latency: .milliseconds(-1))
        }
        #expect(sent.responseCode == 200 && sent.latency == .zero && !sent.diffDetected)
        let late = try await dispatchToShadow(
            request("3"), shadowEndpoint: "shadow:80", shadowHandler: shadow("[1]", latency: .seconds(2)))
        #expect(!late.success && late.latency == .seconds(1) && late.responseCode == 0)
        let hanging = try await dispatchToShadow(
            request("4"), production: json("[1]"), shadowEndpoint: "shadow:80", timeout: .milliseconds(20)
        ) { _ in
            try? await Task.sleep(for: .seconds(60))
            return ShadowAnswer(.succeeded, status: 200)
        }
        #expect(!hanging.success && !hanging.diffDetected && hanging.latency == .milliseconds(20))
        let failed = try await dispatchToShadow(request("5"), shadowEndpoint: "shadow:80") { _ in
            ShadowAnswer(.failed, reason: "not connected")
        }
        #expect(!failed.success)
        await #expect(throws: LocalError.self) {
            try await dispatchToShadow(
                request("6"), shadowEndpoint: "shadow:80", ignoreFields: ["/~2"], shadowHandler: shadow(""))
        }
    }

    @Test func `batch_dispatch(mirror, mirror_id, shadow_handler, batch_size)`() async throws {
        var mirror = try mirror(configuration())
        for id in 1...5 { try mirror.capture(request("\(id)"), production: json("[1]")) }
        let first = try await batchDispatch(&mirror, "m", batchSize: 3, concurrency: 2, shadowHandler: shadow("[1]"))
        #expect(
            first.map(\.requestID) == ["1", "2", "3"] && first.allSatisfy(\.success) && mirror.pendingCount("m") == 2)
        let rest = try await batchDispatch(&mirror, "m") { [shadow = shadow("[2]")] request in
            if request.requestID == "4" { return await shadow(request) }
            return ShadowAnswer(.failed, reason: "no")
        }
        #expect(rest.map(\.diffDetected) == [true, false] && rest.map(\.success) == [true, false])
        let state = try #require(mirror.stats().mirrors.first)
        #expect(state.equal == 3 && state.different == 1 && state.succeeded == 4 && state.pendingCount == 0)
        #expect(state.awaitingComparisonCount == 0 && state.latencyMaximum == .milliseconds(3))
        #expect(ledger(mirror) == ["dispatch_failed": 1])
        let report = try #require(mirror.analyzeDiffs("m", thresholdBasisPoints: 2_500))
        #expect(report.comparedCount == 4 && report.differingCount == 1 && report.failedCount == 1 && report.passes)
        #expect(mirror.analyzeDiffs("x") == nil)
        let none = try await batchDispatch(&mirror, "m", shadowHandler: shadow(""))
        #expect(none.isEmpty)
        try mirror.allowShadows([], of: "cart")
        let refusals = [await refusal(&mirror, "m"), await refusal(&mirror, "x")]
        #expect(refusals == [.refused(.shadowNotAllowed), .refused(.unknownMirror)])
    }

    private func refusal(_ mirror: inout LocalMirror, _ mirrorID: String) async -> LocalError? {
        do {
            _ = try await batchDispatch(&mirror, mirrorID, shadowHandler: shadow(""))
            return nil
        } catch {
            return error
        }
    }

    @Test func `analyze_diffs(results, threshold)`() {
        let place = DifferingPath(part: .body, pattern: "/a", kind: .value)
        func result(_ differs: Bool, success: Bool = true) -> MirrorResult {
            MirrorResult(
                requestID: "1", shadowEndpoint: "s:1", success: success, diffDetected: differs,
                differences: differs ? [place] : [])
        }
        let results = [result(true), result(false), result(false), result(false), result(false, success: false)]
        let report = analyzeDiffs(results, thresholdBasisPoints: 2_500)
        #expect(report.comparedCount == 4 && report.failedCount == 1 && report.basisPoints == 2_500 && report.passes)
        #expect(report.rates.map(\.path) == [place] && report.rates.map(\.count) == [1])
        #expect(!analyzeDiffs(results, thresholdBasisPoints: 2_499).passes)
        #expect(!analyzeDiffs([], thresholdBasisPoints: 10_000).passes && analyzeDiffs([]).summary.contains("nothing"))
    }

    @Test func `SERVICE_SLO["mirror"]`() {
        #expect(SERVICE_SLO["mirror"]?.latencyMs == 5 && SERVICE_SLO["mirror"]?.availability == 0.999)
    }
}
