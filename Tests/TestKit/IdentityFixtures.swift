// Keys and tokens that were made for these tests and open nothing else.

/// An operator, an account and a user as NATS' decentralised identities, signed with Ed25519; they never expire.
package enum IdentityFixtures {
    /// The user's NKey seed.
    package static let seed = "SUANHILGMRV3LQ7JW3OZI5Y2HHW27WYSGJQIXUSXTFNVWDN5O7GWTVOBWY"
    /// The public key that belongs to it.
    package static let publicKey = "UDEIBP3VVNOFQWHGPWDN3STW2V5Q3QQPENT3QSM7JQEMFHZVJRBRQAXQ"

    package static let account = "ACECJUCZRCVXWZFN46YOK7QLE2K7BHPL7W5IP2U7SIDHMTTBQMYRRMW2"

    // swift-format-ignore
    private static let operatorToken = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiAiVENXRUpBM0xPUlFKRkNISkNQQUxOWE9FSlRCTjRTVFcyUFNPT042NzJQUjVFV09ZNE1QUSIsICJpYXQiOiAxNzAwMDAwMDAwLCAiaXNzIjogIk9CTkYzV0kyMjc3TUZSRTJJWFk0M1pGNklVWVFFUlNTUVpDMkk2VjROVlBZVEozSkJZSk1SQVlEIiwgIm5hbWUiOiAibGF0dGljZS10ZXN0LW9wZXJhdG9yIiwgInN1YiI6ICJPQk5GM1dJMjI3N01GUkUySVhZNDNaRjZJVVlRRVJTU1FaQzJJNlY0TlZQWVRKM0pCWUpNUkFZRCIsICJuYXRzIjogeyJ0eXBlIjogIm9wZXJhdG9yIiwgInZlcnNpb24iOiAyfX0.VUSNvNtexRxOmnyLxw9qcDlJIpL3q9gdv4A1T9CtB2lIGmZvJHN0R_tWSiOGY4e9XTvFt00DLuf9AyatZ_CiAw"

    // swift-format-ignore
    private static let accountToken = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiAiNVRRSzZTUjZHQkM2UEs0RlY1TTNKSUxNV1lLVUxTUlZVTDZVVFZSSFJQTEgzRDZHSUE1QSIsICJpYXQiOiAxNzAwMDAwMDAwLCAiaXNzIjogIk9CTkYzV0kyMjc3TUZSRTJJWFk0M1pGNklVWVFFUlNTUVpDMkk2VjROVlBZVEozSkJZSk1SQVlEIiwgIm5hbWUiOiAibGF0dGljZS10ZXN0LWFjY291bnQiLCAic3ViIjogIkFDRUNKVUNaUkNWWFdaRk40NllPSzdRTEUySzdCSFBMN1c1SVAyVTdTSURITVRUQlFNWVJSTVcyIiwgIm5hdHMiOiB7InR5cGUiOiAiYWNjb3VudCIsICJ2ZXJzaW9uIjogMiwgImxpbWl0cyI6IHsic3VicyI6IC0xLCAiZGF0YSI6IC0xLCAicGF5bG9hZCI6IC0xLCAiaW1wb3J0cyI6IC0xLCAiZXhwb3J0cyI6IC0xLCAid2lsZGNhcmRzIjogdHJ1ZSwgImNvbm4iOiAtMSwgImxlYWYiOiAtMX0sICJkZWZhdWx0X3Blcm1pc3Npb25zIjogeyJwdWIiOiB7fSwgInN1YiI6IHt9fX19.DRvhePLi-n9zHD0Bq3hVzpazSbuKxUKZPXV_WrPjkXzPJoHiQWNeydLgdUDaOqPN3KZGxLJjfc0moDvCT1GWAA"

    // swift-format-ignore
    private static let userToken = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiAiQUlZWjZNNlhOTlBaTE1RUExTUEVUSVA2U01OVUlRNTJTMzZNRkxFVVVDR0tHSzJUQkFOUSIsICJpYXQiOiAxNzAwMDAwMDAwLCAiaXNzIjogIkFDRUNKVUNaUkNWWFdaRk40NllPSzdRTEUySzdCSFBMN1c1SVAyVTdTSURITVRUQlFNWVJSTVcyIiwgIm5hbWUiOiAibGF0dGljZS10ZXN0LXVzZXIiLCAic3ViIjogIlVERUlCUDNWVk5PRlFXSEdQV0ROM1NUVzJWNVEzUVFQRU5UM1FTTTdKUUVNRkhaVkpSQlJRQVhRIiwgIm5hdHMiOiB7InR5cGUiOiAidXNlciIsICJ2ZXJzaW9uIjogMiwgInN1YnMiOiAtMSwgImRhdGEiOiAtMSwgInBheWxvYWQiOiAtMSwgInB1YiI6IHt9LCAic3ViIjoge319fQ.iM_DKRy3p5CJ_KNlTKpeZ1zEo6UrvzIGAmsrLYxdWeB84ui54d8vlI-AQPuCjg6MwLYHG8_FN-sr6VYI9jIpDQ"

    /// A server that trusts the operator.
    package static let serverConfiguration = """
        operator: \(operatorToken)
        resolver: MEMORY
        resolver_preload: { \(account): \(accountToken) }
        """

    /// The user's `.creds` file.
    package static let credentials = """
        -----BEGIN NATS USER JWT-----
        \(userToken)
        ------END NATS USER JWT------

        -----BEGIN USER NKEY SEED-----
        \(seed)
        ------END USER NKEY SEED------

        """
}
