// Answers the mirror's queries: from the machine, and where contents are asked for, from the log.

import EventModel
import EventStore
import StateMachines

/// Answers `<prefix>.queries.mirror.<query>`.
struct MirrorResponder: Sendable {
    let host: MachineHost<TrafficMirror>
    let contents: ContentReader
    let gate: TravellerGate
    /// Contents leave the node only after this has told the log.
    let recorder: AuditRecorder

    init(
        _ host: MachineHost<TrafficMirror>, _ contents: ContentReader, _ recorder: AuditRecorder,
        _ configuration: NodeConfiguration
    ) {
        self.host = host
        self.contents = contents
        self.recorder = recorder
        gate = TravellerGate(capacity: configuration.travellersMaximum)
    }

    /// Captures in one answer, where the asker names no limit, and their bytes: less than a message may have.
    private static let capturesMaximum = 1_000
    private static let bytesMaximum = 512 << 10

    /// Answers from the live state.
    func answer(
        _ name: MirrorQueryName, _ query: MirrorQuery, for asker: AuditRecorder.Asker
    ) async throws(QueryError) -> [UInt8] {
        switch name {
        case .comparison, .captures:
            let state = await host.read { copy $0 }
            return try await answerFromLog(name, query, state, asker)
        default:
            let answer = await host.read { mirror -> Result<[UInt8], QueryError> in
                do throws(QueryError) { return .success(try mirror.answer(name, query)) } catch {
                    return .failure(error)
                }
            }
            return try answer.get()
        }
    }

    /// Answers from a state of the past.
    func answer(
        _ name: MirrorQueryName, _ query: MirrorQuery, in state: TrafficMirror, for asker: AuditRecorder.Asker
    ) async throws(QueryError) -> [UInt8] {
        switch name {
        case .comparison, .captures: try await answerFromLog(name, query, state, asker)
        default: try state.answer(name, query)
        }
    }

    private func answerFromLog(
        _ name: MirrorQueryName, _ query: MirrorQuery, _ state: TrafficMirror, _ asker: AuditRecorder.Asker
    ) async throws(QueryError) -> [UInt8] {
        if query.sequence == .origin { throw QueryError(.invalidArgument, "sequence is missing") }
        if query.sequence > state.moment.sequence {
            let last = state.moment.sequence
            throw QueryError(
                .notYet, "sequence \(query.sequence) is not applied; the last one is \(last)", sequence: last)
        }
        let contents = contents
        let (bytes, read) = try await gate.run { () throws(QueryError) -> ([UInt8], ContentsRead?) in
            do throws(EventStoreError) {
                if name == .captures {
                    let answer = try Self.captures(query, state, contents)
                    return (answer.encode(), Self.reading(answer, query))
                }
                guard let answer = try Self.comparison(query, state, contents) else {
                    throw EventStoreError(.notFound, detail: "record \(query.sequence) has no such comparison")
                }
                return (answer.encode(), Self.reading(answer, query))
            } catch {
                throw TimeTraveller.queryError(error)
            }
        }
        if let read { try await recorder.record(read, by: asker) }
        return bytes
    }

    // MARK: What is read

    /// What the log is told of captures that are handed out; nil where there are no contents among them.
    private static func reading(_ answer: CapturesAnswer, _ query: MirrorQuery) -> ContentsRead? {
        let read = answer.captures.filter { !$0.isErased }
        guard let first = read.first, let last = read.last else { return nil }
        return ContentsRead(
            nodeID: "", query: MirrorQueryName.captures.rawValue, sourceService: query.sourceService,
            firstSequence: first.position.sequence, lastSequence: last.position.sequence, count: UInt64(read.count))
    }

    private static func reading(_ answer: MirrorComparisonAnswer, _ query: MirrorQuery) -> ContentsRead? {
        let hasSides = !answer.differences.sides.isEmpty
        if answer.isErased && !hasSides { return nil }
        return ContentsRead(
            nodeID: "", query: MirrorQueryName.comparison.rawValue, sourceService: answer.sourceService,
            firstSequence: query.sequence, lastSequence: query.sequence, count: 1)
    }

    private static func comparison(
        _ query: MirrorQuery, _ state: TrafficMirror, _ contents: ContentReader
    ) throws(EventStoreError) -> MirrorComparisonAnswer? {
        let position = EventPosition(sequence: query.sequence, index: query.index)
        guard let found = try contents.comparison(at: position) else { return nil }
        let directive = found.comparison.directive
        var answer = MirrorComparisonAnswer(
            asOf: state.moment.asOf, sourceService: found.sourceService, comparison: found.comparison)
        answer.differences = found.content
        answer.isErased = found.isErased
        answer.shadowEndpoint = state.shadowEndpoint(of: directive.mirrorID) ?? ""
        let cause = EventPosition(sequence: directive.causeSequence, index: directive.causeIndex)
        // What is behind the horizon is gone, and the rest of the answer is not.
        if let capture = try? contents.capture(at: cause) {
            answer.capture = capture.recorded.capture
            answer.content = capture.recorded.content
            answer.isErased = found.isErased || capture.recorded.isErased
        }
        return answer
    }

    private static func captures(
        _ query: MirrorQuery, _ state: TrafficMirror, _ contents: ContentReader
    ) throws(EventStoreError) -> CapturesAnswer {
        let end = state.moment.sequence
        let last = query.lastSequence == .origin ? end : min(query.lastSequence, end)
        let limit = query.limit == 0 ? capturesMaximum : Int(query.limit)
        var answer = CapturesAnswer(asOf: state.moment.asOf)
        (answer.captures, answer.nextSequence) = try contents.captures(
            of: query.sourceService, from: query.sequence, through: last, limit: limit, byteLimit: bytesMaximum)
        return answer
    }
}
