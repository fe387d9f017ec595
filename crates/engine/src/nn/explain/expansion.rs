//! From definitions to equations: one, one with the chain rule multiplied out, or all down to the leaves.

use std::collections::HashMap;

use super::super::{Objective, Pass, Quantity, Scalar};
use super::definition::{Part, Source};
use super::{Detail, Entry, Equation, ExplainLimits, Explanation, Factor, Folded, Term, notation};

/// Adding up this many terms takes about as long as listing a factor, and counts as one.
const TERMS_PER_FACTOR: usize = 32;

/// The terms of an equation that are listed.
struct Listed {
    terms: Vec<Vec<Part>>,
    folded: Option<Folded>,
    /// Whether the last term follows the folded ones.
    ends_with_bias: bool,
    sum: f64,
}

/// The numbers of the equations that explain parts; 0 for a part that the limits leave unexplained.
#[derive(Default)]
struct Numbers(HashMap<Part, usize>);

impl<T: Scalar> Pass<'_, T> {
    /// Explains an entry of a quantity that is computed. An entry of dx needs a backward pass that computed it.
    pub fn explain(
        &self,
        objective: Objective,
        entry: Entry,
        detail: Detail,
        limits: ExplainLimits,
    ) -> Explanation {
        let source = Source::new(self, objective);
        match detail {
            Detail::Definition => source.definition_alone(entry, limits),
            Detail::Chain => source.chain(entry, limits),
            Detail::Leaves => source.leaves(entry, limits),
        }
    }
}

impl<T: Scalar> Source<'_, T> {
    pub(super) fn definition_alone(&self, entry: Entry, limits: ExplainLimits) -> Explanation {
        let part = Part::Entry(entry);
        let listed = self.list(part, limits.terms);
        Explanation {
            equations: vec![self.equation(part, &listed, &Numbers::default())],
            unexplained: 0,
        }
    }

    /// Multiplies out dz and dh, a generation of factors after the other, as long as the terms fit the limits.
    pub(super) fn chain(&self, entry: Entry, limits: ExplainLimits) -> Explanation {
        let part = Part::Entry(entry);
        let mut listed = self.list(part, limits.terms);
        let mut unexplained = 0;
        loop {
            let links: Vec<Option<usize>> = listed
                .terms
                .iter()
                .map(|term| term.iter().position(|&part| self.is_link(part)))
                .collect();
            let pairs = || listed.terms.iter().zip(&links);
            let open = links.iter().flatten().count();
            if open == 0 {
                break;
            }
            let grown: usize = pairs()
                .map(|(term, link)| link.map_or(1, |at| self.terms(term[at])))
                .fold(0, usize::saturating_add);
            // Each step of the chain puts at most one more factor into a term.
            let longest = listed.terms.iter().map(Vec::len).max().unwrap_or(0) + 1;
            if grown > limits.terms || grown.saturating_mul(longest) > limits.factors {
                unexplained = open;
                break;
            }
            let mut next = Vec::with_capacity(grown);
            for (term, link) in pairs() {
                let Some(at) = *link else {
                    next.push(term.clone());
                    continue;
                };
                for index in 0..self.terms(term[at]) {
                    let product = self.term(term[at], index);
                    next.push([&term[..at], product.parts(), &term[at + 1..]].concat());
                }
            }
            listed.terms = next;
        }
        let folded = listed
            .folded
            .map_or(T::ZERO, |folded| T::from_f64(folded.value));
        listed.sum = self.sum(listed.terms.iter(), folded).to_f64();
        Explanation {
            equations: vec![self.equation(part, &listed, &Numbers::default())],
            unexplained,
        }
    }

    /// Whether the chain rule goes on through a factor: to its definition, which consists of gradients above it.
    fn is_link(&self, part: Part) -> bool {
        let Part::Entry(own) = part else {
            return false;
        };
        let is_gradient = matches!(
            own.quantity,
            Quantity::PreActivationGradient | Quantity::ActivationGradient
        );
        is_gradient && own.layer < self.depth()
    }

    /// The equation of the entry, then those of its factors, breadth first.
    pub(super) fn leaves(&self, entry: Entry, limits: ExplainLimits) -> Explanation {
        let mut queue = vec![Part::Entry(entry)];
        let mut numbers = Numbers::default();
        numbers.0.insert(queue[0], 1);
        let mut lists = Vec::new();
        let (mut factors, mut unexplained) = (0, 0);
        let mut next = 0;
        while let Some(&part) = queue.get(next) {
            next += 1;
            let listed = self.list(part, limits.terms);
            for &factor in listed.terms.iter().flatten() {
                for cause in self.explained_by(factor) {
                    if numbers.0.contains_key(&cause) || self.terms(cause) == 0 {
                        continue;
                    }
                    // Two factors a term, and a term beyond the limit for a bias; the others are added up.
                    let terms = self.terms(cause);
                    let cost = 2 * (terms.min(limits.terms) + 1) + terms / TERMS_PER_FACTOR;
                    if factors + cost > limits.factors {
                        numbers.0.insert(cause, 0);
                        unexplained += 1;
                        continue;
                    }
                    factors += cost;
                    queue.push(cause);
                    numbers.0.insert(cause, queue.len());
                }
            }
            lists.push(listed);
        }
        let both = queue.iter().zip(&lists);
        Explanation {
            equations: both
                .map(|(&part, listed)| self.equation(part, listed, &numbers))
                .collect(),
            unexplained,
        }
    }

    /// The terms of a part's definition: the first `most`, and a bias.
    fn list(&self, part: Part, most: usize) -> Listed {
        let count = self.terms(part);
        let ends_with_bias = self.ends_with_bias(part);
        let summed = count - usize::from(ends_with_bias);
        let shown = summed.min(most);
        let mut folded = T::ZERO;
        let mut sum = T::ZERO;
        for index in 0..count {
            let value = self.product(self.term(part, index).parts());
            sum += value;
            if (shown..summed).contains(&index) {
                folded += value;
            }
        }
        let indices = (0..shown).chain(summed..count);
        Listed {
            terms: indices
                .map(|index| self.term(part, index).parts().to_vec())
                .collect(),
            folded: (shown < summed).then(|| Folded {
                terms: summed - shown,
                value: folded.to_f64(),
            }),
            ends_with_bias,
            sum: sum.to_f64(),
        }
    }

    fn sum<'p>(&self, terms: impl Iterator<Item = &'p Vec<Part>>, more: T) -> T {
        let mut sum = T::ZERO;
        for term in terms {
            sum += self.product(term);
        }
        sum + more
    }

    fn equation(&self, part: Part, listed: &Listed, numbers: &Numbers) -> Equation {
        let (kind, entry) = self.describe(part);
        let terms: Vec<Term> = listed
            .terms
            .iter()
            .map(|term| Term {
                factors: term
                    .iter()
                    .map(|&part| self.factor(part, numbers))
                    .collect(),
                value: self.product(term).to_f64(),
            })
            .collect();
        let value = self.value(part);
        let shown = notation::Sides::of(&terms, listed.folded, listed.ends_with_bias);
        let [left, left_latex] = self.symbol(part);
        let [total, total_latex] = notation::number(value);
        Equation {
            kind,
            entry: entry.expect("only entries and residuals have equations"),
            value,
            terms,
            folded: listed.folded,
            sum_of_terms: listed.sum,
            text: format!("{left} = {} = {total}", shown.symbols),
            latex: format!("{left_latex} = {} = {total_latex}", shown.symbols_latex),
            numbers: shown.numbers,
            numbers_latex: shown.numbers_latex,
        }
    }

    fn factor(&self, part: Part, numbers: &Numbers) -> Factor {
        let (kind, entry) = self.describe(part);
        let [text, latex] = self.symbol(part);
        let cause = self.explained_by(part).into_iter().next();
        Factor {
            kind,
            entry,
            value: self.value(part),
            text,
            latex,
            equation: cause
                .and_then(|cause| numbers.0.get(&cause).copied())
                .unwrap_or(0),
        }
    }
}
