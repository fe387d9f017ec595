//! What an answer calls its formula: the derivative with respect to this or that.

use super::definitions::Key;
use super::sentence::By;
use super::{OwnNames, is_quantity};
use crate::formula::chain::{Side, read_side};
use crate::formula::code::named_gradient;
use crate::formula::expr::{Expr, Kind};
use crate::formula::{Scope, Span, Symbol};

/// A derivative that an answer says its formula is.
#[derive(Clone, Debug)]
pub struct Named {
    /// The numerator, if the answer gives one; a name such as `dW2` gives none.
    pub of: Option<Expr>,
    /// The quantity in the denominator.
    pub by: Expr,
    /// Whether it is a name such as `dW2`, whose number is a layer.
    pub is_name: bool,
    /// Where it is named.
    pub span: Span,
}

impl Named {
    /// The quantity that words name: "the derivative with respect to W^2". After "of" and "for" only a weight or a bias
    /// can be meant.
    pub(super) fn by_words(by: &By, scope: &Scope) -> Option<Self> {
        let side = read_side(&by.tokens, scope, OwnNames::NONE)?;
        let expr = side.expr.ok().filter(is_quantity)?;
        let is_parameter = matches!(
            expr.kind,
            Kind::Symbol(Symbol::Weights(_) | Symbol::Bias(_))
        );
        (is_parameter || !by.is_loose).then_some(Self {
            of: (read_side(&by.of, scope, OwnNames::NONE))
                .and_then(|side| side.expr.ok().filter(is_quantity)),
            by: expr,
            is_name: false,
            span: side.span,
        })
    }

    /// The derivative that a name of the student's own stands for: `dW2`, `dW_2`.
    pub(super) fn by_key(key: &Key, span: Span, scope: &Scope) -> Option<Self> {
        if key.argument.is_some() || key.primed {
            return None;
        }
        let Key {
            base, label, below, ..
        } = key;
        let is_layer = |script: &str| script.chars().all(|c| c.is_ascii_digit());
        let name = match (label.as_str(), below.as_str()) {
            (layer, "") | ("", layer) if is_layer(layer) => format!("{base}{layer}"),
            ("", quantity) => format!("{base}_{quantity}"),
            _ => return None,
        };
        let symbol = named_gradient(&name, scope)?;
        Some(Self::of_name(symbol, span))
    }

    /// The derivative with respect to a quantity, by a name.
    pub(in crate::formula) fn of_name(symbol: Symbol, span: Span) -> Self {
        Self {
            of: None,
            by: Expr::new(Kind::Symbol(symbol), span),
            is_name: true,
            span,
        }
    }

    /// The derivative that a side of an equation consists of.
    ///
    /// `text` is the student's own.
    pub fn by_side(side: &Side, text: &str) -> Option<Self> {
        let expr = side.expr.as_ref().ok()?;
        let written = text.get(side.span.start..side.span.end)?;
        let signs = ["/", "frac", "partial", "nabla", "over", "∂", "∇"];
        let is_name = !signs.iter().any(|sign| written.contains(sign));
        match &expr.kind {
            Kind::Derivative(of, by) => Some(Self {
                of: (!is_name).then(|| (**of).clone()),
                by: (**by).clone(),
                is_name,
                span: side.span,
            }),
            _ => None,
        }
    }
}
