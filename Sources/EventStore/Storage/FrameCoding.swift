// The hot path: frames written into memory and found in it again, without a copy or an allocation per field.

import CLogSupport
package import EventModel

extension Frame {
    /// A little-endian number `offset` bytes into the frame.
    @inline(__always)
    func field<Value: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ type: Value.Type) -> Value {
        precondition(start + FrameFormat.headerByteCount <= bytes.count)
        return unsafe bytes.withUnsafeBytes { unsafe $0.number(at: start + offset) }
    }
}

extension [UInt8] {
    /// A little-endian number at a byte; traps beyond the end.
    @inline(__always)
    func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int, _ type: Value.Type) -> Value {
        precondition(offset >= 0 && offset + Value.bitWidth / 8 <= count)
        return unsafe withUnsafeBytes { unsafe $0.number(at: offset) }
    }
}

extension UnsafeRawBufferPointer {
    /// A little-endian number. The caller has checked the bounds.
    @inline(__always)
    func number<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Value {
        unsafe Value(littleEndian: baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}

extension UnsafeMutableRawPointer {
    @inline(__always)
    func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        unsafe storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }

    @inline(__always)
    func put(_ field: Span<UInt8>, at offset: Int) {
        unsafe field.withUnsafeBytes { source in
            guard let from = source.baseAddress else { return }
            unsafe (self + offset).copyMemory(from: from, byteCount: source.count)
        }
    }
}

extension FrameBatch {
    /// Appends a frame. Throws `.frameTooLarge` if a field or the frame exceeds the format; the batch is unchanged then.
    ///
    /// `sequence` must be larger than the last one's.
    package mutating func append(
        sequence: SequenceNumber, recordedAt: Timestamp, sourceHash: UInt64, eventType: UInt16, schemaVersion: UInt8,
        flags: FrameFlags, messageID: Span<UInt8>, subject: Span<UInt8>, facts: Span<UInt8>, attachment: Span<UInt8>
    ) throws(EventStoreError) {
        let size = FrameFormat.headerByteCount + messageID.count + subject.count + facts.count + attachment.count
        guard messageID.count <= Int(UInt16.max), subject.count <= Int(UInt16.max), size <= FrameFormat.maximumByteCount
        else { throw EventStoreError(.frameTooLarge, detail: "\(size) bytes") }
        let start = reserve(size, for: sequence)
        unsafe bytes.withUnsafeMutableBytes { buffer in
            let frame = unsafe buffer.baseAddress.unsafelyUnwrapped + start
            unsafe frame.put(UInt32(truncatingIfNeeded: size - FrameFormat.prefixByteCount), at: 0)
            unsafe frame.put(sequence.rawValue, at: 8)
            unsafe frame.put(recordedAt.rawValue, at: 16)
            unsafe frame.put(sourceHash, at: 24)
            unsafe frame.put(eventType, at: 32)
            unsafe frame.put(schemaVersion, at: 34)
            unsafe frame.put(flags.rawValue, at: 35)
            unsafe frame.put(UInt16(truncatingIfNeeded: messageID.count), at: 36)
            unsafe frame.put(UInt16(truncatingIfNeeded: subject.count), at: 38)
            unsafe frame.put(UInt32(truncatingIfNeeded: facts.count), at: 40)
            unsafe frame.put(UInt32(truncatingIfNeeded: attachment.count), at: 44)
            var position = FrameFormat.headerByteCount
            unsafe frame.put(messageID, at: position)
            position += messageID.count
            unsafe frame.put(subject, at: position)
            position += subject.count
            unsafe frame.put(facts, at: position)
            unsafe frame.put(attachment, at: position + facts.count)
            let prefix = FrameFormat.prefixByteCount
            unsafe frame.put(clog_crc32c(0, frame + prefix, size - prefix), at: 4)
        }
        offsets.append(UInt32(truncatingIfNeeded: start))
        frameByteCount += size
    }

    mutating func appendEncoded(_ frame: Frame) {
        let size = frame.byteCount
        let start = reserve(size, for: frame.sequence)
        unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe (buffer.baseAddress.unsafelyUnwrapped + start).put(frame.encoded.span, at: 0)
        }
        offsets.append(UInt32(truncatingIfNeeded: start))
        frameByteCount += size
    }

    /// The least room that is made.
    private static let room = [UInt8](repeating: 0, count: 4_096)

    /// Makes room at the end and returns where it begins.
    private mutating func reserve(_ size: Int, for sequence: SequenceNumber) -> Int {
        precondition(isEmpty || self.sequence(at: count - 1) < sequence, "sequences of a batch must ascend")
        let start = usedByteCount
        precondition(start + size <= Int(UInt32.max), "a batch must stay below 4 GiB")
        if bytes.count - start < size {
            let wanted = Swift.max(Self.room.count, bytes.count, size)
            // A copy of a block is one move of memory in every build; a repeated element is a loop where nothing is
            // specialised, and made a fifth of a millisecond of every small batch there.
            bytes.append(contentsOf: wanted == Self.room.count ? Self.room : [UInt8](repeating: 0, count: wanted))
        }
        usedByteCount = start + size
        return start
    }

    /// The sequence of the frame at a position.
    @inline(__always)
    func sequence(at position: Int) -> SequenceNumber {
        SequenceNumber(number(at: Int(offsets[position]) + 8, UInt64.self))
    }

    /// The time of the frame at a position.
    @inline(__always)
    func recordedAt(at position: Int) -> Timestamp {
        Timestamp(nanoseconds: number(at: Int(offsets[position]) + 16, Int64.self))
    }

    /// The whole size of the frame that begins at a byte.
    @inline(__always)
    func byteCount(ofFrameAt start: Int) -> Int {
        FrameFormat.prefixByteCount + Int(number(at: start, UInt32.self))
    }

    @inline(__always)
    private func number<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int, _ type: Value.Type) -> Value {
        precondition(offset >= 0 && offset + Value.bitWidth / 8 <= bytes.count)
        return unsafe bytes.withUnsafeBytes { unsafe $0.number(at: offset) }
    }
}
