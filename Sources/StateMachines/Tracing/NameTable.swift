// Names of services, operations and peers as small numbers, bounded; the same numbers in every part of the collector.

import EventModel

/// Gives numbers to names in the order of the log; what exceeds the bounds of Limits.md is `__other__`, counted.
package struct NameTable: Sendable {
    /// The name for whatever is too much.
    package static let other = "__other__"

    /// The bounds on distinct names.
    package struct Bounds: Sendable, Hashable {
        package var services = 1_000
        /// Names that are only ever called: databases, brokers, services without spans.
        package var peers = 1_000
        package var operationsPerService = 200
        /// Hosts that spans ran on; further ones count as unknown.
        package var hosts = 10_000

        package init() {}

        /// Numbers of nodes have sixteen bits.
        static let nodesMaximum = 20_000
        static let operationsMaximum = 10_000

        var isInRange: Bool {
            (1...Self.nodesMaximum).contains(services) && (1...Self.nodesMaximum).contains(peers)
                && (1...Self.operationsMaximum).contains(operationsPerService)
        }
    }

    struct Operation: Sendable {
        var node: UInt16
        var name: String
    }

    /// A bound below what is there lets nothing new in; what has its number keeps it.
    var bounds: Bounds
    /// Node 0 is `__other__`.
    private(set) var nodes = [NameTable.other]
    private(set) var isService = [true]
    /// Operation 0 is `__other__` of `__other__`.
    private(set) var operations = [Operation(node: 0, name: NameTable.other)]
    private var nodeByName: [Digest: UInt16] = [:]
    private var operationByName: [Digest: UInt32] = [:]
    /// Host 0 is not known.
    private(set) var hosts = [""]
    private var hostByName: [Digest: UInt16] = [:]
    /// For each node: how many operations, and its own `__other__`.
    private var operationCounts = [0]
    private var otherOperations: [UInt32?] = [0]
    private var serviceCount = 0
    private var peerCount = 0
    /// Spans whose service, operation or peer was too much.
    private(set) var overflowCount: UInt64 = 0
    private(set) var sum = Digest.zero

    init(bounds: Bounds = Bounds()) { self.bounds = bounds }

    /// The number of a service.
    mutating func service(_ name: String) -> UInt16 {
        let key = Digest.of(Array(name.utf8))
        if let known = nodeByName[key] {
            if isService[Int(known)] { return known }
            // Somebody's peer turns out to be a service.
            if serviceCount < bounds.services {
                (serviceCount, peerCount) = (serviceCount + 1, peerCount - 1)
                sum = sum &- entity(node: known)
                isService[Int(known)] = true
                sum = sum &+ entity(node: known)
                return known
            }
        } else if serviceCount < bounds.services {
            serviceCount += 1
            return appendNode(name, key, isService: true)
        }
        overflowCount &+= 1
        return 0
    }

    /// The number of whoever a span calls.
    mutating func peer(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt16 {
        let key = Digest.of(bytes, range: range)
        if let known = nodeByName[key] { return known }
        if peerCount < bounds.peers {
            peerCount += 1
            return appendNode(Self.text(bytes, range), key, isService: false)
        }
        overflowCount &+= 1
        return 0
    }

    /// The number of a service's operation.
    mutating func operation(_ node: UInt16, _ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt32 {
        var key = Digest.of(bytes, range: range)
        key.high &+= UInt64(node) &* 0x9E37_79B9_7F4A_7C15
        if let known = operationByName[key] { return known }
        if node != 0 && operationCounts[Int(node)] < bounds.operationsPerService {
            operationCounts[Int(node)] += 1
            return appendOperation(node, Self.text(bytes, range), key)
        }
        overflowCount &+= 1
        if let other = otherOperations[Int(node)] { return other }
        let other = appendOperation(node, Self.other, nil)
        otherOperations[Int(node)] = other
        return other
    }

    /// The number of the host that a span ran on; 0 where there are too many.
    mutating func host(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt16 {
        let key = Digest.of(bytes, range: range)
        if let known = hostByName[key] { return known }
        if hosts.count > min(bounds.hosts, Int(UInt16.max) - 1) { return 0 }
        return appendHost(Self.text(bytes, range), key)
    }

    private mutating func appendHost(_ name: String, _ key: Digest) -> UInt16 {
        let host = UInt16(hosts.count)
        hosts.append(name)
        hostByName[key] = host
        var writer = WireWriter()
        writer.varint(3)
        writer.field(1, Int(host))
        writer.field(2, name)
        sum = sum &+ .of(writer.bytes)
        return host
    }

    /// The number of a node by its name; nil: nobody was ever called so.
    func node(named name: String) -> UInt16? {
        name == Self.other ? 0 : nodeByName[Digest.of(Array(name.utf8))]
    }

    private static func text(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> String {
        var copy: [UInt8] = []
        for index in range { copy.append(bytes[index]) }
        return String(decoding: copy, as: UTF8.self)
    }

    private mutating func appendNode(_ name: String, _ key: Digest, isService: Bool) -> UInt16 {
        let node = UInt16(nodes.count)
        nodes.append(name)
        self.isService.append(isService)
        operationCounts.append(0)
        otherOperations.append(nil)
        nodeByName[key] = node
        sum = sum &+ entity(node: node)
        return node
    }

    private mutating func appendOperation(_ node: UInt16, _ name: String, _ key: Digest?) -> UInt32 {
        let operation = UInt32(operations.count)
        operations.append(Operation(node: node, name: name))
        if let key { operationByName[key] = operation }
        sum = sum &+ entity(operation: operation)
        return operation
    }

    // MARK: Digest and checkpoint

    private func entity(node: UInt16) -> Digest {
        var writer = WireWriter()
        writer.varint(1)
        writer.field(1, Int(node))
        writer.field(2, nodes[Int(node)])
        writer.field(3, isService[Int(node)])
        return .of(writer.bytes)
    }

    private func entity(operation: UInt32) -> Digest {
        var writer = WireWriter()
        writer.varint(2)
        writer.field(1, operation)
        writer.field(2, Int(operations[Int(operation)].node))
        writer.field(3, operations[Int(operation)].name)
        return .of(writer.bytes)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, overflowCount)
        for (name, isService) in zip(nodes, isService).dropFirst() {
            writer.message(2) { inner in
                inner.field(1, name)
                inner.field(2, isService)
            }
        }
        for (index, operation) in operations.enumerated().dropFirst() {
            writer.message(3) { inner in
                inner.field(1, Int(operation.node))
                inner.field(2, operation.name)
                inner.field(3, otherOperations[Int(operation.node)] == UInt32(index))
            }
        }
        for host in hosts.dropFirst() { writer.element(4, host) }
    }

    init?(_ nested: CheckpointReader, bounds: Bounds) {
        self.init(bounds: bounds)
        var reader = nested
        while let field = reader.next() {
            switch field.number {
            case 1: overflowCount = field.value
            case 2: guard restoreNode(reader.nested(field)) else { return nil }
            case 3: guard restoreOperation(reader.nested(field)) else { return nil }
            case 4:
                let (name, key) = (reader.text(field), Digest.of(reader.bytes(field)))
                guard hostByName[key] == nil, hosts.count <= bounds.hosts else { return nil }
                _ = appendHost(name, key)
            default: return nil
            }
        }
        guard reader.isComplete, serviceCount <= Bounds.nodesMaximum, peerCount <= Bounds.nodesMaximum else {
            return nil
        }
    }

    private mutating func restoreNode(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var name = ""
        var isService = false
        while let field = reader.next() {
            if field.number == 1 { name = reader.text(field) } else { isService = field.value != 0 }
        }
        let key = Digest.of(Array(name.utf8))
        guard reader.isComplete, nodeByName[key] == nil, nodes.count < Int(UInt16.max) else { return false }
        if isService { serviceCount += 1 } else { peerCount += 1 }
        _ = appendNode(name, key, isService: isService)
        return true
    }

    private mutating func restoreOperation(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var (name, node, isOther) = ("", UInt64(0), false)
        while let field = reader.next() {
            switch field.number {
            case 1: node = field.value
            case 2: name = reader.text(field)
            default: isOther = field.value != 0
            }
        }
        guard reader.isComplete, node < UInt64(nodes.count), isOther || node != 0 else { return false }
        if isOther {
            guard otherOperations[Int(node)] == nil else { return false }
            otherOperations[Int(node)] = appendOperation(UInt16(node), name, nil)
            return true
        }
        var key = Digest.of(Array(name.utf8))
        key.high &+= node &* 0x9E37_79B9_7F4A_7C15
        guard operationByName[key] == nil, operationCounts[Int(node)] < Bounds.operationsMaximum else {
            return false
        }
        operationCounts[Int(node)] += 1
        _ = appendOperation(UInt16(node), name, key)
        return true
    }
}
