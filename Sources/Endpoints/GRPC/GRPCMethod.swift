// The one method that a server of gRPC offers: who may call it, and what it answers.

/// A unary method.
struct GRPCMethod: Sendable {
    /// `/package.Service/Method`.
    let path: String
    /// Whether a value of `authorization` is good enough.
    let admits: @Sendable (String?) -> Bool
    /// Bytes of a message, as it comes.
    let messageBytes: Int
    let budget: ReceiverBudget
    /// Works on a message; off the event loop.
    let call: @Sendable (GRPCMessage) async -> GRPCAnswer
    /// Told of each call that is refused before `call` is asked.
    let onRefusal: @Sendable () -> Void
}

/// What a call comes to.
enum GRPCAnswer: Sendable {
    case message([UInt8])
    case status(GRPCStatus)
}
