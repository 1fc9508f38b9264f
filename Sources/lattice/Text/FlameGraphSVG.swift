// Folded stacks as a picture that any browser shows.

import EventModel
import Foundation

/// Draws stacks of `service: operation` with self times; the whole trace lies at the bottom.
struct FlameGraphSVG {
    private struct Frame {
        var name: String
        /// With all that stands on it.
        var total: UInt64 = 0
        var children: [String: Int] = [:]
        var depth = 0
    }

    private static let width = 1_200.0
    private static let rowHeight = 18
    private static let depthMaximum = 400
    private var frames: [Frame]
    private let title: String

    /// - Parameter folded: lines of `frame;frame nanoseconds`.
    init(folded: String, title: String) {
        self.title = title
        frames = [Frame(name: "all")]
        for line in folded.split(separator: "\n") {
            guard let blank = line.lastIndex(of: " "), let time = UInt64(line[line.index(after: blank)...]) else {
                continue
            }
            add(line[..<blank].split(separator: ";").prefix(Self.depthMaximum), time)
        }
    }

    private mutating func add(_ names: ArraySlice<Substring>, _ time: UInt64) {
        var current = 0
        frames[0].total += time
        for name in names {
            let name = String(name)
            if let known = frames[current].children[name] {
                current = known
            } else {
                frames.append(Frame(name: name, depth: frames[current].depth + 1))
                frames[current].children[name] = frames.count - 1
                current = frames.count - 1
            }
            frames[current].total += time
        }
    }

    var text: String {
        let rows = (frames.map(\.depth).max() ?? 0) + 1
        let height = rows * Self.rowHeight + 40
        var text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" height="\(height)" \
            viewBox="0 0 \(Int(Self.width)) \(height)" font-family="monospace" font-size="11">
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="8" y="18" font-size="13">\(Self.escaped(title)), \(ShortDuration.of(Int64(clamping: frames[0].total))) \
            of self time</text>

            """
        var stack: [(frame: Int, x: Double)] = [(0, 0)]
        while let (index, x) = stack.popLast() {
            text += box(index, x, height)
            var childX = x
            for child in frames[index].children.sorted(by: { $0.key < $1.key }).map(\.value) {
                stack.append((child, childX))
                childX += width(child)
            }
        }
        return text + "</svg>"
    }

    private func width(_ index: Int) -> Double {
        Self.width * Double(frames[index].total) / Double(max(1, frames[0].total))
    }

    private func box(_ index: Int, _ x: Double, _ height: Int) -> String {
        let frame = frames[index]
        let width = width(index)
        if width < 0.3 { return "" }
        let y = height - (frame.depth + 1) * Self.rowHeight - 6
        let share = String(format: "%.1f", 100 * Double(frame.total) / Double(max(1, frames[0].total)))
        let time = ShortDuration.of(Int64(clamping: frame.total))
        let letters = Int((width - 6) / 6.7)
        let label = letters < 3 ? "" : frame.name.count <= letters ? frame.name : frame.name.prefix(letters - 1) + "…"
        let place = String(format: "x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"", x, y, width, Self.rowHeight - 1)
        return "<g><title>\(Self.escaped(frame.name)): \(time), \(share) %</title>"
            + "<rect \(place) fill=\"\(color(frame.name))\" rx=\"1\"/>"
            + "<text x=\"\(String(format: "%.2f", x + 3))\" y=\"\(y + 12)\">\(Self.escaped(label))</text></g>\n"
    }

    /// One colour a service, the same in every picture.
    private func color(_ name: String) -> String {
        var hash: UInt32 = 2_166_136_261
        for byte in name.prefix(while: { $0 != ":" }).utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return "hsl(\(hash % 360),65%,72%)"
    }

    private static func escaped(_ text: String) -> String {
        Terminal.escaped(text).replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}
