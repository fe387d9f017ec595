//! Threads that give way to those that answer. A call that waits for nothing but its answer, a health check above all, is
//! to get a core at once, however many runs there are and however much is written.

use std::cell::Cell;

/// How far they give way, on the scale of nice(2).
const NICENESS: i32 = 5;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// The thread gives way from now on; a second time changes nothing.
pub fn give_way() {
    if !GIVES_WAY.replace(true) {
        // On Linux this is the thread's own. Where it may not, the machine is as fair as it is.
        let _ = rustix::process::nice(NICENESS);
    }
}
