// What the process gives back to the system.

import CLogSupport

/// The heap of this process.
package enum ProcessMemory {
    /// Gives pages that nobody uses back to the system (malloc_trim). Bursts leave a heap with holes, and glibc keeps them;
    /// whoever has just freed much, a written checkpoint say, calls this. Takes a millisecond for some ten MiB.
    package static func giveBack() { clog_trim_heap() }
}
