// The Ed25519 key that signs heads of the log, its two files, and the check of a signature.

import Crypto
package import EventModel

/// The secret that signs heads. It belongs on another device than the log: whoever has both can write a new past.
package struct AnchorKey: Sendable {
    private static let secretWord = "latticeforge-anchor-secret"
    private static let publicWord = "latticeforge-anchor-public"
    private let key: Curve25519.Signing.PrivateKey

    /// A new one, by chance.
    package static func random() -> AnchorKey { AnchorKey(key: Curve25519.Signing.PrivateKey()) }

    private init(key: Curve25519.Signing.PrivateKey) { self.key = key }

    /// Reads the line that `secretLine` is; nil for anything else.
    package init?(secretLine line: String) {
        guard let bytes = Self.bytes(line, Self.secretWord),
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
        else { return nil }
        self.key = key
    }

    /// What the secret's file holds.
    package var secretLine: String { "\(Self.secretWord) ed25519 \(Hexadecimal.text(key.rawRepresentation))\n" }

    /// What the public key's file holds.
    package var publicLine: String { "\(Self.publicWord) ed25519 \(publicKey)\n" }

    /// 64 hexadecimal digits.
    package var publicKey: String { Hexadecimal.text(key.publicKey.rawRepresentation) }

    /// The public key of a line that `publicLine` is; nil for anything else.
    package static func publicKey(line: String) -> String? { bytes(line, publicWord).map { Hexadecimal.text($0) } }

    private static func bytes(_ line: String, _ word: String) -> [UInt8]? {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 3, words[0] == word, words[1] == "ed25519", let bytes = Hexadecimal.bytes(words[2]),
            bytes.count == 32
        else { return nil }
        return bytes
    }

    /// Vouches for a head. Throws `.inputOutput` where the library refuses.
    package func sign(_ head: SegmentHead) throws(EventStoreError) -> Anchor {
        var anchor = Anchor()
        anchor.head = head
        anchor.publicKey = publicKey
        do {
            anchor.signature = Hexadecimal.text(try key.signature(for: head.signedBytes))
        } catch {
            throw EventStoreError(.inputOutput, operation: "sign", detail: "\(error)")
        }
        return anchor
    }
}

extension Anchor {
    /// Whether this key has signed this head. Whose key it is, is for the asker to know.
    package func isSigned(by publicKey: String) -> Bool {
        guard self.publicKey == publicKey, let keyBytes = Hexadecimal.bytes(publicKey),
            let signatureBytes = Hexadecimal.bytes(signature),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: keyBytes)
        else { return false }
        return key.isValidSignature(signatureBytes, for: head.signedBytes)
    }
}
