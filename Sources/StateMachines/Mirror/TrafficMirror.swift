// The traffic mirror: which requests are owed to which shadows, and what came of it, folded from the log.

import DequeModule
package import EventModel
import MeshRules

/// Holds mirrors, what waits for them, their counts, and the differences that were found.
package struct TrafficMirror: StateMachine {
    package static let name = "mirror"
    /// Mirrors of all sources, and of one.
    package static let mirrorCapacity = 1_000
    package static let mirrorsPerSource = 64
    package static let sourceCapacity = 1_000
    /// A directive that waits longer is dropped; counted in expiry time, so that a paused node loses none.
    package static let expiresAfter = Nanoseconds.seconds(60)
    /// What a directive counts for besides its contents.
    package static let directiveBytes: UInt64 = 256

    package internal(set) var moment = Moment.origin
    /// In order of mirror id.
    var mirrors: [MirrorRow] = []
    /// In order of name.
    var sources: [SourceRow] = []
    package internal(set) var leaderID = ""
    package internal(set) var leaderEpoch: UInt64 = 0
    /// On core NATS: the leader came back and has not claimed anew, and what waited is marked already. Over a stream: it has
    /// spoken since its claim, and may have sent what waits (decision 135).
    var hasLeaderResumed = false
    /// What became of directives whose mirror is gone.
    package internal(set) var ledger = MirrorLedger()
    var sum = Digest.zero

    package init() {}

    package mutating func apply(_ admitted: AdmittedRecord) -> Outcome {
        moment = admitted.moment
        var outcome = Outcome()
        switch admitted.record.event {
        case .mirror(let event):
            take(event, &outcome)
            if outcome.accepted > 0, let source = Self.configuredSource(event) { outcome.changed = [source] }
        case .clock(let event): take(event)
        case .registry, .policy, .trace, .audit, .opaque: break
        }
        return outcome
    }

    /// The service whose mirrors are others after this event: whoever captures for it asks for them anew.
    private static func configuredSource(_ event: MirrorEvent) -> String? {
        switch event {
        case .added(let batch): batch.serviceName
        case .removed(let batch), .enabled(let batch), .disabled(let batch): batch.serviceName
        case .shadowsAllowed(let event): event.sourceService
        case .captured, .dispatched, .compared, .contentsErased, .drained: nil
        }
    }

    private mutating func take(_ event: MirrorEvent, _ outcome: inout Outcome) {
        switch event {
        case .added(let batch): each(batch, &outcome) { $0.add($1, $2, &$3) }
        case .removed(let batch): each(batch, &outcome) { state, source, change, _ in state.remove(source, change) }
        case .enabled(let batch):
            each(batch, &outcome) { state, source, change, _ in state.set(source, change, isEnabled: true) }
        case .disabled(let batch):
            each(batch, &outcome) { state, source, change, _ in state.set(source, change, isEnabled: false) }
        case .shadowsAllowed(let event):
            if let reason = allow(event) { outcome.refuse(0, reason) } else { outcome.accepted = 1 }
        case .captured(let batch): capture(batch, &outcome)
        case .dispatched(let batch):
            each(batch, &outcome) { state, source, event, _ in state.settle(source, event) }
        case .compared(let batch):
            for (index, event) in batch.events.enumerated() {
                if let reason = compare(batch.serviceName, event, UInt32(index)) {
                    outcome.refuse(index, reason)
                } else {
                    outcome.accepted += 1
                }
            }
        // What was erased is in nobody's state; whoever holds keys acts on the record.
        case .contentsErased(let event):
            if isToCome(event.day) { outcome.refuse(0, .timeAhead) } else { outcome.accepted = 1 }
        case .drained(let event):
            if let reason = drain(event) { outcome.refuse(0, reason) } else { outcome.accepted = 1 }
        }
    }

    /// Whether a day since 1970 has not begun yet where the record was written, wherever that is.
    private func isToCome(_ day: Int64) -> Bool {
        moment.semantics.boundsClaims && day > moment.recordedAt.rawValue / 86_400_000_000_000 + 1
    }

    private mutating func each<Element>(
        _ batch: Batch<Element>, _ outcome: inout Outcome,
        _ body: (inout TrafficMirror, String, Element, inout Bool) -> RefusalReason?
    ) {
        for (index, event) in batch.events.enumerated() {
            var isReplaced = false
            if let reason = body(&self, batch.serviceName, event, &isReplaced) {
                outcome.refuse(index, reason)
            } else {
                outcome.accepted += 1
                if isReplaced { outcome.replaced.append(UInt32(index)) }
            }
        }
    }

    private mutating func take(_ event: ClockEvent) {
        switch event {
        case .tick: expire()
        case .nodeResumed(let nodeID, ClockEvent.leads):
            guard nodeID == leaderID else { return }
            // Its first word after its claim: that has marked what waited, and nothing was sent since.
            if hasLeaderResumed { redispatch() }
            hasLeaderResumed = true
        case .nodeResumed(let nodeID, _):
            guard nodeID == leaderID || leaderEpoch == 0, !hasLeaderResumed else { return }
            hasLeaderResumed = leaderEpoch > 0
            redispatch()
        case .intakeGap: break
        case .leadershipClaimed(let nodeID, let epoch):
            // As RecordFilter judges it: a claim that was refused changes nothing here.
            guard epoch > leaderEpoch, epoch - leaderEpoch == 1 else { return }
            let isMarked = hasLeaderResumed && nodeID == leaderID
            leaderID = nodeID
            leaderEpoch = epoch
            hasLeaderResumed = false
            if !isMarked && epoch > 1 { redispatch() }
        }
    }

    // MARK: Lifecycle

    /// Adds a mirror, or replaces the configuration of one; what waits and what was counted stays.
    private mutating func add(
        _ source: String, _ event: MirrorConfiguration, _ isReplaced: inout Bool
    ) -> RefusalReason? {
        guard event.isInRange else { return .invalidSetting }
        guard let owner = sourceIndex(source), sources[owner].allowed.allows(event) else {
            return .shadowNotAllowed
        }
        var configuration = event
        configuration.createdAt = moment.logTime
        let place = mirrorPlace(event.mirrorID)
        if let index = place.index {
            guard mirrors[index].configuration.sourceService.equalsInBytes(source) else { return .wrongService }
            configuration.createdAt = mirrors[index].configuration.createdAt
            isReplaced = true
            replace(index, configuration)
            mirrors[index].isAllowed = true
            shrink(index, for: 0)
            return nil
        }
        guard mirrors.count < Self.mirrorCapacity, sources[owner].mirrors.count < Self.mirrorsPerSource else {
            return .tooManyMirrors
        }
        mirrors.insert(MirrorRow(configuration), at: place.insertion)
        touch(place.insertion)
        indexSources()
        return nil
    }

    mutating func replace(_ index: Int, _ configuration: MirrorConfiguration) {
        mirrors[index].configuration = configuration
        mirrors[index].filter = MirrorFilter(configuration)
        touch(index)
    }

    private mutating func remove(_ source: String, _ change: MirrorChange) -> RefusalReason? {
        let index: Int
        switch find(source, change.mirrorID) {
        case .success(let found): index = found
        case .failure(let reason): return reason.reason
        }
        ledger.count(.removed, UInt64(mirrors[index].pending.count))
        for directive in mirrors[index].pending { sum = sum &- digest(of: directive, index) }
        sum = sum &- mirrors[index].digest
        mirrors.remove(at: index)
        indexSources()
        return nil
    }

    private mutating func set(_ source: String, _ change: MirrorChange, isEnabled: Bool) -> RefusalReason? {
        switch find(source, change.mirrorID) {
        case .failure(let reason): return reason.reason
        case .success(let index):
            var configuration = mirrors[index].configuration
            configuration.enabled = isEnabled
            replace(index, configuration)
            return nil
        }
    }

    private mutating func allow(_ event: ShadowsAllowed) -> RefusalReason? {
        guard let list = ShadowAllowList(entries: event.endpoints, allowLoopback: event.allowLoopback) else {
            return .invalidSetting
        }
        let place = sourcePlace(event.sourceService)
        var index = place.insertion
        if let found = place.index {
            index = found
        } else {
            guard sources.count < Self.sourceCapacity else { return .tooManyServices }
            sources.insert(SourceRow(name: event.sourceService), at: index)
        }
        sources[index].allowed = list
        touch(source: index)
        for mirror in sources[index].mirrors {
            mirrors[mirror].isAllowed = list.allows(mirrors[mirror].configuration)
            touch(mirror)
        }
        return nil
    }
}

/// A refusal where a row was looked for.
struct NotFound: Error {
    let reason: RefusalReason
}

extension TrafficMirror {
    // MARK: Rows

    /// A mirror of this source.
    func find(_ source: String, _ mirrorID: String) -> Result<Int, NotFound> {
        guard let index = mirrorPlace(mirrorID).index else { return .failure(NotFound(reason: .unknownMirror)) }
        guard mirrors[index].configuration.sourceService.equalsInBytes(source) else {
            return .failure(NotFound(reason: .wrongService))
        }
        return .success(index)
    }

    func mirrorPlace(_ id: String) -> (index: Int?, insertion: Int) { Self.place(id, mirrors.count) { mirrors[$0].id } }
    func sourcePlace(_ name: String) -> (index: Int?, insertion: Int) {
        Self.place(name, sources.count) { sources[$0].name }
    }
    func sourceIndex(_ name: String) -> Int? { sourcePlace(name).index }

    private static func place(
        _ name: String, _ count: Int, _ nameAt: (Int) -> String
    ) -> (index: Int?, insertion: Int) {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if nameAt(middle).precedesInBytes(name) { low = middle + 1 } else { high = middle }
        }
        return (low < count && nameAt(low).equalsInBytes(name) ? low : nil, low)
    }

    /// Tells each source which mirrors are its own; rare, so it begins anew.
    mutating func indexSources() {
        for index in sources.indices { sources[index].mirrors.removeAll(keepingCapacity: true) }
        for (index, mirror) in mirrors.enumerated() {
            guard let source = sourceIndex(mirror.configuration.sourceService) else { continue }
            sources[source].mirrors.append(index)
        }
    }
}

extension MirrorConfiguration {
    /// Whether the numbers can be, and the rules are rules.
    var isInRange: Bool {
        sampleRateBasisPoints <= 10_000 && timeout >= .milliseconds(1) && timeout <= .seconds(60)
            && payloadLimit <= 262_144 && (1...100_000).contains(bufferRequests)
            && (1...1_073_741_824).contains(bufferBytes) && (try? comparisonRules()) != nil
    }
}
