//! Compute threads: a fixed pool fed by one fair queue. A task that is not done after its turn re-enters the queue, so
//! long runs and short calls share the cores. All numeric work runs here, except work so small that handing it over
//! would take longer than doing it.

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
