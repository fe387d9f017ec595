//! Threads that wait for the disk.

use tokio::task::JoinHandle;

use crate::host::compute::give_way;

/// `work` on a thread that waits for the disk.
pub fn on_disk_thread<V: Send + 'static>(
    work: impl FnOnce() -> V + Send + 'static,
) -> JoinHandle<V> {
    tokio::task::spawn_blocking(|| {
        give_way();
        work()
    })
}
