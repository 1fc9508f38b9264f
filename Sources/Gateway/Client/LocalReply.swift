// Answers that the gateway gives in its own name: refusals and failures, as JSON with a word for programs.

import NIOCore
import NIOHTTP1

/// Makes them.
enum LocalReply {
    static func make(
        _ status: HTTPResponseStatus, _ reason: String, retryAfter: Int? = nil, closes: Bool, isHead: Bool = false
    ) -> (head: HTTPResponseHead, body: ByteBuffer?) {
        let text = #"{"code":"\#(reason)","status":\#(status.code),"by":"lattice gateway"}"# + "\n"
        var fields = [("content-type", "application/json"), ("content-length", String(text.utf8.count))]
        if let retryAfter { fields.append(("retry-after", String(retryAfter))) }
        if status == .methodNotAllowed { fields.append(("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")) }
        if closes { fields.append(("connection", "close")) }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: HTTPHeaders(fields))
        return (head, isHead ? nil : ByteBuffer(string: text))
    }
}
