// The built programs of this package: what is tested is what is shipped, the release build.

package import Foundation

/// Finds `lattice`, `example-service` and `lattice-bench` as `make build` leaves them.
package enum BuiltProgram {
    /// The top of the repository.
    package static let repository = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../..").standardized

    /// Where the programs are: `LATTICE_PROGRAMS`, or the release build of this checkout. Where coverage is measured the
    /// variable names the build that counts.
    package static let directory: URL = {
        if let named = ProcessInfo.processInfo.environment["LATTICE_PROGRAMS"], !named.isEmpty {
            return URL(fileURLWithPath: named, relativeTo: repository).standardized
        }
        return repository.appendingPathComponent(".build/release")
    }()

    /// The path of a program.
    ///
    /// - Precondition: it was built.
    package static func path(_ name: String) -> String {
        let path = directory.appendingPathComponent(name).path
        precondition(
            FileManager.default.isExecutableFile(atPath: path),
            "\(path) is not built: make test builds it, or: make build; LATTICE_PROGRAMS names another directory")
        return path
    }

    package static func url(_ name: String) -> URL { URL(fileURLWithPath: path(name)) }
}
