// Real processes for tests: the built command, nats-server, a publisher in Python.

import Foundation
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
            process.standardOutput = FileHandle(forWritingAtPath: output)
            process.standardError = FileHandle(forWritingAtPath: output)
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
    /// The products of this build, beside the test bundle.
    static var products: URL {
        var url = Bundle.main.bundleURL
        for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
            url = bundle.bundleURL.deletingLastPathComponent()
        }
        if !FileManager.default.fileExists(atPath: url.appendingPathComponent("lattice").path) {
            url = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        }
        return url
    }

    static var lattice: String { products.appendingPathComponent("lattice").path }

    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return (path.split(separator: ":").map(String.init) + ["/usr/sbin"]).map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

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

    /// A python3 that can import nats-py, that of scripts/dependencies.sh first; without one the test with a foreign
    /// client says so and is skipped.
    static let python: String? = {
        let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
        let own = root.appendingPathComponent(".build/python/bin/python3").path
        return [own, find("python3")].compactMap { $0 }.first { python in
            (try? run(python, ["-c", "import nats"]).status) == 0
        }
    }()

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
