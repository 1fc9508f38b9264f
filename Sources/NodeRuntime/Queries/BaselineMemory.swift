// Two answers of production to one request, from the log: what differs between them is noise (decision 22).

import DequeModule
import EventModel
import MeshRules
import StateMachines
import Synchronization

/// Remembers production's last answers to requests that only read, a bounded number of them.
final class BaselineMemory: Sendable {
    private struct Key: Hashable {
        var mirrorID: String
        var target: String
        var method: String
        var body: Digest
    }

    private struct Memory {
        var answers: [Key: ObservedResponse] = [:]
        var order: Deque<Key> = []
        var byteCount = 0
    }

    private static let capacity = 1_024
    private static let bytesMaximum = 8 << 20
    private let memory = Mutex(Memory())

    /// Puts an answer in the place of an earlier one to the same request, and tells that one; nil: there was none.
    func exchange(
        _ directive: ShadowDirective, _ recorded: RecordedCapture, _ answer: ObservedResponse
    ) -> ObservedResponse? {
        guard recorded.capture.method == "GET" || recorded.capture.method == "HEAD" else { return nil }
        let key = Key(
            mirrorID: directive.id.mirrorID, target: recorded.content.target, method: recorded.capture.method,
            body: Digest.of(recorded.content.requestBody))
        return memory.withLock { memory in
            let earlier = memory.answers.updateValue(answer, forKey: key)
            memory.byteCount += answer.body.count - (earlier?.body.count ?? 0)
            if earlier == nil { memory.order.append(key) }
            while memory.order.count > Self.capacity || memory.byteCount > Self.bytesMaximum,
                let oldest = memory.order.popFirst()
            {
                memory.byteCount -= memory.answers.removeValue(forKey: oldest)?.body.count ?? 0
            }
            return earlier
        }
    }
}
