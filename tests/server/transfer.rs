//! A model as a file: out of one server and into another, and files that are no models.

use std::sync::Arc;

use backpropd::config::Config;
use backpropd::nn::State;
use backpropd::rpc::pb;
use backpropd::training::snapshot::{DecodedModel, Rules, decode, encode};
use backpropd::training::{Committed, Outcome, RequestId, Revision};
use bytes::Bytes;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::fixture::{
    Server, Training, bad_fields, create, fact, get, homework, homework_with_adam, layer, next,
    now, refused, run, train, wide,
};

async fn export(client: &mut Training, model: &pb::Model) -> Vec<u8> {
    let name = model.name.clone();
    let reply = client.export_model(pb::ExportModelRequest { name }).await;
    let mut pieces = reply.expect("it is there").into_inner();
    let mut file = Vec::new();
    while let Some(piece) = next(&mut pieces).await.expect("the whole file") {
        file.extend_from_slice(&piece.data);
    }
    file
}

/// Sends a file in two pieces.
async fn import(
    client: &mut Training,
    first: pb::ImportModelRequest,
    file: &[u8],
) -> Result<pb::Model, Status> {
    let (head, tail) = file.split_at(file.len() / 2);
    let piece = |data: &[u8]| Bytes::copy_from_slice(data);
    let messages = [
        pb::ImportModelRequest {
            data: piece(head),
            ..first
        },
        pb::ImportModelRequest {
            data: piece(tail),
            ..Default::default()
        },
    ];
    let reply = client.import_model(tokio_stream::iter(messages)).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

#[tokio::test]
async fn a_model_goes_on_elsewhere_as_if_it_had_never_moved() {
    let here = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let there = Server::on(&folder, |_| ()).await;
    let (mut client, mut other) = (here.training().await, there.training().await);
    let model = create(&mut client, homework_with_adam(), 7).await;
    let asked = pb::TrainBatchRequest {
        request_id: "five steps".to_owned(),
        ..train(&model, 5)
    };
    run(&mut client, asked.clone()).await.expect("it trains");

    let file = export(&mut client, &model).await;
    let moved = import(&mut other, Default::default(), &file).await;
    let moved = moved.expect("a good file");
    let left = now(&mut client, &model).await;
    assert_eq!(moved.weights_digest, left.weights_digest);
    assert_eq!((moved.step, moved.durable_step), (5, Some(5)));
    assert_eq!(moved.spec, left.spec);

    // The optimizer moved along, and so did what was asked before.
    for steps in [3, 4] {
        run(&mut client, train(&model, steps))
            .await
            .expect("it trains");
        run(&mut other, train(&moved, steps))
            .await
            .expect("it trains");
    }
    let again = pb::TrainBatchRequest {
        model: moved.name.clone(),
        ..asked
    };
    let again = run(&mut other, again).await.expect("it is answered");
    assert!(again.started.replayed);
    let (left, moved) = (
        now(&mut client, &model).await,
        now(&mut other, &moved).await,
    );
    assert_eq!(moved.weights_digest, left.weights_digest);
}

#[tokio::test]
async fn an_import_that_is_repeated_makes_one_model() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let file = export(&mut client, &model).await;
    let session = model.name.split("/models/").next().expect("a session");
    let first = pb::ImportModelRequest {
        session: session.to_owned(),
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let made = import(&mut client, first.clone(), &file).await;
    let again = import(&mut client, first.clone(), &file).await;
    assert_eq!(made.expect("made").name, again.expect("answered").name);
    let taken = pb::ImportModelRequest {
        model_id: model.name.rsplit('/').next().expect("an id").to_owned(),
        request_id: String::new(),
        ..first
    };
    let taken = import(&mut client, taken, &file).await;
    refused(
        &taken.expect_err("taken"),
        Code::AlreadyExists,
        "ALREADY_EXISTS",
    );
}

#[tokio::test]
async fn a_file_of_the_first_format_is_read_for_ever() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let file = include_bytes!("../goldens/homework.safetensors");
    let model = import(&mut client, Default::default(), file).await;
    let same = create(&mut client, homework(), 1).await;
    assert_eq!(
        model.expect("a good file").weights_digest,
        same.weights_digest
    );
}

/// The same file under a checksum that fits.
fn signed(mut file: Vec<u8>) -> Vec<u8> {
    let covered = file.len() - blake3::OUT_LEN;
    let checksum = blake3::hash(&file[..covered]);
    file[covered..].copy_from_slice(checksum.as_bytes());
    file
}

/// Replaces a text of the header by another of the same length.
fn forged(file: &[u8], text: &str, by: &str) -> Vec<u8> {
    assert_eq!(text.len(), by.len());
    let at = file.windows(text.len()).position(|w| w == text.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{text} is in the header"));
    let mut file = file.to_vec();
    file[at..at + by.len()].copy_from_slice(by.as_bytes());
    signed(file)
}

#[tokio::test]
async fn files_that_are_no_models_are_refused_and_the_server_goes_on() {
    let server = Server::with(|config| config.max_import_bytes = 64 << 10).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let steps = pb::TrainBatchRequest {
        request_id: "one step".to_owned(),
        ..train(&model, 1)
    };
    run(&mut client, steps).await.expect("it trains");
    let file = export(&mut client, &model).await;
    let half = file.len() / 2;
    let mut flipped = file.clone();
    flipped[half] ^= 1;
    // JSON in JSON: the quotes of the inner one are escaped.
    let bad: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("a half", file[..half].to_vec()),
        ("a flipped bit", flipped),
        ("anything", vec![7; 5_000]),
        (
            "a step of the future",
            forged(&file, r#"\"steps_done\":1"#, r#"\"steps_done\":9"#),
        ),
        (
            "updates without steps",
            forged(&file, r#"\"updates\":1"#, r#"\"updates\":9"#),
        ),
        (
            "another format",
            forged(&file, r#"\"version\":1"#, r#"\"version\":2"#),
        ),
    ];
    for (what, bytes) in bad {
        let refusal = import(&mut client, Default::default(), &bytes).await;
        let refusal = refusal.expect_err(what);
        assert_eq!(bad_fields(&refusal), ["data"], "{what}");
    }
    let wide = create(&mut client, wide(), 1).await;
    let large = export(&mut client, &wide).await;
    let large = import(&mut client, Default::default(), &large).await;
    refused(
        &large.expect_err("too large"),
        Code::ResourceExhausted,
        "QUOTA",
    );
    let names = pb::ImportModelRequest {
        session: "nowhere".to_owned(),
        model_id: "Not An Id".to_owned(),
        request_id: "x".repeat(129),
        ..Default::default()
    };
    let refusal = import(&mut client, names, &file)
        .await
        .expect_err("bad names");
    assert_eq!(bad_fields(&refusal), ["session", "model_id", "request_id"]);
    get(&mut client, &model.name)
        .await
        .expect("it is still there");
}

#[tokio::test]
async fn a_sender_who_stops_is_cut_off_and_a_model_for_grading_is_not_exported() {
    let server = Server::with(|config| config.stall_seconds = 1).await;
    let mut client = server.training().await;
    let refusal = client.import_model(tokio_stream::pending()).await;
    refused(
        &refusal.expect_err("nothing came"),
        Code::DeadlineExceeded,
        "DEADLINE",
    );
    let request = pb::CreateModelRequest {
        spec: Some(homework()),
        access: pb::Access::CompareOnly.into(),
        ..Default::default()
    };
    let reply = client.create_model(request).await.expect("made");
    let name = reply.into_inner().model.expect("a model").name;
    let refusal = client.export_model(pb::ExportModelRequest { name }).await;
    refused(
        &refusal.expect_err("its weights tell its gradients"),
        Code::PermissionDenied,
        "COMPARE_ONLY",
    );
}

/// The file of this model after `change`, made by the program's own code.
fn rewritten(file: &[u8], change: impl Fn(&mut Revision<f64>)) -> Vec<u8> {
    let (restored, about) = decode(file, &Rules::own(64)).expect("a good file");
    let DecodedModel::F64(model) = restored else {
        panic!("the type has changed")
    };
    let mut revision = model.revision();
    change(&mut revision);
    encode(model.spec(), &revision, &about).expect("it can be written")
}

/// The model's state with other numbers, at another step.
fn committed(
    revision: &Revision<f64>,
    step: u64,
    change: impl Fn(&mut State<f64>),
) -> Arc<Committed<f64>> {
    let mut state = revision.committed.state.clone();
    change(&mut state);
    Arc::new(Committed::new(state, step))
}

#[tokio::test]
async fn a_file_passes_what_a_request_passes() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    run(&mut client, train(&model, 2)).await.expect("it trains");
    let file = export(&mut client, &model).await;
    let request = |id: String| RequestId {
        id,
        fingerprint: [0; 32],
    };
    let interrupted = Outcome::Interrupted { steps_done: 0 };
    type Change<'a> = &'a dyn Fn(&mut Revision<f64>);
    let changes: [(&str, Change<'_>); 8] = [
        ("60 request ids of a megabyte", &|revision| {
            let ids = (0..60).map(|at| format!("{at}{}", "x".repeat(1 << 20)));
            revision.requests = ids.map(|id| (request(id), interrupted.clone())).collect();
        }),
        ("a request id of 129 bytes", &|revision| {
            revision.requests = vec![(request("x".repeat(129)), interrupted.clone())];
        }),
        ("65 requests", &|revision| {
            let ids = (0..65).map(|at| at.to_string());
            revision.requests = ids.map(|id| (request(id), interrupted.clone())).collect();
        }),
        ("a weight that is not a number", &|revision| {
            revision.committed = committed(revision, 2, |state| state.parameters[3] = f64::NAN);
        }),
        ("an infinite first moment", &|revision| {
            revision.committed = committed(revision, 2, |state| state.first[3] = f64::INFINITY);
        }),
        ("a negative second moment", &|revision| {
            revision.committed = committed(revision, 2, |state| state.second[3] = -1e-9);
        }),
        ("a step that no client can be told", &|revision| {
            revision.committed = committed(revision, 1 << 63, |_| ());
        }),
        ("more updates than steps", &|revision| {
            revision.committed = committed(revision, 2, |state| state.updates = 3);
        }),
    ];
    for (what, change) in changes {
        let file = rewritten(&file, change);
        let refusal = import(&mut client, Default::default(), &file).await;
        assert_eq!(bad_fields(&refusal.expect_err(what)), ["data"], "{what}");
    }
    let sound = rewritten(&file, |_| ());
    import(&mut client, Default::default(), &sound)
        .await
        .expect("as it was");

    let narrow = Server::with(|config| config.max_units = 2).await;
    let refusal = import(&mut narrow.training().await, Default::default(), &file).await;
    assert_eq!(bad_fields(&refusal.expect_err("3 units")), ["data"]);
}

#[tokio::test]
async fn what_an_import_holds_is_counted_and_is_the_model_and_a_few_pieces_of_its_file() {
    let spec = pb::ModelSpec {
        layers: [820, 820, 1]
            .map(|units| layer(units, pb::Activation::Relu, true))
            .to_vec(),
        ..homework_with_adam()
    };
    // 16 MB of state. Making the model takes room for its first file as well.
    let small = |config: &mut Config| {
        config.max_request_bytes = 2 << 20;
        config.max_workspace_bytes = 8 << 20;
        config.max_in_flight_bytes = 56 << 20;
    };
    let server = Server::with(small).await;
    let mut client = server.training().await;
    let model = create(&mut client, spec, 1).await;
    let file = export(&mut client, &model).await;
    assert!(file.len() > 14 << 20);
    let pieces = |file: &[u8]| {
        let pieces = file.chunks(1 << 20).map(|data| pb::ImportModelRequest {
            data: Bytes::copy_from_slice(data),
            ..Default::default()
        });
        tokio_stream::iter(pieces.collect::<Vec<_>>())
    };
    // A connection's share, 21 MB, has room for the model and for pieces on their way, and for no second copy.
    let narrow = Server::with(|config| {
        small(config);
        config.max_in_flight_bytes = 31 << 20;
    })
    .await;
    let mut importer = narrow.training().await;
    for _ in 0..3 {
        let reply = importer.import_model(pieces(&file)).await.expect("room");
        let copy = reply.into_inner().model.expect("a model");
        assert_eq!(copy.weights_digest, model.weights_digest);
    }
    let tight = Server::with(|config| {
        small(config);
        config.max_in_flight_bytes = 12 << 20;
    })
    .await;
    let refusal = tight.training().await.import_model(pieces(&file)).await;
    let refusal = refusal.expect_err("no room");
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert_eq!(fact(&refusal, "setting"), "max_in_flight_bytes");
}

/// The same file with its model at another step.
fn at_step(file: &[u8], step: u64) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a header");
    let length = usize::try_from(u64::from_le_bytes(*length)).expect("small");
    let header = std::str::from_utf8(&rest[..length]).expect("JSON");
    let mut header = header.replace(r#"\"step\":0"#, &format!(r#"\"step\":{step}"#));
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&rest[length..]);
    signed(changed)
}

#[tokio::test]
async fn training_ends_at_the_largest_step_which_a_restart_still_reads() {
    const LARGEST: i64 = 1 << 53;
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, homework(), 1).await;
    let fresh = export(&mut client, &model).await;
    let file = at_step(&fresh, LARGEST.cast_unsigned() - 1);
    let model = import(&mut client, Default::default(), &file).await;
    let model = model.expect("a good file");
    assert_eq!(model.step, LARGEST - 1);
    let beyond = run(&mut client, train(&model, 2)).await;
    refused(
        &beyond.expect_err("refused before it begins"),
        Code::FailedPrecondition,
        "STEP_LIMIT",
    );
    let last = run(&mut client, train(&model, 1)).await.expect("it begins");
    assert_eq!(last.completed().durable_step, Some(LARGEST));
    let beyond = run(&mut client, train(&model, 1)).await;
    assert!(beyond.is_err());
    let further = at_step(&fresh, LARGEST.cast_unsigned() + 1);
    let further = import(&mut client, Default::default(), &further).await;
    refused(
        &further.expect_err("no step above"),
        Code::InvalidArgument,
        "INVALID_REQUEST",
    );
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let read = get(&mut client, &model.name).await.expect("it is read");
    assert_eq!(read.step, LARGEST);
}
