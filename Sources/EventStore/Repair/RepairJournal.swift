// What a repair is about to do, so that one that is interrupted can be taken back and begun again.

import EventModel

/// The content of the `REPAIR` file, which is there while a repair moves files: while it is, the log is not read.
///
/// Lines of text, the last one a checksum, as in the manifest. To take a repair back is safe at every point: what it moved
/// gets its name again, what it wrote is a copy, and nobody can have appended anything in between.
struct RepairJournal: Hashable {
    static let fileName = "REPAIR"
    private static let heading = "latticeforge-repair 1"

    /// A segment and the name it is moved to, both without the directory.
    struct Move: Hashable {
        var name: String
        var aside: String
    }

    /// The bytes of the manifest as it was.
    var manifest: [UInt8]
    var moves: [Move]

    static func isThere(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) -> Bool {
        try storage.fileNames(in: directory).contains(fileName)
    }

    /// Throws `.hole` while a repair that was interrupted is not taken up again.
    static func requireNone(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) {
        guard try isThere(directory, storage) else { return }
        throw EventStoreError(
            .hole, path: directory + "/" + fileName,
            detail: "a repair was interrupted; `lattice log repair --yes` begins it again from what was there before")
    }

    func write(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) {
        var lines = [Self.heading, "manifest \(Hexadecimal.text(manifest))"]
        for move in moves { lines.append("move \(move.name) \(move.aside)") }
        let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
        let checksum = String(Checksum.crc32c(bytes.span), radix: 16)
        try storage.replaceAtomically(
            directory + "/" + Self.fileName, in: directory, with: bytes + Array("crc32c \(checksum)\n".utf8))
    }

    static func remove(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) {
        try storage.remove(directory + "/" + fileName)
        try storage.synchronizeDirectory(directory)
    }

    static func read(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) -> RepairJournal {
        let path = directory + "/" + fileName
        let bytes = try storage.open(path, .read).readAll()
        let damaged = EventStoreError(.manifestDamaged, path: path, detail: "the journal of a repair can not be read")
        guard let text = String(validating: bytes, as: UTF8.self), text.hasSuffix("\n") else { throw damaged }
        var lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        guard let last = lines.popLast(), lines.count >= 2, lines[0] == heading else { throw damaged }
        let body = bytes.dropLast(last.utf8.count + 1)
        let checksum = String(Checksum.crc32c(body.span), radix: 16)
        guard last == "crc32c \(checksum)" else { throw damaged }
        var journal = RepairJournal(manifest: [], moves: [])
        for line in lines.dropFirst() {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2, words[0] == "manifest", let manifest = Hexadecimal.bytes(words[1]) {
                journal.manifest = manifest
            } else if words.count == 3, words[0] == "move" {
                journal.moves.append(Move(name: words[1], aside: words[2]))
            } else {
                throw damaged
            }
        }
        return journal
    }

    /// Makes the directory what it was before the repair. Can itself be interrupted and begun again.
    func undo(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) {
        let names = Set(try storage.fileNames(in: directory))
        let moved = Set(moves.map(\.name))
        let begin = moves.compactMap { FileName.segmentSequence($0.name) }.min() ?? .end
        // What the repair wrote: copies of what lies in the files moved aside.
        for name in names.sorted() where !moved.contains(name) {
            guard let first = FileName.segmentSequence(name), first > begin else { continue }
            try storage.remove(directory + "/" + name)
        }
        for move in moves where names.contains(move.aside) {
            try storage.rename(directory + "/" + move.aside, to: directory + "/" + move.name)
        }
        try storage.replaceAtomically(directory + "/" + FileName.manifest, in: directory, with: manifest)
        try Self.remove(directory, storage)
    }
}
