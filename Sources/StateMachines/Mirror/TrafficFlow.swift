// The way of a request through the mirror: captured, owed, sent, compared; or dropped, with the reason in the ledger.

import DequeModule
import EventModel
import MeshRules

extension TrafficMirror {
    // MARK: Capture

    mutating func capture(_ batch: Batch<RequestCapture>, _ outcome: inout Outcome) {
        guard let source = sourceIndex(batch.serviceName), !sources[source].mirrors.isEmpty else {
            outcome.accepted = UInt32(batch.events.count)
            return
        }
        for (index, event) in batch.events.enumerated() {
            if moment.isBoundedAndAhead(event.occurredAt) {
                outcome.refuse(index, .timeAhead)
                continue
            }
            guard remember(Array(event.requestID.utf8), source) else {
                outcome.refuse(index, .duplicateRequest)
                continue
            }
            outcome.accepted += 1
            let bucket = SampleBucket.of(event.seed)
            let intent = Array(event.intent.utf8)
            for mirror in sources[source].mirrors {
                if let reason = skips(mirror, event, intent.span, bucket) {
                    mirrors[mirror].ledger.count(reason)
                    touch(mirror)
                } else {
                    enqueue(mirror, event, UInt32(index))
                }
            }
        }
    }

    private mutating func remember(_ requestID: [UInt8], _ source: Int) -> Bool {
        let request = Digest.of(requestID)
        let (isNew, forgotten) = sources[source].remember(request)
        guard isNew else { return false }
        sum = sum &+ digest(ofRecent: request, source)
        if let forgotten { sum = sum &- digest(ofRecent: forgotten, source) }
        return true
    }

    func skips(
        _ mirror: Int, _ event: RequestCapture, _ intent: borrowing Span<UInt8>, _ bucket: UInt32
    ) -> MirrorLedgerReason? {
        if !mirrors[mirror].configuration.enabled { return .disabled }
        if event.hasShadowMark { return .shadowMarked }
        if !mirrors[mirror].isAllowed { return .shadowNotAllowed }
        if !mirrors[mirror].configuration.admits(method: event.method) { return .methodNotAllowed }
        if !mirrors[mirror].filter.admits(intent: intent, bucket: bucket) {
            return switch mirrors[mirror].configuration.mode {
            case .replay: .replayOnly
            case .sampled: .notSampled
            case .filtered, .full: .notIncluded
            }
        }
        let isCut = event.payloadKept < event.payloadLength
        if isCut || event.payloadLength > UInt64(mirrors[mirror].configuration.payloadLimit) { return .truncated }
        return Self.bytes(of: event) > mirrors[mirror].configuration.bufferBytes ? .tooLarge : nil
    }

    /// What a directive counts for; sizes beyond all bounds do not add up to less.
    static func bytes(of event: RequestCapture) -> UInt64 {
        directiveBytes + min(event.payloadKept, 1 << 40) + min(event.responseKept, 1 << 40)
    }

    private mutating func enqueue(_ mirror: Int, _ event: RequestCapture, _ index: UInt32) {
        let bytes = Self.bytes(of: event)
        shrink(mirror, for: bytes)
        let directive = PendingDirective(
            causeSequence: moment.sequence, causeIndex: index, since: moment.expiryTime, bytes: bytes)
        mirrors[mirror].pending.append(directive)
        mirrors[mirror].pendingBytes += bytes
        mirrors[mirror].counts.mirrored &+= 1
        sum = sum &+ digest(of: directive, mirror)
        touch(mirror)
    }

    /// Drops the oldest until the buffer has room for so many more bytes; 0: until it is within its bounds.
    mutating func shrink(_ mirror: Int, for bytes: UInt64) {
        let room = Int(mirrors[mirror].configuration.bufferRequests) - (bytes > 0 ? 1 : 0)
        let bytesMaximum = mirrors[mirror].configuration.bufferBytes
        while let oldest = mirrors[mirror].pending.first,
            mirrors[mirror].pending.count > room || mirrors[mirror].pendingBytes + bytes > bytesMaximum
        {
            take(0, of: mirror)
            mirrors[mirror].ledger.count(oldest.phase == .waiting ? .overflow : .notCompared)
        }
    }

    // MARK: Settling

    /// Takes a directive out.
    @discardableResult
    private mutating func take(_ index: Int, of mirror: Int) -> PendingDirective {
        let directive = mirrors[mirror].pending.remove(at: index)
        mirrors[mirror].pendingBytes -= directive.bytes
        sum = sum &- digest(of: directive, mirror)
        touch(mirror)
        return directive
    }

    private mutating func change(
        _ index: Int, of mirror: Int, _ body: (inout PendingDirective) -> Void
    ) {
        var directive = mirrors[mirror].pending[index]
        sum = sum &- digest(of: directive, mirror)
        body(&directive)
        mirrors[mirror].pending[index] = directive
        sum = sum &+ digest(of: directive, mirror)
        touch(mirror)
    }

    mutating func settle(_ source: String, _ event: ShadowDispatch) -> RefusalReason? {
        if event.latency < .zero { return .negativeLatency }
        if moment.isBoundedAndTooLong(event.latency) { return .timeAhead }
        let mirror: Int
        switch find(source, event.directive.mirrorID) {
        case .success(let found): mirror = found
        case .failure(let reason): return reason.reason
        }
        if event.isBaseline {
            if event.outcome != .succeeded { mirrors[mirror].ledger.count(.baselineUnanswered) }
            touch(mirror)
            return nil
        }
        guard let index = mirrors[mirror].index(of: event.directive.causeSequence, event.directive.causeIndex),
            mirrors[mirror].pending[index].phase == .waiting
        else { return .unknownDirective }
        if event.isRedispatched { mirrors[mirror].counts.redispatched &+= 1 }
        switch event.outcome {
        case .succeeded:
            mirrors[mirror].counts.succeeded &+= 1
            let counts = mirrors[mirror].counts
            mirrors[mirror].counts.latencyTotal = counts.latencyTotal + event.latency
            mirrors[mirror].counts.latencyMaximum = max(counts.latencyMaximum, event.latency)
            change(index, of: mirror) { $0.phase = .answered }
            return nil
        case .failed: mirrors[mirror].ledger.count(.dispatchFailed)
        case .timedOut: mirrors[mirror].ledger.count(.dispatchTimedOut)
        case .rejected: mirrors[mirror].ledger.count(.dispatchRejected)
        case .skipped: mirrors[mirror].ledger.count(.dispatchSkipped)
        }
        take(index, of: mirror)
        return nil
    }

    mutating func compare(_ source: String, _ event: ShadowComparison, _ eventIndex: UInt32) -> RefusalReason? {
        let mirror: Int
        switch find(source, event.directive.mirrorID) {
        case .success(let found): mirror = found
        case .failure(let reason): return reason.reason
        }
        if event.isBaseline {
            if event.verdict != .undecided { mirrors[mirror].counts.baselines &+= 1 }
        } else {
            guard let index = mirrors[mirror].index(of: event.directive.causeSequence, event.directive.causeIndex)
            else { return .unknownDirective }
            take(index, of: mirror)
            switch event.verdict {
            case .equal: mirrors[mirror].counts.equal &+= 1
            case .different: mirrors[mirror].counts.different &+= 1
            case .undecided: mirrors[mirror].counts.undecided &+= 1
            }
        }
        if event.verdict == .different {
            mirrors[mirror].paths.count(
                event.paths, isNoise: event.isBaseline, EventPosition(sequence: moment.sequence, index: eventIndex))
        }
        touch(mirror)
        return nil
    }

    // MARK: What ends without an answer

    mutating func drain(_ event: MirrorDrained) -> RefusalReason? {
        let mirror: Int
        switch find(event.sourceService, event.mirrorID) {
        case .success(let found): mirror = found
        case .failure(let reason): return reason.reason
        }
        var rest = event.limit == 0 ? Int.max : Int(event.limit)
        removeAll(of: mirror, .drained) { directive in
            guard directive.phase == .waiting, rest > 0 else { return false }
            rest -= 1
            return true
        }
        return nil
    }

    mutating func expire() {
        for mirror in mirrors.indices {
            while let oldest = mirrors[mirror].pending.first,
                Nanoseconds(moment.expiryTime.rawValue - oldest.since.rawValue) > Self.expiresAfter
            {
                take(0, of: mirror)
                mirrors[mirror].ledger.count(oldest.phase == .waiting ? .expired : .notCompared)
            }
        }
    }

    /// The node that sends was lost: what waits may have been sent. It is sent at most once more, and marked so.
    mutating func redispatch() {
        for mirror in mirrors.indices {
            removeAll(of: mirror, .lost) { $0.phase == .waiting && $0.isRedispatched }
            for index in mirrors[mirror].pending.indices where mirrors[mirror].pending[index].phase == .waiting {
                change(index, of: mirror) { $0.isRedispatched = true }
            }
        }
    }

    private mutating func removeAll(
        of mirror: Int, _ reason: MirrorLedgerReason, where isDue: (PendingDirective) -> Bool
    ) {
        var kept: Deque<PendingDirective> = []
        for directive in mirrors[mirror].pending {
            guard isDue(directive) else {
                kept.append(directive)
                continue
            }
            mirrors[mirror].pendingBytes -= directive.bytes
            sum = sum &- digest(of: directive, mirror)
            mirrors[mirror].ledger.count(reason)
        }
        if kept.count == mirrors[mirror].pending.count { return }
        mirrors[mirror].pending = kept
        touch(mirror)
    }
}
