// The mirror's lists page by page: nothing is missed, nothing comes twice.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Pages of mirrors` {
    private static func story() -> MirrorStory {
        var story = MirrorStory()
        for number in 0..<23 {
            story.happens(
                added(
                    MirrorConfiguration(
                        mirrorID: "m-\(10 + number)", sourceService: "checkout", shadowEndpoint: "10.0.0.9:80",
                        mode: .full)))
        }
        for number in 0..<9 { story.capture("r-\(number)") }
        return story
    }

    /// The answers to a question page by page, each put into one by its token.
    private static func pages<Answer>(
        _ name: MirrorQueryName, _ query: MirrorQuery, _ state: TrafficMirror,
        _ read: ([UInt8]) throws -> (answer: Answer, token: String)
    ) throws -> [Answer] {
        var query = query
        var answers: [Answer] = []
        repeat {
            let (answer, token) = try read(try state.answer(name, query))
            answers.append(answer)
            query.pageToken = token
        } while !query.pageToken.isEmpty && answers.count < 1_000
        return answers
    }

    /// The first field of each row of an answer, and the token of the next page.
    private static func rows(_ bytes: [UInt8], row: Int, token: Int) -> (answer: [String], token: String) {
        var (rows, next) = ([String](), "")
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number == token { next = String(decoding: bytes[field.range], as: UTF8.self) }
            guard field.number == row, field.isBytes else { continue }
            var inner = WireCursor(field.range)
            guard let first = inner.next(in: bytes.span), first.number == 1 else { continue }
            rows.append(
                first.isBytes ? String(decoding: bytes[first.range], as: UTF8.self) : "\(first.value)")
        }
        return (rows, next)
    }

    @Test(arguments: [1, 4, 100] as [UInt32]) func `are the whole list, row by row`(limit: UInt32) throws {
        let state = Self.story().state
        var query = MirrorQuery()
        query.limit = limit
        let all = (0..<23).map { "m-\(10 + $0)" }
        for name in [MirrorQueryName.mirrors, .stats] {
            let pages = try Self.pages(name, query, state) { bytes in
                let page = try MirrorsAnswer.configurations(bytes[...])
                return (page.configurations.map(\.mirrorID), page.nextPageToken)
            }
            #expect(pages.flatMap(\.self) == all && pages.allSatisfy { $0.count <= Int(limit) })
        }
        let ledgers = try Self.pages(.ledger, query, state) { Self.rows($0, row: 2, token: 3) }
        #expect(ledgers.flatMap(\.self) == all)
        query.mirrorID = "m-12"
        let copies = try Self.pages(.pending, query, state) { Self.rows($0, row: 3, token: 4) }.flatMap(\.self)
        #expect(
            copies == state.directives(of: "m-12", limit: 100).map { "\($0.id.causeSequence)" } && copies.count == 9)
    }

    @Test func `a token of another list is refused`() {
        let state = Self.story().state
        var query = MirrorQuery()
        query.mirrorID = "m-12"
        for (name, token) in [(MirrorQueryName.mirrors, "a.b"), (.pending, "a"), (.pending, "a.b"), (.diffs, "7")] {
            query.pageToken = token
            let error = #expect(throws: QueryError.self, "\(name)") { try state.answer(name, query) }
            #expect(error?.code == .invalidArgument)
        }
    }
}
