// The mirror's answers from protobuf, as far as those who follow its configurations need them.

extension MirrorsAnswer {
    /// The configurations of an answer to `mirrors`, without their figures.
    ///
    /// - Throws: `malformed`, `missing` and the like with the field's name.
    package static func configurations(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> [MirrorConfiguration] {
        var result: [MirrorConfiguration] = []
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number != 2 { continue }
            guard field.isBytes else { throw DecodeError("malformed", "mirrors") }
            var (source, mirror) = ("", MirrorConfiguration?.none)
            var inner = WireCursor(field.range)
            while let part = inner.next(in: bytes.span) {
                if part.number == 1 { source = try FieldRules.identifier(bytes, part, "source_service") }
                if part.number == 2, part.isBytes { mirror = try MirrorCodec.configuration(bytes, part.range) }
            }
            try FieldRules.finish(inner, "mirrors")
            guard var mirror else { throw DecodeError("missing", "mirror") }
            mirror.sourceService = source
            result.append(mirror)
        }
        try FieldRules.finish(cursor, "message")
        return result
    }
}
