// JSON from and to protobuf. The mapping is SwiftProtobuf's; `JSONScanner` adds what LatticeForge writes differently and
// the strictness that a log needs, because what was taken once cannot be refused later.

import SwiftProtobuf

/// Translates messages between JSON and their canonical bytes.
///
/// Names are snake_case, 64-bit numbers decimal strings, absent members have their default. Differently from protobuf's
/// JSON: strategies and health states by their lower-case names, trace ids in hexadecimal, times also as RFC 3339.
///
/// Errors carry, besides the codes of `EventCodec`: `too_long` (more than `Limits.messageBytes`), `too_deep`,
/// `unknown_field`, `duplicate_field`, and the path of the member as far as it is known.
package enum JSONTranscoder {
    /// The canonical bytes of an event's JSON; what they say is for `EventCodec.decode` to judge.
    package static func binary(fromJSON json: [UInt8], type: EventType) throws(DecodeError) -> [UInt8] {
        try binary(json, type.message)
    }

    /// The canonical bytes of a message's JSON.
    package static func binary(fromJSON json: [UInt8], kind: MessageKind) throws(DecodeError) -> [UInt8] {
        try binary(json, kind.message)
    }

    /// The JSON of an event's bytes, on one line.
    package static func json(
        fromBinary bytes: ArraySlice<UInt8>, type: EventType
    ) throws(DecodeError) -> [UInt8] {
        try json(Array(bytes), type.message)
    }

    /// The JSON of an event's bytes, on one line.
    package static func json(fromBinary bytes: [UInt8], type: EventType) throws(DecodeError) -> [UInt8] {
        try json(bytes, type.message)
    }

    /// The JSON of a message's bytes, on one line.
    package static func json(
        fromBinary bytes: ArraySlice<UInt8>, kind: MessageKind
    ) throws(DecodeError) -> [UInt8] {
        try json(Array(bytes), kind.message)
    }

    /// The JSON of a message's bytes, on one line.
    package static func json(fromBinary bytes: [UInt8], kind: MessageKind) throws(DecodeError) -> [UInt8] {
        try json(bytes, kind.message)
    }

    private static func binary<Body: SwiftProtobuf.Message>(
        _ json: [UInt8], _ type: Body.Type
    ) throws(DecodeError) -> [UInt8] {
        guard json.count <= Limits.messageBytes else { throw DecodeError("too_long", "message") }
        let plain = try JSONScanner.rewrite(json, .toProtobuf)
        do {
            let message = try Body(jsonUTF8Bytes: plain)
            try checkNumbers(message)
            return try message.serializedBytes()
        } catch {
            throw translate(error)
        }
    }

    private static func json<Body: SwiftProtobuf.Message>(
        _ bytes: [UInt8], _ type: Body.Type
    ) throws(DecodeError) -> [UInt8] {
        do {
            let message = try Body(serializedBytes: bytes)
            try checkNumbers(message)
            return try text(message)
        } catch {
            throw translate(error)
        }
    }

    /// A message as LatticeForge's JSON.
    static func text(_ message: any SwiftProtobuf.Message) throws -> [UInt8] {
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        return JSONVisible.escaped(
            try JSONScanner.rewrite(try message.jsonUTF8Bytes(options: options), .fromProtobuf))
    }

    /// Refuses what JSON has no number for; the schemas have one floating-point field.
    private static func checkNumbers(_ message: any SwiftProtobuf.Message) throws(DecodeError) {
        guard let status = message as? Lattice_V1_NodeStatus else { return }
        guard status.retentionDaysLeft.isFinite else { throw DecodeError("malformed", "retention_days_left") }
    }

    private static func translate(_ error: any Error) -> DecodeError {
        switch error {
        case let error as DecodeError: error
        case JSONDecodingError.unknownField(let name): DecodeError("unknown_field", name)
        case JSONDecodingError.unrecognizedEnumValue: DecodeError("unknown_enum_value", "message")
        case JSONDecodingError.conflictingOneOf: DecodeError("duplicate_field", "event")
        case JSONDecodingError.messageDepthLimit, BinaryDecodingError.messageDepthLimit:
            DecodeError("too_deep", "message")
        case JSONDecodingError.invalidUTF8, BinaryDecodingError.invalidUTF8: DecodeError("invalid_utf8", "message")
        default: DecodeError("malformed", "message")
        }
    }
}
