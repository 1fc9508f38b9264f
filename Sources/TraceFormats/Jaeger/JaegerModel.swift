// Jaeger's JSON as its UI and Grafana read it. Source of the fields: jaegertracing/jaeger, model/json.

/// `{"data":…,"total":…,"limit":…,"offset":…,"errors":…}`
package struct JaegerEnvelope<Content: Encodable>: Encodable {
    var data: Content?
    var total: Int
    var limit = 0
    var offset = 0
    var errors: [JaegerError]?

    enum CodingKeys: CodingKey { case data, total, limit, offset, errors }

    package init(data: Content? = nil, total: Int = 0, errors: [JaegerError]? = nil) {
        (self.data, self.total, self.errors) = (data, total, errors)
    }

    /// Absent parts are written as null: readers look for them.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(data, forKey: .data)
        try container.encode(total, forKey: .total)
        try container.encode(limit, forKey: .limit)
        try container.encode(offset, forKey: .offset)
        try container.encode(errors, forKey: .errors)
    }
}

/// One error of an answer in version 2.
package struct JaegerError: Encodable {
    var code: Int
    var msg: String

    /// - Parameter code: the status of HTTP.
    package init(code: Int, msg: String) { (self.code, self.msg) = (code, msg) }
}

/// One trace.
package struct JaegerTraceJSON: Encodable {
    var traceID: String
    var spans: [JaegerSpanJSON]
    var processes: [String: JaegerProcessJSON]
    var warnings: [String] = []
}

struct JaegerProcessJSON: Encodable {
    var serviceName: String
    var tags: [JaegerTagJSON]
}

struct JaegerSpanJSON: Encodable {
    struct Reference: Encodable {
        var refType: String
        var traceID: String
        var spanID: String
    }

    struct Log: Encodable {
        /// Microseconds.
        var timestamp: Int64
        var fields: [JaegerTagJSON]
    }

    var traceID: String
    var spanID: String
    var flags: Int64 = 1
    var operationName: String
    var references: [Reference]
    /// Microseconds.
    var startTime: Int64
    /// Microseconds.
    var duration: Int64
    var tags: [JaegerTagJSON]
    var logs: [Log]
    var processID: String
    var warnings: [String]
}

struct JaegerTagJSON: Encodable {
    enum Value: Equatable {
        case string(String)
        case bool(Bool)
        case int(Int64)
        case float(Double)
        /// In base64.
        case binary(String)
    }

    var key: String
    var value: Value

    enum CodingKeys: CodingKey { case key, type, value }

    init(_ key: String, _ value: Value) {
        self.key = key
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(key, forKey: .key)
        switch value {
        case .string(let text):
            try container.encode("string", forKey: .type)
            try container.encode(text, forKey: .value)
        case .bool(let bit):
            try container.encode("bool", forKey: .type)
            try container.encode(bit, forKey: .value)
        case .int(let number):
            try container.encode("int64", forKey: .type)
            try container.encode(number, forKey: .value)
        case .float(let number) where number.isFinite:
            try container.encode("float64", forKey: .type)
            try container.encode(number, forKey: .value)
        case .float(let number):
            try container.encode("string", forKey: .type)
            try container.encode("\(number)", forKey: .value)
        case .binary(let text):
            try container.encode("binary", forKey: .type)
            try container.encode(text, forKey: .value)
        }
    }
}
