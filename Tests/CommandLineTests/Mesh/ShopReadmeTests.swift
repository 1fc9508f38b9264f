// The story of the shop as the README tells it, and what a tired reader of it does wrong.

import Foundation
import TestKit
import Testing

@Suite struct `The story in the README` {
    /// The commands of the README's story with the lines that it shows, `…` for those it leaves out.
    private static func told() throws -> [(command: String, lines: [String])] {
        let root = BuiltProgram.repository
        let text = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let start = try #require(text.firstRange(of: "## Ask the past: a story"))
        let chapter = text[start.upperBound...].components(separatedBy: "\n## ")[0]
        var told: [(command: String, lines: [String])] = []
        for block in chapter.components(separatedBy: "\n```\n").filter({ $0.hasPrefix("$ ") }) {
            for line in block.components(separatedBy: "\n") {
                if line.hasPrefix("$ ") {
                    told.append((String(line.dropFirst(2)), []))
                } else if line != "…", line != "```" {
                    told[told.count - 1].lines.append(line)
                }
            }
        }
        return told
    }

    @Test func `the README shows what the program prints`() async throws {
        let scratch = try Scratch()
        let root = BuiltProgram.repository
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path("Tests"), withDestinationPath: root.path + "/Tests")
        let told = try Self.told()
        #expect(told.count >= 6)
        for (command, lines) in told {
            let script = "lattice() { \(LatticeProcess.executable.path) \"$@\"; }; \(command)"
            let ended = try await LatticeProcess(
                ["-c", script], in: scratch, program: URL(fileURLWithPath: "/bin/sh")
            ).end(within: 60)
            #expect(ended.status == 0, "\(command): \(ended.errors)")
            var rest = ended.output.components(separatedBy: "\n")[...]
            for line in lines {
                let place = rest.firstIndex(of: line)
                #expect(place != nil, "\(command) does not print: \(line)")
                if let place { rest = rest[(place + 1)...] }
            }
        }
    }

    @Test func `what is wrong is said, and nothing is written into the log's directory`() async throws {
        let shop = try await ShopLog.shared()
        let before = try shop.files()
        let inside = try await shop.lattice("diff", "1400", "2460", "--svg", shop.data + "/MANIFEST")
        #expect(inside.status == 2 && inside.errors.contains("only read"))
        #expect(try shop.files() == before)
        let late = try await shop.lattice("at", "2100-01-01T00:00:00Z", "query", "services")
        #expect(late.status == 0 && late.errors.contains("behind the log's end"))
        let help = try await shop.lattice("at", "808", "query", "resolve", "--help")
        #expect(help.status == 0 && help.output.contains("lattice at <seq|time> query"))
        let missing = try await shop.lattice("at", "808", "query", "resolve")
        #expect(missing.status == 2 && !missing.errors.contains("Usage: query"))
        let range = try await shop.lattice("whatif", "--panic", "20000")
        #expect(range.status == 2 && range.errors.contains("panic lies in"), "\(range)")
        let twice = try await shop.lattice("whatif", "--slo", "web=1s,99", "--slo", "web=2s,99")
        #expect(twice.status == 2 && twice.errors.contains("twice"))
        let none = try await shop.lattice("whatif", "--slo", "nobody=1s,99")
        #expect(none.output.contains("none of these services has a span"))
        let full = try await LatticeProcess(
            ["-c", "\(LatticeProcess.executable.path) log info --data \(shop.data) > /dev/full"], in: shop.scratch,
            program: URL(fileURLWithPath: "/bin/sh")
        ).end()
        #expect(full.status == 1 && full.errors.contains("standard output"))
    }

    @Test func `a file that is none of digests says nothing of the log`() async throws {
        let shop = try await ShopLog.shared()
        let ladder = shop.scratch.path("ladder")
        #expect(try await shop.lattice("log", "digests", "--every", "500", "--output", ladder).status == 0)
        let whole = Scratch.text(ladder)
        let cut = try shop.scratch.write("cut", String(whole.dropLast(20)))
        let answer = try await shop.lattice("verify", "--against", cut)
        #expect(answer.status == 0 && answer.errors.contains("ends within a line"), "\(answer)")
        for text in ["", "hello\n", whole + "nonsense\n"] {
            let file = try shop.scratch.write("none", text)
            let ended = try await shop.lattice("verify", "--against", file)
            #expect(ended.status == 1 && !ended.errors.contains("repair"), "\(ended)")
        }
    }

    @Test func `a script of steps ends with the status of its first mistake`() async throws {
        let shop = try await ShopLog.shared()
        for (lines, status) in [("next\nback\n", 0), ("until cout(x)\nnext\n", 2), ("fly\n", 2)] as [(String, Int32)] {
            let input = try shop.scratch.write("steps", lines)
            let ended = try await LatticeProcess(
                ["-c", "\(LatticeProcess.executable.path) step --at 5 --data \(shop.data) < \(input)"],
                in: shop.scratch, program: URL(fileURLWithPath: "/bin/sh")
            ).end()
            #expect(ended.status == status, "\(lines): \(ended)")
        }
    }
}
