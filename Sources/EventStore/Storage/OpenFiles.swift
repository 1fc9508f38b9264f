// How many files the process may have open: connections, segments and all the rest come out of one number.

import CLogSupport

/// The limit of open files (RLIMIT_NOFILE).
package enum OpenFiles {
    /// Raises the limit as far as the system allows, and returns it. Shells and containers often begin with 1,024, which a
    /// few hundred silent connections use up.
    @discardableResult
    package static func raiseLimit() -> Int {
        let limit = clog_raise_open_files()
        return limit < 0 ? 1_024 : Int(limit)
    }
}
