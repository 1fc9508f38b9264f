// The mirror's answers from protobuf, as far as those who follow its configurations need them.

/// A page of `mirrors`, as far as those who follow configurations read it.
package struct MirrorConfigurationsPage: Sendable, Hashable {
    package var asOf = AsOf(sequence: .origin, recordedAt: .zero)
    /// In order of mirror id.
    package var configurations: [MirrorConfiguration] = []
    /// Empty: this was the last page.
    package var nextPageToken = ""
}

extension MirrorsAnswer {
    /// A page of an answer to `mirrors`: the configurations without their figures, and where the next page begins.
    ///
    /// - Throws: `malformed`, `missing` and the like with the field's name.
    package static func configurations(
        _ bytes: ArraySlice<UInt8>
    ) throws(DecodeError) -> MirrorConfigurationsPage {
        var result = MirrorConfigurationsPage()
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 1 { result.asOf = try AnswerParts.asOf(bytes, field) }
            if field.number == 6 { result.nextPageToken = try AnswerParts.text(bytes, field, "next_page_token") }
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
            result.configurations.append(mirror)
        }
        try FieldRules.finish(cursor, "message")
        return result
    }
}
