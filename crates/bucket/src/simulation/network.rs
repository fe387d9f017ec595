//! How nodes and the store are connected, and the source of chance.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

/// How nodes and the store are connected.
pub(crate) struct Network {
    random: Mutex<ChaCha8Rng>,
    pub faults_per_mille: u32,
    cut: Vec<Mutex<bool>>,
    stopped: Vec<watch::Sender<bool>>,
}

impl Network {
    /// For so many nodes, with this many faults in a thousand requests.
    pub fn new(nodes: usize, faults_per_mille: u32, random: ChaCha8Rng) -> Self {
        Self {
            faults_per_mille,
            random: Mutex::new(random),
            cut: (0..nodes).map(|_| Mutex::new(false)).collect(),
            stopped: (0..nodes).map(|_| watch::channel(false).0).collect(),
        }
    }

    pub fn random<T>(&self, draw: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    pub fn chance(&self, per_mille: u32) -> bool {
        self.random(|random| random.random_range(0..1000) < per_mille)
    }

    pub fn is_cut(&self, node: usize) -> bool {
        *lock(&self.cut[node])
    }

    pub fn cut(&self, node: usize, is_cut: bool) {
        *lock(&self.cut[node]) = is_cut;
    }

    pub fn stop(&self, node: usize, is_stopped: bool) {
        self.stopped[node].send_replace(is_stopped);
    }

    /// Returns when the node is not stopped.
    pub async fn running(&self, node: usize) {
        let mut stopped = self.stopped[node].subscribe();
        // It fails when the sender is gone, with the world.
        let _ = stopped.wait_for(|stopped| !stopped).await;
    }

    /// All is well from now on.
    pub fn heal(&self) {
        for node in 0..self.cut.len() {
            self.cut(node, false);
            self.stop(node, false);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
