// Bearer tokens on disk, for the listeners of a node.

import Foundation

/// Bearer tokens on disk.
enum TokenFile {
    /// The first word of a file.
    static func read(_ path: String, option: String) throws(CommandFailure) -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.failed, "\(option) \(path) can not be read")
        }
        let text = String(decoding: data, as: UTF8.self)
        let token = String(text.drop(while: \.isWhitespace).prefix { !$0.isWhitespace })
        guard token.utf8.count >= 16 else {
            throw CommandFailure(
                .failed, "the token in \(path) is shorter than 16 characters: `openssl rand -hex 32` makes one")
        }
        return token
    }
}
