// The canonical bytes of the mirror's events: fields in order, defaults unsaid.

extension MirrorCodec {
    static func write(_ event: MirrorEvent, _ writer: inout WireWriter) -> EventType {
        switch event {
        case .added(let batch):
            write(batch, &writer, configuration)
            return .mirrorAdded
        case .removed(let batch):
            write(batch, &writer, change)
            return .mirrorRemoved
        case .enabled(let batch):
            write(batch, &writer, change)
            return .mirrorEnabled
        case .disabled(let batch):
            write(batch, &writer, change)
            return .mirrorDisabled
        case .shadowsAllowed(let event):
            writer.field(1, event.sourceService)
            for endpoint in event.endpoints { writer.element(2, endpoint) }
            writer.field(3, event.allowLoopback)
            writer.field(4, event.reason)
            return .shadowsAllowed
        case .captured(let batch):
            write(batch, &writer, capture)
            return .requestCaptured
        case .dispatched(let batch):
            write(batch, &writer, dispatch)
            return .requestDispatched
        case .compared(let batch):
            write(batch, &writer, comparison)
            return .responseCompared
        case .drained(let event):
            writer.field(1, event.sourceService)
            writer.field(2, event.mirrorID)
            writer.field(3, event.limit)
            writer.field(4, event.reason)
            return .mirrorDrained
        case .contentsErased(let event):
            writer.field(1, event.sourceService)
            writer.field(2, event.day)
            writer.field(3, event.reason)
            return .contentsErased
        }
    }

    private static func write<Element>(
        _ batch: Batch<Element>, _ writer: inout WireWriter, _ element: (Element, inout WireWriter) -> Void
    ) {
        writer.field(1, batch.serviceName)
        for event in batch.events { writer.message(2) { inner in element(event, &inner) } }
    }

    /// A configuration as it stands in an event; also what checkpoints and digests are made of.
    package static func configuration(_ mirror: MirrorConfiguration, _ writer: inout WireWriter) {
        let usual = MirrorConfiguration(mirrorID: "", sourceService: "", shadowEndpoint: "")
        func said<Value: Equatable>(_ value: Value, _ usual: Value, _ number: (Value) -> UInt64) -> UInt64? {
            value == usual ? nil : number(value)
        }
        writer.field(1, mirror.mirrorID)
        writer.field(2, mirror.shadowEndpoint)
        if mirror.mode != usual.mode { writer.field(3, mirror.mode.name) }
        writer.optionalField(4, said(mirror.sampleRateBasisPoints, usual.sampleRateBasisPoints) { UInt64($0) })
        for intent in mirror.includeIntents { writer.element(5, intent) }
        for intent in mirror.excludeIntents { writer.element(6, intent) }
        writer.optionalField(7, said(mirror.timeout, usual.timeout) { UInt64(bitPattern: $0.rawValue) })
        writer.field(8, !mirror.enabled)
        writer.field(9, mirror.allowWrites)
        writer.optionalField(10, said(mirror.payloadLimit, usual.payloadLimit) { UInt64($0) })
        writer.optionalField(11, said(mirror.bufferRequests, usual.bufferRequests) { UInt64($0) })
        writer.optionalField(12, said(mirror.bufferBytes, usual.bufferBytes) { $0 })
        writer.field(13, mirror.shadowAuthentication)
        for rule in mirror.ignoreFields { writer.element(14, rule) }
        for rule in mirror.unorderedArrays { writer.element(15, rule) }
        for name in mirror.comparedHeaders { writer.element(16, name) }
        writer.field(17, mirror.baselineEndpoint)
        writer.field(18, mirror.baselineAuthentication)
    }

    private static func change(_ change: MirrorChange, _ writer: inout WireWriter) {
        writer.field(1, change.mirrorID)
        writer.field(2, change.reason)
    }

    static func capture(_ capture: RequestCapture, _ writer: inout WireWriter) {
        writer.field(1, capture.requestID)
        writer.field(2, capture.traceID)
        writer.field(3, capture.intent)
        writer.field(4, capture.method)
        writer.field(5, capture.pathHash)
        writer.field(6, capture.sampleSeed)
        writer.field(7, capture.occurredAt)
        writer.field(8, capture.payloadLength)
        writer.field(9, capture.payloadKept)
        writer.field(10, capture.status)
        writer.field(11, capture.responseLength)
        writer.field(12, capture.responseKept)
        writer.field(13, capture.latency)
        writer.field(14, capture.hasShadowMark)
    }

    static func directive(_ directive: DirectiveID, _ writer: inout WireWriter) {
        writer.field(1, directive.causeSequence)
        writer.field(2, directive.causeIndex)
        writer.field(3, directive.mirrorID)
    }

    private static func dispatch(_ dispatch: ShadowDispatch, _ writer: inout WireWriter) {
        directive(dispatch.directive, &writer)
        writer.field(4, dispatch.outcome.name)
        writer.field(5, dispatch.status)
        writer.field(6, dispatch.latency)
        writer.field(7, dispatch.reason)
        writer.field(8, dispatch.isRedispatched)
        writer.field(9, dispatch.isBaseline)
    }

    static func comparison(_ comparison: ShadowComparison, _ writer: inout WireWriter) {
        directive(comparison.directive, &writer)
        writer.field(4, comparison.verdict.name)
        writer.field(5, comparison.differenceCount)
        for path in comparison.paths {
            writer.message(6) { Self.path(path, &$0) }
        }
        writer.field(7, comparison.isBaseline)
    }

    static func path(_ path: DifferingPath, _ writer: inout WireWriter) {
        writer.field(1, path.part.name)
        writer.field(2, path.pattern)
        writer.field(3, path.kind.name)
    }
}
