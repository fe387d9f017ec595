//! Everything at once, beside honest clients: kills, disks that fail, clocks that jump by two days, other limits at each
//! start, hostile clients.
//!
//! A round in `cargo test`; half an hour of them:
//!
//! `CHAOS_SECONDS=1800 cargo test --features failpoints --test crash chaos -- --nocapture`
//!
//! The clock jumps where libfaketime is there (Debian's package faketime); elsewhere the summary says that it did not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::hostile;
use crate::process::Setting;
use crate::random::Random;
use crate::rounds::{Rounds, Tally, fault};

/// Limits that some models of the honest clients are beyond.
const LIMITS: [&[&str]; 6] = [
    &[],
    &["--max-layers", "2"],
    &["--max-units", "64"],
    &["--max-parameters", "1000"],
    &["--max-models", "10"],
    &["--max-models-per-session", "3"],
];

const CLOCKS: [&str; 3] = ["+0", "+2d", "-2d"];

/// A wall clock that jumps when it is told to.
struct Clock {
    library: PathBuf,
    /// Says by how much it is wrong.
    offset: PathBuf,
    jumps: u64,
}

impl Clock {
    /// One beside `folder`, if this machine has the library for it.
    fn find(folder: &Path) -> Option<Self> {
        let libraries = [
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        ];
        let library = libraries.into_iter().map(PathBuf::from);
        Some(Self {
            library: library.into_iter().find(|library| library.exists())?,
            offset: folder.with_extension("clock"),
            jumps: 0,
        })
    }

    fn jump(&mut self, offset: &str) {
        fs::write(&self.offset, offset).expect("written");
        self.jumps += 1;
    }

    fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.offset)),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            // Only the wall clock is wrong.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_in_chaos() {
    let seconds = std::env::var("CHAOS_SECONDS");
    let seconds = seconds.map_or(0, |seconds| seconds.parse().expect("a number"));
    let (began, long) = (Instant::now(), Duration::from_secs(seconds));
    let mut rounds = Rounds::new().await;
    let mut clock = Clock::find(&rounds.folder());
    let mut random = Random(16);
    let mut attacks = hostile::Count::default();
    while rounds.begun == 0 || began.elapsed() < long {
        let mut pick = |count: usize| random.below(count as u64) as usize;
        let (limits, now, then) = (LIMITS[pick(6)], CLOCKS[pick(3)], CLOCKS[pick(3)]);
        let calm = Setting {
            environment: clock.as_ref().map(Clock::environment).unwrap_or_default(),
            ..Setting::default()
        };
        if let Some(clock) = &mut clock {
            clock.jump(now);
        }
        let process = rounds.look(&calm).await;
        let setting = Setting {
            faults: if cfg!(feature = "failpoints") {
                fault(&mut random)
            } else {
                String::new()
            },
            arguments: limits.iter().map(|&word| word.to_owned()).collect(),
            ..calm.clone()
        };
        let process = rounds.restart(process, &setting, &calm).await;
        let hostile = hostile::attack(&process.address, rounds.begun);
        let moment = 50 + random.below(400);
        let halfway = || {
            if let Some(clock) = &mut clock {
                clock.jump(then);
            }
        };
        rounds.work(process, moment, halfway).await;
        attacks += hostile.stop().await;
    }
    // What the last round has left.
    rounds.look(&Setting::default()).await;
    let Tally {
        acknowledged,
        unanswered,
        refused,
        busy,
        forbidden,
        aborted,
        slowest,
    } = rounds.tally;
    let jumps = clock.map_or("no".to_owned(), |clock| clock.jumps.to_string());
    println!(
        "{} kills in {:?}, {aborted} of them by itself, {jumps} jumps of the clock, {attacks}; {acknowledged} \
         acknowledged requests, {unanswered} unanswered, {refused} refused by a failing disk, {busy} by a busy server, \
         {forbidden} by a limit, slowest start {slowest:?}: none lost, none half done, none done twice",
        rounds.begun,
        began.elapsed(),
    );
}
