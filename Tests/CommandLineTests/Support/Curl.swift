// curl, as people have it: what no library of ours would send.

import Foundation
import TestKit
import Testing

/// A request as curl sends it.
struct CurlRequest: Sendable {
    var url: String
    var method = "GET"
    var token: String?
    var headers: [String] = []
    var body: String?
}

/// Asks with curl; many requests in one process.
enum Curl {
    static let path = Strangers.program("curl")

    struct Answer: Sendable {
        var status: Int
        /// Names in lower case.
        var headers: [String: String]
        var body: String

        var json: [String: Any] { get throws { try JSONObject.members(of: body) } }
    }

    /// The statuses of all answers; 0 where there was none.
    static func statuses(_ requests: [CurlRequest], in scratch: Scratch) async throws -> [Int] {
        let entries = requests.map { lines($0) + ["output = \"/dev/null\"", "write-out = \"%{http_code}\\n\""] }
        let output = try await run(entries, in: scratch)
        let statuses = output.split(separator: "\n").compactMap { Int($0) }
        try #require(statuses.count == requests.count, "\(output)")
        return statuses
    }

    static func ask(_ request: CurlRequest, in scratch: Scratch) async throws -> Answer {
        let output = try await run([lines(request) + ["include"]], in: scratch)
        let parts = output.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let head = parts[0].split(separator: "\r\n")
        let status = head.first.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) }
        let headers = head.dropFirst().compactMap { line -> (String, String)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        return Answer(
            status: status ?? 0, headers: Dictionary(headers) { first, _ in first },
            body: parts.count == 2 ? String(parts[1]) : "")
    }

    private static func lines(_ request: CurlRequest) -> [String] {
        var lines = ["url = \(quoted(request.url))", "silent", "max-time = 20", "path-as-is", "insecure"]
        if request.method == "HEAD" {
            lines.append("head")
        } else {
            lines.append("request = \(quoted(request.method))")
        }
        var headers = request.headers
        if let token = request.token { headers.append("Authorization: Bearer \(token)") }
        if let body = request.body {
            lines.append("data-binary = \(quoted(body))")
            headers.append("Content-Type: application/json")
        }
        return lines + headers.map { "header = \(quoted($0))" }
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    private static func run(_ entries: [[String]], in scratch: Scratch) async throws -> String {
        let program = try #require(path, "no curl here")
        let file = try scratch.write(
            "curl-\(UUID().uuidString)", entries.map { $0.joined(separator: "\n") }.joined(separator: "\nnext\n"))
        let process = try LatticeProcess(["-q", "-K", file], in: scratch, program: URL(fileURLWithPath: program))
        return try await process.end(within: 120).output
    }
}
