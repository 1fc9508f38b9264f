// Names whose values never leave a process: of headers, of JSON members, query parameters and span tags.
// Source of the lists: Threats.md, A reader of captures.

/// The standard lists of secrets, in lower case.
package enum SecretNames {
    /// What stands in a secret's place.
    package static let mark = "[redacted]"

    package static let headers: [String] = [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-amz-security-token",
        "x-forwarded-client-cert",
    ]

    package static let members: [String] = [
        "token", "access_token", "refresh_token", "id_token", "client_secret", "password", "code", "signature",
    ]
}
