// One message of libnats, and how it becomes a `Message` of ours.

internal import CNATS
internal import CNATSSupport
internal import Glibc
internal import Messaging

/// One message lent to us by libnats; destroyed exactly once, when this value ends.
@safe struct NATSMessageHandle: ~Copyable {
    private let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }

    /// Builds a message to be sent.
    static func create(_ message: Message, replyTo: String) throws(BusError) -> NATSMessageHandle {
        var created: OpaquePointer?
        let status = unsafe message.payload.withUnsafeBytes { bytes in
            unsafe natsMsg_Create(
                &created, message.subject, replyTo.isEmpty ? nil : replyTo,
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
        }
        try check(status, "publish \(message.subject)")
        guard let created = unsafe created else { throw BusError(.other, "publish \(message.subject): no message") }
        let handle = unsafe NATSMessageHandle(adopting: created)
        for header in message.headers {
            try check(unsafe natsMsgHeader_Add(created, header.name, header.value), "add header \(header.name)")
        }
        return handle
    }

    deinit { unsafe lattice_message_free(pointer) }

    func publish(on connection: NATSConnectionHandle) -> natsStatus {
        unsafe natsConnection_PublishMsg(connection.pointer, pointer)
    }

    /// Whether it is the server's word that nobody listens.
    var saysNoResponders: Bool {
        unsafe natsMsg_GetDataLength(pointer) == 0 && header(NATSHeaderBlock.statusName) == "503"
    }

    /// Where an answer is expected, lent for as long as this handle lives.
    @unsafe var replyBytes: UnsafePointer<CChar>? { unsafe natsMsg_GetReply(pointer) }

    /// The subject, lent for as long as this handle lives.
    @unsafe var subjectBytes: UnsafePointer<CChar>? { unsafe natsMsg_GetSubject(pointer) }

    var subject: String { unsafe Self.string(natsMsg_GetSubject(pointer)) }

    var replyTo: String { unsafe Self.string(natsMsg_GetReply(pointer)) }

    var payload: [UInt8] {
        let count = Int(unsafe natsMsg_GetDataLength(pointer))
        guard count > 0, let data = unsafe natsMsg_GetData(pointer) else { return [] }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: count))
    }

    /// The first value of a header.
    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// All headers in order of arrival. Costs next to nothing when there are none.
    var headers: [MessageHeader] {
        var length = 0
        var isKnown = false
        let block = unsafe lattice_message_header_block(pointer, &length, &isKnown)
        guard isKnown else { return headersOfLibrary }
        guard let block = unsafe block else { return [] }
        let bytes = unsafe UnsafeRawBufferPointer(start: block, count: length).bindMemory(to: UInt8.self)
        return unsafe NATSHeaderBlock.headers(bytes.span)
    }

    /// What libnats makes of the headers, sorted by name: for versions whose messages are laid out otherwise.
    var headersOfLibrary: [MessageHeader] {
        var names: UnsafeMutablePointer<UnsafePointer<CChar>?>?
        var count: Int32 = 0
        guard unsafe natsMsgHeader_Keys(pointer, &names, &count) == NATS_OK, let names = unsafe names else { return [] }
        defer { unsafe free(names) }
        var headers: [MessageHeader] = []
        for index in 0..<Int(count) {
            guard let name = unsafe names[index] else { continue }
            unsafe appendValues(of: name, to: &headers)
        }
        return headers.stablySortedByName()
    }

    @unsafe private func appendValues(of name: UnsafePointer<CChar>, to headers: inout [MessageHeader]) {
        var values: UnsafeMutablePointer<UnsafePointer<CChar>?>?
        var count: Int32 = 0
        guard unsafe natsMsgHeader_Values(pointer, name, &values, &count) == NATS_OK, let values = unsafe values else {
            return
        }
        defer { unsafe free(values) }
        let text = unsafe String(cString: name)
        for index in 0..<Int(count) {
            unsafe headers.append(MessageHeader(text, Self.string(values[index])))
        }
    }

    /// Everything as it arrived; the subject's string is shared with the message before when it is the same.
    func message(_ subjects: inout SubjectCache) -> Message {
        Message(
            subject: unsafe subjects.string(subjectBytes), replyTo: replyTo, headers: headers, payload: payload)
    }

    /// The same for a consumer's message, whose reply subject belongs to the stream.
    func message(_ subjects: inout SubjectCache, at position: StreamPosition) -> Message {
        Message(
            subject: unsafe subjects.string(subjectBytes), headers: headers, payload: payload, stream: position)
    }

    /// What a consumer says of this message; nil when another consumer sent it, or none.
    func delivery(from consumer: [UInt8]) -> JetStreamDelivery? {
        guard let reply = unsafe replyBytes else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: reply, count: strlen(reply)).bindMemory(to: UInt8.self)
        return unsafe JetStreamDelivery(acknowledgementSubject: bytes.span, consumer: consumer)
    }

    @unsafe private static func string(_ text: UnsafePointer<CChar>?) -> String {
        guard let text = unsafe text, unsafe text.pointee != 0 else { return "" }
        return unsafe String(cString: text)
    }
}

extension [MessageHeader] {
    /// Sorted by the bytes of the name; the values of one name keep their order.
    fileprivate func stablySortedByName() -> [MessageHeader] {
        enumerated()
            .sorted { ($0.element.name, $0.offset) < ($1.element.name, $1.offset) }
            .map(\.element)
    }
}

/// The last subject seen: a reader mostly sees the same one again, and a comparison costs less than an allocation.
struct SubjectCache {
    private var last = ""

    @unsafe mutating func string(_ bytes: UnsafePointer<CChar>?) -> String {
        guard let bytes = unsafe bytes else { return "" }
        let isSame = unsafe last.utf8.withContiguousStorageIfAvailable { known in
            unsafe strncmp(bytes, UnsafeRawPointer(known.baseAddress!).assumingMemoryBound(to: CChar.self), known.count)
                == 0 && bytes[known.count] == 0
        }
        if isSame != true || last.isEmpty { unsafe last = String(cString: bytes) }
        return last
    }
}
