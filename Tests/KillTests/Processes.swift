// Real processes for tests: the built command, nats-server, a publisher in Python.

import Foundation
import TestKit
import Testing

/// A child process that ends with the test.
final class Child {
    let process = Process()
    private let input = Pipe()

    init(_ executable: String, _ arguments: [String], output: String? = nil) throws {
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardInput = input
        if let output {
            _ = FileManager.default.createFile(atPath: output, contents: nil)
            // One description for both: two of them would write over each other.
            let file = FileHandle(forWritingAtPath: output)
            process.standardOutput = file
            process.standardError = file
        }
        try process.run()
    }

    func closeInput() { try? input.fileHandleForWriting.close() }

    /// SIGKILL: what a crash or the kernel's memory killer does.
    func killNow() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    deinit {
        if process.isRunning { killNow() }
    }
}

/// Where things are, and how a command is run to its end.
enum Tools {
    static var lattice: String { BuiltProgram.path("lattice") }

    static func find(_ name: String) -> String? { Strangers.program(name) }

    @discardableResult
    static func run(_ executable: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// Without a python3 that can import nats-py the tests with a foreign client say so and are skipped.
    static let python = Strangers.python(importing: "nats")

    /// Polls until something is so; false after the limit.
    static func wait(seconds: Double, until condition: () throws -> Bool) throws -> Bool {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            if try condition() { return true }
            Thread.sleep(forTimeInterval: 0.01)
        }
        return false
    }
}
