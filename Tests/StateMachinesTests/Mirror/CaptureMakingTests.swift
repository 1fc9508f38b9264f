// What leaves the gateway with a capture, and what a comparison becomes in the log.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Making a capture` {
    private let json = [HeaderField(name: "Content-Type", value: "application/json")]

    private func make(_ body: String, response: String = "{}", limit: Int = 16_384) -> MadeCapture {
        makeCapture(
            ObservedRequest(
                requestID: "r", method: "POST", target: "/pay?token=s3cret&id=1",
                headers: json + [HeaderField(name: "Cookie", value: "s3cret")], body: Array(body.utf8)),
            response: ObservedResponse(
                status: 201, headers: json + [HeaderField(name: "Set-Cookie", value: "s3cret")],
                body: Array(response.utf8)),
            payloadLimit: limit)
    }

    @Test func `no secret leaves with facts or contents`() {
        let made = make(#"{"password":"s3cret","a":1}"#, response: #"{"access_token":"s3cret"}"#)
        let facts = EventCodec.encode(.mirror(captured([made.fact])))?.facts ?? []
        let attachment = MirrorAttachment.encode([made.content])
        for bytes in [facts, attachment] { #expect(!String(decoding: bytes, as: UTF8.self).contains("s3cret")) }
        #expect(made.content.target == "/pay?token=[redacted]&id=1")
        #expect(String(decoding: made.content.requestBody, as: UTF8.self) == #"{"password":"[redacted]","a":1}"#)
    }

    @Test func `a body that was only redacted is whole`() {
        let fact = make(#"{"password":"s3cret"}"#).fact
        #expect(fact.payloadLength == fact.payloadKept)
        #expect(fact.status == 201)
    }

    @Test func `a long body is cut after it was redacted, and says how long it was`() {
        let made = make(#"{"a":"0123456789","password":"s3cret"}"#, limit: 10)
        #expect(made.fact.payloadKept == 10 && made.fact.payloadLength == 42)
        #expect(made.content.requestBody == Array(#"{"a":"0123"#.utf8))
    }

    @Test func `a body that can not be looked through is withheld, and never judged`() {
        let made = make("{\"password\":", response: "{\"password\":")
        #expect(made.content.requestBody.isEmpty && made.content.responseBody.isEmpty)
        #expect(made.fact.payloadKept == 0 && made.fact.payloadLength == 12)
        let production = made.content.response(made.fact)
        #expect(compareResponses(production: production, shadow: production).verdict == .undecided)
    }

    @Test func `the hash of the path does not depend on secrets`() {
        let one = makeCapture(ObservedRequest(requestID: "a", target: "/x?token=1"), response: ObservedResponse())
        let other = makeCapture(ObservedRequest(requestID: "b", target: "/x?token=2"), response: ObservedResponse())
        #expect(one.fact.pathHash == other.fact.pathHash)
        #expect(one.fact.pathHash != 0)
    }
}

@Suite struct `A comparison in the log` {
    @Test func `has places in its facts and sides in its attachment`() throws {
        let found = compareResponses(
            production: json(#"{"items":[{"price":1},{"price":2}]}"#),
            shadow: json(#"{"items":[{"price":3},{"price":4}]}"#, status: 500))
        let event = found.event(for: directive(7))
        #expect(event.verdict == .different && event.differenceCount == 3)
        #expect(event.paths.map(\.pattern) == ["", "/items/*/price"])
        #expect(found.content.sides.map(\.path) == ["", "/items/0/price", "/items/1/price"])
        let facts = EventCodec.encode(.mirror(.compared(Batch(serviceName: "s", events: [event]))))?.facts ?? []
        #expect(decoded(.responseCompared, facts) == .mirror(.compared(Batch(serviceName: "s", events: [event]))))
    }

    @Test func `with endless names can still be written`() {
        let name = String(repeating: "é", count: 5_000)
        let event = compareResponses(production: json("{\"a\(name)\":1}"), shadow: json("{}")).event(for: directive(7))
        #expect(event.paths[0].pattern.utf8.count == 1_024)
        let batch = Event.mirror(.compared(Batch(serviceName: "s", events: [event])))
        #expect(decoded(.responseCompared, EventCodec.encode(batch)?.facts ?? []) == batch)
    }

    @Test func `becomes a result for the analysis`() {
        let dispatch = ShadowDispatch(directive: directive(7), outcome: .succeeded, status: 200, latency: .seconds(1))
        let found = compareResponses(production: json("1"), shadow: json("2"))
        let result = MirrorResult(requestID: "r", shadowEndpoint: "s", dispatch: dispatch, comparison: found)
        #expect(result.success && result.diffDetected && result.responseCode == 200)
        #expect(result.diffSummary == "1 difference\nbody: 1 became 2")
        let failed = MirrorResult(
            requestID: "r", shadowEndpoint: "s", dispatch: ShadowDispatch(directive: directive(7), outcome: .timedOut))
        #expect(!failed.success && !failed.diffDetected)
        #expect(!analyzeDiffs([result, failed], thresholdBasisPoints: 9_999).passes)
    }
}
