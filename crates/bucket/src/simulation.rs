//! Several nodes, one bucket, and a network that does its worst, on a paused clock: each seed is one history.
//!
//! Answers are lost after a write, writes land long after their node has given up, the store answers 409 and 503, and
//! 412 to the echo of a write that it has applied; nodes are cut off, stop for a while, crash, and have clocks that are
//! an hour off. Clients train, read, create and delete, and send a call again to another node. What must hold is in
//! `checks`. Each safeguard of the protocol is then left out, and the checks must notice.

mod calls;
mod checks;
mod clients;
mod network;
mod node;
mod store;
mod variant;
mod world;

use crate::ids::COMMITS_KEPT;
use crate::protocol::Policy;
use variant::{SAFE, Variant};
use world::World;

/// Runs one history; what is wrong with it.
fn run(seed: u64, variant: Variant) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing");
    runtime.block_on(async {
        let world = World::new(seed, variant);
        clients::run(&world).await;
        checks::check(&world).await
    })
}

/// The number of histories: `SEEDS`, or enough for each build.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = variable("FIRST_SEED").unwrap_or(0);
    first..first + variable("SEEDS").unwrap_or(default)
}

#[test]
fn nothing_acknowledged_is_lost_nothing_is_done_twice_nothing_deleted_comes_back() {
    for seed in seeds(300) {
        let faults = run(seed, SAFE);
        assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
    }
}

/// Asserts that a safeguard is needed: without it, a history goes wrong.
fn is_found(name: &str, variant: Variant) {
    for seed in 0..1000 {
        let faults = run(seed, variant);
        if let Some(fault) = faults.first() {
            println!("{name}: found by seed {seed}: {fault}");
            return;
        }
    }
    panic!("{name}: not found in 1000 histories");
}

#[test]
fn retries_of_conditional_writes_are_found() {
    let policy = Policy {
        doubts_refusals: false,
        ..Policy::SAFE
    };
    is_found(
        "retries left on",
        Variant {
            policy,
            retries_writes: true,
            ..SAFE
        },
    );
}

#[test]
fn a_missing_read_back_is_found() {
    let policy = Policy {
        reads_back: false,
        ..Policy::SAFE
    };
    is_found("no read-back", Variant { policy, ..SAFE });
}

#[test]
fn a_single_commit_id_is_found() {
    let policy = Policy {
        commits_kept: 1,
        doubts_gaps: false,
        ..Policy::SAFE
    };
    const { assert!(COMMITS_KEPT > 1) };
    is_found("one commit id only", Variant { policy, ..SAFE });
}

#[test]
fn missing_commit_ids_are_found() {
    let policy = Policy {
        has_commit_ids: false,
        ..Policy::SAFE
    };
    is_found("no commit id", Variant { policy, ..SAFE });
}

#[test]
fn writes_without_a_condition_are_found() {
    is_found(
        "plain PUT",
        Variant {
            is_plain: true,
            ..SAFE
        },
    );
}

#[test]
fn belief_in_a_refusal_is_found() {
    let policy = Policy {
        doubts_refusals: false,
        ..Policy::SAFE
    };
    is_found("believe 412", Variant { policy, ..SAFE });
}
