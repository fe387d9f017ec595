//! Time to prepare the homework, and per submission of 25 answers (items are submissions): all right, each an expected
//! mistake, each wrong and without a name; in one thread, on all cores, and over a loopback connection.
//!
//! `cargo bench --bench grading`

use std::collections::BTreeMap;

use backpropd::config::Config;
use backpropd::grade::{Assignment, Grader, Reveal};
use backpropd::rpc::pb;
use backpropd::server::serve;
use divan::{Bencher, counter::ItemsCount};
use pb::grading_service_client::GradingServiceClient;

const HOMEWORK: &str = include_str!("../assignments/hw-backprop.toml");

fn main() {
    divan::main();
}

fn homework() -> Assignment {
    Assignment::parse(HOMEWORK, "hw-backprop.toml").expect("the built-in file is valid")
}

fn grader() -> Grader {
    Grader::new(homework(), b"bench").expect("the built-in assignment can be graded")
}

/// Every question's own solution.
fn right() -> BTreeMap<String, String> {
    let answers = homework().questions.into_iter();
    answers
        .map(|question| (question.id, question.solution))
        .collect()
}

/// Twice every solution and a little: no catalogue holds it, so that every search for a name runs to its end.
fn wrong() -> BTreeMap<String, String> {
    let answers = right().into_iter();
    answers
        .map(|(id, answer)| (id, format!("2 ({answer}) \\odot ({answer})")))
        .collect()
}

/// An expected mistake in every answer.
fn mistaken() -> BTreeMap<String, String> {
    let questions = homework().questions.into_iter();
    questions
        .map(|mut question| {
            let last = question.mistakes.pop().expect("every question expects one");
            (question.id, last.answer)
        })
        .collect()
}

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[divan::bench]
fn preparing_the_homework(bencher: Bencher<'_, '_>) {
    bencher.bench_local(grader);
}

#[divan::bench(args = ["right", "mistaken", "wrong"])]
fn one_submission(bencher: Bencher<'_, '_>, answers: &str) {
    let (grader, answers) = (grader(), submission(answers));
    // The first one prepares what only wrong answers need.
    divan::black_box(grader.grade(&answers, Reveal::Mistake));
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| grader.grade(&answers, Reveal::Mistake));
}

/// One iteration is so many submissions, shared out among the cores.
#[divan::bench(args = ["right", "mistaken", "wrong"], sample_count = 20)]
fn submissions_on_all_cores(bencher: Bencher<'_, '_>, answers: &str) {
    const SUBMISSIONS: usize = 64;
    let (grader, answers) = (grader(), submission(answers));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let grade_share = |core: usize| {
        for _ in (core..SUBMISSIONS).step_by(cores) {
            divan::black_box(grader.grade(&answers, Reveal::Mistake));
        }
    };
    // The first one prepares what only wrong answers need.
    grade_share(SUBMISSIONS - 1);
    bencher
        .counter(ItemsCount::new(SUBMISSIONS))
        .bench_local(|| {
            std::thread::scope(|scope| {
                let share = &grade_share;
                (0..cores).for_each(|core| drop(scope.spawn(move || share(core))));
            });
        });
}

/// The slowest answer of a submission in which every answer is wrong is what a student waits for.
#[divan::bench(args = ["right", "mistaken", "wrong"])]
fn the_slowest_answer(bencher: Bencher<'_, '_>, answers: &str) {
    let (grader, answers) = (grader(), submission(answers));
    let time = |(id, answer): (String, String)| {
        let one = BTreeMap::from([(id, answer)]);
        let start = std::time::Instant::now();
        divan::black_box(grader.grade(&one, Reveal::Mistake));
        (start.elapsed(), one)
    };
    // The first pass prepares what only wrong answers need.
    let _ = answers.clone().into_iter().map(time).count();
    let slowest = answers.into_iter().map(time).max_by_key(|(time, _)| *time);
    let (_, slowest) = slowest.expect("there are answers");
    bencher.bench_local(|| grader.grade(&slowest, Reveal::Mistake));
}

fn submission(which: &str) -> BTreeMap<String, String> {
    match which {
        "right" => right(),
        "mistaken" => mistaken(),
        _ => wrong(),
    }
}

/// Eight clients on one connection each; one iteration is a hundred submissions.
#[divan::bench(args = ["right", "mistaken", "wrong"], sample_count = 20)]
fn a_hundred_submissions_over_the_network(bencher: Bencher<'_, '_>, answers: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let clients = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(serve(listener, Config::default(), std::future::pending()));
        let mut clients = Vec::new();
        for _ in 0..8 {
            let client = GradingServiceClient::connect(url.clone()).await;
            clients.push(client.expect("it listens"));
        }
        clients
    });
    let request = pb::GradeFormulasRequest {
        assignment: "hw-backprop".to_owned(),
        answers: submission(answers).into_iter().collect(),
        reveal: pb::Reveal::Mistake.into(),
        ..Default::default()
    };
    let grade_all = || async {
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..clients.len() {
            let (mut client, request) = (clients[at].clone(), request.clone());
            let count = (at..100).step_by(clients.len()).count();
            tasks.spawn(async move {
                for _ in 0..count {
                    let reply = client.grade_formulas(request.clone()).await;
                    let report = reply.expect("graded").into_inner().report;
                    divan::black_box(report.expect("a report"));
                }
            });
        }
        tasks.join_all().await;
    };
    bencher
        .counter(ItemsCount::new(100_usize))
        .bench_local(|| runtime.block_on(grade_all()));
}
