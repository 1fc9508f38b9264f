// The one message of a unary call, gathered from however many pieces it comes in.

import NIOCore

/// A message as it came: packed or not.
struct GRPCMessage: Sendable {
    var bytes: [UInt8]
    /// Nil: not packed.
    var encoding: GRPCEncoding?
}

/// Gathers a message: a byte that says whether it is packed, four of its length, and itself.
struct GRPCMessageReader {
    private let encoding: GRPCEncoding
    private let limit: Int
    private var prefixCount = 0
    private var isPacked = false
    private var length = 0
    private var bytes: [UInt8] = []
    /// Bytes of memory that `reserve` was asked for.
    private(set) var room = 0
    private static let prefixBytes = 5
    /// What is asked for at once, where the message is longer.
    private static let firstRoom = 65_536

    /// - Parameter limit: bytes of a message, as it comes.
    init(encoding: GRPCEncoding, limit: Int) {
        self.encoding = encoding
        self.limit = limit
    }

    /// Takes a piece; `reserve` is asked before memory grows by so many bytes.
    mutating func take(_ piece: ByteBuffer, reserve: (Int) -> Bool) throws(GRPCStatus) {
        var piece = piece
        while prefixCount < Self.prefixBytes, let byte = piece.readInteger(as: UInt8.self) { try take(prefix: byte) }
        let count = piece.readableBytes
        if count == 0 { return }
        guard bytes.count + count <= length else {
            throw GRPCStatus(.unimplemented, "the method takes one message, and more came")
        }
        if bytes.count + count > room {
            let wanted = min(length, max(bytes.count + count, 2 * room, Self.firstRoom))
            guard reserve(wanted - room) else { throw .busy("too many requests under way") }
            bytes.reserveCapacity(wanted)
            room = wanted
        }
        bytes.append(contentsOf: piece.readableBytesView)
    }

    private mutating func take(prefix byte: UInt8) throws(GRPCStatus) {
        prefixCount += 1
        if prefixCount > 1 {
            length = length << 8 | Int(byte)
            guard prefixCount < Self.prefixBytes || length <= limit else {
                throw GRPCStatus(ReceiverFailure.tooLarge)
            }
            return
        }
        guard byte <= 1 else { throw GRPCStatus(.internalError, "the first byte of a message is 0 or 1") }
        isPacked = byte == 1
        if isPacked, encoding == .identity {
            throw GRPCStatus(.internalError, "the message is packed, and grpc-encoding does not say how")
        }
    }

    /// The message, when the caller has ended its half of the stream.
    mutating func finish() throws(GRPCStatus) -> GRPCMessage {
        guard prefixCount > 0 else { throw GRPCStatus(.unimplemented, "the method takes one message, and none came") }
        guard prefixCount == Self.prefixBytes, bytes.count == length else {
            throw GRPCStatus(.internalError, "the message did not come whole")
        }
        let message = GRPCMessage(bytes: bytes, encoding: isPacked ? encoding : nil)
        drop()
        return message
    }

    /// Frees what came.
    mutating func drop() { bytes = [] }
}
