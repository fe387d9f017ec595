//! The pieces of a clause: formulas and the words between them.

use super::super::words::{Postfix, Prefix};
use super::tokens::span_of;
use crate::formula::Span;
use crate::formula::lexer::Lexeme;

/// A piece of a clause.
pub(super) enum Element {
    /// Tokens of a formula; `grouped` if a pair of `$` holds them together.
    Run(Vec<Lexeme>, bool),
    Equals(Span),
    Infix(&'static str, Span),
    Prefix(Prefix, Span, String),
    Postfix(Postfix, Span),
    And(Span),
    /// Between the index of a sum and its terms.
    Of(Span),
    If(Span),
    Then(Span),
    Otherwise(Span),
    Separator(Span),
}

impl Element {
    pub(super) fn span(&self) -> Span {
        match self {
            Element::Run(tokens, _) => span_of(tokens),
            Element::Equals(span)
            | Element::Infix(_, span)
            | Element::Prefix(_, span, _)
            | Element::Postfix(_, span)
            | Element::And(span)
            | Element::Of(span)
            | Element::If(span)
            | Element::Then(span)
            | Element::Otherwise(span)
            | Element::Separator(span) => *span,
        }
    }
}
