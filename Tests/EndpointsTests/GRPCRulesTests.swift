// The rules of calls without a network: deadlines, statuses, header fields, messages in pieces.

import Foundation
import NIOCore
import NIOHPACK
@testable import Endpoints
import Testing

@Suite struct `Rules of gRPC` {
    @Test(
        arguments: [
            ("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("10S", 10_000_000_000), ("100m", 100_000_000),
            ("7u", 7_000), ("99999999n", 99_999_999), ("0S", 0), ("00000000001S", 1_000_000_000),
        ] as [(String, Int64)])
    func `a timeout is digits and a unit`(text: String, nanoseconds: Int64) {
        #expect(GRPCTimeout.parse(text) == .nanoseconds(nanoseconds))
    }

    @Test(arguments: [
        "", "S", "1", "-1S", "+1S", "1X", "1s", " 1S", "1S ", "1 S", "1.5S", "0x1S", "1S1S", "١S", "1\u{0}S", "\u{0}",
        "99999999999999999999H", "9223372036854775807S", "9223372036854775808n", "18446744073709551616n", "24H",
        String(repeating: "9", count: 9_000) + "n", "∞", "NaN",
    ])
    func `what is no timeout, or longer than a day, is no deadline`(text: String) {
        #expect(GRPCTimeout.parse(text) == nil)
    }

    @Test func `a status' message is percent-encoded and cut`() {
        #expect(GRPCStatus(.internalError, "größe 100%\n\u{7F}~ !").encodedMessage == "gr%C3%B6%C3%9Fe 100%25%0A%7F~ !")
        #expect(GRPCStatus(.internalError, String(repeating: "x", count: 9_000)).encodedMessage.utf8.count == 1_024)
        let hostile = GRPCStatus(.internalError, "a\r\nset-cookie: b\u{0}").encodedMessage
        #expect(hostile == "a%0D%0Aset-cookie: b%00")
    }

    @Test func `only a status that passes has details, and they are RetryInfo`() throws {
        #expect(GRPCStatus(ReceiverFailure.tooLarge).details == nil)
        #expect(GRPCStatus(ReceiverFailure.malformed("x")).details == nil)
        let text = try #require(GRPCStatus(ReceiverFailure.busy("full")).details)
        #expect(!text.contains("="))
        let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        let bytes = try #require(Data(base64Encoded: padded))
        let type = Array("type.googleapis.com/google.rpc.RetryInfo".utf8)
        let any = [0x0A, UInt8(type.count)] + type + [0x12, 4, 0x0A, 2, 0x08, 1]
        #expect(Array(bytes) == [0x08, 8, 0x12, 4] + Array("full".utf8) + [0x1A, UInt8(any.count)] + any)
    }

    @Test(
        arguments: [
            ([(":method", "GET")], GRPCCode.internalError, 405),
            ([("content-type", "application/json")], .internalError, 415),
            ([("content-type", nil)], .internalError, 415),
            ([("content-type", "application/grpc+json")], .internalError, 415),
            ([("content-type", "application/grpcx")], .internalError, 415),
            ([("content-type", "application/grpc-web")], .internalError, 415),
            ([(":path", "/x.Y/Export")], .unimplemented, 200), ([(":path", "/")], .unimplemented, 200),
            ([(":path", HTTP2Bytes.path + "/")], .unimplemented, 200),
            ([("authorization", nil)], .unauthenticated, 200),
            ([("authorization", "Bearer wrong")], .unauthenticated, 200),
            ([("grpc-encoding", "br")], .unimplemented, 200),
            ([("grpc-encoding", "gzip, deflate")], .unimplemented, 200),
        ] as [([(String, String?)], GRPCCode, Int)])
    func `a call is refused by its header fields`(changes: [(String, String?)], code: GRPCCode, status: Int) {
        do throws(GRPCStatus) {
            _ = try judge([("authorization", "Bearer right")] + changes)
            Issue.record("\(changes) is let in")
        } catch {
            #expect(error.code == code && error.httpStatus == status && error.retryAfter == nil, "\(error)")
        }
    }

    @Test(
        arguments: [
            [], [("content-type", "application/grpc+proto")], [("content-type", "Application/gRPC; charset=utf-8")],
            [("grpc-encoding", "gzip")], [("grpc-encoding", "DEFLATE")], [("grpc-encoding", "")],
            [("grpc-timeout", "-1S")],
            [("te", nil)],
        ] as [[(String, String?)]])
    func `a call is let in by its header fields`(changes: [(String, String?)]) throws {
        _ = try judge([("authorization", "Bearer right")] + changes)
    }

    private func judge(_ changes: [(String, String?)]) throws(GRPCStatus) -> GRPCRequestHead {
        let fields = HTTP2Bytes.fields(changes).map { ($0.0, String(decoding: $0.1, as: UTF8.self)) }
        return try GRPCRequestHead.judge(HPACKHeaders(fields), path: HTTP2Bytes.path) { $0 == "Bearer right" }
    }

    @Test func `a message is the same however it is cut into pieces, and costs what it is`() throws {
        let content = (0..<200).map { UInt8($0) }
        let bytes = HTTP2Bytes.message(content, flag: 1)
        for size in 1...bytes.count {
            var reader = GRPCMessageReader(encoding: .gzip, limit: 1_000)
            var reserved = 0
            for start in stride(from: 0, to: bytes.count, by: size) {
                let piece = ByteBuffer(bytes: bytes[start..<min(bytes.count, start + size)])
                try reader.take(piece) { more in
                    reserved += more
                    return true
                }
            }
            #expect(reserved == 200 && reader.room == 200)
            let message = try reader.finish()
            #expect(message.bytes == content && message.encoding == .gzip)
        }
    }

    @Test func `memory grows with what came and not with what was announced`() throws {
        var reader = GRPCMessageReader(encoding: .identity, limit: 4_194_304)
        let first = HTTP2Bytes.message([1], length: 4_000_000)
        try reader.take(ByteBuffer(bytes: first)) { _ in true }
        #expect(reader.room == 65_536)
        try reader.take(ByteBuffer(repeating: 1, count: 65_536)) { _ in true }
        #expect(reader.room == 131_072)
        #expect(throws: GRPCStatus.busy("too many requests under way")) {
            try reader.take(ByteBuffer(repeating: 1, count: 70_000)) { _ in false }
        }
    }

    @Test(arguments: [
        ([] as [UInt8], GRPCCode.unimplemented), ([0, 0], .internalError), ([0, 0, 0, 0, 9, 1], .internalError),
        ([0, 0, 0, 0, 1, 1, 1], .unimplemented), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unimplemented),
        ([2, 0, 0, 0, 0], .internalError), ([255, 0, 0, 0, 0], .internalError), ([1, 0, 0, 0, 0], .internalError),
        ([0, 255, 255, 255, 255], .resourceExhausted), ([0, 0, 0, 3, 233], .resourceExhausted),
    ])
    func `what is not one whole message is refused`(bytes: [UInt8], code: GRPCCode) {
        for size in 1...max(1, bytes.count) {
            do throws(GRPCStatus) {
                var reader = GRPCMessageReader(encoding: .identity, limit: 1_000)
                for start in stride(from: 0, to: bytes.count, by: size) {
                    try reader.take(ByteBuffer(bytes: bytes[start..<min(bytes.count, start + size)])) { _ in true }
                }
                _ = try reader.finish()
                Issue.record("\(bytes) is a message")
            } catch {
                #expect(error.code == code && error.retryAfter == nil, "\(error)")
            }
        }
    }
}
