//! Expands the dots in `a_1 + a_2 + … + a_m` and in matrices into the one formula in which only an index varies.

use std::sync::Arc;

use super::expr::{Expr, Index, Indices, Kind, Operator};
use super::parser::Parser;
use super::{Fault, FormulaError};

/// The pattern behind `before, …, last`.
pub(super) struct Pattern {
    pub(super) letter: char,
    pub(super) from: Expr,
    pub(super) to: Expr,
    pub(super) body: Expr,
}

/// The formula whose index runs from that of `before`'s first term to that of `last`, if one agrees with every term
/// that is written out.
pub(super) fn pattern(before: &[&Expr], last: &Expr) -> Option<Pattern> {
    let first = *before.first()?;
    let letter = ('a'..='z')
        .rev()
        .find(|letter| !mentions(first, *letter) && !mentions(last, *letter))?;
    let mut run = None;
    let body = generalise(first, last, letter, &mut run)?;
    let (from, to) = run?;
    let continues = before
        .iter()
        .enumerate()
        .all(|(at, piece)| body.with_index(letter, Index::Number(from + at)) == **piece);
    let to = match to {
        Index::Number(to) if to >= from + before.len() => Kind::Number(to as f64),
        Index::Size(symbol) => Kind::Symbol(symbol),
        _ => return None,
    };
    continues.then(|| Pattern {
        letter,
        from: Expr::new(Kind::Number(from as f64), first.span),
        to: Expr::new(to, last.span),
        body,
    })
}

fn mentions(expr: &Expr, letter: char) -> bool {
    expr.pieces().any(|piece| match &piece.kind {
        Kind::Letter(name) | Kind::Sum(name, ..) | Kind::Stack(name, ..) => *name == letter,
        Kind::Select(_, Indices::One(one)) | Kind::Unit(one, _) => *one == Index::Letter(letter),
        Kind::Select(_, Indices::Two(row, column)) => {
            [row, column].contains(&&Index::Letter(letter))
        }
        _ => false,
    })
}

/// `last` with `letter` in place of each index that differs in `first`, if all of them differ in the same way.
fn generalise(
    first: &Expr,
    last: &Expr,
    letter: char,
    run: &mut Option<(usize, Index)>,
) -> Option<Expr> {
    let mut body = last.clone();
    let mut open = vec![(first, &mut body)];
    while let Some((first, own)) = open.pop() {
        match (&first.kind, &mut own.kind) {
            (Kind::Select(_, a), Kind::Select(_, b)) => match (a, b) {
                (Indices::One(a), Indices::One(b)) => unite(*a, b, letter, run)?,
                (Indices::Two(a, c), Indices::Two(b, d)) => {
                    unite(*a, b, letter, run)?;
                    unite(*c, d, letter, run)?;
                }
                _ => return None,
            },
            (a, b) if a.is_like(b) => {}
            _ => return None,
        }
        open.extend(first.parts().into_iter().zip(own.parts_mut()));
    }
    Some(body)
}

fn unite(
    first: Index,
    last: &mut Index,
    letter: char,
    run: &mut Option<(usize, Index)>,
) -> Option<()> {
    if first == *last {
        return Some(());
    }
    let Index::Number(from) = first else {
        return None;
    };
    match run {
        Some(found) if *found != (from, *last) => return None,
        _ => *run = Some((from, *last)),
    }
    *last = Index::Letter(letter);
    Some(())
}

impl Parser<'_> {
    /// `… + a_m` after `a_1 + a_2 +`: the preceding terms that fit become one sum with the last.
    pub(super) fn dotted_sum(
        &mut self,
        terms: &mut Vec<(Operator, Expr)>,
    ) -> Result<(), FormulaError> {
        let start = self.here();
        self.at += 1;
        self.expect("+")?;
        let last = self.signed_term()?;
        for from in 0..terms.len() {
            let run = &terms[from..];
            let before: Vec<&Expr> = run.iter().map(|(_, term)| term).collect();
            if run.iter().all(|(operator, _)| *operator == Operator::Add)
                && let Some(found) = pattern(&before, &last)
            {
                let range = Some((Arc::new(found.from), Arc::new(found.to)));
                let sum = Kind::Sum(found.letter, range, Arc::new(found.body));
                let start = before.first().map_or(start, |first| first.span);
                terms.truncate(from);
                terms.push((Operator::Add, self.node(sum, start)?));
                return Ok(());
            }
        }
        let message = "The dots of the sum do not tell what they stand for; write the first and the last term alike, with indices such as 1 and m, or use \\sum.";
        Err(FormulaError::new(Fault::Syntax, self.since(start), message))
    }
}
