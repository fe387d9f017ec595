//! Commits of a node to a bucket, beside bare conditional writes of the same bytes.

use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use backpropd_bucket::Connector;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, RetryConfig, UpdateVersion};
use serde_json::{Value, json};

use crate::fixture::{Training, create};
use crate::requests::{connect, spec, train};
use crate::workload::Work;

#[derive(serde::Deserialize)]
pub struct Puts {
    address: String,
    /// The bucket of the node at `address`, with nothing in it but what this command makes.
    bucket: String,
    rounds: usize,
    /// Of each kind, in a round.
    calls: usize,
    #[serde(flatten)]
    work: Work,
}

impl Puts {
    /// Durable TrainBatch calls of one step and bare writes, in turns.
    pub async fn measure(self) -> Value {
        let dtype = pb::Dtype::Float32;
        let mut client = Training::new(connect(&self.address).await);
        let model = create(&mut client, spec(&self.work, dtype), 1).await;
        let step = pb::TrainBatchRequest {
            durability: pb::Durability::Durable.into(),
            ..train(&self.work, dtype, &model.name, 1)
        };
        let store = store(&self.bucket);
        commit(&mut client, &step).await;
        let mut bare = Bare::copy(&store).await;
        let (mut commits, mut puts) = (Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            let (mut some_commits, mut some_puts) = (Vec::new(), Vec::new());
            for _ in 0..self.calls {
                some_commits.push(commit(&mut client, &step).await);
            }
            for _ in 0..self.calls {
                some_puts.push(bare.put(&store).await);
            }
            // The first round warms up.
            if round > 0 {
                commits.append(&mut some_commits);
                puts.append(&mut some_puts);
            }
        }
        json!({"bytes": bare.content.len(), "commit": percentiles(commits), "put": percentiles(puts)})
    }
}

/// From the environment, as the server's.
fn store(bucket: &str) -> AmazonS3 {
    let once = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_http_connector(Connector::new(Duration::from_secs(30)))
        .with_retry(once);
    builder.build().unwrap()
}

/// Seconds of a call with one step.
async fn commit(client: &mut Training, step: &pb::TrainBatchRequest) -> f64 {
    let began = Instant::now();
    let mut events = client.train_batch(step.clone()).await.unwrap().into_inner();
    while events.message().await.unwrap().is_some() {}
    began.elapsed().as_secs_f64()
}

/// A copy of the model's object.
struct Bare {
    path: Path,
    content: Bytes,
    version: UpdateVersion,
}

impl Bare {
    async fn copy(store: &AmazonS3) -> Self {
        let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
        let is_model = |path: &Path| path.as_ref().ends_with(".safetensors");
        let models = objects.iter().map(|object| &object.location);
        let models: Vec<_> = models.filter(|path| is_model(path)).collect();
        let [model] = models[..] else {
            panic!("one model, not {models:?}");
        };
        let content = store.get(model).await.unwrap().bytes().await.unwrap();
        let path = Path::from("bare");
        let written = store.put(&path, content.clone().into()).await.unwrap();
        Self {
            path,
            content,
            version: written.into(),
        }
    }

    /// Seconds of a write on the condition that nobody else has written.
    async fn put(&mut self, store: &AmazonS3) -> f64 {
        // An entity tag that is a hash has to change.
        let mut content = self.content.to_vec();
        let last = content.len() - 1;
        content[last] = content[last].wrapping_add(1);
        self.content = content.into();
        let began = Instant::now();
        let mode = PutMode::Update(self.version.clone());
        let content = self.content.clone().into();
        let written = store.put_opts(&self.path, content, mode.into()).await;
        let took = began.elapsed().as_secs_f64();
        self.version = written.unwrap().into();
        took
    }
}

fn percentiles(mut took: Vec<f64>) -> Value {
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(share * took.len() as f64) as usize] * 1e3;
    json!({"p50_ms": at(0.5), "p99_ms": at(0.99)})
}
