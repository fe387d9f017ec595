//! What an assignment's file says about its course's convention: the layout of matrices, names and constants.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::NetworkSpec;
use crate::formula::Names;
use crate::grade::network::{Layout, MAX_CONSTANTS, Samples, WeightShape};

/// The largest side of a constant matrix: no dimension of an assignment's network is larger.
const MAX_SIDE: usize = 32;

/// The convention of a course.
#[derive(Clone, Debug, PartialEq)]
pub struct Convention {
    /// The layouts in which an answer may be written: one, or both for `either`. An answer sheet keeps to one of them.
    pub layouts: Vec<Layout>,
    /// The course's own letters.
    pub names: Names,
    /// The constants, in the order of their names.
    pub constants: Vec<Constant>,
}

impl Convention {
    /// The names of the constants, in their order.
    pub(in crate::grade) fn constant_names(&self) -> Vec<String> {
        self.constants
            .iter()
            .map(|constant| constant.name.clone())
            .collect()
    }

    /// The shapes of the constants, in their order.
    pub(in crate::grade) fn constant_shapes(&self) -> Vec<(usize, usize)> {
        self.constants
            .iter()
            .map(|constant| constant.shape)
            .collect()
    }
}

/// A given quantity that is not the network's, such as λ. Its values are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name, as in a formula: `lambda`, `A`.
    pub name: String,
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Whether every entry is above 0.
    pub is_positive: bool,
}

/// The top-level fields of the file.
pub(super) struct ConventionFile {
    pub(super) layout: Option<LayoutWord>,
    pub(super) weights: Option<WeightShape>,
    pub(super) notation: Option<String>,
    pub(super) names: BTreeMap<String, Vec<String>>,
    pub(super) constants: BTreeMap<String, ConstantFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LayoutWord {
    Rows,
    Columns,
    Either,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ConstantFile {
    Word(String),
    Shape([i64; 2]),
}

/// A quantity and its spellings.
type Letters = (&'static str, &'static [&'static str]);

/// The letters of well-known courses: a name for `notation`, and for each quantity its spellings.
const PRESETS: &[(&str, &[Letters])] = &[
    (
        "deeplearning.ai",
        &[
            ("h", &["a", "A"]),
            ("z", &["Z"]),
            ("x", &["X"]),
            ("y", &["Y"]),
            ("W", &["w"]),
            ("sigma", &["g"]),
            ("l", &[r"\mathcal{L}", "J"]),
        ],
    ),
    ("nielsen", &[("h", &["a"]), ("W", &["w"]), ("l", &["C"])]),
    (
        "cs231n",
        &[("x", &["X"]), ("z", &["s"]), ("m", &["N"]), ("l", &["L"])],
    ),
    (
        "cs229",
        &[
            ("x", &["X"]),
            ("W", &[r"\theta"]),
            ("sigmoid", &["g"]),
            ("l", &["J"]),
        ],
    ),
    (
        "bishop",
        &[
            ("h", &["z"]),
            ("z", &["a"]),
            ("W", &["w"]),
            ("f", &["y"]),
            ("y", &["t"]),
            ("m", &["N"]),
            ("sigma", &["h"]),
            ("l", &["E"]),
        ],
    ),
];

impl ConventionFile {
    /// The convention, checked.
    ///
    /// # Errors
    /// Every preset, quantity, name and constant that is not allowed.
    pub(super) fn read(self, network: &NetworkSpec) -> Result<Convention, Vec<String>> {
        let mut faults = Vec::new();
        let mut names = Names::default();
        if let Some(word) = &self.notation {
            match PRESETS.iter().find(|(name, _)| name == word) {
                Some((_, letters)) => {
                    for (quantity, spellings) in *letters {
                        for spelling in *spellings {
                            faults.extend(names.add(quantity, spelling).err());
                        }
                    }
                }
                None => {
                    let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                    let known = known.join(", ");
                    faults.push(format!("notation {word:?} is not known; known are {known}"));
                }
            }
        }
        for (quantity, spellings) in &self.names {
            for spelling in spellings {
                let fault = names.add(quantity, spelling).err();
                faults.extend(fault.map(|fault| format!("names: {fault}")));
            }
        }
        if !names.is_empty() && network.objective.loss.is_classification() {
            names.predict_at(network.architecture.depth());
        }
        if self.constants.len() > MAX_CONSTANTS {
            faults.push(format!(
                "{} constants; at most {MAX_CONSTANTS} are allowed",
                self.constants.len()
            ));
        }
        let constants = self.constants.iter().filter_map(|(name, file)| {
            let read = constant(name, file);
            read.map_err(|fault| faults.push(fault)).ok()
        });
        let constants = constants.collect();
        let weights = self.weights.unwrap_or_default();
        let layout = |samples| Layout { samples, weights };
        let layouts = match self.layout.unwrap_or(LayoutWord::Rows) {
            LayoutWord::Rows => vec![layout(Samples::Rows)],
            LayoutWord::Columns => vec![layout(Samples::Columns)],
            LayoutWord::Either => vec![layout(Samples::Rows), layout(Samples::Columns)],
        };
        if faults.is_empty() {
            Ok(Convention {
                layouts,
                names,
                constants,
            })
        } else {
            Err(faults)
        }
    }
}

fn constant(name: &str, file: &ConstantFile) -> Result<Constant, String> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic());
    if !is_name {
        return Err(format!("constant {name:?} is not made of letters"));
    }
    let (shape, is_positive) = match file {
        ConstantFile::Word(word) if word == "positive" => ((1, 1), true),
        ConstantFile::Word(word) if word == "any" => ((1, 1), false),
        ConstantFile::Word(word) => {
            return Err(format!(
                "constant {name}: {word:?} is neither \"positive\" nor \"any\" nor a shape such as [3, 3]"
            ));
        }
        ConstantFile::Shape(sides) => {
            let side = |side: i64| {
                usize::try_from(side)
                    .ok()
                    .filter(|n| (1..=MAX_SIDE).contains(n))
            };
            match sides.map(side) {
                [Some(rows), Some(columns)] => ((rows, columns), false),
                _ => {
                    return Err(format!(
                        "constant {name}: the shape {sides:?} has a side that is not 1 to {MAX_SIDE}"
                    ));
                }
            }
        }
    };
    Ok(Constant {
        name: name.to_owned(),
        shape,
        is_positive,
    })
}
