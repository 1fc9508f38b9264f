// The server child: found or not, ready, ended.

import Foundation
import NATSMessaging
import TestKit
import Testing

@Suite struct `An embedded server` {
    @Test func `says that it is not installed`() async throws {
        var options = EmbeddedNATSServer.Options(directory: try Scratch().path)
        options.executable = "no-such-nats-server"
        let error = await #expect(throws: EmbeddedServerError.self) { try await EmbeddedNATSServer.start(options) }
        #expect(error == .notInstalled(executable: "no-such-nats-server"))
        #expect(error?.description.contains("not installed") == true)
    }

    @Test func `shows the end of its log when it does not come up`() async throws {
        let directory = try Scratch()
        var options = EmbeddedNATSServer.Options(directory: directory.path)
        options.configurationFile = try directory.write("server.conf", "nonsense {")
        let error = await #expect(throws: EmbeddedServerError.self) { try await EmbeddedNATSServer.start(options) }
        guard case .endedEarly(let log) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(log.contains("Parse error"))
    }

    @Test func `ends when it is told to, and with its owner`() async throws {
        let directory = try Scratch()
        let server = try await EmbeddedNATSServer.start(EmbeddedNATSServer.Options(directory: directory.path))
        #expect(server.isRunning && server.port > 0 && server.url.hasSuffix(":\(server.port)"))
        await server.terminate()
        #expect(!server.isRunning)
        await server.terminate()

        var owned: EmbeddedNATSServer? = try await EmbeddedNATSServer.start(.init(directory: directory.path))
        let processID = try #require(owned?.processID)
        owned = nil
        #expect(try await eventually { !FileManager.default.fileExists(atPath: "/proc/\(processID)") })
    }
}
