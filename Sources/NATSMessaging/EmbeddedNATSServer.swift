// A nats-server child process, for `lattice serve` and for tests.

internal import CNATSSupport
internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// Why a server did not start.
package enum EmbeddedServerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// There is no such program in PATH or the system's sbin directories.
    case notInstalled(executable: String)
    /// The process could not be made.
    case failed(operation: String, errno: Int32)
    /// It ended before it was ready; its log says why.
    case endedEarly(logTail: String)
    /// It wrote no ports file in time.
    case notReady(directory: String)

    package var description: String {
        switch self {
        case .notInstalled(let executable):
            "\(executable) is not installed: install it (Debian: apt install nats-server) or name a server to connect to"
        case .failed(let operation, let errno): "nats-server: \(operation) failed, errno \(errno)"
        case .endedEarly(let logTail): "nats-server ended before it was ready: \(logTail)"
        case .notReady(let directory): "nats-server wrote no ports file to \(directory)"
        }
    }
}

/// A nats-server that ends when it is told to, when its owner is released, or when this process ends for any reason.
package final class EmbeddedNATSServer: Sendable {
    /// How the server is started.
    package struct Options: Sendable, Hashable {
        package var executable = "nats-server"
        package var host = "127.0.0.1"
        /// Nil lets the system choose.
        package var port: UInt16?
        /// Where the server writes its ports file, and its log unless told otherwise; must exist.
        package var directory: String
        /// Turns JetStream on and keeps its streams there.
        package var jetStreamDirectory: String?
        /// A configuration file; the other options win over it.
        package var configurationFile: String?
        /// Nil for `nats-server.log` in `directory`.
        package var logFile: String?

        package init(directory: String) { self.directory = directory }
    }

    package let options: Options
    /// What clients connect to.
    package let url: String
    package let port: UInt16
    package var processID: Int32 { child.processID }
    private let child: ChildProcess

    private init(options: Options, url: String, port: UInt16, child: ChildProcess) {
        self.options = options
        self.url = url
        self.port = port
        self.child = child
    }

    deinit { child.send(SIGTERM) }

    /// Starts a server and returns when it takes connections.
    ///
    /// - Parameter timeout: for reading the stored streams, which can take a while when there are many.
    package static func start(
        _ options: Options, timeout: Duration = .seconds(10)
    ) async throws(EmbeddedServerError) -> EmbeddedNATSServer {
        let log = options.logFile ?? options.directory + "/nats-server.log"
        let child = try ChildProcess(options.arguments, logFile: log)
        let portsFile = "\(options.directory)/\(options.executableName)_\(child.processID).ports"
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            if let address = ServerAddress(portsFile: portsFile) {
                return EmbeddedNATSServer(options: options, url: address.url, port: address.port, child: child)
            }
            guard child.isRunning else { throw .endedEarly(logTail: tail(of: log)) }
            try? await Task.sleep(for: .milliseconds(2))
        }
        child.send(SIGKILL)
        throw .notReady(directory: options.directory)
    }

    package var isRunning: Bool { child.isRunning }

    /// Asks the server to end, waits for up to `patience`, then kills it. Returns when the process is gone.
    package func terminate(patience: Duration = .seconds(5)) async {
        child.send(SIGTERM)
        let deadline = ContinuousClock.now + patience
        var hasKilled = false
        while child.isRunning {
            if !hasKilled && ContinuousClock.now >= deadline {
                child.send(SIGKILL)
                hasKilled = true
            }
            // A cancelled task does not sleep, but the process must be gone all the same.
            await Task { try? await Task.sleep(for: .milliseconds(2)) }.value
        }
    }

    /// Ends the server as a power cut would.
    package func kill() async {
        child.send(SIGKILL)
        await terminate()
    }

    private static func tail(of log: String) -> String {
        guard let data = FileManager.default.contents(atPath: log) else { return "no log at \(log)" }
        let lines = String(decoding: data.suffix(4_096), as: UTF8.self).split(separator: "\n")
        let complaints = lines.filter { $0.contains("[FTL]") || $0.contains("[ERR]") }
        return (complaints.last ?? lines.last).map(String.init) ?? "its log \(log) is empty"
    }
}

extension EmbeddedNATSServer.Options {
    fileprivate var executableName: String { executable.split(separator: "/").last.map(String.init) ?? executable }

    fileprivate var arguments: [String] {
        var arguments = [executable]
        if let configurationFile { arguments += ["-c", configurationFile] }
        arguments += ["-a", host, "-p", port.map { String($0) } ?? "-1", "--ports_file_dir", directory]
        if let jetStreamDirectory { arguments += ["-js", "-sd", jetStreamDirectory] }
        return arguments
    }
}

/// What a ports file says.
private struct ServerAddress {
    let url: String
    let port: UInt16

    private struct Contents: Decodable { let nats: [String] }

    /// Nil until the file is there and whole.
    init?(portsFile: String) {
        guard let data = FileManager.default.contents(atPath: portsFile),
            let url = (try? JSONDecoder().decode(Contents.self, from: data))?.nats.first,
            let port = url.split(separator: ":").last.flatMap({ UInt16($0) })
        else { return nil }
        self.url = url
        self.port = port
    }
}

/// The child's handle.
// Safe because the C side locks, and the pointer never changes.
@safe private final class ChildProcess: @unchecked Sendable {
    private let pointer: OpaquePointer
    let processID: Int32

    init(_ arguments: [String], logFile: String) throws(EmbeddedServerError) {
        var created: OpaquePointer?
        var copies = unsafe arguments.map { unsafe UnsafePointer(strdup($0)) } + [nil]
        let error = unsafe lattice_child_start(&copies, logFile, &created)
        for index in 0..<arguments.count { unsafe free(UnsafeMutablePointer(mutating: copies[index])) }
        if error == ENOENT { throw .notInstalled(executable: arguments[0]) }
        guard error == 0, let created = unsafe created else { throw .failed(operation: "start", errno: error) }
        unsafe pointer = created
        processID = unsafe lattice_child_process_id(created)
    }

    deinit { unsafe lattice_child_release(pointer) }

    var isRunning: Bool { unsafe lattice_child_is_running(pointer) }

    func send(_ signal: Int32) { unsafe lattice_child_signal(pointer, signal) }
}
