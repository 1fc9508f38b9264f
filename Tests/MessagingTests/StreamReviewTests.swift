// Which streams a log can be fed from: settings as nats-server tells them, and the verdict on each.

import Foundation
import Messaging
import Testing

@testable import NATSMessaging

@Suite struct `The settings of a stream` {
    /// A stream of nats-server's defaults with some settings in their place.
    private static func review(_ changes: [String: Any], subjects: [String] = ["lattice.events.>"]) throws
        -> StreamReview
    {
        var settings: [String: Any] = [
            "name": "L", "subjects": ["lattice.events.>"], "retention": "limits", "max_consumers": -1, "max_msgs": -1,
            "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1, "discard": "old",
            "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000, "allow_direct": false,
            "mirror_direct": false, "sealed": false, "deny_delete": true, "deny_purge": true,
            "allow_rollup_hdrs": false, "compression": "none", "consumer_limits": [String: Any](),
            "allow_msg_ttl": false, "metadata": ["_nats.ver": "2.15.1"],
        ]
        settings.merge(changes) { $1 }
        let data = try JSONSerialization.data(withJSONObject: settings)
        return StreamReview(try JSONDecoder().decode(StreamSettings.self, from: data), subjects: subjects)
    }

    private static func changes(_ json: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    @Test(arguments: [
        "{}", #"{"num_replicas":3}"#, #"{"num_replicas":5,"placement":{"cluster":"east","tags":["ssd"]}}"#,
        #"{"duplicate_window":1000000000}"#, #"{"duplicate_window":86400000000000}"#,
        #"{"storage":"memory","num_replicas":3}"#,
        #"{"discard":"new"}"#, #"{"discard":"new","max_bytes":1048576}"#, #"{"discard":"new","max_msgs":10}"#,
        #"{"subjects":["lattice.events.>","orders.>"]}"#, #"{"subjects":["*.events.>"]}"#, #"{"compression":"s2"}"#,
        #"{"max_msg_size":1048576,"max_consumers":9,"description":"ours","allow_direct":true,"metadata":{"a":"b"}}"#,
        #"{"sources":[],"mirror":null,"republish":null}"#,
    ])
    func `are the operator's`(json: String) throws {
        let review = try Self.review(try Self.changes(json))
        #expect(review.refusals == [] && review.warnings == [] && !review.permitsRemoval)
    }

    @Test(arguments: [
        (#"{"max_bytes":1073741824}"#, "max_bytes"), (#"{"max_bytes":1048576,"num_replicas":3}"#, "max_bytes"),
        (#"{"max_age":86400000000000}"#, "max_age"), (#"{"max_age":86400000000000,"discard":"new"}"#, "max_age"),
        (#"{"max_msgs":1000000}"#, "max_msgs"), (#"{"storage":"memory"}"#, "storage"), (#"{"no_ack":true}"#, "no_ack"),
    ])
    func `are taken with a word where they may take what was not read`(json: String, setting: String) throws {
        let review = try Self.review(try Self.changes(json))
        #expect(review.refusals == [])
        #expect(review.warnings.count == 1 && review.warnings[0].hasPrefix(setting))
    }

    @Test(arguments: [
        (#"{"retention":"workqueue"}"#, "retention"), (#"{"retention":"interest"}"#, "retention"),
        (#"{"max_msgs_per_subject":1}"#, "max_msgs_per_subject"),
        (#"{"max_msgs_per_subject":1000000,"discard":"new"}"#, "max_msgs_per_subject"),
        (#"{"max_msgs":1000}"#, "max_msgs"), (#"{"allow_rollup_hdrs":true}"#, "allow_rollup_hdrs"),
        (#"{"allow_msg_ttl":true}"#, "allow_msg_ttl"), (#"{"allow_msg_counter":true}"#, "allow_msg_counter"),
        (#"{"allow_msg_schedules":true}"#, "allow_msg_schedules"), (#"{"sealed":true}"#, "sealed"),
        (#"{"sources":[{"name":"other"}]}"#, "sources"),
        (#"{"subject_transform":{"src":"lattice.events.>","dest":"x.>"}}"#, "subject_transform"),
        (#"{"republish":{"src":">","dest":"copy.>"}}"#, "republish"),
        (#"{"subjects":["lattice.>"]}"#, "subjects"), (#"{"subjects":["lattice.events.registry.>"]}"#, "subjects"),
        (#"{"subjects":["lattice.events.*"]}"#, "subjects"), (#"{"subjects":["other.events.>"]}"#, "subjects"),
        (#"{"subjects":["lattice.events.>","*.queries.node.*"]}"#, "subjects"),
        (#"{"subjects":["lattice.events.>","_INBOX.>"]}"#, "subjects"),
        (#"{"subjects":[">"],"no_ack":true}"#, "subjects"),
    ])
    func `are refused where they break the log, by name`(json: String, setting: String) throws {
        let review = try Self.review(try Self.changes(json))
        #expect(!review.refusals.isEmpty)
        #expect(review.refusals.allSatisfy { $0.hasPrefix(setting) }, "\(review.refusals)")
    }

    @Test func `of a mirror, which has no subjects, are refused for both`() throws {
        let review = try Self.review(["subjects": [String](), "mirror": ["name": "other"]])
        #expect(review.refusals.contains { $0.hasPrefix("mirror") })
    }

    @Test func `let messages be removed unless both are denied`() throws {
        for (json, permits) in [
            (#"{"deny_purge":false}"#, true), (#"{"deny_delete":false}"#, true), ("{}", false),
        ] {
            #expect(try Self.review(try Self.changes(json)).permitsRemoval == permits)
        }
    }

    @Test func `are compared as subjects are`() {
        #expect(SubjectSyntax.covers("a.>", "a.b.>") && SubjectSyntax.covers("a.*.c", "a.b.c"))
        #expect(!SubjectSyntax.covers("a.*", "a.>") && !SubjectSyntax.covers("a.b", "a.*"))
        #expect(!SubjectSyntax.covers("a.b.>", "a.>") && !SubjectSyntax.covers("a.b.c", "a.b"))
        #expect(SubjectSyntax.overlap("a.*", "*.b") && SubjectSyntax.overlap("a.>", "*.b.c"))
        #expect(!SubjectSyntax.overlap("a.b", "a.c") && !SubjectSyntax.overlap("a.*", "a.b.c"))
    }
}
