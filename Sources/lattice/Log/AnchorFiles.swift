// Keys and anchors as files: what is read, what is refused, and the option that names the secret.

import ArgumentParser
import EventModel
import EventStore
import Foundation

/// The key that signs heads of the log.
struct AnchorOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Sign heads of the log with this key (`lattice anchors keygen`) and publish them on <prefix>.anchors.",
            valueName: "file"))
    var anchorKey: String?

    @Option(
        help: ArgumentHelp(
            "Anchor what is not sealed yet so often; sealed segments and the end are anchored anyway.",
            valueName: "duration"))
    var anchorInterval: DurationArgument = DurationArgument(argument: "10m")!

    func validate() throws {
        if anchorInterval.value < .seconds(1) { throw ValidationError("--anchor-interval is at least 1s") }
    }

    /// The key; nil where none is named. It must lie outside the data directory and be its owner's alone.
    func key(outside directory: String) throws(CommandFailure) -> AnchorKey? {
        guard let anchorKey else { return nil }
        let file = URL(fileURLWithPath: anchorKey).resolvingSymlinksInPath().path
        let data = URL(fileURLWithPath: directory).resolvingSymlinksInPath().path
        if file.hasPrefix(data + "/") {
            throw CommandFailure(
                .failed, "--anchor-key \(anchorKey) lies in the data directory: whoever has the disk could sign")
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: file)
        guard let mode = attributes?[.posixPermissions] as? NSNumber else {
            throw CommandFailure(
                .failed, "--anchor-key \(anchorKey) can not be read; `lattice anchors keygen --out FILE` makes one")
        }
        guard mode.intValue & 0o077 == 0 else {
            throw CommandFailure(.failed, "others can read --anchor-key \(anchorKey): chmod 600 \(anchorKey)")
        }
        guard let key = AnchorKey(secretLine: AnchorFile.text(file)) else {
            throw CommandFailure(.failed, "--anchor-key \(anchorKey) is no key that `lattice anchors keygen` makes")
        }
        return key
    }
}

/// Files of keys and anchors.
enum AnchorFile {
    static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// The public key in a file.
    static func publicKey(_ path: String) throws(CommandFailure) -> String {
        guard let key = AnchorKey.publicKey(line: text(path)) else {
            throw CommandFailure(
                .failed, "\(path) is no public key; `lattice anchors keygen` writes it beside the secret, as FILE.pub")
        }
        return key
    }

    /// The anchors of a file, a JSON object a line, or of standard input (`-`).
    static func anchors(_ path: String) throws(CommandFailure) -> [Anchor] {
        let data =
            path == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
        guard let data else { throw CommandFailure(.failed, "\(path) can not be read") }
        var anchors: [Anchor] = []
        for (index, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard let anchor = Anchor(json: Array(line)) else {
                throw CommandFailure(.failed, "line \(index + 1) of \(path) is no anchor")
            }
            anchors.append(anchor)
        }
        return anchors
    }

    /// Creates a file that only its owner can read; throws if there is one already.
    static func create(_ path: String, _ text: String, mode: Int) throws(CommandFailure) {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw CommandFailure(.failed, "\(path) exists already and is left as it is")
        }
        guard
            FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
        else { throw CommandFailure(.failed, "\(path) can not be written") }
    }
}

extension Anchor {
    /// Nil where the text is no anchor.
    init?(json: [UInt8]) {
        guard let binary = try? JSONTranscoder.binary(fromJSON: json, kind: .anchor),
            let anchor = try? Anchor.decode(binary[...])
        else { return nil }
        self = anchor
    }
}
