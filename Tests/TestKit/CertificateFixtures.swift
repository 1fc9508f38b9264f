// Certificates that are made anew for each test, by openssl.

import Foundation

/// Certificates for TLS between a server and its clients.
package enum CertificateFixtures {
    /// openssl did not make them.
    struct NotMade: Error {
        var status: Int32
    }

    /// Makes `ca.pem` and `other-ca.pem`, and `server.pem`, `client.pem` and `named.pem` (no address, only
    /// the name) of the first, each with its `.key`.
    package static func make(in directory: String) throws {
        let script = """
            set -e; cd '\(directory)'
            for name in ca other-ca; do
              openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.pem \
                -days 30 -subj /CN=$name -addext basicConstraints=critical,CA:TRUE
            done
            for name in server client named; do
              openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
              printf 'subjectAltName=DNS:localhost' > $name.ext
              if [ $name != named ]; then printf ',IP:127.0.0.1' >> $name.ext; fi
              openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 30 \
                -extfile $name.ext
            done
            """
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw NotMade(status: process.terminationStatus) }
    }
}
