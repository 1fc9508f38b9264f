// A Python that has some packages: the system's, or a venv made for this run from PyPI.

import Foundation
import Testing

/// Runs scripts with packages that need not be installed on the machine.
struct PythonEnvironment: Sendable {
    private let python: String

    /// OpenTelemetry's SDK and both exporters; nil where neither the system nor PyPI has them.
    static let openTelemetry = PythonEnvironment(
        "opentelemetry",
        ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-exporter-otlp-proto-grpc"],
        check:
            "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.http, opentelemetry.exporter.otlp.proto.grpc")
    /// nats-py; nil where neither the system nor PyPI has it.
    static let nats = PythonEnvironment("nats", ["nats-py"], check: "import nats")

    private init?(_ name: String, _ packages: [String], check: String) {
        if Self.run("/usr/bin/env", ["python3", "-c", check]).status == 0 {
            python = "/usr/bin/env"
            return
        }
        let folder = FileManager.default.temporaryDirectory.path + "/lattice-\(name)-venv"
        let python = folder + "/bin/python"
        self.python = python
        if Self.run(python, ["-c", check]).status == 0 { return }
        guard Self.run("/usr/bin/env", ["python3", "-m", "venv", folder]).status == 0 else { return nil }
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"] + packages
        if Self.run(python, install).status != 0 { return nil }
    }

    /// Runs a script to its end.
    func run(
        script: String, _ arguments: [String] = [], environment: [String: String] = [:]
    ) -> (status: Int32, output: String) {
        let command = (python.hasSuffix("/env") ? ["python3"] : []) + [script] + arguments
        return Self.run(python, command, environment)
    }

    private static func run(
        _ program: String, _ arguments: [String], _ environment: [String: String] = [:]
    ) -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = pipe
        process.standardError = pipe
        guard (try? process.run()) != nil else { return (-1, "") }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
