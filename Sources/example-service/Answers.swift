// What the example answers: who it is, one or two fields that a shadow may have otherwise, and what others said.

import Foundation
import HTTPTypes
import Hummingbird
import LatticeClient
import Tracing

/// The routes.
struct Answers: Sendable {
    let settings: ExampleSettings
    let downstream: Downstream

    var router: Router<BasicRequestContext> {
        let router = Router()
        router.get("/health") { _, _ in "ok" }
        let traced = router.group().add(middleware: TracingMiddleware())
        for path in ["/", "/**"] as [RouterPath] {
            traced.get(path) { request, _ in await self.answer(request.uri.path) }
            traced.post(path) { request, _ in await self.answer(request.uri.path) }
        }
        return router
    }

    private func answer(_ path: String) async -> Response {
        await downstream.counted {
            if settings.delay > .zero { try? await Task.sleep(for: settings.delay) }
            let called = await downstream.callAll()
            let fails = Double.random(in: 0..<1) < settings.failRate
            let status: HTTPResponse.Status =
                fails ? .internalServerError : called.allSatisfy { $0.status < 500 } ? .ok : .badGateway
            return Response(
                status: status, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: json(path, called))))
        }
    }

    /// Members in order of name, so that equal answers are equal bytes.
    private func json(_ path: String, _ called: [Downstream.Result]) -> Data {
        var members: [String: Any] = [
            "service": settings.name, "version": settings.version, "path": path, "total": 42,
            "items": ["apple", "pear"],
        ]
        for field in settings.fields { members[field.name] = Int(field.value) as Any? ?? field.value }
        if !called.isEmpty {
            members["next"] = Dictionary(called.map { ($0.service, $0.status) }, uniquingKeysWith: { $1 })
        }
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        return (try? JSONSerialization.data(withJSONObject: members, options: options)) ?? Data("{}".utf8)
    }
}
