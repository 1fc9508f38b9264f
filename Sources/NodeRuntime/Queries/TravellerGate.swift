// The door to time travel: few at a time.

import EventModel
import EventStore
import Synchronization

/// Journeys block a thread and take memory: few at a time, on threads of their own that yield to the intake; more are told
/// to come back.
final class TravellerGate: Sendable {
    private let underWay: Mutex<Int>
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        underWay = Mutex(0)
    }

    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(QueryError) -> Value
    ) async throws(QueryError) -> Value {
        let isAdmitted = underWay.withLock { count in
            if count == capacity { return false }
            count += 1
            return true
        }
        guard isAdmitted else {
            throw QueryError(.overloaded, "\(capacity) journeys are under way; ask again, or offline")
        }
        let result: Result<Value, QueryError> = await withCheckedContinuation { continuation in
            LowPriorityThread.run {
                do throws(QueryError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        underWay.withLock { $0 -= 1 }
        return try result.get()
    }
}
