// What the comparison of two responses finds, and what it passes over.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

/// A response with a JSON body.
func json(_ text: String, status: UInt32 = 200, headers: [HeaderField] = []) -> ObservedResponse {
    ObservedResponse(
        status: status, headers: [HeaderField(name: "Content-Type", value: "application/json")] + headers,
        body: Array(text.utf8))
}

/// The differences as `kind path`.
func differences(
    _ production: String, _ shadow: String, ignoring: [String] = [], unordered: [String] = []
) throws -> [String] {
    let rules = try ComparisonRules(ignoreFields: ignoring, unorderedArrays: unordered)
    let result = compareResponses(production: json(production), shadow: json(shadow), rules: rules)
    #expect(result.notes.isEmpty)
    #expect((result.verdict == .equal) == result.differences.isEmpty)
    return result.differences.map { "\($0.kind.name) \($0.path)" }
}

@Suite struct `Comparing JSON` {
    @Test func `the order of members never matters`() throws {
        #expect(try differences(#"{"a":1,"b":{"c":2,"d":3}}"#, #"{ "b" : {"d":3,"c":2}, "a":1 }"#) == [])
    }

    @Test func `many members in another order are still matched`() throws {
        let names = (0..<200).map { "\"m\($0)\":\($0)" }
        let (one, other) = (names.joined(separator: ","), names.reversed().joined(separator: ","))
        #expect(try differences("{\(one)}", "{\(other)}") == [])
        #expect(try differences("{\(one)}", "{\(other),\"z\":1}") == ["unexpected /z"])
    }

    @Test func `missing, unexpected, type and value are told apart`() throws {
        let found = try differences(#"{"a":1,"b":2,"c":"x","d":3}"#, #"{"a":"1","b":3,"c":"x","e":4}"#)
        #expect(found == ["type /a", "value /b", "missing /d", "unexpected /e"])
    }

    @Test func `null is not the same as nothing`() throws {
        #expect(try differences(#"{"a":null}"#, "{}") == ["missing /a"])
        #expect(try differences(#"{"a":null}"#, #"{"a":0}"#) == ["type /a"])
    }

    @Test func `the order of elements matters`() throws {
        #expect(try differences("[1,2,3]", "[1,3,2]") == ["value /1", "value /2"])
        #expect(try differences("[1,2]", "[1,2,3]") == ["unexpected /2"])
        #expect(try differences("[[1],[2,3]]", "[[1],[2]]") == ["missing /1/1"])
    }

    @Test(arguments: [
        ("1", "1.0"), ("1", "1e0"), ("100", "1E+2"), ("0.001", "1e-3"), ("0", "-0.0e99"), ("-1.50", "-15e-1"),
        ("1e400", "10e399"), ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
    ])
    func `numbers are equal by value`(_ pair: (String, String)) throws {
        #expect(try differences(pair.0, pair.1) == [])
        #expect(JSONDecimal.canonical(Array(pair.0.utf8)[...]) == JSONDecimal.canonical(Array(pair.1.utf8)[...]))
    }

    @Test(arguments: [
        ("9007199254740993", "9007199254740992"), ("18446744073709551615", "18446744073709551616"),
        ("0.1", "0.10000000000000000001"), ("1", "-1"), ("1", "10"), ("1e400", "1e401"), ("12", "1.02e1"),
        ("1e99999999999999999999", "1e99999999999999999998"),
        ("100000000000000000000000.1", "100000000000000000000000"),
    ])
    func `numbers that differ in any digit differ`(_ pair: (String, String)) throws {
        #expect(try differences(pair.0, pair.1) == ["value "])
    }

    @Test func `an exponent beyond all bounds is equal to itself only`() throws {
        let huge = "1e" + String(repeating: "9", count: 5_000)
        #expect(try differences("[\(huge),1]", "[ \(huge),1]") == [])
        #expect(try differences("[\(huge)]", "[10e1]") == ["value /0"])
    }

    @Test func `a boolean is not a number`() throws {
        #expect(try differences("[true,false]", "[1,true]") == ["type /0", "value /1"])
    }

    @Test func `strings compare by what their escapes mean`() throws {
        #expect(try differences(#"{"\u0061":"\u00e9\n\/"}"#, #"{"a":"é\u000a/"}"#) == [])
        #expect(try differences(#"["\ud83e\udd86"]"#, #"["🦆"]"#) == [])
        #expect(try differences(#"["\ud83e"]"#, #"["\ud83f"]"#) == ["value /0"])
    }

    @Test func `strings that Unicode deems equal are not`() throws {
        #expect(try differences(#"["caf\u00e9"]"#, #"["cafe\u0301"]"#) == ["value /0"])
    }

    @Test func `paths are JSON Pointers with their escapes`() throws {
        let found = try differences(#"{"a/b":{"m~n":[{"":1}]}}"#, #"{"a/b":{"m~n":[{"":2}]}}"#)
        #expect(found == ["value /a~1b/m~0n/0/"])
    }

    @Test func `a whole document of another type is one difference at the root`() throws {
        #expect(try differences("{}", "[]") == ["type "])
    }

    @Test func `a missing subtree is one difference`() throws {
        #expect(try differences(#"{"a":{"b":[1,2,3]}}"#, "{}") == ["missing /a"])
    }
}

@Suite struct `Rules of a comparison` {
    @Test func `a name is passed over wherever it is`() throws {
        let one = #"{"id":1,"list":[{"id":2,"v":1},{"id":3}]}"#
        let other = #"{"id":7,"list":[{"id":{"x":1},"v":2},{}]}"#
        #expect(try differences(one, other, ignoring: ["id"]) == ["value /list/0/v"])
    }

    @Test func `a pointer is one place and all below it`() throws {
        let one = #"{"meta":{"at":1,"by":{"x":1}},"deep":{"meta":{"at":1}}}"#
        let other = #"{"meta":{"at":2,"by":{"x":2}},"deep":{"meta":{"at":2}}}"#
        #expect(try differences(one, other, ignoring: ["/meta"]) == ["value /deep/meta/at"])
        #expect(try differences(one, other, ignoring: ["/meta/at", "/deep"]) == ["value /meta/by/x"])
    }

    @Test func `a star is any one step`() throws {
        let one = #"{"items":[{"at":1,"v":1},{"at":2,"v":2}],"at":1}"#
        let other = #"{"items":[{"at":3,"v":1},{"at":4,"v":9}],"at":2}"#
        #expect(try differences(one, other, ignoring: ["/items/*/at"]) == ["value /items/1/v", "value /at"])
        #expect(try differences(one, other, ignoring: ["/*"]) == [])
        #expect(try differences(one, other, ignoring: ["/items/1", "/*/0/at"]) == ["value /at"])
    }

    @Test func `an escaped pointer names the member that it means`() throws {
        #expect(try differences(#"{"a/b":1,"c~d":1}"#, #"{"a/b":2,"c~d":2}"#, ignoring: ["/a~1b", "/c~0d"]) == [])
    }

    @Test func `the empty pointer is the whole body`() throws {
        #expect(try differences(#"{"a":1}"#, "[2]", ignoring: [""]) == [])
    }

    @Test func `missing and unexpected members can be passed over too`() throws {
        #expect(try differences(#"{"a":1}"#, #"{"b":1}"#, ignoring: ["a", "/b"]) == [])
    }

    @Test func `an array whose order does not matter is a bag`() throws {
        let (one, other) = (#"{"t":[1,2,2,{"a":[1,2]}],"o":[1,2]}"#, #"{"t":[{"a":[1.0,2]},2,1,2],"o":[1,2]}"#)
        #expect(try differences(one, other, unordered: ["/t"]) == [])
        #expect(try differences("[1,2,2]", "[2,1,1]", unordered: [""]) == ["missing /2", "unexpected /2"])
        #expect(try differences("[[1,2],[3,4]]", "[[4,3],[2,1]]", unordered: ["**"]) == [])
        #expect(try differences("[[1,2],[3,4]]", "[[4,3],[2,1]]", unordered: [""]).count == 4)
        #expect(try differences("[[1,2],[3,4]]", "[[2,1],[4,3]]", unordered: ["/*"]) == [])
    }

    @Test func `what is passed over does not count inside a bag either`() throws {
        let (one, other) = (#"[{"id":1,"v":"a"},{"id":2,"v":"b"}]"#, #"[{"v":"b","id":8},{"v":"a"}]"#)
        #expect(try differences(one, other, ignoring: ["id"], unordered: [""]) == [])
        #expect(try differences(one, other, ignoring: ["/*/id"], unordered: [""]) == [])
        #expect(try differences(one, other, unordered: [""]).count == 4)
    }

    @Test func `rules that can not be are refused by name`() {
        #expect(throws: InvalidField("ignore_fields", "`/a~2` is no JSON Pointer")) {
            try ComparisonRules(ignoreFields: ["/a~2"])
        }
        #expect(throws: InvalidField("unordered_arrays", "`a` is no JSON Pointer")) {
            try ComparisonRules(unorderedArrays: ["a"])
        }
        #expect(throws: InvalidField("ignore_fields", "more than 64 pointers")) {
            try ComparisonRules(ignoreFields: (0..<65).map { "/\($0)" })
        }
    }

    @Test func `sixty-four pointers all hold`() throws {
        let names = (0..<64).map { "\"m\($0)\":" }
        let one = names.map { $0 + "1" }.joined(separator: ",")
        let other = names.map { $0 + "2" }.joined(separator: ",")
        #expect(try differences("{\(one)}", "{\(other)}", ignoring: (0..<64).map { "/m\($0)" }) == [])
    }
}

@Suite struct `What a comparison tells` {
    @Test func `status and selected headers count`() throws {
        let rules = try ComparisonRules(comparedHeaders: ["Cache-Control", "Set-Cookie", "X-New", "x-old"])
        let cache = HeaderField(name: "cache-control", value: "no-store")
        let production = json(
            "{}",
            headers: [cache, HeaderField(name: "set-cookie", value: "a=1"), HeaderField(name: "X-Old", value: "1")])
        let shadow = json(
            "{}", status: 500,
            headers: [
                HeaderField(name: "Cache-Control", value: "no-cache"), HeaderField(name: "Set-Cookie", value: "a=2"),
                HeaderField(name: "x-new", value: "1"), HeaderField(name: "date", value: "now"),
            ])
        let result = compareResponses(production: production, shadow: shadow, rules: rules)
        #expect(
            result.summary == """
                5 differences
                status: 200 became 500
                header cache-control: no-store became no-cache
                header set-cookie: [redacted] became [redacted]
                header x-new: 1 is unexpected
                header x-old: 1 is missing
                """)
    }

    @Test func `a pattern has a star for each element and is an ignore rule`() throws {
        let (one, other) = (#"{"a":[{"b":[1]}]}"#, #"{"a":[{"b":[2]}]}"#)
        let found = compareResponses(production: json(one), shadow: json(other)).differences
        #expect(found.map(\.pattern) == ["/a/*/b/*"])
        #expect(try differences(one, other, ignoring: found.map(\.pattern)) == [])
    }

    @Test func `long sides are shortened, containers are counted, control characters are escaped`() {
        let long = String(repeating: "é", count: 60)
        let result = compareResponses(
            production: json("[\"\(long)\",{\"a\":1},\"\\u001b[31m\"]"), shadow: json("[1,[],\"\\u202e\"]"))
        #expect(result.differences[0].production == "\"\(String(repeating: "é", count: 40))… (120 bytes)\"")
        #expect(result.differences[1].summary == "body /1: an object of 1 members became an array of 0 elements")
        #expect(result.differences[2].summary == #"body /2: "\u001b[31m" became "\u202e""#)
    }

    @Test func `secrets are never told`() {
        let result = compareResponses(
            production: json(#"{"password":"a","user":{"token":{"x":1}}}"#),
            shadow: json(#"{"password":"b","user":{"token":{"x":2}}}"#))
        #expect(result.differences.map(\.path) == ["/password", "/user/token/x"])
        #expect(result.differences.allSatisfy { $0.production == "[redacted]" && $0.shadow == "[redacted]" })
    }

    @Test func `differences are bounded, their number is not`() {
        let many = (1...5_000).map(String.init).joined(separator: ",")
        let result = compareResponses(production: json("[\(many)]"), shadow: json("[9\(many)]"))
        #expect(result.differences.count == 1 && result.differenceCount == 1)
        let all = compareResponses(
            production: json("[\(many)]"), shadow: json("[\(many.replacing(",", with: "5,"))]"))
        #expect(all.differences.count == 64)
        #expect(all.differenceCount == 4_999)
        #expect(all.summary.hasSuffix("… and 4991 more"))
    }
}
