//! Threads that block on the disk.

use tokio::task::JoinHandle;

use crate::host::compute::give_way;

/// Runs `work` on a thread that may block on the disk.
pub fn on_disk_thread<V: Send + 'static>(
    work: impl FnOnce() -> V + Send + 'static,
) -> JoinHandle<V> {
    tokio::task::spawn_blocking(|| {
        give_way();
        work()
    })
}
