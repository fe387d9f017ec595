//! An assignment as its file defines it: the network, the rubric and the questions. Reading it checks everything that
//! does not need a formula to be parsed; formulas stay text here.

mod convention;
pub mod faults;
mod network_file;

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use toml::Spanned;

use super::Mistake;
use super::given::{self, Given};
use super::network::WeightShape;
pub use convention::{Constant, Convention};
use convention::{ConstantFile, ConventionFile, LayoutWord};
use network_file::NetworkFile;
pub use network_file::NetworkSpec;

/// The largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// The most questions of an assignment.
pub const MAX_QUESTIONS: usize = 500;
/// The most choices of a question: a letter each.
pub const MAX_CHOICES: usize = 26;
/// The longest id of an assignment or a question, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// The assignments that come with the program: file name and text.
pub const BUILT_IN: &[(&str, &str)] = &[(
    "hw-backprop.toml",
    include_str!("../../../../assignments/hw-backprop.toml"),
)];

/// An error in an assignment file: its place and its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct AssignmentError {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

/// A set of questions about the backward pass of one kind of network.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The assignment's id.
    pub id: String,
    /// BLAKE3 of the file's text, in hexadecimal.
    pub digest: String,
    /// The assignment's title.
    pub title: String,
    /// A description of the assignment.
    pub description: String,
    /// The network of every question.
    pub network: NetworkSpec,
    /// The course's layout, letters and constants.
    pub convention: Convention,
    /// The partial credit for wrong answers.
    pub rubric: Rubric,
    /// The fixed numbers, by name.
    pub given: Vec<Given>,
    /// The questions, in the file's order; their ids differ.
    pub questions: Vec<Question>,
}

/// The shares of a question's points, from 0 to 1, for answers that are nearly right.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rubric {
    /// The result is the transpose of the right one.
    pub transposed: f64,
    /// The result is a constant multiple of the right one.
    pub constant_factor: f64,
    /// The result has the opposite sign.
    pub sign: f64,
    /// One mask is missing, inverted or another one.
    pub one_mask: f64,
    /// One index is wrong.
    pub one_index: f64,
    /// The result is right at one batch size only.
    pub one_batch_size: f64,
    /// Multiplied by the share of right entries in a matrix that is written out.
    pub entries: f64,
    /// The formula is right, but the answer states another shape for it.
    pub stated_shape: f64,
    /// The formula is right, but the answer calls it another derivative.
    pub stated_derivative: f64,
    /// The result follows from the student's own wrong answer to an earlier question.
    pub carried_forward: f64,
}

/// The kind of answer that a question asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// A formula with the values of the right one.
    #[default]
    Formula,
    /// One number.
    Number,
    /// A shape, such as 2 × 3 or m × 2.
    Shape,
    /// One of the choices.
    Choice,
}

/// The shape of the derivative of a vector with respect to a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JacobianLayout {
    /// A row for each entry of the numerator.
    #[default]
    Numerator,
    /// A row for each entry of the denominator.
    Denominator,
}

/// The numbers of samples in a question's networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchKind {
    /// m = 1.
    #[default]
    One,
    /// m from 1, 2, 3 and 5.
    Many,
}

/// One derivative to derive.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question's id within the assignment.
    pub id: String,
    /// The heading above the question.
    pub part: String,
    /// The question's text.
    pub prompt: String,
    /// The points for the right answer; above 0.
    pub points: f64,
    /// The kind of answer.
    #[serde(default)]
    pub kind: AnswerKind,
    /// The numbers of samples in its networks.
    #[serde(default)]
    pub batch: BatchKind,
    /// The quantity to differentiate; with `wrt`, or both left out where the solution itself is the truth.
    pub of: Option<String>,
    /// The quantity to differentiate with respect to.
    pub wrt: Option<String>,
    /// The layout of the derivative of a vector with respect to a vector.
    #[serde(default)]
    pub jacobian: JacobianLayout,
    /// The indices that the answer leaves open: lower-case letters.
    #[serde(default)]
    pub free: Vec<char>,
    /// Letters for layers: with `l = 2`, `W^{l+1}` is W³.
    #[serde(default)]
    pub layers: BTreeMap<String, usize>,
    /// The names of the scalar in a question about a function of one number: lower-case letters.
    #[serde(default)]
    pub argument: Vec<String>,
    /// Gradients that the answer may use besides the network's quantities.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Symbols that the answer may not use.
    #[serde(default)]
    pub forbid: Vec<String>,
    /// A right answer, which is checked against the derivative itself. Of a choice, the letter of the right one.
    pub solution: String,
    /// Other answers that are right too, although their values differ.
    #[serde(default)]
    pub accept: Vec<String>,
    /// What to choose from: the answer is a letter, A for the first.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The name of the fixed numbers at which the value is asked for.
    pub given: Option<String>,
    /// Of a number, the allowed error relative to the solution; of an answer at given numbers, relative to its largest
    /// entry.
    pub tolerance: Option<f64>,
    /// Hints, each more specific than the one before.
    #[serde(default)]
    pub hints: Vec<String>,
    /// Tags for class statistics.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Expected wrong answers.
    #[serde(default)]
    pub mistakes: Vec<CatalogueEntry>,
    /// Earlier answers that this one may build on.
    #[serde(default)]
    pub carry: Vec<Carry>,
}

/// An expected wrong answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    /// The mistake in it.
    pub code: Mistake,
    /// The answer.
    pub answer: String,
    /// The hint for students who give it.
    pub hint: Option<String>,
}

/// How an answer builds on the answer to an earlier question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carry {
    /// The earlier question's id.
    pub from: String,
    /// The derivative that the earlier answer replaces.
    pub stands_for: String,
    /// The right answer in terms of it.
    pub formula: String,
}

impl Default for Rubric {
    fn default() -> Self {
        Self {
            transposed: 0.75,
            constant_factor: 0.75,
            sign: 0.75,
            one_mask: 0.5,
            one_index: 0.5,
            one_batch_size: 0.5,
            entries: 0.5,
            stated_shape: 0.75,
            stated_derivative: 0.75,
            carried_forward: 0.5,
        }
    }
}

impl Assignment {
    /// Reads the TOML `text` of the file called `file_name`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line: text that is not TOML, fields that are unknown or missing, ids
    /// that repeat, points that are not above 0, shares outside 0 to 1, sizes beyond the limits, no question.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, AssignmentError> {
        read(text).map_err(|(at, reason)| AssignmentError {
            file: file_name.to_owned(),
            line: 1 + text.bytes().take(at).filter(|&b| b == b'\n').count(),
            reason,
        })
    }

    /// The question called `id`.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// The fixed numbers of this name.
    pub fn given(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name)
    }

    /// The points of all questions.
    pub fn max_score(&self) -> f64 {
        self.questions.iter().map(|question| question.points).sum()
    }
}

/// An error: the position of its byte, and the reason.
type Fault = (usize, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Spanned<String>,
    title: String,
    #[serde(default)]
    description: String,
    network: Spanned<NetworkFile>,
    layout: Option<LayoutWord>,
    weights: Option<WeightShape>,
    notation: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    constants: BTreeMap<String, ConstantFile>,
    #[serde(default)]
    rubric: Option<Spanned<Rubric>>,
    #[serde(default)]
    given: Option<Spanned<toml::Table>>,
    #[serde(default)]
    questions: Vec<Spanned<Question>>,
}

fn read(text: &str) -> Result<Assignment, Fault> {
    if text.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes; at most {MAX_FILE_BYTES} are read", text.len());
        return Err((0, reason));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().to_owned())
    })?;
    check_id(file.id.get_ref()).map_err(|reason| (file.id.span().start, reason))?;
    let at = file.network.span().start;
    let network =
        NetworkSpec::of_assignment(file.network.get_ref()).map_err(|reason| (at, reason))?;
    let convention = ConventionFile {
        layout: file.layout,
        weights: file.weights,
        notation: file.notation,
        names: file.names,
        constants: file.constants,
    };
    let convention = convention
        .read(&network)
        .map_err(|reasons| (file.id.span().start, reasons.join("; ")))?;
    let rubric = match file.rubric {
        None => Rubric::default(),
        Some(rubric) => {
            check_rubric(rubric.get_ref()).map_err(|reason| (rubric.span().start, reason))?;
            rubric.into_inner()
        }
    };
    let given = match file.given {
        None => Vec::new(),
        Some(tables) => given::read(tables.get_ref(), &network, &convention)
            .map_err(|reasons| (tables.span().start, reasons.join("; ")))?,
    };
    Ok(Assignment {
        id: file.id.into_inner(),
        digest: blake3::hash(text.as_bytes()).to_string(),
        title: file.title,
        description: file.description,
        network,
        convention,
        rubric,
        given,
        questions: questions(file.questions)?,
    })
}

fn questions(file: Vec<Spanned<Question>>) -> Result<Vec<Question>, Fault> {
    if file.is_empty() || file.len() > MAX_QUESTIONS {
        let reason = format!("{} questions; 1 to {MAX_QUESTIONS} are allowed", file.len());
        return Err((0, reason));
    }
    let mut earlier = HashSet::new();
    for question in &file {
        let (at, question) = (question.span().start, question.get_ref());
        check_question(question, &earlier)
            .map_err(|reason| (at, format!("question {:?}: {reason}", question.id)))?;
        earlier.insert(question.id.as_str());
    }
    Ok(file.into_iter().map(Spanned::into_inner).collect())
}

fn check_question(question: &Question, earlier: &HashSet<&str>) -> Result<(), String> {
    check_id(&question.id)?;
    if earlier.contains(question.id.as_str()) {
        return Err("another question has this id".to_owned());
    }
    if !(question.points > 0.0 && question.points.is_finite()) {
        return Err(format!("points {} are not above 0", question.points));
    }
    check_kind(question)?;
    let mut letters = HashSet::new();
    let free = question.free.iter().map(char::to_string);
    for letter in free.chain(question.argument.iter().cloned()) {
        if !matches!(letter.as_bytes(), [b'a'..=b'z']) {
            return Err(format!("{letter:?} is not a lower-case letter from a to z"));
        }
        if !letters.insert(letter.clone()) {
            return Err(format!("the letter {letter:?} stands twice"));
        }
    }
    for carry in &question.carry {
        if !earlier.contains(carry.from.as_str()) {
            let from = &carry.from;
            return Err(format!("carry from {from:?}, which is no earlier question"));
        }
    }
    Ok(())
}

/// The fields that belong to the kind of answer, and no others.
fn check_kind(question: &Question) -> Result<(), String> {
    let is_derivative = match (&question.of, &question.wrt) {
        (Some(_), Some(_)) => true,
        (None, None) => false,
        (Some(_), None) => return Err("of stands without wrt".to_owned()),
        (None, Some(_)) => return Err("wrt stands without of".to_owned()),
    };
    let kind = question.kind;
    if is_derivative && kind != AnswerKind::Formula {
        return Err("of and wrt are for kind = \"formula\"".to_owned());
    }
    if !question.choices.is_empty() && kind != AnswerKind::Choice {
        return Err("choices are for kind = \"choice\"".to_owned());
    }
    if kind == AnswerKind::Choice && !(2..=MAX_CHOICES).contains(&question.choices.len()) {
        let choices = question.choices.len();
        return Err(format!("{choices} choices; 2 to {MAX_CHOICES} are allowed"));
    }
    if question.given.is_some() {
        let other = [
            (kind != AnswerKind::Formula, "a kind other than \"formula\""),
            (
                !question.free.is_empty(),
                "free indices: ask for the whole matrix",
            ),
            (!question.argument.is_empty(), "an argument"),
            (!question.carry.is_empty(), "carry"),
        ];
        if let Some((_, other)) = other.iter().find(|(is_there, _)| *is_there) {
            return Err(format!("a question at given numbers cannot have {other}"));
        }
    }
    match question.tolerance {
        Some(_) if kind != AnswerKind::Number && question.given.is_none() => {
            Err("tolerance is for kind = \"number\", and for questions at given numbers".to_owned())
        }
        Some(tolerance) if !(0.0..=1.0).contains(&tolerance) => {
            Err(format!("tolerance = {tolerance} is not from 0 to 1"))
        }
        _ => Ok(()),
    }
}

fn check_id(id: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(fits) {
        let allowed = format!("1 to {MAX_ID_BYTES} of a-z, A-Z, 0-9, '.', '-' and '_'");
        return Err(format!("id {id:?} is not made of {allowed}"));
    }
    Ok(())
}

fn check_rubric(rubric: &Rubric) -> Result<(), String> {
    let shares = [
        ("transposed", rubric.transposed),
        ("constant_factor", rubric.constant_factor),
        ("sign", rubric.sign),
        ("one_mask", rubric.one_mask),
        ("one_index", rubric.one_index),
        ("one_batch_size", rubric.one_batch_size),
        ("entries", rubric.entries),
        ("stated_shape", rubric.stated_shape),
        ("stated_derivative", rubric.stated_derivative),
        ("carried_forward", rubric.carried_forward),
    ];
    match shares
        .iter()
        .find(|(_, share)| !(0.0..=1.0).contains(share))
    {
        None => Ok(()),
        Some((name, share)) => Err(format!("{name} = {share} is not a share from 0 to 1")),
    }
}

#[cfg(test)]
mod tests;
