// A shadow needs credentials of its own: a file names them, they are put into the request, and never into the log.

import EventModel
import FoundationEssentials

/// Reads the files that `shadow_auth` names.
struct ShadowCredentials: Sendable {
    /// Bytes of such a file.
    private static let bytesMaximum = 16_384
    /// Links that lead to it.
    private static let linksMaximum = 8
    let directory: String

    /// The headers of a file: `name: value` line by line, or one line that is the value of `authorization`.
    ///
    /// Nil: the name leads out of the directory, the file cannot be read, or is not one of these forms.
    func headers(_ name: String) -> [HeaderField]? {
        let isPlain =
            !name.hasPrefix(".") && name.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != 0x7F }
        guard isPlain, let content = Self.content("\(directory)/\(name)"),
            let text = String(validating: content, as: UTF8.self)
        else { return nil }
        let lines = text.split(whereSeparator: \.isNewline).map(Self.trimmed).filter { !$0.isEmpty }
        if lines.isEmpty { return nil }
        if lines.count == 1, Self.field(lines[0]) == nil {
            return ShadowHeaders.isText(lines[0]) ? [HeaderField(name: "authorization", value: lines[0])] : nil
        }
        var headers: [HeaderField] = []
        for line in lines {
            guard let field = Self.field(line) else { return nil }
            headers.append(field)
        }
        return headers
    }

    /// A file's bytes; nil where there is none, it is too long, or no file that ends: a pipe or a device.
    private static func content(_ path: String) -> [UInt8]? {
        var path = path
        // Secrets that a cluster mounts are links to links.
        for _ in 0..<linksMaximum {
            guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { break }
            let folder = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
            path = next.hasPrefix("/") ? next : "\(folder)/\(next)"
        }
        guard let facts = try? FileManager.default.attributesOfItem(atPath: path),
            facts[.type] as? FileAttributeType == .typeRegular, let size = bytes(facts[.size]), size <= bytesMaximum,
            let content = FileManager.default.contents(atPath: path), content.count <= bytesMaximum
        else { return nil }
        return Array(content)
    }

    /// A size as the system's attributes have it, of one type or another.
    private static func bytes(_ size: Any?) -> UInt64? {
        size as? UInt64 ?? (size as? UInt).map { UInt64($0) } ?? (size as? Int).flatMap { UInt64(exactly: $0) }
    }

    private static func field(_ line: String) -> HeaderField? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let name = String(line[..<colon]).lowercased()
        let value = trimmed(line[line.index(after: colon)...])
        guard ShadowHeaders.isToken(name), ShadowHeaders.isText(value), !value.isEmpty else { return nil }
        return HeaderField(name: name, value: value)
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let start = text.drop { $0 == " " || $0 == "\t" }
        guard let last = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return String(start[...last])
    }
}
