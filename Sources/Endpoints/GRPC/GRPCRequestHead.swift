// What the header fields of a call say, judged before a byte of its message is kept.

import NIOCore
import NIOHPACK

/// A call that may send its message.
struct GRPCRequestHead: Sendable, Hashable {
    let encoding: GRPCEncoding
    /// Nil: the caller waits as long as it takes.
    let timeout: TimeAmount?

    /// Takes a call of the one method; `admits` says whether a value of `authorization` is good enough.
    static func judge(
        _ fields: HPACKHeaders, path: String, admits: (String?) -> Bool
    ) throws(GRPCStatus) -> GRPCRequestHead {
        let found = Found(fields)
        guard found.method == "POST" else {
            throw GRPCStatus(.internalError, "the method of gRPC is POST", httpStatus: 405)
        }
        guard isCall(found.type) else {
            throw GRPCStatus(.internalError, "the content-type of gRPC is application/grpc", httpStatus: 415)
        }
        guard found.path == path else {
            throw GRPCStatus(.unimplemented, "only \(path) is here")
        }
        guard admits(found.authorization) else { throw GRPCStatus(ReceiverFailure.unauthorized) }
        guard let encoding = GRPCEncoding(name: found.encoding) else {
            throw GRPCStatus(.unimplemented, "grpc-encoding is one of \(GRPCFields.encodings)")
        }
        return GRPCRequestHead(encoding: encoding, timeout: found.timeout.flatMap(GRPCTimeout.parse))
    }

    /// `application/grpc`, with `+proto` or parameters or without; messages in other forms are not understood.
    private static func isCall(_ type: String?) -> Bool {
        guard let type = type?.lowercased() else { return false }
        let media = type.prefix { $0 != ";" && $0 != " " }
        return media == "application/grpc" || media == "application/grpc+proto"
    }
}

/// The fields that are looked at; of several of a name the first.
private struct Found {
    var method: String?
    var path: String?
    var type: String?
    var authorization: String?
    var encoding: String?
    var timeout: String?

    init(_ fields: HPACKHeaders) {
        for (name, value, _) in fields {
            switch name {
            case ":method": method = method ?? value
            case ":path": path = path ?? value
            case "content-type": type = type ?? value
            case "authorization": authorization = authorization ?? value
            case "grpc-encoding": encoding = encoding ?? value
            case "grpc-timeout": timeout = timeout ?? value
            default: break
            }
        }
    }
}

/// How a message may be packed.
enum GRPCEncoding: String, Sendable {
    case identity
    case gzip
    case deflate

    /// Nil where it is another one; no name at all is `identity`.
    init?(name: String?) { self.init(rawValue: name.flatMap { $0.isEmpty ? nil : $0.lowercased() } ?? "identity") }
}

/// `grpc-timeout`: digits and a unit. What is not that says nothing, and spans are not lost for it.
enum GRPCTimeout {
    /// Whoever waits longer has no deadline: bodies and answers have limits of their own.
    private static let longest: Int64 = 86_400_000_000_000

    /// Nil where there is no deadline, or none that is understood.
    static func parse(_ text: String) -> TimeAmount? {
        guard let unit = text.utf8.last.flatMap(nanoseconds), text.utf8.count > 1 else { return nil }
        var value: Int64 = 0
        for byte in text.utf8.dropLast() {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = min(value * 10 + Int64(byte - UInt8(ascii: "0")), longest)
        }
        let (amount, isOverflow) = value.multipliedReportingOverflow(by: unit)
        return isOverflow || amount >= longest ? nil : .nanoseconds(amount)
    }

    private static func nanoseconds(_ unit: UInt8) -> Int64? {
        switch unit {
        case UInt8(ascii: "H"): 3_600_000_000_000
        case UInt8(ascii: "M"): 60_000_000_000
        case UInt8(ascii: "S"): 1_000_000_000
        case UInt8(ascii: "m"): 1_000_000
        case UInt8(ascii: "u"): 1_000
        case UInt8(ascii: "n"): 1
        default: nil
        }
    }
}
