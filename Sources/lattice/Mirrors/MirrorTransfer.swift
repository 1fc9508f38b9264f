// Captures out of a node into a file, and back.

import ArgumentParser
import EventModel
import Foundation
import Queries
import Messaging
import MeshRules
import StateMachines
import SwiftProtobuf

/// The kinds of files.
enum CaptureFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// A regression case, for `check`.
    case `case`
    /// GoReplay's.
    case gor
}

struct MirrorExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write captured requests into a file.",
        discussion: """
            A case file holds requests, expected answers, the rules of comparison and the registry as it was, so that \
            `lattice mirror check` needs nothing else; a .gor file is GoReplay's. What was redacted stays redacted. That it \
            was done is in the audit trail (`lattice audit`) before the file is written.

              lattice mirror export checkout --from 4000 --to 4711 --rules-of checkout-next --output checkout.case.json
              lattice mirror export checkout --from 4000 --to 4711 --format gor --output checkout.gor
            """)

    @Argument(help: "The service whose requests were captured.") var service: String
    @Option(help: ArgumentHelp("The first record.", valueName: "seq|time")) var from: PositionArgument
    @Option(help: ArgumentHelp("The last record.", valueName: "seq|time")) var to: PositionArgument
    @Option(help: "case or gor.") var format = CaptureFormat.case
    @Option(help: "At most so many requests.") var limit = 100_000
    @Option(help: "Put the rules of this mirror into the case.") var rulesOf: String?
    @Option(name: .shortAndLong, help: "The file to write.") var output: String
    @OptionGroup var reader: ReaderOptions
    @OptionGroup(title: "Connection") var client: ClientOptions

    func run() async throws {
        let node = try await client.connect(as: "lattice mirror export")
        let (bytes, harvest): ([UInt8], CaptureHarvest)
        do throws(CommandFailure) {
            (bytes, harvest) = try await content(node)
        } catch {
            await node.close()
            throw error
        }
        await node.close()
        // Captures are for their owner's eyes.
        guard
            FileManager.default.createFile(
                atPath: output, contents: Data(bytes), attributes: [.posixPermissions: 0o600])
        else { throw CommandFailure(.failed, "\(output) can not be written") }
        let leftOut = harvest.leftOutCount == 0 ? "" : "; \(harvest.leftOutCount) cut or erased were left out"
        Terminal.say("\(harvest.exchanges.count) requests in \(output)\(leftOut)")
    }

    private func content(_ node: NodeClient) async throws(CommandFailure) -> ([UInt8], CaptureHarvest) {
        let range = CaptureRange(
            service: service, first: try await node.sequence(of: from), last: try await node.sequence(of: to))
        let harvest = try await node.captures(range, limit: limit, for: reader)
        try await node.tell(reader, Exported(harvest, of: range, as: format.rawValue, to: output))
        if format == .gor { return (GoReplayFile.encode(harvest.exchanges), harvest) }
        var rules: MirrorConfiguration?
        if let rulesOf { rules = try await node.comparison(of: rulesOf) }
        let file = RegressionCase(
            source_service: service, first_sequence: range.first.rawValue, last_sequence: range.last.rawValue,
            ignore_fields: rules?.ignoreFields ?? [], unordered_arrays: rules?.unorderedArrays ?? [],
            compared_headers: rules?.comparedHeaders ?? [], registry_sequence: range.first.rawValue,
            registry: try await node.instances(of: service, at: range.first),
            exchanges_: harvest.exchanges.map { .init($0) })
        return (Array(JSONOutput.encode(file, isPretty: true).utf8) + [0x0A], harvest)
    }
}

extension NodeClient {
    /// The registry's instances of a service, all of them, after a record.
    func instances(
        of service: String, at sequence: SequenceNumber
    ) async throws(CommandFailure) -> [RegressionCase.Instance] {
        var query = RegistryQuery()
        query.serviceName = service
        query.healthyOnly = false
        query.position = ReadPosition(atSequence: sequence)
        query.withoutMetadata = true
        let question = query
        let answer = try await asking { queries async throws(UnansweredQuery) in
            try await queries.everyInstance(question)
        }
        return answer.instances.map { snapshot in
            let instance = snapshot.instance
            return .init(
                instance_id: instance.instanceID, endpoint: instance.endpoint, region: instance.region,
                zone: instance.zone, weight: instance.weight, health: snapshot.health.name)
        }
    }
}

struct MirrorImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Publish the requests of a .gor or case file as captures.",
        discussion: """
            They are redacted like any capture before they leave this process. Importing a file again changes nothing: \
            a request that was captured before is refused.

              lattice mirror import traffic.gor --service checkout
            """)

    @Argument(help: "A .gor file, or a file of `lattice mirror export`.") var file: String
    @Option(help: "The service whose requests they are.") var service: String
    @Option(help: "Bytes of a body that are kept.") var payloadLimit = 16_384
    @OptionGroup(title: "Connection") var client: ClientOptions
    /// What one message may hold, well below the limit of 1 MiB.
    private static let messageBytes = 256 << 10

    func validate() throws {
        guard (0...262_144).contains(payloadLimit) else { throw ValidationError("--payload-limit is 0 to 262144") }
    }

    func run() async throws {
        let captures = try captures()
        let node = try await client.connect(as: "lattice mirror import")
        do {
            let (accepted, refused) = try await publish(captures, node)
            await node.close()
            Terminal.say("\(accepted) captured, \(refused) refused")
            if accepted == 0 && !captures.isEmpty { throw CommandFailure(.failed) }
        } catch {
            await node.close()
            throw error
        }
    }

    private func captures() throws -> [MadeCapture] {
        guard let content = FileManager.default.contents(atPath: file) else {
            throw CommandFailure(.usage, "\(file) can not be read")
        }
        if content.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") {
            return try RegressionCase.read(file).exchanges().map { MadeCapture(fact: $0.fact, content: $0.content) }
        }
        return try GoReplayFile.decode(Array(content)).map { entry in
            let request = ObservedRequest(
                requestID: entry.id, intent: "\(entry.method) \(entry.target.prefix { $0 != "?" })",
                method: entry.method, target: entry.target, headers: entry.headers, body: entry.body,
                occurredAt: Timestamp(nanoseconds: entry.time))
            let response = ObservedResponse(
                status: entry.status, headers: entry.responseHeaders, body: entry.responseBody)
            return makeCapture(
                request, response: response, latency: Nanoseconds(entry.latency), payloadLimit: payloadLimit)
        }
    }

    private func publish(_ captures: [MadeCapture], _ node: NodeClient) async throws -> (accepted: Int, refused: Int) {
        var (accepted, refused) = (0, 0)
        var batch: [MadeCapture] = []
        var bytes = 0
        func flush() async throws {
            if batch.isEmpty { return }
            let payload = try await node.publish(
                "mirror.\(SubjectToken.escape(service)).captured", captureMessage(batch, of: service), id: nil,
                asJSON: false)
            let outcome = try Lattice_V1_OutcomeAnswer(serializedBytes: payload)
            guard outcome.outcome != "rejected" else {
                throw CommandFailure(.failed, "refused by the node: \(Terminal.escaped(outcome.reason))")
            }
            accepted += Int(outcome.accepted)
            refused += outcome.refused.count
            batch.removeAll()
            bytes = 0
        }
        for capture in captures {
            let size = capture.content.requestBody.count + capture.content.responseBody.count + 1_024
            if bytes + size > Self.messageBytes || batch.count >= 256 { try await flush() }
            batch.append(capture)
            bytes += size
        }
        try await flush()
        return (accepted, refused)
    }
}
