// What differs between a mirror's answers, and where it may send to.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Differences of a mirror` {
    private func story(differing: Int, of pairs: Int, noise: Int, of baselines: Int) -> MirrorStory {
        var story = MirrorStory()
        story.happens(added(mirror()))
        func batch(_ count: Int, _ body: (Int) -> ShadowComparison) -> MirrorEvent {
            .compared(Batch(serviceName: "checkout", events: (0..<count).map(body)))
        }
        for start in stride(from: 0, to: pairs, by: 1_000) {
            let ids = (0..<1_000).map { RequestCapture(requestID: "r\(start + $0)") }
            let cause = story.happens(captured(ids))
            story.happens(
                batch(1_000) { index in
                    let isDifferent = start + index < differing
                    return ShadowComparison(
                        directive: directive(cause, UInt32(index)), verdict: isDifferent ? .different : .equal,
                        paths: isDifferent ? [price(), price()] : [])
                })
        }
        if baselines > 0 {
            story.happens(
                batch(baselines) { index in
                    ShadowComparison(
                        directive: directive(1, UInt32(index)), verdict: index < noise ? .different : .equal,
                        paths: index < noise ? [price()] : [], isBaseline: true)
                })
        }
        return story
    }

    @Test func `are judged against the noise that was learned`() {
        var loud = story(differing: 200, of: 10_000, noise: 20, of: 10_000)
        #expect(loud.state.differences(mirrorID: "m")?.map(\.verdict) == [.regression])
        #expect(loud.state.differences(mirrorID: "m")?.map(\.raw) == [200])
        loud.expectSameFromScratch()
        let quiet = story(differing: 200, of: 10_000, noise: 180, of: 10_000)
        #expect(quiet.state.differences(mirrorID: "m")?.map(\.verdict) == [.noise])
        let little = story(differing: 200, of: 2_000, noise: 0, of: 0)
        #expect(little.state.differences(mirrorID: "m")?.map(\.verdict) == [.notEnoughData])
        #expect(little.state.differences(mirrorID: "x") == nil)
    }

    @Test func `pass or fail against a threshold`() {
        let story = story(differing: 200, of: 2_000, noise: 0, of: 0)
        #expect(story.state.analyzeDiffs(mirrorID: "m", thresholdBasisPoints: 1_000)?.passes == true)
        #expect(story.state.analyzeDiffs(mirrorID: "m", thresholdBasisPoints: 999)?.passes == false)
        #expect(story.state.analyzeDiffs(mirrorID: "m", thresholdBasisPoints: 0)?.rates.map(\.basisPoints) == [1_000])
    }

    @Test func `are bounded by place, the rest is counted together`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        for round in 0..<5 {
            let paths = (0..<64).map { DifferingPath(part: .body, pattern: "/\(round)/\($0)", kind: .value) }
            story.happens(compared(1, verdict: .different, paths: paths, isBaseline: true))
        }
        #expect(story.state.differences(mirrorID: "m")?.count == 256)
        #expect(story.state.mirrors[0].paths.otherNoise == 64)
        story.expectSameFromScratch()
    }

    @Test func `of cut bodies count for nothing`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        let cause = story.capture("r1")
        story.happens(compared(cause, verdict: .undecided))
        story.happens(compared(cause, verdict: .undecided, isBaseline: true))
        #expect(story.counts().undecided == 1 && story.counts().baselines == 0)
    }
}

@Suite struct `The allow-list of shadows` {
    @Test(arguments: [
        ("10.0.0.9:8080", ["10.0.0.9:8080"], true), ("10.0.0.9:8081", ["10.0.0.9:8080"], false),
        ("10.0.0.9:8081", ["10.0.0.9:*"], true), ("10.1.2.3:80", ["10.0.0.0/8:*"], true),
        ("11.1.2.3:80", ["10.0.0.0/8:*"], false), ("10.0.0.1:80", ["0.0.0.0/0:80"], true),
        ("a.staging:80", ["*.staging:80"], true), ("staging:80", ["*.staging:80"], false),
        ("evilstaging:80", ["*.staging:80"], false), ("A.Staging:80", ["*.STAGING:80"], true),
        ("10.0.0.1.staging:80", ["10.0.0.0/8:80"], false), ("169.254.169.254:80", ["0.0.0.0/0:*"], false),
        ("127.0.0.1:80", ["127.0.0.1:80"], false), ("[2001:db8::1]:80", ["[2001:db8::1]:80"], true),
        ("[2001:db8::1]:80", ["[2001:db8::/32]:80"], true), ("[2001:db9::1]:80", ["[2001:db8::/32]:80"], false),
        ("10.0.0.1:80", ["[::/0]:80"], false), ("x:80", [], false),
    ])
    func `takes what it names and nothing else`(_ example: (String, [String], Bool)) {
        let list = ShadowAllowList(entries: example.1, allowLoopback: false)
        #expect(list?.allows(example.0) == example.2)
    }

    @Test(arguments: [
        "*", "*:80", "a", "a:0", "a:x", "*.:80", "*.a*:80", "10.0.0.0/33:80", "10.0.0/8:80", "a*b:80", ":80",
        "[2001:db8::/129]:80", "[2001:db8/32]:80",
    ])
    func `refuses entries that are none`(_ entry: String) {
        #expect(ShadowAllowList(entries: [entry], allowLoopback: false) == nil)
    }

    @Test func `takes loopback only where it is said`() {
        #expect(ShadowAllowList(entries: ["127.0.0.1:80"], allowLoopback: true)?.allows("127.0.0.1:80") == true)
    }
}
