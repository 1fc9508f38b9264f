// Finds out what fields a generated message has, by offering it one at a time: the generated code then says of which type
// each is. What it decodes into has that one field, whose name its JSON tells.

import FoundationEssentials
import SwiftProtobuf

/// A source of one field, which notes what the message takes it for.
struct JSONShapeProbe: SwiftProtobuf.Decoder {
    private let number: Int
    private var isOffered = false
    private(set) var kind: JSONShape.Kind?
    private(set) var presence = JSONShape.Presence.implied
    /// Whether the message says that another member of the same choice is set already.
    private(set) var isConflicting = false

    private init(_ number: Int) { self.number = number }

    /// The field of a number; nil where the message has none.
    static func field<Body: Message>(_ number: Int, of type: Body.Type) throws -> JSONShape.Field? {
        var message = Body()
        var probe = JSONShapeProbe(number)
        try message.decodeMessage(decoder: &probe)
        guard let kind = probe.kind else { return nil }
        // Once more: a member of a choice meets itself.
        var second = JSONShapeProbe(number)
        try message.decodeMessage(decoder: &second)
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        let json: [UInt8] = try message.jsonUTF8Bytes(options: options)
        let name = json.drop { $0 != UInt8(ascii: "\"") }.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
        return JSONShape.Field(
            number: number, name: String(decoding: name, as: UTF8.self), kind: kind,
            presence: second.isConflicting ? .choice : probe.presence)
    }

    mutating func nextFieldNumber() -> Int? {
        defer { isOffered = true }
        return isOffered ? nil : number
    }

    mutating func handleConflictingOneOf() { isConflicting = true }

    private mutating func note<Value>(
        _ kind: JSONShape.Kind, _ value: Value, _ presence: JSONShape.Presence = .implied
    ) -> Value {
        self.kind = kind
        self.presence = presence
        return value
    }

    // MARK: What a message may ask for

    mutating func decodeSingularFloatField(value: inout Float) { value = note(.unknown, 1) }
    mutating func decodeSingularFloatField(value: inout Float?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedFloatField(value: inout [Float]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularDoubleField(value: inout Double) { value = note(.double, 1) }
    mutating func decodeSingularDoubleField(value: inout Double?) { value = note(.double, 1, .present) }
    mutating func decodeRepeatedDoubleField(value: inout [Double]) { value = [note(.double, 1, .repeated)] }
    mutating func decodeSingularInt32Field(value: inout Int32) { value = note(.int32, 1) }
    mutating func decodeSingularInt32Field(value: inout Int32?) { value = note(.int32, 1, .present) }
    mutating func decodeRepeatedInt32Field(value: inout [Int32]) { value = [note(.int32, 1, .repeated)] }
    mutating func decodeSingularInt64Field(value: inout Int64) { value = note(.int64, 1) }
    mutating func decodeSingularInt64Field(value: inout Int64?) { value = note(.int64, 1, .present) }
    mutating func decodeRepeatedInt64Field(value: inout [Int64]) { value = [note(.int64, 1, .repeated)] }
    mutating func decodeSingularUInt32Field(value: inout UInt32) { value = note(.uint32, 1) }
    mutating func decodeSingularUInt32Field(value: inout UInt32?) { value = note(.uint32, 1, .present) }
    mutating func decodeRepeatedUInt32Field(value: inout [UInt32]) { value = [note(.uint32, 1, .repeated)] }
    mutating func decodeSingularUInt64Field(value: inout UInt64) { value = note(.uint64, 1) }
    mutating func decodeSingularUInt64Field(value: inout UInt64?) { value = note(.uint64, 1, .present) }
    mutating func decodeRepeatedUInt64Field(value: inout [UInt64]) { value = [note(.uint64, 1, .repeated)] }
    mutating func decodeSingularSInt32Field(value: inout Int32) { value = note(.unknown, 1) }
    mutating func decodeSingularSInt32Field(value: inout Int32?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedSInt32Field(value: inout [Int32]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularSInt64Field(value: inout Int64) { value = note(.unknown, 1) }
    mutating func decodeSingularSInt64Field(value: inout Int64?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedSInt64Field(value: inout [Int64]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularFixed32Field(value: inout UInt32) { value = note(.unknown, 1) }
    mutating func decodeSingularFixed32Field(value: inout UInt32?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedFixed32Field(value: inout [UInt32]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularFixed64Field(value: inout UInt64) { value = note(.unknown, 1) }
    mutating func decodeSingularFixed64Field(value: inout UInt64?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedFixed64Field(value: inout [UInt64]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularSFixed32Field(value: inout Int32) { value = note(.unknown, 1) }
    mutating func decodeSingularSFixed32Field(value: inout Int32?) { value = note(.unknown, 1, .present) }
    mutating func decodeRepeatedSFixed32Field(value: inout [Int32]) { value = [note(.unknown, 1, .repeated)] }
    mutating func decodeSingularSFixed64Field(value: inout Int64) { value = note(.sfixed64, 1) }
    mutating func decodeSingularSFixed64Field(value: inout Int64?) { value = note(.sfixed64, 1, .present) }
    mutating func decodeRepeatedSFixed64Field(value: inout [Int64]) { value = [note(.sfixed64, 1, .repeated)] }
    mutating func decodeSingularBoolField(value: inout Bool) { value = note(.bool, true) }
    mutating func decodeSingularBoolField(value: inout Bool?) { value = note(.bool, true, .present) }
    mutating func decodeRepeatedBoolField(value: inout [Bool]) { value = [note(.bool, true, .repeated)] }
    mutating func decodeSingularStringField(value: inout String) { value = note(.string, "a") }
    mutating func decodeSingularStringField(value: inout String?) { value = note(.string, "a", .present) }
    mutating func decodeRepeatedStringField(value: inout [String]) { value = [note(.string, "a", .repeated)] }
    mutating func decodeSingularBytesField(value: inout Data) { value = note(.bytes, Data([1])) }
    mutating func decodeSingularBytesField(value: inout Data?) { value = note(.bytes, Data([1]), .present) }
    mutating func decodeRepeatedBytesField(value: inout [Data]) { value = [note(.bytes, Data([1]), .repeated)] }

    mutating func decodeSingularEnumField<E: Enum>(value: inout E) where E.RawValue == Int {
        value = note(.choice(JSONChoice(E.self)), E(rawValue: 1) ?? E())
    }
    mutating func decodeSingularEnumField<E: Enum>(value: inout E?) where E.RawValue == Int {
        value = note(.choice(JSONChoice(E.self)), E(rawValue: 1) ?? E(), .present)
    }
    mutating func decodeRepeatedEnumField<E: Enum>(value: inout [E]) where E.RawValue == Int {
        value = [note(.choice(JSONChoice(E.self)), E(rawValue: 1) ?? E(), .repeated)]
    }
    mutating func decodeSingularMessageField<M: Message>(value: inout M?) {
        value = note(.message(M.self), M(), .present)
    }
    mutating func decodeRepeatedMessageField<M: Message>(value: inout [M]) {
        value = [note(.message(M.self), M(), .repeated)]
    }

    // MARK: What no schema has; a test renders every kind of message

    mutating func decodeSingularGroupField<G: Message>(value: inout G?) { value = note(.unknown, G(), .present) }
    mutating func decodeRepeatedGroupField<G: Message>(value: inout [G]) { value = [note(.unknown, G(), .repeated)] }
    mutating func decodeMapField<KeyType, ValueType: MapValueType>(
        fieldType: _ProtobufMap<KeyType, ValueType>.Type, value: inout _ProtobufMap<KeyType, ValueType>.BaseType
    ) { kind = .unknown }
    mutating func decodeMapField<KeyType, ValueType>(
        fieldType: _ProtobufEnumMap<KeyType, ValueType>.Type, value: inout _ProtobufEnumMap<KeyType, ValueType>.BaseType
    ) where ValueType.RawValue == Int { kind = .unknown }
    mutating func decodeMapField<KeyType, ValueType>(
        fieldType: _ProtobufMessageMap<KeyType, ValueType>.Type,
        value: inout _ProtobufMessageMap<KeyType, ValueType>.BaseType
    ) { kind = .unknown }
    mutating func decodeExtensionField(
        values: inout ExtensionFieldValueSet, messageType: any Message.Type, fieldNumber: Int
    ) { kind = .unknown }
}
