//! The options of `backpropd train`.

use std::path::{Path, PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValuesParser, RangedI64ValueParser, TypedValueParser as _},
    value_parser,
};

use backpropd_client::pb;
use backpropd_datasets::TruthFile;

use super::client::ModelName;
use crate::cli::connection;

const COSINE: &str = "cosine";
const DIGITS: &str = "digits";
const ACTIVATIONS: &[(&str, pb::Activation)] = &[
    ("linear", pb::Activation::Linear),
    ("relu", pb::Activation::Relu),
    ("leaky-relu", pb::Activation::LeakyRelu),
    ("sigmoid", pb::Activation::Sigmoid),
    ("tanh", pb::Activation::Tanh),
    ("gelu", pb::Activation::Gelu),
    ("silu", pb::Activation::Silu),
];
const LOSSES: &[(&str, pb::Loss)] = &[
    ("cross-entropy", pb::Loss::CrossEntropy),
    ("binary-cross-entropy", pb::Loss::BinaryCrossEntropy),
    ("mean-squared-error", pb::Loss::MeanSquaredError),
    ("half-squared-error", pb::Loss::HalfSquaredError),
];
const DTYPES: &[(&str, pb::Dtype)] = &[
    ("float32", pb::Dtype::Float32),
    ("float64", pb::Dtype::Float64),
];
const OPTIMIZERS: &[(&str, Optimizer)] = &[
    ("sgd", Optimizer::Sgd),
    ("momentum", Optimizer::Momentum),
    ("adam", Optimizer::Adam),
    ("adamw", Optimizer::AdamW),
    ("rmsprop", Optimizer::RmsProp),
];

/// The update rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Optimizer {
    Sgd,
    /// SGD with momentum 0.9.
    Momentum,
    Adam,
    AdamW,
    RmsProp,
}

/// The source of the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// The digits that are built into the binary.
    Digits,
    /// A file of any format, with what to predict in it or beside it.
    File(PathBuf),
    /// A file of inputs and a file of labels or targets.
    Pair { inputs: PathBuf, truth: TruthFile },
}

/// The arguments, validated as far as possible without the data.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub server: Option<String>,
    pub data: Data,
    /// The column of a text file to predict.
    pub label_column: Option<String>,
    pub regression: bool,
    /// Whether columns of texts become features of 0 and 1.
    pub one_hot: bool,
    /// Whether rows with missing values are left out.
    pub drop_missing: bool,
    pub standardize: bool,
    pub hidden: Vec<i32>,
    pub activation: pb::Activation,
    pub loss: Option<pb::Loss>,
    pub optimizer: Optimizer,
    pub learning_rate: Option<f64>,
    /// Whether the learning rate decays to 0 along half a cosine.
    pub cosine: bool,
    pub epochs: u32,
    pub batch_size: i32,
    pub seed: i64,
    pub test_fraction: f64,
    pub dtype: pb::Dtype,
    pub weight_decay: Option<f64>,
    pub clip_norm: f64,
    /// The most epochs without a smaller held-out loss.
    pub patience: Option<u32>,
    /// Where the model is written.
    pub save: Option<PathBuf>,
    /// Where the model stays on the server.
    pub name: Option<ModelName>,
    /// The file of the training that is continued.
    pub resume: Option<PathBuf>,
    pub quiet: bool,
    pub json: bool,
    pub plot: Option<PathBuf>,
}

pub(super) fn command(name: &'static str) -> Command {
    Command::new(name)
        .about("Train a network on handwritten digits or on your data, and show how it learns")
        .long_about(
            "Train a network on handwritten digits or on your data, over gRPC, and show how it learns.\n\n\
             Without --server, a server runs inside this process until the training ends. The samples are split into a \
             training part and a held-out part; each epoch ends with an evaluation on the held-out part.",
        )
        .after_help(
            "Examples:\n  backpropd train\n  backpropd train --plot digits.png --layers 128,64 --optimizer sgd --learning-rate 0.1\n  \
             backpropd train --data iris.csv --label-column species\n  backpropd train --data houses.csv --regression --save houses.safetensors\n  \
             backpropd train --data train-images-idx3-ubyte.gz --layers 128 --batch-size 128 --epochs 10\n  \
             backpropd train --data x.npy --labels y.npy --server localhost:50051",
        )
        .args(data_arguments())
        .args(network_arguments())
        .args(training_arguments())
        .args(output_arguments())
        .args(connection::credentials())
}

fn data_arguments() -> Vec<Arg> {
    vec![
        path("data", "DATA", "digits, or a file: .csv, .tsv, .csv.gz, .npz, .safetensors, .npy or IDX").default_value(DIGITS),
        path("labels", "FILE", "Classes from 0, one integer for each row of an .npy or IDX --data [default: the file beside it]")
            .conflicts_with("targets"),
        path("targets", "FILE", "Regression targets, [samples] or [samples, outputs], for an .npy --data [default: the file beside it]"),
        text("label-column", "COLUMN", "Column of a text file to predict: its name, or its number from 1 [default: the last]"),
        switch("regression", "Predict a number instead of a class"),
        switch("one-hot", "Make a feature of 0 or 1 of each text in the columns of a text file that are not numbers"),
        switch("drop-missing", "Leave out the rows of a text file in which a value is missing (empty, NA, nan, null or ?)"),
        switch("no-standardize", "Use the features of a file (and the targets of a regression) as they are; by default they are \
             standardized by the mean and deviation of the training part"),
        text("test-fraction", "FRACTION", "Fraction of the samples to hold out")
            .default_value("0.2")
            .value_parser(number("more than 0 and less than 1", |value| 0.0 < value && value < 1.0)),
    ]
    .into_iter()
    .map(|argument| argument.help_heading("Data"))
    .collect()
}

fn network_arguments() -> Vec<Arg> {
    vec![
        text(
            "layers",
            "UNITS",
            "Units of each hidden layer, such as 128,64, or none",
        )
        .default_value("256")
        .value_parser(hidden_layers),
        choice(
            "activation",
            "Activation of the hidden layers",
            ACTIVATIONS.iter().map(|(name, _)| *name),
        )
        .default_value("relu"),
        choice(
            "loss",
            "Loss [default: cross-entropy, or mean-squared-error for a regression]",
            LOSSES.iter().map(|(name, _)| *name),
        ),
        choice(
            "dtype",
            "Number type of the computation",
            DTYPES.iter().map(|(name, _)| *name),
        )
        .default_value("float32"),
        text(
            "seed",
            "SEED",
            "Seed of the split, the initial weights and the shuffling",
        )
        .default_value("1")
        .allow_hyphen_values(true)
        .value_parser(value_parser!(i64)),
    ]
    .into_iter()
    .map(|argument| argument.help_heading("Network"))
    .collect()
}

fn training_arguments() -> Vec<Arg> {
    let positive = || {
        number("a positive number", |value| {
            value > 0.0 && value.is_finite()
        })
    };
    let not_negative = || {
        number("a number that is not negative", |value| {
            value >= 0.0 && value.is_finite()
        })
    };
    vec![
        choice("optimizer", "Optimizer; momentum is sgd with momentum 0.9", OPTIMIZERS.iter().map(|(name, _)| *name))
            .default_value("adamw"),
        text("learning-rate", "RATE", "Learning rate [default: 0.01 for adamw, 0.003 for adam, 0.1 for sgd, 0.02 for momentum, 0.001 for rmsprop]")
            .value_parser(positive()),
        choice("schedule", "Schedule of the learning rate: decay along half a cosine, or constant", [COSINE, "constant"].into_iter())
            .default_value(COSINE),
        text("epochs", "N", "Passes over the training part")
            .default_value("30")
            .value_parser(RangedI64ValueParser::<u32>::new().range(1..=1_000_000)),
        text("patience", "N", "End after N epochs without a smaller held-out loss, with the weights of the best epoch")
            .value_parser(RangedI64ValueParser::<u32>::new().range(1..=1_000_000)),
        path("resume", "FILE", "Continue the training of a file of --save, with its network, optimizer and constants")
            .conflicts_with_all(["layers", "activation", "loss", "dtype", "optimizer", "schedule", "weight-decay", "clip-norm", "no-standardize"]),
        text("batch-size", "N", "Samples per step")
            .default_value("16")
            .value_parser(RangedI64ValueParser::<i32>::new().range(1..=i64::from(i32::MAX))),
        text("weight-decay", "LAMBDA", "Weight decay [default: 0.1 for adamw, else 0]")
            .value_parser(not_negative()),
        text("clip-norm", "NORM", "Largest norm of the gradient; 0 = no clipping").default_value("0").value_parser(not_negative()),
    ]
    .into_iter()
    .map(|argument| argument.help_heading("Training"))
    .collect()
}

fn output_arguments() -> Vec<Arg> {
    vec![
        text(
            "server",
            "URL",
            "Server to train on, such as localhost:50051 [default: one inside this process]",
        ),
        path(
            "save",
            "FILE",
            "Write the trained model to a .safetensors file, with all that `predict` needs",
        ),
        text(
            "name",
            "NAME",
            "Leave the model on the server of --server, as sessions/SESSION/models/MODEL",
        )
        .requires("server")
        .value_parser(value_parser!(ModelName)),
        path(
            "plot",
            "FILE",
            "Plot loss and held-out quality to an .svg or .png file",
        ),
        switch(
            "json",
            "Print one JSON object at the end and nothing else on standard output",
        ),
        switch("quiet", "Print only the result").short('q'),
    ]
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    text(name, value, help).value_parser(value_parser!(PathBuf))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn choice(
    name: &'static str,
    help: &'static str,
    values: impl Iterator<Item = &'static str>,
) -> Arg {
    text(name, "NAME", help).value_parser(PossibleValuesParser::new(values))
}

/// Parses numbers for which `allows` holds.
fn number(
    allowed: &'static str,
    allows: fn(f64) -> bool,
) -> impl clap::builder::TypedValueParser<Value = f64> {
    clap::builder::StringValueParser::new().try_map(move |text| {
        text.trim()
            .parse()
            .ok()
            .filter(|value| allows(*value))
            .ok_or_else(|| format!("allowed is {allowed}"))
    })
}

fn hidden_layers(text: &str) -> Result<Layers, String> {
    if text == "none" {
        return Ok(Layers(Vec::new()));
    }
    text.split(',')
        .map(|units| units.trim().parse().ok().filter(|units| *units >= 1))
        .collect::<Option<_>>()
        .map(Layers)
        .ok_or_else(|| {
            "allowed are positive integers with commas between them, such as 64,32, or none"
                .to_owned()
        })
}

/// Clap takes a bare `Vec` for the values of several flags.
#[derive(Clone, Debug)]
struct Layers(Vec<i32>);

impl Options {
    pub(super) fn from_matches(matches: &ArgMatches) -> Result<Self, String> {
        let plot = matches.get_one::<PathBuf>("plot").cloned();
        if let Some(path) = &plot {
            check_plot(path, cfg!(feature = "plot"))?;
        }
        Ok(Self {
            server: matches.get_one("server").cloned(),
            data: data(matches)?,
            label_column: matches.get_one("label-column").cloned(),
            one_hot: matches.get_flag("one-hot"),
            drop_missing: matches.get_flag("drop-missing"),
            regression: matches.get_flag("regression"),
            standardize: !matches.get_flag("no-standardize"),
            hidden: value::<Layers>(matches, "layers").0,
            activation: chosen(matches, "activation", ACTIVATIONS).unwrap_or(pb::Activation::Relu),
            loss: chosen(matches, "loss", LOSSES),
            optimizer: chosen(matches, "optimizer", OPTIMIZERS).unwrap_or(Optimizer::AdamW),
            learning_rate: matches.get_one("learning-rate").copied(),
            cosine: value::<String>(matches, "schedule") == COSINE,
            epochs: value(matches, "epochs"),
            batch_size: value(matches, "batch-size"),
            seed: value(matches, "seed"),
            test_fraction: value(matches, "test-fraction"),
            dtype: chosen(matches, "dtype", DTYPES).unwrap_or(pb::Dtype::Float32),
            weight_decay: matches.get_one("weight-decay").copied(),
            clip_norm: value(matches, "clip-norm"),
            patience: matches.get_one("patience").copied(),
            save: matches.get_one("save").cloned(),
            name: matches.get_one("name").cloned(),
            resume: matches.get_one("resume").cloned(),
            quiet: matches.get_flag("quiet"),
            json: matches.get_flag("json"),
            plot,
        })
    }
}

/// Checks the file of `--plot`; `can_draw` is whether this program was built with the feature `plot`.
fn check_plot(path: &Path, can_draw: bool) -> Result<(), String> {
    if !can_draw {
        return Err(format!(
            "--plot {}: this program was built without the feature `plot`, as the container image is; leave --plot out, or \
             train with the program of a release archive or of `cargo install --path .`, which draw",
            path.display()
        ));
    }
    let ending = extension(path);
    if ["svg", "png"].contains(&ending.as_str()) {
        return Ok(());
    }
    Err(format!(
        "--plot {}: given the ending {ending:?}, allowed are .svg and .png",
        path.display()
    ))
}

/// A value that the grammar above gives a default.
fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches
        .get_one::<T>(name)
        .cloned()
        .expect("the argument has a default value")
}

fn chosen<T: Copy>(matches: &ArgMatches, name: &str, table: &[(&str, T)]) -> Option<T> {
    let given = matches.get_one::<String>(name)?;
    table
        .iter()
        .find(|(name, _)| name == given)
        .map(|(_, value)| *value)
}

/// The file's ending, in lower case.
pub(super) fn extension(path: &Path) -> String {
    path.extension()
        .map(|ending| ending.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

fn data(matches: &ArgMatches) -> Result<Data, String> {
    let path: PathBuf = value(matches, "data");
    let [labels, targets] =
        ["labels", "targets"].map(|name| matches.get_one::<PathBuf>(name).cloned());
    if path.as_os_str() == DIGITS {
        let of_files = ["regression", "one-hot", "drop-missing"];
        let given = of_files.iter().find(|name| matches.get_flag(name));
        let given = given.copied().or(matches
            .contains_id("label-column")
            .then_some("label-column"));
        let given = given
            .or(labels.is_some().then_some("labels"))
            .or(targets.is_some().then_some("targets"));
        return match given {
            Some(given) => Err(format!(
                "--{given} is for a file of data; name one with --data"
            )),
            None => Ok(Data::Digits),
        };
    }
    let truth = labels
        .map(TruthFile::Labels)
        .or(targets.map(TruthFile::Targets));
    Ok(match truth {
        Some(truth) => Data::Pair {
            inputs: path,
            truth,
        },
        None => Data::File(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_draw_says_so_before_it_trains() {
        let refused = check_plot(Path::new("loss.svg"), false).expect_err("no plotter");
        for fact in ["--plot loss.svg", "feature `plot`", "leave --plot out"] {
            assert!(refused.contains(fact), "{refused}");
        }
        assert_eq!(check_plot(Path::new("loss.svg"), true), Ok(()));
        let refused = check_plot(Path::new("loss.gif"), true).expect_err("not a known ending");
        assert!(refused.contains(".svg and .png"), "{refused}");
        let matches = command("train").get_matches_from(["train", "--plot", "loss.svg"]);
        let is_accepted = Options::from_matches(&matches).is_ok();
        assert_eq!(is_accepted, cfg!(feature = "plot"));
    }
}
