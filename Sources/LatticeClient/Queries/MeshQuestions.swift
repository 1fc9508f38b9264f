// Questions over the bus: one message, one answer, one kind of error.

internal import EventModel
internal import Messaging

extension MeshConnection {
    /// Asks one query and reads its answer.
    ///
    /// - Parameter query: the machine and the query, as in `registry.resolve`.
    func ask<Answer>(
        _ query: String, _ request: [UInt8], timeout: Duration? = nil,
        decode: (ArraySlice<UInt8>) throws(DecodeError) -> Answer
    ) async throws(MeshError) -> Answer {
        let answer: Message
        do throws(BusError) {
            answer = try await bus.request(
                Message(
                    subject: "\(prefix).queries.\(query)",
                    headers: [MessageHeader("Content-Type", "application/protobuf")], payload: request),
                timeout: timeout ?? requestTimeout)
        } catch {
            throw MeshError(error)
        }
        let result: Result<Answer, MeshError>
        do throws(DecodeError) {
            result =
                answer.header("Nats-Service-Error") == nil
                ? .success(try decode(answer.payload[...]))
                : .failure(MeshError(try QueryError.decode(answer.payload[...])))
        } catch {
            throw MeshError(.other, "the answer to \(query) is not understood: \(error)")
        }
        return try result.get()
    }

    /// The registry's answer with every instance of a service, healthy or not.
    package func everyInstance(
        of service: String, after minimum: SequenceNumber?
    ) async throws(MeshError) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = service
        query.healthyOnly = false
        query.position.minimumSequence = minimum
        return try await ask("registry.resolve", query.encode(), decode: InstancesAnswer.decode)
    }
}
