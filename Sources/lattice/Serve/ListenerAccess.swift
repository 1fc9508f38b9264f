// Who may do what on the listeners of a node: tokens from files that may change meanwhile, and what is open without one.

import EventModel
import EventStore
import Foundation
import Listeners
import Logging
import ServiceLifecycle
import UnixSignals

/// The files of tokens that HTTP's clients show.
struct TokenFiles: Sendable {
    /// Lines with names and roles.
    var named: String?
    /// One token, an operator's.
    var single: String?
    /// One token, for readers of traces.
    var readers: String?

    /// Who shows the one token of `--http-token-file`, in the audit trail.
    static let nameOfSingle = "http-token"
    static let nameOfReaders = "reader-token"

    var paths: [String] { [named, single, readers].compactMap { $0 } }
    /// Whether a client of the node's own HTTP can show anything.
    var hasHTTP: Bool { named != nil || single != nil }

    /// The tokens of the node's own HTTP, and those that readers of traces may show.
    func read() throws(CommandFailure) -> (http: AccessTokens, readers: AccessTokens) {
        var tokens: [AccessToken] = []
        if let named { tokens += try TokenFile.readNamed(named, option: "--http-tokens-file") }
        if let single {
            let token = try TokenFile.read(single, option: "--http-token-file")
            tokens.append(AccessToken(name: Self.nameOfSingle, role: .operator, token: token))
        }
        guard let readers else { return (AccessTokens(tokens), AccessTokens(tokens)) }
        let token = try TokenFile.read(readers, option: "--reader-token-file")
        let reader = AccessToken(name: Self.nameOfReaders, role: .viewer, token: token)
        return (AccessTokens(tokens), AccessTokens(tokens + [reader]))
    }

    /// What stands in them now, to see whether it is something else later.
    var contents: [String: Data] {
        Dictionary(
            paths.map { ($0, FileManager.default.contents(atPath: $0) ?? Data()) },
            uniquingKeysWith: { first, _ in first })
    }
}

/// The access of every listener of a node.
struct ListenerAccess: Sendable {
    private let bounds: ListenerBounds
    private let origins: [String]
    private let files: TokenFiles
    private let isInsecure: Bool
    private let http = TokenBook()
    private let readers = TokenBook()
    private let logger: Logger

    /// Reads the files; throws where one cannot be used.
    init(_ serve: Serve, logger: Logger) throws(CommandFailure) {
        files = TokenFiles(
            named: serve.http.httpTokensFile, single: serve.http.httpTokenFile, readers: serve.receivers.readerTokenFile
        )
        isInsecure = serve.http.insecure
        bounds = ListenerBounds(hosts: serve.http.httpHost, openFilesMaximum: OpenFiles.raiseLimit())
        origins = serve.http.httpAllowOrigin
        self.logger = logger
        try load()
        for path in files.paths { TokenFile.warnIfOpen(path, logger) }
    }

    private func load() throws(CommandFailure) {
        let tokens = try files.read()
        http.replace(tokens.http)
        readers.replace(tokens.readers)
    }

    /// What clients may cost a listener, and which hosts and pages it answers for.
    func bounds(of kind: ListenerSetting.Kind) -> ListenerBounds {
        var bounds = bounds
        if kind.servesPages { bounds.origins = origins }
        return bounds
    }

    /// Of the node's own HTTP.
    func ofHTTP(_ address: ListenArgument.Address) -> AccessPolicy {
        AccessPolicy(http, anonymous: anonymous(address, files.hasHTTP), hasTokens: files.hasHTTP)
    }

    /// Of what answers questions about traces in the languages of others.
    func ofReaders(_ address: ListenArgument.Address) -> AccessPolicy {
        let hasTokens = files.hasHTTP || files.readers != nil
        return AccessPolicy(
            readers, anonymous: files.readers == nil ? anonymous(address, hasTokens) : nil, hasTokens: hasTokens)
    }

    /// On loopback everybody is a viewer; beyond it nobody is, unless somebody trusts the network and has no tokens.
    private func anonymous(_ address: ListenArgument.Address, _ hasTokens: Bool) -> QueryRole? {
        address.isLoopback || (isInsecure && !hasTokens) ? .viewer : nil
    }

    /// Reads the files again when they change; empty where there are none.
    var services: [any Service] {
        files.paths.isEmpty ? [] : [TokenWatch(access: self)]
    }

    fileprivate var contents: [String: Data] { files.contents }

    /// Takes the tokens that the files have now; those from before stay where a file has a mistake.
    fileprivate func reload() {
        do throws(CommandFailure) {
            try load()
            logger.notice("tokens were read again", metadata: ["count": "\(readers.current.all.count)"])
            for path in files.paths { TokenFile.warnIfOpen(path, logger) }
        } catch {
            logger.error("tokens stay as they were", metadata: ["error": "\(error.message)"])
        }
    }
}

/// Takes changed files of tokens: on SIGHUP, and within seconds by itself.
private struct TokenWatch: Service {
    let access: ListenerAccess
    private static let interval = Duration.seconds(2)

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in signals { access.reload() } }
                group.addTask {
                    var known = access.contents
                    while (try? await Task.sleep(for: Self.interval)) != nil {
                        let now = access.contents
                        if now != known { access.reload() }
                        known = now
                    }
                }
                await group.waitForAll()
            }
        }
    }
}
