// The parameters of a URL as the fields of a question.

import EventModel

/// Makes JSON of what stands behind the question mark.
enum QueryFields {
    /// `?service_name=x&exclude_regions=a&exclude_regions=b` as one JSON object. A name that stands there several times is a
    /// list; what the schema knows as a list is one with a single value too. A value that is an object is written as JSON.
    ///
    /// What fits no field stays a text: the node then says what is wrong with it.
    static func json(
        _ parameters: some Sequence<(key: Substring, value: Substring)>, for query: QueryName
    ) -> [UInt8] {
        var names: [String] = []
        var values: [[UInt8]: [String]] = [:]
        for (key, value) in parameters {
            let name = String(key)
            let bytes = Array(name.utf8)
            if values[bytes] == nil { names.append(name) }
            values[bytes, default: []].append(String(value))
        }
        let members = names.map { name in
            member(name, values[Array(name.utf8)] ?? [], query.request)
        }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }

    private static func member(_ name: String, _ values: [String], _ kind: MessageKind?) -> String {
        let key = "\"\(AdminEndpoint.escaped(name))\":"
        let texts = values.map { "\"\(AdminEndpoint.escaped($0))\"" }
        let list = "\(key)[\(texts.joined(separator: ","))]"
        var candidates = values.count == 1 ? ["\(key)\(texts[0])", list] : [list]
        if values.count == 1, values[0] == "true" || values[0] == "false" {
            candidates.insert("\(key)\(values[0])", at: 0)
        }
        if values.allSatisfy({ $0.hasPrefix("{") }) { candidates.append("\(key)[\(values.joined(separator: ","))]") }
        guard let kind else { return candidates[0] }
        return candidates.first { fits($0, kind) } ?? candidates[0]
    }

    private static func fits(_ member: String, _ kind: MessageKind) -> Bool {
        (try? JSONTranscoder.binary(fromJSON: Array("{\(member)}".utf8), kind: kind)) != nil
    }
}
