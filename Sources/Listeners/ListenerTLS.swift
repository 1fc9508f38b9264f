// TLS of a listener for HTTP or gRPC: certificate and key from files, read once at the start.

package import HummingbirdCore
import HummingbirdTLS
package import NIOCore
package import NIOSSL

/// What a listener proves itself with.
package struct ListenerTLS: Sendable {
    private let configuration: TLSConfiguration

    /// Reads a certificate chain and its key (PEM). TLS 1.2 is the oldest version that is spoken. Throws `Failure` where
    /// a file cannot be read, is no PEM, or the key is not the certificate's.
    package init(certificateFile: String, keyFile: String) throws(Failure) {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificateFile)
            guard !chain.isEmpty else { throw Failure(description: "there is no certificate in \(certificateFile)") }
            let key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            // A key of another certificate is found here and not by the first client.
            _ = try NIOSSLContext(configuration: configuration)
            self.configuration = configuration
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "\(certificateFile) and \(keyFile) do not make a TLS listener: \(error)")
        }
    }

    /// Why there is no TLS, for the operator.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// For a listener that speaks one of `protocols` (ALPN), the first one rather. Throws what TLS refuses.
    package func context(protocols: [String]) throws -> NIOSSLContext {
        var configuration = configuration
        configuration.applicationProtocols = protocols
        return try NIOSSLContext(configuration: configuration)
    }

    /// A server for HTTP/1.1, with TLS where there is any. Throws what TLS refuses.
    ///
    /// - Parameter idle: how long a connection may be silent: before the head of a request, within its body, while an
    ///   answer is not taken, and between two requests. Then it is closed.
    package static func server(_ tls: ListenerTLS?, idle: TimeAmount) throws -> HTTPServerBuilder {
        let plain = HTTPServerBuilder.http1(
            configuration: .init(
                // The timer of the channel looks at requests only; who does not read an answer is found by this one. An
                // answer may take its time to be made, so this one has more patience.
                additionalChannelHandlers: [
                    ExpectContinue(), IdleStateHandler(allTimeout: idle * 2), SilenceEnd(),
                ], idleTimeout: idle
            ))
        guard let tls else { return plain }
        return try .tls(plain, tlsConfiguration: tls.configuration)
    }
}

/// Closes a connection on which nothing has moved for too long, and sooner one that never asked anything.
private final class SilenceEnd: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    /// Until the head of the first request is there.
    private static let patience = TimeAmount.seconds(15)
    private var first: Scheduled<Void>?

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        first = context.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { first?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        first?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        first?.cancel()
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is IdleStateHandler.IdleStateEvent else { return context.fireUserInboundEventTriggered(event) }
        context.close(promise: nil)
    }
}
