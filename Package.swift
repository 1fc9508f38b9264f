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
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "LatticeForge",
    products: [
        .executable(name: "lattice", targets: ["lattice"]),
        .executable(name: "lattice-bench", targets: ["lattice-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.26.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The vocabulary: every type that crosses a process boundary, and its codec.
        .target(name: "EventModel", dependencies: [protobuf], swiftSettings: strict),
        // The pure core: state computed from the log alone.
        .target(name: "StateMachines", dependencies: ["EventModel", collections], swiftSettings: strict),
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
        // The shell: intake, writer, hosts, answers.
        .target(
            name: "ActorSystem",
            dependencies: [
                "EventModel", "StateMachines", "EventStore", "Messaging", logging, metrics, lifecycle, collections,
            ], swiftSettings: strict),
        .target(
            name: "HTTPFace",
            dependencies: [
                "EventModel", "Messaging", logging, .product(name: "CoreMetrics", package: "swift-metrics"), lifecycle,
                hummingbird, .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: strict),
        // Speaks HTTP to shadows for the node; knows neither machines nor the log.
        .target(
            name: "Dispatcher",
            dependencies: [
                "EventModel", crypto, httpClient, .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
            ], swiftSettings: strict),
        .executableTarget(
            name: "lattice",
            dependencies: [
                "EventModel", "StateMachines", "EventStore", "Messaging", "NATSMessaging", "ActorSystem", "HTTPFace",
                "Dispatcher", yams, arguments, logging, metrics, lifecycle, signals, protobuf,
                .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: strict),
        .executableTarget(
            name: "lattice-bench",
            dependencies: [
                "EventModel", "StateMachines", "EventStore", "Messaging", "NATSMessaging", "ActorSystem", "Dispatcher",
                arguments, logging,
            ], swiftSettings: strict),
        // Tests.
        .target(name: "TestFixtures", path: "Tests/TestFixtures", swiftSettings: strict),
        .testTarget(name: "EventModelTests", dependencies: ["EventModel", protobuf], swiftSettings: strict),
        .testTarget(name: "StateMachinesTests", dependencies: ["StateMachines", "EventModel"], swiftSettings: strict),
        .testTarget(name: "EventStoreTests", dependencies: ["EventStore", "EventModel"], swiftSettings: strict),
        .testTarget(name: "DispatcherTests", dependencies: ["Dispatcher", "EventModel"], swiftSettings: strict),
        .testTarget(
            name: "MessagingTests", dependencies: ["Messaging", "NATSMessaging", "TestFixtures"], swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "ActorSystem", "NATSMessaging", "Messaging", "EventModel", "EventStore", "StateMachines", "Dispatcher",
                logging,
            ], exclude: ["shadow.py"],
            swiftSettings: strict),
        .testTarget(
            name: "KillTests", dependencies: ["lattice"], exclude: ["publisher.py"],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "lattice", "HTTPFace", "NATSMessaging", "TestFixtures",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ]
)
