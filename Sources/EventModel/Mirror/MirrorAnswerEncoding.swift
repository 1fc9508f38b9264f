// The mirror's answers into protobuf (mirror_queries.proto), by hand like all answers.

extension LedgerEntry {
    fileprivate func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, reason)
            inner.field(2, count)
        }
    }
}

extension MirrorState {
    fileprivate func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, configuration.sourceService)
            inner.message(2) { MirrorConfiguration.write(configuration, &$0) }
            inner.field(3, configuration.createdAt)
            inner.field(4, isShadowRefused)
            inner.field(5, pendingCount)
            inner.field(6, pendingBytes)
            inner.field(7, awaitingComparisonCount)
            inner.field(8, mirrored)
            inner.field(9, succeeded)
            inner.field(10, redispatched)
            inner.field(11, equal)
            inner.field(12, different)
            inner.field(13, undecided)
            inner.field(14, baselines)
            inner.field(15, latencyTotal)
            inner.field(16, latencyMaximum)
            for entry in ledger { entry.write(17, &inner) }
        }
    }
}

extension MirrorState {
    /// Bytes in JSON, about: names of fields and numbers, and the texts.
    package var pageBytes: Int {
        var writer = WireWriter()
        write(2, &writer)
        return 1_024 + 2 * writer.bytes.count
    }
}

extension MirrorsAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 64 + mirrors.count * 256)
        asOf.write(1, &writer)
        for mirror in mirrors { mirror.write(2, &writer) }
        for entry in allowedShadows { writer.element(3, entry) }
        writer.field(4, allowLoopback)
        writer.field(5, omitted)
        writer.field(6, nextPageToken)
        return writer.bytes
    }
}

extension MirrorLedgerAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        for row in rows {
            writer.message(2) { inner in
                inner.field(1, row.mirrorID)
                for entry in row.entries { entry.write(2, &inner) }
            }
        }
        writer.field(3, nextPageToken)
        return writer.bytes
    }
}

extension MirrorPendingAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        writer.field(2, pendingCount)
        for copy in copies {
            writer.message(3) { inner in
                MirrorCodec.directive(copy.directive, &inner)
                inner.field(4, copy.shadowEndpoint)
                inner.field(5, copy.isRedispatch)
            }
        }
        writer.field(4, nextPageToken)
        return writer.bytes
    }
}

extension MirrorDiffsAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        writer.field(2, mirrorID)
        writer.field(3, compared)
        writer.field(4, differing)
        writer.field(5, failed)
        writer.field(6, basisPoints)
        writer.field(7, thresholdBasisPoints)
        writer.field(8, passes)
        for row in paths {
            writer.message(9) { inner in
                inner.message(1) { MirrorCodec.path(row.path, &$0) }
                inner.field(2, row.raw)
                inner.field(3, row.noise)
                inner.field(4, row.basisPoints)
                inner.field(5, row.verdict)
                inner.field(6, row.latest.sequence)
                inner.field(7, row.latest.index)
            }
        }
        writer.field(10, omitted)
        writer.field(11, nextPageToken)
        return writer.bytes
    }
}

extension MirrorComparisonAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 1_024)
        asOf.write(1, &writer)
        writer.field(2, sourceService)
        writer.message(3) { MirrorCodec.comparison(comparison, &$0) }
        writer.message(4) { MirrorAttachment.write(differences, &$0) }
        if let capture {
            writer.message(5) { MirrorCodec.capture(capture, &$0) }
            writer.message(6) { MirrorAttachment.write(content, &$0) }
        }
        writer.field(7, isErased)
        writer.field(8, shadowEndpoint)
        return writer.bytes
    }
}

extension MirrorDecisionsAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        for decision in decisions {
            writer.message(2) { inner in
                inner.field(1, decision.mirrorID)
                inner.field(2, decision.isMirrored)
                inner.field(3, decision.reason)
            }
        }
        writer.field(3, sampleBucket)
        return writer.bytes
    }
}

extension CapturesAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 64 + captures.count * 512)
        asOf.write(1, &writer)
        for recorded in captures {
            writer.message(2) { inner in
                inner.field(1, recorded.position.sequence)
                inner.field(2, recorded.position.index)
                inner.field(3, recorded.recordedAt)
                inner.message(4) { MirrorCodec.capture(recorded.capture, &$0) }
                inner.message(5) { MirrorAttachment.write(recorded.content, &$0) }
                inner.field(6, recorded.isErased)
            }
        }
        writer.field(3, nextSequence)
        return writer.bytes
    }
}
