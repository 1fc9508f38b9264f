// The mark of a data directory that was restored: what its log owes may have been sent since, by the original.

package import EventModel

/// A file in the data directory; while it is there, a node sends nothing to shadows (Operations.md, What to do).
package struct DirectiveFence: Sendable {
    package static let fileName = "directives-fenced"
    private let directory: String
    private let storage: any LogStorage

    package init(directory: String, storage: any LogStorage = PosixStorage()) {
        self.directory = directory
        self.storage = storage
    }

    private var path: String { directory + "/" + Self.fileName }

    /// Whether it is there.
    package var isRaised: Bool { (try? storage.fileNames(in: directory).contains(Self.fileName)) ?? false }

    /// Whether a record stands behind the last one that the fence stands for: an earlier resumption is of another time.
    package func isPassed(by sequence: SequenceNumber) -> Bool {
        guard let file = try? storage.open(path, .read), let bytes = try? file.read(at: 0, count: 32),
            let number = UInt64(String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self))
        else { return true }
        return sequence.rawValue > number
    }

    /// Puts it there; `last` is the last record of the log that was restored.
    package func raise(after last: SequenceNumber) throws(EventStoreError) {
        try storage.replaceAtomically(path, in: directory, with: Array("\(last.rawValue)\n".utf8))
    }

    /// Takes it away.
    package func lower() throws(EventStoreError) {
        guard isRaised else { return }
        try storage.remove(path)
        try storage.synchronizeDirectory(directory)
    }
}
