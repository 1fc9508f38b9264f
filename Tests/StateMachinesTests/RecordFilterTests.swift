// The first fold: repeats, leadership, semantics.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Repeats` {
    @Test func `a message id that came before is answered with the first sequence and changes nothing`() {
        var story = Story()
        story.happens(registered([instance("a")]), id: "m-1")
        let answer = story.happens(registered([instance("b")]), id: "m-1", verdict: .duplicate)
        #expect(answer.firstSequence == SequenceNumber(1))
        #expect(story.ids() == ["a"])
        #expect(story.state.admission.duplicateCount == 1)
    }

    @Test func `records without an id are never repeats`() {
        var story = Story()
        story.happens(load("a", 1), refused: [0: .unknownInstance])
        story.happens(load("a", 1), refused: [0: .unknownInstance])
        #expect(story.state.admission.duplicateCount == 0)
    }

    @Test func `an id is forgotten after two minutes of log time`() {
        var story = Story()
        story.happens(registered([instance("a")]), id: "m-1")
        story.now = story.now + RecordFilter.duplicateWindow
        story.happens(registered([instance("a")]), id: "m-1", verdict: .duplicate)
        story.now = story.now + Nanoseconds(1)
        story.happens(registered([instance("a")]), id: "m-1", replaced: [0])
    }

    @Test func `a stamp that goes back does not prolong the memory`() {
        var story = Story()
        story.happens(.clock(.tick(slot: 1)), id: "m-1")
        let first = story.now
        story.now = story.now + .seconds(121)
        story.tick()
        story.now = first
        story.happens(.clock(.tick(slot: 1)), id: "m-1")
    }

    @Test func `the oldest of too many ids is forgotten`() {
        var admission = RecordFilter()
        func record(_ sequence: Int, _ id: Int) -> EventRecord {
            EventRecord(
                sequence: SequenceNumber(UInt64(sequence)), recordedAt: .zero, messageID: Array("\(id)".utf8)[...],
                event: .clock(.tick(slot: 1)))
        }
        for number in 1...RecordFilter.duplicateCapacity + 1 { _ = admission.admit(record(number, number)) }
        let count = RecordFilter.duplicateCapacity
        #expect(admission.admit(record(count + 2, 2)).verdict == .duplicate(of: SequenceNumber(2)))
        #expect(admission.admit(record(count + 3, 1)).verdict == .admitted)
    }

    @Test func `an opaque record moves time and nothing else`() {
        var story = Story()
        story.serve(["a"])
        story.now = story.now + .seconds(2)
        story.happens(.opaque(reason: "unknown_event_type"), verdict: .opaque)
        #expect(story.state.moment.sequence == SequenceNumber(2))
        #expect(story.state.moment.expiryTime == .seconds(2))
    }
}

@Suite struct `Leadership` {
    @Test func `a claim holds with the next epoch only`() {
        var story = Story()
        story.happens(.clock(.leadershipClaimed(nodeID: "n1", epoch: 1)))
        story.happens(.clock(.leadershipClaimed(nodeID: "n2", epoch: 1)), refused: [0: .staleEpoch])
        story.happens(.clock(.leadershipClaimed(nodeID: "n2", epoch: 3)), refused: [0: .staleEpoch])
        story.happens(.clock(.leadershipClaimed(nodeID: "n2", epoch: 0)), refused: [0: .staleEpoch])
        #expect(story.state.admission.leaderID == "n1")
        story.happens(.clock(.leadershipClaimed(nodeID: "n2", epoch: 2)))
        #expect(story.state.admission.leaderID == "n2" && story.state.admission.leaderEpoch == 2)
    }

    @Test func `the largest slot of a tick is kept`() {
        var story = Story()
        story.happens(.clock(.tick(slot: 9)))
        story.happens(.clock(.tick(slot: 3)))
        #expect(story.state.admission.lastTickSlot == 9)
    }
}

@Suite struct `Versions of semantics` {
    @Test func `a version that this code lacks stops it`() {
        var state = MeshState()
        let missing = RecordFilter.supportedSemantics + 1
        let event = Event.policy(.semanticsActivated(version: missing, reason: "upgrade"))
        let record = EventRecord(sequence: SequenceNumber(1), recordedAt: .zero, event: event)
        #expect(state.apply(record).verdict == .unsupportedSemantics(missing))
        #expect(state.admission.semanticsVersion == 1)
    }

    @Test func `the present version is taken and an older one refused`() {
        var story = Story()
        for version: UInt32 in 1...RecordFilter.supportedSemantics {
            story.happens(.policy(.semanticsActivated(version: version, reason: "")))
            story.happens(.policy(.semanticsActivated(version: version, reason: "")))
            for older in 0..<version {
                story.happens(
                    .policy(.semanticsActivated(version: older, reason: "")), refused: [0: .unsupportedSemantics])
            }
        }
    }
}
