// The door from tasks to the event loop on which all exchanges with shadows are carried out.

import NIOCore
import NIOPosix
import Synchronization

/// Carries out plans.
final class ShadowClient: Sendable {
    /// What lives on the event loop.
    private final class Room {
        let pool: ShadowPool
        var underWay: [UInt64: ShadowExchange] = [:]
        var isClosed = false

        init(_ pool: ShadowPool) { self.pool = pool }
    }

    private let loop: any EventLoop
    private let room: NIOLoopBoundBox<Room?>
    private let resolver: ShadowResolver
    private let latestID = Atomic<UInt64>(0)

    init(_ limits: ShadowPool.Limits, _ resolver: ShadowResolver) {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let room = NIOLoopBoundBox.makeEmptyBox(valueType: Room.self, eventLoop: loop)
        self.loop = loop
        self.room = room
        self.resolver = resolver
        // Before any exchange: a loop takes its tasks in order.
        loop.execute { room.value = Room(ShadowPool(loop, limits)) }
    }

    /// Carries out one plan; ends at its deadline at the latest.
    func carryOut(_ plan: ExchangePlan) async -> ExchangeEnd {
        let id = latestID.wrappingAdd(1, ordering: .relaxed).newValue
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { return continuation.resume(returning: .cancelled) }
                loop.execute { self.start(id, plan) { continuation.resume(returning: $0) } }
            }
        } onCancel: {
            loop.execute { self.room.value?.underWay[id]?.cancel() }
        }
    }

    private func start(_ id: UInt64, _ plan: ExchangePlan, _ done: @escaping (ExchangeEnd) -> Void) {
        guard let room = room.value, !room.isClosed else { return done(.cancelled) }
        let exchange = ShadowExchange(plan, room.pool, resolver) { end in
            room.underWay[id] = nil
            done(end)
        }
        room.underWay[id] = exchange
        exchange.start()
    }

    /// Ends the connections, and what is under way.
    func shutdown() async {
        await withCheckedContinuation { continuation in
            loop.execute {
                if let room = self.room.value {
                    room.isClosed = true
                    room.pool.shutdown()
                    for exchange in Array(room.underWay.values) { exchange.cancel() }
                }
                continuation.resume()
            }
        }
    }
}
