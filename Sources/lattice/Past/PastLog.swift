// A log on disk and the points in it that a person names.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// A point in the log: a sequence, a moment (RFC 3339, or Unix nanoseconds), or so long before the log's end.
struct PointArgument: ExpressibleByArgument, Sendable, Hashable {
    enum Value: Sendable, Hashable {
        case sequence(SequenceNumber)
        case time(Timestamp)
        /// Before the last record's time.
        case beforeEnd(Nanoseconds)
    }

    let value: Value
    let text: String
    /// Numbers from here on are nanoseconds: no log has so many records.
    private static let smallestTime: UInt64 = 1_000_000_000_000_000
    static let forms =
        "a sequence (4711), a moment (2026-11-24T08:00:00Z, or Unix nanoseconds: 1795507200000000000), or a while before "
        + "the log's end (-15m)"

    init?(argument: String) {
        text = argument
        if let number = UInt64(argument) {
            guard number > 0, number <= UInt64(Int64.max) else { return nil }
            let isTime = number >= Self.smallestTime
            value = isTime ? .time(Timestamp(nanoseconds: Int64(number))) : .sequence(SequenceNumber(number))
        } else if let time = Timestamp(rfc3339: argument) {
            value = .time(time)
        } else if argument.hasPrefix("-"), let duration = DurationArgument(argument: String(argument.dropFirst())) {
            value = .beforeEnd(duration.value)
        } else {
            return nil
        }
    }

    /// Reads a point where the parser leaves it to us, since `-15m` looks like an option.
    static func parse(_ text: String) throws(CommandFailure) -> PointArgument {
        guard let point = PointArgument(argument: text) else {
            throw CommandFailure(.usage, "'\(Terminal.escaped(text))' is no point in a log; that is \(forms)")
        }
        return point
    }
}

/// A log that is read without a node.
struct PastLog {
    let timeline: Timeline
    private let traveller: TimeTraveller

    init(_ directory: String) throws(CommandFailure) {
        let reader = try readingLog { () throws(EventStoreError) in try LogReader.open(directory: directory) }
        let checkpoints = CheckpointStore(directory: directory + "/" + CheckpointStore.folder)
        timeline = Timeline(reader: reader, checkpoints: checkpoints)
        traveller = TimeTraveller(reader: reader, checkpoints: checkpoints)
    }

    var reader: LogReader { timeline.reader }

    /// The sequence of a point; one outside of the log is a failure that says where the log is.
    func sequence(of point: PointArgument) throws(CommandFailure) -> SequenceNumber {
        guard reader.lastSequence > .origin else { throw CommandFailure(.failed, "the log has no record yet") }
        var position = ReadPosition.now
        switch point.value {
        case .sequence(let sequence): position.atSequence = sequence
        case .time(let time): position.atTime = time
        case .beforeEnd(let duration):
            let end = try time(of: reader.lastSequence)
            position.atTime = end + Nanoseconds(-duration.rawValue)
        }
        let found: SequenceNumber
        do throws(QueryError) {
            found = try traveller.sequence(for: position)
        } catch {
            throw CommandFailure(.failed, "\(point.text) lies before the log: \(try extent())")
        }
        if found > reader.lastSequence || found < timeline.oldest {
            throw CommandFailure(.failed, "\(point.text) lies outside of the log: \(try extent())")
        }
        if case .time(let time) = point.value, found == reader.lastSequence, time > (try self.time(of: found)) {
            Terminal.complain("\(point.text) lies behind the log's end: this is as of its last record, \(found)")
        }
        return found
    }

    /// Where a search begins that was told no beginning: before the first record, or at the oldest state there is.
    var beginning: SequenceNumber { timeline.oldest }

    private func time(of sequence: SequenceNumber) throws(CommandFailure) -> Timestamp {
        try readingLog { () throws(EventStoreError) in try reader.frame(at: sequence) }?.recordedAt ?? .zero
    }

    private func extent() throws(CommandFailure) -> String {
        let last = reader.lastSequence
        let (from, to) = (try time(of: reader.firstRetained), try time(of: last))
        return "records \(reader.firstRetained) to \(last), \(RFC3339.text(from)) to \(RFC3339.text(to))"
    }

    func answer(
        _ question: PastQuery_, in state: MeshState, at sequence: SequenceNumber
    ) async throws(CommandFailure) -> [UInt8] {
        do throws(QueryError) {
            return try await timeline.answer(question, in: state, at: sequence)
        } catch {
            throw CommandFailure(error)
        }
    }

    func state(at sequence: SequenceNumber) throws(CommandFailure) -> MeshState {
        try asking { () throws(QueryError) in try timeline.state(at: sequence) }
    }
}

/// Runs what throws an error of a query, and turns it into a failure of the command.
func asking<Value>(_ body: () throws(QueryError) -> Value) throws(CommandFailure) -> Value {
    do throws(QueryError) {
        return try body()
    } catch {
        throw CommandFailure(error)
    }
}
