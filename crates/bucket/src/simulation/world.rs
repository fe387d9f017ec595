//! What surrounds the nodes: the network, the clocks, the record of what clients were told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Variant;
use super::node::Node;
use super::store::{Remote, Store, bytes, lock};
use crate::bucket::Bucket;
use crate::protocol::Protocol;
use crate::watch::NoWatch;

/// How nodes and the store are connected.
pub(crate) struct Network {
    random: Mutex<ChaCha8Rng>,
    pub faults_per_mille: u32,
    cut: Vec<Mutex<bool>>,
    stopped: Vec<watch::Sender<bool>>,
}

impl Network {
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

/// What a client was told of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    /// It was not done and will not be.
    NotDone,
    /// There is no such object.
    NotFound,
    /// Nothing: perhaps.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Step,
    Create,
    Delete,
}

/// One call of a client, with all its attempts.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub id: u32,
    pub action: Action,
    /// The object, or for a session all below it.
    pub key: String,
    pub begun: Instant,
    /// When the client had its answer, or gave up.
    pub ended: Option<Instant>,
    /// When the node had ended its work on the last attempt, or crashed; a client may have given up before.
    pub worked_until: Option<Instant>,
    pub told: Vec<Told>,
}

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

impl Call {
    pub fn is_done(&self) -> bool {
        self.told.contains(&Told::Done)
    }

    pub fn may_have_happened(&self) -> bool {
        self.is_done() || self.told.contains(&Told::Unclear) || self.ended.is_none()
    }
}

/// A read that found something.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub key: String,
    pub begun: Instant,
    pub steps: Vec<u32>,
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
        let network = Arc::new(Network {
            faults_per_mille: [50, 150, 300][random.random_range(0..3)],
            random: Mutex::new(random),
            cut: (0..nodes).map(|_| Mutex::new(false)).collect(),
            stopped: (0..nodes).map(|_| watch::channel(false).0).collect(),
        });
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
