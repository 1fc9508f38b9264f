// Answers as JSON: in the dialect of people's tools, or as the wire has them.

import ArgumentParser
import EventModel

/// Whether, and in which dialect, an answer is printed as JSON.
struct JSONOptions: ParsableArguments {
    @Flag(help: "Print the answer as one line of JSON: numbers, RFC 3339, every field; --json=wire: as it is on NATS.")
    var json = false

    /// How `--json=wire` reaches the parser, whose flags take no values.
    @Flag(help: .hidden) var jsonWire = false

    var dialect: JSONDialect { jsonWire ? .wire : .people }
}

/// How a message is written as JSON.
enum JSONDialect: Sendable {
    /// Numbers as numbers, moments in RFC 3339, every field.
    case people
    /// Protobuf's JSON with the ids and names of LatticeForge, as NATS carries it.
    case wire

    /// A message's canonical bytes.
    func text(_ bytes: [UInt8], _ kind: MessageKind) throws(DecodeError) -> [UInt8] {
        switch self {
        case .people: try JSONTranscoder.people(fromBinary: bytes, kind: kind)
        case .wire: try JSONTranscoder.json(fromBinary: bytes, kind: kind)
        }
    }

    /// An event's canonical bytes.
    func text(_ bytes: [UInt8], _ type: EventType) throws(DecodeError) -> [UInt8] {
        switch self {
        case .people: try JSONTranscoder.people(fromBinary: bytes, type: type)
        case .wire: try JSONTranscoder.json(fromBinary: bytes, type: type)
        }
    }

    /// Prints an answer.
    func say(_ bytes: [UInt8], _ kind: MessageKind) throws(CommandFailure) {
        do throws(DecodeError) {
            Terminal.say(try text(bytes, kind))
        } catch {
            throw CommandFailure(.failed, "the answer is not understood: \(error); is the node of another version?")
        }
    }
}
