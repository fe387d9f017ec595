//! Prepares a question: its networks, the right values on each, and the values of its expected mistakes.

use super::closed;
use super::naming::candidates::Candidates;
use super::network::{Layout, Samples, WeightShape};
use super::sample::{Designs, Sampler, constants, seed};
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
    allowed: Vec<Symbol>,
    forbidden: Vec<Kind>,
    pub(super) carries: Vec<PreparedCarry>,
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
    #[allow(
        clippy::too_many_lines,
        reason = "read, sample, compare: one after the other"
    )]
    pub(super) fn new(
        assignment: &Assignment,
        question: &Question,
        layout: Layout,
        secret: &[u8],
        designs: &Designs,
    ) -> Result<Self, String> {
        let spec = &assignment.network;
        let scope = Scope {
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
            samples: (question.batch == BatchKind::One).then_some(1),
        };
        let seed = seed(secret, &assignment.id, &question.id);
        let design = designs
            .get(spec, question.batch)
            .map_err(|error| error.to_string())?;
        let sampler = Sampler::new(spec, design, seed);
        let convention = &assignment.convention;
        let sample = |at| {
            let network = sampler.network(at).map_err(|error| error.to_string())?;
            let values = constants(&convention.constants, seed, at);
            let network = network.of_batch(question.batch == BatchKind::Many);
            Ok::<_, String>(network.in_layout(layout).with_constants(values))
        };
        let mut networks = (0..design.len())
            .map(sample)
            .collect::<Result<Vec<_>, _>>()?;
        let solution = match question.kind {
            AnswerKind::Formula | AnswerKind::Number => read(&question.solution, &scope)?,
            // Read for its network alone: the answer is no formula.
            AnswerKind::Shape | AnswerKind::Choice => Expr::new(Kind::Number(0.0), Span::default()),
        };
        let target = target(question, &scope)?.unwrap_or_else(|| solution.clone());
        let letters = letters(&target, &question.free, &networks)?;
        let accepted = question.accept.iter();
        let accepted: Vec<Expr> = match question.kind {
            AnswerKind::Formula => accepted
                .map(|text| read(text, &scope))
                .collect::<Result<_, _>>()?,
            AnswerKind::Number | AnswerKind::Shape | AnswerKind::Choice => Vec::new(),
        };
        let mistakes: Vec<Vec<Expr>> = question
            .mistakes
            .iter()
            .map(|mistake| read(&mistake.answer, &scope).map(|expr| readings(&expr)))
            .collect::<Result<_, _>>()?;
        loop {
            let reference = evaluate_on(&target, &networks, &letters);
            if let Some(error) = &reference.error {
                return Err(format!("the derivative itself cannot be computed: {error}"));
            }
            let right = evaluate_on(&solution, &networks, &letters);
            if !right.agrees_with(&reference) {
                let why = right
                    .error
                    .map_or("its values differ".to_owned(), |error| error.to_string());
                return Err(format!("the solution is not the derivative: {why}"));
            }
            let catalogue: Vec<Expected> = question
                .mistakes
                .iter()
                .zip(&mistakes)
                .map(|(mistake, readings)| Expected {
                    code: mistake.code,
                    hint: mistake.hint.clone(),
                    values: best(
                        readings
                            .iter()
                            .map(|reading| evaluate_on(reading, &networks, &letters)),
                    ),
                })
                .collect();
            let confused = confused(&catalogue, &reference);
            if confused.is_none() || networks.len() >= MOST_NETWORKS {
                if let Some((at, other)) = confused {
                    let answer = |at: usize| &question.mistakes[at].answer;
                    return Err(match other {
                        None => format!(
                            "the mistake {:?} has the values of the right answer",
                            answer(at)
                        ),
                        Some(other) => format!(
                            "the mistakes {:?} and {:?} have the same values and different codes",
                            answer(other),
                            answer(at)
                        ),
                    });
                }
                let scope_for = &scope;
                let symbols = |texts: &[String]| symbols(texts, scope_for);
                let prepared = Self {
                    allowed: symbols(&question.allow)?,
                    forbidden: forbidden(&question.forbid, &scope)?,
                    carries: carries(question, &scope)?,
                    accepted: accepted
                        .iter()
                        .map(|expr| evaluate_on(expr, &networks, &letters))
                        .collect(),
                    question: question.clone(),
                    solution: Solution {
                        formula: solution,
                        networks,
                        letters,
                        values: reference,
                    },
                    catalogue,
                    candidates: Candidates::default(),
                    scope,
                };
                closed::check(question)?;
                return Ok(prepared);
            }
            networks.push(sample(networks.len())?);
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

impl Prepared {
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
    let derivative = Expr::new(Kind::Derivative(Box::new(of), Box::new(wrt)), span);
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
