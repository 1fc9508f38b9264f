// swift-tools-version: 6.2
// LatticeForge: a service registry, traffic mirror and tracing collector, event-sourced on NATS.
import PackageDescription

/// One set of rules for every target (design rule: strict everywhere or nowhere).
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK = Target.Dependency.product(name: "NIOHPACK", package: "swift-nio-http2")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let instrumentation = Target.Dependency.product(name: "Instrumentation", package: "swift-distributed-tracing")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "LatticeForge",
    products: [
        .executable(name: "lattice", targets: ["lattice"]),
        .executable(name: "lattice-bench", targets: ["lattice-bench"]),
        // The SDK; EventModel is the vocabulary of its answers.
        .library(name: "LatticeClient", targets: ["LatticeClient", "EventModel"]),
        // A mesh inside a test's own process, for services that use the SDK.
        .library(name: "LatticeClientTesting", targets: ["LatticeClientTesting"]),
        // Registry, mirror and collector in the caller's own process, for tests, simulations and scripts.
        .library(name: "LatticeCore", targets: ["LatticeCore", "EventModel"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.1"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The vocabulary: every type that crosses a process boundary, and its codec.
        .target(name: "EventModel", dependencies: [protobuf], swiftSettings: strict),
        // Rules that the core and the edges of a mesh must follow alike: selection, redaction, comparison.
        .target(name: "MeshRules", dependencies: ["EventModel", crypto], swiftSettings: strict),
        // The pure core: state computed from the log alone.
        .target(name: "StateMachines", dependencies: ["EventModel", "MeshRules", collections], swiftSettings: strict),
        // The specification's names over the pure core, in the caller's own process: no node, no bus, no disk.
        .target(
            name: "LatticeCore", dependencies: ["EventModel", "MeshRules", "StateMachines"], swiftSettings: strict),
        // The disk.
        .target(name: "CLogSupport"),
        .target(name: "EventStore", dependencies: ["EventModel", "CLogSupport", crypto], swiftSettings: strict),
        // The bus: a port, and libnats behind it.
        .target(name: "Messaging", dependencies: ["EventModel"], swiftSettings: strict),
        .systemLibrary(name: "CNATS", pkgConfig: "libnats", providers: [.apt(["libnats-dev"])]),
        .target(name: "CNATSSupport", dependencies: ["CNATS"]),
        .target(
            name: "NATSMessaging", dependencies: ["Messaging", "CNATS", "CNATSSupport", logging],
            swiftSettings: strict),
        // Asks the nodes of a mesh: every family of queries, page by page.
        .target(name: "Queries", dependencies: ["EventModel", "Messaging"], swiftSettings: strict),
        // The shell: intake, writer, hosts, answers.
        .target(
            name: "NodeRuntime",
            dependencies: [
                "EventModel", "MeshRules", "StateMachines", "LatticeCore", "EventStore", "Messaging", logging, metrics,
                lifecycle, collections,
            ], swiftSettings: strict),
        // What listeners prove themselves with, and what they ask of clients.
        .target(
            name: "Listeners",
            dependencies: [
                "EventModel", hummingbird, hummingbirdCore, hummingbirdTLS, nioSSL, nioCore, httpTypes, logging,
                lifecycle, .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            ],
            swiftSettings: strict),
        // Formats of spans that others defined, read and written: OTLP, Jaeger, Zipkin.
        .target(name: "TraceFormats", dependencies: ["EventModel", "MeshRules", protobuf], swiftSettings: strict),
        // What a node answers on: health, metrics, queries and events over HTTP; OTLP over HTTP and gRPC; Zipkin; Jaeger.
        .target(
            name: "Endpoints",
            dependencies: [
                "EventModel", "MeshRules", "Messaging", "Queries", "TraceFormats", "Listeners", logging, metrics,
                .product(name: "CoreMetrics", package: "swift-metrics"), lifecycle, protobuf, hummingbird,
                hummingbirdCore, nioCore, nioPosix, nioHTTP1, nioHTTP2, nioHPACK, nioSSL, httpTypes,
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
            ], swiftSettings: strict),
        // Speaks HTTP to shadows for the node; knows neither machines nor the log.
        .target(
            name: "Dispatcher",
            dependencies: [
                "EventModel", "MeshRules", nioCore, nioPosix, nioHTTP1,
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
            ], swiftSettings: strict),
        // The SDK: a mesh from inside a service, or from a gateway.
        .target(
            name: "LatticeClient",
            dependencies: [
                "EventModel", "MeshRules", "Messaging", "NATSMessaging", "Queries", logging, metrics, lifecycle,
                tracing,
                instrumentation,
            ], swiftSettings: strict),
        .target(
            name: "LatticeClientTesting",
            dependencies: ["LatticeClient", "EventModel", "EventStore", "Messaging", "NodeRuntime", logging],
            swiftSettings: strict),
        // The HTTP edge in front of the services of a mesh.
        .target(
            name: "Gateway",
            dependencies: [
                "EventModel", "MeshRules", "Messaging", "LatticeClient", "Queries", "Listeners", logging, metrics,
                lifecycle,
                nioCore,
                nioPosix, nioHTTP1, nioSSL,
                .product(name: "NIOTLS", package: "swift-nio"), .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                httpTypes, hummingbird,
            ], swiftSettings: strict),
        .executableTarget(
            name: "lattice",
            dependencies: [
                "EventModel", "MeshRules", "StateMachines", "LatticeCore", "EventStore", "Messaging", "NATSMessaging",
                "NodeRuntime", "Endpoints", "TraceFormats", "Listeners", "Dispatcher", "LatticeClient", "Gateway",
                "Queries",
                yams,
                arguments,
                logging, metrics, lifecycle, signals, protobuf, nioCore, nioSSL,
            ], swiftSettings: strict),
        .executableTarget(
            name: "lattice-bench",
            dependencies: [
                "EventModel", "MeshRules", "StateMachines", "EventStore", "Messaging", "NATSMessaging", "NodeRuntime",
                "Endpoints", "TraceFormats", "Dispatcher", "Queries", arguments, logging, lifecycle, nioCore, nioPosix,
                nioHTTP1,
                nioHTTP2,
                nioHPACK,
                httpClient,
            ], swiftSettings: strict),
        // A service that lives in a mesh: how LatticeClient is used, and what the demo is made of.
        .executableTarget(
            name: "example-service",
            dependencies: [
                "LatticeClient", "EventModel", arguments, hummingbird, httpClient, httpTypes, nioCore, logging,
                lifecycle,
                signals, tracing, .product(name: "NIOHTTP1", package: "swift-nio"),
            ], swiftSettings: strict),
        // Tests.
        .target(
            name: "TestKit", dependencies: ["EventModel", "EventStore", "MeshRules"], path: "Tests/TestKit",
            swiftSettings: strict),
        .testTarget(
            name: "EventModelTests", dependencies: ["EventModel", "TestKit", protobuf], swiftSettings: strict),
        .testTarget(
            name: "StateMachinesTests",
            dependencies: ["StateMachines", "MeshRules", "EventModel", "LatticeCore", "TestKit"],
            swiftSettings: strict),
        // As a user of the package sees it: neither `@testable` nor the modules below.
        .testTarget(name: "LatticeCoreTests", dependencies: ["LatticeCore", "EventModel"], swiftSettings: strict),
        .testTarget(name: "EventStoreTests", dependencies: ["EventStore", "EventModel"], swiftSettings: strict),
        .testTarget(
            name: "DispatcherTests",
            dependencies: ["Dispatcher", "EventModel", "MeshRules", "TestKit", nioCore, nioPosix],
            swiftSettings: strict),
        .testTarget(
            name: "MessagingTests", dependencies: ["Messaging", "NATSMessaging", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "QueriesTests",
            dependencies: ["Queries", "LatticeClient", "Messaging", "EventModel", "StateMachines"],
            swiftSettings: strict),
        .testTarget(
            name: "TraceFormatsTests",
            dependencies: ["TraceFormats", "EventModel", "MeshRules", "TestKit", protobuf], swiftSettings: strict),
        .testTarget(
            name: "EndpointsTests",
            dependencies: [
                "Endpoints", "TraceFormats", "EventModel", "Listeners", "MeshRules", "Messaging", "NATSMessaging",
                "Queries", "TestKit", logging, protobuf, lifecycle, nioCore, nioPosix, nioHTTP2, nioHPACK, nioSSL,
            ], swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "NodeRuntime", "NATSMessaging", "Messaging", "EventModel", "EventStore", "MeshRules", "StateMachines",
                "Dispatcher", "TestKit", logging,
            ], exclude: ["Support/shadow.py"],
            swiftSettings: strict),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "LatticeClient", "MeshRules", "EventModel", "NodeRuntime", "EventStore", "Dispatcher",
                "Messaging", "NATSMessaging", "TestKit", logging, nioCore, nioPosix, nioHTTP1, nioSSL,
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
            ], swiftSettings: strict),
        .testTarget(
            name: "KillTests", dependencies: ["TestKit"], exclude: ["publisher.py", "slow_shadow.py"],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "lattice", "Endpoints", "Listeners", "NATSMessaging", "TestKit", "EventModel", logging,
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            exclude: ["Endpoints/export.py", "Endpoints/zipkin_export.py"], swiftSettings: strict),
        .testTarget(
            name: "LatticeClientTests",
            dependencies: [
                "LatticeClient", "LatticeClientTesting", "Queries", "NodeRuntime", "NATSMessaging", "Messaging",
                "EventModel",
                "EventStore", "MeshRules",
                "TestKit", logging, lifecycle, tracing, instrumentation,
            ], swiftSettings: strict),
        .testTarget(
            name: "TidyTests", dependencies: ["TestKit"], exclude: ["AsyncTuple"], swiftSettings: strict),
    ]
)
