// A table whose columns are aligned.

/// Rows under a heading; every cell is made safe to show.
struct TextTable {
    private var rows: [[String]]

    init(_ heading: String...) { rows = [heading] }

    /// Whether there is nothing but the heading.
    var isEmpty: Bool { rows.count == 1 }

    mutating func add(_ cells: String...) { add(cells) }

    mutating func add(_ cells: [String]) {
        rows.append(cells.map { $0.isEmpty ? "-" : Terminal.escaped($0) })
    }

    /// The lines of the table, without blanks at their ends.
    var lines: [String] {
        var widths = [Int](repeating: 0, count: rows.map(\.count).max() ?? 0)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 {
                    line += String(repeating: " ", count: widths[column] - cell.count + 2)
                }
            }
            return line
        }
    }

    func show() { for line in lines { Terminal.say(line) } }
}
