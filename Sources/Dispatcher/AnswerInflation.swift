// Undoes what was done to an answer's body: gzip and deflate, within bounds; other codings stay as they came.

import EventModel
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPCompression

/// Unpacks answers.
enum AnswerInflation {
    enum Failure: Error {
        /// Not packed as it claims, cut, or followed by something else.
        case malformed
        /// More than may be.
        case tooLarge
    }

    /// The body as it was before it was packed; one of several codings, or of another one, as it is.
    static func inflated(_ answer: ParsedAnswer, bytesMaximum: Int) throws(Failure) -> [UInt8] {
        let codings = answer.contentCodings.filter { $0 != "identity" }
        guard codings.count == 1, let coding = name(codings[0]), !answer.body.isEmpty else {
            if answer.body.count > bytesMaximum { throw .tooLarge }
            return answer.body
        }
        return try inflate(answer.body, coding, bytesMaximum)
    }

    /// RFC 9110, 8.4.1.3: `x-gzip` is `gzip`.
    private static func name(_ coding: String) -> String? {
        switch coding {
        case "gzip", "x-gzip": "gzip"
        case "deflate": "deflate"
        default: nil
        }
    }

    private static func inflate(_ body: [UInt8], _ coding: String, _ maximum: Int) throws(Failure) -> [UInt8] {
        let channel = EmbeddedChannel(handler: NIOHTTPResponseDecompressor(limit: .size(maximum)))
        defer { _ = try? channel.finish() }
        do {
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-encoding": coding])
            try channel.writeInbound(HTTPClientResponsePart.head(head))
            try channel.writeInbound(HTTPClientResponsePart.body(ByteBuffer(bytes: body)))
            try channel.writeInbound(HTTPClientResponsePart.end(nil))
            var result: [UInt8] = []
            while let part = try channel.readInbound(as: HTTPClientResponsePart.self) {
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
