// Steps and bisections over a log with checkpoints agree with a walk that takes every record.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import StateMachines
import TestKit
import Testing

/// The records of a history at other sequences, as a stream with gaps would have numbered them.
private struct SparseLog {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("past-\(UUID().uuidString)").path
    let timeline: Timeline
    private(set) var sequences: [SequenceNumber] = []

    /// Instances come one by one; gaps grow on the way; a checkpoint each hundred records, unless none is wanted.
    init(count: Int, isDense: Bool, withCheckpoints: Bool) throws {
        var options = EventLogOptions()
        options.durability = .never
        let (log, _) = try EventLog.open(directory: directory, options: options)
        try log.setSource(.core)
        let checkpoints = CheckpointStore(directory: directory + "/checkpoints")
        var state = MeshState()
        var sequence: UInt64 = 0
        for index in 0..<count {
            sequence += isDense || index % 7 != 0 ? 1 : UInt64(index) * 50 + 1
            let registration = Registration(instanceID: "i-\(index)", endpoint: "10.0.0.1:80", incarnation: 1)
            let event = Event.registry(.registered(Registered(serviceName: "s", events: [registration])))
            let (type, facts) = try #require(EventCodec.encode(event))
            var frames = FrameBatch()
            try frames.append(
                sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: Int64(index + 1) * 1_000),
                eventType: type.rawValue, schemaVersion: EventType.currentSchemaVersion,
                subject: Array("registry.s.registered".utf8), facts: facts)
            try log.append(frames)
            state.apply(EventRecord(frames[0]))
            sequences.append(SequenceNumber(sequence))
            if withCheckpoints && index % 100 == 99 {
                try log.commit()
                try CheckpointCodec.save(state, of: log.reader, to: checkpoints, createdAt: .zero)
            }
        }
        try log.commit()
        try log.close()
        timeline = Timeline(reader: try LogReader.open(directory: directory), checkpoints: checkpoints)
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }
}

@Suite struct `The past of a log` {
    @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
    func `a bisection finds each record that a walk finds`(_ isDense: Bool, _ withCheckpoints: Bool) throws {
        let log = try SparseLog(count: 500, isDense: isDense, withCheckpoints: withCheckpoints)
        defer { log.remove() }
        for count in [1, 2, 17, 99, 100, 101, 250, 499, 500] {
            let expression = try MeshExpression("count(instances) >= \(count)")
            for isScan in [false, true] {
                var bisection = Bisection(log.timeline, expression)
                let last = log.timeline.reader.lastSequence
                let result =
                    isScan ? try bisection.scan(from: .origin, to: last) : try bisection.bisect(from: .origin, to: last)
                guard case .found(let finding) = result else {
                    Issue.record("\(count) was not found")
                    continue
                }
                #expect(finding.sequence == log.sequences[count - 1])
                #expect(finding.before.registry.instanceCount == count - 1)
                #expect(finding.after.registry.instanceCount == count)
                if !isScan { #expect(finding.evaluationCount < 120) }
            }
        }
    }

    @Test(arguments: [(true, true), (false, true), (false, false)])
    func `steps back have the digests of a walk forward`(_ isDense: Bool, _ withCheckpoints: Bool) throws {
        let log = try SparseLog(count: 300, isDense: isDense, withCheckpoints: withCheckpoints)
        defer { log.remove() }
        var digests: [SequenceNumber: [MachineDigest]] = [:]
        var state = MeshState()
        while try log.timeline.step(&state) != nil { digests[state.moment.sequence] = state.digests() }
        var stepper = try Stepper(log.timeline, at: log.timeline.reader.lastSequence)
        for index in log.sequences.indices.reversed() {
            var here = stepper.state
            #expect(stepper.sequence == log.sequences[index])
            #expect(here.digests() == digests[stepper.sequence])
            #expect(try stepper.back())
        }
        #expect(stepper.sequence == .origin)
        #expect(try !stepper.back())
        #expect(try stepper.forward()?.sequence == log.sequences[0])
    }

    @Test func `a difference leaves both states as they were`() throws {
        let log = try SparseLog(count: 120, isDense: true, withCheckpoints: false)
        defer { log.remove() }
        var old = try log.timeline.state(at: log.sequences[50])
        var new = try log.timeline.state(at: log.sequences[100])
        let (first, second) = (old.digests(), new.digests())
        let difference = MeshDifference(from: old, to: new)
        #expect(difference.instances.count == 50 && old.digests() == first && new.digests() == second)
    }
}
