// The built `lattice`, run as people run it.

import Foundation
import TestKit
import Testing

/// What a command that ended has left.
struct Ended: Sendable {
    var status: Int32
    var output: String
    var errors: String

    /// The members of the one JSON object that was printed.
    var json: [String: Any] {
        get throws { try JSONObject.members(of: output) }
    }
}

/// JSON as dictionaries.
enum JSONObject {
    struct NotAnObject: Error, CustomStringConvertible {
        var description: String
    }

    static func members(of text: String) throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw NotAnObject(description: "no JSON object: \(text)")
        }
        return object
    }
}

/// A process of `lattice`; ended at the latest when it is released.
final class LatticeProcess: Sendable {
    private let process: Process
    private let outputPath: String
    private let errorsPath: String

    static let executable = BuiltProgram.url("lattice")

    init(
        _ arguments: [String], in scratch: Scratch, environment: [String: String] = [:], program: URL = executable
    ) throws {
        let name = UUID().uuidString
        outputPath = scratch.path("\(name).out")
        errorsPath = scratch.path("\(name).err")
        process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: scratch.directory)
        // Nothing of the machine on which the tests run may decide which node is asked. Where coverage is measured, the
        // processes count too.
        let variables = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "LLVM_PROFILE_FILE"].compactMap { name in
            ProcessInfo.processInfo.environment[name].map { (name, $0) }
        }
        process.environment = Dictionary(uniqueKeysWithValues: variables).merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (try Self.newFile(outputPath), try Self.newFile(errorsPath))
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // The child has its own. Foundation lists the open descriptors at each start, and reads beyond the list's end
        // where there are hundreds.
        try output.close()
        try errors.close()
    }

    deinit {
        guard process.isRunning else { return }
        // Who is killed writes no profile: where coverage is measured, a node may end in order first.
        if ProcessInfo.processInfo.environment["LLVM_PROFILE_FILE"] != nil {
            kill(process.processIdentifier, SIGTERM)
            for _ in 0..<500 where process.isRunning { usleep(20_000) }
        }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    private static func newFile(_ path: String) throws -> FileHandle {
        try Data().write(to: URL(fileURLWithPath: path))
        return try #require(FileHandle(forWritingAtPath: path))
    }

    var output: String { Scratch.text(outputPath) }
    var errors: String { Scratch.text(errorsPath) }
    var isRunning: Bool { process.isRunning }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits for the end; kills it and fails after `seconds`.
    func end(within seconds: Double = 20) async throws -> Ended {
        let hasEnded = try await eventually(within: .seconds(seconds)) { !self.process.isRunning }
        if !hasEnded { send(SIGKILL) }
        try #require(hasEnded, "still running; it said: \(output) \(errors)")
        return Ended(status: process.terminationStatus, output: output, errors: errors)
    }

    /// Runs a command to its end.
    static func run(
        _ arguments: [String], in scratch: Scratch, environment: [String: String] = [:]
    ) async throws -> Ended {
        try await LatticeProcess(arguments, in: scratch, environment: environment).end()
    }
}
