// The text that Prometheus reads, without a node.

import CoreMetrics
import Endpoints
import Testing

@Suite struct `Metrics as text` {
    @Test func `a counter and a gauge have a type each and sorted, escaped labels`() {
        let metrics = PrometheusMetrics()
        metrics.makeCounter(label: "a.b", dimensions: [("z", "1"), ("path", "a\\b\"c\nd")]).increment(by: 3)
        metrics.makeCounter(label: "a.b.c", dimensions: []).increment(by: 1)
        metrics.makeCounter(label: "a.b", dimensions: []).increment(by: 2)
        metrics.makeRecorder(label: "g", dimensions: [], aggregate: false).record(-1.5)
        let lines = metrics.text().split(separator: "\n").filter { !$0.hasPrefix("# HELP") }
        #expect(
            lines == [
                "# TYPE a_b counter", "a_b 2.0", #"a_b{path="a\\b\"c\nd",z="1"} 3.0"#, "# TYPE a_b_c counter",
                "a_b_c 1.0",
                "# TYPE g gauge", "g -1.5",
            ])
    }

    @Test func `a timer's buckets are cumulative and end with all`() {
        let metrics = PrometheusMetrics()
        let timer = metrics.makeTimer(label: "wait", dimensions: [("route", "x")])
        for milliseconds: Int64 in [1, 3, 400, 60_000] { timer.recordNanoseconds(milliseconds * 1_000_000) }
        let text = metrics.text()
        #expect(text.contains("# TYPE wait_seconds histogram\n"))
        #expect(text.contains(#"wait_seconds_bucket{route="x",le="0.001"} 1"#))
        #expect(text.contains(#"wait_seconds_bucket{route="x",le="0.5"} 3"#))
        #expect(text.contains(#"wait_seconds_bucket{route="x",le="10.0"} 3"#))
        #expect(text.contains(#"wait_seconds_bucket{route="x",le="+Inf"} 4"#))
        #expect(text.contains(#"wait_seconds_sum{route="x"} 60.404"#) && text.contains(#"_count{route="x"} 4"#))
    }
}
