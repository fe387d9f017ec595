use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Compute, ComputeLimits, Turns};
use crate::host::party::Parties;
use crate::nn::Pauses as _;

const PATIENCE: Duration = Duration::from_secs(30);

/// Work too large to run inline.
const MUCH: u64 = u64::MAX;

fn one_thread() -> Compute {
    let limits = ComputeLimits {
        waiting: 100,
        waiting_of_origin: 100,
        waiting_of_session: 100,
        inline_flops: 0,
    };
    Compute::start(1, limits, &Arc::default()).expect("a thread")
}

/// An endless computation in blocks of one quantum each. It counts its blocks, and signals `dropped` when dropped.
fn endless(
    blocks: Arc<AtomicUsize>,
    dropped: oneshot::Sender<()>,
) -> impl FnOnce(Turns) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    |turns| {
        Box::pin(async move {
            let _dropped = TellsWhenDropped(Some(dropped));
            loop {
                blocks.fetch_add(1, Ordering::SeqCst);
                turns.pause().await;
            }
        })
    }
}

struct TellsWhenDropped(Option<oneshot::Sender<()>>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        if let Some(dropped) = self.0.take() {
            let _ = dropped.send(());
        }
    }
}

#[tokio::test]
async fn calls_without_an_end_let_another_have_its_turn_and_end_with_their_callers() {
    let compute = one_thread();
    let blocks = Arc::new(AtomicUsize::new(0));
    let mut calls = Vec::new();
    for _ in 0..2 {
        let (compute, (dropped, is_dropped)) = (compute.clone(), oneshot::channel());
        let work = endless(Arc::clone(&blocks), dropped);
        let call = tokio::spawn(async move {
            let call = compute.run_in_blocks(Parties::SERVER, MUCH, Duration::ZERO, work);
            let _ = call.await;
        });
        calls.push((call, is_dropped));
    }
    for _ in 0..20 {
        let counting = Arc::clone(&blocks);
        let before = blocks.load(Ordering::SeqCst);
        let call = compute.run(Parties::SERVER, MUCH, move |_| {
            counting.load(Ordering::SeqCst)
        });
        let answered = tokio::time::timeout(PATIENCE, call).await;
        let (at, _) = answered.expect("it has its turn").expect("it computes");
        // One turn of each of the two, plus those before this one had entered the queue.
        assert!(at >= before, "{before} to {at}");
    }
    for (call, is_dropped) in calls {
        call.abort();
        let ended = tokio::time::timeout(PATIENCE, is_dropped).await;
        ended
            .expect("the work ends with its caller")
            .expect("it was dropped");
    }
    let after = blocks.load(Ordering::SeqCst);
    compute
        .run(Parties::SERVER, MUCH, |_| ())
        .await
        .expect("the thread is free");
    assert_eq!(blocks.load(Ordering::SeqCst), after);
}

#[tokio::test]
async fn work_in_blocks_takes_turns_with_other_work_of_its_kind() {
    let compute = one_thread();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let held = compute.clone();
    // The thread is kept busy until both are in the queue.
    let busy = tokio::spawn(async move {
        let _ = held
            .run(Parties::SERVER, MUCH, move |_| opened.recv())
            .await;
    });
    let mut calls = Vec::new();
    for own in 0..2 {
        let order = Arc::clone(&order);
        let compute = compute.clone();
        calls.push(tokio::spawn(async move {
            let work = move |turns: Turns| async move {
                for _ in 0..5 {
                    order.lock().expect("unpoisoned").push(own);
                    turns.pause().await;
                }
            };
            compute
                .run_in_blocks(Parties::SERVER, MUCH, Duration::ZERO, work)
                .await
        }));
        tokio::task::yield_now().await;
    }
    while compute.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    gate.send(()).expect("it waits");
    for call in calls {
        call.await.expect("it ran").expect("it computed");
    }
    busy.await.expect("it ran");
    let order = order.lock().expect("unpoisoned").clone();
    assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
}

#[tokio::test]
async fn work_that_panics_in_a_later_block_fails_its_own_call_alone() {
    let compute = one_thread();
    let work = |turns: Turns| async move {
        turns.pause().await;
        assert!(turns.block() == 0, "this test panics on purpose");
    };
    let failed = compute
        .run_in_blocks(Parties::SERVER, MUCH, Duration::ZERO, work)
        .await;
    failed.expect_err("it panicked");
    compute
        .run(Parties::SERVER, MUCH, |_| ())
        .await
        .expect("the thread lives");
}
