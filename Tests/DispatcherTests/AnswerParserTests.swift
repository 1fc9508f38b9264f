// The parser of answers by itself: what is one answer, what is none, and that no bytes do harm.

import EventModel
import TestKit
import Testing

@testable import Dispatcher

/// What a parser made of bytes, and of the connection's end behind them.
enum Made: Hashable {
    case answer(UInt32, String, isUsable: Bool)
    case fault(String)
}

func made(_ parts: [[UInt8]], isHead: Bool = false, isClean: Bool = true) -> Made {
    var parser = AnswerParser(isHead: isHead)
    do throws(AnswerFault) {
        for part in parts { try parser.take(part) }
        let isUsable = parser.leavesConnectionUsable
        try parser.end(isClean: isClean)
        return .answer(
            parser.answer.status, String(decoding: parser.answer.body, as: UTF8.self), isUsable: isUsable)
    } catch {
        return .fault(error.reason)
    }
}

func made(_ text: String, isHead: Bool = false, isClean: Bool = true) -> Made {
    made([Array(text.utf8)], isHead: isHead, isClean: isClean)
}

/// An answer, what it is, and whether the connection is used again.
struct AnswerExample: Sendable, CustomTestStringConvertible {
    var text: String
    var status: UInt32
    var body: String
    var isUsable = true
    var isHead = false
    var testDescription: String { "\(text.prefix(60).debugDescription)" }

    init(_ text: String, _ status: UInt32, _ body: String = "", isUsable: Bool = true, isHead: Bool = false) {
        self.text = text
        self.status = status
        self.body = body
        self.isUsable = isUsable
        self.isHead = isHead
    }

    static let all: [AnswerExample] = [
        AnswerExample("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
        AnswerExample("HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, "hello"),
        AnswerExample("HTTP/1.1 200 \r\ncontent-length: \t5 \r\n\r\nhello", 200, "hello"),
        AnswerExample("HTTP/1.1 200 Tr\u{E8}s bien\r\nContent-Length: 0\r\n\r\n", 200),
        AnswerExample("HTTP/1.9 999 x\r\nContent-Length: 0\r\n\r\n", 999),
        AnswerExample(
            "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 y\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            200, "a"),
        AnswerExample(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00A;x=\"y;z\"\r\n0123456789\r\n0\r\n\r\n",
            200, "abc0123456789"),
        AnswerExample(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n1 \t;a\r\nx\r\n000;q\r\nX-Trailer: t\r\n\r\n", 200,
            "x"),
        AnswerExample("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", isUsable: false),
        AnswerExample("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", isUsable: false),
        AnswerExample("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        AnswerExample(
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", isUsable: false),
        AnswerExample("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", 200, "ok", isUsable: false),
        AnswerExample("HTTP/1.1 204 No\r\n\r\n", 204),
        AnswerExample("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 204),
        AnswerExample("HTTP/1.1 204 No\r\n\r\nbody", 204, isUsable: false),
        AnswerExample("HTTP/1.1 304 No\r\nContent-Length: 77\r\n\r\n", 304),
        AnswerExample("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", 200, isHead: true),
        AnswerExample("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 200, isHead: true),
        AnswerExample("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\n", 200, isHead: true),
        AnswerExample("HTTP/1.1 200 OK\r\nX: a\r\n\t b\r\nContent-Length: 1\r\n\r\nz", 200, "z"),
        AnswerExample("HTTP/1.1 205 OK\r\nContent-Length: 0\r\n\r\n", 205),
    ]
}

@Suite struct `Answers of shadows` {
    @Test(arguments: AnswerExample.all) func `one that is framed well is read`(_ example: AnswerExample) {
        let expected = Made.answer(example.status, example.body, isUsable: example.isUsable)
        #expect(made(example.text, isHead: example.isHead) == expected)
    }

    @Test(arguments: AnswerExample.all)
    func `it is the same in whatever pieces it comes`(_ example: AnswerExample) {
        let bytes = Array(example.text.utf8)
        let whole = made([bytes], isHead: example.isHead)
        #expect(made(bytes.map { [$0] }, isHead: example.isHead) == whole)
        for cut in 0...bytes.count {
            let parts = [Array(bytes[..<cut]), Array(bytes[cut...])]
            #expect(made(parts, isHead: example.isHead) == whole, "\(cut)")
        }
    }

    @Test(arguments: AnswerExample.all)
    func `cut anywhere and then reset it is whole or a fault, never a shorter answer`(_ example: AnswerExample) {
        let bytes = Array(example.text.utf8)
        guard case .answer(let status, let body, _) = made([bytes], isHead: example.isHead) else { return }
        for cut in 0..<bytes.count {
            switch made([Array(bytes[..<cut])], isHead: example.isHead, isClean: false) {
            case .answer(let found, let part, _): #expect(found == status && part == body, "\(cut)")
            case .fault(let reason): #expect(reason == (cut == 0 ? "connection_closed" : "broken_off"), "\(cut)")
            }
        }
    }

    @Test func `one whose end is the connection's end is whole only after a clean end`() {
        #expect(made("HTTP/1.1 200 OK\r\n\r\nab") == .answer(200, "ab", isUsable: false))
        #expect(made("HTTP/1.1 200 OK\r\n\r\nab", isClean: false) == .fault("broken_off"))
        #expect(made("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab") == .fault("broken_off"))
        #expect(made("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n") == .fault("broken_off"))
        #expect(made("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n") == .fault("broken_off"))
    }

    @Test(arguments: [
        "000", "001", "099", "1000", "20", "2", "", "-20", "+20", "2 0", "abc", "0x1", "2O0", "20\u{660}", "\u{0}00",
        "99999999999999999999", " 200",
    ]) func `what is no status is no answer, with a body and without`(_ status: String) {
        #expect(made("HTTP/1.1 \(status) OK\r\nContent-Length: 5\r\n\r\nhello") == .fault("malformed_answer"))
        #expect(made("HTTP/1.1 \(status)\r\n\r\n") == .fault("malformed_answer"))
    }

    @Test(arguments: [
        "HTTP/0.9 200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/11 200 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n", "<html>hello</html>",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "\u{0}\u{0}\u{12}\u{4}", "220 mail\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 O\rK\r\n\r\n", "HTTP/1.1 200 O\u{0}K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\r\nA: b\u{0}\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\u{E9}: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\u{0}: b\r\n\r\n",
    ]) func `what is no head is no answer`(_ text: String) {
        #expect(made(text) == .fault("malformed_answer"))
    }

    @Test(arguments: [
        "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5, 5",
        "Content-Length: -1", "Content-Length: +5", "Content-Length: 0x5", "Content-Length: ", "Content-Length: 5 5",
        "Content-Length: 5\r\n 5", "Content-Length: 99999999999999999999", "Content-Length: 9223372036854775808",
        "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked", "Transfer-Encoding: identity", "Transfer-Encoding: ", "Transfer-Encoding: gzip",
        "Transfer-Encoding: \u{B}chunked",
    ]) func `two ways to find the end, or none, are no answer`(_ fields: String) {
        #expect(made("HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n5\r\nhello\r\n0\r\n\r\n") == .fault("malformed_answer"))
    }

    @Test func `what cannot be read for other reasons says which`() {
        let head = "HTTP/1.1 200 OK\r\n"
        #expect(made("\(head)Transfer-Encoding: gzip, chunked\r\n\r\n") == .fault("unsupported_transfer_coding"))
        #expect(made("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n") == .fault("switched_protocols"))
        #expect(made("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == .fault("malformed_answer"))
        #expect(made("HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody") == .fault("malformed_answer"))
        #expect(made("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == .fault("malformed_answer"))
        #expect(made("HTTP/1.1 100 C\r\nContent-Length: 4\r\n\r\n") == .fault("malformed_answer"))
        #expect(made(String(repeating: "HTTP/1.1 100 C\r\n\r\n", count: 17)) == .fault("malformed_answer"))
        #expect(made("\(head)Content-Length: 1048577\r\n\r\n") == .fault("too_large"))
        #expect(made("\(head)\r\n\(String(repeating: "x", count: 1_048_577))") == .fault("too_large"))
        #expect(made("\(head)X: \(String(repeating: "x", count: 65_536))") == .fault("head_too_large"))
        #expect(made(head + String(repeating: "X: y\r\n", count: 20_000)) == .fault("head_too_large"))
    }

    @Test(arguments: [
        "", "x", "-1", "+1", "0x1", "1 1", " 1", "1 ", "1\t", "g", "ffffffffffffffff1", "fffffffffffffffff",
        "00000000000000001", "1;\u{0}", "1;a\rb",
    ]) func `what is no chunk's size is no answer`(_ size: String) {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(made("\(head)\(size)\r\nx\r\n0\r\n\r\n") == .fault("malformed_answer"))
    }

    @Test func `chunks are bounded, and end where they say`() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for size in ["7fffffffffffffff", "100001", "fffffff"] {
            #expect(made("\(head)\(size)\r\n") == .fault("too_large"), "\(size)")
        }
        #expect(made("\(head)ffffffffffffffff\r\n") == .fault("malformed_answer"))
        #expect(made("\(head)1\r\nab\r\n0\r\n\r\n") == .fault("malformed_answer"))
        #expect(made("\(head)1\na\r\n0\r\n\r\n") == .fault("malformed_answer"))
        #expect(made("\(head)1;\(String(repeating: "e", count: 4_096))") == .fault("malformed_answer"))
        #expect(made("\(head)0\r\nno trailer\r\n\r\n") == .fault("malformed_answer"))
        #expect(made("\(head)0\r\n\(String(repeating: "T: t\r\n", count: 20_000))") == .fault("head_too_large"))
        let many = String(repeating: "80000\r\n\(String(repeating: "x", count: 524_288))\r\n", count: 3)
        #expect(made(head + many) == .fault("too_large"))
    }

    @Test func `the first sixty-four fields are kept, and those behind them still frame it`() throws {
        var parser = AnswerParser(isHead: false)
        let fields = (0..<90).map { "X-\($0): v\r\n" }.joined()
        try parser.take(Array("HTTP/1.1 200 OK\r\n\(fields)Content-Length: 1\r\nConnection: close\r\n\r\na".utf8))
        #expect(parser.isWhole && !parser.leavesConnectionUsable)
        #expect(parser.answer.headers.count == 64 && parser.answer.headers[63] == HeaderField(name: "X-63", value: "v"))
    }

    @Test func `values keep their bytes, and folded ones are joined by a blank`() throws {
        var parser = AnswerParser(isHead: false)
        try parser.take(
            Array("HTTP/1.1 200 OK\r\nX-Name: J\u{F6}rg\r\nX-Fold: a \r\n  b\r\nContent-Length: 0\r\n\r\n".utf8))
        #expect(parser.answer.headers[0].value == "J\u{F6}rg")
        #expect(parser.answer.headers[1].value == "a b")
    }

    private static let spices: [[UInt8]] = [
        "\r\n", "\n", "\r", "\0", " ", "\t", ":", ",", ";", "0", "-", "ffffffffffffffff", "HTTP/1.1 ", "000", "chunked",
        "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "\u{FF}",
    ].map { Array($0.utf8) }

    private static func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(contentsOf: spices.randomElement(using: &random) ?? [], at: place)
            case 3: bytes.removeSubrange(place..<Swift.min(bytes.count, place + 9))
            default: bytes.insert(contentsOf: bytes[place..<Swift.min(bytes.count, place + 20)], at: place)
            }
        }
        return bytes
    }

    @Test(arguments: 0..<40) func `no bytes do harm, in whatever pieces they come`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let example = AnswerExample.all.randomElement(using: &random) ?? AnswerExample.all[0]
            let bytes = Self.mutated(Array(example.text.utf8), &random)
            let isHead = Bool.random(using: &random)
            let whole = made([bytes], isHead: isHead)
            let cut = Int.random(in: 0...bytes.count, using: &random)
            #expect(made([Array(bytes[..<cut]), Array(bytes[cut...])], isHead: isHead) == whole, "\(bytes)")
            #expect(made(bytes.map { [$0] }, isHead: isHead) == whole, "\(bytes)")
            if case .answer(let status, let body, _) = whole {
                #expect((200...999).contains(status) && body.utf8.count <= 3 * bytes.count)
            }
        }
    }
}
