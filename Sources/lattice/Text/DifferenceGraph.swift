// The mesh of two points as one coloured graph: what is new, gone, or changed.

import EventModel
import StateMachines

/// Services as boxes in columns, callers to the left of those they call.
struct DifferenceGraph {
    private enum Mark: String {
        case new = "#1a7f37"
        case gone = "#cf222e"
        case changed = "#bc4c00"
        case same = "#57606a"
    }

    private struct Node {
        var name: String
        var mark: Mark
        var note: String
        var column = 0
        var row = 0

        var x: Int { 40 + column * 240 }
        var y: Int { 84 + row * 72 }
    }

    private var nodes: [Node] = []
    private var places: [String: Int] = [:]
    private var edges: [(from: Int, to: Int, mark: Mark, calls: UInt64)] = []
    private let title: String
    private static let width = 160
    private static let height = 44

    init(_ difference: MeshDifference) {
        title =
            "records \(difference.from.sequence) to \(difference.to.sequence), "
            + "\(RFC3339Text.of(difference.from.recordedAt)) to \(RFC3339Text.of(difference.to.recordedAt))"
        for shift in difference.shifts { add(shift.subject, Self.mark(shift), Self.note(shift)) }
        for change in difference.changes { add(change.serviceName, .changed, "\(change.subject) \(change.field)") }
        for change in difference.instances { add(change.instance.serviceName, .changed, Self.note(change)) }
        for name in difference.servicesCome { add(name, .new, "new") }
        for name in difference.servicesGone { add(name, .gone, "gone") }
        for (list, mark) in [
            (difference.edgesKept, Mark.same), (difference.edgesCome, .new), (difference.edgesGone, .gone),
        ] {
            for edge in list where edge.parent != edge.child {
                add(edge.parent, .same, "")
                add(edge.child, .same, "")
                edges.append((places[edge.parent]!, places[edge.child]!, mark, edge.callCount))
            }
        }
        arrange()
    }

    /// The strongest mark stays: gone and new over changed over same.
    private mutating func add(_ name: String, _ mark: Mark, _ note: String) {
        guard let place = places[name] else {
            places[name] = nodes.count
            nodes.append(Node(name: name, mark: mark, note: note))
            return
        }
        if mark == .same || (mark == .changed && nodes[place].mark != .same) { return }
        (nodes[place].mark, nodes[place].note) = (mark, note)
    }

    private static func note(_ change: MeshDifference.InstanceChange) -> String {
        "\(change.instance.instanceID) \(change.kind.rawValue)"
    }

    /// Half as slow again at the 99th percentile, or a larger share of errors, is a change.
    private static func mark(_ shift: MeshDifference.Shift) -> Mark {
        let (before, after) = (shift.before, shift.between)
        guard before.callCount > 0, after.callCount > 0 else { return .same }
        if let old = before.latency.percentile(basisPoints: 9_900)?.rawValue,
            let new = after.latency.percentile(basisPoints: 9_900)?.rawValue, new - old > old / 2
        {
            return .changed
        }
        let (left, right) = (
            after.errorCount.multipliedFullWidth(by: before.callCount),
            before.errorCount.multipliedFullWidth(by: after.callCount)
        )
        return left > right ? .changed : .same
    }

    private static func note(_ shift: MeshDifference.Shift) -> String {
        let percentile = shift.between.latency.percentile(basisPoints: 9_900) ?? .zero
        return "\(shift.between.callCount) calls, p99 \(ShortDuration.of(percentile.rawValue))"
    }

    /// Columns by the longest way from a service that nobody calls; cycles end where they began.
    private mutating func arrange() {
        for _ in 0..<min(nodes.count, 64) {
            var isSettled = true
            for edge in edges where nodes[edge.to].column <= nodes[edge.from].column {
                let column = nodes[edge.from].column + 1
                if column >= min(nodes.count, 12) { continue }
                nodes[edge.to].column = column
                isSettled = false
            }
            if isSettled { break }
        }
        var rows: [Int: Int] = [:]
        for index in nodes.indices.sorted(by: { nodes[$0].name.utf8.lexicographicallyPrecedes(nodes[$1].name.utf8) }) {
            nodes[index].row = rows[nodes[index].column, default: 0]
            rows[nodes[index].column, default: 0] += 1
        }
    }

    /// The picture as a document of its own.
    var svg: String {
        let width = (nodes.map(\.x).max() ?? 0) + Self.width + 60
        let height = (nodes.map(\.y).max() ?? 84) + Self.height + 40
        var text = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(max(width, 640))" height="\(height)" font-family="sans-serif" font-size="13">
            <title>\(Self.escaped(title))</title>
            <text x="20" y="28">\(Self.escaped(title))</text>
            <text x="20" y="50" font-size="11"><tspan fill="\(Mark.new.rawValue)">new</tspan> <tspan fill="\(Mark.gone.rawValue)">gone</tspan> <tspan fill="\(Mark.changed.rawValue)">changed</tspan></text>

            """
        for edge in edges { text += line(edge) }
        for node in nodes { text += box(node) }
        return text + "</svg>\n"
    }

    private func line(_ edge: (from: Int, to: Int, mark: Mark, calls: UInt64)) -> String {
        let (from, to) = (nodes[edge.from], nodes[edge.to])
        let (x1, y1) = (from.x + Self.width, from.y + Self.height / 2)
        let (x2, y2) = (to.x, to.y + Self.height / 2)
        let dash = edge.mark == .gone ? " stroke-dasharray=\"6 4\"" : ""
        let path = "M\(x1) \(y1)C\(x1 + 40) \(y1) \(x2 - 40) \(y2) \(x2) \(y2)"
        let name = Self.escaped("\(from.name) to \(to.name), \(edge.calls) calls")
        return
            "<path d=\"\(path)\" fill=\"none\" stroke=\"\(edge.mark.rawValue)\" stroke-width=\"2\"\(dash)><title>\(name)"
            + "</title></path>\n"
    }

    private func box(_ node: Node) -> String {
        let name = node.name.count > 20 ? node.name.prefix(19) + "…" : node.name[...]
        let note = node.note.count > 26 ? node.note.prefix(25) + "…" : node.note[...]
        return """
            <g><title>\(Self.escaped(node.name)): \(Self.escaped(node.note))</title>\
            <rect x="\(node.x)" y="\(node.y)" width="\(Self.width)" height="\(Self.height)" rx="6" fill="#ffffff" \
            stroke="\(node.mark.rawValue)" stroke-width="2"/>\
            <text x="\(node.x + 10)" y="\(node.y + 18)" fill="\(node.mark.rawValue)">\(Self.escaped(String(name)))</text>\
            <text x="\(node.x + 10)" y="\(node.y + 35)" font-size="10" fill="#57606a">\(Self.escaped(String(note)))</text></g>

            """
    }

    /// For XML 1.0, which has no control characters at all.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in Terminal.escaped(text).unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
