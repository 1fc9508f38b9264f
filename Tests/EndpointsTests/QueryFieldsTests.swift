// Parameters of a URL as the fields of a question of any family.

import EventModel
import Testing

@testable import Endpoints

@Suite struct `Fields in a URL` {
    private static func json(_ query: QueryName, _ parameters: [(key: Substring, value: Substring)]) -> String {
        String(decoding: QueryFields.json(parameters, for: query), as: UTF8.self)
    }

    @Test func `texts, numbers, choices, truths and lists are what the schema says`() throws {
        let text = Self.json(
            .registry(.failoverCandidates),
            [
                ("service_name", "a \"b\""), ("exclude_regions", "eu"), ("limit", "7"), ("healthy_only", "false"),
                ("strategy", "power_of_two"), ("at_time", "2026-11-24T08:00:00Z"),
            ])
        let query = try RegistryQuery.decode(
            JSONTranscoder.binary(fromJSON: Array(text.utf8), kind: .registryQuery)[...])
        #expect(query.serviceName == "a \"b\"" && query.excludedRegions == ["eu"] && query.limit == 7)
        #expect(!query.healthyOnly && query.strategy == .powerOfTwo && query.position.atTime != nil)
    }

    @Test func `a name that stands there several times is a list, and an object is one`() throws {
        let regions = Self.json(.registry(.failoverCandidates), [("exclude_regions", "eu"), ("exclude_regions", "us")])
        #expect(regions == #"{"exclude_regions":["eu","us"]}"#)
        let actions = Self.json(.audit(.trail), [("actions", "policy")])
        #expect(actions == #"{"actions":["policy"]}"#)
        let tag = #"{"key":"http.method","value":"GET"}"#
        #expect(Self.json(.trace(.search), [("tags", Substring(tag))]) == "{\"tags\":[\(tag)]}")
    }

    @Test func `what is no field stays for the node to refuse`() {
        #expect(Self.json(.node(.status), [("nonsense", "1")]) == #"{"nonsense":"1"}"#)
        #expect(Self.json(.registry(.resolve), [("limit", "many")]) == #"{"limit":"many"}"#)
        #expect(Self.json(.registry(.resolve), []) == "{}")
    }
}
