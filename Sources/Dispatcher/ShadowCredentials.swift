// A shadow needs credentials of its own: a file names them, they are put into the request, and never into the log.

import EventModel
import FoundationEssentials

/// Reads the files that `shadow_auth` names.
struct ShadowCredentials: Sendable {
    /// Bytes of such a file.
    private static let bytesMaximum = 16_384
    let directory: String

    /// The headers of a file: `name: value` line by line, or one line that is the value of `authorization`.
    ///
    /// Nil: the name leads out of the directory, the file can not be read, or is not one of these forms.
    func headers(_ name: String) -> [HeaderField]? {
        let isPlain =
            !name.hasPrefix(".") && name.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != 0x7F }
        guard isPlain, let content = FileManager.default.contents(atPath: "\(directory)/\(name)"),
            content.count <= Self.bytesMaximum, let text = String(validating: content, as: UTF8.self)
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
