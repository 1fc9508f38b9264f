// Sealing, opening, erasing.

import EventModel
import EventStore
import Foundation
import Testing

@Suite struct `A content vault` {
    private let directory = FileManager.default.temporaryDirectory.path + "/lattice-vault-\(UUID().uuidString)/keys"
    private let plain = Array("a captured body".utf8)

    private func vault() -> ContentVault { ContentVault(directory: directory) }

    private func seal(_ vault: ContentVault, _ day: Int64 = 7, at sequence: UInt64, source: String = "s") throws
        -> [UInt8]
    {
        try vault.seal(plain[...], source: source, day: day, sequence: SequenceNumber(sequence))
    }

    private func open(_ vault: ContentVault, _ sealed: [UInt8], at sequence: UInt64) throws -> OpenedContent {
        try vault.open(sealed[...], sequence: SequenceNumber(sequence))
    }

    @Test func `opens what it sealed, also in another process's life`() throws {
        let sealed = try seal(vault(), at: 5)
        #expect(!String(decoding: sealed, as: UTF8.self).contains("captured"))
        #expect(try open(vault(), sealed, at: 5) == .plain(plain))
    }

    @Test func `the same twice looks different each time`() throws {
        let vault = vault()
        #expect(try seal(vault, at: 5) != seal(vault, at: 5))
    }

    @Test func `of another record, changed, or cut it is damaged`() throws {
        let vault = vault()
        var sealed = try seal(vault, at: 5)
        #expect(try open(vault, sealed, at: 6) == .damaged)
        #expect(try open(vault, Array(sealed.prefix(20)), at: 5) == .damaged)
        #expect(try open(vault, [], at: 5) == .damaged)
        sealed[sealed.count - 1] ^= 1
        #expect(try open(vault, sealed, at: 5) == .damaged)
    }

    @Test func `erases one day of one source, and only what came before`() throws {
        let vault = vault()
        let old = try seal(vault, at: 5)
        let otherDay = try seal(vault, 8, at: 6)
        let otherSource = try seal(vault, at: 7, source: "t")
        vault.renew(source: "s", day: 7)
        let new = try seal(vault, at: 9)
        #expect(try vault.destroy(source: "s", day: 7, before: SequenceNumber(8)) == 1)
        #expect(try vault.destroy(source: "s", day: 7, before: SequenceNumber(8)) == 0)
        #expect(try open(vault, old, at: 5) == .erased)
        #expect(try open(vault, new, at: 9) == .plain(plain))
        #expect(try open(vault, otherDay, at: 6) == .plain(plain))
        #expect(try open(vault, otherSource, at: 7) == .plain(plain))
    }

    @Test func `forgets days that are behind the horizon`() throws {
        let vault = vault()
        let old = try seal(vault, 7, at: 5)
        let new = try seal(vault, 9, at: 6)
        #expect(try vault.prune(before: 9) == 1)
        #expect(try open(self.vault(), old, at: 5) == .erased)
        #expect(try open(self.vault(), new, at: 6) == .plain(plain))
    }

    @Test(arguments: [(Int64(0), Int64(0)), (86_399_999_999_999, 0), (86_400_000_000_000, 1), (-1, -1)])
    func `days are those of UTC`(_ time: Int64, _ day: Int64) {
        #expect(ContentVault.day(of: Timestamp(nanoseconds: time)) == day)
    }
}
