// What Jaeger answers besides traces.

struct JaegerOperationJSON: Encodable {
    var name: String
    var spanKind: String
}

struct JaegerDependencyJSON: Encodable {
    var parent: String
    var child: String
    var callCount: UInt64
}

/// A failure in version 3.
struct JaegerFailure: Encodable {
    var httpCode: Int
    var message: String
}
