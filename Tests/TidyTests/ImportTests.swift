// Who may import what: a target is an import right, and this is the only place where the rights are written.

import Testing

/// What the files of a target may import besides the standard library.
private struct ImportRights {
    /// Everywhere in the target.
    var everywhere: Set<String>
    /// More, below one folder only.
    var below: [String: Set<String>] = [:]

    func allow(_ module: String, in path: String) -> Bool {
        everywhere.contains(module) || below.contains { path.contains("/\($0.key)/") && $0.value.contains(module) }
    }
}

@Suite struct `Import rights` {
    /// Nil: anything, because the executable wires everything together.
    private static let table: [String: ImportRights?] = [
        // The vocabulary. Foundation is for what protoc generates, and for the files that hand JSON to it; the lock is for
        // the shapes of messages, which are found out once.
        "EventModel": ImportRights(
            everywhere: ["SwiftProtobuf", "FoundationEssentials"],
            below: ["Generated": ["Foundation"], "JSON": ["Synchronization"]]),
        // What core and edges compute alike: as pure as the core, shipped with the SDK and the gateway.
        "MeshRules": ImportRights(everywhere: ["EventModel"], below: ["Mirror": ["Crypto"]]),
        // The pure core: no clock, no chance, no logging, no locks, no threads, no files.
        "StateMachines": ImportRights(everywhere: ["EventModel", "MeshRules", "DequeModule"]),
        // The specification's names over the core: the only clock is the one that callers may replace.
        "LatticeCore": ImportRights(everywhere: ["EventModel", "MeshRules", "StateMachines", "FoundationEssentials"]),
        // The disk; the operating system only where calls are made.
        "EventStore": ImportRights(
            everywhere: ["EventModel", "Synchronization", "Dispatch"],
            below: ["Storage": ["CLogSupport", "Glibc", "Crypto"]]),
        // The port.
        "Messaging": ImportRights(everywhere: ["EventModel", "Synchronization", "Dispatch"]),
        // Whoever asks: over the port, never over NATS itself.
        "Queries": ImportRights(everywhere: ["EventModel", "Messaging"]),
        // libnats, and nobody else.
        "NATSMessaging": ImportRights(
            everywhere: [
                "EventModel", "Messaging", "CNATS", "CNATSSupport", "Logging", "Synchronization", "Dispatch", "Glibc",
                "FoundationEssentials",
            ]),
        // The shell. Never NATSMessaging: the executable hands it a bus.
        "NodeRuntime": ImportRights(
            everywhere: [
                "EventModel", "MeshRules", "StateMachines", "LatticeCore", "EventStore", "Messaging", "Logging",
                "Metrics", "Dispatch", "Synchronization", "DequeModule", "ServiceLifecycle",
            ]),
        // TLS, tokens, roles and bounds of every listener.
        "Listeners": ImportRights(
            everywhere: [
                "EventModel", "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "HTTPTypes", "NIOHTTPTypes",
                "NIOCore", "NIOSSL",
                "Logging", "ServiceLifecycle", "Synchronization",
            ]),
        // Formats that others defined: they know no network, no machine and no log.
        "TraceFormats": ImportRights(
            everywhere: ["EventModel", "MeshRules", "SwiftProtobuf", "FoundationEssentials"],
            below: ["Generated": ["Foundation"]]),
        // Endpoints publish events and ask queries like any customer: never StateMachines, EventStore, NodeRuntime.
        "Endpoints": ImportRights(
            everywhere: [
                "EventModel", "MeshRules", "Messaging", "Queries", "TraceFormats", "Listeners", "Logging", "Metrics",
                "Synchronization", "ServiceLifecycle", "Hummingbird", "HummingbirdCore", "HTTPTypes", "NIOCore",
                "SwiftProtobuf", "FoundationEssentials",
            ],
            below: [
                "Admin": ["CoreMetrics"],
                "Receiving": ["NIOEmbedded", "NIOHTTP1", "NIOHTTPCompression"],
                "OTLP": ["NIOHTTP2", "NIOHPACK", "NIOPosix", "NIOSSL"],
                "GRPC": ["NIOHTTP2", "NIOHPACK", "NIOPosix", "NIOSSL", "NIOHTTP1", "NIOEmbedded"],
            ]),
        // Speaks HTTP to shadows: values in, values out.
        "Dispatcher": ImportRights(
            everywhere: [
                "EventModel", "MeshRules", "NIOCore", "NIOPosix", "NIOEmbedded", "NIOHTTP1", "NIOHTTPCompression",
                "Synchronization", "FoundationEssentials",
            ]),
        // The HTTP edge: asks and tells over the bus like any customer.
        "Gateway": ImportRights(
            everywhere: [
                "EventModel", "MeshRules", "Messaging", "LatticeClient", "Queries", "Listeners", "Logging", "Metrics",
                "ServiceLifecycle", "Synchronization", "Dispatch", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOHTTP2",
                "NIOHPACK", "NIOSSL", "NIOTLS",
                "HTTPTypes", "Hummingbird", "FoundationEssentials",
            ]),
        // The SDK: publishes events and asks queries like any customer of the bus.
        "LatticeClient": ImportRights(
            everywhere: [
                "EventModel", "MeshRules", "Messaging", "NATSMessaging", "Queries", "Logging", "Metrics", "Tracing",
                "Instrumentation", "ServiceLifecycle", "Synchronization",
            ],
            // Questions and answers of the user's own types, by JSON.
            below: ["Queries": ["FoundationEssentials"]]),
        // A node and the SDK in one process, for tests of services.
        "LatticeClientTesting": ImportRights(
            everywhere: [
                "LatticeClient", "EventModel", "EventStore", "Messaging", "NodeRuntime", "Logging", "Synchronization",
                "Foundation",
            ]),
        "example-service": ImportRights(
            everywhere: [
                "LatticeClient", "EventModel", "ArgumentParser", "AsyncHTTPClient", "Hummingbird", "HTTPTypes",
                "NIOCore",
                "NIOHTTP1", "Logging",
                "ServiceLifecycle", "UnixSignals", "Tracing", "Synchronization", "Foundation",
            ]),
        "lattice": nil,
        "lattice-bench": nil,
    ]

    @Test func `every file imports only what its target has a right to`() {
        var findings: [Finding] = []
        for file in SourceTree.sources {
            guard let rights = Self.table[file.target] else {
                findings.append(
                    Finding(
                        path: file.path, line: 1, message: "\(file.target) has no row in the table of import rights"))
                continue
            }
            guard let rights else { continue }
            for (line, module) in Self.imports(file) where !rights.allow(module, in: file.path) {
                findings.append(Finding(path: file.path, line: line, message: "must not import \(module)"))
            }
        }
        expectNone(findings, "Import rights (table in Tests/TidyTests/ImportTests.swift):")
    }

    @Test func `generated code imports nothing but the library it was generated for`() {
        var findings: [Finding] = []
        let folders = ["EventModel", "TraceFormats"].map { "Sources/\($0)/Generated" }
        for path in folders.flatMap({ SourceTree.paths(below: $0) }) {
            guard let file = SwiftFile(path: path) else { continue }
            let allowed: Set = ["SwiftProtobuf", "Foundation", "FoundationEssentials"]
            for (line, module) in Self.imports(file) where !allowed.contains(module) {
                findings.append(Finding(path: path, line: line, message: "must not import \(module)"))
            }
        }
        expectNone(findings, "Imports of generated code:")
    }

    @Test func `the table has no row without files`() {
        let known = Set(SourceTree.sources.map(\.target))
        for target in Self.table.keys.sorted() {
            #expect(known.contains(target), "Sources/\(target) has no Swift file: take its row out of the table")
        }
    }

    /// Line and module of each import.
    private static func imports(_ file: SwiftFile) -> [(line: Int, module: String)] {
        let access: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        return file.codeLines.enumerated().compactMap { offset, line in
            var words = line.split(whereSeparator: \.isWhitespace)[...]
            while let word = words.first, word.hasPrefix("@") || access.contains(word) { words.removeFirst() }
            guard words.first == "import" else { return nil }
            words.removeFirst()
            if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
            guard let module = words.first?.prefix(while: { $0 != "." && $0 != ";" }) else { return nil }
            return (offset + 1, String(module))
        }
    }
}
