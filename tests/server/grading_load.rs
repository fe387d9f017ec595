//! What grading costs, and that the cost is its caller's.

use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use pb::grading_service_client::GradingServiceClient;
use pb::server_service_client::ServerServiceClient;
use tonic::{Code, Request, Status};

use super::fixture::{
    Server, bad_fields, create_homework, homework, homework_parameters, inputs, layer, numbers,
    refused, run, targets, tensor, train,
};

fn homework_inline() -> pb::grade_gradients_request::Target {
    pb::grade_gradients_request::Target::Inline(pb::InlineModel {
        spec: Some(homework()),
        parameters: homework_parameters(),
    })
}

fn attempt(submitted: Vec<pb::NamedTensor>) -> pb::GradeGradientsRequest {
    pb::GradeGradientsRequest {
        target: Some(homework_inline()),
        inputs: Some(inputs()),
        targets: Some(targets()),
        submitted,
        ..Default::default()
    }
}

fn gradient(layer: i32, shape: [i32; 2], values: &[f64]) -> pb::NamedTensor {
    pb::NamedTensor {
        quantity: pb::Quantity::DW.into(),
        layer,
        tensor: Some(tensor(shape, values)),
    }
}

async fn grade(
    server: &Server,
    request: impl tonic::IntoRequest<pb::GradeGradientsRequest>,
) -> Result<pb::GradeGradientsResponse, Status> {
    let mut client = GradingServiceClient::new(server.channel().await);
    Ok(client.grade_gradients(request).await?.into_inner())
}

#[tokio::test]
async fn a_layer_has_one_tensor_of_a_quantity_and_every_other_is_named() {
    let server = Server::start().await;
    let one = gradient(1, [1, 1], &[1.0]);
    let mut other = gradient(2, [1, 1], &[1.0]);
    other.quantity = pb::Quantity::DZ.into();
    let refusal = grade(
        &server,
        attempt(vec![one.clone(), other.clone(), one.clone(), other, one]),
    )
    .await
    .unwrap_err();
    assert_eq!(
        bad_fields(&refusal),
        ["submitted[2]", "submitted[3]", "submitted[4]"]
    );
    for place in [
        "submitted[2]: given dW1, as submitted[0]",
        "submitted[3]: given dz2, as submitted[1]",
    ] {
        assert!(refusal.message().contains(place), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tensors_without_end_are_refused_by_their_number_and_hold_up_nobody() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut info = ServerServiceClient::new(server.channel().await);
    let flood = |at: i32| gradient(1 + at % 3, [1, 1], &[f64::from(at)]);
    let request = attempt((0..49_900).map(flood).collect());
    let mut client = GradingServiceClient::new(server.channel().await);
    let asked = tokio::spawn(async move { client.grade_gradients(request).await });
    let mut slowest = Duration::ZERO;
    while !asked.is_finished() {
        let began = Instant::now();
        let question = pb::GetServerInfoRequest::default();
        info.get_server_info(question).await.unwrap();
        slowest = slowest.max(began.elapsed());
    }
    let refusal = asked.await.unwrap().unwrap_err();
    assert_eq!(bad_fields(&refusal), ["submitted"]);
    assert!(refusal.message().contains("49900 tensors"), "{refusal}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// Other lists whose length a client chooses.
#[tokio::test]
async fn lists_that_cannot_be_meant_are_refused_by_their_length() {
    let server = Server::start().await;
    let mut many_axes = gradient(1, [1, 1], &[1.0]);
    many_axes.tensor.as_mut().unwrap().shape = vec![1; 100_000];
    let refusal = grade(&server, attempt(vec![many_axes])).await.unwrap_err();
    assert_eq!(bad_fields(&refusal), ["submitted[0].tensor.shape"]);
    let asked = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Inline(Box::new(
            pb::InlineModel {
                spec: Some(homework()),
                parameters: homework_parameters(),
            },
        ))),
        inputs: Some(inputs()),
        targets: Some(targets()),
        include: vec![pb::Quantity::DW.into(); 1_000_000],
        ..Default::default()
    };
    let refusal = server.training().await.gradients(asked).await.unwrap_err();
    assert_eq!(bad_fields(&refusal), ["include"]);
    let mut client = GradingServiceClient::new(server.channel().await);
    let asked = pb::GradeFormulasRequest {
        assignment: "hw-backprop".to_owned(),
        answers: [("x".repeat(1_000_000), "1".to_owned())].into(),
        ..Default::default()
    };
    let refusal = client.grade_formulas(asked).await.unwrap_err();
    assert_eq!(bad_fields(&refusal), ["answers"]);
}

/// A network of as much work as is graded, and gradients that every mistake is tried on.
fn costly() -> pb::GradeGradientsRequest {
    let layers = [64, 64, 64, 64, 64, 1].map(|units| layer(units, pb::Activation::Tanh, false));
    let spec = pb::ModelSpec {
        input_size: 64,
        layers: layers.to_vec(),
        ..Default::default()
    };
    let parameters = [64, 64, 64, 64, 64, 1]
        .iter()
        .map(|&units| pb::LayerParameters {
            weights: Some(tensor([units, 64], &numbers(64 * units as usize, 3))),
            bias: None,
        });
    let rows = 100;
    pb::GradeGradientsRequest {
        target: Some(pb::grade_gradients_request::Target::Inline(
            pb::InlineModel {
                spec: Some(spec),
                parameters: parameters.collect(),
            },
        )),
        inputs: Some(tensor([rows, 64], &numbers(6400, 5))),
        targets: Some(tensor([rows, 1], &numbers(100, 7))),
        submitted: (1..=5)
            .map(|i| gradient(i, [64, 64], &numbers(4096, i as u64)))
            .collect(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_another_session_does_not_wait_for_a_costly_grading() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut training = server.training().await;
    let model = create_homework(&mut training).await;
    let mut client = GradingServiceClient::new(server.channel().await);
    let mut costly_client = client.clone();
    let graded = tokio::spawn(async move { costly_client.grade_gradients(costly()).await });
    // Something of it is under way as soon as another grading has been done in between.
    client
        .grade_gradients(attempt(vec![gradient(1, [1, 1], &[1.0])]))
        .await
        .unwrap();
    let mut done = 0;
    while !graded.is_finished() && done < 20 {
        run(&mut training, train(&model, 1))
            .await
            .unwrap()
            .completed();
        done += 1;
    }
    assert!(done > 2, "steps were taken beside the grading: {done}");
    let reply = graded.await.unwrap().unwrap().into_inner();
    assert_eq!(reply.tensors.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grading_ends_with_its_deadline_and_leaves_the_core() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut training = server.training().await;
    let model = create_homework(&mut training).await;
    let began = Instant::now();
    grade(&server, costly()).await.unwrap();
    let whole = began.elapsed();
    let mut request = Request::new(costly());
    request.set_timeout(whole / 10);
    let refusal = grade(&server, request).await.unwrap_err();
    // The client's own clock may be faster than the server's.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&refusal.code()), "{refusal}");
    let began = Instant::now();
    run(&mut training, train(&model, 1))
        .await
        .unwrap()
        .completed();
    let step = began.elapsed();
    assert!(step < whole / 2, "{step:?} after a grading of {whole:?}");
}

#[tokio::test]
async fn what_was_submitted_counts_for_the_cost() {
    let server = Server::with(|config| config.max_graded_flops = 1_000_000).await;
    let large = gradient(1, [500, 200], &numbers(100_000, 1));
    let refusal = grade(&server, attempt(vec![large])).await.unwrap_err();
    refused(&refusal, Code::ResourceExhausted, "TOO_MUCH_TO_GRADE");
    let small = gradient(1, [50, 20], &numbers(1000, 1));
    grade(&server, attempt(vec![small])).await.unwrap();
}

/// Wrong answers that every change of is tried: a sum of many products, for every question.
fn costly_answers() -> pb::GradeFormulasRequest {
    let terms = [r"\delta (W^3 \odot (z^2 \geq 0))^\top h^1"; 12];
    let answer = terms.join(" - ");
    let ids = (1..=16).map(|at| format!("1.{at}"));
    let ids = ids.chain((1..=9).map(|at| format!("2.{at}")));
    pb::GradeFormulasRequest {
        assignment: "hw-backprop".to_owned(),
        answers: ids.map(|id| (id, answer.clone())).collect(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_another_session_does_not_wait_for_costly_answers() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut training = server.training().await;
    let model = create_homework(&mut training).await;
    let mut client = GradingServiceClient::new(server.channel().await);
    let began = Instant::now();
    let whole = {
        let mut client = client.clone();
        tokio::spawn(async move { client.grade_formulas(costly_answers()).await })
    };
    let mut slowest = Duration::ZERO;
    let mut done = 0;
    while !whole.is_finished() {
        let began = Instant::now();
        run(&mut training, train(&model, 1))
            .await
            .unwrap()
            .completed();
        slowest = slowest.max(began.elapsed());
        done += 1;
    }
    let reply = whole.await.unwrap().unwrap().into_inner();
    let whole = began.elapsed();
    assert!(reply.report.unwrap().score < 50.0);
    assert!(
        done > 2 && slowest < whole / 2,
        "{done} steps, {slowest:?} of {whole:?}"
    );

    // A caller that has left costs nothing more.
    let mut request = Request::new(costly_answers());
    request.set_timeout(whole / 10);
    let refusal = client.grade_formulas(request).await.unwrap_err();
    // The client's own clock may be faster than the server's.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&refusal.code()), "{refusal}");
    let began = Instant::now();
    run(&mut training, train(&model, 1))
        .await
        .unwrap()
        .completed();
    assert!(
        began.elapsed() < whole / 2,
        "{:?} of {whole:?}",
        began.elapsed()
    );
}
