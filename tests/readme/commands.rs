//! What is trained by one command is used by the others.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Server, program};

/// A folder with data of three kinds of things, which their size and colour tell apart, and of a plane.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut things = "colour,size,kind\n".to_owned();
    let mut plane = "x,y,price\n".to_owned();
    for at in 0..240_u32 {
        let (kind, colour) = [("ant", "red"), ("bee", "blue"), ("cat", "blue")][at as usize % 3];
        let size = f64::from(at % 3) + f64::from(at * 37 % 100) / 250.0;
        writeln!(things, "{colour},{size},{kind}").expect("memory");
        let (x, y) = (f64::from(at * 29 % 97), f64::from(at * 53 % 89));
        writeln!(plane, "{x},{y},{}", 1000.0 + 3.0 * x - 5.0 * y).expect("memory");
    }
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
    write("things.csv", &things);
    write("plane.csv", &plane);
    write(
        "new.csv",
        "size,more,colour\n0.2,x,red\n2.3,y,blue\n1.1,z,blue\n",
    );
    folder
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).current_dir(folder);
    command.output().expect("it runs")
}

/// Runs a command that has to succeed, and returns its standard output.
fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let output = output(folder.path(), arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// The error of a command whose arguments or data are wrong.
fn refused(folder: &TempDir, arguments: &[&str]) -> String {
    let output = output(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_saved_model_predicts_and_is_measured_on_other_files_by_the_same_columns() {
    let folder = folder();
    let train = [
        "train",
        "--data",
        "things.csv",
        "--one-hot",
        "--layers",
        "16",
        "--save",
        "m.safetensors",
        "--json",
        "--quiet",
    ];
    let report = json(&run(&folder, &train));
    let predicted = run(&folder, &["predict", "m.safetensors", "--data", "new.csv"]);
    assert_eq!(predicted, "ant\ncat\nbee\n");
    let object = json(&run(
        &folder,
        &["predict", "m.safetensors", "--data", "new.csv", "--json"],
    ));
    assert_eq!(object["classes"], serde_json::json!(["ant", "cat", "bee"]));
    assert_eq!(object["outputs"][0].as_array().expect("a row").len(), 3);
    // Two of the three classes, in another order.
    let few = "kind,size,colour\ncat,2.1,blue\nant,0.1,red\ncat,2.2,blue\n";
    fs::write(folder.path().join("few.csv"), few).expect("writable");
    let measured = json(&run(
        &folder,
        &["evaluate", "m.safetensors", "--data", "few.csv", "--json"],
    ));
    assert_eq!(measured["accuracy"], 1.0);
    assert_eq!(
        measured["confusion"]["counts"],
        serde_json::json!([[1, 0, 0], [0, 0, 0], [0, 0, 2]])
    );
    assert_eq!(report["epochs"].as_array().expect("epochs").len(), 30);
    let error = refused(
        &folder,
        &["predict", "m.safetensors", "--data", "plane.csv"],
    );
    assert!(
        error.contains("column colour: given no such column"),
        "{error}"
    );
    fs::write(
        folder.path().join("dog.csv"),
        "kind,size,colour\ndog,2,red\nant,1,red\n",
    )
    .expect("writable");
    let error = refused(&folder, &["evaluate", "m.safetensors", "--data", "dog.csv"]);
    assert!(
        error.contains("the class \"dog\" is none of those"),
        "{error}"
    );
}

#[test]
fn a_regression_answers_in_the_units_of_the_data() {
    let folder = folder();
    let error = refused(&folder, &["train", "--data", "plane.csv"]);
    assert!(error.contains("did you mean --regression?"), "{error}");
    let train = [
        "train",
        "--data",
        "plane.csv",
        "--regression",
        "--save",
        "m.safetensors",
        "--quiet",
    ];
    run(&folder, &train);
    fs::write(folder.path().join("point.csv"), "10,20\n").expect("writable");
    let price = run(
        &folder,
        &["predict", "m.safetensors", "--data", "point.csv"],
    );
    let price: f64 = price.trim().parse().expect("a number");
    assert!((price - 930.0).abs() < 30.0, "{price}");
    let measured = json(&run(
        &folder,
        &["evaluate", "m.safetensors", "--data", "plane.csv", "--json"],
    ));
    assert!(measured["r2"].as_f64() > Some(0.98), "{measured}");
}

#[test]
fn a_training_is_continued_where_it_ended() {
    let folder = folder();
    let train = |more: &[&str]| {
        let common = [
            "train",
            "--data",
            "things.csv",
            "--one-hot",
            "--json",
            "--quiet",
        ];
        json(&run(&folder, &[&common, more].concat()))
    };
    let constant = ["--layers", "8", "--schedule", "constant"];
    let whole = train(&[&constant[..], &["--epochs", "4"]].concat());
    train(
        &[
            &constant[..],
            &["--epochs", "3", "--save", "part.safetensors"],
        ]
        .concat(),
    );
    let resumed = train(&["--epochs", "1", "--resume", "part.safetensors"]);
    assert_eq!(resumed["weights_digest"], whole["weights_digest"]);
    assert_eq!(resumed["steps"], whole["steps"]);
    // A rate that has decayed to 0 begins anew.
    train(&[
        "--layers",
        "8",
        "--epochs",
        "2",
        "--save",
        "ended.safetensors",
    ]);
    let more = train(&["--epochs", "2", "--resume", "ended.safetensors"]);
    let losses = |report: &Value| report["epochs"][1]["loss"].as_f64().expect("a loss");
    let first = train(&["--layers", "8", "--epochs", "2"]);
    assert!(losses(&more) < losses(&first), "{more}");
    let error = refused(
        &folder,
        &["train", "--resume", "part.safetensors", "--layers", "3"],
    );
    assert!(error.contains("cannot be used with"), "{error}");
    let error = refused(&folder, &["train", "--resume", "part.safetensors"]);
    assert!(error.contains("--resume: "), "{error}");
}

#[test]
fn patience_ends_a_training_with_its_best_weights() {
    let folder = folder();
    // With this rate nothing gets better.
    let train = [
        "train",
        "--data",
        "things.csv",
        "--one-hot",
        "--schedule",
        "constant",
        "--learning-rate",
        "1e-12",
        "--optimizer",
        "sgd",
        "--patience",
        "2",
        "--save",
        "m.safetensors",
        "--json",
        "--quiet",
    ];
    let report = json(&run(&folder, &train));
    assert_eq!(report["best_epoch"], 1);
    assert_eq!(report["epochs"].as_array().expect("epochs").len(), 3);
    let single = json(&run(
        &folder,
        &[&train[..10], &["--epochs", "1", "--json", "--quiet"]].concat(),
    ));
    assert_eq!(report["weights_digest"], single["weights_digest"]);
}

#[test]
fn files_are_converted_with_their_digest() {
    let folder = folder();
    let shown = json(&run(
        &folder,
        &["datasets", "show", "things.csv", "--one-hot", "--json"],
    ));
    assert_eq!(
        (&shown["rows"], &shown["features"]),
        (&240.into(), &3.into())
    );
    run(
        &folder,
        &[
            "datasets",
            "convert",
            "things.csv",
            "things.safetensors",
            "--one-hot",
        ],
    );
    let converted = json(&run(
        &folder,
        &["datasets", "show", "things.safetensors", "--json"],
    ));
    assert_eq!(converted, shown);
    let [text, raw] = ["things.csv", "things.safetensors"].map(|file| {
        let train = [
            "train",
            "--data",
            file,
            "--epochs",
            "2",
            "--json",
            "--quiet",
            "--one-hot",
        ];
        json(&run(&folder, &train))["weights_digest"].clone()
    });
    assert_eq!(text, raw);
}

/// Creates a dataset in the session `lab` of the server at `at`, lists and deletes it.
fn datasets_come_and_go(folder: &TempDir, at: &str) {
    let things = "sessions/lab/datasets/things";
    let create = [
        "datasets",
        "create",
        "things.csv",
        things,
        "--one-hot",
        "--json",
        "--server",
        at,
    ];
    let created = json(&run(folder, &create));
    let shown = ["datasets", "show", "things.csv", "--one-hot", "--json"];
    assert_eq!(created["digest"], json(&run(folder, &shown))["digest"]);
    let table = run(
        folder,
        &["datasets", "list", "sessions/lab", "--server", at],
    );
    assert!(
        table.contains(things) && table.contains("3 classes"),
        "{table}"
    );
    run(folder, &["datasets", "delete", things, "--server", at]);
    let shared = run(folder, &["datasets", "list", "--server", at]);
    assert!(shared.contains("datasets/digits"), "{shared}");
}

#[test]
fn a_model_that_stays_on_a_server_is_listed_and_deleted() {
    let folder = folder();
    let server = Server::start(|command, _| {
        command.args(["--listen", "localhost:0"]);
    });
    let at = server.address.as_str();
    let name = "sessions/lab/models/things";
    let train = [
        "train",
        "--data",
        "things.csv",
        "--one-hot",
        "--layers",
        "8",
        "--epochs",
        "2",
        "--quiet",
        "--server",
        at,
        "--name",
        name,
    ];
    run(&folder, &train);
    let model = json(&run(&folder, &["models", name, "--json", "--server", at]));
    assert_eq!(
        (&model[0]["name"], &model[0]["step"]),
        (&name.into(), &24.into())
    );
    let table = run(&folder, &["models", "sessions/lab", "--server", at]);
    assert!(
        table.contains("NETWORK") && table.contains("3-8-3"),
        "{table}"
    );
    let runs = json(&run(&folder, &["runs", name, "--json", "--server", at]));
    assert_eq!(runs.as_array().expect("runs").len(), 2);
    let one = runs[0]["name"].as_str().expect("a name");
    let one = json(&run(&folder, &["runs", one, "--json", "--server", at]));
    assert_eq!(one["metrics"].as_array().expect("metrics").len(), 12);
    // What it was trained on is gone; the model stays.
    assert_eq!(
        run(
            &folder,
            &["datasets", "list", "sessions/lab", "--json", "--server", at]
        ),
        "[]\n"
    );
    datasets_come_and_go(&folder, at);
    let table = run(&folder, &["runs", name, "--server", at]);
    assert!(table.contains("finished"), "{table}");
    let stopped = run(&folder, &["runs", name, "--stop", "--server", at]);
    assert!(stopped.contains("no run was in progress"), "{stopped}");

    // A model without what `train --save` adds takes the columns as they are.
    run(
        &folder,
        &["export", name, "lab.safetensors", "--server", at],
    );
    fs::write(folder.path().join("raw.csv"), "0,1,0.5\n1,0,2\n").expect("writable");
    let predicted = run(
        &folder,
        &["predict", "lab.safetensors", "--data", "raw.csv"],
    );
    assert_eq!(predicted.lines().count(), 2);
    assert_eq!(
        predicted.lines().next().expect("a line").split(',').count(),
        3
    );

    let listed = run(&folder, &["sessions", "sessions/lab", "--server", at]);
    assert!(listed.contains("sessions/lab") && !listed.contains("OWNER"));
    let mut empty = program();
    empty.args(["call", "GetServerInfo", "-", "--server", at]);
    let empty = empty.stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(empty.status.code(), Some(2));
    let why = String::from_utf8(empty.stderr).expect("text");
    assert!(why.contains("standard input is empty"), "{why}");
    run(&folder, &["models", name, "--delete", "--server", at]);
    assert_eq!(
        run(
            &folder,
            &["models", "sessions/lab", "--json", "--server", at]
        ),
        "[]\n"
    );
    run(
        &folder,
        &["sessions", "sessions/lab", "--delete", "--server", at],
    );
    let error = refused(&folder, &["predict", name, "--data", "new.csv"]);
    assert!(error.contains("is a model on a server"), "{error}");
    let error = refused(
        &folder,
        &["models", "sessions/lab", "--delete", "--server", at],
    );
    assert!(error.contains("name a model"), "{error}");
}

#[test]
fn a_training_is_watched_from_elsewhere() {
    let folder = folder();
    let server = Server::start(|command, _| {
        command.args(["--listen", "localhost:0"]);
    });
    let at = server.address.as_str();
    let name = "sessions/lab/models/long";
    let mut train = program();
    train.current_dir(folder.path()).args([
        "train",
        "--data",
        "things.csv",
        "--one-hot",
        "--epochs",
        "100000",
        "--quiet",
        "--server",
        at,
        "--name",
        name,
    ]);
    let mut train = train.spawn().expect("it starts");
    // The model exists soon after.
    while !output(folder.path(), &["models", name, "--server", at])
        .status
        .success()
    {
        assert!(train.try_wait().expect("its state").is_none(), "it trains");
    }
    let mut watch = program();
    watch.args(["watch", name, "--json", "--server", at]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut events = lines.map(|line| json(&line.expect("text")));
    assert_eq!(events.next().expect("the model")["model"]["name"], name);
    // The first run seen may be at its end.
    assert!(events.any(|event| event["step"]["loss"].is_f64()));
    assert!(events.any(|event| event["completed"]["reason"] == "finished"));
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    let seen = run(&folder, &["watch", name, "--once", "--server", at]);
    let last = seen.lines().last().expect("a line");
    assert!(last.starts_with("finished at step"), "{seen}");
    train.kill().expect("it runs");
    train.wait().expect("it ends");
}
