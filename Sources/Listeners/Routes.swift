// Routes that one endpoint has on the listener of another: Zipkin's reporters and Zipkin's UI use one port.

package import Hummingbird

/// Routes that one endpoint has on the listener of another.
package struct Routes: Sendable {
    package let add: @Sendable (Router<BasicRequestContext>) -> Void

    package init(_ add: @escaping @Sendable (Router<BasicRequestContext>) -> Void) { self.add = add }
}
