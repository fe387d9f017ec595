//! `backpropd grade-gradients`: grade gradients that other code computed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::arrays::{self, Array};
use super::{Failure, grade};
use crate::grade::{
    Assignment, Extras, GivenArray, NetworkSpec, Quantity, References, SubmittedTensor,
    TensorReport, Tolerance, Verdict, grade_tensors,
};
use crate::nn::{Batch, Matrix};

pub(super) const NAME: &str = "grade-gradients";
const TOLERANCES: [(&str, Tolerance); 3] = [
    ("exact", Tolerance::EXACT),
    ("float32", Tolerance::FLOAT32),
    ("finite-difference", Tolerance::FINITE_DIFFERENCE),
];
/// Largest number of rows, as on the server.
const MAX_ROWS: usize = 1 << 20;

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Grade computed gradients: dW1, db2, dz1, dh2, dx, delta in .npz, .npy or .json files")
        .after_help(
            "The files together contain the network (W1, b1, W2, …), the batch (x, and y or labels) and the gradients. \
             Activations and loss are those of the assignment; so are W, b, x and y if it has a [given] table and the files contain gradients alone. W is units × inputs, rows of x are samples:\n\n    \
             np.savez(\"mine.npz\", W1=W1, W2=W2, W3=W3, x=x, y=y, dW1=dW1, dW2=dW2, dW3=dW3)\n    \
             backpropd grade-gradients mine.npz\n\n\
             The exit code is 0 if the gradients were graded, right or wrong, and 2 if not.",
        )
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Arrays: .npz, .json (an object of nested lists), or .npy named like its array, such as dW2.npy"),
        )
        .args(grade::assignment_arguments())
        .arg(
            Arg::new("network")
                .long("network")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("assignment")
                .help("The network in place of the assignment's, as TOML: input_size = 784, layers = [{ units = 10, activation = \"linear\" }], loss = \"cross_entropy\""),
        )
        .arg(
            Arg::new("given")
                .long("given")
                .value_name("NAME")
                .conflicts_with("network")
                .help("The [given] table of the assignment with W, b, x and y, if there are several and the files contain none of them"),
        )
        .arg(
            Arg::new("tolerance")
                .long("tolerance")
                .value_name("PRESET")
                .default_value("exact")
                .value_parser(PossibleValuesParser::new(TOLERANCES.map(|(word, _)| word)))
                .help("Largest relative error of an entry: 1e-7, 1e-4 or 1e-2"),
        )
        .arg(
            Arg::new("learning-rate")
                .long("learning-rate")
                .value_name("RATE")
                .value_parser(value_parser!(f64))
                .help("Learning rate of the code's update, to recognise gradients computed after it"),
        )
        .arg(
            Arg::new("dataset-size")
                .long("dataset-size")
                .value_name("N")
                .value_parser(value_parser!(usize))
                .help("Number of samples that the batch was drawn from, to recognise 1/N in place of 1/m"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .default_value("text")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .help("Format of the report"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut named: BTreeMap<String, Array> = BTreeMap::new();
    let mut room = arrays::Room::new();
    for path in matches.get_many::<PathBuf>("files").into_iter().flatten() {
        for (name, array) in arrays::read_named(path, &mut room).map_err(Failure::usage)? {
            if named.insert(name.clone(), array).is_some() {
                return Err(Failure::usage(format!(
                    "two files contain an array named {name}"
                )));
            }
        }
    }
    let network = match matches.get_one::<PathBuf>("network") {
        Some(path) => own_network(path)?,
        None => {
            let graders = grade::graders(matches)?;
            let assignment = matches.get_one::<String>("assignment");
            let assignment = assignment.map_or(grade::DEFAULT_ASSIGNMENT, String::as_str);
            let assignment = grade::choose(&graders, assignment)?.assignment();
            let name = matches.get_one::<String>("given").map(String::as_str);
            add_given(&mut named, assignment, name).map_err(Failure::usage)?;
            assignment.network.clone()
        }
    };
    let network = &network;
    let case = Case::take(named, network).map_err(Failure::usage)?;
    let word = grade::required::<String>(matches, "tolerance")?;
    let tolerance = TOLERANCES.iter().find(|(name, _)| name == word);
    let tolerance = tolerance.map_or(Tolerance::EXACT, |(_, tolerance)| *tolerance);
    let extras = Extras {
        earlier: None,
        learning_rate: matches.get_one::<f64>("learning-rate").copied(),
        dataset_size: matches.get_one::<usize>("dataset-size").copied(),
    };
    let reports = case
        .grade(network, extras, &tolerance)
        .map_err(Failure::usage)?;
    let text = match grade::required::<String>(matches, "format")?.as_str() {
        "json" => format!("{:#}\n", serde_json::json!({ "tensors": reports })),
        _ => written(&reports),
    };
    grade::publish(&text, None)?;
    Ok(ExitCode::SUCCESS)
}

/// The network of `--network`.
fn own_network(path: &Path) -> Result<NetworkSpec, Failure> {
    let text = grade::read_text(path)?;
    NetworkSpec::parse(&text)
        .map_err(|problem| Failure::usage(format!("{}: {problem}", path.display())))
}

/// Adds the assignment's fixed numbers to files that contain gradients alone.
fn add_given(
    named: &mut BTreeMap<String, Array>,
    assignment: &Assignment,
    name: Option<&str>,
) -> Result<(), String> {
    let is_gradient = |name: &String| name.parse::<Quantity>().is_ok();
    let has_own = !named.keys().all(is_gradient);
    let known = || {
        let names: Vec<&str> = assignment
            .given
            .iter()
            .map(|given| given.name.as_str())
            .collect();
        names.join(", ")
    };
    let given = match (name, &assignment.given[..]) {
        (Some(_), _) if has_own => {
            return Err(
                "--given is for files of gradients alone: these contain other arrays, too"
                    .to_owned(),
            );
        }
        (Some(name), _) => assignment.given(name).ok_or_else(|| {
            format!(
                "--given {name}: the assignment {} has {:?}",
                assignment.id,
                known()
            )
        })?,
        (None, _) if has_own => return Ok(()),
        (None, []) => return Ok(()),
        (None, [only]) => only,
        (None, _) => {
            return Err(format!(
                "the assignment {} has several [given] tables: choose one of {} with --given",
                assignment.id,
                known()
            ));
        }
    };
    for (name, GivenArray { shape, values }) in given.arrays(&assignment.network) {
        named.insert(name, Array { shape, values });
    }
    Ok(())
}

/// A network, its batch, and the gradients computed on it.
struct Case {
    parameters: Vec<f64>,
    batch: Batch<f64>,
    submitted: Vec<SubmittedTensor>,
}

impl Case {
    /// Assigns the arrays by their names; returns all faults at once.
    fn take(mut named: BTreeMap<String, Array>, network: &NetworkSpec) -> Result<Self, String> {
        let architecture = &network.architecture;
        let mut faults = Vec::new();
        let mut parameters = Vec::with_capacity(architecture.parameter_count());
        for (i, layer) in (1..).zip(architecture.layers()) {
            take_parameter(
                &mut named,
                &format!("W{i}"),
                &[layer.units, layer.fan_in],
                &mut parameters,
                &mut faults,
            );
            if layer.has_bias() {
                take_parameter(
                    &mut named,
                    &format!("b{i}"),
                    &[layer.units],
                    &mut parameters,
                    &mut faults,
                );
            }
        }
        let batch = take_batch(&mut named, network, &mut faults);
        let mut submitted = Vec::new();
        for (name, array) in named {
            match name.parse::<Quantity>() {
                Ok(quantity) => submitted.push(SubmittedTensor {
                    quantity,
                    shape: array.shape,
                    values: array.values,
                }),
                Err(_) => faults.push(format!(
                    "{name}: expected W1, b1, …, x, y, labels, or a gradient dW1, db1, dz1, dh1, dx, delta"
                )),
            }
        }
        if submitted.is_empty() {
            faults.push(
                "there is no gradient: expected some of dW1, db1, dz1, dh1, …, dx, delta"
                    .to_owned(),
            );
        }
        match (batch, faults.is_empty()) {
            (Some(batch), true) => Ok(Self {
                parameters,
                batch,
                submitted,
            }),
            _ => Err(faults.join("\n")),
        }
    }

    fn grade(
        &self,
        network: &NetworkSpec,
        extras: Extras<'_>,
        tolerance: &Tolerance,
    ) -> Result<Vec<TensorReport>, String> {
        let batch = self.batch.view();
        let references = References::new(
            &network.architecture,
            &self.parameters,
            network.objective,
            batch,
            extras,
        );
        let references = references.map_err(|violations| violations.to_string())?;
        grade_tensors(&references, &self.submitted, tolerance)
            .map_err(|violations| violations.to_string())
    }
}

fn take_parameter(
    named: &mut BTreeMap<String, Array>,
    name: &str,
    shape: &[usize],
    parameters: &mut Vec<f64>,
    faults: &mut Vec<String>,
) {
    match named.remove(name) {
        None => faults.push(format!("{name} is missing: expected the shape {shape:?}")),
        Some(array) => {
            // A bias may be a single row.
            let is_row = shape.len() == 1 && array.shape[..] == [1, shape[0]];
            if array.shape[..] != *shape && !is_row {
                faults.push(format!(
                    "{name}: found the shape {:?}, expected {shape:?}",
                    array.shape
                ));
            }
            parameters.extend(array.values);
        }
    }
}

fn take_batch(
    named: &mut BTreeMap<String, Array>,
    network: &NetworkSpec,
    faults: &mut Vec<String>,
) -> Option<Batch<f64>> {
    let inputs = named.remove("x");
    let (targets, labels) = (named.remove("y"), named.remove("labels"));
    let inputs = match inputs {
        None => {
            faults.push("x is missing: expected the samples, one in each row".to_owned());
            return None;
        }
        Some(array) => matrix("x", array, faults)?,
    };
    let targets = match targets {
        None => None,
        Some(array) => Some(matrix("y", array, faults)?),
    };
    let labels: Vec<i32> = labels.map_or_else(Vec::new, |labels| {
        // The batch refuses a label that is not a class, also one that is truncated here.
        labels
            .values
            .iter()
            .map(|&label| {
                if label.fract() == 0.0 {
                    label as i32
                } else {
                    -1
                }
            })
            .collect()
    });
    let batch = Batch::new(
        &network.architecture,
        network.objective,
        inputs,
        targets,
        &labels,
        MAX_ROWS,
    );
    batch
        .map_err(|violations| faults.push(violations.to_string()))
        .ok()
}

/// An array as a matrix: a vector is a column of samples.
fn matrix(name: &str, array: Array, faults: &mut Vec<String>) -> Option<Matrix<f64>> {
    let (rows, columns) = match array.shape[..] {
        [rows, columns] if rows > 0 && columns > 0 => (rows, columns),
        [rows] if rows > 0 => (rows, 1),
        _ => {
            faults.push(format!(
                "{name}: found the shape {:?}, expected [samples, columns]",
                array.shape
            ));
            return None;
        }
    };
    Some(Matrix {
        rows,
        columns,
        entries: array.values,
    })
}

fn written(reports: &[TensorReport]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for report in reports {
        let mark = if report.verdict == Verdict::Correct {
            '✓'
        } else {
            '✗'
        };
        let mistake = report
            .mistake
            .map(|mistake| format!("  {mistake}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{:6} {mark} {}{mistake}",
            report.quantity, report.verdict
        );
        if report.verdict == Verdict::Correct {
            continue;
        }
        let _ = writeln!(text, "       {}", report.message);
        if !report.worst.is_empty() {
            let worst = report
                .worst
                .iter()
                .map(|entry| format!("[{}, {}] = {}", entry.row, entry.column, entry.given));
            let _ = writeln!(
                text,
                "       largest errors: {}",
                worst.collect::<Vec<_>>().join(", ")
            );
        }
        /// Larger grids say less than they fill.
        const READABLE: usize = 200;
        if let Some(grid) = report
            .grid
            .as_ref()
            .filter(|grid| grid.right.len() <= READABLE)
        {
            for line in grid.to_string().lines() {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    text
}
