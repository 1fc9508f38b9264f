// Whole lists of instances, and what changed in them, put together from pages.

package import EventModel
import Messaging

/// What a question for the instances of a service brought: all of them, or what changed since the asker last knew.
package struct InstanceUpdate: Sendable, Hashable {
    /// The position that the service is known for with this.
    package var asOf: AsOf
    /// The instances are all there are; else they take the place of those of the same id.
    package var isWhole: Bool
    /// In order of id.
    package var instances: [InstanceSnapshot]
    /// Ids that are there no more, in order; none where this is whole.
    package var left: [String]
    /// The eviction guard holds.
    package var protected: Bool
    /// Fewer than the panic threshold are healthy: these are all.
    package var panic: Bool

    /// One page.
    package init(_ answer: InstancesAnswer) {
        asOf = answer.asOf
        isWhole = answer.changedSince == .origin
        instances = answer.instances
        left = answer.left
        protected = answer.protected
        panic = answer.panic
    }

    /// The next page of the same list.
    mutating func append(_ page: InstancesAnswer) {
        instances += page.instances
        left += page.left
        takeFlags(page)
    }

    /// Changes that came after what is known.
    mutating func apply(_ later: InstanceUpdate) {
        instances = Self.merge(instances, later)
        if !isWhole {
            let back = Set(later.instances.map { ByteName($0.instance.instanceID) })
            let gone = Set((left + later.left).map { ByteName($0) }).subtracting(back)
            left = gone.map(\.text).sorted { $0.precedesInBytes($1) }
        }
        asOf = later.asOf
        protected = later.protected
        panic = later.panic
    }

    private mutating func takeFlags(_ page: InstancesAnswer) {
        protected = page.protected
        panic = page.panic
    }

    /// Snapshots in order of id, with those of an update in the place of those that have their ids, and without those that left.
    private static func merge(
        _ known: [InstanceSnapshot], _ update: InstanceUpdate
    ) -> [InstanceSnapshot] {
        if update.isWhole { return update.instances }
        if update.instances.isEmpty && update.left.isEmpty { return known }
        let gone = Set(update.left.map { ByteName($0) })
        var result: [InstanceSnapshot] = []
        result.reserveCapacity(known.count + update.instances.count)
        var news = update.instances[...]
        for old in known {
            let id = old.instance.instanceID
            while let first = news.first, first.instance.instanceID.precedesInBytes(id) {
                result.append(news.removeFirst())
            }
            if let first = news.first, first.instance.instanceID.equalsInBytes(id) {
                result.append(news.removeFirst())
            } else if !gone.contains(ByteName(id)) {
                result.append(old)
            }
        }
        return result + news
    }
}

extension QueryClient {
    /// Rows that are asked for at once; fewer where the server takes small messages only.
    var pageRows: UInt32 { UInt32(max(1, min(1_000, (bus.maximumPayload ?? 1 << 20) / 1_024))) }

    /// How often a list may change while its pages are read.
    private static let roundsMaximum = 16

    /// Every instance that a question is about, true for one position, in order of id, whatever number of pages it takes.
    ///
    /// - Throws: `.unsteady` where the list changes faster than it can be read.
    package func everyInstance(_ query: RegistryQuery) async throws(UnansweredQuery) -> InstancesAnswer {
        var query = query
        query.changedSince = .origin
        let update = try await instances(query)
        var answer = InstancesAnswer(asOf: update.asOf, instances: update.instances)
        answer.protected = update.protected
        answer.panic = update.panic
        return answer
    }

    /// The instances that a question is about, or, with `changedSince`, what changed among them, true for one position.
    ///
    /// What changes while the pages are read is asked for behind them, until that is one page.
    package func instances(_ query: RegistryQuery) async throws(UnansweredQuery) -> InstanceUpdate {
        var known: InstanceUpdate?
        var question = query
        for _ in 0..<Self.roundsMaximum {
            let first = try await firstPage(question)
            var update = InstanceUpdate(first)
            let isOnePage = first.nextPageToken.isEmpty
            if !isOnePage {
                guard try await addPages(behind: first, of: question, to: &update) else {
                    // Another node knows less of what changed than the one before: everything anew.
                    known = nil
                    question = query
                    question.changedSince = .origin
                    continue
                }
            }
            if update.isWhole || known == nil { known = update } else { known?.apply(update) }
            guard let result = known else { break }
            if isOnePage || question.isExact { return result }
            question.changedSince = first.asOf.sequence
            question.position.minimumSequence = max(
                first.asOf.sequence, query.position.minimumSequence ?? .origin)
        }
        throw UnansweredQuery.unsteady(.registry(.resolve))
    }

    private func firstPage(_ query: RegistryQuery) async throws(UnansweredQuery) -> InstancesAnswer {
        var query = query
        query.limit = pageRows
        let first = try await ask(.registry(.resolve), query.encode(), decode: InstancesAnswer.decode)
        guard first.omitted > 0, first.nextPageToken.isEmpty else { return first }
        // A node from before there were pages: it has to say all at once, or that it cannot.
        query.limit = 0
        return try await ask(.registry(.resolve), query.encode(), decode: InstancesAnswer.decode)
    }

    /// - Returns: false where the pages do not belong together.
    private func addPages(
        behind first: InstancesAnswer, of query: RegistryQuery, to update: inout InstanceUpdate
    ) async throws(UnansweredQuery) -> Bool {
        var question = query
        question.limit = pageRows
        question.pageToken = first.nextPageToken
        if query.isExact {
            question.position = ReadPosition(atSequence: first.asOf.sequence)
        } else {
            question.position.minimumSequence = max(first.asOf.sequence, query.position.minimumSequence ?? .origin)
        }
        while !question.pageToken.isEmpty {
            let page = try await ask(.registry(.resolve), question.encode(), decode: InstancesAnswer.decode)
            guard page.changedSince == first.changedSince else { return false }
            update.append(page)
            question.pageToken = page.nextPageToken
        }
        return true
    }
}

extension RegistryQuery {
    /// Whether all pages are asked of one position: in the past, and where the answer as a whole decides what is in it.
    fileprivate var isExact: Bool { position.atSequence != nil || position.atTime != nil || allowPanic }
}
