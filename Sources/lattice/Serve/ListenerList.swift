// The listeners of a node as a list of values: where each listens, what it takes and answers, and what it may not lack.

import ArgumentParser
import Foundation
import Listeners

/// One listener as it was asked for.
struct ListenerSetting: Sendable {
    /// By the name in banner and settings.
    enum Kind: String, Sendable, CaseIterable {
        case http
        case otlpHTTP = "otlp_http"
        case otlpGRPC = "otlp_grpc"
        case zipkin, jaeger

        var takesSpans: Bool { self == .otlpHTTP || self == .otlpGRPC || self == .zipkin }
        /// Of traces, in the language of others.
        var answersReaders: Bool { self == .jaeger || self == .zipkin }
        /// Where browsers send: pages of the origins that were named may come.
        var servesPages: Bool { self == .http || self == .otlpHTTP }
    }

    let kind: Kind
    let listen: ListenArgument
    /// Nobody asked for it: where the port is taken, the node does without.
    let isDefault: Bool

    init(_ kind: Kind, _ asked: ListenArgument?, port: Int) {
        self.kind = kind
        isDefault = asked == nil
        listen = asked ?? ListenArgument(argument: "127.0.0.1:\(port)")!
    }

    var name: String { kind.rawValue }
    var option: String { "--" + name.replacing("_", with: "-") }
    /// For `--print-config`.
    var text: String { isDefault ? listen.text + ", unless taken" : listen.text }
}

extension Serve {
    /// All that there are, in the order of the banner.
    var listeners: [ListenerSetting] {
        [
            ListenerSetting(.http, http.listen, port: 8501),
            ListenerSetting(.otlpHTTP, receivers.otlpHTTP, port: 4318),
            ListenerSetting(.otlpGRPC, receivers.otlpGRPC, port: 4317),
            ListenerSetting(.zipkin, receivers.zipkin, port: 9411),
            ListenerSetting(.jaeger, receivers.jaeger, port: 16686),
        ]
    }

    /// Listeners that others can reach need TLS and a token (Threats.md).
    func refuseOpenListeners() throws {
        for listener in listeners {
            guard let address = listener.listen.address, !address.isLoopback, !http.insecure else { continue }
            let missing = missing(of: listener.kind)
            if missing.isEmpty { continue }
            throw ValidationError(
                "\(listener.option) \(listener.listen.text) is not loopback: it needs "
                    + "\(missing.joined(separator: " and ")). Or listen on 127.0.0.1 behind a proxy, or say --insecure "
                    + "if the network is trusted")
        }
    }

    /// What a listener lacks for others to reach it.
    private func missing(of kind: ListenerSetting.Kind) -> [String] {
        var missing: [String] = []
        if kind == .http {
            if http.httpCert == nil { missing.append("TLS (--http-cert, --http-key)") }
            if !http.hasTokens { missing.append("a token (--http-tokens-file or --http-token-file)") }
            return missing
        }
        if receivers.receiverCert == nil { missing.append("TLS (--receiver-cert, --receiver-key)") }
        if kind.takesSpans && receivers.receiverTokenFile == nil {
            missing.append("a token of senders (--receiver-token-file)")
        }
        if kind.answersReaders && receivers.readerTokenFile == nil && !http.hasTokens {
            missing.append("a token of readers (--reader-token-file or --http-tokens-file)")
        }
        return missing
    }
}

/// What the listeners prove themselves with, and what they ask of those who send.
struct ListenerGuarding: Sendable {
    /// Nil: everybody who can connect may send spans.
    private(set) var senders: String?
    private var http: ListenerTLS?
    private var receivers: ListenerTLS?

    /// Reads the files.
    init(_ serve: Serve) throws(CommandFailure) {
        if let file = serve.receivers.receiverTokenFile {
            senders = try TokenFile.read(file, option: "--receiver-token-file")
        }
        http = try Self.tls(serve.http.httpCert, serve.http.httpKey)
        receivers = try Self.tls(serve.receivers.receiverCert, serve.receivers.receiverKey)
    }

    /// Certificate and key of a listener; nil: it speaks without TLS.
    func tls(of kind: ListenerSetting.Kind) -> ListenerTLS? { kind == .http ? http : receivers }

    private static func tls(_ certificate: String?, _ key: String?) throws(CommandFailure) -> ListenerTLS? {
        guard let certificate, let key else { return nil }
        do throws(ListenerTLS.Failure) {
            return try ListenerTLS(certificateFile: certificate, keyFile: key)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
    }
}
