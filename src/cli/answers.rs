//! `backpropd predict` and `backpropd evaluate`: a trained model on new rows.

use std::path::PathBuf;
use std::process::ExitCode;

use backpropd_client::{Client, pb};
use backpropd_datasets::{OpenError, OpenOptions, Parts, ReadError, TruthKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use super::model::{self, OpenModel};
use super::saved::DataNotes;
use super::train::{
    Confusion, Head, Matrix, Samples, Truth, advise, predict_held_out, predict_rows, quality,
};
use super::{Failure, connection, grade, local_server, serve};

pub(super) const PREDICT: &str = "predict";
pub(super) const EVALUATE: &str = "evaluate";

pub(super) fn predict_command() -> Command {
    Command::new(PREDICT)
        .about("Predict a class or numbers for each row of a file, by a trained model")
        .after_help(
            "Examples:\n  backpropd train --data iris.csv --save iris.safetensors\n  \
             backpropd predict iris.safetensors --data new.csv\n\n\
             The file of `train --save` says how columns become features, and by which constants they are standardized. \
             Of a text file with names, the columns are found by name, and others are ignored.",
        )
        .arg(model::argument())
        .arg(data("The rows: a file of any format that `train` reads; what to predict need not be in it"))
        .arg(switch("json", "Print one JSON object"))
        .arg(switch("drop-missing", "Leave out the rows of a text file in which a value is missing"))
        .arg(model::server())
        .args(connection::credentials())
}

pub(super) fn evaluate_command() -> Command {
    Command::new(EVALUATE)
        .about("Measure a trained model on labelled rows: accuracy and confusion matrix, or RMSE and R²")
        .after_help("Example:\n  backpropd evaluate iris.safetensors --data test.csv")
        .arg(model::argument())
        .arg(data("The rows, with what to predict: a file of any format that `train` reads"))
        .arg(
            Arg::new("label-column")
                .long("label-column")
                .value_name("COLUMN")
                .help("Column of a text file to predict [default: as in the training, else the last]"),
        )
        .arg(switch("json", "Print one JSON object"))
        .arg(switch("drop-missing", "Leave out the rows of a text file in which a value is missing"))
        .arg(model::server())
        .args(connection::credentials())
}

fn data(help: &'static str) -> Arg {
    Arg::new("data")
        .long("data")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

pub(super) fn predict(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    publish(matches, async |server, opened| {
        answer(server, opened, matches).await
    })
}

/// Opens the model of the command line, and prints what `result` says of it.
fn publish(
    matches: &ArgMatches,
    result: impl AsyncFnOnce(&Client, &OpenModel) -> Result<String, Failure>,
) -> Result<ExitCode, Failure> {
    let named = grade::required::<String>(matches, "model")?.clone();
    let server = model::server_of(matches, &named)?;
    serve::runtime()?.block_on(local_server::with_client(
        server.as_deref(),
        matches,
        async |server| {
            let opened = model::open(&server, &named).await?;
            let result = result(&server, &opened).await;
            model::close(&server, &named, &opened).await;
            grade::publish(&result?, None)?;
            Ok(ExitCode::SUCCESS)
        },
    ))
}

async fn answer(
    server: &Client,
    opened: &OpenModel,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let path = grade::required::<PathBuf>(matches, "data")?;
    let inputs = backpropd_datasets::open_inputs(path, &options(matches, &opened.notes));
    let inputs = inputs.map_err(|error| refused(&error))?;
    check_features(opened, inputs.features())?;
    let moments = opened.notes.standardization.as_ref().map(|all| &all.inputs);
    let rows: Vec<usize> = (0..inputs.rows()).collect();
    let mut values = Vec::new();
    inputs
        .copy_rows(&rows, moments, &mut values)
        .map_err(unreadable)?;
    let head = Head::of_model(&opened.model, &opened.notes).map_err(Failure::usage)?;
    let matrix = Matrix {
        columns: inputs.features(),
        values,
    };
    let mut outputs = predict_rows(server, &opened.model, &matrix, head).await?;
    Ok(
        match opened.notes.truth().filter(|_| head.is_classifier()) {
            Some(truth) => {
                let names = class_names(&truth);
                let classes: Vec<usize> = (0..outputs.rows())
                    .map(|row| head.class(outputs.row(row)))
                    .collect();
                if matches.get_flag("json") {
                    let classes: Vec<&str> =
                        classes.iter().map(|class| name_of(names, *class)).collect();
                    json!({"classes": classes, "outputs": by_row(&outputs)}).to_string() + "\n"
                } else {
                    let line = |class: &usize| name_of(names, *class).to_owned() + "\n";
                    classes.iter().map(line).collect()
                }
            }
            None => {
                let targets = opened.notes.standardization.as_ref();
                if let Some(targets) = targets.and_then(|all| all.targets.as_ref()) {
                    for (at, output) in outputs.values.iter_mut().enumerate() {
                        let column = at % outputs.columns;
                        *output = *output * targets.deviations[column] + targets.means[column];
                    }
                }
                if matches.get_flag("json") {
                    json!({"outputs": by_row(&outputs)}).to_string() + "\n"
                } else {
                    let row = |row: &[f64]| {
                        let numbers: Vec<String> = row.iter().map(f64::to_string).collect();
                        numbers.join(",") + "\n"
                    };
                    outputs.values.chunks(outputs.columns).map(row).collect()
                }
            }
        },
    )
}

fn by_row(outputs: &Matrix) -> Vec<&[f64]> {
    outputs.values.chunks(outputs.columns.max(1)).collect()
}

fn class_names(truth: &TruthKind) -> &[String] {
    match truth {
        TruthKind::Labels { names } => names,
        TruthKind::Targets { .. } => &[],
    }
}

fn name_of(names: &[String], class: usize) -> &str {
    names.get(class).map_or("?", String::as_str)
}

pub(super) fn evaluate(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    publish(matches, async |server, opened| {
        measure(server, opened, matches).await
    })
}

async fn measure(
    server: &Client,
    opened: &OpenModel,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let path = grade::required::<PathBuf>(matches, "data")?;
    let head = Head::of_model(&opened.model, &opened.notes).map_err(Failure::usage)?;
    let mut options = options(matches, &opened.notes);
    options.regression = !head.is_classifier();
    let dataset = backpropd_datasets::open(path, &options).map_err(|error| refused(&error))?;
    check_features(opened, dataset.features())?;
    let dataset = dataset
        .with_standardization(opened.notes.standardization.clone())
        .map_err(|fault| Failure::usage(format!("{}: {fault}", path.display())))?;
    let parts = Parts {
        train: Vec::new(),
        held_out: (0..dataset.rows()).collect(),
    };
    let rows = dataset.rows();
    let samples = Samples::of(dataset, parts).map_err(unreadable)?;
    let outputs = predict_held_out(server, &opened.model, &samples, head).await?;
    let truth = rename(samples.held_out, &opened.notes).map_err(Failure::usage)?;
    let measured = quality(&outputs, &truth, head, &samples.target_scale);
    let confusion = Confusion::of(&outputs, &truth, head);
    if matches.get_flag("json") {
        let mut object = measured.json();
        object["samples"] = json!(rows);
        object["confusion"] = json!(confusion.map(|confusion| confusion.json()));
        return Ok(object.to_string() + "\n");
    }
    let table = confusion.map(|confusion| confusion.table("samples") + "\n\n");
    Ok(format!("{}{measured}\n", table.unwrap_or_default()))
}

/// The labels by the classes of the model, which may be more than those of the file, and in another order.
fn rename(truth: Truth, notes: &DataNotes) -> Result<Truth, String> {
    let Truth::Labels { labels, names } = &truth else {
        return Ok(truth);
    };
    if notes.classes.is_empty() {
        return Ok(truth);
    }
    let class = |name: &String| {
        let known = notes.classes.iter().position(|class| class == name);
        known.ok_or_else(|| {
            format!(
                "the class {name:?} is none of those that the model was trained on: {}",
                notes.classes.join(", ")
            )
        })
    };
    let classes: Vec<usize> = names.iter().map(class).collect::<Result<_, _>>()?;
    Ok(Truth::Labels {
        labels: labels.iter().map(|label| classes[*label]).collect(),
        names: notes.classes.clone(),
    })
}

fn options(matches: &ArgMatches, notes: &DataNotes) -> OpenOptions {
    let column = matches.try_get_one::<String>("label-column").ok().flatten();
    OpenOptions {
        encoding: notes.encoding.clone(),
        label_column: column.cloned(),
        drop_missing: matches.get_flag("drop-missing"),
        ..OpenOptions::default()
    }
}

fn check_features(opened: &OpenModel, found: usize) -> Result<(), Failure> {
    let expected = opened.model.spec.as_ref().map_or(0, |spec| spec.input_size);
    if usize::try_from(expected) == Ok(found) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the data have {found} features, and the model takes {expected}"
    )))
}

fn refused(error: &OpenError) -> Failure {
    Failure::usage(advise(error))
}

fn unreadable(error: ReadError) -> Failure {
    Failure::failed(error.to_string())
}

/// The sizes of a model's layers, from its inputs on, such as 64-32-10.
pub(super) fn model_line(model: &pb::Model) -> String {
    let Some(spec) = &model.spec else {
        return String::new();
    };
    let units = spec.layers.iter().map(|layer| layer.units.to_string());
    let sizes: Vec<String> = std::iter::once(spec.input_size.to_string())
        .chain(units)
        .collect();
    sizes.join("-")
}
