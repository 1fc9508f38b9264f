// Questions about traces over the bus, their answers as messages.

package import EventModel
import FoundationEssentials
package import Messaging
import Queries
package import SwiftProtobuf

/// Why a question has no answer.
package struct QueryFailure: Error, Sendable, Hashable {
    /// Of HTTP.
    package var status: Int
    package var message: String

    package init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }

    init(_ failure: UnansweredQuery) { self.init(failure.httpStatus, failure.message) }
}

/// Asks a node, as any customer does.
package struct TraceQueryClient: Sendable {
    private let client: QueryClient
    /// Of one trace, so that no answer takes all memory.
    private static let spansMaximum = 100_000
    private static let tracesAtOnce = 4

    package init(bus: any MessageBus, prefix: String, timeout: Duration = .seconds(10)) {
        client = QueryClient(bus: bus, prefix: prefix, timeout: timeout)
    }

    /// One question, one answer.
    package func ask<Answer: SwiftProtobuf.Message>(
        _ name: TraceQueryName, _ query: Lattice_V1_TraceQuery, as type: Answer.Type = Answer.self
    ) async throws(QueryFailure) -> Answer {
        let payload: [UInt8]
        do throws(UnansweredQuery) {
            payload = try await client.ask(.trace(name), Self.bytes(query))
        } catch {
            throw QueryFailure(error)
        }
        do {
            return try Answer(serializedBytes: payload)
        } catch {
            throw QueryFailure(502, "the answer is not understood")
        }
    }

    private static func bytes(_ query: Lattice_V1_TraceQuery) -> [UInt8] {
        let bytes: [UInt8]? = try? query.serializedBytes()
        return bytes ?? []
    }

    /// A whole trace: the pages of its spans put together.
    package func trace(_ id: TraceID, raw: Bool = false) async throws(QueryFailure) -> Lattice_V1_TraceAnswer {
        var query = Lattice_V1_TraceQuery()
        query.traceID = Data(id.bytes)
        query.raw = raw
        query.limit = 2_000
        var whole: Lattice_V1_TraceAnswer = try await ask(.trace, query)
        while !whole.nextPageToken.isEmpty && whole.spans.count < Self.spansMaximum {
            query.pageToken = whole.nextPageToken
            let page: Lattice_V1_TraceAnswer = try await ask(.trace, query)
            whole.append(page)
        }
        return whole
    }

    /// One of several traces: a struct, since the compiler breaks tuples here (decision 138).
    private struct Fetched: Sendable {
        var index: Int
        var result: Result<Lattice_V1_TraceAnswer, QueryFailure>
    }

    /// Traces in the order of their ids; one that is gone meanwhile is left out.
    package func traces(
        _ ids: [TraceID], raw: Bool
    ) async throws(QueryFailure) -> [Lattice_V1_TraceAnswer] {
        var answers = [Lattice_V1_TraceAnswer?](repeating: nil, count: ids.count)
        var failure: QueryFailure?
        await withTaskGroup(of: Fetched.self) { group in
            func take(_ fetched: Fetched?) {
                guard let fetched else { return }
                switch fetched.result {
                case .success(let answer): answers[fetched.index] = answer
                case .failure(let error): if error.status != 404 { failure = error }
                }
            }
            for (index, id) in ids.enumerated() {
                if index >= Self.tracesAtOnce { take(await group.next()) }
                group.addTask {
                    do throws(QueryFailure) {
                        return Fetched(index: index, result: .success(try await trace(id, raw: raw)))
                    } catch {
                        return Fetched(index: index, result: .failure(error))
                    }
                }
            }
            for await fetched in group { take(fetched) }
        }
        if let failure { throw failure }
        return answers.compactMap { $0 }
    }

    /// Traces that a search finds, the latest first; at most `limit`.
    package func search(
        _ query: Lattice_V1_TraceQuery, limit: Int
    ) async throws(QueryFailure) -> [Lattice_V1_TraceSummary] {
        var query = query
        var found: [Lattice_V1_TraceSummary] = []
        // A page may be short, even empty, and not be the last.
        for _ in 0..<1_000 {
            query.limit = UInt32(min(limit - found.count, 500))
            let page: Lattice_V1_TracesAnswer = try await ask(.search, query)
            found += page.traces
            query.pageToken = page.nextPageToken
            if page.nextPageToken.isEmpty || found.count >= limit { break }
        }
        return Array(found.prefix(limit))
    }
}

extension Lattice_V1_TraceAnswer {
    /// Puts the next page behind this one; each page has resources of its own.
    fileprivate mutating func append(_ page: Lattice_V1_TraceAnswer) {
        nextPageToken = page.nextPageToken
        let shift = UInt32(resources.count)
        resources += page.resources
        spans += page.spans.map { span in
            var span = span
            span.resourceIndex += shift
            return span
        }
    }
}
