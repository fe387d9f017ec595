//! `backpropd explain`: one entry of a gradient, as the terms and factors that it consists of.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use backpropd_client::pb::{self, Expansion, Quantity};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use super::arrays::{self, Array, Room};
use super::{Failure, connection, grade, local_server, model, serve};

pub(super) const NAME: &str = "explain";
const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// The symbols of the quantities that can be explained, and whether a layer follows.
const SYMBOLS: [(&str, Quantity, bool); 9] = [
    ("dW", Quantity::DW, true),
    ("db", Quantity::DB, true),
    ("dz", Quantity::DZ, true),
    ("dh", Quantity::DH, true),
    ("dx", Quantity::DX, false),
    ("delta", Quantity::Delta, false),
    ("δ", Quantity::Delta, false),
    ("z", Quantity::Z, true),
    ("h", Quantity::H, true),
];

pub(super) fn command() -> Command {
    let array = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new(NAME)
        .about("Explain one entry of a gradient: its terms, their factors, and their values")
        .after_help(
            "Layers, rows and columns count from 1, as in mathematics; rows of z, h, dz, dh, dx and delta are samples:\n\n    \
             backpropd explain sessions/lab/models/hw 'dW2[2,3]' --inputs x.npy --targets y.npy\n\n\
             The exit code is 0 if the entry is explained, 2 if the arguments or files are invalid, and 1 for other failures.",
        )
        .arg(
            Arg::new("model")
                .value_name("MODEL")
                .required(true)
                .help("The model, as sessions/SESSION/models/MODEL, or a file of `export` or `train --save`"),
        )
        .arg(
            Arg::new("entry")
                .value_name("ENTRY")
                .required(true)
                .help("The entry, such as dW2[2,3], db1[2], dz2[1,2], delta[1], dx[1,4], z1[1,3] or h2[1,2]"),
        )
        .arg(
            array(
                "inputs",
                "x: .npy, or .npz or .json with one array or with x, and then y or labels, too",
            )
            .required(true),
        )
        .arg(array("targets", "y"))
        .arg(array("labels", "Class of each sample, from 0"))
        .group(ArgGroup::new("truth").args(["targets", "labels"]))
        .arg(flag(
            "chain",
            "Multiply out the chain rule down to delta: a term for each path through the network",
        ))
        .arg(
            flag(
                "expand",
                "Also explain the factors, down to inputs, targets, weights and biases",
            )
            .conflicts_with("chain"),
        )
        .arg(
            Arg::new("max-terms")
                .long("max-terms")
                .value_name("N")
                .value_parser(value_parser!(i32).range(1..))
                .help("Most terms of a sum; the others are folded into one number [default: 32]"),
        )
        .arg(flag("latex", "Print LaTeX"))
        .arg(flag("json", "Print the reply as JSON").conflicts_with("latex"))
        .arg(
            Arg::new("server")
                .long("server")
                .value_name("URL")
                .help("Server to use [default: localhost:50051; for a file, one inside this process]"),
        )
        .args(connection::credentials())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = grade::required::<String>(matches, "model")?;
    let text = grade::required::<String>(matches, "entry")?;
    let (quantity, [layer, row, column]) = parse_entry(text).map_err(Failure::usage)?;
    let batch = Batch::read(matches).map_err(Failure::usage)?;
    let expand = match (matches.get_flag("chain"), matches.get_flag("expand")) {
        (true, _) => Expansion::Chain,
        (_, true) => Expansion::Leaves,
        (false, false) => Expansion::None,
    };
    let server = matches.get_one::<String>("server").map(String::as_str);
    let server = server.or_else(|| model::is_name(name).then_some(DEFAULT_SERVER));
    let reply =
        serve::runtime()?.block_on(local_server::with_client(server, matches, async |client| {
            let opened = model::open(&client, name).await?;
            let request = pb::ExplainRequest {
                target: Some(pb::explain_request::Target::Model(
                    opened.model.name.clone(),
                )),
                inputs: Some(batch.inputs),
                targets: batch.targets,
                labels: batch.labels,
                quantity: quantity.into(),
                layer,
                row,
                column,
                expand: expand.into(),
                max_terms: matches.get_one::<i32>("max-terms").copied().unwrap_or(0),
                ..Default::default()
            };
            let reply = client.explain(request).await;
            model::close(&client, name, &opened).await;
            Ok(reply?)
        }))?;
    let text = if matches.get_flag("json") {
        format!("{:#}\n", as_json(&reply))
    } else if matches.get_flag("latex") {
        as_latex(&reply)
    } else {
        as_text(&reply)
    };
    grade::publish(&text, None)?;
    Ok(ExitCode::SUCCESS)
}

/// `dW2[2,3]`: the quantity, then layer, row and column; 0 where one is left out.
fn parse_entry(text: &str) -> Result<(Quantity, [i32; 3]), String> {
    let invalid = || {
        format!(
            "{text:?} is no entry: expected a symbol of {}, a layer and indices from 1, such as dW2[2,3], db1[2] or delta[1]",
            SYMBOLS.map(|(symbol, ..)| symbol).join(", ")
        )
    };
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (name, indices) = compact
        .strip_suffix(']')
        .and_then(|text| text.split_once('['))
        .ok_or_else(invalid)?;
    let number = |digits: &str| digits.parse::<i32>().map_err(|_| invalid());
    let symbol = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let (_, quantity, has_layer) = SYMBOLS
        .into_iter()
        .find(|(known, ..)| *known == symbol)
        .ok_or_else(invalid)?;
    let layer = &name[symbol.len()..];
    if layer.is_empty() == has_layer {
        return Err(invalid());
    }
    let layer = if has_layer { number(layer)? } else { 0 };
    let (row, column) = match indices.split_once(',') {
        Some((row, column)) => (number(row)?, number(column)?),
        None => (number(indices)?, 0),
    };
    Ok((quantity, [layer, row, column]))
}

/// The samples of the files.
struct Batch {
    inputs: pb::Tensor,
    targets: Option<pb::Tensor>,
    labels: Vec<i32>,
}

impl Batch {
    fn read(matches: &ArgMatches) -> Result<Self, String> {
        let mut room = Room::new();
        let path = |name: &str| matches.get_one::<PathBuf>(name);
        let inputs = path("inputs").ok_or("--inputs is missing")?;
        let mut named = arrays::read_named(inputs, &mut room)?;
        let mut truth = [None, None];
        if let Some(path) = path("targets") {
            truth[0] = Some(only(path, &["y", "targets"], &mut room)?);
        } else if let Some(path) = path("labels") {
            truth[1] = Some(only(path, &["labels", "y"], &mut room)?);
        } else {
            truth = [
                named.remove("y").or_else(|| named.remove("targets")),
                named.remove("labels"),
            ];
        }
        let x = choose(named, inputs, &["x", "inputs"])?;
        let [targets, labels] = truth;
        if targets.is_none() && labels.is_none() {
            let file = inputs.display();
            return Err(format!(
                "no targets: pass --targets or --labels, or put y or labels into {file}"
            ));
        }
        // A vector is one sample of features, and one target for each sample.
        Ok(Self {
            inputs: matrix(x, |n| [1, n])?,
            targets: targets.map(|y| matrix(y, |n| [n, 1])).transpose()?,
            labels: labels.map(classes).transpose()?.unwrap_or_default(),
        })
    }
}

/// The one array of a file, or the one with one of these names.
fn only(path: &Path, names: &[&str], room: &mut Room) -> Result<Array, String> {
    choose(arrays::read_named(path, room)?, path, names)
}

fn choose(
    mut named: std::collections::BTreeMap<String, Array>,
    path: &Path,
    names: &[&str],
) -> Result<Array, String> {
    for name in names {
        if let Some(array) = named.remove(*name) {
            return Ok(array);
        }
    }
    let found: Vec<String> = named.keys().cloned().collect();
    match (named.pop_first(), found.len()) {
        (Some((_, array)), 1) => Ok(array),
        _ => Err(format!(
            "{}: expected one array, or one named {}; found {}",
            path.display(),
            names.join(" or "),
            if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            }
        )),
    }
}

fn matrix(array: Array, of_vector: impl Fn(usize) -> [usize; 2]) -> Result<pb::Tensor, String> {
    let shape = match array.shape[..] {
        [n] => of_vector(n),
        [m, n] => [m, n],
        _ => {
            return Err(format!(
                "an array of shape {:?}: expected rows and columns",
                array.shape
            ));
        }
    };
    let size = |size: usize| i32::try_from(size).map_err(|_| format!("{size} rows or columns"));
    Ok(pb::Tensor {
        shape: vec![size(shape[0])?, size(shape[1])?],
        values: array.values,
        ..Default::default()
    })
}

fn classes(array: Array) -> Result<Vec<i32>, String> {
    let class = |&value: &f64| {
        let is_class = value.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&value);
        #[allow(clippy::cast_possible_truncation, reason = "checked to be in range")]
        let class = value as i32;
        is_class
            .then_some(class)
            .ok_or_else(|| format!("label {value}: expected whole numbers from 0"))
    };
    array.values.iter().map(class).collect()
}

/// The terms of the entry with their numbers and values, then the other equations, a line for each.
fn as_text(reply: &pb::ExplainResponse) -> String {
    let mut text = String::new();
    let mut equations = reply.equations.iter();
    // Writing to a String cannot fail.
    if let Some(first) = equations.next() {
        let _ = writeln!(text, "{}\n", first.text);
        text += &table(first);
        let rest = first.value() - first.sum_of_terms();
        if rest != 0.0 && first.terms.len() > 1 {
            let _ = writeln!(
                text,
                "\nThe terms, added up one after the other, differ by {rest:e}: long sums are computed in another order."
            );
        }
    }
    for (at, equation) in equations.enumerate() {
        if at == 0 {
            text.push('\n');
        }
        text += &with_numbers(&equation.text, &equation.numbers);
    }
    if reply.unexplained > 0 {
        let _ = writeln!(
            text,
            "\n{} more factors are not explained: raise --max-terms, or explain them by themselves",
            reply.unexplained
        );
    }
    text
}

/// `left = symbols = numbers = value`.
fn with_numbers(text: &str, numbers: &str) -> String {
    match text.rsplit_once(" = ") {
        Some((before, value)) if numbers != value => {
            format!("{before} = {numbers} = {value}\n")
        }
        Some(_) | None => format!("{text}\n"),
    }
}

/// A line for each term: symbols, numbers, value.
fn table(equation: &pb::Equation) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let joined = |factors: &[pb::Factor], part: fn(&pb::Factor) -> String| {
        let parts: Vec<String> = factors.iter().map(part).collect();
        parts.join(" · ")
    };
    for term in &equation.terms {
        rows.push([
            joined(&term.factors, |factor| factor.text.clone()),
            joined(&term.factors, |factor| short(factor.value())),
            exact(term.value()),
        ]);
    }
    if equation.folded_terms > 0 {
        let left_out = format!("… {} more terms", equation.folded_terms);
        rows.push([left_out, String::new(), exact(equation.folded_value)]);
    }
    rows.push(["=".to_owned(), String::new(), exact(equation.value())]);
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (symbols, numbers, values) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [symbol, number, value] in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {symbol:symbols$}   {number:numbers$}   {value:>values$}"
        );
    }
    text
}

/// Six digits.
fn short(value: f64) -> String {
    let text = format!("{value:.6}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed.trim_start_matches('-') == "0" && value != 0.0 {
        return format!("{value:.3e}").replace('-', "−");
    }
    trimmed.replace('-', "−")
}

/// All digits.
fn exact(value: f64) -> String {
    let text = if value != 0.0 && !(1e-5..1e15).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    };
    text.replace('-', "−")
}

fn as_latex(reply: &pb::ExplainResponse) -> String {
    let lines = reply
        .equations
        .iter()
        .map(|equation| with_numbers(&equation.latex, &equation.numbers_latex));
    lines.collect()
}

/// The reply in the JSON of protobuf, without the fields that are not set.
fn as_json(reply: &pb::ExplainResponse) -> Value {
    let entry = |entry: &Option<pb::QuantityEntry>| {
        entry.as_ref().map_or(Value::Null, |entry| {
            json!({
                "quantity": entry.quantity().as_str_name(),
                "layer": entry.layer,
                "row": entry.row,
                "column": entry.column,
            })
        })
    };
    let factor = |factor: &pb::Factor| {
        json!({
            "kind": factor.kind().as_str_name(),
            "entry": entry(&factor.entry),
            "value": factor.value(),
            "text": factor.text,
            "latex": factor.latex,
            "equation": factor.equation,
        })
    };
    let term = |term: &pb::Term| {
        let factors: Vec<Value> = term.factors.iter().map(factor).collect();
        json!({ "factors": factors, "value": term.value() })
    };
    let equation = |equation: &pb::Equation| {
        let terms: Vec<Value> = equation.terms.iter().map(term).collect();
        json!({
            "kind": equation.kind().as_str_name(),
            "entry": entry(&equation.entry),
            "value": equation.value(),
            "terms": terms,
            "foldedTerms": equation.folded_terms,
            "foldedValue": equation.folded_value,
            "sumOfTerms": equation.sum_of_terms(),
            "text": equation.text,
            "latex": equation.latex,
            "numbers": equation.numbers,
            "numbersLatex": equation.numbers_latex,
        })
    };
    json!({
        "equations": reply.equations.iter().map(equation).collect::<Vec<_>>(),
        "unexplained": reply.unexplained,
        "step": reply.step.to_string(),
        "weightsDigest": reply.weights_digest,
        "batchSize": reply.batch_size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_symbol_a_layer_and_indices() {
        for (text, quantity, place) in [
            ("dW2[2,3]", Quantity::DW, [2, 2, 3]),
            (" dW12 [ 10 , 3 ] ", Quantity::DW, [12, 10, 3]),
            ("db1[2]", Quantity::DB, [1, 2, 0]),
            ("delta[1]", Quantity::Delta, [0, 1, 0]),
            ("δ[1,2]", Quantity::Delta, [0, 1, 2]),
            ("dx[3,4]", Quantity::DX, [0, 3, 4]),
            ("h3[1,1]", Quantity::H, [3, 1, 1]),
        ] {
            assert_eq!(parse_entry(text), Ok((quantity, place)), "{text}");
        }
        for text in [
            "",
            "dW2",
            "dW[1,2]",
            "dx1[1,2]",
            "W2[1,1]",
            "dW2[]",
            "dW2[a,b]",
            "dW2[1,2,3]",
            "2[1,1]",
            "dW99999999999[1,1]",
        ] {
            assert!(parse_entry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_keep_their_digits_and_factors_are_short() {
        assert_eq!(exact(-2.4260400000000004), "−2.4260400000000004");
        assert_eq!(exact(1e-9), "1e−9");
        assert_eq!(short(-0.5274), "−0.5274");
        assert_eq!(short(1.0 / 3.0), "0.333333");
        assert_eq!(short(1e-9), "1.000e−9");
        assert_eq!(short(0.0), "0");
    }

    #[test]
    fn a_file_of_one_array_needs_no_name() {
        let array = |n: f64| Array {
            shape: vec![1],
            values: vec![n],
        };
        let path = Path::new("batch.npz");
        let named = |names: &[&str]| {
            let arrays = names.iter().zip(1..);
            let arrays = arrays.map(|(name, n)| ((*name).to_owned(), array(f64::from(n))));
            choose(arrays.collect(), path, &["x", "inputs"])
        };
        assert_eq!(named(&["anything"]).expect("one").values, [1.0]);
        assert_eq!(named(&["w", "x"]).expect("x").values, [2.0]);
        let refused = named(&["v", "w"]).expect_err("which?");
        assert!(refused.contains("x or inputs; found v, w"), "{refused}");
        assert!(classes(array(1.5)).is_err() && classes(array(-1.0)).is_err());
    }
}
