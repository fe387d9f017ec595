//! Holds the derivative that an answer says its formula is against the one that the question asks for.

use crate::formula::{Expr, Kind, Named, Operator, Side, Span, Symbol};

/// The derivative that an answer calls its formula: by the first or the last side of its equation, or by its words.
pub(super) fn claimed(
    sides: &[Side],
    answer: &Expr,
    by_words: Option<&Named>,
    text: &str,
) -> Option<Named> {
    let outer = [sides.first(), sides.last()];
    let mut by_side = outer
        .into_iter()
        .flatten()
        .filter(|side| side.expr.as_ref().is_ok_and(|expr| expr != answer))
        .filter_map(|side| Named::by_side(side, text));
    by_side.next().or_else(|| by_words.cloned())
}

/// Whether an answer's derivative is one of other quantities than the one that is asked for: another kind, or another
/// layer. Indices do not count, nor does a layer that could be an index.
pub(super) fn is_other(named: &Named, asked: &Expr, text: &str) -> bool {
    let Some((of, by)) = parts(asked) else {
        return false;
    };
    let pairs = [
        named.of.as_ref().map(|own| (own, of)),
        Some((&named.by, by)),
    ];
    pairs
        .into_iter()
        .flatten()
        .any(|(own, asked)| match (symbol(own), symbol(asked)) {
            (Some(own_symbol), Some(asked)) if own_symbol != asked => {
                !is_same_kind(own_symbol, asked) || named.is_name || has_clear_layer(text, own.span)
            }
            _ => false,
        })
}

/// The derivative with its numerator, which is the question's if the answer gives none.
pub(super) fn derivative(named: &Named, asked: &Expr) -> Option<Expr> {
    let (of, _) = parts(asked)?;
    let of = named.of.as_ref().unwrap_or(of);
    let kind = Kind::Derivative(of.clone().into(), named.by.clone().into());
    Some(Expr::new(kind, named.span))
}

/// Whether a side is a derivative with a sign, a transpose or a number at it: an equation that gives another quantity
/// than the derivative itself.
pub(super) fn is_multiple(expr: &Expr) -> bool {
    fn inner(expr: &Expr) -> Option<&Expr> {
        match &expr.kind {
            Kind::Negate(inner) | Kind::Transpose(inner) => Some(inner),
            Kind::Binary(Operator::Times | Operator::Divide | Operator::Hadamard, left, right) => {
                match (is_number(left), is_number(right)) {
                    (true, false) if !matches!(expr.kind, Kind::Binary(Operator::Divide, ..)) => {
                        Some(right)
                    }
                    (false, true) => Some(left),
                    _ => None,
                }
            }
            _ => None,
        }
    }
    let mut expr = match inner(expr) {
        Some(inner) => inner,
        None => return false,
    };
    while let Some(within) = inner(expr) {
        expr = within;
    }
    matches!(expr.kind, Kind::Derivative(..))
}

/// A number or the batch size, and fractions of them.
fn is_number(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number(_) | Kind::Symbol(Symbol::BatchSize) => true,
        Kind::Binary(Operator::Divide | Operator::Times, left, right) => {
            is_number(left) && is_number(right)
        }
        _ => false,
    }
}

/// The numerator and the denominator of a derivative, transposed or not.
fn parts(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match &expr.kind {
        Kind::Derivative(of, by) => Some((of, by)),
        Kind::Transpose(inner) => parts(inner),
        _ => None,
    }
}

/// The symbol of a quantity or of its entries.
fn symbol(expr: &Expr) -> Option<Symbol> {
    match &expr.kind {
        Kind::Symbol(symbol) => Some(*symbol),
        Kind::Select(base, _) => symbol(base),
        _ => None,
    }
}

fn is_same_kind(a: Symbol, b: Symbol) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// Whether the layer of a quantity is written above it or right behind its letter. A number below, as in `h_1`, is an
/// index for many.
fn has_clear_layer(text: &str, span: Span) -> bool {
    let Some(written) = text.get(span.start..span.end) else {
        return false;
    };
    let below = written
        .find(|c| matches!(c, '_' | '₀'..='₉'))
        .unwrap_or(written.len());
    let name = &written[..below];
    written.contains('^') || name.contains(|c: char| c.is_ascii_digit() || "⁰¹²³⁴⁵⁶⁷⁸⁹".contains(c))
}
