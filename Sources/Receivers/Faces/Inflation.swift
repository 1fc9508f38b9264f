// Packed bodies, unpacked within bounds, by the handler that swift-nio-extras has for HTTP.

import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPCompression

/// Unpacks gzip and deflate.
enum Inflation {
    enum Failure: Error {
        /// Not packed as it claims, cut, or followed by something else.
        case malformed
        /// More than the limits allow: 20 MiB, or a hundred times what came.
        case tooLarge
    }

    /// - Parameter encoding: `gzip` or `deflate`.
    static func inflate(_ body: ByteBuffer, encoding: String) throws(Failure) -> [UInt8] {
        let limit = min(ReceiverLimits.inflatedBytes, max(1_024, body.readableBytes * ReceiverLimits.ratio))
        let channel = EmbeddedChannel(handler: NIOHTTPRequestDecompressor(limit: .size(limit)))
        defer { _ = try? channel.finish() }
        do {
            let head = HTTPRequestHead(
                version: .http1_1, method: .POST, uri: "/", headers: ["content-encoding": encoding])
            try channel.writeInbound(HTTPServerRequestPart.head(head))
            try channel.writeInbound(HTTPServerRequestPart.body(body))
            try channel.writeInbound(HTTPServerRequestPart.end(nil))
            var result: [UInt8] = []
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                if case .body(let buffer) = part { result.append(contentsOf: buffer.readableBytesView) }
            }
            return result
        } catch NIOHTTPDecompression.DecompressionError.limit {
            throw .tooLarge
        } catch {
            throw .malformed
        }
    }
}
