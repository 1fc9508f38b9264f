// A trace as flame graph: folded stacks (Brendan Gregg's format) and the nested JSON of d3-flame-graph.

package import EventModel

/// Spans with the same way from the root are one frame; its value is self time in nanoseconds, with its callees'.
package struct FlameGraph: Sendable {
    private struct Frame {
        var name: String
        var selfTime: UInt64 = 0
        var children: [ByteName: Int] = [:]
    }

    /// Frame 0 is the whole trace; every frame stands behind the one it is called from.
    private var frames = [Frame(name: "all")]

    /// The flame graph of a trace with the times that the tree shows (`trace_to_flamegraph`).
    package init(_ tree: TraceTree) {
        let forest = tree.forest
        let selfTimes = TraceAnalysis.selfTimes(forest)
        var frameOfSpan = Array(repeating: 0, count: tree.spans.count)
        for index in forest.order {
            let parent = forest.parents[index]
            let span = tree.spans[index]
            let frame = frame(
                named: span.serviceName + ": " + span.operationName, in: parent < 0 ? 0 : frameOfSpan[parent])
            frameOfSpan[index] = frame
            frames[frame].selfTime &+= UInt64(max(0, selfTimes[index].rawValue))
        }
    }

    private mutating func frame(named name: String, in parent: Int) -> Int {
        if let known = frames[parent].children[ByteName(name)] { return known }
        frames.append(Frame(name: name))
        frames[parent].children[ByteName(name)] = frames.count - 1
        return frames.count - 1
    }

    private func children(_ index: Int) -> [Int] {
        frames[index].children.sorted { $0.key.text.precedesInBytes($1.key.text) }.map(\.value)
    }

    /// Lines of `service: operation;service: operation nanoseconds`, in order of the stacks. What would end a frame or
    /// a line in a name is written as `_`.
    package var folded: String {
        var result = ""
        var stack: [(frame: Int, path: String)] = children(0).reversed().map { ($0, Self.plain(frames[$0].name)) }
        while let (frame, path) = stack.popLast() {
            if frames[frame].selfTime > 0 { result += "\(path) \(frames[frame].selfTime)\n" }
            for child in children(frame).reversed() {
                stack.append((child, path + ";" + Self.plain(frames[child].name)))
            }
        }
        return result
    }

    private static func plain(_ name: String) -> String {
        let scalars = name.unicodeScalars.map { $0 == ";" || $0.value < 0x20 || $0.value == 0x7F ? "_" : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    /// `{"name":…,"value":…,"children":[…]}`: a value is the frame's self time and that of all it calls.
    package var json: String {
        var values = frames.map(\.selfTime)
        for index in frames.indices.reversed() {
            for child in frames[index].children.values.sorted() { values[index] &+= values[child] }
        }
        var result = ""
        /// Frames to open, and nil for one to close.
        var stack: [(frame: Int?, isFirst: Bool)] = [(0, true)]
        while let (next, isFirst) = stack.popLast() {
            guard let frame = next else {
                result += "]}"
                continue
            }
            if !isFirst { result += "," }
            result += "{\"name\":\(JSONWriting.quoted(frames[frame].name)),\"value\":\(values[frame]),\"children\":["
            stack.append((nil, true))
            let children = children(frame)
            for (position, child) in children.enumerated().reversed() { stack.append((child, position == 0)) }
        }
        return result
    }
}
