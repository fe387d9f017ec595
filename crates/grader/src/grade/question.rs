//! Prepares a question: its networks, the right values on each, and the values of its expected mistakes.

use std::sync::Arc;

use super::closed;
use super::given::{DEFAULT_TOLERANCE, Given};
use super::naming::candidates::Candidates;
use super::network::{Layout, Samples, WeightShape};
use super::sample::{Design, Designs, Sampler, Seed, constants, seed};
use super::solution::Solution;
use super::values::{Values, evaluate_on};
use super::{AnswerKind, Assignment, BatchKind, JacobianLayout, Mistake, Network, Question};
use backpropd_engine::nn::{Architecture, Loss};

use crate::formula::{
    Bindings as _, Expr, Fault, Function, Kind, Scope, Side, Span, Symbol, evaluate, parse,
    readings,
};

/// The most networks to add to tell mistakes from the right answer and from each other.
const MOST_NETWORKS: usize = 32;

/// A wrong answer and its values.
struct Expected {
    code: Mistake,
    hint: Option<String>,
    values: Values,
}

/// A question that is ready to grade answers.
pub(super) struct Prepared {
    pub(super) question: Question,
    pub(super) scope: Scope,
    pub(super) solution: Solution,
    /// The assignment's own expected mistakes, in the file's order.
    catalogue: Vec<Expected>,
    /// The values of other right answers.
    accepted: Vec<Values>,
    pub(super) candidates: Candidates,
    /// Of a question at given numbers.
    pub(super) numbers: Option<AtNumbers>,
    /// The derivative that is asked for, or the solution where the question names none.
    pub(super) asked: Expr,
    allowed: Vec<Symbol>,
    forbidden: Vec<Kind>,
    pub(super) carries: Vec<PreparedCarry>,
}

/// What is asked for at an instructor's own numbers, instead of on sampled networks.
pub(super) struct AtNumbers {
    /// The allowed error of an entry, relative to the largest.
    pub(super) tolerance: f64,
    /// The right answer on sampled networks: a formula can be right at the given numbers alone.
    pub(super) elsewhere: Solution,
}

/// How the question builds on an earlier one.
pub(super) struct PreparedCarry {
    pub(super) from: String,
    pub(super) stands_for: Symbol,
    pub(super) formula: Expr,
}

impl Prepared {
    /// Samples networks and computes the right values; checks the solution and the expected mistakes against them.
    ///
    /// # Errors
    /// A formula of the question that cannot be read or evaluated, a solution that is not right, a mistake that is.
    pub(super) fn new(
        assignment: &Assignment,
        question: &Question,
        layout: Layout,
        secret: &[u8],
        designs: &Designs,
    ) -> Result<Self, String> {
        closed::check(question)?;
        let given = given(assignment, question)?;
        let scope = scope(assignment, question, given, layout);
        let ground = Sampled::new(assignment, question, layout, secret, designs)?;
        let mut networks = match given {
            Some(given) => vec![given.network(&assignment.network, layout)],
            None => ground.first()?,
        };
        let formulas = Formulas::read(question, &scope)?;
        let letters = letters(&formulas.target, &question.free, &networks)?;
        let tolerance = given.map(|_| question.tolerance.unwrap_or(DEFAULT_TOLERANCE));
        loop {
            let reference = formulas.reference(&networks, &letters, tolerance)?;
            let catalogue = formulas.catalogue(question, &networks, &letters);
            if given.is_none()
                && let Some(confused) = confused(&catalogue, &reference)
            {
                if networks.len() >= MOST_NETWORKS {
                    return Err(confusion(question, confused));
                }
                networks.push(ground.network(networks.len())?);
                continue;
            }
            let numbers = match (given, tolerance) {
                (Some(_), Some(tolerance)) => Some(AtNumbers {
                    tolerance,
                    elsewhere: formulas.elsewhere(ground.first()?)?,
                }),
                _ => None,
            };
            let symbols = |texts: &[String]| symbols(texts, &scope);
            return Ok(Self {
                allowed: symbols(&question.allow)?,
                forbidden: forbidden(&question.forbid, &scope)?,
                carries: carries(question, &scope)?,
                accepted: (formulas.accepted.iter())
                    .map(|expr| evaluate_on(expr, &networks, &letters))
                    .collect(),
                question: question.clone(),
                asked: formulas.target,
                solution: Solution {
                    formula: right_reading(formulas.solution, &networks, &letters, &reference),
                    networks,
                    letters,
                    values: reference,
                },
                catalogue,
                candidates: Candidates::default(),
                numbers,
                scope,
            });
        }
    }

    /// Whether these are the values of the right answer, or of another one that the assignment accepts.
    pub(super) fn accepts(&self, values: &Values) -> bool {
        values.agrees_with(&self.solution.values)
            || self.accepted.iter().any(|right| values.agrees_with(right))
    }

    /// The index of the assignment's own mistake that has these values.
    pub(super) fn listed(&self, values: &Values) -> Option<usize> {
        let mut catalogue = self.catalogue.iter();
        catalogue.position(|expected| values.agrees_with(&expected.values))
    }

    /// The code of the assignment's own mistake at an index.
    pub(super) fn listed_mistake(&self, at: usize) -> Mistake {
        self.catalogue
            .get(at)
            .map_or(Mistake::Other, |expected| expected.code)
    }

    /// The assignment's hint for its own mistake at an index.
    pub(super) fn listed_hint(&self, at: usize) -> Option<&str> {
        self.catalogue.get(at)?.hint.as_deref()
    }

    /// The assignment's own mistakes with their values.
    pub(super) fn listed_values(&self) -> Vec<(Mistake, Values)> {
        let catalogue = self.catalogue.iter();
        catalogue
            .map(|expected| (expected.code, expected.values.clone()))
            .collect()
    }

    /// The listed mistakes: code, answer, and on how many networks it differs from the right answer.
    pub(super) fn mistakes(&self) -> impl Iterator<Item = (Mistake, &str, usize)> {
        let right = &self.solution.values;
        let entries = self.catalogue.iter().zip(&self.question.mistakes);
        entries.map(move |(expected, entry)| {
            let agreeing = expected.values.agreeing(right);
            let networks = right.networks.len() - agreeing;
            (expected.code, entry.answer.as_str(), networks)
        })
    }

    /// The first node of `expr` that this question does not accept.
    pub(super) fn forbidden_piece<'e>(&self, expr: &'e Expr) -> Option<&'e Expr> {
        let mut open = vec![expr];
        while let Some(piece) = open.pop() {
            if self.forbids(piece) {
                return Some(piece);
            }
            if !matches!(piece.kind, Kind::Derivative(..)) {
                open.extend(piece.parts().into_iter().rev());
            }
        }
        None
    }

    /// Whether the loss's derivative by a symbol is δ by its definition, where δ may be written.
    fn is_delta(&self, by: Symbol) -> bool {
        let depth = self.scope.depth;
        let same = |network: &Network| {
            let output = network.value(Symbol::Activation(depth));
            output.is_some() && output == network.value(Symbol::PreActivation(depth))
        };
        let is_output = match by {
            Symbol::PreActivation(layer) => layer == depth,
            // f is z of a linear last layer.
            Symbol::Activation(layer) if layer == depth => {
                self.solution.networks.first().is_some_and(same)
            }
            _ => false,
        };
        is_output && !self.forbidden.contains(&Kind::Symbol(Symbol::Delta))
    }

    fn forbids(&self, piece: &Expr) -> bool {
        match &piece.kind {
            Kind::Derivative(of, by) => {
                let by = match &by.kind {
                    Kind::Select(base, _) => &base.kind,
                    other => other,
                };
                let allowed = matches!(by, Kind::Symbol(symbol) if self.allowed.contains(symbol) || self.is_delta(*symbol));
                of.kind != Kind::Symbol(Symbol::Loss) || !allowed
            }
            Kind::Call(Function::SigmaPrime | Function::ReluPrime | Function::TanhPrime, _) => self
                .forbidden
                .iter()
                .any(|kind| matches!(kind, Kind::Call(..))),
            kind => self.forbidden.contains(kind),
        }
    }
}

/// The fixed numbers that a question names.
fn given<'a>(assignment: &'a Assignment, question: &Question) -> Result<Option<&'a Given>, String> {
    let Some(name) = &question.given else {
        return Ok(None);
    };
    match assignment.given(name) {
        Some(given) => Ok(Some(given)),
        None => {
            let known: Vec<&str> = assignment
                .given
                .iter()
                .map(|given| given.name.as_str())
                .collect();
            let known = if known.is_empty() {
                "the file has no [given] table".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            };
            Err(format!("given = {name:?} names no numbers: {known}"))
        }
    }
}

/// What the formulas of a question may use.
fn scope(
    assignment: &Assignment,
    question: &Question,
    given: Option<&Given>,
    layout: Layout,
) -> Scope {
    let spec = &assignment.network;
    let is_one = match given {
        Some(given) => given.samples(spec) == 1,
        None => question.batch == BatchKind::One,
    };
    Scope {
        depth: spec.architecture.depth(),
        argument: question.argument.clone(),
        free: question.free.clone(),
        prediction: prediction(spec.objective.loss),
        layers: question.layers.clone(),
        names: assignment.convention.names.clone(),
        constants: assignment.convention.constant_names(),
        constant_shapes: assignment.convention.constant_shapes(),
        units: units(&spec.architecture),
        columns: layout.samples == Samples::Columns,
        inputs_by_outputs: layout.weights == WeightShape::InputsByOutputs,
        samples: is_one.then_some(1),
    }
}

/// The sampled networks of a question.
struct Sampled<'a> {
    assignment: &'a Assignment,
    is_batch: bool,
    layout: Layout,
    seed: Seed,
    design: &'a Design,
}

impl<'a> Sampled<'a> {
    fn new(
        assignment: &'a Assignment,
        question: &Question,
        layout: Layout,
        secret: &[u8],
        designs: &'a Designs,
    ) -> Result<Self, String> {
        let kind = question.batch;
        let design = designs.get(&assignment.network, kind);
        Ok(Self {
            assignment,
            is_batch: kind == BatchKind::Many,
            layout,
            seed: seed(secret, &assignment.id, &question.id),
            design: design.map_err(|error| error.to_string())?,
        })
    }

    /// Those of the design.
    fn first(&self) -> Result<Vec<Network>, String> {
        (0..self.design.len()).map(|at| self.network(at)).collect()
    }

    fn network(&self, at: usize) -> Result<Network, String> {
        let sampler = Sampler::new(&self.assignment.network, self.design, self.seed);
        let network = sampler.network(at).map_err(|error| error.to_string())?;
        let values = constants(&self.assignment.convention.constants, self.seed, at);
        let network = network.of_batch(self.is_batch);
        Ok(network.in_layout(self.layout).with_constants(values))
    }
}

/// The formulas of a question.
struct Formulas {
    solution: Expr,
    /// The derivative itself, or the solution where it is the truth.
    target: Expr,
    accepted: Vec<Expr>,
    /// The readings of each listed mistake.
    mistakes: Vec<Vec<Expr>>,
}

impl Formulas {
    fn read(question: &Question, scope: &Scope) -> Result<Self, String> {
        let solution = match question.kind {
            AnswerKind::Formula | AnswerKind::Number => read(&question.solution, scope)?,
            // Read for its network alone: the answer is no formula.
            AnswerKind::Shape | AnswerKind::Choice => Expr::new(Kind::Number(0.0), Span::default()),
        };
        let accepted = match question.kind {
            AnswerKind::Formula => &question.accept[..],
            AnswerKind::Number | AnswerKind::Shape | AnswerKind::Choice => &[],
        };
        let mistakes = question.mistakes.iter();
        Ok(Self {
            target: target(question, scope)?.unwrap_or_else(|| solution.clone()),
            solution,
            accepted: (accepted.iter())
                .map(|text| read(text, scope))
                .collect::<Result<_, _>>()?,
            mistakes: mistakes
                .map(|mistake| read(&mistake.answer, scope).map(|expr| readings(&expr)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The right values, with which those of the solution are compared.
    fn reference(
        &self,
        networks: &[Network],
        letters: &[Vec<(char, usize)>],
        tolerance: Option<f64>,
    ) -> Result<Values, String> {
        let reference = evaluate_on(&self.target, networks, letters);
        if let Some(error) = &reference.error {
            return Err(format!("the derivative itself cannot be computed: {error}"));
        }
        let right = evaluate_on(&self.solution, networks, letters).within(tolerance.unwrap_or(0.0));
        if right.agrees_with(&reference) {
            return Ok(reference);
        }
        let why = right
            .error
            .map_or("its values differ".to_owned(), |error| error.to_string());
        Err(format!("the solution is not the derivative: {why}"))
    }

    /// The listed mistakes with their values.
    fn catalogue(
        &self,
        question: &Question,
        networks: &[Network],
        letters: &[Vec<(char, usize)>],
    ) -> Vec<Expected> {
        let mistakes = question.mistakes.iter().zip(&self.mistakes);
        mistakes
            .map(|(mistake, readings)| {
                let values = readings
                    .iter()
                    .map(|reading| evaluate_on(reading, networks, letters));
                Expected {
                    code: mistake.code,
                    hint: mistake.hint.clone(),
                    values: best(values),
                }
            })
            .collect()
    }

    /// The right answer on sampled networks. A solution of numbers has no value there but the derivative's own.
    fn elsewhere(&self, networks: Vec<Network>) -> Result<Solution, String> {
        let is_of_numbers = closed::is_of_numbers(&self.solution);
        let values = evaluate_on(&self.target, &networks, &[Vec::new()]);
        if !is_of_numbers
            && !evaluate_on(&self.solution, &networks, &[Vec::new()]).agrees_with(&values)
        {
            let why = "the solution is the derivative at the given numbers alone: write the formula, or the numbers";
            return Err(why.to_owned());
        }
        Ok(Solution {
            formula: if is_of_numbers {
                self.target.clone()
            } else {
                right_reading(self.solution.clone(), &networks, &[Vec::new()], &values)
            },
            networks,
            letters: vec![Vec::new()],
            values,
        })
    }
}

/// The reading of a solution that has the right values: its changes are those of one tree.
fn right_reading(
    solution: Expr,
    networks: &[Network],
    letters: &[Vec<(char, usize)>],
    right: &Values,
) -> Expr {
    let mut readings = readings(&solution);
    if readings.len() == 1 {
        return solution;
    }
    let is_right = |reading: &Expr| evaluate_on(reading, networks, letters).agrees_with(right);
    let at = readings.iter().position(is_right);
    at.map_or(solution, |at| readings.swap_remove(at))
}

/// Why a mistake cannot be listed.
fn confusion(question: &Question, (at, other): (usize, Option<usize>)) -> String {
    let answer = |at: usize| &question.mistakes[at].answer;
    match other {
        None => format!(
            "the mistake {:?} has the values of the right answer",
            answer(at)
        ),
        Some(other) => format!(
            "the mistakes {:?} and {:?} have the same values and different codes",
            answer(other),
            answer(at)
        ),
    }
}

/// The first mistake that the networks do not tell from the right answer (paired with `None`), or from an earlier
/// mistake with another code.
fn confused(catalogue: &[Expected], reference: &Values) -> Option<(usize, Option<usize>)> {
    catalogue.iter().enumerate().find_map(|(at, expected)| {
        if expected.values.agrees_with(reference) {
            return Some((at, None));
        }
        let other = catalogue[..at].iter().position(|earlier| {
            earlier.code != expected.code && earlier.values.agrees_with(&expected.values)
        });
        other.map(|other| (at, Some(other)))
    })
}

/// The values of the reading that evaluates furthest.
pub(super) fn best(candidates: impl Iterator<Item = Values>) -> Values {
    let most = candidates.max_by_key(Values::evaluated);
    most.unwrap_or_default()
}

/// What makes probabilities of the output of a classifier.
fn prediction(loss: Loss) -> Option<Function> {
    match loss {
        Loss::CrossEntropy => Some(Function::Softmax),
        Loss::BinaryCrossEntropy => Some(Function::Sigmoid),
        Loss::HalfSquaredError | Loss::MeanSquaredError => None,
    }
}

/// The derivative that a question asks for; `None` where its solution is the truth.
fn target(question: &Question, scope: &Scope) -> Result<Option<Expr>, String> {
    let (Some(of), Some(wrt)) = (&question.of, &question.wrt) else {
        return Ok(None);
    };
    let (of, wrt) = (read(of, scope)?, read(wrt, scope)?);
    let span = of.span;
    let derivative = Expr::new(Kind::Derivative(Arc::new(of), Arc::new(wrt)), span);
    Ok(Some(match question.jacobian {
        JacobianLayout::Numerator => derivative,
        JacobianLayout::Denominator => derivative.transposed(),
    }))
}

/// A formula from an assignment file: a single side that parses.
fn read(text: &str, scope: &Scope) -> Result<Expr, String> {
    let chains = parse(text, scope).map_err(|error| error.show(text))?;
    match chains.into_iter().next().and_then(|mut sides| sides.pop()) {
        Some(Side { expr: Ok(expr), .. }) => Ok(expr),
        Some(Side {
            expr: Err(error), ..
        }) => Err(error.show(text)),
        None => Err(format!("{text:?} holds no formula")),
    }
}

fn symbols(texts: &[String], scope: &Scope) -> Result<Vec<Symbol>, String> {
    let symbol = |text: &String| match read(text, scope)?.kind {
        Kind::Symbol(symbol) => Ok(symbol),
        _ => Err(format!("{text:?} is not a quantity such as h^1")),
    };
    texts.iter().map(symbol).collect()
}

/// `\delta` forbids δ; `\sigma'` forbids every derivative of an activation by name.
fn forbidden(texts: &[String], scope: &Scope) -> Result<Vec<Kind>, String> {
    let kind = |text: &String| {
        if text.contains('\'') {
            return Ok(Kind::Call(Function::SigmaPrime, Vec::new()));
        }
        read(text, scope).map(Expr::into_kind)
    };
    texts.iter().map(kind).collect()
}

fn carries(question: &Question, scope: &Scope) -> Result<Vec<PreparedCarry>, String> {
    let carry = |carry: &super::Carry| {
        let stands_for = match read(&carry.stands_for, scope)?.into_kind() {
            Kind::Derivative(_, by) => match by.kind {
                Kind::Symbol(symbol) => symbol,
                _ => return Err(format!("{:?} is not \\partial_X l", carry.stands_for)),
            },
            _ => return Err(format!("{:?} is not \\partial_X l", carry.stands_for)),
        };
        Ok(PreparedCarry {
            from: carry.from.clone(),
            stands_for,
            formula: read(&carry.formula, scope)?,
        })
    };
    question.carry.iter().map(carry).collect()
}

/// All values of the free indices for which the derivative exists.
fn letters(
    target: &Expr,
    free: &[char],
    networks: &[Network],
) -> Result<Vec<Vec<(char, usize)>>, String> {
    /// No dimension of an assignment's network is larger.
    const LONGEST: usize = 64;
    let Some(network) = networks.first() else {
        return Err("there is no network".to_owned());
    };
    let mut all = vec![Vec::new()];
    for &letter in free {
        let exists = |value: usize| {
            let bound: Vec<_> = free
                .iter()
                .map(|&name| (name, if name == letter { value } else { 1 }))
                .collect();
            evaluate(target, network, &bound)
        };
        let mut length = 0;
        while length < LONGEST && exists(length + 1).is_ok() {
            length += 1;
        }
        if length == 0 {
            let why = exists(1)
                .err()
                .map_or(String::new(), |error| error.to_string());
            return Err(format!("the free index {letter} has no range: {why}"));
        }
        all = all
            .into_iter()
            .flat_map(|bound: Vec<(char, usize)>| {
                (1..=length)
                    .map(move |value| bound.iter().copied().chain([(letter, value)]).collect())
            })
            .collect();
    }
    if free.is_empty()
        && let Err(error) = evaluate(target, network, &[])
        && error.fault == Fault::UnboundIndex
    {
        return Err(error.to_string());
    }
    Ok(all)
}

/// n₀, n₁, …, for the reader of programs.
fn units(architecture: &Architecture) -> Vec<usize> {
    let layers = architecture.layers().iter().map(|layer| layer.units);
    std::iter::once(architecture.input_size())
        .chain(layers)
        .collect()
}
