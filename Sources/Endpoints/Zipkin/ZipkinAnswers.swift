// What Zipkin answers besides spans.

struct ZipkinLinkJSON: Encodable {
    var parent: String
    var child: String
    var callCount: UInt64
    var errorCount: UInt64?
}

/// What the UI reads before all else, with the values that it has without a server's.
struct ZipkinUISettings: Encodable {
    struct Dependency: Encodable {
        var enabled = true
        var lowErrorRate = 0.5
        var highErrorRate = 0.75
    }

    var environment = ""
    var queryLimit = 10
    /// Milliseconds.
    var defaultLookback = 900_000
    var searchEnabled = true
    var dependency = Dependency()
}
