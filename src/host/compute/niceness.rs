//! Lower priority for background threads, so that a short call, above all a health check, gets a core at once even
//! under a full load of runs and disk writes.

use std::cell::Cell;

/// The nice(2) increment.
const NICENESS: i32 = 5;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of the current thread; calling it twice has no further effect.
pub fn give_way() {
    if !GIVES_WAY.replace(true) {
        // On Linux the nice value is per thread. Without permission the thread keeps its priority, which is only less
        // fair.
        let _ = rustix::process::nice(NICENESS);
    }
}
