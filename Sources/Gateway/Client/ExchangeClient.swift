// What an exchange asks of the client's side, whatever version of HTTP it speaks.

import NIOCore
import NIOHTTP1

/// Where an exchange's answer goes. It lives on the same event loop.
protocol ExchangeClient: AnyObject {
    func send(_ head: HTTPResponseHead)
    func send(_ bytes: ByteBuffer)
    func sendEnd(_ trailers: HTTPHeaders?)
    func flushAnswer()
    /// Whether more of the request is wanted now.
    func wantRequestBody(_ isWanted: Bool)
    /// The exchange is over. `isCut`: the answer was begun and cannot be ended.
    func exchangeEnded(isCut: Bool)
    func switchProtocols(_ head: HTTPResponseHead, to connection: UpstreamConnection)
    var isAnswerWritable: Bool { get }
    /// The client's address without a port.
    var remoteAddress: String { get }
    var isTLS: Bool { get }
    var isHTTP2: Bool { get }
    /// Whether the connection ends with this answer.
    var closesAfterAnswer: Bool { get }
}
