// Bodies that are broken, huge or meant to do harm: a clear result each time.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Hostile bodies` {
    private func compare(_ one: String, _ other: String) -> ResponseComparison {
        compareResponses(production: json(one), shadow: json(other))
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "[1 2]", "01", "-", "1.", ".5", "1e", "+1", "nul", "truex",
        "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"", "[\"\u{1}\"]", "{}{}", "[1]]", "'a'", "NaN", "\u{FEFF}{}", "[",
        "]",
        "{\"a\":1 \"b\":2}", "{1:2}", "/**/1", "--1", "\"\\ud800\\u12\"",
    ])
    func `what is not JSON is compared by bytes, with a note`(_ text: String) {
        let result = compare(text, "{}")
        #expect(result.notes == [.productionMalformed])
        #expect(result.verdict == .different)
        #expect(compare("{}", text).notes == [.shadowMalformed])
        #expect(compare(text, text).verdict == .equal)
    }

    @Test func `a member that stands twice sends the body to the bytes`() {
        #expect(compare(#"{"a":1,"a":1}"#, #"{"a":1}"#).notes == [.productionDuplicateMember])
        #expect(compare(#"{"a":1}"#, #"{"a":1,"\u0061":2}"#).notes == [.shadowDuplicateMember])
        let many = (0..<100).map { "\"m\($0)\":1" }.joined(separator: ",")
        #expect(compare("{\(many),\"m50\":1}", "{}").notes == [.productionDuplicateMember])
        #expect(compare("[{\(many)}]", "{}").notes == [])
    }

    @Test func `bytes that are not UTF-8 are compared as bytes`() {
        var shadow = json("[\"ab\"]")
        shadow.body[2] = 0xFF
        let result = compareResponses(production: json("[\"ab\"]"), shadow: shadow)
        #expect(result.notes == [.shadowInvalidUTF8])
        #expect(result.differences.map(\.production) == ["6 bytes that differ from byte 2 on"])
    }

    @Test func `ten thousand levels are too deep, sixty-four are not`() {
        func nested(_ depth: Int, _ core: String) -> String {
            String(repeating: "[", count: depth) + core + String(repeating: "]", count: depth)
        }
        #expect(compare(nested(10_000, "1"), nested(10_000, "2")).notes == [.productionTooDeep])
        #expect(compare(nested(64, "1"), nested(64, "1.0")).verdict == .equal)
        #expect(compare(nested(64, "1"), nested(65, "1")).notes == [.shadowTooDeep])
        var rules = ComparisonRules.strict
        rules.bounds.depth = 10_000
        let deep = compareResponses(
            production: json(nested(10_000, "1")), shadow: json(nested(10_000, "2")), rules: rules)
        #expect(deep.differences.map(\.path) == [String(repeating: "/0", count: 10_000)])
    }

    @Test func `a body of a hundred megabytes is compared by bytes`() {
        let body = [UInt8](repeating: UInt8(ascii: "["), count: 100_000_000)
        var shadow = ObservedResponse(headers: json("").headers, body: body)
        shadow.body[99_999_999] = 0x20
        let result = compareResponses(production: ObservedResponse(headers: shadow.headers, body: body), shadow: shadow)
        #expect(result.notes == [.productionTooLarge])
        #expect(result.differences.map(\.production) == ["100000000 bytes that differ from byte 99999999 on"])
    }

    @Test func `names of the same hash are told apart`() {
        // Known collisions of FNV-1a 32.
        #expect(JSONTape.hash("costarring".utf8) == JSONTape.hash("liquid".utf8))
        #expect(compare(#"{"costarring":1,"liquid":2}"#, #"{"liquid":2,"costarring":1}"#).verdict == .equal)
        let result = compare(#"{"costarring":1,"x":1}"#, #"{"x":1,"liquid":1}"#)
        #expect(
            result.differences.map(\.summary) == ["body /costarring: 1 is missing", "body /liquid: 1 is unexpected"])
    }

    @Test func `many members in another order cost no more than sorting`() {
        let members = (0..<20_000).map { "\"k\($0)\":\($0)" }
        let result = compare(
            "{\(members.joined(separator: ","))}", "{\(members.reversed().joined(separator: ","))}")
        #expect(result.verdict == .equal)
    }

    @Test func `a cut body is not judged`() {
        let cut = ObservedResponse(body: Array("[1,2".utf8), bodyLength: 40_000)
        let result = compareResponses(production: cut, shadow: cut)
        #expect(result.verdict == .undecided)
        #expect(result.notes == [.productionCut, .shadowCut])
        #expect(compareResponses(production: cut, shadow: json("[1]", status: 404)).verdict == .different)
    }

    @Test func `other bodies are compared by bytes, without a note`() {
        func html(_ text: String) -> ObservedResponse {
            ObservedResponse(headers: [HeaderField(name: "content-type", value: "text/html")], body: Array(text.utf8))
        }
        #expect(compareResponses(production: html("{\"a\":1}"), shadow: html("{\"a\": 1}")).verdict == .different)
        #expect(compareResponses(production: html("<p>"), shadow: html("<p>")).verdict == .equal)
        #expect(compareResponses(production: html("<p>"), shadow: html("")).notes == [])
        #expect(compareResponses(production: html("<p>"), shadow: json("{}")).notes == [.productionMalformed])
    }

    @Test func `without a content type what looks like JSON is JSON`() {
        let (one, other) = (Array(" {\"a\":1}".utf8), Array("{\"a\":1.0}".utf8))
        let result = compareResponses(production: ObservedResponse(body: one), shadow: ObservedResponse(body: other))
        #expect(result.verdict == .equal)
        let problem = HeaderField(name: "Content-Type", value: "Application/Problem+JSON; charset=utf-8")
        let claimed = ObservedResponse(headers: [problem], body: Array("1".utf8))
        #expect(compareResponses(production: claimed, shadow: json("1.0")).verdict == .equal)
    }
}
