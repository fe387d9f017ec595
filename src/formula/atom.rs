//! The smallest readable pieces: numbers, symbols with their layers and indices, brackets, fractions, sums, functions.

use super::expr::{Expr, Function, Index, Indices, Kind, Operator};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span, Symbol};

/// What stands above and below a layered symbol.
#[derive(Default)]
struct Scripts {
    layer: Option<usize>,
    transposes: usize,
    indices: Option<Indices>,
}

impl Parser<'_> {
    pub(super) fn atom(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        match self.peek() {
            Some(Token::Number(digits)) => {
                self.at += 1;
                if digits == "1" && self.is_indicator_body() {
                    return self.indicator(start);
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
            Some(Token::Mark("(")) => self.enclosed("(", ")"),
            Some(Token::Mark("{")) => self.enclosed("{", "}"),
            Some(Token::Mark("\\{")) => self.enclosed("\\{", "\\}"),
            Some(Token::Mark("[")) => self.row(),
            _ => Err(self.unexpected("a number, a symbol or a bracket")),
        }
    }

    fn enclosed(&mut self, open: &str, close: &str) -> Result<Expr, FormulaError> {
        self.expect(open)?;
        let inner = self.comparison()?;
        self.expect(close)?;
        Ok(inner)
    }

    /// `[a \quad b]`, `[a, b]`, `[a; b]`, `[[a, b], [c, d]]`; `[a]` is a.
    fn row(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        self.expect("[")?;
        let mut bracketed = self.is("[");
        let mut rows = vec![vec![self.comparison()?]];
        loop {
            if self.eat("]") {
                break;
            } else if self.eat(";") || self.eat("\\\\") {
                rows.push(Vec::new());
            } else if !(self.eat(",") || self.eat("quad") || self.eat("&")) {
                return Err(self.unexpected("a comma, a wide space or \"]\""));
            }
            while self.eat("quad") {}
            bracketed &= self.is("[");
            let entry = self.comparison()?;
            if let Some(row) = rows.last_mut() {
                row.push(entry);
            }
        }
        // Rows in brackets of their own stand below each other.
        if let [row] = &mut rows[..] {
            if bracketed && row.len() > 1 {
                let parts = std::mem::take(row);
                rows = parts.into_iter().map(|part| vec![part]).collect();
            } else if row.len() == 1
                && let Some(only) = row.pop()
            {
                return Ok(only);
            }
        }
        self.node(Kind::Rows(rows), start)
    }

    /// The rows of an environment, up to its `\end`.
    fn matrix(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut rows = vec![Vec::new()];
        loop {
            match self.peek() {
                Some(Token::End(_)) => break,
                Some(Token::Mark("&")) => self.at += 1,
                Some(Token::Mark("\\\\")) => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(Token::End(_))) {
                        rows.push(Vec::new());
                    }
                }
                Some(_) => {
                    let entry = self.comparison()?;
                    if let Some(row) = rows.last_mut() {
                        row.push(entry);
                    }
                }
                None => return Err(self.unexpected("the \\end of the matrix")),
            }
        }
        self.at += 1;
        if rows.iter().any(Vec::is_empty) {
            return Err(FormulaError::new(
                Fault::Syntax,
                self.since(start),
                "Found a row without entries in a matrix.",
            ));
        }
        if let [row] = &mut rows[..]
            && row.len() == 1
            && let Some(only) = row.pop()
        {
            return Ok(only);
        }
        self.node(Kind::Rows(rows), start)
    }

    fn cases(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut cases = Vec::new();
        while !matches!(self.peek(), Some(Token::End(_))) {
            let value = self.comparison()?;
            self.eat(",");
            self.eat("&");
            let mut condition = None;
            loop {
                if self.is_name("if")
                    || self.is_name("for")
                    || self.is_name("otherwise")
                    || self.is_name("else")
                {
                    self.at += 1;
                } else if !self.eat(",") {
                    break;
                }
            }
            if !matches!(
                self.peek(),
                Some(Token::Mark("\\\\") | Token::End(_)) | None
            ) {
                condition = Some(self.comparison()?);
            }
            while self.eat(",") || self.eat(".") || self.eat(";") {}
            cases.push((value, condition));
            if !self.eat("\\\\") {
                break;
            }
        }
        if !matches!(self.peek(), Some(Token::End(_))) {
            return Err(self.unexpected("a condition, \\\\ or \\end{cases}"));
        }
        self.at += 1;
        self.node(Kind::Cases(cases), start)
    }

    fn named(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        if self.is_argument(name) {
            return self.node(Kind::Symbol(Symbol::Argument), start);
        }
        match name {
            "W" | "b" | "z" | "h" | "n" | "dW" | "db" | "dz" | "dh" => self.layered(name, start),
            "x" => self.plain_symbol(Symbol::Activation(0), start),
            "dx" => {
                let x = self.plain_symbol(Symbol::Activation(0), start)?;
                self.gradient_of_loss(x, start)
            }
            "y" => self.plain_symbol(Symbol::Targets, start),
            "hat" => {
                let target = self.script()?;
                if target.kind != Kind::Symbol(Symbol::Targets) {
                    return Err(FormulaError::new(
                        Fault::UnknownSymbol,
                        self.since(start),
                        "Only \\hat{y} is known, as f(x, θ).",
                    ));
                }
                self.plain_symbol(self.output(), start)
            }
            "delta" => self.plain_symbol(Symbol::Delta, start),
            "m" => self.node(Kind::Symbol(Symbol::BatchSize), start),
            "l" | "ell" | "loss" | "L" | "J" => self.loss(start),
            "f" => self.network_output(start),
            "frac" => self.fraction(start),
            "partial" | "nabla" => self.subscripted_derivative(start),
            "sum" => self.summation(start),
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

    fn function_or_letter(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
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
    fn call(&mut self, mut function: Function, start: Span) -> Result<Expr, FormulaError> {
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
        let arguments = if self.eat("(") || self.eat("\\{") {
            self.arguments()?.values
        } else {
            vec![self.factor()?]
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
        self.node(Kind::Call(function, arguments), start)
    }

    fn array_function(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        self.expect("(")?;
        let mut values = self.arguments()?.values.into_iter();
        let kind = match (name, values.next(), values.next(), values.next()) {
            ("transpose", Some(a), None, _) => Kind::Transpose(Box::new(a)),
            ("dot" | "matmul", Some(a), Some(b), None) => {
                Kind::Binary(Operator::Times, Box::new(a), Box::new(b))
            }
            ("multiply", Some(a), Some(b), None) => {
                Kind::Binary(Operator::Hadamard, Box::new(a), Box::new(b))
            }
            ("outer", Some(a), Some(b), None) => {
                let span = a.span;
                let column = Expr::new(Kind::Transpose(Box::new(a)), span);
                Kind::Binary(Operator::Times, Box::new(column), Box::new(b))
            }
            ("where", Some(condition), Some(a), Some(b)) => {
                Kind::Cases(vec![(a, Some(condition)), (b, None)])
            }
            _ => {
                let message = format!("{name} has another number of arguments.");
                return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
            }
        };
        self.node(kind, start)
    }

    /// Whether what follows can be the condition of an indicator.
    fn is_indicator_body(&self) -> bool {
        match self.peek() {
            Some(Token::Mark("\\{")) => true,
            Some(Token::Mark(mark @ ("_" | "[" | "("))) => {
                let close = match *mark {
                    "(" => ")",
                    "[" => "]",
                    _ => "}",
                };
                let compares = |token: Option<&Token>| {
                    matches!(
                        token,
                        Some(Token::Mark(">=" | ">" | "<=" | "<" | "=" | "==" | "!="))
                    )
                };
                let is_name = !matches!(
                    self.at
                        .checked_sub(1)
                        .and_then(|at| self.tokens.get(at))
                        .map(|before| &before.token),
                    Some(Token::Number(_))
                );
                if is_name && *mark == "(" {
                    return true;
                }
                let (mut depth, mut ahead) = (0_usize, 0);
                while let Some(token) = self.peek_at(ahead) {
                    match token {
                        Token::Mark("(" | "[" | "{") => depth += 1,
                        Token::Mark(")" | "]" | "}") => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if compares(Some(token)) {
                        return depth > 0;
                    }
                    if depth == 0
                        && ahead > 0
                        && matches!(token, Token::Mark(found) if *found == close)
                    {
                        return false;
                    }
                    ahead += 1;
                }
                false
            }
            _ => false,
        }
    }

    fn indicator(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.eat("_");
        let condition = match self.peek() {
            Some(Token::Mark("\\{")) => self.enclosed("\\{", "\\}")?,
            Some(Token::Mark("[")) => self.enclosed("[", "]")?,
            Some(Token::Mark("(")) => self.enclosed("(", ")")?,
            _ => {
                self.expect("{")?;
                // `\mathbb{1}_{\{z > 0\}}` has both.
                let inner = self.comparison()?;
                self.expect("}")?;
                inner
            }
        };
        match condition.kind {
            Kind::Compare(..) => Ok(condition),
            _ => self.node(Kind::Call(Function::Step, vec![condition]), start),
        }
    }

    /// `\mathbf{1}`, `\mathbf{1}_m`: a column of ones.
    fn ones(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if self.eat("(") {
            let size = self.comparison()?;
            self.expect(")")?;
            return self.node(Kind::Ones(Some(Box::new(size))), start);
        }
        let size = if self.eat("_") {
            Some(Box::new(self.script()?))
        } else {
            None
        };
        self.node(Kind::Ones(size), start)
    }

    /// Wⁱ, bⁱ, zⁱ, hⁱ, nᵢ, and dWⁱ … for ∂l/∂Wⁱ.
    fn layered(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        let mut scripts = self.collect_scripts()?;
        if name == "n" && scripts.layer.is_none() {
            if let Some(Indices::One(Index::Number(layer))) = scripts.indices {
                scripts.layer = Some(layer);
                scripts.indices = None;
            }
        }
        let Some(layer) = scripts.layer else {
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

    fn gradient_of_loss(
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

    fn with_scripts(
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

    /// x, y, δ: indices below, transposes and powers as anything else has them.
    fn plain_symbol(&mut self, symbol: Symbol, start: Span) -> Result<Expr, FormulaError> {
        self.node(Kind::Symbol(symbol), start)
    }

    /// `^3`, `^{(3)}`, `^{[3]}`, `^{3\top}`, `^\top`, `_{1,j}`, `[1, j]`, in any order.
    fn collect_scripts(&mut self) -> Result<Scripts, FormulaError> {
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

    fn superscript_is_transpose(&self) -> bool {
        let mut ahead = 1;
        while matches!(self.peek_at(ahead), Some(Token::Mark("{"))) {
            ahead += 1;
        }
        matches!(self.peek_at(ahead), Some(Token::Name(name)) if matches!(name.as_str(), "T" | "top" | "t"))
            || matches!(self.peek_at(ahead), Some(Token::Mark("'")))
    }

    fn superscript(&mut self, scripts: &mut Scripts) -> Result<(), FormulaError> {
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

    fn index(&mut self) -> Option<Index> {
        let index = match self.peek()? {
            Token::Mark(":" | "·") => Index::All,
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

    /// What stands below a symbol: `{1,j}`, `{11}`, `{\cdot,1}`, or one token.
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

    /// `[1, j]` right behind a symbol, or nothing where the brackets hold something else.
    pub(super) fn bracketed_indices(&mut self) -> Option<Indices> {
        let start = self.at;
        let found = self.try_bracketed_indices();
        if found.is_none() {
            self.at = start;
        }
        found
    }

    fn try_bracketed_indices(&mut self) -> Option<Indices> {
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
    fn loss(&mut self, start: Span) -> Result<Expr, FormulaError> {
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
    fn network_output(&mut self, start: Span) -> Result<Expr, FormulaError> {
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

    /// The parentheses of `l(\theta)` and `f(x, \theta)` say what is fixed anyway.
    fn skip_definition_arguments(&mut self) {
        let arguments = self.is("(")
            && match self.peek_at(1) {
                Some(Token::Name(name)) => {
                    name == "theta"
                        || (matches!(name.as_str(), "x" | "h" | "W")
                            && self.has_comma_before_close())
                }
                _ => false,
            };
        if arguments {
            self.skip_group();
        }
    }

    fn has_comma_before_close(&self) -> bool {
        let mut ahead = 1;
        while let Some(token) = self.peek_at(ahead) {
            match token {
                Token::Mark(",") => return true,
                Token::Mark(")") => return false,
                _ => ahead += 1,
            }
        }
        false
    }

    /// Steps over a bracket with all it holds, or over one token.
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

    /// `\frac{a}{b}`; with ∂ or d in front of both it is a derivative.
    fn fraction(&mut self, start: Span) -> Result<Expr, FormulaError> {
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
    fn differential(&mut self) -> Result<(bool, Option<Expr>), FormulaError> {
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
    fn subscripted_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
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
    fn inline_derivative(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let above = self.factor()?;
        self.expect("/")?;
        if !self.is_name("partial") {
            return Err(self.unexpected("a ∂ below, as in ∂l/∂W^2"));
        }
        self.at += 1;
        let below = self.factor()?;
        self.node(Kind::Derivative(Box::new(above), Box::new(below)), start)
    }

    fn factor_without_scripts(&mut self) -> Result<Expr, FormulaError> {
        self.nested(Self::atom)
    }

    /// `\sum_{q=1}^{n_2} …`; `sum(A, axis = 0)`.
    fn summation(&mut self, start: Span) -> Result<Expr, FormulaError> {
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
    fn sum_limit(&mut self) -> Result<Expr, FormulaError> {
        self.nested(Self::atom)
    }
}
