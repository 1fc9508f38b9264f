// Random documents and random damage: no crash, equal to itself, and the same kinds from either side.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

/// Makes JSON texts from a seed.
struct JSONDice {
    private var dice: SplitMix64

    init(seed: UInt64) { dice = SplitMix64(state: seed) }

    mutating func below(_ bound: Int) -> Int { Int(dice.next(below: UInt64(bound))) }

    mutating func document() -> [UInt8] { Array(value(4).utf8) }

    private mutating func value(_ depth: Int) -> String {
        switch below(depth > 0 ? 9 : 5) {
        case 0: return ["null", "true", "false"][below(3)]
        case 1, 2: return ["0", "-0", "1", "1.0", "10e-1", "12", "1.2E1", "9007199254740993"][below(8)]
        case 3, 4: return ["\"\"", "\"a\"", "\"\\u0061\"", "\"é\\n\"", "\"\\ud83e\\udd86\""][below(5)]
        case 5, 6: return "[" + (0..<below(4)).map { _ in value(depth - 1) }.joined(separator: ", ") + "]"
        default:
            let names = ["a", "b", "c", "d", "\\u0065", "f/g", "*"].filter { _ in below(2) == 0 }
            let members = names.map { "\"\($0)\":\(value(depth - 1))" }
            return "{" + (below(2) == 0 ? members : members.reversed()).joined(separator: ",") + "}"
        }
    }

    mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0...below(3) {
            let place = below(result.count + 1)
            switch below(4) {
            case 0 where place < result.count: result[place] = UInt8(below(256))
            case 1 where place < result.count: result.remove(at: place)
            case 2: result.removeSubrange(place...)
            default: result.insert(Array("{}[]\",:\\0e-.".utf8)[below(12)], at: place)
            }
        }
        return result
    }
}

@Suite struct `Any two bodies` {
    private static let seeds = UInt64(1)...400
    private let type = [HeaderField(name: "content-type", value: "application/json")]

    private func rules() throws -> ComparisonRules {
        var rules = try ComparisonRules(ignoreFields: ["d", "/a/*", "/*/0/b"], unorderedArrays: ["/b", "/c/*"])
        rules.bounds.differences = 100_000
        return rules
    }

    private func compare(_ one: [UInt8], _ other: [UInt8], _ rules: ComparisonRules) -> ResponseComparison {
        compareResponses(
            production: ObservedResponse(headers: type, body: one),
            shadow: ObservedResponse(headers: type, body: other),
            rules: rules)
    }

    private func expectSymmetric(_ one: [UInt8], _ other: [UInt8], _ rules: ComparisonRules, _ seed: UInt64) {
        let (there, back) = (compare(one, other, rules), compare(other, one, rules))
        #expect(there.verdict == back.verdict, "seed \(seed)")
        #expect(there.differenceCount == back.differenceCount, "seed \(seed)")
        let mirrored: [DifferenceKind: DifferenceKind] = [
            .missing: .unexpected, .unexpected: .missing, .type: .type, .value: .value,
        ]
        let left = Set(there.differences.map { "\($0.path) \($0.kind)" })
        let right = Set(back.differences.map { "\($0.path) \(mirrored[$0.kind]!)" })
        #expect(left == right, "seed \(seed)")
    }

    @Test func `give the same kinds from either side`() throws {
        for seed in Self.seeds {
            var dice = JSONDice(seed: seed)
            for rules in [ComparisonRules.strict, try rules()] {
                for _ in 0..<5 { expectSymmetric(dice.document(), dice.document(), rules, seed) }
            }
        }
    }

    @Test func `are equal if they are the same, in whatever spacing`() throws {
        for seed in Self.seeds {
            var dice = JSONDice(seed: seed)
            for rules in [ComparisonRules.strict, try rules()] {
                let one = dice.document()
                let spaced = [0x20, 0x0A] + one + [0x09]
                #expect(compare(one, spaced, rules) == .equal, "seed \(seed)")
                #expect(compare(one, one, rules) == .equal, "seed \(seed)")
            }
        }
    }

    @Test func `never crash it, however damaged they are`() throws {
        let rules = try rules()
        for seed in Self.seeds {
            var dice = JSONDice(seed: seed)
            for _ in 0..<25 {
                let one = dice.document()
                let other = dice.damaged(one)
                expectSymmetric(one, other, rules, seed)
                #expect(compare(other, other, rules).verdict == .equal, "seed \(seed)")
            }
        }
    }

    @Test func `are JSON here exactly when they are where strictness is the rule`() {
        for seed in Self.seeds {
            var dice = JSONDice(seed: seed)
            let body = dice.document()
            #expect((try? JSONTapeParser.parse(body, depthMaximum: 8, bytesMaximum: 10_000)) != nil, "seed \(seed)")
        }
    }
}
