//! The proof that a question's networks tell right from wrong, for the instructor: the conditions that they meet, the
//! listed mistakes that they tell apart, and probes, which are wrong answers of the kinds that no list foresees.

use std::sync::Arc;

use std::fmt;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::grader::Grader;
use super::question::{Prepared, best};
use super::sample::{BATCH_SIZES, Condition, Seed, constants};
use super::solution::Solution;
use super::values::evaluate_on;
use super::{Assignment, BatchKind, Layout, Mistake, Network, Numbers, Samples};
use crate::formula::{
    Bindings as _, Comparison, Expr, Function, Kind, Matrix, Notation, Operator, Symbol, readings,
    render,
};
use backpropd_engine::nn::Loss;

/// Values that a student may compare with in place of 0.
const THRESHOLDS: [f64; 8] = [0.3, 0.5, 1.0, 2.0, -0.3, -0.5, -1.0, -2.0];
/// The same in a mask that does not belong there.
const MASK_THRESHOLDS: [f64; 5] = [0.0, 0.3, 0.5, 1.0, -0.3];
/// The networks with unconditioned numbers on which a probe that fits the question's own is tried.
const UNCONDITIONED: usize = 40;
/// Their numbers are at most this large.
const LARGEST: f64 = 2.0;
/// They are no secret: no answer's verdict depends on them.
const SEED: Seed = [7; 32];
/// A unit of theirs is at least this far from its kink.
const LEAST_DISTANCE: f64 = 1e-6;

/// The proof of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Proofs {
    /// The assignment's id.
    pub assignment: String,
    /// Every question, in the assignment's order; all of them again for a second layout in which they are graded.
    pub questions: Vec<QuestionProof>,
}

/// The proof of one question. Everything in it is the same for every secret, but for rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionProof {
    /// The question's id.
    pub id: String,
    /// The layout in which its answers are read.
    pub layout: Layout,
    /// The batch size of each network on which an answer is evaluated.
    pub batch_sizes: Vec<usize>,
    /// The conditions that some network meets.
    pub met: Vec<Condition>,
    /// The conditions that no network meets, because this shape of network cannot, or was not found to.
    pub left_out: Vec<Condition>,
    /// The listed mistakes.
    pub mistakes: Vec<MistakeProof>,
    /// The pairs of listed mistakes with different codes, all of which are told apart.
    pub pairs: usize,
    /// The number of probes that are told from the right answer.
    pub probes: usize,
    /// The probes that equal the right answer on other networks as well, so that they are right.
    pub equal: Vec<String>,
    /// The probes that differ from the right answer on other networks only: such an answer is CORRECT and should not
    /// be.
    pub unproven: Vec<String>,
}

/// One listed mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MistakeProof {
    /// Its code.
    pub code: Mistake,
    /// The answer that makes it.
    pub answer: String,
    /// The networks on which it differs from the right answer; at least 1.
    pub networks: usize,
}

impl Proofs {
    /// Whether no question has an unproven probe.
    pub fn is_complete(&self) -> bool {
        let mut questions = self.questions.iter();
        questions.all(|question| question.unproven.is_empty())
    }
}

impl Grader {
    /// What is proved about each question.
    pub fn proofs(&self) -> Proofs {
        Proofs {
            assignment: self.assignment().id.clone(),
            questions: self
                .layouts()
                .flat_map(|(layout, all)| all.iter().map(move |prepared| (layout, prepared)))
                .map(|(layout, prepared)| prove(self.assignment(), layout, prepared))
                .collect(),
        }
    }

    /// Whether an answer, in the reading that was graded, is the right answer on `count` networks with unconditioned
    /// numbers as well. `None` if it was not read.
    pub fn holds_elsewhere(&self, question: &str, answer: &str, count: usize) -> Option<bool> {
        let prepared = self.prepared().iter();
        let prepared = prepared.clone().find(|own| own.question.id == question)?;
        let expr = self.reading(question, answer)?;
        let layout = self
            .layouts()
            .next()
            .map_or_else(Layout::default, |(layout, _)| layout);
        let networks = unconditioned(self.assignment(), layout, prepared.question.batch, count);
        Some(agrees(&prepared.solution, &[expr], &networks))
    }
}

fn prove(assignment: &Assignment, layout: Layout, prepared: &Prepared) -> QuestionProof {
    // At given numbers there is one network, which meets what it meets: the proof is of the formula.
    let elsewhere = prepared.numbers.as_ref().map(|numbers| &numbers.elsewhere);
    let solution = elsewhere.unwrap_or(&prepared.solution);
    // Conditions speak of samples as rows, as the numbers are drawn.
    let rows: Vec<Network> = solution
        .networks
        .iter()
        .map(|network| network.clone().in_layout(Layout::default()))
        .collect();
    let batch_sizes: Vec<usize> = solution.networks.iter().map(Network::samples).collect();
    let mut sizes = batch_sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let all = Condition::all(&assignment.network, prepared.question.batch, &sizes);
    let (met, left_out) = all
        .into_iter()
        .partition(|condition| rows.iter().any(|network| condition.holds(network)));
    let mistakes: Vec<MistakeProof> = prepared
        .mistakes()
        .map(|(code, answer, networks)| MistakeProof {
            code,
            answer: answer.to_owned(),
            networks,
        })
        .collect();
    let codes = mistakes.iter().enumerate();
    let pairs = codes
        .map(|(at, own)| {
            let earlier = mistakes[..at].iter();
            earlier.filter(|earlier| earlier.code != own.code).count()
        })
        .sum();
    let others = unconditioned(assignment, layout, prepared.question.batch, UNCONDITIONED);
    let mut proof = QuestionProof {
        id: prepared.question.id.clone(),
        layout,
        batch_sizes,
        met,
        left_out,
        mistakes,
        pairs,
        probes: 0,
        equal: Vec::new(),
        unproven: Vec::new(),
    };
    for probe in probes(solution) {
        let readings = readings(&probe);
        if !agrees(solution, &readings, &solution.networks) {
            proof.probes += 1;
        } else if agrees(solution, &readings, &others) {
            proof.equal.push(render(&probe, Notation::Plain));
        } else {
            proof.unproven.push(render(&probe, Notation::Plain));
        }
    }
    proof
}

/// Whether a formula equals the right one on `networks`.
fn agrees(solution: &Solution, readings: &[Expr], networks: &[Network]) -> bool {
    let right = evaluate_on(&solution.formula, networks, &solution.letters);
    let values = readings
        .iter()
        .map(|reading| evaluate_on(reading, networks, &solution.letters));
    best(values).agrees_with(&right)
}

/// Networks with numbers of either sign and any magnitude up to [`LARGEST`], but for units on their kink, where two
/// answers are right.
fn unconditioned(
    assignment: &Assignment,
    layout: Layout,
    kind: BatchKind,
    count: usize,
) -> Vec<Network> {
    let mut generator = ChaCha8Rng::from_seed(SEED);
    let (spec, convention) = (&assignment.network, &assignment.convention);
    let architecture = &spec.architecture;
    let outputs = architecture.output_size();
    let mut networks = Vec::with_capacity(count);
    for at in 0..4 * count {
        if networks.len() == count {
            break;
        }
        let samples = match kind {
            BatchKind::One => 1,
            BatchKind::Many => BATCH_SIZES[at % BATCH_SIZES.len()],
        };
        let mut numbers = |count: usize| -> Vec<f64> {
            let number = |_| LARGEST * (2.0 * generator.random::<f64>() - 1.0);
            (0..count).map(number).collect()
        };
        let parameters = numbers(architecture.parameter_count());
        let inputs = numbers(samples * architecture.input_size());
        let mut targets = numbers(samples * outputs);
        let argument = 2.0 * numbers(1)[0];
        match spec.objective.loss {
            Loss::CrossEntropy => {
                for (k, row) in targets.chunks_mut(outputs).enumerate() {
                    row.fill(0.0);
                    row[(at + k) % outputs] = 1.0;
                }
            }
            Loss::BinaryCrossEntropy => {
                for y in &mut targets {
                    *y = f64::from(u8::from(*y > 0.0));
                }
            }
            Loss::HalfSquaredError | Loss::MeanSquaredError => {}
        }
        let numbers = Numbers {
            parameters,
            inputs,
            targets,
            argument,
        };
        let network = Network::new(spec, &numbers);
        if is_off_kinks(&network) {
            let values = constants(&convention.constants, SEED, at);
            networks.push(network.in_layout(layout).with_constants(values));
        }
    }
    networks
}

fn is_off_kinks(network: &Network) -> bool {
    let layers = (1..).zip(network.architecture().layers());
    let mut kinked = layers.filter(|(_, layer)| layer.activation.has_kink());
    kinked.all(|(i, _)| {
        let z = network.value(Symbol::PreActivation(i));
        let mut entries = z.into_iter().flat_map(Matrix::entries);
        entries.all(|z| z.abs() > LEAST_DISTANCE)
    })
}

/// Wrong answers of the kinds that students write: each quantity of the solution masked by each quantity of its shape,
/// each threshold moved, each quantity without its sign, or clipped at 1.
fn probes(solution: &Solution) -> Vec<Expr> {
    let formula = &solution.formula;
    let Some(network) = solution.networks.first() else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (at, piece) in formula.pieces().enumerate() {
        let changes = match &piece.kind {
            Kind::Compare(..) => moved_thresholds(piece),
            Kind::Symbol(symbol) if !is_compared(formula, at) => {
                changed_quantities(*symbol, piece, network)
            }
            _ => Vec::new(),
        };
        all.extend(
            changes
                .into_iter()
                .map(|change| replaced(formula, at, change)),
        );
    }
    all
}

/// Whether the piece at an index is inside a comparison or a derivative.
fn is_compared(formula: &Expr, at: usize) -> bool {
    let pieces = formula.pieces().enumerate();
    let mut around =
        pieces.filter(|(_, piece)| matches!(piece.kind, Kind::Compare(..) | Kind::Derivative(..)));
    around.any(|(start, piece)| (start..start + piece.pieces().count()).contains(&at))
}

fn moved_thresholds(comparison: &Expr) -> Vec<Expr> {
    let Kind::Compare(how, left, _) = &comparison.kind else {
        return Vec::new();
    };
    THRESHOLDS
        .iter()
        .map(|&threshold| compared(*how, (**left).clone(), threshold))
        .collect()
}

fn compared(how: Comparison, left: Expr, threshold: f64) -> Expr {
    let span = left.span;
    let number = Expr::new(Kind::Number(threshold), span);
    Expr::new(Kind::Compare(how, Arc::new(left), Arc::new(number)), span)
}

fn changed_quantities(symbol: Symbol, piece: &Expr, network: &Network) -> Vec<Expr> {
    let node = |kind| Expr::new(kind, piece.span);
    let own = || node(Kind::Symbol(symbol));
    let Some(shape) = network.value(symbol).map(Matrix::shape) else {
        return Vec::new();
    };
    if matches!(symbol, Symbol::BatchSize | Symbol::Units(_)) {
        return Vec::new();
    }
    let layers = 1..=network.depth();
    let others = layers
        .clone()
        .flat_map(|i| [Symbol::PreActivation(i), Symbol::Activation(i)])
        .chain([Symbol::Delta, Symbol::Targets, Symbol::Argument, symbol]);
    let mut all = Vec::new();
    for other in others {
        if network.value(other).map(Matrix::shape) != Some(shape) {
            continue;
        }
        for threshold in MASK_THRESHOLDS {
            let other = node(Kind::Symbol(other));
            let mask = compared(Comparison::GreaterOrEqual, other, threshold);
            all.push(node(Kind::Binary(
                Operator::Hadamard,
                Arc::new(own()),
                Arc::new(mask),
            )));
        }
    }
    all.push(node(Kind::Call(Function::Abs, vec![own()])));
    let one = node(Kind::Number(1.0));
    all.push(node(Kind::Call(Function::Min, vec![own(), one])));
    all
}

/// A copy with another piece at an index of its pieces.
fn replaced(formula: &Expr, at: usize, by: Expr) -> Expr {
    let mut copy = formula.clone();
    let (mut index, mut by) = (0, Some(by));
    put(&mut copy, at, &mut index, &mut by);
    copy
}

fn put(expr: &mut Expr, at: usize, index: &mut usize, by: &mut Option<Expr>) {
    if *index == at
        && let Some(by) = by.take()
    {
        *expr = by;
        return;
    }
    *index += 1;
    for part in expr.parts_mut() {
        if by.is_none() {
            return;
        }
        put(part, at, index, by);
    }
}

impl fmt::Display for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for question in &self.questions {
            writeln!(f, "{question}")?;
        }
        Ok(())
    }
}

impl fmt::Display for QuestionProof {
    /// One line, and one more for each thing that is left out or unproven.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            layout,
            batch_sizes,
            met,
            left_out,
            mistakes,
            pairs,
            probes,
            equal,
            unproven,
        } = self;
        let mut sizes = batch_sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let columns = match layout.samples {
            Samples::Rows => "",
            Samples::Columns => ", samples as columns",
        };
        write!(
            f,
            "{id}: {} networks (m = {}{columns}), {} of {} conditions met, {} mistakes and {pairs} pairs of them told apart, \
             {probes} of {} probes refused",
            batch_sizes.len(),
            sizes.join(", "),
            met.len(),
            met.len() + left_out.len(),
            mistakes.len(),
            probes + unproven.len(),
        )?;
        if !equal.is_empty() {
            write!(f, ", {} more are right", equal.len())?;
        }
        for condition in left_out {
            write!(f, "\n    left out: {condition}")?;
        }
        for probe in unproven {
            write!(f, "\n    NOT REFUSED, although it is wrong: {probe}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
