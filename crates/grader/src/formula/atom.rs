//! Parses the smallest expressions: numbers, names, functions with their arguments.

use std::sync::Arc;

use super::expr::{Expr, Function, Index, Indices, Kind, Operator};
use super::lexer::Token;
use super::parser::Parser;
use super::vocabulary::{ELSEWHERE, INDEX_LETTERS};
use super::{Fault, FormulaError, Span, Symbol};

impl Parser<'_> {
    pub(super) fn atom(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        match self.peek() {
            Some(Token::Number(digits)) => {
                self.at += 1;
                // `1(z > 0)` needs no rule: it is a product with one.
                if digits == "1" && self.is("_") && self.is_indicator_body() {
                    return self.indicator(start);
                }
                // `0_{1 \times 3}`: a zero fills its block, so the shape below it is ignored.
                if digits == "0" && self.eat("_") {
                    self.skip_group();
                }
                let value = digits.parse().map_err(|_| self.unexpected("a number"))?;
                self.node(Kind::Number(value), start)
            }
            Some(Token::Name(name)) => {
                self.at += 1;
                self.named(name, start)
            }
            Some(Token::Begin(name)) => {
                self.at += 1;
                if name == "cases" {
                    self.cases(start)
                } else {
                    self.matrix(start)
                }
            }
            Some(Token::Mark("(")) => self.parenthesis(start),
            Some(Token::Mark("|")) => {
                let inner = self.between_bars("|")?;
                self.node(Kind::Call(Function::Abs, vec![inner]), start)
            }
            Some(Token::Mark("‖")) => self.norm(start),
            Some(Token::Mark("<")) => self.plain_inner_product(start),
            Some(Token::Mark("{"))
                if matches!(self.peek_at(1), Some(Token::Mark("}")))
                    && matches!(self.peek_at(2), Some(Token::Mark("^"))) =>
            {
                self.prefixed_transpose(start)
            }
            Some(Token::Mark("{")) if self.is_list_of_rows() => self.list_of_rows(start),
            Some(Token::Mark("{")) => match (self.peek_at(1), self.peek_at(2)) {
                // `{h}^2`, and `\mathbf{h}^2`: scripts after the braces belong to the letter.
                (Some(Token::Name(name)), Some(Token::Mark("}"))) => {
                    self.at += 3;
                    self.named(name, start)
                }
                _ => self.enclosed("{", "}"),
            },
            Some(Token::Mark("\\{")) => match self.peek_at(1) {
                Some(Token::Begin(_)) => {
                    self.at += 2;
                    let cases = self.cases(start)?;
                    self.eat("\\}");
                    Ok(cases)
                }
                _ => self.enclosed("\\{", "\\}"),
            },
            Some(Token::Mark("⟨")) => self.inner_product(start),
            Some(Token::Mark("[")) => self.row(),
            _ => Err(self.unexpected("a number, a symbol or a bracket")),
        }
    }

    pub(super) fn named(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        if let Some(defined) = self.defined(name, start)? {
            return Ok(defined);
        }
        // `u(x)` is the unit step even where u may be the name of the argument.
        if self.is_argument(name) && !(name == "u" && self.is("(")) {
            return self.node(Kind::Symbol(Symbol::Argument), start);
        }
        if let Some(at) = self.scope.constants.iter().position(|known| known == name) {
            return self.node(Kind::Symbol(Symbol::Constant(at)), start);
        }
        if let Some(letter) = self.bound_letter(name) {
            return self.node(Kind::Letter(letter), start);
        }
        match name {
            "W" | "w" | "b" | "z" | "h" | "n" | "dW" | "dw" | "db" | "dz" | "dh" => {
                self.layered(name, start)
            }
            "H" if self.is("^") => self.layered("h", start),
            "Z" if self.is("^") => self.layered("z", start),
            "X" => self.plain_symbol(Symbol::Activation(0), start),
            "Y" => self.plain_symbol(Symbol::Targets, start),
            "x" => self.plain_symbol(Symbol::Activation(0), start),
            "dx" => {
                let x = self.plain_symbol(Symbol::Activation(0), start)?;
                self.gradient_of_loss(x, start)
            }
            "y" => self.plain_symbol(Symbol::Targets, start),
            "hat" => {
                // `\hat y^{(i)}`: the superscript belongs to the whole.
                if self.eat_name("y") {
                    return self.prediction(start);
                }
                let target = self.script()?;
                if target.kind != Kind::Symbol(Symbol::Targets) {
                    return Err(FormulaError::new(
                        Fault::UnknownSymbol,
                        self.since(start),
                        "Only \\hat{y} is known, as the network's prediction.",
                    ));
                }
                self.prediction(start)
            }
            "yhat" => self.prediction(start),
            "delta" => self.delta(start),
            "m" => self.node(Kind::Symbol(Symbol::BatchSize), start),
            "l" | "ell" | "loss" | "L" | "J" => self.loss(start),
            "f" => self.network_output(start),
            "frac" if self.is("(") => {
                self.expect("(")?;
                let above = self.comparison()?;
                self.expect(",")?;
                let below = self.comparison()?;
                self.expect(")")?;
                let kind = Kind::Binary(Operator::Divide, Arc::new(above), Arc::new(below));
                self.node(kind, start)
            }
            "frac" => self.fraction(start),
            "partial" | "nabla" => self.subscripted_derivative(start),
            "D" if matches!(self.peek(), Some(Token::Name(name)) if matches!(name.as_str(), "sigma" | "phi" | "relu")) => {
                self.subscripted_derivative(start)
            }
            "e" if self.is("_") && !self.scope.free.contains(&'e') => self.unit_vector(start),
            "d" if self.is_inline_derivative() => self.subscripted_derivative(start),
            "vec" => self.stacked_columns(start),
            "Sum" => self.sum_with_iterator(start),
            "Piecewise" => self.piecewise_with_default(start),
            "sum" => self.summation(start),
            "indicator" | "chi" if self.is_interval() => self.indicator_of_interval(start),
            "chi" if self.is_indicator_body() => self.indicator(start),
            "theta" if self.is("(") => self.indicator(start),
            "step" | "heaviside" if self.is("[") => self.indicator(start),
            "indicator" | "I" | "H" | "Theta" | "u" | "step" | "heaviside"
                if self.is_indicator_body() =>
            {
                self.indicator(start)
            }
            "indicator" | "ones" => self.ones(start),
            "underbrace" => {
                let inner = self.script()?;
                if self.eat("_") || self.eat("^") {
                    self.skip_group();
                }
                Ok(inner)
            }
            "sqrt" if self.is("{") => {
                let inner = self.script()?;
                self.node(Kind::Call(Function::Sqrt, vec![inner]), start)
            }
            "dot" if self.is("{") || self.is_name("sigma") => {
                let _ = self.eat("{") && self.is_name("sigma");
                self.at += 1;
                self.eat("}");
                self.call(Function::SigmaPrime, start)
            }
            _ => self.function_or_letter(name, start),
        }
    }

    pub(super) fn function_or_letter(
        &mut self,
        name: &str,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        let function = match name {
            "sigma" | "phi" => Some(Function::Sigma),
            "relu" => Some(Function::Relu),
            "sigmoid" => Some(Function::Sigmoid),
            "tanh" => Some(Function::Tanh),
            "exp" => Some(Function::Exp),
            "log" | "ln" => Some(Function::Log),
            "sqrt" => Some(Function::Sqrt),
            "abs" => Some(Function::Abs),
            "sign" | "sgn" => Some(Function::Sign),
            "softmax" => Some(Function::Softmax),
            "diag" => Some(Function::Diag),
            "trace" => Some(Function::Trace),
            "max" | "maximum" => Some(Function::Max),
            "min" | "minimum" => Some(Function::Min),
            _ => None,
        };
        if let Some(function) = function {
            return self.call(function, start);
        }
        if matches!(
            name,
            "dot" | "matmul" | "multiply" | "outer" | "where" | "transpose"
        ) {
            return self.array_function(name, start);
        }
        if name == "e" && self.eat("^") {
            let exponent = self.script()?;
            return self.node(Kind::Call(Function::Exp, vec![exponent]), start);
        }
        let is_scripted = matches!(self.peek(), Some(Token::Mark("^" | "_" | "(" | "[" | "'")));
        if let Some((_, own)) = ELSEWHERE.iter().find(|(other, _)| *other == name)
            && (is_scripted || !name.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            let example = if matches!(*own, "h" | "z") { "^2" } else { "" };
            let message = format!(
                "The symbol {name:?} has no meaning in this assignment; if it is what is called {own}{example} here, write {own}{example}."
            );
            return Err(FormulaError::new(
                Fault::UnknownSymbol,
                self.since(start),
                message,
            ));
        }
        let mut letters = name.chars();
        if let (Some(letter), None) = (letters.next(), letters.next())
            && letter.is_ascii_lowercase()
        {
            return self.node(Kind::Letter(letter), start);
        }
        let span = self.since(start);
        let message = format!(
            "The symbol {name:?} has no meaning here; known are W, h, z, b with a layer, x, y, f, δ, l, m, n and the functions."
        );
        Err(FormulaError::new(Fault::UnknownSymbol, span, message))
    }

    /// A function with its arguments; a prime, or `^\prime`, makes it the derivative.
    pub(super) fn call(
        &mut self,
        mut function: Function,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        let primed = if self.eat("'") {
            true
        } else if self.is("^") {
            let ahead = usize::from(matches!(self.peek_at(1), Some(Token::Mark("{")))) + 1;
            let found = matches!(self.peek_at(ahead), Some(Token::Mark("'")));
            self.at += if found { 2 * ahead } else { 0 };
            found
        } else {
            false
        };
        if primed {
            function = match function {
                Function::Sigma | Function::SigmaPrime => Function::SigmaPrime,
                Function::Relu => Function::ReluPrime,
                Function::Tanh => Function::TanhPrime,
                _ => return Err(self.unexpected("the derivative of σ, ReLU or tanh only")),
            };
        }
        if function == Function::SigmaPrime
            && self.is("|")
            && matches!(self.peek_at(1), Some(Token::Mark("_")))
        {
            self.at += 1;
            let place = self.place(None)?;
            return self.node(Kind::Call(function, vec![place]), start);
        }
        let power = self.power_of_value(function)?;
        let arguments = if self.eat("(") || self.eat("\\{") || self.is_call_in_brackets(function) {
            self.arguments()?.values
        } else {
            vec![self.factor()?]
        };
        // `diag(a, b)`, the diagonal written out.
        let arguments = if function == Function::Diag && arguments.len() > 1 {
            vec![self.node(Kind::Rows(vec![arguments]), start)?]
        } else {
            arguments
        };
        let wanted = match function {
            Function::Max | Function::Min => 2,
            _ => 1,
        };
        if arguments.len() != wanted {
            let message = format!(
                "Found {} arguments; this function takes {wanted}.",
                arguments.len()
            );
            return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
        }
        let value = self.node(Kind::Call(function, arguments), start)?;
        match power {
            Some(power) => self.node(Kind::Power(Arc::new(value), Arc::new(power)), start),
            None => Ok(value),
        }
    }

    /// The 2 of `\tanh^2 x`. On σ it would be read as a layer, and −1 as the inverse function, so neither is accepted.
    fn power_of_value(&mut self, function: Function) -> Result<Option<Expr>, FormulaError> {
        let is_sigma = matches!(function, Function::Sigma | Function::SigmaPrime);
        if is_sigma || !self.eat("^") {
            return Ok(None);
        }
        let power = self.script()?;
        if matches!(power.kind, Kind::Number(_)) {
            return Ok(Some(power));
        }
        let message = "A function's power is a number such as 2.";
        Err(FormulaError::new(Fault::Syntax, power.span, message))
    }

    pub(super) fn array_function(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        if !self.eat("(") {
            self.expect("[")?;
        }
        let mut values = self.arguments()?.values.into_iter();
        let kind = match (name, values.next(), values.next(), values.next()) {
            ("transpose", Some(a), None, _) => Kind::Transpose(Arc::new(a)),
            ("dot" | "matmul", Some(a), Some(b), None) => {
                Kind::Binary(Operator::Times, Arc::new(a), Arc::new(b))
            }
            ("multiply", Some(a), Some(b), None) => {
                Kind::Binary(Operator::Hadamard, Arc::new(a), Arc::new(b))
            }
            ("outer", Some(a), Some(b), None) => Kind::Call(Function::Outer, vec![a, b]),
            ("where", Some(condition), Some(a), Some(b)) => {
                Kind::Cases(vec![(a, Some(condition)), (b, None)])
            }
            _ => {
                let message = format!("{name} has another number of arguments.");
                return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
            }
        };
        // In Julia, and in words, the inner product of two columns too.
        self.doubts.dots |= name == "dot";
        let kind = match kind {
            Kind::Binary(Operator::Times, a, b) if name == "dot" && self.style.dots => {
                Kind::Call(Function::Dot, vec![(*a).clone(), (*b).clone()])
            }
            other => other,
        };
        self.node(kind, start)
    }

    /// The letter of an enclosing sum that is no plain index letter, such as n or ℓ.
    fn bound_letter(&mut self, name: &str) -> Option<char> {
        let is_scripted = matches!(self.peek(), Some(Token::Mark("^" | "_" | "(")));
        let own = match name {
            "m" | "n" | "l" => name.chars().next()?,
            _ => INDEX_LETTERS
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, letter)| *letter)?,
        };
        (!is_scripted && self.bound.contains(&own)).then_some(own)
    }

    /// `UnitStep[x]`, `Max[x, 0]`: the bracket, read. Behind σ it would be a matrix.
    fn is_call_in_brackets(&mut self, function: Function) -> bool {
        matches!(
            function,
            Function::Max | Function::Min | Function::Sign | Function::Diag
        ) && self.is_adjacent()
            && self.eat("[")
    }

    /// `e_1`, a column with a one in its place.
    fn unit_vector(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("_")?;
        let Indices::One(index) = self.indices()? else {
            return Err(self.unexpected("one index of the unit vector, as in e_1"));
        };
        self.doubts.unit = true;
        self.node(Kind::Unit(index, None), start)
    }

    /// ŷ, the output of the model.
    fn prediction(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let output = self.node(Kind::Symbol(self.output()), start)?;
        let (function, name) = match self.scope.prediction {
            None => {
                self.note("ŷ was read as f, the output of the network.".to_owned());
                return self.sampled(output, true, start);
            }
            Some(Function::Softmax) => (Function::Softmax, "softmax(f)"),
            Some(function) => (function, "sigmoid(f)"),
        };
        self.note(format!("ŷ was read as the probabilities {name}."));
        let prediction = self.node(Kind::Call(function, vec![output]), start)?;
        self.sampled(prediction, true, start)
    }

    /// `|…|`, without the bars.
    fn between_bars(&mut self, bar: &str) -> Result<Expr, FormulaError> {
        self.expect(bar)?;
        let outer = std::mem::replace(&mut self.in_bars, true);
        let inner = self.sum()?;
        self.in_bars = outer;
        self.expect(bar)?;
        Ok(inner)
    }

    /// `‖a‖`, the root of the sum of squares.
    fn norm(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let inner = self.between_bars("‖")?;
        let two = self.node(Kind::Number(2.0), start)?;
        let squares = self.node(Kind::Power(Arc::new(inner), Arc::new(two)), start)?;
        let total = self.node(Kind::Call(Function::Total, vec![squares]), start)?;
        let norm = self.node(Kind::Call(Function::Sqrt, vec![total]), start)?;
        // `\|a\|_2` and `\|a\|_F`.
        if self.is("_") && !matches!(self.peek_at(1), Some(Token::Name(name)) if name == "F") {
            let index_at = self.at;
            self.at += 1;
            let is_two = matches!(self.indices(), Ok(Indices::One(Index::Number(2))));
            if !is_two {
                self.at = index_at;
                return Err(self.unexpected("the norm with the index 2 or F, or none"));
            }
        } else if self.eat("_") {
            self.at += 1;
        }
        Ok(norm)
    }

    /// `{}^t A`.
    fn prefixed_transpose(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.at += 3;
        let braces = usize::from(self.eat("{"));
        let is_mark = matches!(self.peek(), Some(Token::Name(name)) if matches!(name.as_str(), "T" | "top" | "t"));
        if !is_mark {
            return Err(self.unexpected("a transpose behind {}^, as in {}^t A"));
        }
        self.at += 1;
        if braces == 1 {
            self.expect("}")?;
        }
        let base = self.factor()?;
        self.node(Kind::Transpose(Arc::new(base)), start)
    }

    /// x, y, δ: indices, transposes and powers as for any other symbol.
    pub(super) fn plain_symbol(
        &mut self,
        symbol: Symbol,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        let expr = self.node(Kind::Symbol(symbol), start)?;
        self.sampled(expr, true, start)
    }

    /// Whether `{{a, b}, {c, d}}` follows, Mathematica's matrix: braces with a comma in them, directly in braces.
    fn is_list_of_rows(&self) -> bool {
        const FARTHEST: usize = 400;
        if !matches!(self.peek_at(1), Some(Token::Mark("{"))) {
            return false;
        }
        let (mut depth, mut has_comma) = (0_usize, false);
        for ahead in 0..FARTHEST {
            match self.peek_at(ahead) {
                Some(Token::Mark("{" | "(" | "[")) => depth += 1,
                Some(Token::Mark("}" | ")" | "]")) => {
                    depth = depth.saturating_sub(1);
                    if depth == 1 {
                        let goes_on =
                            matches!(self.peek_at(ahead + 1), Some(Token::Mark("," | "}")));
                        return has_comma && goes_on;
                    }
                }
                Some(Token::Mark(",")) => has_comma |= depth == 2,
                Some(_) => {}
                None => return false,
            }
        }
        false
    }

    fn list_of_rows(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("{")?;
        let mut rows = Vec::new();
        loop {
            self.expect("{")?;
            let mut row = vec![self.comparison()?];
            while self.eat(",") {
                row.push(self.comparison()?);
            }
            self.expect("}")?;
            rows.push(row);
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}")?;
        self.node(Kind::Rows(rows), start)
    }

    /// Mathematica's `Sum[a, {q, 1, n}]`.
    fn sum_with_iterator(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let begin = self.at;
        self.skip_group();
        let end = self.at;
        self.at = begin;
        let open = (begin..end)
            .rev()
            .find(|&at| self.tokens[at].token == Token::Mark("{"));
        let Some(open) = open else {
            return Err(self.unexpected("the index with its limits, as in Sum[a, {q, 1, 2}]"));
        };
        self.at = open + 1;
        let letter = self.index_letter();
        self.at = begin;
        let Some(letter) = letter else {
            return Err(self.unexpected("the index with its limits, as in Sum[a, {q, 1, 2}]"));
        };
        self.expect("[")?;
        self.bound.push(letter);
        let body = self.comparison();
        self.bound.pop();
        let body = body?;
        self.expect(",")?;
        self.expect("{")?;
        self.at += 1;
        self.expect(",")?;
        let mut from = self.node(Kind::Number(1.0), start)?;
        let mut to = self.sum()?;
        if self.eat(",") {
            from = std::mem::replace(&mut to, self.sum()?);
        }
        self.expect("}")?;
        self.expect("]")?;
        let range = Some((Arc::new(from), Arc::new(to)));
        self.node(Kind::Sum(letter, range, Arc::new(body)), start)
    }

    /// Mathematica's `Piecewise[{{a, c}, …}, b]`; 0 where b is left out.
    fn piecewise_with_default(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("[")?;
        self.expect("{")?;
        let mut cases = Vec::new();
        loop {
            self.expect("{")?;
            let value = self.sum()?;
            self.expect(",")?;
            cases.push((value, Some(self.comparison()?)));
            self.expect("}")?;
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}")?;
        let other = if self.eat(",") {
            self.comparison()?
        } else {
            self.node(Kind::Number(0.0), start)?
        };
        self.expect("]")?;
        cases.push((other, None));
        self.node(Kind::Cases(cases), start)
    }

    /// The columns of a matrix below each other: `\operatorname{vec}(A)`.
    fn stacked_columns(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let matrix = if self.is("(") {
            self.parenthesis(start)?
        } else {
            self.factor()?
        };
        let turned = self.node(Kind::Transpose(Arc::new(matrix)), start)?;
        let row = self.node(Kind::Call(Function::Flatten, vec![turned]), start)?;
        self.node(Kind::Transpose(Arc::new(row)), start)
    }
}
