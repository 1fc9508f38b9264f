// Which message asks a query: one of each family.

extension QueryName {
    /// The first token of the name: `registry` of `registry.resolve`.
    public var family: String { String(description.prefix { $0 != "." }) }

    /// What stands behind the family: `resolve` of `registry.resolve`.
    public var query: String { String(description.drop { $0 != "." }.dropFirst()) }

    /// The query of a name as a person writes it, `registry.resolve`; nil where there is none.
    public init?(_ name: some StringProtocol) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        self.init(machine: parts[0], query: parts[1])
    }

    /// The message that asks it; a family without one is a mistake that a test finds.
    package var request: MessageKind? { MessageKind(rawValue: "\(family)_query") }
}
