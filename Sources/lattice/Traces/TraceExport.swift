// Whole traces into a file, as other tools read them; that they left is in the audit trail first.

import ArgumentParser
import EventModel
import Foundation
import Endpoints
import TraceFormats
import SwiftProtobuf

struct TraceExport: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case otlp, jaeger }

    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write traces into a file: OTLP's JSON, or Jaeger's.",
        discussion: """
            Times are as they were sent. `lattice import` reads both forms back. That the traces were exported, by whom \
            and why, is recorded before the file is written, and `lattice audit` shows it.

              lattice trace export 4bf92f3577b34da6a3ce929d0e0e4736 --output slow.json
              lattice trace export 4bf92f3577b34da6a3ce929d0e0e4736 --format jaeger --as alice --reason INC-42
            """)

    @Argument(help: "The traces' ids, 32 hexadecimal digits each.") var ids: [TraceIDArgument]
    @Option(help: "otlp or jaeger.") var format = Format.otlp
    @Option(
        name: .shortAndLong, help: ArgumentHelp("The file to write (default: standard output).", valueName: "file"),
        completion: .file())
    var output: String?
    @OptionGroup var reader: ReaderOptions
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        if ids.isEmpty || ids.count > 100 { throw ValidationError("name 1 to 100 traces") }
    }

    func run() async throws {
        let node = try await client.connect(as: "lattice trace")
        let text: String
        do {
            text = try await content(node)
        } catch {
            await node.close()
            guard let failure = error as? QueryFailure else { throw error }
            throw CommandFailure(
                [503, 504].contains(failure.status) ? .unreachable : .failed, Terminal.escaped(failure.message))
        }
        await node.close()
        guard let output else { return Terminal.say(text) }
        // Spans tell of people too: a file for its owner's eyes.
        guard
            FileManager.default.createFile(
                atPath: output, contents: Data((text + "\n").utf8), attributes: [.posixPermissions: 0o600])
        else { throw CommandFailure(.failed, "--output \(output) can not be written") }
        Terminal.say("\(ids.count) \(ids.count == 1 ? "trace" : "traces") in \(output)")
    }

    private func content(_ node: NodeClient) async throws -> String {
        let questions = TraceQueryClient(bus: node.bus, prefix: node.prefix, timeout: node.timeout)
        var traces: [Lattice_V1_TraceAnswer] = []
        for id in ids { traces.append(try await questions.trace(id.id, raw: true)) }
        let names = ids.map(\.id.description).joined(separator: " ")
        try await node.tell(
            reader,
            Exported(
                what: "traces", format: format.rawValue, selection: Exported.short(names), count: UInt64(ids.count),
                target: Exported.short(output ?? "standard output")))
        switch format {
        case .otlp: return try TraceDocuments.otlp(traces)
        case .jaeger: return try TraceDocuments.jaeger(traces)
        }
    }
}
