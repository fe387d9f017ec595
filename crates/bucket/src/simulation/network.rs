//! How nodes and the store are connected, and the source of chance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

/// How nodes and the store are connected.
pub(crate) struct Network {
    random: Mutex<ChaCha8Rng>,
    faults_per_mille: u32,
    is_calm: AtomicBool,
    cut: Vec<Mutex<bool>>,
    stopped: Vec<watch::Sender<bool>>,
}

impl Network {
    /// For so many nodes, with this many faults in a thousand requests.
    pub fn new(nodes: usize, faults_per_mille: u32, random: ChaCha8Rng) -> Self {
        Self {
            faults_per_mille,
            is_calm: AtomicBool::new(false),
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

    /// How many of a thousand requests meet a fault.
    pub fn faults_per_mille(&self) -> u32 {
        match self.is_calm.load(Ordering::Relaxed) {
            true => 0,
            false => self.faults_per_mille,
        }
    }

    /// Whether a request gets lost on the way.
    pub fn loses(&self) -> bool {
        !self.is_calm.load(Ordering::Relaxed) && self.chance(30)
    }

    /// All is well from now on, and no request meets a fault.
    pub fn calm(&self) {
        self.heal();
        self.is_calm.store(true, Ordering::Relaxed);
    }

    /// No node is cut off or stopped.
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
