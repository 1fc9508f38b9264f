// Failures that the router finds by itself, in the form of all others.

import HTTPTypes
import Hummingbird

/// Unknown routes, wrong methods and bodies over the limit, as JSON with a code and a message.
struct FailuresAsJSON<Context: RequestContext>: RouterMiddleware {
    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as any HTTPResponseError {
            let status = error.status
            let code = status.reasonPhrase.lowercased().replacing(" ", with: "_")
            return AdminEndpoint.failure(code, "\(status.code) \(status.reasonPhrase)", status)
        }
    }
}
