//! The design of a question's networks: fixed numbers that meet the conditions together. It depends on the shape of the
//! network alone, never on a secret, so that signs, masks, batch sizes and their order are the same for every secret,
//! and with them verdicts, points, mistakes and notes.

use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;

use super::batches::{fewest_networks, first_sample, samples};
use super::conditions::{Condition, POINTS};
use super::demands::{LEVELS, NEAR, SampleError, attempts};
use super::draft::{Draft, Near};
use super::plan::Plan;
use super::seed::{generator, seed};
use crate::grade::{BatchKind, Network, NetworkSpec, Numbers};

/// The candidates for each network; the one that meets most of the conditions that are still open is taken.
const CANDIDATES: u64 = 6;
/// The candidates for a network beyond the fewest, and the streams that each network has for its candidates.
const CANDIDATES_EXTRA: u64 = 24;
const STREAMS: u64 = 64;
/// Networks beyond the fewest, added while each meets an open condition.
const MOST_EXTRA: usize = 4;
/// The distance of an argument from its point, relative.
const INSIDE: f64 = 0.96;

/// The networks of a question before their numbers are varied.
#[derive(Clone, Debug)]
pub struct Design {
    pub(super) kind: BatchKind,
    pub(super) networks: Vec<(Numbers, Network)>,
    plan: Plan,
    conditions: Vec<(Condition, bool)>,
}

/// The designs of an assignment, made when a question first needs one.
#[derive(Debug, Default)]
pub struct Designs {
    one: OnceLock<Result<Design, SampleError>>,
    many: OnceLock<Result<Design, SampleError>>,
}

impl Designs {
    /// The design for questions of this kind, all on networks of one shape.
    ///
    /// # Errors
    /// No parameters were found for this shape of network.
    pub fn get(&self, spec: &NetworkSpec, kind: BatchKind) -> Result<&Design, SampleError> {
        let place = match kind {
            BatchKind::One => &self.one,
            BatchKind::Many => &self.many,
        };
        let design = place.get_or_init(|| Design::new(spec, kind));
        design.as_ref().map_err(|error| *error)
    }
}

impl Design {
    /// Designs networks for questions of this kind.
    ///
    /// # Errors
    /// No parameters were found for this shape of network.
    pub fn new(spec: &NetworkSpec, kind: BatchKind) -> Result<Self, SampleError> {
        let count = fewest_networks(kind);
        let sizes: Vec<usize> = (0..count).map(|index| samples(kind, index)).collect();
        let mut distinct = sizes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let conditions = Condition::all(spec, kind, &distinct);
        let plan = Plan::new(&spec.architecture, kind, &mut fixed(kind, u64::MAX));
        let mut design = Self {
            kind,
            networks: Vec::with_capacity(count),
            conditions: conditions
                .into_iter()
                .map(|condition| (condition, false))
                .collect(),
            plan,
        };
        let mut hosts = vec![Vec::new(); count];
        let nears = design
            .conditions
            .iter()
            .filter_map(|(condition, _)| near(condition));
        for near in nears.collect::<Vec<_>>() {
            design.host(spec, near, &mut hosts);
        }
        for (index, near) in hosts.iter().enumerate() {
            let (numbers, network, _) = design.best(spec, index, near)?;
            design.add(numbers, network);
        }
        while design.networks.len() < count + MOST_EXTRA {
            let index = design.networks.len();
            let mut host = [Vec::new()];
            let open = design.open().find_map(near);
            if let Some(near) = open {
                design.host_from(spec, near, index, &mut host);
            }
            match design.best(spec, index, &host[0])? {
                (_, _, 0) => break,
                (numbers, network, _) => design.add(numbers, network),
            }
        }
        Ok(design)
    }

    /// The conditions, and whether a network meets each.
    pub fn conditions(&self) -> &[(Condition, bool)] {
        &self.conditions
    }

    /// The number of networks on which every answer is evaluated.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there is none, which never happens.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    fn open(&self) -> impl Iterator<Item = &Condition> {
        let conditions = self.conditions.iter();
        conditions.filter_map(|(condition, is_met)| (!is_met).then_some(condition))
    }

    fn add(&mut self, numbers: Numbers, network: Network) {
        for (condition, is_met) in &mut self.conditions {
            *is_met = *is_met || condition.holds(&network);
        }
        self.networks.push((numbers, network));
    }

    /// Finds a network and a sample on which a unit can be near its kink, given the planned masks.
    fn host(&self, spec: &NetworkSpec, near: Near, hosts: &mut [Vec<Near>]) {
        self.host_from(spec, near, 0, hosts);
    }

    /// The same, where the first of `hosts` is for the network at `first`.
    fn host_from(&self, spec: &NetworkSpec, near: Near, first: usize, hosts: &mut [Vec<Near>]) {
        let mut places: Vec<usize> = (0..hosts.len()).collect();
        places.sort_by_key(|&place| hosts[place].len());
        for place in places {
            let index = first + place;
            let size = samples(self.kind, index);
            let from = hosts[place].len();
            let fitting = (0..size).map(|k| (from + k) % size).find(|&k| {
                let sample = first_sample(self.kind, index) + k;
                let is_free = hosts[place]
                    .iter()
                    .all(|other| (other.layer, other.unit) != (near.layer, near.unit));
                is_free && self.fits(spec, near, sample)
            });
            if let Some(sample) = fitting {
                hosts[place].push(Near { sample, ..near });
                return;
            }
        }
    }

    /// Whether the plan for a sample lets a unit be near its kink, with an effect on the loss.
    fn fits(&self, spec: &NetworkSpec, near: Near, sample: usize) -> bool {
        let layers = spec.architecture.layers();
        // A lone dead unit leaves nothing to the layer above, which then is on its own kink.
        let above = &layers[near.layer];
        let starves = near.target < 0.0 && layers[near.layer - 1].units == 1;
        if starves && above.activation.has_kink() && !above.has_bias() {
            return false;
        }
        let Some(live) = self.plan.live_units(sample) else {
            return true;
        };
        if near.layer + 1 == layers.len() {
            live[near.unit] == (near.target > 0.0)
        } else {
            live.contains(&true)
        }
    }

    /// The best candidate for the network at `index`, and how many open conditions it meets.
    fn best(
        &self,
        spec: &NetworkSpec,
        index: usize,
        near: &[Near],
    ) -> Result<(Numbers, Network, usize), SampleError> {
        let open: Vec<&Condition> = self.open().collect();
        let mut best: Option<(Numbers, Network, usize)> = None;
        let candidates = if index < fewest_networks(self.kind) {
            CANDIDATES
        } else {
            CANDIDATES_EXTRA
        };
        // What no draw of the first candidate meets is not demanded of the others: attempts that fail are what takes time.
        let mut level = 0;
        for candidate in 0..candidates {
            let (numbers, met_at) = self.candidate(spec, index, candidate, near, level)?;
            level = level.max(met_at);
            let network = Network::new(spec, &numbers);
            let met = open.iter().filter(|condition| condition.holds(&network));
            let met = met.count();
            if best.as_ref().is_none_or(|(_, _, before)| met > *before) {
                best = Some((numbers, network, met));
            }
            if met == open.len() {
                break;
            }
        }
        best.ok_or(SampleError { index, attempts: 0 })
    }

    /// One draw for the network at `index`, at the strictest level from `strictest` on that succeeds, and that level.
    pub(super) fn candidate(
        &self,
        spec: &NetworkSpec,
        index: usize,
        candidate: u64,
        near: &[Near],
        strictest: usize,
    ) -> Result<(Numbers, usize), SampleError> {
        let mut generator = fixed(self.kind, index as u64 * STREAMS + candidate);
        let samples = samples(self.kind, index);
        let first = first_sample(self.kind, index);
        let planned: Vec<_> = (first..first + samples)
            .map(|sample| self.plan.live_units(sample))
            .collect();
        for (level, demands) in LEVELS.iter().enumerate().skip(strictest) {
            let planned: &[_] = if demands.is_planned { &planned } else { &[] };
            let near = if demands.is_near { near } else { &[] };
            for _ in 0..attempts(spec, demands) {
                let draft = Draft::new(spec, demands, samples, near, &mut generator);
                if let Some(mut numbers) = draft.numbers(planned) {
                    numbers.argument = INSIDE * POINTS[index % POINTS.len()];
                    return Ok((numbers, level));
                }
            }
        }
        Err(SampleError {
            index,
            attempts: LEVELS.iter().map(|demands| attempts(spec, demands)).sum(),
        })
    }
}

/// The unit of a condition that wants one near its kink; its sample is open.
fn near(condition: &Condition) -> Option<Near> {
    match *condition {
        Condition::Near { layer, unit, live } => Some(Near {
            layer,
            unit,
            sample: 0,
            target: if live { NEAR } else { -NEAR },
        }),
        _ => None,
    }
}

/// The same numbers in every program: no secret goes into a design.
fn fixed(kind: BatchKind, stream: u64) -> ChaCha8Rng {
    let kind = match kind {
        BatchKind::One => "one",
        BatchKind::Many => "many",
    };
    generator(seed(b"", "design", kind), stream)
}
