//! The engine as one of the peers of `benches/compare`: reads one piece of work a line from standard input, takes the
//! steps, and answers with their time and the last loss. `products` computes the bare matrix products of the same
//! shapes with faer instead, which is what no training loop on faer can beat.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that meets the unexpected is to fail"
)]

#[allow(dead_code)] // Shared with the other benchmarks, which need more of it.
mod workload;

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Instant;

use backpropd::nn::Scalar;
use backpropd::training::Run;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use workload::Work;

#[derive(serde::Deserialize)]
struct Request {
    name: String,
    double: bool,
    steps: u64,
    threads: usize,
    products: bool,
    #[serde(flatten)]
    work: Work,
}

/// Takes a number of steps and tells the last loss.
type Worker = Box<dyn FnMut(u64) -> f64>;

fn main() {
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("This is a part of `python3 benches/compare/compare.py`.");
        return;
    }
    let mut workers: HashMap<(String, usize, bool), Worker> = HashMap::new();
    for line in std::io::stdin().lines() {
        let request: Request = serde_json::from_str(&line.unwrap()).unwrap();
        let key = (request.name.clone(), request.threads, request.products);
        let worker = workers.entry(key).or_insert_with(|| worker(&request));
        let began = Instant::now();
        let loss = worker(request.steps);
        let seconds = began.elapsed().as_secs_f64();
        println!("{}", serde_json::json!({"seconds": seconds, "loss": loss}));
        std::io::stdout().flush().unwrap();
    }
}

fn worker(request: &Request) -> Worker {
    let par = match request.threads {
        1 => Par::Seq,
        threads => Par::rayon(threads),
    };
    match (request.products, request.double) {
        (true, true) => products::<f64>(&request.work, par),
        (true, false) => products::<f32>(&request.work, par),
        (false, true) => steps(request.work.run::<f64>(par)),
        (false, false) => steps(request.work.run::<f32>(par)),
    }
}

fn steps<T: Scalar>(mut run: Run<T>) -> Worker {
    Box::new(move |steps| {
        let mut left = steps;
        let _ = run.advance(|_| {
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        run.last_loss()
    })
}

/// z = h Wᵀ, dW = dzᵀ h, dh = dz W, for every layer but the last product of the first.
fn products<T: Scalar>(work: &Work, par: Par) -> Worker {
    let m = work.rows;
    let filled = |count: usize| vec![T::from_f64(0.01); count];
    let mut layers: Vec<_> = work
        .sizes
        .windows(2)
        .map(|pair| {
            let (k, n) = (pair[0], pair[1]);
            (
                k,
                n,
                filled(m * k),
                filled(n * k),
                filled(m * n),
                filled(n * k),
                filled(m * k),
            )
        })
        .collect();
    Box::new(move |steps| {
        for _ in 0..steps {
            for (index, (k, n, h, w, z, dw, dh)) in layers.iter_mut().enumerate() {
                let (k, n) = (*k, *n);
                let h = MatRef::from_row_major_slice(h, m, k);
                let w = MatRef::from_row_major_slice(w, n, k);
                let one = T::ONE;
                let out = MatMut::from_row_major_slice_mut(z, m, n);
                matmul(out, Accum::Replace, h, w.transpose(), one, par);
                let dz = MatRef::from_row_major_slice(z, m, n);
                let out = MatMut::from_row_major_slice_mut(dw, n, k);
                matmul(out, Accum::Replace, dz.transpose(), h, one, par);
                if index > 0 {
                    let out = MatMut::from_row_major_slice_mut(dh, m, k);
                    matmul(out, Accum::Replace, dz, w, one, par);
                }
            }
        }
        0.0
    })
}
