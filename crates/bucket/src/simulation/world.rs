//! The nodes with what surrounds them: store, network, clocks, and the record of what clients were told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::calls::{Action, Call, Observed, Told};
use super::network::{Network, lock};
use super::node::Node;
use super::store::{Remote, Store, bytes};
use super::variant::Variant;
use crate::bucket::Bucket;
use crate::protocol::Protocol;
use crate::watch::NoWatch;

/// A node at work on a call, until it is dropped.
pub(crate) struct Working {
    pub world: Arc<World>,
    pub call: u32,
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut calls = lock(&self.world.calls);
        calls[self.call as usize].worked_until = Some(Instant::now());
    }
}

pub(crate) struct World {
    pub store: Arc<Store>,
    pub network: Arc<Network>,
    pub nodes: Vec<Arc<Node>>,
    pub calls: Mutex<Vec<Call>>,
    pub reads: Mutex<Vec<Observed>>,
}

impl World {
    pub fn new(seed: u64, variant: Variant) -> Arc<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let nodes = random.random_range(2..=5);
        let faults_per_mille = [50, 150, 300][random.random_range(0..3)];
        let network = Arc::new(Network::new(nodes, faults_per_mille, random));
        let store = Arc::new(Store::default());
        let nodes = (0..nodes)
            .map(|node| Arc::new(Node::new(bucket(node, &store, &network, variant))))
            .collect();
        Arc::new(Self {
            store,
            network,
            nodes,
            calls: Mutex::default(),
            reads: Mutex::default(),
        })
    }

    /// Begins a call; its place in the record.
    pub fn begin(&self, action: Action, key: String) -> u32 {
        let mut calls = lock(&self.calls);
        let id = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        calls.push(Call {
            id,
            action,
            key,
            begun: Instant::now(),
            ended: None,
            worked_until: None,
            told: Vec::new(),
        });
        id
    }

    pub fn tell(&self, call: u32, told: Told) {
        lock(&self.calls)[call as usize].told.push(told);
    }

    pub fn end(&self, call: u32) {
        lock(&self.calls)[call as usize].ended = Some(Instant::now());
    }
}

/// The bucket of one node, with a clock of its own.
fn bucket(node: usize, store: &Arc<Store>, network: &Arc<Network>, variant: Variant) -> Bucket {
    let begun = Instant::now();
    let skew = network.random(|random| random.random_range(0..7200));
    let ids = Arc::clone(network);
    let protocol = Protocol {
        objects: Arc::new(Remote {
            store: Arc::clone(store),
            network: Arc::clone(network),
            node,
            retries_writes: variant.retries_writes,
            is_plain: variant.is_plain,
        }),
        random: Arc::new(move || ids.random(bytes)),
        // Up to an hour before or after the true time.
        clock: Arc::new(move || {
            let true_time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
            true_time + begun.elapsed() + Duration::from_secs(skew) - Duration::from_secs(3600)
        }),
        watch: Arc::new(NoWatch),
        policy: variant.policy,
    };
    Bucket::new(protocol, format!("node {node}"))
}
