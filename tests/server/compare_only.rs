//! COMPARE_ONLY: what a caller who may only compare can find out, and how often it may try.

use backpropd::config::Config;
use backpropd::rpc::pb;
use pb::grading_service_client::GradingServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::fixture::{
    Server, bad_fields, create_session, fact, get, homework, homework_parameters, inputs, layer,
    refused, targets, tensor,
};

type Gradings = GradingServiceClient<Channel>;

const CLOSED: &str = "sessions/exam/models/closed";
const OPEN: &str = "sessions/lab/models/open";

async fn gradings(server: &Server) -> Gradings {
    GradingServiceClient::new(server.channel().await)
}

/// The homework with a bias in its last layer, so that one gradient has a single entry.
fn spec() -> pb::ModelSpec {
    let mut spec = homework();
    spec.layers[2] = layer(1, pb::Activation::Unspecified, true);
    spec
}

fn creation(name: &str) -> pb::CreateModelRequest {
    let (session, id) = name.split_once("/models/").unwrap();
    pb::CreateModelRequest {
        session: session.to_owned(),
        model_id: id.to_owned(),
        spec: Some(spec()),
        parameters: parameters(),
        ..Default::default()
    }
}

fn parameters() -> Vec<pb::LayerParameters> {
    let mut parameters = homework_parameters();
    parameters[2].bias = Some(pb::Tensor {
        shape: vec![1],
        values: vec![0.3],
        ..Default::default()
    });
    parameters
}

/// The same network, drawn from a seed.
fn seeded(request: pb::CreateModelRequest) -> pb::CreateModelRequest {
    pb::CreateModelRequest {
        parameters: Vec::new(),
        seed: 1234,
        ..request
    }
}

fn terms() -> pb::CompareTerms {
    pb::CompareTerms {
        inputs: Some(inputs()),
        targets: Some(targets()),
        ..Default::default()
    }
}

fn closed(name: &str) -> pb::CreateModelRequest {
    pb::CreateModelRequest {
        access: pb::Access::CompareOnly.into(),
        compare: Some(terms()),
        ..creation(name)
    }
}

/// An exam's model, and one with the same weights that shows them.
async fn exam(server: &Server) {
    exam_with(server, |request| request).await;
}

async fn exam_with(
    server: &Server,
    change: impl Fn(pb::CreateModelRequest) -> pb::CreateModelRequest,
) {
    for session in ["exam", "lab"] {
        create_session(server, session).await.unwrap();
    }
    let mut training = server.training().await;
    for request in [closed(CLOSED), creation(OPEN)] {
        training.create_model(change(request)).await.unwrap();
    }
}

/// The right gradients, which the attacker of these tests does not have.
async fn right(server: &Server) -> Vec<pb::NamedTensor> {
    let request = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(OPEN.to_owned())),
        inputs: Some(inputs()),
        targets: Some(targets()),
        include: [pb::Quantity::DW, pb::Quantity::DB, pb::Quantity::Delta]
            .map(Into::into)
            .to_vec(),
        ..Default::default()
    };
    let reply = server.training().await.gradients(request).await.unwrap();
    reply.into_inner().tensors
}

fn attempt(submitted: Vec<pb::NamedTensor>) -> pb::GradeGradientsRequest {
    pb::GradeGradientsRequest {
        target: Some(pb::grade_gradients_request::Target::Model(
            CLOSED.to_owned(),
        )),
        inputs: Some(inputs()),
        targets: Some(targets()),
        submitted,
        ..Default::default()
    }
}

fn scaled(tensors: &[pb::NamedTensor], factor: f64) -> Vec<pb::NamedTensor> {
    let mut scaled = tensors.to_vec();
    for tensor in &mut scaled {
        let values = &mut tensor.tensor.as_mut().unwrap().values;
        values.iter_mut().for_each(|value| *value *= factor);
    }
    scaled
}

async fn grade(
    client: &mut Gradings,
    request: pb::GradeGradientsRequest,
) -> Result<pb::GradeGradientsResponse, Status> {
    let reply = client.grade_gradients(request).await?;
    Ok(reply.into_inner())
}

#[tokio::test]
async fn a_reply_is_right_within_one_percent_or_wrong_and_nothing_else() {
    let server = Server::with(|config| config.max_compare_tries_per_session = 1000).await;
    exam(&server).await;
    let right = right(&server).await;
    let mut client = gradings(&server).await;
    let reply = grade(&mut client, attempt(right.clone())).await.unwrap();
    assert_eq!(reply.verdict(), pb::Verdict::Correct, "{reply:?}");

    let near = grade(&mut client, attempt(scaled(&right, 1.004)))
        .await
        .unwrap();
    for tensor in &near.tensors {
        let entries = match (tensor.quantity(), tensor.layer) {
            (pb::Quantity::DW, 1) => 12,
            (pb::Quantity::DW, 2) => 6,
            _ => 2,
        };
        let expected = if entries < 4 {
            pb::Closeness::Wrong
        } else {
            pb::Closeness::WithinOnePercent
        };
        assert_eq!(tensor.closeness(), expected, "{tensor:?}");
    }

    // However far off, and in whichever entries: the same reply.
    let mut off = Vec::new();
    for factor in [1.05, 1.5, 30.0, -7.0, 1e12] {
        off.push(scaled(&right, factor));
    }
    for entry in 0..12 {
        let mut one = right.clone();
        one[0].tensor.as_mut().unwrap().values[entry] += 1.0;
        off.push(scaled(&one, 3.3));
    }
    let mut replies = Vec::new();
    for submitted in off {
        let mut reply = grade(&mut client, attempt(submitted)).await.unwrap();
        assert!(reply.tries_left.take().is_some());
        replies.push(reply);
    }
    for reply in &replies {
        assert_eq!(*reply, replies[0]);
        for tensor in &reply.tensors {
            assert_eq!(tensor.closeness(), pb::Closeness::Wrong);
            assert!(tensor.worst.is_empty() && tensor.grid.is_none());
            assert!(tensor.largest_absolute_error.is_none());
            assert!(tensor.largest_relative_error.is_none());
        }
    }
}

/// The search that found 35 entries to 1e-12 in 117 calls when errors were told: move one entry and follow the error.
#[tokio::test]
async fn a_search_for_an_entry_is_told_nothing_to_follow() {
    let server = Server::with(|config| config.max_compare_tries_per_session = 200).await;
    exam(&server).await;
    let right = right(&server).await;
    let mut client = gradings(&server).await;
    // The attacker knows all but one entry, and where it lies to a tenth: more than any attacker does.
    let truth = right[0].tensor.as_ref().unwrap().values[8];
    let (mut low, mut high) = (truth - 0.5, truth + 0.7);
    let mut answers = std::collections::HashSet::new();
    let refusal = loop {
        let middle = f64::midpoint(low, high);
        let mut submitted = vec![right[0].clone()];
        submitted[0].tensor.as_mut().unwrap().values[8] = middle;
        match grade(&mut client, attempt(submitted)).await {
            Ok(mut reply) => {
                reply.tries_left = None;
                answers.insert(format!("{reply:?}"));
                // With one bit of "wrong" there is no side to choose: take the lower half, as good as any.
                if (middle - truth).abs() > 0.02 {
                    high = middle;
                } else {
                    low = middle;
                }
                if high - low < 1e-9 {
                    (low, high) = (truth - 0.5, truth + 0.7);
                }
            }
            Err(refusal) => break refusal,
        }
    };
    assert!(answers.len() <= 3, "{answers:?}");
    refused(&refusal, Code::ResourceExhausted, "QUOTA");
    assert_eq!(fact(&refusal, "setting"), "max_compare_tries_per_session");
    assert!(refusal.message().contains("session"), "{refusal}");
}

#[tokio::test]
async fn batch_and_tolerance_are_the_makers() {
    let server = Server::start().await;
    exam(&server).await;
    let right = right(&server).await;
    let mut client = gradings(&server).await;
    let own = attempt(right);
    let mut other_batch = own.clone();
    other_batch.inputs = Some(tensor(
        [2, 4],
        &[1.0, 2.0, 3.0, 4.0, 0.5, -1.0, 1.5, 2.500_1],
    ));
    let mut other_targets = own.clone();
    other_targets.targets = Some(tensor([2, 1], &[1e9, -0.5]));
    let mut fewer = own.clone();
    fewer.inputs = Some(tensor([1, 4], &[1.0, 2.0, 3.0, 4.0]));
    fewer.targets = Some(tensor([1, 1], &[1.0]));
    let attempts = [
        (other_batch, "inputs"),
        (other_targets, "inputs"),
        (fewer, "inputs"),
        (
            pb::GradeGradientsRequest {
                relative_tolerance: Some(0.5),
                ..own.clone()
            },
            "relative_tolerance",
        ),
        (
            pb::GradeGradientsRequest {
                tolerance: pb::TolerancePreset::FiniteDifference.into(),
                ..own.clone()
            },
            "tolerance",
        ),
        (
            pb::GradeGradientsRequest {
                learning_rate: Some(1e6),
                ..own.clone()
            },
            "learning_rate",
        ),
        (
            pb::GradeGradientsRequest {
                dataset_size: 17,
                ..own.clone()
            },
            "dataset_size",
        ),
    ];
    for (attempt, field) in attempts {
        let refusal = grade(&mut client, attempt).await.unwrap_err();
        assert_eq!(bad_fields(&refusal), [field]);
    }
    // A refusal is no try; the same batch in single precision is the same batch; the fixed tolerance may be named.
    let raw = |tensor: pb::Tensor| pb::Tensor {
        raw: tensor
            .values
            .iter()
            .flat_map(|&value| (value as f32).to_le_bytes())
            .collect::<Vec<u8>>()
            .into(),
        values: Vec::new(),
        dtype: pb::Dtype::Float32.into(),
        ..tensor
    };
    let mut single = own.clone();
    single.inputs = single.inputs.map(raw);
    single.tolerance = pb::TolerancePreset::Exact.into();
    let reply = grade(&mut client, single).await.unwrap();
    assert_eq!(reply.verdict(), pb::Verdict::Correct);
    let limit = Config::default().max_compare_tries_per_session;
    assert_eq!(reply.tries_left, Some(i32::try_from(limit).unwrap() - 1));

    // Without a batch of its maker's, a model is not compared with.
    let mut bare = closed("sessions/exam/models/bare");
    bare.compare = None;
    server.training().await.create_model(bare).await.unwrap();
    let mut asked = own;
    asked.target = Some(pb::grade_gradients_request::Target::Model(
        "sessions/exam/models/bare".to_owned(),
    ));
    let refusal = grade(&mut client, asked).await.unwrap_err();
    refused(&refusal, Code::FailedPrecondition, "COMPARE_ONLY");
    assert!(refusal.message().contains("compare.inputs"), "{refusal}");
    let mut bad = closed("sessions/exam/models/bad");
    bad.compare.as_mut().unwrap().inputs = Some(tensor([1, 3], &[1.0; 3]));
    let refusal = server.training().await.create_model(bad).await.unwrap_err();
    assert!(
        bad_fields(&refusal)
            .iter()
            .all(|field| field.starts_with("compare."))
    );
}

#[tokio::test]
async fn tries_are_counted_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let few = |config: &mut Config| config.max_compare_tries_per_session = 3;
    let server = Server::on(&folder, few).await;
    exam(&server).await;
    let right = right(&server).await;
    let mut client = gradings(&server).await;
    for left in [2, 1] {
        let reply = grade(&mut client, attempt(right.clone())).await.unwrap();
        assert_eq!(reply.tries_left, Some(left));
    }
    server.shut_down().await.unwrap().unwrap();
    let server = Server::on(&folder, few).await;
    let mut client = gradings(&server).await;
    let reply = grade(&mut client, attempt(right.clone())).await.unwrap();
    assert_eq!(
        (reply.tries_left, reply.verdict()),
        (Some(0), pb::Verdict::Correct)
    );
    let refusal = grade(&mut client, attempt(right)).await.unwrap_err();
    refused(&refusal, Code::ResourceExhausted, "QUOTA");
}

/// The search that found 1,649 seeds in 0.2 s: compare the model's digest with those of guesses.
#[tokio::test]
async fn a_seed_is_not_found_by_comparing_digests() {
    let server = Server::start().await;
    exam_with(&server, seeded).await;
    let mut training = server.training().await;
    let mut client = gradings(&server).await;
    let target = get(&mut training, CLOSED).await.unwrap().weights_digest;
    let again = get(&mut training, CLOSED).await.unwrap().weights_digest;
    assert_eq!(target, again, "it changes with the weights alone");
    let listed = pb::ListModelsRequest {
        session: "sessions/exam".to_owned(),
        ..Default::default()
    };
    let listed = training.list_models(listed).await.unwrap().into_inner();
    assert_eq!(listed.models[0].weights_digest, target);
    let graded = grade(&mut client, attempt(right(&server).await))
        .await
        .unwrap();
    assert_eq!(graded.weights_digest, target);

    let open = get(&mut training, OPEN).await.unwrap().weights_digest;
    let mut seen = vec![open];
    // The right seed among the guesses, in every way that a guess can be made.
    for seed in [1233, 1234, 1235] {
        for access in [pb::Access::Full, pb::Access::CompareOnly] {
            for validate_only in [true, false] {
                let id = format!("guess-{seed}-{}-{validate_only}", access as i32);
                let guess = pb::CreateModelRequest {
                    model_id: id,
                    seed,
                    access: access.into(),
                    validate_only,
                    ..seeded(closed("sessions/lab/models/x"))
                };
                let guessed = training.create_model(guess).await.unwrap().into_inner();
                seen.push(guessed.model.unwrap().weights_digest);
            }
        }
    }
    // In the place of the model itself, whose digest is remembered.
    let name = CLOSED.to_owned();
    let delete = pb::DeleteModelRequest { name };
    training.delete_model(delete).await.unwrap();
    let made = training
        .create_model(seeded(closed(CLOSED)))
        .await
        .unwrap()
        .into_inner();
    seen.push(made.model.unwrap().weights_digest);
    assert!(!seen.contains(&target), "{target} {seen:?}");
}

#[tokio::test]
async fn a_request_sent_again_to_guess_a_seed_counts_as_a_try() {
    let server = Server::with(|config| config.max_compare_tries_per_session = 2).await;
    create_session(&server, "exam").await.unwrap();
    let mut training = server.training().await;
    let mut asked = seeded(closed(CLOSED));
    asked.request_id = "make".to_owned();
    training.create_model(asked.clone()).await.unwrap();
    for seed in [1, 2] {
        asked.seed = seed;
        let refusal = training.create_model(asked.clone()).await.unwrap_err();
        refused(&refusal, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    asked.seed = 1234;
    let refusal = training.create_model(asked).await.unwrap_err();
    refused(&refusal, Code::ResourceExhausted, "QUOTA");
}

#[tokio::test]
async fn a_server_that_only_compares_closes_what_was_open_and_networks_sent_along() {
    let folder = TempDir::new().unwrap();
    let server = Server::on(&folder, |_| ()).await;
    exam(&server).await;
    let right = right(&server).await;
    server.shut_down().await.unwrap().unwrap();

    let server = Server::on(&folder, |config| {
        config.compare_only = true;
        config.max_compare_tries_per_session = 2;
    })
    .await;
    let mut training = server.training().await;
    let shown = get(&mut training, OPEN).await.unwrap();
    assert_eq!(shown.access(), pb::Access::CompareOnly);
    let asked = pb::GetParametersRequest {
        model: OPEN.to_owned(),
        ..Default::default()
    };
    let refusal = training.get_parameters(asked).await.unwrap_err();
    refused(&refusal, Code::PermissionDenied, "COMPARE_ONLY");

    let inline = pb::InlineModel {
        spec: Some(homework()),
        parameters: homework_parameters(),
    };
    let mut asked = attempt(scaled(&right[..3], 1.5));
    asked.target = Some(pb::grade_gradients_request::Target::Inline(inline));
    let mut client = gradings(&server).await;
    let mut tuned = asked.clone();
    tuned.relative_tolerance = Some(0.25);
    let refusal = grade(&mut client, tuned).await.unwrap_err();
    assert_eq!(bad_fields(&refusal), ["relative_tolerance"]);
    for left in [1, 0] {
        let reply = grade(&mut client, asked.clone()).await.unwrap();
        assert_eq!(reply.tries_left, Some(left));
        assert!(
            reply
                .tensors
                .iter()
                .all(|tensor| { tensor.largest_absolute_error.is_none() && tensor.grid.is_none() })
        );
    }
    // Another connection of the same address has no tries of its own.
    let refusal = grade(&mut gradings(&server).await, asked)
        .await
        .unwrap_err();
    refused(&refusal, Code::ResourceExhausted, "QUOTA");
}
