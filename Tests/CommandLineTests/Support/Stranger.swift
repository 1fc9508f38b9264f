// Programs of others as processes of a test.

import Foundation
import Glibc
import TestKit
import Testing

/// A program of others; killed at the latest when it is released.
final class Stranger: Sendable {
    private let process: Process
    private let outputPath: String

    /// What a program that has ended has said, on both outputs.
    struct Said: Sendable {
        var status: Int32
        var output: String
    }

    private init(_ program: String, _ arguments: [String], input: String?) throws {
        outputPath = FileManager.default.temporaryDirectory.path + "/stranger-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: outputPath))
        process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        if let input {
            let file = try #require(FileHandle(forReadingAtPath: input))
            process.standardInput = file
        } else {
            process.standardInput = FileHandle.nullDevice
        }
        let output = try #require(FileHandle(forWritingAtPath: outputPath))
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try output.close()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(atPath: outputPath)
    }

    static func start(_ program: String, _ arguments: [String]) throws -> Stranger {
        try Stranger(program, arguments, input: nil)
    }

    /// Runs a program to its end; `input` is a file.
    static func run(_ program: String, _ arguments: [String], input: String? = nil) async throws -> Said {
        let stranger = try Stranger(program, arguments, input: input)
        let hasEnded = try await eventually(within: .seconds(30)) { !stranger.process.isRunning }
        try #require(hasEnded, "\(program) goes on and on: \(stranger.output)")
        return Said(status: stranger.process.terminationStatus, output: stranger.output)
    }

    var output: String { Scratch.text(outputPath) }

    func kill() { if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) } }
}
