// A disk in memory that loses what was not synchronised, by one seed.

import EventModel
import EventStore
import Synchronization

/// A generator of numbers that are the same for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678_9abc_def0 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// Models a page cache over durable sectors and a directory whose changes are durable after a directory sync only.
///
/// At a crash each unsynchronised sector of 512 bytes is kept, lost, zeroed or garbage on its own; a changed size may be
/// kept or lost; directory changes survive up to some point in their order. A sector that was durable before becomes
/// the old or the new one, never garbage: no log that appends within a sector could stand that.
final class SimulatedDisk: LogStorage {
    static let sectorByteCount = 512

    struct Node {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []
        var dirty: Set<Int> = []
        var isSizeDirty = false
    }

    enum NameChange {
        case link(String, Int)
        case unlink(String)
    }

    struct State {
        var random: SeededGenerator
        var nodes: [Int: Node] = [:]
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var pendingNames: [NameChange] = []
        var nextNode = 1
        var generation = 0
        var clock: UInt64 = 1_000_000
        var lockedPaths: Set<String> = []
        var capacityBytes: Int?
        var hasShortWrites = false
        var failsNextSync = false
        /// Changes until the power goes; nil: it stays.
        var changesUntilCrash: Int?
        var isDown = false
    }

    let state: Mutex<State>

    init(seed: UInt64) { state = Mutex(State(random: SeededGenerator(seed: seed))) }

    /// Runs an operation; after the power went every operation fails until `crash()` has been called.
    func perform<Value>(
        changes: Bool, _ operation: (inout State) throws(EventStoreError) -> Value
    ) throws(EventStoreError) -> Value {
        let result: Result<Value, EventStoreError> = state.withLock { state in
            if changes, let left = state.changesUntilCrash {
                state.changesUntilCrash = left - 1
                if left <= 0 { state.isDown = true }
            }
            if state.isDown { return .failure(EventStoreError(.inputOutput, operation: "power")) }
            state.clock += 1000
            do throws(EventStoreError) { return .success(try operation(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    var isDown: Bool { state.withLock { $0.isDown } }

    func open(_ path: String, _ mode: LogFileMode) throws(EventStoreError) -> any LogFile {
        try perform(changes: mode == .create) { state throws(EventStoreError) in
            if let node = state.names[path] {
                if mode == .create { state.truncate(node, to: 0) }
                return SimulatedFile(disk: self, node: node, generation: state.generation, path: path)
            }
            guard mode == .create else { throw EventStoreError(.notFound, path: path, operation: "open") }
            let node = state.nextNode
            state.nextNode += 1
            state.nodes[node] = Node()
            state.names[path] = node
            state.pendingNames.append(.link(path, node))
            return SimulatedFile(disk: self, node: node, generation: state.generation, path: path)
        }
    }

    func fileNames(in directory: String) throws(EventStoreError) -> [String] {
        try perform(changes: false) { state throws(EventStoreError) in
            state.names.keys.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
        }
    }

    func createDirectory(_ path: String) throws(EventStoreError) {}

    func rename(_ path: String, to newPath: String) throws(EventStoreError) {
        try perform(changes: true) { state throws(EventStoreError) in
            guard let node = state.names.removeValue(forKey: path) else {
                throw EventStoreError(.notFound, path: path, operation: "rename")
            }
            state.names[newPath] = node
            state.pendingNames.append(.link(newPath, node))
            state.pendingNames.append(.unlink(path))
        }
    }

    func remove(_ path: String) throws(EventStoreError) {
        try perform(changes: true) { state throws(EventStoreError) in
            guard state.names.removeValue(forKey: path) != nil else {
                throw EventStoreError(.notFound, path: path, operation: "unlink")
            }
            state.pendingNames.append(.unlink(path))
        }
    }

    func synchronizeDirectory(_ path: String) throws(EventStoreError) {
        try perform(changes: true) { state throws(EventStoreError) in
            state.pendingNames = []
            state.durableNames = state.names
        }
    }

    func lock(_ path: String) throws(EventStoreError) -> any LogLock {
        try perform(changes: false) { state throws(EventStoreError) in
            guard state.lockedPaths.insert(path).inserted else {
                throw EventStoreError(.locked(processID: 1), path: path)
            }
            return SimulatedLock(disk: self, path: path, generation: state.generation)
        }
    }

    func diskSpace(at directory: String) throws(EventStoreError) -> DiskSpace {
        try perform(changes: false) { state throws(EventStoreError) in
            let total = state.capacityBytes ?? 1 << 30
            return DiskSpace(freeBytes: UInt64(max(0, total - state.usedBytes)), totalBytes: UInt64(total))
        }
    }

    func now() -> Timestamp { Timestamp(nanoseconds: Int64(monotonicNanoseconds())) }

    func monotonicNanoseconds() -> UInt64 {
        state.withLock { state in
            state.clock += 1000
            return state.clock
        }
    }

    /// The power goes and comes back.
    func crash() {
        state.withLock { state in state.crash() }
    }

    /// The process ends without closing anything; the page cache survives.
    func killProcess() {
        state.withLock { state in
            state.generation += 1
            state.lockedPaths = []
        }
    }

    /// A disk that forgets: one bit of a durable file changes.
    func flipBit(of path: String, at offset: Int, bit: Int) {
        state.withLock { state in
            guard let node = state.names[path] else { return }
            state.nodes[node]!.bytes[offset] ^= 1 << UInt8(bit)
            state.nodes[node]!.durable = state.nodes[node]!.bytes
        }
    }

    /// The content of a file as a program sees it.
    func content(of path: String) -> [UInt8] {
        state.withLock { state in state.names[path].map { state.nodes[$0]!.bytes } ?? [] }
    }

    /// Puts a file onto the disk, durably.
    func install(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let node = state.nextNode
            state.nextNode += 1
            state.nodes[node] = Node(bytes: bytes, durable: bytes)
            state.names[path] = node
            state.durableNames[path] = node
        }
    }
}

extension SimulatedDisk.State {
    var usedBytes: Int { names.values.reduce(0) { $0 + nodes[$1]!.bytes.count } }

    mutating func truncate(_ id: Int, to count: Int) {
        let old = nodes[id]!.bytes.count
        let sector = SimulatedDisk.sectorByteCount
        if count < old {
            nodes[id]!.bytes.removeLast(old - count)
        } else {
            nodes[id]!.bytes += [UInt8](repeating: 0, count: count - old)
        }
        if count != old { nodes[id]!.dirty.formUnion(min(count, old) / sector...max(count, old) / sector) }
        nodes[id]!.isSizeDirty = true
    }

    mutating func write(_ bytes: [UInt8], to id: Int, at offset: Int) {
        if nodes[id]!.bytes.count < offset + bytes.count { truncate(id, to: offset + bytes.count) }
        nodes[id]!.bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        let sector = SimulatedDisk.sectorByteCount
        nodes[id]!.dirty.formUnion(offset / sector...(offset + bytes.count - 1) / sector)
    }

    mutating func synchronize(_ id: Int) {
        nodes[id]!.durable = SimulatedDisk.merged(nodes[id]!)
        nodes[id]!.dirty = []
        nodes[id]!.isSizeDirty = false
    }

    /// What Linux does after a failed fsync: dirty pages become clean, and may or may not be seen any longer.
    mutating func failSynchronize(_ id: Int) {
        if random.chance(50) { nodes[id]!.bytes = nodes[id]!.durable }
        nodes[id]!.dirty = []
        nodes[id]!.isSizeDirty = false
    }

    mutating func crash() {
        let surviving = Int.random(in: 0...pendingNames.count, using: &random)
        for change in pendingNames.prefix(surviving) {
            switch change {
            case .link(let path, let node): durableNames[path] = node
            case .unlink(let path): durableNames[path] = nil
            }
        }
        names = durableNames
        pendingNames = []
        let keptPercent = [0, 30, 90, 100].randomElement(using: &random)!
        for id in nodes.keys.sorted() { crash(id, keptPercent) }
        generation += 1
        lockedPaths = []
        isDown = false
        changesUntilCrash = nil
        failsNextSync = false
    }

    private mutating func crash(_ id: Int, _ keptPercent: Int) {
        guard let node = nodes[id] else { return }
        let sector = SimulatedDisk.sectorByteCount
        var size = node.durable.count
        if node.isSizeDirty {
            let sizes = [node.bytes.count, node.durable.count, (node.bytes.count + node.durable.count) / 2]
            size = sizes.randomElement(using: &random)!
        }
        var content = Array(node.durable.prefix(size))
        content += [UInt8](repeating: 0, count: size - content.count)
        for index in node.dirty.sorted() where index * sector < size {
            let range = index * sector..<min(size, (index + 1) * sector)
            switch random.chance(keptPercent) ? 0 : Int.random(in: 1...4, using: &random) {
            case 0:
                for byte in range { content[byte] = byte < node.bytes.count ? node.bytes[byte] : 0 }
            case 1: for byte in range where byte >= node.durable.count { content[byte] = 0 }
            case 2:
                for byte in range where byte >= node.durable.count {
                    content[byte] = UInt8.random(in: .min ... .max, using: &random)
                }
            default: break
            }
        }
        nodes[id] = SimulatedDisk.Node(bytes: content, durable: content)
    }
}

extension SimulatedDisk {
    /// The durable content once all dirty sectors are written; clean sectors stay what the disk really holds.
    static func merged(_ node: Node) -> [UInt8] {
        var content = Array(node.durable.prefix(node.bytes.count))
        let known = content.count
        content += node.bytes[known...]
        for index in node.dirty where index * sectorByteCount < content.count {
            let range = index * sectorByteCount..<min(content.count, (index + 1) * sectorByteCount)
            content.replaceSubrange(range, with: node.bytes[range])
        }
        return content
    }
}

/// An open file of a simulated disk; useless after a crash.
final class SimulatedFile: LogFile {
    private let disk: SimulatedDisk
    private let node: Int
    private let generation: Int
    private let path: String

    init(disk: SimulatedDisk, node: Int, generation: Int, path: String) {
        self.disk = disk
        self.node = node
        self.generation = generation
        self.path = path
    }

    private func perform<Value>(
        changes: Bool, _ operation: (inout SimulatedDisk.State) throws(EventStoreError) -> Value
    ) throws(EventStoreError) -> Value {
        try disk.perform(changes: changes) { state throws(EventStoreError) in
            precondition(generation == state.generation, "a file of a process that has ended was used")
            return try operation(&state)
        }
    }

    func byteCount() throws(EventStoreError) -> UInt64 {
        try perform(changes: false) { state throws(EventStoreError) in UInt64(state.nodes[node]!.bytes.count) }
    }

    func read(at offset: UInt64, count: Int) throws(EventStoreError) -> [UInt8] {
        try perform(changes: false) { state throws(EventStoreError) in
            Array(state.nodes[node]!.bytes.dropFirst(Int(offset)).prefix(count))
        }
    }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(EventStoreError) -> Int {
        var content: [UInt8] = []
        for index in bytes.indices { content.append(bytes[index]) }
        return try perform(changes: true) { state throws(EventStoreError) in
            var count = content.count
            if state.hasShortWrites, count > 1, state.random.chance(20) {
                count = Int.random(in: 1..<count, using: &state.random)
            }
            if let capacity = state.capacityBytes {
                let growth = max(0, Int(offset) + count - state.nodes[node]!.bytes.count)
                count -= max(0, growth - max(0, capacity - state.usedBytes))
                guard count > 0 else {
                    throw EventStoreError(.diskFull, path: path, operation: "pwrite", errno: 28)
                }
            }
            state.write(Array(content.prefix(count)), to: node, at: Int(offset))
            return count
        }
    }

    func truncate(to byteCount: UInt64) throws(EventStoreError) {
        try perform(changes: true) { state throws(EventStoreError) in state.truncate(node, to: Int(byteCount)) }
    }

    func synchronize() throws(EventStoreError) {
        try perform(changes: true) { state throws(EventStoreError) in
            if state.failsNextSync {
                state.failsNextSync = false
                state.failSynchronize(node)
                throw EventStoreError(.inputOutput, path: path, operation: "fdatasync", errno: 5)
            }
            state.synchronize(node)
        }
    }
}

/// A lock of a simulated disk.
final class SimulatedLock: LogLock {
    private let disk: SimulatedDisk
    private let path: String
    private let generation: Int

    init(disk: SimulatedDisk, path: String, generation: Int) {
        self.disk = disk
        self.path = path
        self.generation = generation
    }

    func release() {
        disk.state.withLock { if $0.generation == generation { $0.lockedPaths.remove(path) } }
    }
}
