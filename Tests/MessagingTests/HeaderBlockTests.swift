// Headers as they stand on the wire.

import Messaging
import Testing

@testable import NATSMessaging

@Suite struct `A header block` {
    @Test func `gives names and values in order, trimmed, empty ones too`() {
        let headers = read("NATS/1.0\r\nB: 2\r\nA:1\r\nEmpty:\r\nB:  3 4 \r\nURL: http://x:1\r\n\r\n")
        #expect(
            headers == [
                MessageHeader("B", "2"), MessageHeader("A", "1"), MessageHeader("Empty", ""), MessageHeader("B", "3 4"),
                MessageHeader("URL", "http://x:1"),
            ])
    }

    @Test func `gives the status of the first line as headers`() {
        #expect(read("NATS/1.0 503\r\n\r\n") == [MessageHeader("Status", "503")])
        #expect(
            read("NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n") == [
                MessageHeader("Status", "408"), MessageHeader("Description", "Request Timeout"),
                MessageHeader("Nats-Pending-Messages", "3"),
            ])
    }

    @Test func `is read the same after libnats has looked into it`() {
        let headers = read("NATS/1.0\0\nA\0 1:2\0\nEmpty\0\r\nB: 3\0\n\r\n")
        #expect(headers == [MessageHeader("A", "1:2"), MessageHeader("Empty", ""), MessageHeader("B", "3")])
        #expect(read("NATS/1.0 404 No Messages\0\n\r\n").map(\.value) == ["404", "No Messages"])
    }

    @Test func `survives what is no header`() {
        #expect(
            read("NATS/1.0\r\nno colon\r\n: no name\r\nA: 1\r\n folded\r\n\r\n") == [MessageHeader("A", "1 folded")])
        for text in ["", "NATS", "NATS/1.0", "NATS/1.0\r\n", "NATS/1.0\r\nA", "\n\n\n", "NATS/1.0\r\n x"] {
            #expect(read(text).isEmpty)
        }
    }

    @Test func `agrees with libnats where libnats reads well`() async throws {
        let server = try await TestServer.start()
        let bus = try await server.connect { $0.sendsAtOnce = true }
        let subscription = try bus.handle().subscribe("with.headers", queueGroup: nil, limits: .standard)
        let headers = [MessageHeader("A", "1"), MessageHeader("B", "second"), MessageHeader("B", "first value")]
        for replyTo in ["", "back.to.me"] {
            for payload in [[], [1, 0, 2] as [UInt8]] {
                for sent in [headers, []] {
                    try bus.publish(Message(subject: "with.headers", replyTo: replyTo, headers: sent, payload: payload))
                    guard let handle = try subscription.next(timeoutMilliseconds: 5000) else {
                        Issue.record("nothing came")
                        return
                    }
                    // libnats writes into the block, so it comes second.
                    let own = handle.headers
                    let others = handle.headersOfLibrary
                    #expect(own.count == sent.count && Set(own) == Set(sent) && Set(others) == Set(sent))
                }
            }
        }
        await bus.close()
        await server.server.terminate()
    }

    private func read(_ text: String) -> [MessageHeader] { NATSHeaderBlock.headers(Array(text.utf8).span) }
}
