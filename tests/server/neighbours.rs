//! What one client does does not keep another from its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backpropd::rpc::pb;
use tokio::task::JoinSet;
use tonic::Code;

use crate::fixture::{
    Server, Training, create, create_homework, fact, homework, layer, refused, run, tensor, train,
};

/// 16-1536-1536-1 in FLOAT32: a sample takes five million operations.
fn large() -> pb::ModelSpec {
    let layers = [1536, 1536, 1].map(|units| layer(units, pb::Activation::Relu, false));
    pb::ModelSpec {
        input_size: 16,
        layers: layers.to_vec(),
        compute: pb::Dtype::Float32.into(),
        ..homework()
    }
}

fn rows(count: i32) -> pb::Tensor {
    tensor([count, 16], &vec![0.5; 16 * count as usize])
}

fn predict(model: &pb::Model, count: i32) -> pb::PredictRequest {
    pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name.clone())),
        inputs: Some(rows(count)),
        ..Default::default()
    }
}

fn train_long(model: &pb::Model, count: i32) -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        inputs: Some(rows(count)),
        targets: Some(tensor([count, 1], &vec![1.0; count as usize])),
        ..train(model, 1)
    }
}

/// Runs of one step that another client gets done until the first of these calls ends.
async fn steps_beside(client: &mut Training, mut calls: JoinSet<()>) -> usize {
    let model = create_homework(client).await;
    let done = AtomicUsize::new(0);
    let steps = async {
        loop {
            run(client, train(&model, 1)).await.expect("it trains");
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = steps => {}
        first = calls.join_next() => first.expect("one").expect("answered"),
    }
    done.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_calls_give_their_threads_back_long_before_they_are_done() {
    let server = Arc::new(Server::start().await);
    let mut greedy = server.training().await;
    let model = create(&mut greedy, large(), 1).await;
    let mut other = server.training().await;

    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let (mut client, request) = (greedy.clone(), predict(&model, 6000));
        calls.spawn(async move {
            client.predict(request).await.expect("it predicts");
        });
    }
    let steps = steps_beside(&mut other, calls).await;
    assert!(steps >= 10, "{steps} steps beside Predict");

    // First all of them: creating one takes longer than a run in a build that optimises the engine alone.
    let mut models = Vec::new();
    for _ in 0..3 {
        models.push(create(&mut greedy, large(), 1).await);
    }
    let mut calls = JoinSet::new();
    for model in models {
        let (mut client, request) = (greedy.clone(), train_long(&model, 2000));
        calls.spawn(async move {
            run(&mut client, request).await.expect("it trains");
        });
    }
    let steps = steps_beside(&mut other, calls).await;
    assert!(steps >= 10, "{steps} steps beside long steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_step_whose_caller_leaves_is_not_taken_and_frees_its_thread() {
    let server = Server::with(|config| config.threads = 1).await;
    let mut client = server.training().await;
    let model = create(&mut client, large(), 1).await;
    // Many seconds of one core.
    let mut stream = client
        .train_batch(train_long(&model, 20_000))
        .await
        .expect("a good request")
        .into_inner();
    crate::fixture::begin(&mut stream).await;
    drop(stream);
    let homework = create_homework(&mut client).await;
    run(&mut client, train(&homework, 1))
        .await
        .expect("the thread is free");
    crate::fixture::until(async || {
        let now = crate::fixture::now(&mut client, &model).await;
        assert_eq!(now.step, 0);
        !now.training
    })
    .await;
}

#[tokio::test]
async fn a_call_of_too_much_work_is_refused_with_what_it_takes() {
    let server = Server::with(|config| config.max_call_flops = 1_000_000_000).await;
    let mut client = server.training().await;
    let model = create(&mut client, large(), 1).await;
    client.predict(predict(&model, 10)).await.expect("little");
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(rows(300)),
        targets: Some(tensor([300, 1], &[1.0; 300])),
        include: vec![pb::Quantity::LossPerSample.into()],
        ..Default::default()
    };
    let check = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(rows(1)),
        targets: Some(tensor([1, 1], &[1.0])),
        max_entries_per_tensor: 1000,
        ..Default::default()
    };
    let refusals = [
        client.predict(predict(&model, 300)).await.err(),
        client.gradients(gradients).await.err(),
        client.check_gradients(check).await.err(),
        run(&mut client, train_long(&model, 300)).await.err(),
    ];
    for refusal in refusals {
        let refusal = refusal.expect("too much");
        refused(&refusal, Code::ResourceExhausted, "QUOTA");
        assert_eq!(fact(&refusal, "setting"), "max_call_flops");
        assert!(refusal.message().contains("fewer rows"), "{refusal:?}");
    }
    let minibatches = pb::TrainBatchRequest {
        minibatch_size: 10,
        ..train_long(&model, 300)
    };
    run(&mut client, minibatches).await.expect("step by step");
}
