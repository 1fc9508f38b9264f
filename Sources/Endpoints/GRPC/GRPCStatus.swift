// How a call of gRPC ends, and its form in trailers. Source of the rules: grpc.github.io, PROTOCOL-HTTP2 and statuscodes.

import EventModel
import FoundationEssentials
import NIOHPACK

/// Numbers of statuses.
enum GRPCCode: UInt32, Sendable {
    case ok = 0
    case invalidArgument = 3
    case deadlineExceeded = 4
    case resourceExhausted = 8
    case unimplemented = 12
    case internalError = 13
    case unavailable = 14
    case unauthenticated = 16
}

/// The end of a call that brought nothing.
struct GRPCStatus: Error, Sendable, Hashable {
    let code: GRPCCode
    let message: String
    /// Seconds after which the same call may pass; nil: coming again is of no use. Exporters take "resource exhausted"
    /// for final without it.
    var retryAfter: Int?
    /// Other than 200 where the request is no call of gRPC at all.
    var httpStatus = 200

    init(_ code: GRPCCode, _ message: String, retryAfter: Int? = nil, httpStatus: Int = 200) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
        self.httpStatus = httpStatus
    }

    init(_ failure: ReceiverFailure) {
        self.init(failure.code, failure.message, retryAfter: failure.retryAfter)
    }

    /// Too much at once; the same passes later.
    static func busy(_ message: String) -> GRPCStatus { GRPCStatus(.resourceExhausted, message, retryAfter: 1) }

    /// An answer that is nothing but this status: HTTP's, gRPC's and what goes with them, in one block.
    var trailersOnly: HPACKHeaders {
        var fields = HPACKHeaders()
        fields.add(name: ":status", value: "\(httpStatus)")
        fields.add(name: "content-type", value: GRPCFields.contentType)
        if httpStatus == 405 { fields.add(name: "allow", value: "POST") }
        fields.add(name: GRPCFields.acceptEncoding, value: GRPCFields.encodings)
        fields.add(name: "grpc-status", value: "\(code.rawValue)")
        // Not indexed: a peer would choose how large our table of them grows.
        fields.add(name: "grpc-message", value: encodedMessage, indexing: .nonIndexable)
        if let details {
            fields.add(name: "grpc-status-details-bin", value: details, indexing: .nonIndexable)
        }
        return fields
    }

    /// `grpc-message`: whatever is not printable ASCII in percent; cut, because peers bound what trailers may be.
    var encodedMessage: String {
        var result = ""
        for byte in message.utf8.prefix(Self.messageBytes) {
            if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }

    /// `google.rpc.Status` with `RetryInfo`, in base64 without padding; nil where nobody should come again.
    var details: String? {
        guard let retryAfter else { return nil }
        var status = WireWriter()
        status.field(1, code.rawValue)
        status.field(2, message)
        status.message(3) { detail in
            detail.field(1, "type.googleapis.com/google.rpc.RetryInfo")
            detail.message(2) { info in info.message(1) { $0.field(1, retryAfter) } }
        }
        return Data(status.bytes).base64EncodedString().trimmingSuffix("=")
    }

    private static let messageBytes = 1_024
}

/// The fields of answers that are always the same.
enum GRPCFields {
    static let contentType = "application/grpc"
    static let acceptEncoding = "grpc-accept-encoding"
    static let encodings = "identity,gzip,deflate"
    /// Before a message.
    static let head: HPACKHeaders = [
        ":status": "200", "content-type": contentType, acceptEncoding: encodings,
    ]
    /// Behind a message.
    static let ok: HPACKHeaders = ["grpc-status": "0"]
}

extension ReceiverFailure {
    /// The status of gRPC that says the same.
    var code: GRPCCode {
        switch self {
        case .malformed, .unsupportedType, .unsupportedEncoding: .invalidArgument
        case .tooLarge, .busy: .resourceExhausted
        case .unavailable: .unavailable
        case .unauthorized: .unauthenticated
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ character: Character) -> String {
        var rest = self[...]
        while rest.last == character { rest.removeLast() }
        return String(rest)
    }
}
