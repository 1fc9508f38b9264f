// The actor around one state machine.

package import EventModel
package import StateMachines

/// Keeps one state machine up to date with the log and answers questions about it. Recovery and live operation are the
/// same call; only whoever reads the log knows which it is.
package actor MachineHost<Machine: StateMachine> {
    private var machine: Machine

    package init(_ machine: Machine) { self.machine = machine }

    /// Takes records in order. Nothing suspends between taking a record and applying it.
    package func apply(_ records: [AdmittedRecord]) -> [Outcome] {
        var outcomes: [Outcome] = []
        outcomes.reserveCapacity(records.count)
        for record in records { outcomes.append(machine.apply(record)) }
        return outcomes
    }

    /// Answers from the state as it is between two batches.
    package func read<Answer: Sendable>(_ body: @Sendable (borrowing Machine) -> Answer) -> Answer { body(machine) }

    /// The digest now; touched entities are hashed.
    package func digest() -> MachineDigest { MachineDigest(machine: Machine.name, digest: machine.digest()) }

    /// A copy that shares what neither writes to, its digest settled.
    package func fork() -> Machine {
        _ = machine.digest()
        return machine
    }

    /// Starts from another state (a checkpoint).
    package func restore(_ machine: Machine) { self.machine = machine }
}
