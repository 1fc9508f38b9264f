// `lattice gateway` as a process: its file, its signals, its end.

import Foundation
import Testing

@Suite struct `The gateway as a process` {
    @Test func `a file with a mistake is refused and the field is named`() async throws {
        let scratch = try Scratch()
        let file = scratch.path("gateway.yaml")
        for (text, place) in [
            ("routes: 5", "routes: is no list"), ("routes:\n  - path: /", "routes[0].service: is missing"),
            ("routes:\n  - service: a\n    timeout: 5", "routes[0].timeout"),
            ("routes:\n  - service: a\n    colour: red", "routes[0].colour: is not known"),
            ("routes:\n  - service: a\n    strategy: best", "routes[0].strategy"),
            ("routes:\n  - service: a\n  - service: b", "routes[1]: host and path"),
        ] {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let ended = try await LatticeProcess.run(["gateway", "--config", file, "--check"], in: scratch)
            #expect(ended.status == 2, "\(text)")
            #expect(ended.errors.contains(place), "\(ended.errors)")
        }
        try "routes:\n  - service: a\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await LatticeProcess.run(["gateway", "--config", file, "--check"], in: scratch).status == 0)
    }

    @Test func `the admin listener does not leave loopback unless told`() async throws {
        let scratch = try Scratch()
        let file = scratch.path("gateway.yaml")
        try "routes:\n  - service: a\n".write(toFile: file, atomically: true, encoding: .utf8)
        let ended = try await LatticeProcess.run(
            ["gateway", "--config", file, "--admin", "0.0.0.0:0"], in: scratch)
        #expect(ended.status == 2 && ended.errors.contains("--insecure"))
    }
}
