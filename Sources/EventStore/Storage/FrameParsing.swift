// Finding frames in bytes that came from a disk and may be damaged.

import CLogSupport
import EventModel

/// What lies at a byte of a segment.
enum FrameFinding: Equatable {
    /// An intact frame of this whole size.
    case frame(byteCount: Int, sequence: SequenceNumber)
    /// An intact mark: everything before `durableOffset` had reached the disk when the mark was written.
    case mark(durableOffset: UInt64, durableSequence: SequenceNumber)
    /// The frames end here; a sealed segment's index follows.
    case footer
    /// The bytes end before the thing that begins here does; this many bytes are needed.
    case incomplete(neededByteCount: Int)
    /// Neither of these.
    case invalid
}

/// Why a walk through bytes ended.
enum ParseEnd: Equatable {
    /// All bytes were used.
    case complete
    /// The bytes end within something; it needs this many.
    case incomplete(neededByteCount: Int)
    case footer
    case invalid
}

/// What a walk through bytes found besides frames.
struct ParseResult: Equatable {
    var end: ParseEnd
    /// Where the walk ended: the first byte that belongs to nothing intact.
    var endOffset: Int
    /// The furthest byte of the segment that a mark proves durable.
    var durableOffset: UInt64?
    var durableSequence: SequenceNumber?
}

enum FrameParser {
    /// What lies at `offset` of a buffer; the caller has checked that the offset is inside.
    @inline(__always)
    static func find(in buffer: UnsafeRawBufferPointer, at offset: Int) -> FrameFinding {
        let available = buffer.count - offset
        guard available >= FrameFormat.prefixByteCount else {
            return .incomplete(neededByteCount: FrameFormat.prefixByteCount)
        }
        let length: UInt32 = unsafe buffer.number(at: offset)
        if length == FrameFormat.footerMarker { return .footer }
        let size = FrameFormat.prefixByteCount + Int(length)
        let isMark = Int(length) == FrameFormat.markLength
        guard isMark || (Int(length) >= FrameFormat.minimumLength && size <= FrameFormat.maximumByteCount) else {
            return .invalid
        }
        guard available >= size else { return .incomplete(neededByteCount: size) }
        if isMark { return unsafe findMark(in: buffer, at: offset) }
        guard unsafe fieldsFill(buffer, at: offset, length: Int(length)), unsafe isIntact(buffer, offset, length) else {
            return .invalid
        }
        return .frame(byteCount: size, sequence: SequenceNumber(unsafe buffer.number(at: offset + 8)))
    }

    private static func findMark(in buffer: UnsafeRawBufferPointer, at offset: Int) -> FrameFinding {
        guard unsafe buffer.number(at: offset + 8) == FrameFormat.markMagic,
            unsafe isIntact(buffer, offset, UInt32(FrameFormat.markLength))
        else { return .invalid }
        return .mark(
            durableOffset: unsafe buffer.number(at: offset + 24),
            durableSequence: SequenceNumber(unsafe buffer.number(at: offset + 16)))
    }

    @inline(__always)
    private static func isIntact(_ buffer: UnsafeRawBufferPointer, _ offset: Int, _ length: UInt32) -> Bool {
        let content = unsafe buffer.baseAddress.unsafelyUnwrapped + offset + FrameFormat.prefixByteCount
        return unsafe clog_crc32c(0, content, Int(length)) == buffer.number(at: offset + 4)
    }

    /// Whether the lengths of the fields add up to the frame's length: a cheap test before the checksum.
    @inline(__always)
    private static func fieldsFill(_ buffer: UnsafeRawBufferPointer, at offset: Int, length: Int) -> Bool {
        let messageID: UInt16 = unsafe buffer.number(at: offset + 36)
        let subject: UInt16 = unsafe buffer.number(at: offset + 38)
        let facts: UInt32 = unsafe buffer.number(at: offset + 40)
        let attachment: UInt32 = unsafe buffer.number(at: offset + 44)
        return FrameFormat.minimumLength + Int(messageID) + Int(subject) + Int(facts) + Int(attachment) == length
    }

    /// What lies at `offset` of some bytes.
    static func find(in bytes: Span<UInt8>, at offset: Int) -> FrameFinding {
        precondition(offset <= bytes.count)
        return unsafe bytes.withUnsafeBytes { unsafe find(in: $0, at: offset) }
    }

    /// The bytes of a mark.
    static func mark(durableOffset: UInt64, durableSequence: SequenceNumber) -> [UInt8] {
        var content = ByteWriter()
        content.put(FrameFormat.markMagic)
        content.put(durableSequence.rawValue)
        content.put(durableOffset)
        var mark = ByteWriter()
        mark.put(UInt32(FrameFormat.markLength))
        mark.put(Checksum.crc32c(content.bytes.span))
        mark.put(content.bytes)
        return mark.bytes
    }
}

extension FrameBatch {
    /// Finds the frames from byte `start` on that ascend from `previous`, and says where and why it stopped.
    ///
    /// `position` is the segment's byte at which the memory begins; marks are checked against it.
    mutating func parse(from start: Int, after previous: SequenceNumber, position: UInt64) -> ParseResult {
        var result = ParseResult(end: .complete, endOffset: start)
        var last = previous
        // Taken out so that the buffer and the offsets are not two overlapping accesses of one value.
        var found = offsets
        offsets = []
        var frameBytes = frameByteCount
        unsafe bytes.withUnsafeBytes { buffer in
            while result.endOffset < buffer.count {
                switch unsafe FrameParser.find(in: buffer, at: result.endOffset) {
                case .frame(let byteCount, let sequence):
                    guard sequence > last else { return result.end = .invalid }
                    last = sequence
                    found.append(UInt32(truncatingIfNeeded: result.endOffset))
                    frameBytes += byteCount
                    result.endOffset += byteCount
                case .mark(let durableOffset, let durableSequence):
                    guard durableOffset <= position + UInt64(result.endOffset) else { return result.end = .invalid }
                    result.durableOffset = durableOffset
                    result.durableSequence = durableSequence
                    result.endOffset += FrameFormat.markByteCount
                case .footer: return result.end = .footer
                case .incomplete(let needed): return result.end = .incomplete(neededByteCount: needed)
                case .invalid: return result.end = .invalid
                }
            }
        }
        offsets = found
        frameByteCount = frameBytes
        usedByteCount = result.endOffset
        return result
    }
}

extension FrameParser {
    /// All intact frames and marks in bytes of which nothing is known, wherever they begin.
    static func search(_ bytes: Span<UInt8>) -> [(offset: Int, what: FrameFinding)] {
        var findings: [(offset: Int, what: FrameFinding)] = []
        unsafe bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let finding = unsafe find(in: buffer, at: offset)
                switch finding {
                case .frame(let byteCount, _):
                    findings.append((offset, finding))
                    offset += byteCount
                case .mark:
                    findings.append((offset, finding))
                    offset += FrameFormat.markByteCount
                default: offset += 1
                }
            }
        }
        return findings
    }
}
