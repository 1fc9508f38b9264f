// Bearer tokens on disk, for the listeners of a node.

import Foundation
import Listeners
import Logging

/// Bearer tokens on disk.
enum TokenFile {
    /// The first word of a file.
    static func read(_ path: String, option: String) throws(CommandFailure) -> String {
        let text = String(decoding: try content(path, option: option), as: UTF8.self)
        let token = String(text.drop(while: \.isWhitespace).prefix { !$0.isWhitespace })
        guard token.utf8.count >= AccessTokens.shortestToken else {
            throw CommandFailure(
                .failed,
                "the token in \(path) is shorter than \(AccessTokens.shortestToken) characters: "
                    + "`openssl rand -hex 32` makes one")
        }
        return token
    }

    /// Lines with a name, a role and a token each.
    static func readNamed(_ path: String, option: String) throws(CommandFailure) -> [AccessToken] {
        guard let text = String(validating: try content(path, option: option), as: UTF8.self) else {
            throw CommandFailure(.failed, "\(option) \(path) is not UTF-8")
        }
        do throws(AccessTokens.Mistake) {
            return try AccessTokens(parsing: text).all
        } catch {
            throw CommandFailure(.failed, "\(option) \(path), \(error.description)")
        }
    }

    private static func content(_ path: String, option: String) throws(CommandFailure) -> Data {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.failed, "\(option) \(path) can not be read")
        }
        return data
    }

    /// Says where others than the owner can get at a file of secrets.
    static func warnIfOpen(_ path: String, _ logger: Logger) {
        let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let attributes = try? FileManager.default.attributesOfItem(atPath: real)
        guard let mode = (attributes?[.posixPermissions] as? NSNumber)?.intValue, mode & 0o026 != 0 else { return }
        logger.warning(
            "a file of tokens can be read or written by others: chmod 600",
            metadata: ["file": "\(path)", "mode": "\(String(mode, radix: 8))"])
    }
}
