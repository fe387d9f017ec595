//! Compute threads. A fixed number of them takes tasks from one queue, in which callers have equal shares; a task that is
//! not done after its turn goes back into the queue, so that a long run and a hundred short ones share the cores. Nothing
//! numeric runs on an async worker, except work so small that handing it over would take longer than doing it.

mod fair_queue;
mod in_blocks;
mod in_turns;
mod niceness;
mod pool;
mod task;
#[cfg(test)]
mod tests;
mod whole;

pub use self::in_blocks::{InBlocks, Turns};
pub use self::niceness::give_way;
pub use self::pool::{Compute, ComputeLimits};
pub use self::task::{Scratch, Task, Timing, Turn, at_once, parallelism};
