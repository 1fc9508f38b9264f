// The fields of a generated message: what JSON for people needs to know of the schema beyond what is set in a message.

package import SwiftProtobuf
import Synchronization

/// What fields a message has, in the order of their numbers.
package struct JSONShape: Sendable {
    /// The type of a field's values.
    package enum Kind: Sendable {
        case int32, uint32, int64, uint64, sfixed64, double, bool, string, bytes
        case choice(JSONChoice)
        case message(any SwiftProtobuf.Message.Type)
        /// None that LatticeForge's schemas have.
        case unknown
    }

    /// When a field has a value.
    package enum Presence: Sendable {
        /// Always: zero, false and empty are values like others.
        case implied
        /// When it was set: `optional`, and messages.
        case present
        /// When it is the member of its `oneof` that was set.
        case choice
        /// Any number of values.
        case repeated
    }

    /// One field.
    package struct Field: Sendable {
        package let number: Int
        package let name: String
        package let kind: Kind
        package let presence: Presence
        /// Whether it is a moment, in nanoseconds since 1970.
        package let isTime: Bool
        /// Whether its values may lie beyond 2^53, where many readers of JSON lose digits: chance, hashes, counters that
        /// begin anywhere, and numbers of others.
        package let isText: Bool
        /// Whether its bytes are the id of a trace or a span.
        package let isIdentifier: Bool

        init(number: Int, name: String, kind: Kind, presence: Presence) {
            self.number = number
            self.name = name
            self.kind = kind
            self.presence = presence
            isText = ["seed", "cursor", "path_hash", "int_value"].contains(name)
            switch (kind, JSONField(Array(name.utf8)[...])) {
            case (.int64, .time), (.sfixed64, .time): (isTime, isIdentifier) = (true, false)
            case (.bytes, .traceID), (.bytes, .spanID): (isTime, isIdentifier) = (false, true)
            default: (isTime, isIdentifier) = (false, false)
            }
        }
    }

    package let fields: [Field]

    /// The highest number of a field that is looked for; the schemas' highest is 65.
    private static let numbers = 1...127
    private static let known = Mutex<[ObjectIdentifier: JSONShape]>([:])

    /// The shape of a message of this kind.
    package static func of(_ kind: MessageKind) -> JSONShape { of(kind.message) }
    /// The shape of an event of this type.
    package static func of(_ type: EventType) -> JSONShape { of(type.message) }

    /// The shape of a generated type; found out once.
    package static func of(_ type: any SwiftProtobuf.Message.Type) -> JSONShape {
        let id = ObjectIdentifier(type)
        if let shape = known.withLock({ $0[id] }) { return shape }
        let shape = JSONShape(type)
        known.withLock { $0[id] = shape }
        return shape
    }

    private init(_ type: any SwiftProtobuf.Message.Type) {
        do {
            fields = try Self.numbers.compactMap { try JSONShapeProbe.field($0, of: type) }
        } catch {
            preconditionFailure("a message with one field has a JSON form: \(error)")
        }
    }
}
