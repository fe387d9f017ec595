//! A run whose reader hears of every step, against the same steps in a process of their own.

use std::ops::ControlFlow;
use std::time::Instant;

use backpropd::nn::Scalar;
use backpropd::rpc::pb;
use backpropd::training::Advance;
use faer::Par;
use pb::train_batch_response::Event;
use serde_json::{Value, json};

use crate::fixture::{Training, create};
use crate::median;
use crate::requests::{connect, spec, train};
use crate::workload::Work;

#[derive(serde::Deserialize)]
pub struct Stream {
    address: String,
    steps: usize,
    rounds: usize,
    double: bool,
    #[serde(flatten)]
    work: Work,
}

impl Stream {
    /// In process with one thread and with two, of which the faster counts; they and the stream take turns.
    pub async fn measure(self) -> Value {
        let dtype = if self.double {
            pb::Dtype::Float64
        } else {
            pb::Dtype::Float32
        };
        let mut client = Training::new(connect(&self.address).await);
        let model = create(&mut client, spec(&self.work, dtype), 1).await;
        let request = pb::TrainBatchRequest {
            durability: pb::Durability::Relaxed.into(),
            ..train(&self.work, dtype, &model.name, self.steps)
        };
        let mut took = [const { Vec::new() }; 4];
        let mut heard = usize::MAX;
        for round in 0..=self.rounds {
            let began = Instant::now();
            let (metrics, computed) = read(&mut client, request.clone()).await;
            let streamed = began.elapsed().as_secs_f64();
            heard = heard.min(metrics);
            let alone = [Par::Seq, Par::rayon(2)].map(|par| match self.double {
                true => in_process::<f64>(&self.work, self.steps, par),
                false => in_process::<f32>(&self.work, self.steps, par),
            });
            if round > 0 {
                let times = [streamed, computed, alone[0], alone[1]];
                took.iter_mut()
                    .zip(times)
                    .for_each(|(took, time)| took.push(time));
            }
        }
        let [streamed, computed, one, two] = took.each_mut().map(|took| median(took));
        json!({
            "streamed_s": streamed,
            "computed_s": computed,
            "one_thread_s": one,
            "two_threads_s": two,
            "metrics": heard,
        })
    }
}

/// How many steps' metrics came, and the seconds that the server says it has trained for.
async fn read(client: &mut Training, request: pb::TrainBatchRequest) -> (usize, f64) {
    let mut stream = client.train_batch(request).await.unwrap().into_inner();
    let (mut heard, mut computed) = (0, None);
    while let Some(message) = stream.message().await.unwrap() {
        match message.event {
            Some(Event::Progress(progress)) => heard += progress.steps.len(),
            Some(Event::Completed(end)) => computed = end.timings.unwrap().computed,
            Some(Event::Started(_) | Event::HeldOut(_)) | None => {}
        }
    }
    let computed = computed.expect("a run ends with what it took");
    let seconds = computed.seconds as f64 + f64::from(computed.nanos) / 1e9;
    (heard, seconds)
}

/// Seconds.
fn in_process<T: Scalar>(work: &Work, steps: usize, par: Par) -> f64 {
    let mut run = work.run::<T>(par);
    let mut left = steps;
    let began = Instant::now();
    let end = run.advance(|_| {
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!(end, Advance::Paused);
    began.elapsed().as_secs_f64()
}
