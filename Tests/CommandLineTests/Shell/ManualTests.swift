// The manual page that is made from the help of every command.

import Foundation
import TestKit
import Testing

@Suite struct `The manual page` {
    @Test func `has every command, and is one that man shows without a warning`() async throws {
        let scratch = try Scratch()
        let root = BuiltProgram.repository.path
        let help = try await LatticeProcess.run(["--experimental-dump-help"], in: scratch)
        let dump = try scratch.write("help.json", help.output)
        let page = scratch.path("lattice.1")
        let made = try Self.shell("python3 '\(root)/scripts/manual.py' < '\(dump)' > '\(page)'")
        #expect(made.status == 0, "\(made)")
        let text = Scratch.text(page)
        for command in ["serve", "explain trace", "whatif", "log import", "mirror diffs", "query resolve"] {
            #expect(text.contains(".SS \"lattice \(command)\""), "\(command)")
        }
        #expect(text.contains(".B \"\\-\\-evict\\-after <duration>\""))
        let shown = try Self.shell("command -v man > /dev/null || exit 77; man -Wall -l '\(page)' 2>&1 > /dev/null")
        #expect([0, 77].contains(shown.status) && shown.output.isEmpty, "\(shown)")
    }

    private static func shell(_ command: String) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        let output = Pipe()
        (process.standardInput, process.standardOutput, process.standardError) = (FileHandle.nullDevice, output, output)
        try process.run()
        let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, said)
    }
}
