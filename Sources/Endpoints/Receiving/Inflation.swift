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
        /// More than the limit allows.
        case tooLarge
    }

    /// What a body may come to: 20 MiB, or a hundred times what came.
    static func bound(_ body: ByteBuffer) -> Int {
        min(ReceiverLimits.inflatedBytes, max(1_024, body.readableBytes * ReceiverLimits.ratio))
    }

    /// - Parameters:
    ///   - encoding: `gzip` or `deflate`.
    ///   - limit: bytes of the result.
    static func inflate(_ body: ByteBuffer, encoding: String, limit: Int) throws(Failure) -> [UInt8] {
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

extension ReceiverBudget {
    /// Unpacks a body and hands it to `work`; its memory is spent before it is taken, and given back behind `work`.
    ///
    /// Few bodies come to more than twenty times what came: only those are paid with all that they could come to, and
    /// are unpacked twice.
    func unpack<Value>(
        _ body: ByteBuffer, encoding: String, _ work: ([UInt8]) async -> Value
    ) async throws(ReceiverFailure) -> Value {
        let bound = Inflation.bound(body)
        var spent = min(bound, max(1_024, body.readableBytes * 20))
        guard reserve(spent) else { throw .busy("too many requests under way") }
        defer { release(spent) }
        let bytes: [UInt8]
        do throws(Inflation.Failure) {
            bytes = try Inflation.inflate(body, encoding: encoding, limit: spent)
        } catch {
            guard error == .tooLarge, spent < bound else { throw ReceiverFailure(error, encoding) }
            guard reserve(bound - spent) else { throw .busy("too many requests under way") }
            spent = bound
            do throws(Inflation.Failure) {
                bytes = try Inflation.inflate(body, encoding: encoding, limit: bound)
            } catch {
                throw ReceiverFailure(error, encoding)
            }
        }
        release(spent - bytes.count)
        spent = bytes.count
        return await work(bytes)
    }
}

extension ReceiverFailure {
    fileprivate init(_ failure: Inflation.Failure, _ encoding: String) {
        self = failure == .tooLarge ? .tooLarge : .malformed("the body is not \(encoding)")
    }
}
