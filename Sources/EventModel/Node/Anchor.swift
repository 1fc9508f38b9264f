// Signed heads of the log (anchors.proto): what is signed, and how it is read and written.

/// What the log of one node was when the head was signed, and with it everything before.
public struct SegmentHead: Sendable, Hashable {
    /// 32 hexadecimal digits.
    public var logID = ""
    public var nodeID = ""
    /// The first sequence of the segment.
    public var firstSequence = SequenceNumber.origin
    /// The last sequence the head stands for.
    public var sequence = SequenceNumber.origin
    /// Bytes of the segment's file, from its beginning, that the hash is of.
    public var byteCount: UInt64 = 0
    /// SHA-256 of these bytes, 64 hexadecimal digits.
    public var hash = ""
    /// SHA-256 of the segment before; zeros for the first one of a log.
    public var predecessorHash = ""
    /// Whether the segment is complete.
    public var isSealed = false
    /// The digest of each machine after `sequence`.
    public var machines: [MachineDigest] = []
    public var signedAt = Timestamp.zero

    public init() {}

    /// The bytes a signature is made of: a word that keeps it from being taken for another's, and the canonical form.
    package var signedBytes: [UInt8] { Array("latticeforge-anchor-1\n".utf8) + encode() }

    /// The head as bytes, its fields in order.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, logID)
        writer.field(2, nodeID)
        writer.field(3, firstSequence)
        writer.field(4, sequence)
        writer.field(5, byteCount)
        writer.field(6, hash)
        writer.field(7, predecessorHash)
        writer.field(8, isSealed)
        for machine in machines { machine.write(9, &writer) }
        writer.field(10, signedAt)
        return writer.bytes
    }
}

/// A head and who vouches for it.
public struct Anchor: Sendable, Hashable {
    public var head = SegmentHead()
    /// The Ed25519 public key, 64 hexadecimal digits.
    public var publicKey = ""
    /// Ed25519 (RFC 8032), 128 hexadecimal digits.
    public var signature = ""

    public init() {}

    /// The anchor as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 512)
        let head = head.encode()
        writer.message(1) { $0.append(head) }
        writer.field(2, publicKey)
        writer.field(3, signature)
        return writer.bytes
    }

    /// Reads an anchor; says nothing of its signature.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> Anchor {
        var anchor = Anchor()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: try anchor.head.read(field, payload)
            case 2: anchor.publicKey = try FieldRules.identifier(payload, field, "public_key")
            case 3: anchor.signature = try FieldRules.identifier(payload, field, "signature")
            default: break
            }
        }
        try FieldRules.finish(cursor, "anchor")
        return anchor
    }
}

extension SegmentHead {
    fileprivate mutating func read(_ field: WireField, _ payload: ArraySlice<UInt8>) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "head") }
        var cursor = WireCursor(field.range)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: logID = try FieldRules.identifier(payload, field, "log_id")
            case 2: nodeID = try FieldRules.identifier(payload, field, "node_id")
            case 3: firstSequence = SequenceNumber(try FieldRules.number(field, "first_sequence"))
            case 4: sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            case 5: byteCount = try FieldRules.number(field, "byte_count")
            case 6: hash = try FieldRules.identifier(payload, field, "hash")
            case 7: predecessorHash = try FieldRules.identifier(payload, field, "predecessor_hash")
            case 8: isSealed = try FieldRules.number(field, "sealed") != 0
            case 9: machines.append(try MachineDigest(field, payload))
            case 10: signedAt = try FieldRules.time(field, "signed_at")
            default: break
            }
        }
        try FieldRules.finish(cursor, "head")
    }
}

extension MachineDigest {
    fileprivate init(_ field: WireField, _ payload: ArraySlice<UInt8>) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "machines") }
        self.init(machine: "", digest: .zero)
        var cursor = WireCursor(field.range)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: machine = try FieldRules.identifier(payload, field, "machine")
            case 2:
                let text = try FieldRules.identifier(payload, field, "digest")
                guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
                    let low = UInt64(text.suffix(16), radix: 16)
                else { throw DecodeError("malformed", "digest") }
                digest = Digest(high: high, low: low)
            default: break
            }
        }
        try FieldRules.finish(cursor, "machines")
    }
}
