// Specifications of mirrors as people write them: JSON, or YAML, of which JSON is a part.

import EventModel
import MeshRules
import StateMachines

/// Reads files with one mirror or a list of them.
enum MirrorSpecificationFile {
    /// The mirrors of a file.
    ///
    /// - Throws: what is wrong, with the field's name, and which mirror of the file.
    static func read(_ path: String) throws(CommandFailure) -> [MirrorConfiguration] {
        let value = try YAMLFile.read(path)
        var specifications = [value]
        if case .list(let list) = value { specifications = list }
        var mirrors: [MirrorConfiguration] = []
        for (index, specification) in specifications.enumerated() {
            do throws(InvalidField) {
                mirrors.append(try createMirrorFromSpec(specification))
            } catch {
                let place = specifications.count == 1 ? "" : "mirror \(index + 1): "
                throw CommandFailure(.usage, "\(path): \(place)\(error.field) \(error.reason)")
            }
        }
        return mirrors
    }
}
