// What a replica asks of one service: changes, and everything where the log behind the answers may be another.

import EventModel
import Queries
import Testing

@testable import LatticeClient

@Suite struct `A followed service` {
    private let start = ContinuousClock.now

    private func answer(_ sequence: UInt64, _ ids: [String], isWhole: Bool) -> InstanceUpdate {
        var answer = InstancesAnswer(asOf: AsOf(sequence: SequenceNumber(sequence), recordedAt: .zero), instances: [])
        answer.changedSince = isWhole ? .origin : SequenceNumber(1)
        answer.instances = ids.map { id in
            InstanceSnapshot(
                instance: ServiceInstance(
                    instanceID: id, serviceName: "cart", endpoint: "10.0.0.1:80", region: "", zone: "", weight: 100,
                    metadata: [], registeredAt: .zero, lastHeartbeat: .zero, incarnation: 0),
                health: .healthy, status: nil, activeConnections: 0)
        }
        return InstanceUpdate(answer)
    }

    private func settle(_ service: inout FollowedService, _ update: InstanceUpdate) {
        service.settle(update, at: .zero, soon: start, later: start)
    }

    @Test func `is asked for whole first, then for what changed, and whole again after a minute`() {
        var service = FollowedService("cart", now: start)
        #expect(service.begin(at: start).known == .origin)
        settle(&service, answer(10, ["a", "b"], isWhole: true))
        let next = service.begin(at: start + .seconds(59))
        #expect(next.known == SequenceNumber(10) && next.minimum == SequenceNumber(10))
        settle(&service, answer(12, [], isWhole: false))
        // The log began anew meanwhile and is longer already: only the whole answer shows that `a` is not there.
        let whole = service.begin(at: start + .seconds(61))
        #expect(whole.known == .origin && whole.minimum == SequenceNumber(12))
        settle(&service, answer(40, ["b"], isWhole: true))
        #expect(service.view?.instances.map(\.id) == ["b"])
        #expect(service.begin(at: start + .seconds(62)).known == SequenceNumber(40))
    }

    @Test func `is asked for whole after a failure`() {
        var service = FollowedService("cart", now: start)
        _ = service.begin(at: start)
        settle(&service, answer(10, ["a"], isWhole: true))
        _ = service.begin(at: start + .seconds(1))
        service.fail(MeshError(.noNode, "away"), at: start) { _ in .seconds(1) }
        #expect(service.begin(at: start + .seconds(2)).known == .origin)
        settle(&service, answer(11, ["c"], isWhole: true))
        #expect(service.view?.instances.map(\.id) == ["c"])
        #expect(service.begin(at: start + .seconds(3)).known == SequenceNumber(11))
    }
}
