// What is redacted before it leaves, and how differences are counted and judged.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Redaction` {
    private let json = [HeaderField(name: "Content-Type", value: "application/json")]

    private func body(_ text: String, _ rules: RedactionRules = .standard) -> String? {
        guard case .kept(let bytes) = rules.redact(body: Array(text.utf8), headers: json) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `secret headers lose their value, unknown ones go, the rest stays in order`() throws {
        let rules = try RedactionRules(keptHeaders: ["X-Tenant"], secretHeaders: ["X-Tenant-Key"])
        let fields = [
            HeaderField(name: "Accept", value: "*/*"), HeaderField(name: "Authorization", value: "Bearer x"),
            HeaderField(name: "X-Tenant", value: "t"), HeaderField(name: "X-Tenant-Key", value: "k"),
            HeaderField(name: "X-Debug", value: "d"), HeaderField(name: "Location", value: "/a?token=1&b=2"),
        ]
        #expect(
            rules.redact(headers: fields).map { "\($0.name): \($0.value)" } == [
                "Accept: */*", "Authorization: [redacted]", "X-Tenant: t", "X-Tenant-Key: [redacted]",
                "Location: /a?token=[redacted]&b=2",
            ])
    }

    @Test(arguments: RedactionRules.standardHeaders) func `each header of the standard list is secret`(_ name: String) {
        let kept = RedactionRules.standard.redact(headers: [HeaderField(name: name.uppercased(), value: "s3cret")])
        #expect(kept.allSatisfy { $0.value == "[redacted]" })
    }

    @Test func `a header that is to be kept is still secret`() throws {
        let rules = try RedactionRules(keptHeaders: ["cookie"])
        #expect(rules.redact(headers: [HeaderField(name: "Cookie", value: "a")])[0].value == "[redacted]")
    }

    @Test func `secret parameters lose their value however they are written`() {
        let rules = RedactionRules.standard
        #expect(
            rules.redact(target: "/a?x=1&PassWord=p&%74oken=t&y")
                == "/a?x=1&PassWord=[redacted]&%74oken=[redacted]&y")
        #expect(rules.redact(target: "/a") == "/a")
        #expect(rules.redact(target: "https://u:p@h/x?signature=1") == "https://[redacted]@h/x?signature=[redacted]")
    }

    @Test func `secret members lose their value wherever they are`() {
        #expect(
            body(#"{"user":"u","password":"p","list":[{"token":{"a":[1]},"x":1},2],"\u0063ode":1}"#)
                == #"{"user":"u","password":"[redacted]","list":[{"token":"[redacted]","x":1},2],"\u0063ode":"[redacted]"}"#
        )
        #expect(body("[1, 2]") == "[1, 2]")
        #expect(body("\"token\"") == "\"token\"")
    }

    @Test func `a member that stands twice is redacted twice`() {
        #expect(body(#"{"token":1,"token":2}"#) == #"{"token":"[redacted]","token":"[redacted]"}"#)
    }

    @Test func `configured pointers are secret too`() throws {
        let rules = try RedactionRules(secretMembers: ["/cards/*/number", "ssn"])
        #expect(
            body(#"{"cards":[{"number":"1"},{"number":"2"}],"number":3,"a":{"ssn":4}}"#, rules)
                == #"{"cards":[{"number":"[redacted]"},{"number":"[redacted]"}],"number":3,"a":{"ssn":"[redacted]"}}"#)
        #expect(throws: InvalidField.self) { try RedactionRules(secretMembers: ["/~"]) }
    }

    @Test func `what claims to be JSON and is not is withheld`() {
        #expect(body(#"{"password":"p""#) == nil)
        #expect(RedactionRules.standard.redact(body: Array("{\"password\"".utf8), headers: []) == .withheld)
        #expect(
            RedactionRules.standard.redact(body: Array("{\"a\":1}".utf8), headers: json, bytesMaximum: 3) == .withheld)
    }

    @Test func `forms are redacted, other bodies stay`() {
        let form = [HeaderField(name: "content-type", value: "application/x-www-form-urlencoded")]
        #expect(
            RedactionRules.standard.redact(body: Array("a=1&client_secret=x".utf8), headers: form)
                == .kept(Array("a=1&client_secret=[redacted]".utf8)))
        let text = [HeaderField(name: "content-type", value: "text/plain")]
        #expect(RedactionRules.standard.redact(body: [0xFF, 1], headers: text) == .kept([0xFF, 1]))
    }
}

@Suite struct `Noise` {
    private func judge(_ raw: UInt64, _ pairs: UInt64, _ noise: UInt64, of noisePairs: UInt64? = nil) -> NoiseVerdict {
        .judge(raw: raw, pairs: pairs, noise: noise, noisePairs: noisePairs ?? pairs)
    }

    @Test func `little is not judged`() {
        #expect(judge(9_999, 9_999, 0) == .notEnoughData)
        #expect(judge(9, 10_000, 0) == .notEnoughData)
        #expect(judge(10, 10_000, 0) == .regression)
    }

    @Test func `each limit is passed, not only reached`() {
        // 20 %: (150 − 100) / 250 is exactly it.
        #expect(judge(150, 10_000, 100) == .noise)
        #expect(judge(151, 10_000, 100) == .regression)
        // 0.03 % of 100,000 is 30.
        #expect(judge(30, 100_000, 0) == .noise)
        #expect(judge(33, 100_000, 0) == .regression)
        #expect(judge(100, 10_000, 100) == .noise)
        #expect(judge(100, 10_000, 200) == .noise)
    }

    @Test func `noise counts for as many pairs`() {
        #expect(judge(200, 20_000, 100, of: 10_000) == .noise)
        #expect(judge(200, 20_000, 100, of: 20_000) == .regression)
        #expect(judge(200, 20_000, 0, of: 0) == .regression)
    }

    @Test func `the largest counts do not overflow`() {
        #expect(judge(.max, .max, 0) == .regression)
        #expect(judge(.max, .max, .max) == .noise)
    }
}

@Suite struct `Analysis of differences` {
    private func result(_ paths: DifferingPath..., success: Bool = true) -> MirrorResult {
        MirrorResult(
            requestID: "r", shadowEndpoint: "s", success: success, diffDetected: !paths.isEmpty, differences: paths)
    }

    private let price = DifferingPath(part: .body, pattern: "/items/*/price", kind: .value)
    private let status = DifferingPath(part: .status, pattern: "", kind: .value)

    @Test func `the worst comes first and each pair counts once`() {
        let results = [result(price, price, status), result(price), result(), result(), result(success: false)]
        let analysis = analyzeDiffs(results, thresholdBasisPoints: 4_999)
        #expect(analysis.rates.map(\.count) == [2, 1])
        #expect(!analysis.passes)
        #expect(
            analysis.summary == """
                fail: 2 of 4 differ, 1 without an answer
                50.00 % body /items/*/price value
                25.00 % status value
                """)
        #expect(analyzeDiffs(results, thresholdBasisPoints: 5_000).passes)
    }

    @Test func `nothing compared is no pass`() {
        let analysis = analyzeDiffs([result(success: false)], thresholdBasisPoints: 10_000)
        #expect(!analysis.passes)
        #expect(analysis.summary == "fail: nothing was compared: 0 of 0 differ, 1 without an answer")
        #expect(analyzeDiffs([], thresholdBasisPoints: 0).passes == false)
    }

    @Test func `equals are in a fixed order`() {
        let body = DifferingPath(part: .body, pattern: "", kind: .value)
        let analysis = analyzeDiffs([result(body, status, price)], thresholdBasisPoints: 0)
        #expect(analysis.rates.map(\.path) == [status, body, price])
    }
}
