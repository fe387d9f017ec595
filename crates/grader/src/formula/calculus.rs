//! Parses fractions, derivatives and sums.

use super::expr::{Expr, Index, Kind, Operator};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span};

impl Parser<'_> {
    /// `\frac{a}{b}`; with ∂ or d in front of both it is a derivative.
    pub(super) fn fraction(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let above = self.differential()?;
        let below = self.differential()?;
        match (above, below) {
            ((false, Some(above)), (false, Some(below))) => self.node(
                Kind::Binary(Operator::Divide, Box::new(above), Box::new(below)),
                start,
            ),
            ((true, Some(above)), (true, Some(below))) => {
                self.node(Kind::Derivative(Box::new(above), Box::new(below)), start)
            }
            ((true, None), (true, Some(below))) => {
                let above = self.nested(Self::term)?;
                self.node(Kind::Derivative(Box::new(above), Box::new(below)), start)
            }
            ((true, _), _) => Err(FormulaError::new(
                Fault::Syntax,
                self.since(start),
                "The numerator has a ∂ and the denominator has none; expected \\frac{\\partial …}{\\partial …}.",
            )),
            _ => Err(FormulaError::new(
                Fault::Syntax,
                self.since(start),
                "The denominator has a ∂ and the numerator has none; expected \\frac{\\partial …}{\\partial …}.",
            )),
        }
    }

    /// A part of a fraction: whether a ∂ or d stands in front, and what follows it.
    pub(super) fn differential(&mut self) -> Result<(bool, Option<Expr>), FormulaError> {
        if !self.eat("{") {
            if self.is_name("partial") {
                self.at += 1;
                return Ok((true, None));
            }
            return Ok((false, Some(self.nested(Self::atom)?)));
        }
        let is_partial =
            self.is_name("partial") && !matches!(self.peek_at(1), Some(Token::Mark("_")));
        let is_d = self.is_name("d");
        let compact = matches!(self.peek(), Some(Token::Name(name)) if matches!(name.as_str(), "dW" | "dh" | "dz" | "db" | "dx"));
        if compact {
            return Err(self.unexpected("\\partial W^…"));
        }
        if is_partial || is_d {
            self.at += 1;
            if self.eat("}") {
                return Ok((true, None));
            }
        }
        let inner = self.comparison()?;
        self.expect("}")?;
        Ok((is_partial || is_d, Some(inner)))
    }

    /// `\partial_{X} l(\theta)`, `\nabla_X l`.
    pub(super) fn subscripted_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if self.is("/") || !self.is("_") {
            return self.inline_derivative(start);
        }
        self.expect("_")?;
        let below = if self.eat("{") {
            let below = self.comparison()?;
            self.expect("}")?;
            below
        } else {
            self.factor_without_scripts()?
        };
        let above = self.factor()?;
        self.node(Kind::Derivative(Box::new(above), Box::new(below)), start)
    }

    /// `∂l/∂W^2` on one line.
    pub(super) fn inline_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let above = self.factor()?;
        self.expect("/")?;
        if !self.is_name("partial") {
            return Err(self.unexpected("a ∂ below, as in ∂l/∂W^2"));
        }
        self.at += 1;
        let below = self.factor()?;
        self.node(Kind::Derivative(Box::new(above), Box::new(below)), start)
    }

    pub(super) fn factor_without_scripts(&mut self) -> Result<Expr, FormulaError> {
        self.nested(Self::atom)
    }

    /// `\sum_{q=1}^{n_2} …`; `sum(A, axis = 0)`.
    pub(super) fn summation(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if self.eat("(") {
            let mut arguments = self.arguments()?;
            let function = arguments.summation();
            return match (arguments.values.pop(), arguments.values.is_empty()) {
                (Some(only), true) => self.node(Kind::Call(function, vec![only]), start),
                _ => Err(FormulaError::new(
                    Fault::Syntax,
                    self.since(start),
                    "sum takes one matrix.",
                )),
            };
        }
        let (mut index, mut from, mut to) = (None, None, None);
        for _ in 0..2 {
            if self.eat("_") {
                let braces = self.eat("{");
                index = self.index();
                if braces {
                    if self.eat("=") {
                        from = Some(self.sum()?);
                    }
                    self.expect("}")?;
                }
            } else if self.eat("^") {
                to = Some(if self.is("{") {
                    self.script()?
                } else {
                    self.sum_limit()?
                });
            }
        }
        let Some(Index::Letter(letter)) = index else {
            let message = "A sum needs an index, as in \\sum_{q=1}^{n_2}.";
            return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
        };
        let range = match (from, to) {
            (None, None) => None,
            (from, Some(to)) => {
                let one = Expr::new(Kind::Number(1.0), to.span);
                Some((Box::new(from.unwrap_or(one)), Box::new(to)))
            }
            (Some(_), None) => None,
        };
        let body = self.nested(Self::term)?;
        self.node(Kind::Sum(letter, range, Box::new(body)), start)
    }

    /// A bare upper limit: `m`, `2`, `n_2`.
    pub(super) fn sum_limit(&mut self) -> Result<Expr, FormulaError> {
        self.nested(Self::atom)
    }
}
