// What people and scripts see: lines on standard output, complaints and progress on standard error.

import Foundation
import Glibc

/// The two outputs of the process, unbuffered.
enum Terminal {
    /// Whether a person looks at standard error.
    static let errorsAreSeen = isatty(STDERR_FILENO) == 1
    /// Whether a person looks at standard output.
    static let outputIsSeen = isatty(STDOUT_FILENO) == 1
    /// Whether a person types what is read from standard input.
    static let inputIsTyped = isatty(STDIN_FILENO) == 1

    /// Writes a line to standard output.
    static func say(_ line: String) { write(Array(line.utf8) + [0x0A]) }

    /// Writes bytes and a line's end to standard output.
    static func say(_ bytes: [UInt8]) { write(bytes + [0x0A]) }

    /// Writes to standard output without ending the line.
    static func write(_ text: String) { write(Array(text.utf8)) }

    /// Writes a line to standard error.
    static func complain(_ line: String) { try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8)) }

    /// Writes to standard error without ending the line.
    static func draw(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

    private static func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EPIPE {
                // Whoever read has gone (`| head`): nothing is left to do.
                Glibc.exit(ExitStatus.success.rawValue)
            } else if errno != EINTR && errno != EAGAIN {
                complain("lattice: standard output can not be written: \(unsafe String(cString: strerror(errno)))")
                Glibc.exit(ExitStatus.failed.rawValue)
            }
        }
    }

    /// The same for text of several lines.
    static func escapedLines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { escaped(String($0)) }
            .joined(separator: "\n")
    }

    /// Text from elsewhere, safe to show: control characters (also those of C1, and the marks that turn the direction
    /// of writing) as `\u{…}`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isControl =
                scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
                || (0x2028...0x2029).contains(scalar.value)
            if isControl {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
