// Work that blocks, kept off the threads of Swift concurrency.

import Dispatch

/// Runs what blocks on a thread of Dispatch's.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: work()) }
    }
}
