// The tidy tests' own tools, held against code that is meant to confuse them.

import Testing

@Suite struct `Tools of the tidy tests` {
    private static func blank(_ code: String) -> String {
        String(decoding: CodeBlanker.blank(Array(code.utf8)), as: UTF8.self)
    }

    @Test(arguments: [
        ("let a = \"{ // no\" // }", "let a = \"       \"     "),
        ("let a = \"x \\(f { $0 }) y\"", "let a = \"   (f { $0 })  \""),
        ("let a = #\"a\\(b)\"c\"#", "let a = #\"       \"#"),
        ("a /* b /* { */ c */ d", "a" + String(repeating: " ", count: 19) + "d"),
        ("func `a \" b {`() {}", "func `       `() {}"),
        ("let a = \"\"\"\n  { \" }\n  \"\"\" + b", "let a = \"\"\"\n       \n  \"\"\" + b"),
    ])
    func `strings, comments and raw identifiers are blank, interpolations are not`(_ code: String, _ expected: String) {
        let blanked = Self.blank(code)
        #expect(blanked.utf8.count == code.utf8.count)
        #expect(blanked == expected)
    }

    @Test func `functions are found with their lengths, requirements without a body are not`() {
        let code = """
            protocol P {
                func a(_ x: Int) -> Int
                var b: Int { get }
                init()
            }
            struct S: P {
                func a(_ x: Int = { 3 }()) -> Int {
                    if x > 0 { return 1 }
                    return S.init().b
                }
                init(
                    c: Int
                ) where Int: Sendable {
                }
                deinit { }
            }
            """
        let found = FunctionFinder.functions(in: CodeBlanker.blank(Array(code.utf8)))
        #expect(found.map(\.keyword) == ["func", "init", "deinit"])
        #expect(found.map(\.line) == [7, 11, 15])
        #expect(found.map(\.lineCount) == [4, 4, 1])
    }

    @Test func `words are whole`() {
        #expect(Words.contains("let x = Date()", "Date("))
        #expect(!Words.contains("let x = updateDate()", "Date("))
        #expect(!Words.contains("asynchronous", "async"))
        #expect(Words.contains("a.values.map", ".values"))
    }
}
