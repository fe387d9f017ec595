//! Parses superscripts and subscripts: layers, transposes and indices.

use super::expr::{Expr, Function, Index, Indices, Kind};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span, Symbol};

/// The superscripts and subscripts of a layered symbol.
#[derive(Default)]
pub(super) struct Scripts {
    layer: Option<usize>,
    transposes: usize,
    indices: Option<Indices>,
}

impl Parser<'_> {
    /// Wⁱ, bⁱ, zⁱ, hⁱ, nᵢ, and dWⁱ … for ∂l/∂Wⁱ.
    pub(super) fn layered(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        let mut scripts = self.collect_scripts()?;
        if name == "n"
            && scripts.layer.is_none()
            && let Some(Indices::One(Index::Number(layer))) = scripts.indices
        {
            scripts.layer = Some(layer);
            scripts.indices = None;
        }
        // A network of one layer has one W.
        let only = (self.scope.depth == 1 && name != "n").then_some(1);
        let Some(layer) = scripts.layer.or(only) else {
            let message = format!("{name} stands without a layer; write {name}^1, {name}^2, ….");
            return Err(FormulaError::new(
                Fault::UnknownSymbol,
                self.since(start),
                message,
            ));
        };
        let (symbol, gradient) = match name {
            "W" | "dW" => (Symbol::Weights(layer), name == "dW"),
            "b" | "db" => (Symbol::Bias(layer), name == "db"),
            "z" | "dz" => (Symbol::PreActivation(layer), name == "dz"),
            "h" | "dh" => (Symbol::Activation(layer), name == "dh"),
            _ => (Symbol::Units(layer), false),
        };
        let mut expr = self.node(Kind::Symbol(symbol), start)?;
        if gradient {
            expr = self.gradient_of_loss(expr, start)?;
        }
        self.with_scripts(expr, &scripts, start)
    }

    pub(super) fn gradient_of_loss(
        &mut self,
        with_respect_to: Expr,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        let loss = self.node(Kind::Symbol(Symbol::Loss), start)?;
        self.node(
            Kind::Derivative(Box::new(loss), Box::new(with_respect_to)),
            start,
        )
    }

    pub(super) fn with_scripts(
        &mut self,
        mut expr: Expr,
        scripts: &Scripts,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        if let Some(indices) = &scripts.indices {
            expr = self.node(Kind::Select(Box::new(expr), indices.clone()), start)?;
        }
        for _ in 0..scripts.transposes {
            expr = self.node(Kind::Transpose(Box::new(expr)), start)?;
        }
        Ok(expr)
    }

    /// `^3`, `^{(3)}`, `^{[3]}`, `^{3\top}`, `^\top`, `_{1,j}`, `[1, j]`, in any order.
    pub(super) fn collect_scripts(&mut self) -> Result<Scripts, FormulaError> {
        let mut scripts = Scripts::default();
        loop {
            if self.eat("'") || self.eat(".T") {
                scripts.transposes += 1;
            } else if self.is("^") && (scripts.layer.is_none() || self.superscript_is_transpose()) {
                self.at += 1;
                self.superscript(&mut scripts)?;
            } else if self.is("_") && scripts.indices.is_none() {
                self.at += 1;
                scripts.indices = Some(self.indices()?);
            } else if self.is("[")
                && self.is_adjacent()
                && scripts.indices.is_none()
                && scripts.transposes == 0
            {
                match self.bracketed_indices() {
                    Some(indices) => scripts.indices = Some(indices),
                    None => return Ok(scripts),
                }
            } else {
                return Ok(scripts);
            }
        }
    }

    pub(super) fn superscript_is_transpose(&self) -> bool {
        let mut ahead = 1;
        while matches!(self.peek_at(ahead), Some(Token::Mark("{"))) {
            ahead += 1;
        }
        matches!(self.peek_at(ahead), Some(Token::Name(name)) if matches!(name.as_str(), "T" | "top" | "t"))
            || matches!(self.peek_at(ahead), Some(Token::Mark("'")))
    }

    pub(super) fn superscript(&mut self, scripts: &mut Scripts) -> Result<(), FormulaError> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(Token::Mark("{" | "(" | "[")) => open += 1,
                Some(Token::Mark("}" | ")" | "]")) if open > 0 => open -= 1,
                Some(Token::Mark("^" | ",")) if open > 0 => {}
                Some(Token::Mark("'")) => scripts.transposes += 1,
                Some(Token::Name(name)) if matches!(name.as_str(), "T" | "top" | "t") => {
                    scripts.transposes += 1
                }
                Some(Token::Name(name)) if name == "L" => scripts.layer = Some(self.scope.depth),
                Some(Token::Number(digits)) => scripts.layer = digits.parse().ok(),
                Some(Token::Mark("-")) if scripts.layer.is_some() => {
                    self.at += 1;
                    match self.peek() {
                        Some(Token::Number(digits)) => {
                            let less: usize = digits.parse().unwrap_or(0);
                            scripts.layer = scripts.layer.and_then(|layer| layer.checked_sub(less));
                        }
                        _ => return Err(self.unexpected("a number")),
                    }
                }
                _ => return Err(self.unexpected("a layer such as 2, or a transpose")),
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn index(&mut self) -> Option<Index> {
        let index = match self.peek()? {
            Token::Mark(":" | "·" | "⊙") => Index::All,
            Token::Name(name) if name == "m" => Index::Size(Symbol::BatchSize),
            Token::Name(name) if name == "n" => {
                let layer = match (self.peek_at(1), self.peek_at(2)) {
                    (Some(Token::Mark("_" | "^")), Some(Token::Number(layer))) => {
                        layer.parse().ok()?
                    }
                    _ => return None,
                };
                self.at += 2;
                Index::Size(Symbol::Units(layer))
            }
            Token::Name(name) => match name.as_bytes() {
                [letter] if letter.is_ascii_lowercase() => Index::Letter(char::from(*letter)),
                _ => return None,
            },
            Token::Number(digits) => Index::Number(digits.parse().ok()?),
            _ => return None,
        };
        self.at += 1;
        Some(index)
    }

    /// A subscript: `{1,j}`, `{11}`, `{\cdot,1}`, or one token.
    pub(super) fn indices(&mut self) -> Result<Indices, FormulaError> {
        const WANTED: &str = "an index: an integer, a letter, or \\cdot for all";
        if !self.eat("{") {
            let index = self.index();
            return index
                .map(Indices::One)
                .ok_or_else(|| self.unexpected(WANTED));
        }
        let mut found = Vec::new();
        while !self.eat("}") {
            // `{11}` is two indices, one digit each.
            if let Some(Token::Number(digits)) = self.peek()
                && digits.len() == 2
                && found.is_empty()
                && matches!(self.peek_at(1), Some(Token::Mark("}")))
            {
                self.at += 1;
                found.extend(
                    digits
                        .bytes()
                        .map(|digit| Index::Number(usize::from(digit - b'0'))),
                );
                continue;
            }
            found.push(self.index().ok_or_else(|| self.unexpected(WANTED))?);
            self.eat(",");
        }
        match found[..] {
            [one] => Ok(Indices::One(one)),
            [row, column] => Ok(Indices::Two(row, column)),
            _ => Err(self.fault(
                Fault::Syntax,
                format!("Found {} indices; expected one or two.", found.len()),
            )),
        }
    }

    /// `[1, j]` right after a symbol, or nothing if the brackets hold something else.
    pub(super) fn bracketed_indices(&mut self) -> Option<Indices> {
        let start = self.at;
        let found = self.try_bracketed_indices();
        if found.is_none() {
            self.at = start;
        }
        found
    }

    pub(super) fn try_bracketed_indices(&mut self) -> Option<Indices> {
        self.expect("[").ok()?;
        let row = self.index()?;
        if self.eat("]") {
            return Some(Indices::One(row));
        }
        self.expect(",").ok()?;
        let column = self.index()?;
        self.expect("]").ok()?;
        Some(Indices::Two(row, column))
    }

    /// `l`, `l(\theta)`, `l_k(\theta)`.
    pub(super) fn loss(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut expr = self.node(Kind::Symbol(Symbol::Loss), start)?;
        if self.is("_") {
            self.at += 1;
            if self.is_name("D") {
                self.at += 1;
            } else {
                let indices = self.indices()?;
                let samples = self.node(Kind::Symbol(Symbol::SampleLoss), start)?;
                expr = self.node(Kind::Select(Box::new(samples), indices), start)?;
            }
        }
        self.skip_definition_arguments();
        expr.span = self.since(start);
        Ok(expr)
    }

    /// `f`, `f(x,\theta)`, `f^3(h^2, W^3)`, `f^2_1(…)`, `f_k`.
    pub(super) fn network_output(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if matches!(
            (self.peek(), self.peek_at(1)),
            (Some(Token::Mark("'")), Some(Token::Mark("(")))
        ) {
            return self.call(Function::Sigma, start);
        }
        let scripts = self.collect_scripts()?;
        let layer = scripts.layer.unwrap_or(self.scope.depth);
        self.skip_definition_arguments();
        let expr = self.node(Kind::Symbol(Symbol::Activation(layer)), start)?;
        self.with_scripts(expr, &scripts, start)
    }

    /// The parentheses of `l(\theta)` and `f(x, \theta)` carry no information.
    pub(super) fn skip_definition_arguments(&mut self) {
        let arguments = self.is("(")
            && match self.peek_at(1) {
                Some(Token::Name(name)) => {
                    name == "theta"
                        || (matches!(name.as_str(), "x" | "h" | "W")
                            && self.has_comma_before_close())
                        || (name == "x" && matches!(self.peek_at(2), Some(Token::Mark(")"))))
                }
                _ => false,
            };
        if arguments {
            self.skip_group();
        }
    }

    pub(super) fn has_comma_before_close(&self) -> bool {
        let mut ahead = 1;
        while let Some(token) = self.peek_at(ahead) {
            match token {
                Token::Mark("," | ";" | "|") => return true,
                Token::Mark(")") => return false,
                _ => ahead += 1,
            }
        }
        false
    }

    /// Skips a bracket with its content, or one token.
    pub(super) fn skip_group(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Mark("(" | "[" | "{" | "\\{") | Token::Begin(_) => depth += 1,
                Token::Mark(")" | "]" | "}" | "\\}") | Token::End(_) => {
                    depth = depth.saturating_sub(1)
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
