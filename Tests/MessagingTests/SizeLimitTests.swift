// What a server does not take: refused before it is sent, at the price of that one message.

import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

/// A server with limits of its own.
struct LimitedServer: Sendable, CustomTestStringConvertible {
    var program = "nats-server"
    var lineBytes: Int?
    var payloadBytes: Int?

    var testDescription: String {
        let name = program.hasPrefix("/") ? "a newer nats-server" : program
        return "\(name), line \(lineBytes ?? 4_096), payload \(payloadBytes ?? 1_048_576)"
    }

    static let all: [LimitedServer] = (["nats-server"] + [Strangers.newNATSServer].compactMap { $0 }).flatMap {
        program in
        [
            LimitedServer(program: program), LimitedServer(program: program, payloadBytes: 512),
            LimitedServer(program: program, payloadBytes: 70_000),
        ]
    }

    func start() async throws -> TestServer {
        var configuration = ""
        if let lineBytes { configuration += "max_control_line: \(lineBytes)\n" }
        if let payloadBytes { configuration += "max_payload: \(payloadBytes)\n" }
        return try await TestServer.start(configuration: configuration, program: program)
    }
}

@Suite struct `What a server does not take` {
    @Test(arguments: LimitedServer.all)
    func `is refused alone, whatever is too long, and the connection stays`(_ limited: LimitedServer) async throws {
        let server = try await limited.start()
        let bus = try await server.connect { $0.sendsAtOnce = true }
        let payloadMax = limited.payloadBytes ?? 1_048_576
        var sentCount = 0
        var dice = SeededGenerator(seed: 11)
        // A mebibyte costs more than a short line.
        let kinds = payloadMax > 500_000 ? 40 : 4
        for _ in 0..<600 {
            var message = Message(subject: "s", payload: [])
            let around = [16, 500, 4_050, 4_096, 4_150, 9_000]
            let length = { max(0, around.randomElement(using: &dice)! + Int.random(in: -40...40, using: &dice)) }
            switch Int.random(in: 0..<kinds, using: &dice) {
            case 0:
                let value = String(repeating: "v", count: payloadMax + Int.random(in: -60...60, using: &dice))
                message.headers = [MessageHeader("H", value)]
            case 1:
                message.payload = [UInt8](repeating: 7, count: payloadMax + Int.random(in: -60...60, using: &dice))
                if Bool.random(using: &dice) { message.headers = [MessageHeader("Some", "header")] }
            default:
                message.subject = String(repeating: "s", count: 1 + length())
                message.replyTo = String(repeating: "r", count: length())
            }
            do throws(BusError) {
                try bus.publish(message)
                sentCount += 1
            } catch {
                #expect([.invalidArgument, .messageTooLarge].contains(error.code), "\(error)")
            }
            if sentCount % 50 == 0 { try await bus.flush(timeout: .seconds(10)) }
        }
        try await bus.flush(timeout: .seconds(10))
        #expect(sentCount > 100)
        #expect(bus.reconnectCount == 0 && bus.state == .connected, "the server hung up")
        await bus.close()
        await server.server.terminate()
    }

    @Test func `up to the last byte is sent`() async throws {
        let server = try await LimitedServer(payloadBytes: 1_024).start()
        let bus = try await server.connect { $0.sendsAtOnce = true }
        let all = try bus.subscribe(">", queueGroup: nil, limits: .standard)
        try bus.publish(Message(subject: "plain", payload: [UInt8](repeating: 1, count: 1_024)))
        // NATS/1.0, the empty line, and four characters around the header.
        let value = String(repeating: "v", count: 1_024 - 12 - 4 - 1)
        try bus.publish(Message(subject: "head", headers: [MessageHeader("H", value)], payload: []))
        #expect(try await received(2, from: all).map(\.subject) == ["plain", "head"])
        let error = #expect(throws: BusError.self) {
            try bus.publish(Message(subject: "head", headers: [MessageHeader("H", value + "v")], payload: []))
        }
        #expect(error?.code == .messageTooLarge)
        await bus.close()
        await server.server.terminate()
    }

    @Test func `is learned from a server that takes shorter lines than others, and the connection comes back`()
        async throws
    {
        let server = try await LimitedServer(lineBytes: 512).start()
        let bus = try await server.connect { $0.sendsAtOnce = true }
        let news = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        let long = Message(subject: "s", replyTo: String(repeating: "r", count: 900), payload: [])
        var refusal: BusError?
        let isLearned = try await eventually {
            do throws(BusError) {
                try bus.publish(long)
                try await bus.flush(timeout: .seconds(5))
            } catch { refusal = error }
            return refusal?.code == .invalidArgument
        }
        #expect(isLearned, "\(String(describing: refusal))")
        #expect(try await eventually { bus.state == .connected })
        try bus.publish(text("news", "still here"))
        #expect(try await received(1, from: news).map(\.text) == ["still here"])
        await bus.close()
        await server.server.terminate()
    }
}
