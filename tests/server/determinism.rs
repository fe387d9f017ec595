//! The same spec, seed and requests make the same bits, whatever the threads and whichever the server.

use backpropd::rpc::pb;

use crate::fixture::{Server, create, layer, numbers, run, tensor};

/// A classifier with a batch for it.
struct Case {
    input_size: i32,
    layers: &'static [i32],
    rows: i32,
    steps: i32,
    compute: pb::Dtype,
}

impl Case {
    fn spec(&self) -> pb::ModelSpec {
        let layers = self.layers.iter();
        pb::ModelSpec {
            input_size: self.input_size,
            layers: layers
                .map(|&units| layer(units, pb::Activation::Unspecified, true))
                .collect(),
            loss: pb::Loss::CrossEntropy.into(),
            compute: self.compute.into(),
            optimizer: Some(pb::model_spec::Optimizer::Adam(pb::Adam::default())),
            ..Default::default()
        }
    }

    /// The digest after training on a server of `threads` threads.
    async fn digest(&self, threads: usize) -> String {
        let server = Server::with(|config| config.threads = threads).await;
        let mut client = server.training().await;
        let model = create(&mut client, self.spec(), 42).await;
        let entries = (self.rows * self.input_size) as usize;
        let classes = self.layers.last().expect("a layer");
        let request = pb::TrainBatchRequest {
            model: model.name.clone(),
            inputs: Some(tensor([self.rows, self.input_size], &numbers(entries, 1))),
            labels: (0..self.rows).map(|row| row % classes).collect(),
            steps: self.steps,
            minibatch_size: self.rows - 1,
            shuffle_seed: Some(9),
            ..Default::default()
        };
        let told = run(&mut client, request).await.expect("a good request");
        assert_eq!(told.completed().step, i64::from(self.steps));
        assert_ne!(told.completed().weights_digest, model.weights_digest);
        told.completed().weights_digest.clone()
    }

    async fn check(&self) {
        let one = self.digest(1).await;
        assert_eq!(one, self.digest(2).await, "two threads");
        assert_eq!(one, self.digest(1).await, "another server");
    }
}

#[tokio::test]
async fn a_small_model_has_the_same_bits_after_200_steps_anywhere() {
    for compute in [pb::Dtype::Float32, pb::Dtype::Float64] {
        let case = Case {
            input_size: 4,
            layers: &[8, 3],
            rows: 12,
            steps: 200,
            compute,
        };
        case.check().await;
    }
}

#[tokio::test]
async fn products_that_are_shared_between_threads_have_the_same_bits() {
    // 256 × 256 × 512 multiplications and as many additions: far above what is worth sharing.
    let case = Case {
        input_size: 256,
        layers: &[512, 256, 10],
        rows: 256,
        steps: 4,
        compute: pb::Dtype::Float32,
    };
    case.check().await;
}

#[tokio::test]
async fn another_seed_makes_other_weights() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut spec = crate::fixture::homework();
    let one = create(&mut client, spec.clone(), 1).await;
    let same = create(&mut client, spec.clone(), 1).await;
    let other = create(&mut client, spec.clone(), -1).await;
    assert_eq!(one.weights_digest, same.weights_digest);
    assert_ne!(one.weights_digest, other.weights_digest);
    spec.layers[0].units += 1;
    let wider = create(&mut client, spec, 1).await;
    assert_ne!(one.weights_digest, wider.weights_digest);
}
