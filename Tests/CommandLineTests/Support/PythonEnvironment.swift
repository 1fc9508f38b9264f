// A Python that has packages of PyPI: that of `scripts/dependencies.sh test`, or the system's.

import Foundation
import TestKit

/// Runs scripts of other people's clients.
struct PythonEnvironment: Sendable {
    private let python: String

    /// OpenTelemetry's SDK and both exporters; nil where they could not be had.
    static let openTelemetry = PythonEnvironment(
        Strangers.python(
            importing: "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http",
            "opentelemetry.exporter.otlp.proto.grpc"))
    /// grpcio; nil where it could not be had.
    static let grpc = PythonEnvironment(Strangers.python(importing: "grpc"))
    /// nats-py; nil where it could not be had.
    static let nats = PythonEnvironment(Strangers.python(importing: "nats"))

    private init?(_ python: String?) {
        guard let python else { return nil }
        self.python = python
    }

    /// Runs a script to its end.
    func run(
        script: String, _ arguments: [String] = [], environment: [String: String] = [:]
    ) -> (status: Int32, output: String) {
        Self.run(python, [script] + arguments, environment)
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
