//! Parses fractions, derivatives and sums.

use std::sync::Arc;

use super::expr::{Expr, Function, Kind, Operator};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span};

/// The indices below a sum sign with their ranges, and the conditions on them.
#[derive(Default)]
struct SumRanges {
    letters: Vec<(char, Option<Expr>, Option<Expr>)>,
    conditions: Vec<Expr>,
}

impl Parser<'_> {
    /// `\frac{a}{b}`; with ∂ or d in front of both it is a derivative.
    pub(super) fn fraction(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if let Some(slope) = self.slope_fraction(start)? {
            return Ok(slope);
        }
        let above = self.differential()?;
        let below = self.differential()?;
        match (above, below) {
            ((false, Some(above)), (false, Some(below))) => self.node(
                Kind::Binary(Operator::Divide, Arc::new(above), Arc::new(below)),
                start,
            ),
            ((true, Some(above)), (true, Some(below))) => {
                self.node(Kind::Derivative(Arc::new(above), Arc::new(below)), start)
            }
            ((true, None), (true, Some(below))) => {
                if let Some(slope) = self.slope_of_next(&below, start)? {
                    return Ok(slope);
                }
                let above = self.nested(Self::term)?;
                self.node(Kind::Derivative(Arc::new(above), Arc::new(below)), start)
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
        if let Some(quantity) = self.compact_differential() {
            let start = self.here();
            self.at += 1;
            let quantity = self.named(quantity, start)?;
            self.expect("}")?;
            return Ok((true, Some(quantity)));
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

    /// The W of a `dW`, which the lexer keeps together.
    fn compact_differential(&self) -> Option<&'static str> {
        let Some(Token::Name(name)) = self.peek() else {
            return None;
        };
        ["W", "w", "h", "z", "b", "x"]
            .into_iter()
            .find(|letter| name.strip_prefix('d') == Some(letter))
    }

    /// `\partial_{X} l(\theta)`, `\nabla_X l`, `\nabla\sigma(z)`.
    pub(super) fn subscripted_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if let Some(slope) = self.inline_slope(start)? {
            return Ok(slope);
        }
        if self.is("/") || !self.is("_") {
            return self.inline_derivative(start);
        }
        self.expect("_")?;
        let below = if let Some(output) = self.output_without_layer(start)? {
            output
        } else if self.eat("{") {
            let below = self.comparison()?;
            self.expect("}")?;
            below
        } else {
            self.factor_without_scripts()?
        };
        let above = self.factor()?;
        self.node(Kind::Derivative(Arc::new(above), Arc::new(below)), start)
    }

    /// The h of `\nabla_h l` without a layer: that of the last one.
    fn output_without_layer(&mut self, start: Span) -> Result<Option<Expr>, FormulaError> {
        let braces = usize::from(self.is("{"));
        let is_h = matches!(self.peek_at(braces), Some(Token::Name(name)) if name == "h");
        let next = self.peek_at(braces + 1);
        let is_alone = match braces {
            0 => !matches!(next, Some(Token::Mark("^" | "_" | "["))),
            _ => matches!(next, Some(Token::Mark("}"))),
        };
        if !(is_h && is_alone) {
            return Ok(None);
        }
        self.at += 1 + 2 * braces;
        let output = Kind::Symbol(self.output());
        self.node(output, start).map(Some)
    }

    /// `∂l/∂W^2` or `dl/dW^2` on one line.
    pub(super) fn inline_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let above = self.factor()?;
        self.expect("/")?;
        if let Some(quantity) = self.compact_differential() {
            let start_below = self.here();
            self.at += 1;
            let below = self.named(quantity, start_below)?;
            let below = self.scripts(below, start_below)?;
            return self.node(Kind::Derivative(Arc::new(above), Arc::new(below)), start);
        }
        if !self.eat_name("partial") && !self.eat_name("d") {
            return Err(self.unexpected("a ∂ below, as in ∂l/∂W^2"));
        }
        let below = self.factor()?;
        self.node(Kind::Derivative(Arc::new(above), Arc::new(below)), start)
    }

    /// Whether a `d` here begins a derivative on one line: `dl/dW^2`, `dσ/dz`, `dσ(z)/dz`.
    pub(super) fn is_inline_derivative(&self) -> bool {
        let is_quantity = matches!(self.peek(), Some(Token::Name(name)) if matches!(name.as_str(), "l" | "ell" | "loss" | "L" | "J" | "sigma" | "phi" | "relu" | "h" | "f"));
        if !is_quantity {
            return false;
        }
        let (mut ahead, mut depth) = (1, 0_usize);
        while let Some(token) = self.peek_at(ahead) {
            match token {
                Token::Mark("(" | "{" | "[") => depth += 1,
                Token::Mark(")" | "}" | "]") if depth == 0 => return false,
                Token::Mark(")" | "}" | "]") => depth -= 1,
                Token::Mark("/") if depth == 0 => {
                    return matches!(self.peek_at(ahead + 1), Some(Token::Name(name)) if name.starts_with('d'));
                }
                Token::Mark("^" | "_") | Token::Number(_) => {}
                _ if depth > 0 => {}
                _ => return false,
            }
            ahead += 1;
        }
        false
    }

    /// σ, φ or ReLU, read.
    fn eat_activation(&mut self) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if matches!(name.as_str(), "sigma" | "phi" | "relu"));
        self.at += usize::from(found);
        found
    }

    /// The `∂` or `d` below, read; the letter of a `dz` stays.
    fn eat_differential(&mut self) -> bool {
        self.eat_name("partial") || self.eat_name("d")
    }

    /// `\nabla\sigma(z)`, `dσ/dz(z^2)`, `∂σ(z)/∂z`, the ∂ already read.
    fn inline_slope(&mut self, start: Span) -> Result<Option<Expr>, FormulaError> {
        let begin = self.at;
        if !self.eat_activation() {
            return Ok(None);
        }
        let is_division = |parser: &Self| {
            parser.is("/")
                && matches!(parser.peek_at(1), Some(Token::Name(name)) if name == "partial" || name.starts_with('d'))
        };
        let mut above = None;
        if !is_division(self) {
            let slope = self.call(Function::SigmaPrime, start)?;
            if !is_division(self) {
                return Ok(Some(slope));
            }
            let Kind::Call(_, arguments) = slope.into_kind() else {
                return Ok(None);
            };
            above = arguments.into_iter().next();
        }
        self.at += 1;
        self.eat_differential();
        let slope = self.slope_by_variable(above, false, start)?;
        if slope.is_none() {
            self.at = begin;
        }
        Ok(slope)
    }

    /// `\frac{d\sigma}{dx}(z)`, `\frac{\partial\sigma(z)}{\partial z}`, `\frac{d\sigma}{dx}|_{x=z}`: σ′. `None` for any
    /// other fraction.
    fn slope_fraction(&mut self, start: Span) -> Result<Option<Expr>, FormulaError> {
        let begin = self.at;
        if !(self.eat("{") && self.eat_differential() && self.eat_activation()) {
            self.at = begin;
            return Ok(None);
        }
        // x, z, u and the like; no other quantity is the argument of a definition.
        let is_dummy = |name: &str| {
            !self.is_argument(name) && !matches!(name, "y" | "m" | "n" | "l" | "f" | "delta")
        };
        let is_bare = matches!(self.peek_at(1), Some(Token::Name(name)) if is_dummy(name))
            && matches!(self.peek_at(2), Some(Token::Mark(")")));
        let argument = if self.is("(") && is_bare {
            // The dummy of `σ(z)`.
            self.at += 3;
            None
        } else if self.eat("(") {
            let argument = self.comparison()?;
            self.expect(")")?;
            Some(argument)
        } else {
            None
        };
        let mut slope = None;
        if self.eat("}") && self.eat("{") {
            self.eat_differential();
            slope = self.slope_by_variable(argument, true, start)?;
        }
        if slope.is_none() {
            self.at = begin;
        }
        Ok(slope)
    }

    /// `\frac{\partial}{\partial z^2} \sigma(z^2)`: σ′, if that is what follows.
    fn slope_of_next(&mut self, below: &Expr, start: Span) -> Result<Option<Expr>, FormulaError> {
        let begin = self.at;
        if !self.eat_activation() {
            return Ok(None);
        }
        if self.eat("(") {
            let argument = self.comparison()?;
            if argument == *below && self.eat(")") {
                let slope = Kind::Call(Function::SigmaPrime, vec![argument]);
                return self.node(slope, start).map(Some);
            }
        }
        self.at = begin;
        Ok(None)
    }

    /// σ′ behind the `d` below: the variable, then where it is taken. `None` if it is not the argument of σ above.
    fn slope_by_variable(
        &mut self,
        above: Option<Expr>,
        braces: bool,
        start: Span,
    ) -> Result<Option<Expr>, FormulaError> {
        let variable_start = self.here();
        let name = match (self.compact_differential(), self.peek()) {
            (Some(letter), _) => letter,
            (None, Some(Token::Name(name))) => name.as_str(),
            _ => return Ok(None),
        };
        self.at += 1;
        // A bare letter is a dummy, unless the question is about it.
        let is_bare = !matches!(self.peek(), Some(Token::Mark("^" | "_" | "[")));
        let below = if is_bare && !self.is_argument(name) {
            None
        } else {
            let quantity = self.named(name, variable_start)?;
            Some(self.scripts(quantity, variable_start)?)
        };
        if braces && !self.eat("}") {
            return Ok(None);
        }
        let place = if is_bare && self.is("(") {
            Some(self.enclosed("(", ")")?)
        } else if self.is("|") && matches!(self.peek_at(1), Some(Token::Mark("_"))) {
            self.at += 1;
            Some(self.place(is_bare.then_some(name))?)
        } else {
            None
        };
        let argument = match (place, above, below) {
            (Some(place), above, _)
                if above.as_ref().is_none_or(|above| above.part_count() == 0) =>
            {
                place
            }
            (None, Some(above), Some(below)) if above == below => above,
            (None, None, Some(below)) => below,
            (None, None, None) => {
                let message = "Where is the slope taken? Write σ'(z^2), or |_{x = z^2} behind it.";
                return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
            }
            _ => return Ok(None),
        };
        let slope = self.node(Kind::Call(Function::SigmaPrime, vec![argument]), start)?;
        Ok(Some(slope))
    }

    /// `_{x = z^2}` or `_{z^2}` behind a bar.
    ///
    /// `variable` is the one that the place replaces, where it is known.
    pub(super) fn place(&mut self, variable: Option<&str>) -> Result<Expr, FormulaError> {
        self.expect("_")?;
        let braces = self.eat("{");
        if braces
            && let Some(Token::Name(name)) = self.peek()
            && matches!(self.peek_at(1), Some(Token::Mark("=")))
        {
            if let Some(variable) = variable
                && variable != name
            {
                return Err(
                    self.unexpected(&format!("{variable:?}, the variable of the derivative"))
                );
            }
            self.at += 2;
        }
        if !braces {
            return self.factor();
        }
        let place = self.sum()?;
        self.expect("}")?;
        Ok(place)
    }

    /// `\sigma'(x)|_{x = z}`, the bar already read: the function of one argument at another place.
    pub(super) fn evaluated_at(&mut self, base: Expr, start: Span) -> Result<Expr, FormulaError> {
        let place = self.place(None)?;
        match base.into_kind() {
            Kind::Call(function, arguments)
                if arguments.len() == 1 && arguments[0].part_count() == 0 =>
            {
                self.node(Kind::Call(function, vec![place]), start)
            }
            Kind::Compare(comparison, left, right) if left.part_count() == 0 => {
                let kind = Kind::Compare(comparison, Arc::new(place), right);
                self.node(kind, start)
            }
            _ => {
                let message = "A value at a place is read behind σ' only, as in σ'(x)|_{x = z^2}.";
                Err(FormulaError::new(Fault::Syntax, self.since(start), message))
            }
        }
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
        let known = self.bound.len();
        let (mut ranges, mut to) = (SumRanges::default(), None);
        let mut has_ranges = false;
        for _ in 0..2 {
            if !has_ranges && self.eat("_") {
                ranges = self.sum_ranges()?;
                has_ranges = true;
            } else if to.is_none() && self.eat("^") {
                to = Some(if self.is("{") {
                    self.script()?
                } else if self.is("(") {
                    self.enclosed("(", ")")?
                } else {
                    self.sum_limit()?
                });
            }
        }
        if ranges.letters.is_empty() {
            let message = "A sum needs an index, as in \\sum_{q=1}^{n_2}.";
            return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
        }
        let mut body = self.nested(Self::term)?;
        self.bound.truncate(known);
        for condition in ranges.conditions {
            let kind = Kind::Binary(Operator::Times, Arc::new(condition), Arc::new(body));
            body = self.node(kind, start)?;
        }
        for (letter, from, own_to) in ranges.letters.into_iter().rev() {
            let range = match (from, own_to.or_else(|| to.clone())) {
                (from, Some(to)) => {
                    let one = Expr::new(Kind::Number(1.0), to.span);
                    Some((Arc::new(from.unwrap_or(one)), Arc::new(to)))
                }
                (_, None) => None,
            };
            body = self.node(Kind::Sum(letter, range, Arc::new(body)), start)?;
        }
        Ok(body)
    }

    /// Below a sum sign: `q`, `{q=1}`, `{q,r}`, `{q \in \{1,2\}}`, `{1 \le q \le n_2}`, `{q : z_q > 0}`.
    fn sum_ranges(&mut self) -> Result<SumRanges, FormulaError> {
        let mut ranges = SumRanges::default();
        let close = match self.peek() {
            Some(Token::Mark("{")) => "}",
            Some(Token::Mark("(")) => ")",
            _ => {
                if let Some(letter) = self.summation_letter() {
                    ranges.letters.push((letter, None, None));
                }
                return Ok(ranges);
            }
        };
        self.at += 1;
        let is_substack = self.eat_name("substack") && self.eat("{");
        while !self.eat(close) {
            self.sum_range(&mut ranges)?;
            while self.eat(",")
                || self.eat(":")
                || self.eat("|")
                || self.eat("\\\\")
                || self.eat(";")
            {}
            if is_substack && self.eat("}") {
                self.expect(close)?;
                break;
            }
        }
        Ok(ranges)
    }

    fn sum_range(&mut self, ranges: &mut SumRanges) -> Result<(), FormulaError> {
        let begin = self.at;
        let bound = self.bound.len();
        let letter = self.summation_letter();
        let follows = matches!(
            self.peek(),
            Some(Token::Mark(
                "=" | "," | ":" | "|" | "}" | ")" | "\\\\" | ";" | "!=" | "<" | ">" | "<=" | ">="
            ))
        ) || self.is_name("in");
        if letter.is_some() && !follows {
            self.at = begin;
            self.bound.truncate(bound);
        }
        if let Some(letter) = letter.filter(|_| follows) {
            if self.eat("=") {
                let from = self.sum()?;
                let to = self.end_of_range()?;
                ranges.letters.push((letter, Some(from), to));
                return Ok(());
            }
            if self.eat_name("in") {
                let (from, to) = self.set()?;
                ranges.letters.push((letter, Some(from), Some(to)));
                return Ok(());
            }
            let ends = matches!(
                self.peek(),
                Some(Token::Mark("," | ":" | "|" | "}" | ")" | "\\\\" | ";"))
            );
            if ends || ranges.letters.is_empty() {
                ranges.letters.push((letter, None, None));
            }
            if ends {
                return Ok(());
            }
            // `q \ne i`: the letter and a condition on it.
            self.at = begin;
            let condition = self.comparison()?;
            ranges.conditions.push(condition);
            return Ok(());
        }
        let from = self.sum()?;
        if self.eat("<=")
            && let Some(letter) = self.summation_letter()
            && self.eat("<=")
        {
            let to = self.sum()?;
            ranges.letters.push((letter, Some(from), Some(to)));
            return Ok(());
        }
        self.at = begin;
        let condition = self.comparison()?;
        if ranges.letters.is_empty() || !matches!(condition.kind, Kind::Compare(..)) {
            return Err(self.unexpected("the index of the sum, as in \\sum_{q=1}^{n_2}"));
        }
        ranges.conditions.push(condition);
        Ok(())
    }

    /// The index of a sum; from here on, m and n are letters if they are it.
    fn summation_letter(&mut self) -> Option<char> {
        let is_next = |parser: &Self, name: &str| {
            parser.is_name(name) && !matches!(parser.peek_at(1), Some(Token::Mark("_" | "^")))
        };
        if is_next(self, "m") {
            self.bound.push('m');
        }
        let letter = self.index_letter()?;
        self.bound.push(letter);
        Some(letter)
    }

    /// `, \dots, n_2` or `..2` or `, 2` behind the first value; `None` if the end stands above the sign.
    pub(super) fn end_of_range(&mut self) -> Result<Option<Expr>, FormulaError> {
        let begin = self.at;
        self.eat(",");
        let mut next = 1;
        // `1, 2, …, m`.
        while matches!(self.peek(), Some(Token::Number(_))) {
            let value = self.sum()?;
            next += 1;
            if value.kind != Kind::Number(f64::from(next)) {
                self.at = begin;
                return Ok(None);
            }
            if !self.eat(",") {
                return Ok(Some(value));
            }
        }
        if self.eat_name("dots") {
            self.eat(",");
            return self.sum().map(Some);
        }
        self.at = begin;
        Ok(None)
    }

    /// `\{1, 2\}`, `\{1, \dots, m\}`, `[1, n_2]`.
    fn set(&mut self) -> Result<(Expr, Expr), FormulaError> {
        const WANTED: &str = "a set such as \\{1, 2\\} or \\{1, \\dots, n_2\\}";
        let close = match self.peek() {
            Some(Token::Mark("\\{")) => "\\}",
            Some(Token::Mark("{")) => "}",
            Some(Token::Mark("[")) => "]",
            _ => return Err(self.unexpected(WANTED)),
        };
        self.at += 1;
        let from = self.sum()?;
        let to = if close == "]" && self.eat(",") {
            self.sum()?
        } else {
            match self.end_of_range()? {
                Some(to) => to,
                None => from.clone(),
            }
        };
        self.expect(close)?;
        Ok((from, to))
    }

    /// A bare upper limit: `m`, `2`, `n_2`.
    pub(super) fn sum_limit(&mut self) -> Result<Expr, FormulaError> {
        self.nested(Self::atom)
    }
}
