// A header field as mirrors and trace context see it.

/// One header line; names compare without regard to case, order is kept.
public struct HeaderField: Sendable, Hashable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
