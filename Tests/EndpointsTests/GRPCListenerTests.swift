// The listener for OTLP over gRPC, asked frame by frame: what is answered to whom.

import EventModel
import Foundation
import Listeners
@testable import Endpoints
import SwiftProtobuf
import TestKit
import Testing
@testable import TraceFormats

@Suite struct `The listener for OTLP over gRPC` {
    private static let good = HTTP2Bytes.message(OTLPBytes.request())

    @Test func `a call is answered with head, message and trailers, many on one connection`() async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            for stream in stride(from: 1, to: 21, by: 2) {
                let answer = try await client.call(stream, body: Self.good)
                #expect(answer.httpStatus == "200" && answer.status == 0 && answer.blocks.count == 2, "\(answer)")
                #expect(answer.data == [0, 0, 0, 0, 0] && answer.reset == nil)
                #expect(answer.acceptEncoding == "identity,gzip,deflate")
            }
            let empty = try await client.call(21, body: HTTP2Bytes.message([]))
            #expect(empty.status == 0, "a request without spans is a request: \(empty)")
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }

    @Test func `a message that comes byte by byte, padded and behind trailers is the same`() async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            await client.send(HTTP2Bytes.headers(1, HTTP2Bytes.fields()))
            for byte in Self.good {
                await client.send(HTTP2Bytes.frame(HTTP2Bytes.Kind.data, flags: 8, stream: 1, [3, byte, 0, 0, 0]))
            }
            await client.send(HTTP2Bytes.headers(1, [("x-trailer", Array("1".utf8))], ends: true))
            #expect(try await client.answer().status == 0)
        }
    }

    @Test(arguments: [
        (NodeMood.isBusy, 8, "rate_limited", true), (.isAbsent, 14, "no node answers: timeout", true),
        (.accepts, 0, "", false),
    ])
    func `what the node says is the status`(mood: NodeMood, code: Int, message: String, passes: Bool) async throws {
        try await GRPCStage.with(mood) { stage in
            let answer = try await RawHTTP2Client.greeting(stage.port).call(body: Self.good)
            #expect(answer.status == code && answer.message == message, "\(answer)")
            #expect((answer.details != nil) == passes)
        }
    }

    @Test func `what is refused is counted in partial_success`() async throws {
        try await GRPCStage.with(.refusesSpans) { stage in
            let answer = try await RawHTTP2Client.greeting(stage.port).call(body: Self.good)
            #expect(answer.status == 0 && answer.data.count > 5, "\(answer)")
            let response = try Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse(
                serializedBytes: Array(answer.data.dropFirst(5)))
            #expect(response.partialSuccess.rejectedSpans == 1)
            #expect(response.partialSuccess.errorMessage == "1 × too_old")
        }
    }

    @Test(
        arguments: [
            ([], [0, 0, 0, 0, 3, 1, 2, 3], 3), ([], [], 12), ([], [0, 0, 0, 0, 9, 1], 13),
            ([], HTTP2Bytes.message([]) + HTTP2Bytes.message([]), 12), ([], [1, 0, 0, 0, 0], 13),
            ([], [9, 0, 0, 0, 0], 13),
            ([], [0, 0, 0x40, 0, 1], 8), ([], [0, 255, 255, 255, 255], 8),
            ([("grpc-encoding", "gzip")], HTTP2Bytes.message([1, 2, 3], flag: 1), 13),
            ([("grpc-encoding", "deflate")], HTTP2Bytes.message([1, 2, 3], flag: 1), 13),
            ([("grpc-encoding", "gzip")], HTTP2Bytes.message([1, 2, 3]), 3), ([("grpc-encoding", "br")], [], 12),
            ([(":path", "/grpc.health.v1.Health/Check")], [], 12),
        ] as [([(String, String?)], [UInt8], Int)])
    func `a bad call has a final status, in trailers alone`(
        changes: [(String, String?)], body: [UInt8], code: Int
    ) async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let answer = try await client.call(1, HTTP2Bytes.fields(changes), body: body)
            #expect(answer.status == code && answer.blocks.count == 1 && answer.data.isEmpty, "\(answer)")
            #expect(answer.httpStatus == "200" && answer.details == nil && !answer.message.isEmpty)
            #expect(answer.acceptEncoding == "identity,gzip,deflate")
            #expect(answer.reset == nil || answer.reset == 0, "\(answer)")
            #expect(try await client.call(3, body: Self.good).status == 0, "the connection is sound")
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }

    @Test func `garbage is told to be no OTLP`() async throws {
        try await GRPCStage.with { stage in
            let answer = try await RawHTTP2Client.greeting(stage.port).call(body: HTTP2Bytes.message([0xFF, 0xFF]))
            #expect(answer.status == 3 && answer.message.contains("ExportTraceServiceRequest of OTLP"), "\(answer)")
        }
    }

    @Test func `what is no call of gRPC has a status of HTTP`() async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let json = try await client.call(1, HTTP2Bytes.fields([("content-type", "application/json")]), body: [])
            #expect(json.httpStatus == "415", "\(json)")
            let get = try await client.call(3, HTTP2Bytes.fields([(":method", "GET")]), body: [])
            #expect(get.httpStatus == "405" && get.field("allow") == "POST", "\(get)")
        }
    }

    @Test func `a message above the limit is refused when its length is known, and its sender is told to stop`()
        async throws
    {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            await client.send(
                HTTP2Bytes.headers(1, HTTP2Bytes.fields()) + HTTP2Bytes.data(1, [0, 0, 0x40, 0, 1, 7, 7]))
            let answer = try await client.answer()
            #expect(answer.status == 8 && answer.details == nil && answer.isEnded, "\(answer)")
            try await waitFor("a reset without an error") { client.soFar(1).reset == 0 }
            // What was on its way still harms nobody.
            await client.send(HTTP2Bytes.data(1, [1, 2, 3]) + HTTP2Bytes.data(1, [4], ends: true))
            #expect(try await client.call(3, body: Self.good).status == 0)
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }

    @Test func `without its token a call is refused before a byte of it is kept`() async throws {
        try await GRPCStage.with(token: "right") { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            for (number, authorization) in [nil, "Bearer wrong", "right", "", "Bearer right "].enumerated() {
                let stream = 2 * number + 1
                // The message never comes; the answer does.
                await client.send(HTTP2Bytes.headers(stream, HTTP2Bytes.fields([("authorization", authorization)])))
                let answer = try await client.answer(stream)
                #expect(answer.status == 16 && answer.details == nil, "\(answer)")
                await client.send(HTTP2Bytes.data(stream, HTTP2Bytes.message([], length: 60_000) + [1, 2, 3]))
            }
            #expect(stage.budget.usedBytes == 0)
            #expect(try await stage.answersGoodCall(token: "right"))
        }
    }

    @Test func `a deadline that is over ends the call, and the listener goes on`() async throws {
        try await GRPCStage.with(.waits) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let late = try await client.call(1, HTTP2Bytes.fields([("grpc-timeout", "30m")]), body: Self.good)
            #expect(late.status == 4 && late.blocks.count == 1, "\(late)")
            await client.send(HTTP2Bytes.headers(3, HTTP2Bytes.fields([("grpc-timeout", "0S")])))
            #expect(try await client.answer(3).status == 4, "without a message, too")
            #expect(stage.budget.usedBytes > 0, "the work goes on")
            stage.release()
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
            let next = try await client.call(5, HTTP2Bytes.fields([("grpc-timeout", "20S")]), body: Self.good)
            #expect(next.status == 0, "\(next)")
        }
    }

    @Test func `TLS is pending by who agrees on h2, and a token is asked for behind it`() async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/lattice-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try CertificateFixtures.make(in: directory)
        let tls = try ListenerTLS(certificateFile: directory + "/server.pem", keyFile: directory + "/server.key")
        try await GRPCStage.with(token: "right", tls: tls) { stage in
            #expect(try await stage.answersGoodCall(token: "right", trusting: directory + "/ca.pem"))
            #expect(try await !stage.answersGoodCall(token: "wrong", trusting: directory + "/ca.pem"))
            let plain = try await RawHTTP2Client.greeting(stage.port)
            try await plain.closed()
            let stranger = try await RawHTTP2Client.connect(stage.port)
            await stranger.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            try await stranger.closed()
            #expect(try await stage.answersGoodCall(token: "right", trusting: directory + "/ca.pem"))
        }
    }

    @Test func `the end of the listener waits for calls that are under way`() async throws {
        try await GRPCStage.with(.waits) { stage in
            let busy = try await RawHTTP2Client.greeting(stage.port)
            let idle = try await RawHTTP2Client.greeting(stage.port)
            await busy.send(HTTP2Bytes.headers(1, HTTP2Bytes.fields()) + HTTP2Bytes.data(1, Self.good, ends: true))
            try await waitFor("the node is asked") { stage.askedCount == 1 }
            try await waitFor("the other one is greeted") { idle.settingsCount == 1 }
            await stage.beginToStop()
            try await idle.closed()
            try await waitFor("a farewell") { busy.goAways.last == 0 && busy.goAways.count == 2 }
            #expect(!busy.isClosed && idle.goAways.allSatisfy { $0 == 0 })
            stage.release()
            #expect(try await busy.answer().status == 0)
            try await busy.closed()
        }
    }
}
