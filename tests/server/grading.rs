//! GradingService over real sockets.

use std::collections::HashMap;
use std::fs;

use backpropd::grade::GradeReport;
use backpropd::rpc::pb;
use backpropd::server::{HostError, ServeError, serve};
use pb::grading_service_client::GradingServiceClient;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::Channel;

use super::fixture::{self, Server, get, homework, homework_parameters, refusals_of_steps, tensor};

type Gradings = GradingServiceClient<Channel>;

async fn gradings(server: &Server) -> Gradings {
    GradingServiceClient::new(server.channel().await)
}

fn request(answers: &[(&str, &str)], reveal: pb::Reveal) -> pb::GradeFormulasRequest {
    let answers = answers
        .iter()
        .map(|(id, answer)| ((*id).to_owned(), (*answer).to_owned()));
    pb::GradeFormulasRequest {
        assignment: "hw-backprop".to_owned(),
        answers: answers.collect::<HashMap<_, _>>(),
        reveal: reveal.into(),
        ..Default::default()
    }
}

fn question<'r>(report: &'r pb::GradeReport, id: &str) -> &'r pb::QuestionReport {
    report
        .questions
        .iter()
        .find(|question| question.id == id)
        .unwrap()
}

#[tokio::test]
async fn the_homework_is_listed_and_shown_without_its_solutions() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let listed = client
        .list_assignments(pb::ListAssignmentsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let [homework] = &listed.assignments[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (
            homework.id.as_str(),
            homework.question_count,
            homework.max_score
        ),
        ("hw-backprop", 25, 50.0)
    );
    let asked = pb::GetAssignmentRequest {
        assignment: homework.id.clone(),
    };
    let shown = client.get_assignment(asked).await.unwrap().into_inner();
    assert_eq!(shown.units, [4, 3, 2, 1]);
    let shape = |id: &str| {
        shown
            .questions
            .iter()
            .find(|question| question.id == id)
            .unwrap()
            .shape
            .clone()
    };
    assert_eq!(
        (shape("1.11"), shape("2.5"), shape("1.10")),
        ("2 × 3".into(), "m × 2".into(), "1 × 1".into())
    );
    assert!(!format!("{shown:?}").contains("odot"), "no solution shows");
}

#[tokio::test]
async fn answers_are_judged_and_mistakes_named() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let answers = [
        ("1.1", r"\delta h^2_{1,1}"),
        ("1.11", r"\delta W^{3\top} h^1"),
        ("1.3", r"\delta \frac{h^2"),
        ("9.9", "x"),
    ];
    let reply = client
        .grade_formulas(request(&answers, pb::Reveal::Mistake))
        .await
        .unwrap()
        .into_inner();
    let report = reply.report.unwrap();
    assert_eq!((report.score, report.max_score), (3.0, 50.0));
    assert_eq!(report.unknown_answers, ["9.9"]);
    assert_eq!(question(&report, "1.1").verdict(), pb::Verdict::Correct);
    let wrong = question(&report, "1.11");
    assert_eq!(
        (wrong.verdict(), wrong.mistake(), wrong.points),
        (pb::Verdict::Incorrect, pb::Mistake::MissingMask, 1.0)
    );
    assert_eq!(wrong.understood_plain, "(delta * W3.T) @ h1");
    let broken = question(&report, "1.3");
    assert_eq!(
        (broken.verdict(), broken.mistake()),
        (pb::Verdict::Invalid, pb::Mistake::SyntaxError)
    );
    assert_eq!(broken.span_start, Some(16));
    assert!(report.receipt.starts_with("v2-"));
}

#[tokio::test]
async fn the_right_formula_is_told_only_where_the_server_allows_it() {
    let answers = [("1.5", r"\delta W^{3\top}")];
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let refused = client
        .grade_formulas(request(&answers, pb::Reveal::Reference))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let hinted = client
        .grade_formulas(request(&answers, pb::Reveal::Hints))
        .await
        .unwrap()
        .into_inner()
        .report
        .unwrap();
    assert!(
        !question(&hinted, "1.5").hints.is_empty() && question(&hinted, "1.5").reference.is_empty()
    );
    let silent = client
        .grade_formulas(request(&answers, pb::Reveal::Verdict))
        .await
        .unwrap()
        .into_inner()
        .report
        .unwrap();
    assert_eq!(question(&silent, "1.5").mistake(), pb::Mistake::Unspecified);

    let open = Server::with(|config| config.reveal_limit = "reference".to_owned()).await;
    let mut client = gradings(&open).await;
    let told = client
        .grade_formulas(request(&answers, pb::Reveal::Reference))
        .await
        .unwrap()
        .into_inner()
        .report
        .unwrap();
    assert_eq!(question(&told, "1.5").reference, r"\delta W^{3}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_an_error_and_says_so() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let unknown = pb::GradeFormulasRequest {
        assignment: "nothing".to_owned(),
        ..request(&[], pb::Reveal::Mistake)
    };
    assert_eq!(
        client.grade_formulas(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
    let many: Vec<String> = (0..300).map(|at| at.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "0")).collect();
    let refused = client
        .grade_formulas(request(&many, pb::Reveal::Mistake))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_folder_adds_assignments_and_a_broken_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let own = r#"
        id = "small"
        title = "A line"
        [network]
        input_size = 2
        layers = [{ units = 1, activation = "linear", bias = true }]
        loss = "mean_squared_error"
        [[questions]]
        id = "a"
        part = "One"
        prompt = "dW"
        points = 3
        batch = "many"
        of = 'l'
        wrt = 'W^1'
        solution = '\frac{2}{m} (f - y)^\top x'
    "#;
    fs::write(folder.path().join("small.toml"), own).unwrap();
    let path = folder.path().display().to_string();
    let server = Server::with(|config| config.assignments.clone_from(&path)).await;
    let mut client = gradings(&server).await;
    let asked = pb::GradeFormulasRequest {
        assignment: "small".to_owned(),
        ..request(&[("a", r"2 (f - y)^T x / m")], pb::Reveal::Mistake)
    };
    assert_eq!(
        client
            .grade_formulas(asked)
            .await
            .unwrap()
            .into_inner()
            .report
            .unwrap()
            .score,
        3.0
    );

    fs::write(
        folder.path().join("small.toml"),
        own.replace(r"\frac{2}{m}", r"\frac{1}{m}"),
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = backpropd::config::Config {
        assignments: path,
        ..Default::default()
    };
    let error = serve(listener, config, async {}).await.unwrap_err();
    assert!(
        matches!(error, ServeError::Host(HostError::Grading(_))),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("small.toml")
            && text.contains("question a: the solution is not the derivative"),
        "{text}"
    );
}

#[tokio::test]
async fn a_compare_only_model_shows_no_number_and_takes_none() {
    let server = Server::start().await;
    let session = pb::CreateSessionRequest {
        session_id: "exam".to_owned(),
        access: pb::Access::CompareOnly.into(),
        ..Default::default()
    };
    let mut sessions = server.sessions().await;
    let made = sessions.create_session(session).await.unwrap();
    assert_eq!(
        made.into_inner().session.unwrap().access(),
        pb::Access::CompareOnly
    );
    let mut training = server.training().await;
    let create = pb::CreateModelRequest {
        session: "sessions/exam".to_owned(),
        model_id: "hw".to_owned(),
        spec: Some(homework()),
        ..Default::default()
    };
    let model = training
        .create_model(create)
        .await
        .unwrap()
        .into_inner()
        .model
        .unwrap();
    assert_eq!(model.access(), pb::Access::CompareOnly);

    let (inputs, targets) = (
        tensor([1, 4], &[1.0, 2.0, 3.0, 4.0]),
        tensor([1, 1], &[1.0]),
    );
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.name.clone())),
        inputs: Some(inputs.clone()),
        targets: Some(targets.clone()),
        ..Default::default()
    };
    let predict = pb::PredictRequest {
        target: Some(pb::predict_request::Target::Model(model.name.clone())),
        inputs: Some(inputs.clone()),
        ..Default::default()
    };
    let train = pb::TrainBatchRequest {
        model: model.name.clone(),
        inputs: Some(inputs.clone()),
        targets: Some(targets.clone()),
        ..Default::default()
    };
    let check = pb::CheckGradientsRequest {
        target: Some(pb::check_gradients_request::Target::Model(
            model.name.clone(),
        )),
        inputs: Some(inputs),
        targets: Some(targets),
        ..Default::default()
    };
    let parameters = pb::GetParametersRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let replace = pb::SetParametersRequest {
        model: model.name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let watch = pb::WatchModelRequest {
        model: model.name.clone(),
        ..Default::default()
    };
    let refusals = [
        training.gradients(gradients).await.unwrap_err(),
        training.predict(predict).await.unwrap_err(),
        training.train_batch(train).await.unwrap_err(),
        training.check_gradients(check).await.unwrap_err(),
        training.explain(explain(&model)).await.unwrap_err(),
        training.evaluate(evaluate(&model)).await.unwrap_err(),
        training.get_parameters(parameters).await.unwrap_err(),
        training.set_parameters(replace).await.unwrap_err(),
        training.watch_model(watch).await.unwrap_err(),
    ];
    let steps = refusals_of_steps(&mut training, &model.name).await;
    for refusal in refusals.into_iter().chain(steps) {
        assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
    }
    get(&mut training, &model.name).await.unwrap();
}

#[tokio::test]
async fn a_compare_only_server_refuses_networks_sent_along_too() {
    let server = Server::with(|config| config.compare_only = true).await;
    let inline = pb::InlineModel {
        spec: Some(homework()),
        parameters: homework_parameters(),
    };
    let gradients = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Inline(Box::new(inline))),
        inputs: Some(tensor([1, 4], &[1.0, 2.0, 3.0, 4.0])),
        targets: Some(tensor([1, 1], &[1.0])),
        ..Default::default()
    };
    let refused = server
        .training()
        .await
        .gradients(gradients)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

fn graded_gradients(model: &str, submitted: Vec<pb::NamedTensor>) -> pb::GradeGradientsRequest {
    pb::GradeGradientsRequest {
        target: Some(pb::grade_gradients_request::Target::Model(model.to_owned())),
        inputs: Some(tensor([2, 4], &[1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 1.0, 2.0])),
        targets: Some(tensor([2, 1], &[1.0, -1.0])),
        submitted,
        ..Default::default()
    }
}

#[tokio::test]
async fn gradients_that_code_computed_are_graded_against_a_model_that_shows_none() {
    let server = Server::start().await;
    let mut training = server.training().await;
    let mut create = pb::CreateModelRequest {
        model_id: "open".to_owned(),
        session: "sessions/lab".to_owned(),
        spec: Some(homework()),
        parameters: homework_parameters(),
        ..Default::default()
    };
    let session = pb::CreateSessionRequest {
        session_id: "lab".to_owned(),
        ..Default::default()
    };
    server
        .sessions()
        .await
        .create_session(session)
        .await
        .unwrap();
    training.create_model(create.clone()).await.unwrap();
    let asked = graded_gradients("", Vec::new());
    create.model_id = "closed".to_owned();
    create.access = pb::Access::CompareOnly.into();
    create.compare = Some(pb::CompareTerms {
        inputs: asked.inputs.clone(),
        targets: asked.targets.clone(),
        ..Default::default()
    });
    training.create_model(create).await.unwrap();
    let right = pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(
            "sessions/lab/models/open".to_owned(),
        )),
        inputs: asked.inputs,
        targets: asked.targets,
        include: vec![pb::Quantity::DW.into(), pb::Quantity::Delta.into()],
        ..Default::default()
    };
    let mut tensors = training
        .gradients(right)
        .await
        .unwrap()
        .into_inner()
        .tensors;

    let mut client = gradings(&server).await;
    let closed = "sessions/lab/models/closed";
    let reply = client
        .grade_gradients(graded_gradients(closed, tensors.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.verdict(), pb::Verdict::Correct, "{reply:?}");

    // The second layer's gradient negated, the third's with a NaN, the first's empty.
    let values =
        |tensor: &mut pb::NamedTensor| std::mem::take(&mut tensor.tensor.as_mut().unwrap().values);
    let negated = values(&mut tensors[1])
        .into_iter()
        .map(|value| -value)
        .collect();
    tensors[1].tensor.as_mut().unwrap().values = negated;
    tensors[2].tensor.as_mut().unwrap().values[0] = f64::NAN;
    values(&mut tensors[0]);
    tensors[0].tensor.as_mut().unwrap().shape = vec![0, 4];
    let reply = client
        .grade_gradients(graded_gradients(closed, tensors))
        .await
        .unwrap()
        .into_inner();
    let judged: Vec<_> = reply
        .tensors
        .iter()
        .map(|tensor| (tensor.verdict(), tensor.mistake()))
        .collect();
    assert_eq!(
        judged[0],
        (pb::Verdict::Incorrect, pb::Mistake::ShapeMismatch)
    );
    assert_eq!(
        judged[1],
        (pb::Verdict::Incorrect, pb::Mistake::SignFlipped)
    );
    assert_eq!(judged[2].0, pb::Verdict::Incorrect);
    assert_eq!(judged[3].0, pb::Verdict::Correct);
    assert_eq!(reply.verdict(), pb::Verdict::Incorrect);
}

#[tokio::test]
async fn submitted_tensors_that_name_nothing_are_errors_all_at_once() {
    let server = Server::start().await;
    let mut request = graded_gradients(
        "",
        vec![
            pb::NamedTensor::default(),
            pb::NamedTensor {
                quantity: pb::Quantity::DW.into(),
                layer: -1,
                tensor: None,
            },
        ],
    );
    let inline = pb::InlineModel {
        spec: Some(homework()),
        parameters: homework_parameters(),
    };
    request.target = Some(pb::grade_gradients_request::Target::Inline(inline));
    let refused = gradings(&server)
        .await
        .grade_gradients(request.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for field in ["submitted[0].quantity", "submitted[1].layer"] {
        assert!(refused.message().contains(field), "{refused}");
    }
    request.submitted = vec![pb::NamedTensor {
        quantity: pb::Quantity::DB.into(),
        layer: 7,
        tensor: None,
    }];
    let refused = gradings(&server)
        .await
        .grade_gradients(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("submitted[0].layer"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_grades_on_a_server_as_it_does_alone() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let submission = folder.path().join("ada.json");
    std::fs::write(
        &submission,
        r#"{"answers": {"1.1": "\\delta h^2_{1,1}", "1.11": "\\delta W^3 h^1", "1.12": "("}}"#,
    )
    .expect("written");
    let url = format!("http://{}", server.address);
    let mut reports = Vec::new();
    for (name, more) in [("alone", vec![]), ("served", vec!["--server", &url])] {
        let out = folder.path().join(name);
        let mut arguments: Vec<std::ffi::OsString> = vec!["backpropd".into(), "grade".into()];
        arguments.push(submission.clone().into());
        arguments.extend(["--format", "json", "--out"].map(Into::into));
        arguments.push(out.clone().into());
        arguments.extend(more.into_iter().map(Into::into));
        // The command brings a runtime of its own.
        let code = tokio::task::spawn_blocking(|| backpropd::cli::run(arguments));
        let code = code.await.expect("it returns");
        assert_eq!(code, std::process::ExitCode::SUCCESS);
        let text = std::fs::read_to_string(out).expect("a report");
        let report: GradeReport = serde_json::from_str(&text).expect("a report");
        reports.push(report);
    }
    let [alone, mut served] = <[_; 2]>::try_from(reports).expect("two");
    // Without a secret nothing is signed, and nothing but the answers is in the report.
    assert!(alone.receipt.is_none() && served.receipt.take().is_some());
    assert_eq!(served.student.take().as_deref(), Some("ada"));
    assert!(served.graded_at.take().is_some_and(|at| at > 1_700_000_000));
    assert_eq!(alone, served);
}

#[tokio::test]
async fn rows_of_a_thousand_factors_get_verdicts_and_the_server_lives() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    let rows = [
        " ",
        r" \odot ",
        " / ",
        " @ ",
        " + ",
        " - ",
        r" \odot m ",
        " = ",
        "_1 ",
        "' ",
    ];
    let mut texts: Vec<String> = rows
        .iter()
        .map(|between| vec!["m"; 1000].join(between))
        .collect();
    for suffix in ["'", r"^\top", "^2", "_1", ".dot(m)", ".T"] {
        texts.push(format!("m{}", suffix.repeat(1000)));
    }
    for open in [
        "(",
        r"\frac{",
        "-",
        r"\sqrt{",
        r"\sum_{q=1}^{m} ",
        r"\begin{bmatrix}",
    ] {
        texts.push(open.repeat(500));
    }
    texts.push(format!(
        r"\begin{{bmatrix}} {} \end{{bmatrix}}",
        vec!["m"; 1000].join(" & ")
    ));
    for text in &texts {
        let shown = &text[..text.len().min(20)];
        let answers = ["1.3", "1.11", "2.7"].map(|id| (id, text.as_str()));
        let reply = client
            .grade_formulas(request(&answers, pb::Reveal::Mistake))
            .await;
        let report = reply.expect(shown).into_inner().report.unwrap();
        for (id, _) in answers {
            let judged = question(&report, id);
            assert_ne!(judged.verdict(), pb::Verdict::Unspecified, "{shown}");
            assert_ne!(judged.verdict(), pb::Verdict::Correct, "{shown}");
        }
    }
    let checked = health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await;
    let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
    assert_eq!(checked.unwrap().into_inner().status(), serving);
}

fn explain(model: &pb::Model) -> pb::ExplainRequest {
    pb::ExplainRequest {
        target: Some(pb::explain_request::Target::Model(model.name.clone())),
        inputs: Some(fixture::inputs()),
        targets: Some(fixture::targets()),
        quantity: pb::Quantity::Delta.into(),
        row: 1,
        ..Default::default()
    }
}

fn evaluate(model: &pb::Model) -> pb::EvaluateRequest {
    pb::EvaluateRequest {
        target: Some(pb::evaluate_request::Target::Model(model.name.clone())),
        inputs: Some(fixture::inputs()),
        targets: Some(fixture::targets()),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_preview_says_how_answers_were_read_and_not_what_is_thought_of_them() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let answers = [
        ("1.1", r"\delta h^2_{1,1}"),
        ("1.11", r"\delta W^{3\top} h^1"),
        ("1.3", r"\delta \frac{h^2"),
    ];
    let asked = pb::GradeFormulasRequest {
        preview: true,
        student: "ada".to_owned(),
        ..request(&answers, pb::Reveal::Hints)
    };
    let reply = client.grade_formulas(asked).await.unwrap().into_inner();
    let report = reply.report.unwrap();
    assert_eq!(report.questions.len(), answers.len());
    assert_eq!((report.score, report.max_score), (0.0, 0.0));
    assert_eq!((report.receipt.as_str(), report.student.as_str()), ("", ""));
    for (id, is_readable) in [("1.1", true), ("1.11", true), ("1.3", false)] {
        let read = question(&report, id);
        assert_eq!(read.understood_latex.is_empty(), !is_readable, "{read:?}");
        let verdict = if is_readable {
            pb::Verdict::Unspecified
        } else {
            pb::Verdict::Invalid
        };
        assert_eq!(read.verdict(), verdict, "{read:?}");
        assert_eq!(read.message.is_empty(), is_readable, "{read:?}");
        assert_eq!(read.span_start.is_none(), is_readable, "{read:?}");
        assert_eq!(read.mistake(), pb::Mistake::Unspecified, "{read:?}");
        assert!(read.hints.is_empty() && read.grid.is_none() && read.note.is_empty());
        assert_eq!((read.points, read.max_points), (0.0, 0.0));
    }
    let counted = statistics(&mut client, "hw-backprop").await;
    assert_eq!(counted.total, Some(pb::AnswerCounts::default()));
}

async fn statistics(client: &mut Gradings, id: &str) -> pb::GetGradingStatisticsResponse {
    let assignment = id.to_owned();
    let asked = pb::GetGradingStatisticsRequest { assignment };
    let reply = client.get_grading_statistics(asked).await;
    reply.expect("statistics").into_inner()
}

#[tokio::test]
async fn a_class_is_counted_by_question_whatever_students_may_see() {
    let server = Server::start().await;
    let mut client = gradings(&server).await;
    let before = statistics(&mut client, "hw-backprop").await;
    assert_eq!(before.total, Some(pb::AnswerCounts::default()));
    let since = before.since.expect("a time");
    assert!(since.seconds > 1_600_000_000, "{since:?}");
    let missing_mask = ("1.11", r"\delta W^{3\top} h^1");
    for answers in [
        &[("1.1", r"\delta h^2_{1,1}"), missing_mask][..],
        &[missing_mask, ("1.3", r"\delta \frac{h^2")],
        &[("9.9", "1")],
    ] {
        let asked = request(answers, pb::Reveal::Verdict);
        client.grade_formulas(asked).await.expect("graded");
    }
    let after = statistics(&mut client, "hw-backprop").await;
    assert_eq!(after.questions.len(), before.questions.len());
    let of = |id: &str| {
        let found = after.questions.iter().find(|question| question.id == id);
        let counts = found.and_then(|question| question.counts.clone());
        counts.unwrap_or_else(|| panic!("{id} is missing"))
    };
    assert_eq!(of("1.1").correct, 1);
    let (wrong, unreadable) = (of("1.11"), of("1.3"));
    assert_eq!(
        (wrong.incorrect + wrong.partial, unreadable.invalid),
        (2, 1)
    );
    assert_eq!(wrong.mistakes.len(), 1);
    assert_eq!(wrong.mistakes[0].answers, 2);
    assert_ne!(wrong.mistakes[0].mistake(), pb::Mistake::Unspecified);
    assert_eq!(of("1.2"), pb::AnswerCounts::default());
    let total = after.total.clone().expect("a total");
    assert_eq!(
        total.correct + total.partial + total.incorrect + total.invalid,
        4
    );
    assert_eq!(total.mistakes[0], wrong.mistakes[0]);
    let unknown = pb::GetGradingStatisticsRequest {
        assignment: "none".to_owned(),
    };
    let refused = client.get_grading_statistics(unknown).await;
    assert_eq!(refused.expect_err("there is none").code(), Code::NotFound);
}
