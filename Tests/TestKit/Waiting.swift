// Waiting for what must come to pass, within bounds.

/// Asks again until the answer is yes; false once the limit has passed.
package func eventually(
    within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(3))
    }
    return false
}

/// What did not come to pass in time.
package struct NotInTime: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Asks again until the answer is yes; throws `NotInTime` once the limit has passed.
package func waitFor(
    _ what: String = "the condition", within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    guard try await !eventually(within: limit, condition) else { return }
    throw NotInTime(description: "\(what) did not come true within \(limit)")
}
