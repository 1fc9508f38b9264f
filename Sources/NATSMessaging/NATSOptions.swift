// The options of a libnats connection, filled from a configuration.

internal import CNATS
internal import Glibc
internal import Messaging

/// The option block of libnats, which copies it when it connects; destroyed when this value ends.
@safe struct NATSOptions: ~Copyable {
    private let pointer: OpaquePointer

    private init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }

    static func create(
        _ configuration: NATSConfiguration, events: NATSConnectionEvents
    ) throws(BusError) -> NATSOptions {
        var created: OpaquePointer?
        try check(unsafe natsOptions_Create(&created), "create options")
        guard let created = unsafe created else { throw BusError(.other, "create options") }
        let options = unsafe NATSOptions(adopting: created)
        try options.setServers(configuration.servers)
        try options.setBehaviour(configuration)
        try options.setCredentials(configuration.credentials, events)
        if let tls = configuration.tls { try options.setTLS(tls) }
        if let name = try configuration.expectedServerName() {
            try check(unsafe natsOptions_SetExpectedHostname(created, name), "set server name")
        }
        try options.setCallbacks(events)
        return options
    }

    deinit { unsafe natsOptions_Destroy(pointer) }

    /// Connects, which blocks for up to the connect timeout per server.
    func connect(_ description: String) throws(BusError) -> NATSConnectionHandle {
        var connection: OpaquePointer?
        try check(unsafe natsConnection_Connect(&connection, pointer), "connect \(description)")
        guard let connection = unsafe connection else { throw BusError(.other, "connect \(description)") }
        return unsafe NATSConnectionHandle(adopting: connection)
    }

    private func setServers(_ servers: [String]) throws(BusError) {
        guard !servers.isEmpty else { throw BusError(.invalidArgument, "connect: no server is named") }
        var copies = unsafe servers.map { unsafe strdup($0) }
        defer { for index in 0..<servers.count { unsafe free(copies[index]) } }
        let status = unsafe copies.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: UnsafePointer<CChar>?.self) { names in
                unsafe natsOptions_SetServers(pointer, names.baseAddress, Int32(names.count))
            }
        }
        try check(status, "set servers")
    }

    private func setBehaviour(_ configuration: NATSConfiguration) throws(BusError) {
        let reconnect = configuration.reconnect
        try check(unsafe natsOptions_SetName(pointer, configuration.name), "set name")
        try check(unsafe natsOptions_SetTimeout(pointer, configuration.connectTimeout.wholeMilliseconds), "set timeout")
        try check(
            unsafe natsOptions_SetPingInterval(pointer, configuration.pingInterval.wholeMilliseconds), "set ping")
        try check(unsafe natsOptions_SetMaxPingsOut(pointer, 2), "set pings")
        try check(unsafe natsOptions_SetMaxReconnect(pointer, -1), "set reconnect")
        try check(
            unsafe natsOptions_SetReconnectBufSize(pointer, Int32(clamping: reconnect.bufferBytes)), "set buffer")
        try check(unsafe natsOptions_SetSendAsap(pointer, configuration.sendsAtOnce), "set sending")
        try check(unsafe natsOptions_SetFailRequestsOnDisconnect(pointer, true), "set request style")
        try check(
            unsafe natsOptions_SetCustomInboxPrefix(pointer, configuration.inboxPrefix),
            "set inbox prefix \(configuration.inboxPrefix)")
    }

    private func setCredentials(
        _ credentials: NATSConfiguration.Credentials, _ events: NATSConnectionEvents
    ) throws(BusError) {
        let closure = unsafe Unmanaged.passUnretained(events).toOpaque()
        switch credentials {
        case .none: break
        case .userPassword(let user, let password):
            try check(unsafe natsOptions_SetUserInfo(pointer, user, password), "set user")
        case .token(let token):
            try check(unsafe natsOptions_SetToken(pointer, token), "set token")
        case .credentialsFile(let path):
            let status = unsafe natsOptions_SetUserCredentialsCallbacks(pointer, onToken, closure, onSign, closure)
            try check(status, "set credentials \(path)")
        case .nkey(let seedFile, let publicKey):
            try check(unsafe natsOptions_SetNKey(pointer, publicKey, onSign, closure), "set NKey \(seedFile)")
        }
    }

    private func setTLS(_ tls: NATSConfiguration.TLS) throws(BusError) {
        try check(unsafe natsOptions_SetSecure(pointer, true), "set TLS")
        if let path = tls.authorityFile {
            try check(unsafe natsOptions_LoadCATrustedCertificates(pointer, path), "load authority \(path)")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            try check(
                unsafe natsOptions_LoadCertificatesChain(pointer, certificate, key), "load certificate \(certificate)")
        }
        if tls.skipsVerification {
            try check(unsafe natsOptions_SkipServerVerification(pointer, true), "skip verification")
        }
    }

    private func setCallbacks(_ events: NATSConnectionEvents) throws(BusError) {
        let closure = unsafe Unmanaged.passUnretained(events).toOpaque()
        try check(unsafe natsOptions_SetErrorHandler(pointer, onError, closure), "set handler")
        try check(unsafe natsOptions_SetDisconnectedCB(pointer, onDisconnected, closure), "set handler")
        try check(unsafe natsOptions_SetReconnectedCB(pointer, onReconnected, closure), "set handler")
        try check(unsafe natsOptions_SetClosedCB(pointer, onClosed, closure), "set handler")
        try check(unsafe natsOptions_SetCustomReconnectDelay(pointer, onReconnectDelay, closure), "set handler")
    }
}
