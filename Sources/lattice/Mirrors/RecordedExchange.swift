// A captured request with production's answer, as the node tells it and as files keep it.

import EventModel
import Foundation
import StateMachines
import SwiftProtobuf

/// One request and one answer, after redaction.
struct RecordedExchange: Sendable {
    var sequence: UInt64
    var recordedAt: Int64
    var fact: RequestCapture
    var content: CapturedContent

    /// When it happened: by its own time where it says one, else by the log's.
    var time: Int64 { fact.occurredAt == .zero ? recordedAt : fact.occurredAt.rawValue }

    /// Whether all that a repetition needs is there.
    var isRepeatable: Bool {
        !content.target.isEmpty && UInt64(content.requestBody.count) >= fact.payloadLength
    }

    init(sequence: UInt64, recordedAt: Int64, fact: RequestCapture, content: CapturedContent) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.fact = fact
        self.content = content
    }

    init(_ captured: Lattice_V1_CapturedRequest) {
        let capture = captured.capture
        sequence = captured.sequence
        recordedAt = captured.recordedAt
        fact = RequestCapture(
            requestID: capture.requestID, traceID: Array(capture.traceID), intent: capture.intent,
            method: capture.method, pathHash: capture.pathHash, sampleSeed: capture.sampleSeed,
            occurredAt: Timestamp(nanoseconds: capture.occurredAt), payloadLength: capture.payloadLength,
            payloadKept: capture.payloadKept, status: capture.status, responseLength: capture.responseLength,
            responseKept: capture.responseKept, latency: Nanoseconds(capture.latencyNs),
            hasShadowMark: capture.hasShadowMark_p)
        func headers(_ list: [Lattice_V1_CapturedHeader]) -> [HeaderField] {
            list.map { HeaderField(name: $0.name, value: $0.value) }
        }
        content = CapturedContent(
            target: captured.content.target, requestHeaders: headers(captured.content.requestHeaders),
            requestBody: Array(captured.content.requestBody),
            responseHeaders: headers(captured.content.responseHeaders),
            responseBody: Array(captured.content.responseBody))
    }
}

/// From which record to which, of which service.
struct CaptureRange: Sendable {
    var service: String
    var first: SequenceNumber
    var last: SequenceNumber
}

/// What came out of a range.
struct CaptureHarvest: Sendable {
    var exchanges: [RecordedExchange] = []
    /// Those whose contents were erased or cut.
    var leftOutCount = 0
}

extension NodeClient {
    /// The sequence of a position.
    func sequence(of position: PositionArgument) async throws(CommandFailure) -> SequenceNumber {
        if case .sequence(let sequence) = position { return sequence }
        var query = MirrorQuery()
        query.limit = 1
        query.position = position.position
        let payload = try await ask(.mirror(.mirrors), query.encode())
        guard let answer = try? Lattice_V1_MirrorsAnswer(serializedBytes: payload) else {
            throw CommandFailure(.failed, "the answer is not understood; is the node of another version?")
        }
        return SequenceNumber(answer.asOf.sequence)
    }

    /// All captures of a range that can be repeated, page by page, at most so many. The node records who reads them.
    func captures(
        _ range: CaptureRange, limit: Int, for reader: ReaderOptions
    ) async throws(CommandFailure) -> CaptureHarvest {
        var harvest = CaptureHarvest()
        var query = MirrorQuery()
        query.sourceService = range.service
        query.sequence = range.first
        query.lastSequence = range.last
        while query.sequence != .origin {
            let payload = try await ask(
                .mirror(.captures), reader.signed(query).encode(), by: reader.name)
            guard let answer = try? Lattice_V1_CapturesAnswer(serializedBytes: payload) else {
                throw CommandFailure(.failed, "the answer is not understood; is the node of another version?")
            }
            for captured in answer.captures {
                let exchange = RecordedExchange(captured)
                if captured.erased || !exchange.isRepeatable {
                    harvest.leftOutCount += 1
                } else if harvest.exchanges.count < limit {
                    harvest.exchanges.append(exchange)
                }
            }
            if harvest.exchanges.count >= limit { break }
            query.sequence = SequenceNumber(answer.nextSequence)
        }
        return harvest
    }
}
