// What the messaging tests share: buses with and without a server, readers on threads of their own, waiting.

import Dispatch
import EventModel
import Foundation
import Logging
import Messaging
import NATSMessaging
import TestKit
import Testing

/// A nats-server of one test, and its directory.
final class TestServer: Sendable {
    let directory: Scratch
    let server: EmbeddedNATSServer
    var url: String { server.url }

    private init(_ directory: Scratch, _ server: EmbeddedNATSServer) {
        self.directory = directory
        self.server = server
    }

    static func start(
        jetStream: Bool = false, configuration: String? = nil, in directory: Scratch? = nil,
        port: UInt16? = nil, program: String = "nats-server"
    ) async throws -> TestServer {
        let directory = try directory ?? Scratch()
        var options = EmbeddedNATSServer.Options(directory: directory.path)
        options.executable = program
        options.port = port
        if jetStream { options.jetStreamDirectory = directory.path + "/js" }
        if let configuration { options.configurationFile = try directory.write("server.conf", configuration) }
        return TestServer(directory, try await EmbeddedNATSServer.start(options))
    }

    /// Gives the running server another configuration, as an operator does.
    func reload(_ configuration: String) throws {
        _ = try directory.write("server.conf", configuration)
        kill(server.processID, SIGHUP)
    }

    /// A server with the same data on the same port, after this one has ended.
    func restarted(jetStream: Bool = false, configuration: String? = nil) async throws -> TestServer {
        try await Self.start(jetStream: jetStream, configuration: configuration, in: directory, port: server.port)
    }

    func connect(_ adjust: (inout NATSConfiguration) -> Void = { _ in }) async throws -> NATSMessageBus {
        var configuration = NATSConfiguration(servers: [url], name: "messaging tests")
        configuration.reconnect.delayMin = .milliseconds(10)
        configuration.reconnect.delayMax = .milliseconds(50)
        adjust(&configuration)
        return try await NATSMessageBus.connect(configuration, logger: .quiet)
    }
}

extension Logger {
    static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

/// The implementations that must pass the same tests.
enum BusKind: String, CaseIterable, Sendable {
    case memory, nats

    /// Runs a test with a bus of this kind and ends everything after it.
    func withBus(_ body: (any MessageBus) async throws -> Void) async throws {
        switch self {
        case .memory:
            let bus = InMemoryMessageBus()
            try await body(bus)
            await bus.close()
        case .nats:
            let server = try await TestServer.start()
            let bus = try await server.connect { $0.sendsAtOnce = true }
            try await body(bus)
            await bus.close()
            await server.server.terminate()
        }
    }
}

/// Runs what blocks on a thread of its own.
func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
}

/// Pulls until `count` messages have come or nothing came for `timeout`.
func received(
    _ count: Int, from subscription: any MessageSubscription, timeout: Duration = .seconds(5)
) async throws -> [Message] {
    try await onThread {
        var messages: [Message] = []
        while messages.count < count {
            let batch = try subscription.receive(maximum: count - messages.count, timeout: timeout)
            if batch.isEmpty { break }
            messages += batch
        }
        return messages
    }
}

/// The same for a stream.
func received(
    _ count: Int, from source: any StreamSource, timeout: Duration = .seconds(10)
) async throws -> [Message] {
    try await onThread {
        var messages: [Message] = []
        while messages.count < count {
            let batch = try source.receive(maximum: count - messages.count, timeout: timeout)
            if batch.isEmpty { break }
            messages += batch
        }
        return messages
    }
}

/// Answers every message with its payload, until the subscription has ended.
func answerOnThread(_ subscription: any MessageSubscription, on bus: any MessageBus) {
    Thread.detachNewThread {
        while let questions = try? subscription.receive(maximum: 64, timeout: .seconds(1)) {
            for question in questions {
                try? bus.publish(Message(subject: question.replyTo, payload: question.payload))
            }
        }
    }
}

func text(_ subject: String, _ text: String) -> Message { Message(subject: subject, payload: Array(text.utf8)) }

extension Message {
    var text: String { String(decoding: payload, as: UTF8.self) }

    /// FNV-1a of subject and payload: enough to tell messages apart in tests.
    static func testFingerprint(_ message: Message) -> UInt64 {
        (Array(message.subject.utf8) + [0] + message.payload).reduce(0xcbf2_9ce4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
    }
}
