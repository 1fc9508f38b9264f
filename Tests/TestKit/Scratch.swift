// A directory of one test's own.

import Foundation

/// A directory that vanishes with its owner.
package final class Scratch: Sendable {
    /// The directory itself.
    package let path: String

    package init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("lattice-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The same as `path`.
    package var directory: String { path }

    /// A file or folder in it.
    package func path(_ name: String) -> String { path + "/" + name }

    /// Writes a file that only its owner may read, and returns its path.
    package func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(name))
        return path(name)
    }

    /// What stands in a file; empty without it.
    package static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}
