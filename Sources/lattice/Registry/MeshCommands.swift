// What the traces say of the mesh as a whole: its services, and who calls whom.

import ArgumentParser
import EventModel
import Endpoints

/// `lattice services`
struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "Services that send spans: calls, errors, latency.",
        discussion: """
              lattice services                  every service
              lattice services checkout         the operations of one

            What is registered, and healthy, is another question: `lattice query services`.
            """)

    @Argument(help: "Its operations.") var service: String?
    @OptionGroup var options: TraceOptions

    func run() async throws {
        var query = Lattice_V1_TraceQuery()
        query.serviceName = service ?? ""
        let name = service == nil ? TraceQueryName.services : .operations
        if options.json { return try await options.printJSON(name, query) }
        let question = query
        let answer: Lattice_V1_OperationsAnswer = try await options.asking { try await $0.ask(name, question) }
        if answer.operations.isEmpty { return Terminal.say("no spans") }
        var table = TextTable(service == nil ? "SERVICE" : "OPERATION", "KIND", "CALLS", "ERRORS", "P50", "P95", "P99")
        for operation in answer.operations {
            let kind = SpanKind(rawValue: UInt32(operation.kind.rawValue))?.name ?? ""
            table.add(
                service == nil ? operation.serviceName : operation.operationName, kind, "\(operation.callCount)",
                "\(operation.errorCount)", ShortDuration.of(operation.latency.p50Ns),
                ShortDuration.of(operation.latency.p95Ns), ShortDuration.of(operation.latency.p99Ns))
        }
        table.show()
        OlderSpansText.show(answer.olderSpanCount, omitted: answer.omittedSpanCount)
    }
}

/// `lattice dependencies`
struct DependenciesCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, dot, mermaid, json }

    static let configuration = CommandConfiguration(
        commandName: "dependencies", abstract: "Which service calls which: calls, errors, latency.",
        discussion: """
              lattice dependencies
              lattice dependencies --format dot | dot -Tsvg > mesh.svg
              lattice dependencies --format mermaid        for Markdown
            """)

    @Option(help: "table, dot (Graphviz), mermaid, or json.") var format = Format.table
    @OptionGroup var options: TraceOptions

    func run() async throws {
        let query = Lattice_V1_TraceQuery()
        if options.json || format == .json { return try await options.printJSON(.dependencies, query) }
        let answer: Lattice_V1_DependenciesAnswer = try await options.asking { try await $0.ask(.dependencies, query) }
        let graph = DependencyGraphText(answer)
        switch format {
        case .dot: Terminal.say(graph.dot)
        case .mermaid: Terminal.say(graph.mermaid)
        case .table, .json: show(answer)
        }
    }

    private func show(_ answer: Lattice_V1_DependenciesAnswer) {
        let links = answer.links + answer.selfLinks
        if links.isEmpty { return Terminal.say("no calls") }
        var table = TextTable("CALLER", "CALLED", "CALLS", "ERRORS", "P50", "P99")
        for link in links {
            table.add(
                link.parent, link.childVirtual ? "\(link.child) (sends no spans)" : link.child, "\(link.callCount)",
                "\(link.errorCount)", ShortDuration.of(link.latency.p50Ns), ShortDuration.of(link.latency.p99Ns))
        }
        table.show()
        if answer.unpairedCount > 0 { Terminal.say("\(answer.unpairedCount) sides of calls have no other side") }
        OlderSpansText.show(answer.olderSpanCount, omitted: answer.omittedSpanCount)
    }
}

/// What is said of spans that are older than the windows which are kept.
enum OlderSpansText {
    static func show(_ count: UInt64, omitted: UInt64) {
        if count > 0 { Terminal.say("of these, \(count) spans are older than the windows that are kept") }
        if omitted > 0 { Terminal.say("\(omitted) older spans are not counted: name a time, or ask for one trace") }
    }
}

/// Dependencies in the languages of tools that draw graphs; names are made safe in both.
struct DependencyGraphText {
    private let links: [Lattice_V1_DependencyLink]
    private let names: [String]

    init(_ answer: Lattice_V1_DependenciesAnswer) {
        links = answer.links + answer.selfLinks
        names = Set(links.flatMap { [$0.parent, $0.child] }).sorted()
    }

    private func isVirtual(_ name: String) -> Bool {
        links.contains { $0.parent == name && $0.parentVirtual || $0.child == name && $0.childVirtual }
    }

    private static func label(_ link: Lattice_V1_DependencyLink) -> String {
        link.errorCount == 0 ? "\(link.callCount)" : "\(link.callCount), \(link.errorCount) failed"
    }

    /// For Graphviz.
    var dot: String {
        func quoted(_ name: String) -> String {
            // What makes a control character visible has backslashes too.
            "\"" + Terminal.escaped(name).replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        var lines = ["digraph mesh {", "  rankdir=LR;", "  node [shape=box];"]
        for name in names { lines.append("  \(quoted(name))\(isVirtual(name) ? " [style=dashed]" : "");") }
        for link in links {
            let color = link.errorCount > 0 ? ", color=red" : ""
            lines.append("  \(quoted(link.parent)) -> \(quoted(link.child)) [label=\"\(Self.label(link))\"\(color)];")
        }
        return (lines + ["}"]).joined(separator: "\n")
    }

    /// For Markdown.
    var mermaid: String {
        func quoted(_ name: String) -> String {
            Terminal.escaped(name).replacing("#", with: "#35;").replacing("\"", with: "#quot;")
                .replacing("<", with: "#lt;").replacing(">", with: "#gt;")
        }
        var lines = ["graph LR"]
        var places: [String: Int] = [:]
        for (index, name) in names.enumerated() {
            places[name] = index
            let (open, close) = isVirtual(name) ? ("([\"", "\"])") : ("[\"", "\"]")
            lines.append("  n\(index)\(open)\(quoted(name))\(close)")
        }
        for link in links {
            guard let parent = places[link.parent], let child = places[link.child] else { continue }
            lines.append("  n\(parent) -->|\"\(Self.label(link))\"| n\(child)")
        }
        return lines.joined(separator: "\n")
    }
}
