//! What must hold of every history.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::calls::{Action, Call, Told};
use super::clients::SESSIONS;
use super::network::lock;
use super::node::{TRUST, TTL, steps_of_model, steps_of_record};
use super::store::Event;
use super::world::World;
use crate::envelope::{self, Envelope};
use crate::ids::Generation;
use crate::keys::{self, Kind};
use crate::outcome::Read;

/// An object at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Dead,
    Live(Generation, Vec<u32>),
}

/// A state and since when.
struct Version {
    at: Instant,
    state: State,
}

struct Histories {
    by_key: BTreeMap<String, Vec<Version>>,
    calls: Vec<Call>,
    faults: Vec<String>,
}

/// What is wrong with a history.
pub(crate) async fn check(world: &World) -> Vec<String> {
    let mut histories = Histories {
        by_key: BTreeMap::new(),
        calls: lock(&world.calls).clone(),
        faults: Vec::new(),
    };
    for event in world.store.history() {
        histories.note(&event);
    }
    let keys: Vec<String> = histories.by_key.keys().cloned().collect();
    for key in &keys {
        histories.check_transitions(key);
        histories.check_creations(key);
    }
    histories.check_steps();
    histories.check_reads(world);
    histories.check_end(world).await;
    histories.check_remains(world);
    histories.faults
}

impl Histories {
    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    fn note(&mut self, event: &Event) {
        if keys::parse(&event.key).is_none() {
            return;
        }
        let state = match &event.bytes {
            None => State::Absent,
            Some(bytes) => match envelope::open(bytes) {
                Ok(Envelope::Tombstone(_)) => State::Dead,
                Ok(Envelope::Session(session)) => {
                    State::Live(session.mark.generation, steps_of_record(&session.record))
                }
                Ok(Envelope::Model(mark)) => {
                    let (steps, is_right) = steps_of_model(bytes).unwrap_or_default();
                    if !is_right {
                        self.fault(format!("{}: not the digest of a lone server", event.key));
                    }
                    State::Live(mark.generation, steps)
                }
                Ok(Envelope::Dataset(_)) | Err(_) => {
                    self.fault(format!("{}: unreadable", event.key));
                    State::Dead
                }
            },
        };
        self.by_key
            .entry(event.key.clone())
            .or_default()
            .push(Version {
                at: event.at,
                state,
            });
    }

    /// The state of an object just before a time.
    fn before(&self, key: &str, at: Instant) -> &State {
        let versions = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let last = versions.iter().rev().find(|version| version.at < at);
        last.map_or(&State::Absent, |version| &version.state)
    }

    /// An object goes on by one step, or ends for a reason, or begins anew without steps.
    fn check_transitions(&mut self, key: &str) {
        let mut faults = Vec::new();
        let versions = &self.by_key[key];
        let mut last = &State::Absent;
        for version in versions {
            match (last, &version.state) {
                (State::Live(..), State::Absent) => faults.push(format!("{key}: removed alive")),
                (State::Live(old, _), State::Dead) => {
                    if !self.may_end(key, *old, version.at) {
                        faults.push(format!("{key}: deleted without a reason"));
                    }
                }
                (State::Live(old, steps), State::Live(new, next)) if old == new => {
                    let goes_on =
                        next == steps || next.len() == steps.len() + 1 && next.starts_with(steps);
                    if !goes_on {
                        faults.push(format!("{key}: {next:?} follows {steps:?}"));
                    }
                }
                (State::Live(old, _), State::Live(..)) => {
                    if !self.may_end(key, *old, version.at) {
                        faults.push(format!("{key}: replaced without a reason"));
                    }
                }
                (State::Absent | State::Dead, State::Live(_, steps)) if !steps.is_empty() => {
                    faults.push(format!("{key}: {steps:?} rises from the dead"));
                }
                (State::Absent | State::Dead, _) => {}
            }
            if let State::Live(_, steps) = &version.state {
                let different: BTreeSet<&u32> = steps.iter().collect();
                if different.len() != steps.len() {
                    faults.push(format!("{key}: a step twice in {steps:?}"));
                }
            }
            last = &version.state;
        }
        self.faults.extend(faults);
    }

    /// Whether an object of this generation may end at this time: by a call, with its session, or with its lease.
    fn may_end(&self, key: &str, generation: Generation, at: Instant) -> bool {
        let Some((session, kind)) = keys::parse(key) else {
            return false;
        };
        let own = keys::session(session);
        let by_call = self.calls.iter().any(|call| {
            call.action == Action::Delete
                && (call.key == key || call.key == own)
                && call.begun <= at
                && call.told.iter().all(|told| *told != Told::NotFound)
        });
        if by_call {
            return true;
        }
        match kind {
            Kind::Session => {
                let renewed = self.by_key[&own]
                    .iter()
                    .rev()
                    .find(|version| version.at < at);
                // Two clocks may be an hour off, one each way.
                let clocks = std::time::Duration::from_secs(7200);
                renewed.is_some_and(|renewed| at - renewed.at + clocks >= TTL + TTL / 4)
            }
            Kind::Model(_) | Kind::Dataset(_) | Kind::Content(_) => {
                !matches!(self.before(&own, at), State::Live(now, _) if *now == generation)
            }
        }
    }

    /// Each beginning has a call to create it, which no deletion has followed.
    fn check_creations(&mut self, key: &str) {
        let mut beginnings = Vec::new();
        let mut last = &State::Absent;
        for version in &self.by_key[key] {
            let is_new = match (last, &version.state) {
                (State::Absent | State::Dead, State::Live(..)) => true,
                (State::Live(old, _), State::Live(new, _)) => old != new,
                _ => false,
            };
            // A late write into a session that has ended creates an object of a dead generation, which no read finds.
            if is_new && self.is_visible(key, version) {
                beginnings.push(version.at);
            }
            last = &version.state;
        }
        let creations: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.action == Action::Create && call.key == key)
            // It exists already, by another call: this one has created nothing.
            .filter(|call| {
                call.told.iter().any(|told| *told != Told::NotDone) || call.told.is_empty()
            })
            .collect();
        let mut faults = Vec::new();
        if beginnings.len() > creations.len() {
            let (is, may) = (beginnings.len(), creations.len());
            faults.push(format!("{key}: created {is} times by {may} calls"));
        }
        for at in beginnings {
            let is_asked_for = creations.iter().any(|call| {
                let is_deleted_since = self.calls.iter().any(|deletion| {
                    deletion.action == Action::Delete
                        && deletion.key == key
                        && deletion.is_done()
                        && call.worked_until.is_some_and(|end| end < deletion.begun)
                        && deletion.ended.is_some_and(|ended| ended < at)
                });
                let is_clear = call.told.iter().all(|told| *told != Told::Unclear);
                let is_late = is_clear && call.ended.is_some_and(|ended| ended < at);
                call.begun <= at && !is_deleted_since && !is_late
            });
            if !is_asked_for {
                faults.push(format!("{key}: comes back without a call"));
            }
        }
        self.faults.extend(faults);
    }

    /// Whether an object is of its session's generation when it is written.
    fn is_visible(&self, key: &str, version: &Version) -> bool {
        let (State::Live(of, _), Some((session, Kind::Model(_)))) =
            (&version.state, keys::parse(key))
        else {
            return true;
        };
        let owner = self.before(&keys::session(session), version.at);
        matches!(owner, State::Live(generation, _) if generation == of)
    }

    /// What was acknowledged happened, what was denied did not.
    fn check_steps(&mut self) {
        let happened = self.happened();
        let mut faults = Vec::new();
        for call in self.calls.iter().filter(|call| call.action == Action::Step) {
            let Call { id, key, .. } = call;
            let times = happened.get(id).map_or(&[][..], Vec::as_slice);
            if call.is_done() && times.is_empty() {
                faults.push(format!("{key}: step {id} was acknowledged and is lost"));
            }
            if !call.may_have_happened() && !times.is_empty() {
                faults.push(format!("{key}: step {id} was denied and happened"));
            }
            let is_clear = call.told.iter().all(|told| *told != Told::Unclear);
            let is_late = call
                .ended
                .is_some_and(|ended| times.iter().any(|at| *at > ended));
            if is_clear && is_late {
                faults.push(format!("{key}: step {id} happened after its end"));
            }
            // Once it is acknowledged, it is never done again, not even to a later object of the same name: but for a try
            // that the client has given up, and that is still at work when the object is made anew.
            if let [.., before, last] = times
                && Self::is_done_before(call, *last)
                && !(self.is_made_anew(key, *before, *last) && Self::is_at_work(call, *last))
            {
                faults.push(format!("{key}: step {id} happened again"));
            }
        }
        self.faults.extend(faults);
    }

    /// When each step was added to an object.
    fn happened(&self) -> BTreeMap<u32, Vec<Instant>> {
        let mut happened: BTreeMap<u32, Vec<Instant>> = BTreeMap::new();
        for versions in self.by_key.values() {
            let mut last: &[u32] = &[];
            for version in versions {
                let steps = match &version.state {
                    State::Live(_, steps) => steps.as_slice(),
                    State::Dead | State::Absent => &[],
                };
                for step in steps.iter().filter(|step| !last.contains(step)) {
                    happened.entry(*step).or_default().push(version.at);
                }
                last = steps;
            }
        }
        happened
    }

    /// Whether an object was dead between two times.
    fn is_made_anew(&self, key: &str, from: Instant, to: Instant) -> bool {
        let versions = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let between = |version: &&Version| version.at > from && version.at < to;
        let mut between = versions.iter().filter(between);
        between.any(|version| !matches!(version.state, State::Live(..)))
    }

    /// Whether a node worked on a try of a call at a time, or later.
    fn is_at_work(call: &Call, at: Instant) -> bool {
        call.worked_until.is_some_and(|until| until >= at)
    }

    /// Whether a call was acknowledged, and over, before a time.
    fn is_done_before(call: &Call, at: Instant) -> bool {
        call.is_done() && call.ended.is_some_and(|ended| ended < at)
    }

    /// A read shows what was true at most `TRUST` before it began.
    fn check_reads(&mut self, world: &World) {
        let mut faults = Vec::new();
        for read in lock(&world.reads).iter() {
            let versions = self.by_key.get(&read.key).map_or(&[][..], Vec::as_slice);
            let was_true = versions.iter().enumerate().any(|(i, version)| {
                let is_it = matches!(&version.state, State::Live(_, steps) if *steps == read.steps);
                let next = versions.get(i + 1);
                is_it && next.is_none_or(|next| next.at + TRUST >= read.begun)
            });
            if !was_true {
                faults.push(format!(
                    "{}: read {:?}, which is older",
                    read.key, read.steps
                ));
            }
        }
        self.faults.extend(faults);
    }

    /// After days of sweeps, nothing lies in the store but live sessions and what belongs to them.
    fn check_remains(&mut self, world: &World) {
        let objects = world.store.objects();
        let generation = |key: &str| match envelope::open(objects.get(key)?) {
            Ok(Envelope::Session(session)) => Some(session.mark.generation),
            Ok(Envelope::Model(_) | Envelope::Dataset(_) | Envelope::Tombstone(_)) | Err(_) => None,
        };
        for (key, bytes) in &objects {
            let Some((session, _)) = keys::parse(key) else {
                continue;
            };
            let is_alive = match envelope::open(bytes) {
                Ok(Envelope::Session(_)) => true,
                Ok(Envelope::Model(mark)) => {
                    generation(&keys::session(session)) == Some(mark.generation)
                }
                Ok(Envelope::Dataset(_) | Envelope::Tombstone(_)) | Err(_) => false,
            };
            if !is_alive {
                self.fault(format!("{key}: dead, and never removed"));
            }
        }
    }

    /// A node that has just begun sees what is in the store, and nothing dead.
    async fn check_end(&mut self, world: &World) {
        world.network.heal();
        let bucket = &world.nodes[0].bucket;
        for session in SESSIONS {
            let now = Instant::now() + TTL;
            let own = self.before(&keys::session(session), now).clone();
            for model in ["m", "n"] {
                let key = keys::model(session, model);
                let (State::Live(generation, _), state) = (&own, self.before(&key, now)) else {
                    continue;
                };
                let expected = match state {
                    State::Live(of, steps) if of == generation => Some(steps.clone()),
                    State::Live(..) | State::Dead | State::Absent => None,
                };
                let mut read = bucket.read_model(session, *generation, model, None).await;
                // The network still loses a request now and then.
                while read.is_err() {
                    read = bucket.read_model(session, *generation, model, None).await;
                }
                let found = match read {
                    Ok(Read::Found(object)) => {
                        steps_of_model(&object.bytes).map(|(steps, _)| steps)
                    }
                    Ok(Read::Missing | Read::Unchanged) | Err(_) => None,
                };
                if found != expected {
                    self.fault(format!(
                        "{key}: {found:?} is read, and {expected:?} is there"
                    ));
                }
            }
        }
    }
}
