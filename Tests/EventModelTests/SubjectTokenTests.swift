// Names as tokens of a subject: there and back, and one form only.

import EventModel
import TestKit
import Testing

@Suite struct `Subject tokens` {
    @Test func `every byte that can stand in a name survives`() {
        for value in 0..<128 {
            let name = "a" + String(Unicode.Scalar(UInt8(value))) + "b"
            let token = SubjectToken.escape(name)
            #expect(SubjectToken.unescape(token) == name)
            #expect(token.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !".*>".utf8.contains($0) })
        }
        for value: UInt32 in [0x80, 0xFF, 0x7FF, 0x800, 0xFFFD, 0xFFFF, 0x1_0000, 0x10_FFFF] {
            let name = Unicode.Scalar(value).map { String($0) } ?? ""
            #expect(SubjectToken.unescape(SubjectToken.escape(name)) == name)
        }
    }

    @Test func `of all escapes of one byte only the needed one in upper case is a token`() {
        for value in 0..<256 {
            let digits = String(value, radix: 16)
            let lower = "%" + (digits.count == 1 ? "0" : "") + digits
            let upper = lower.uppercased()
            let byte = UInt8(value)
            let needsEscape = byte < 0x80 && !isPlain(byte)
            #expect(SubjectToken.unescape(upper) == (needsEscape ? String(Unicode.Scalar(byte)) : nil))
            if lower != upper { #expect(SubjectToken.unescape(lower) == nil) }
        }
    }

    @Test func `a byte that is not escaped is a token only if it is plain`() {
        for value in UInt8(0)..<128 {
            let text = String(Unicode.Scalar(value))
            #expect(SubjectToken.unescape(text) == (isPlain(value) ? text : nil))
        }
    }

    @Test(arguments: [
        "", "%", "%4", "%zz", "a%", "a%2", "%c3%a4", "%C3", "%ED%A0%80", "a.b", "*", ">", "a b", "ä", "%41",
    ])
    func `what is not an escaped name in its one form is refused`(_ token: String) {
        #expect(SubjectToken.unescape(token) == nil)
    }

    @Test func `random names survive, and a token names its service and no other`() {
        var random = SeededGenerator(seed: 0x5EED_0008)
        for _ in 0..<500 {
            let name = random.text(atMost: 64, allowsEmpty: false)
            let token = SubjectToken.escape(name)
            #expect(SubjectToken.unescape(token)?.utf8.elementsEqual(name.utf8) == true)
            #expect(SubjectToken.token(Substring(token), names: name))
            #expect(!SubjectToken.token(Substring(token + "x"), names: name))
        }
        #expect(!SubjectToken.token("a%2Eb", names: "a b"))
        #expect(!SubjectToken.token("a%2eb", names: "a.b"))
    }

    private func isPlain(_ byte: UInt8) -> Bool {
        let character = Character(Unicode.Scalar(byte))
        return byte < 0x80 && (character.isLetter || character.isNumber || character == "-" || character == "_")
    }
}
