//! kill -9 at any moment: what was acknowledged is there, nothing is half there, a repeated request trains once.
//!
//! Eight clients create, train, replace and delete forty models on a server that is killed and started again, round
//! after round. A second server, which is never killed, is told every request once: the two must agree on every step and
//! every bit of the weights. More rounds than the suite's few:
//!
//! `CRASH_ROUNDS=200 cargo test --test crash kill_9 -- --nocapture`
//!
//! With `--features failpoints` the process also ends by itself at any step of a commit or of a start, and its disk fails
//! or is full for a while; a refused request is sent again until it is taken.

use crate::process::Setting;
use crate::random::Random;
use crate::rounds::{Rounds, Tally, fault};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kill_9() {
    let count = std::env::var("CRASH_ROUNDS");
    let count: u64 = count.map_or(5, |count| count.parse().expect("a number"));
    let mut rounds = Rounds::new().await;
    let mut random = Random(20);
    let calm = Setting::default();
    while rounds.begun < count {
        let mut process = rounds.look(&calm).await;
        if cfg!(feature = "failpoints") {
            let setting = Setting {
                faults: fault(&mut random),
                ..Setting::default()
            };
            process = rounds.restart(process, &setting, &calm).await;
        }
        // The moment: after so many answers, in the middle of all that the others are doing.
        let moment = 20 + random.below(200);
        rounds.work(process, moment, || ()).await;
    }
    let Tally {
        acknowledged,
        unanswered,
        refused,
        aborted,
        slowest,
        busy,
        forbidden,
    } = rounds.tally;
    assert_eq!((busy, forbidden), (0, 0), "nothing but the disk refuses");
    println!(
        "{count} kills, {aborted} of them by itself, {acknowledged} acknowledged requests, {unanswered} unanswered, \
         {refused} refused by a failing disk, slowest start {slowest:?}: none lost, none half done, none done twice"
    );
}
