//! Parses superscripts and subscripts: layers, transposes and indices.

use std::sync::Arc;

use super::expr::{Comparison, Expr, Function, Index, Indices, Kind};
use super::lexer::Token;
use super::parser::{Kronecker, Parser};
use super::vocabulary::{INDEX_LETTERS, primed};
use super::{Fault, FormulaError, Span, Symbol};

/// The superscripts and subscripts of a layered symbol.
#[derive(Default)]
pub(super) struct Scripts {
    layer: Option<usize>,
    transposes: usize,
    indices: Option<Indices>,
    /// The sample of `h^{2(k)}`.
    sample: Option<Index>,
}

impl Parser<'_> {
    /// Wⁱ, bⁱ, zⁱ, hⁱ, nᵢ, and dWⁱ … for ∂l/∂Wⁱ.
    pub(super) fn layered(&mut self, name: &str, start: Span) -> Result<Expr, FormulaError> {
        let mut scripts = self.collect_scripts()?;
        // A network of one layer has one W, and what stands below it is an index.
        let only = (self.scope.depth == 1 && name != "n").then_some(1);
        scripts.layer = scripts.layer.or(only);
        if scripts.layer.is_none()
            && let Some(Indices::One(Index::Number(layer))) = scripts.indices
        {
            scripts.layer = Some(layer);
            scripts.indices = None;
        }
        let Some(layer) = scripts.layer else {
            let message = match scripts.indices {
                Some(Indices::Two(..)) => format!(
                    "{name} stands without a layer: write it as a superscript, as in {name}^2_{{1,1}}."
                ),
                _ => format!("{name} stands without a layer; write {name}^1, {name}^2, …."),
            };
            return Err(FormulaError::new(
                Fault::UnknownSymbol,
                self.since(start),
                message,
            ));
        };
        let (symbol, gradient) = match name {
            "W" | "w" | "dW" | "dw" => (Symbol::Weights(layer), name.starts_with('d')),
            "b" | "db" => (Symbol::Bias(layer), name == "db"),
            "z" | "dz" => (Symbol::PreActivation(layer), name == "dz"),
            "h" | "dh" => (Symbol::Activation(layer), name == "dh"),
            _ => (Symbol::Units(layer), false),
        };
        if scripts.sample.is_some() && !matches!(name, "z" | "dz" | "h" | "dh") {
            let message = format!("{name} is the same for all samples: leave the sample out.");
            return Err(FormulaError::new(Fault::Syntax, self.since(start), message));
        }
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
            Kind::Derivative(Arc::new(loss), Arc::new(with_respect_to)),
            start,
        )
    }

    pub(super) fn with_scripts(
        &mut self,
        mut expr: Expr,
        scripts: &Scripts,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        if let Some(sample) = scripts.sample {
            let indices = self.of_sample(sample, scripts.indices.as_ref())?;
            expr = self.node(Kind::Select(Arc::new(expr), indices), start)?;
        } else if let Some(indices) = &scripts.indices {
            expr = self.node(Kind::Select(Arc::new(expr), indices.clone()), start)?;
        }
        for _ in 0..scripts.transposes {
            expr = self.node(Kind::Transpose(Arc::new(expr)), start)?;
        }
        Ok(expr)
    }

    /// The indices of one sample, or of an entry of it.
    fn of_sample(&self, sample: Index, within: Option<&Indices>) -> Result<Indices, FormulaError> {
        let unit = match within {
            None => Index::All,
            Some(Indices::One(unit)) => *unit,
            Some(Indices::Two(..)) => {
                let message = "The sample is given above, so one index below is enough.";
                return Err(self.fault(Fault::Syntax, message));
            }
        };
        Ok(if self.scope.columns {
            Indices::Two(unit, sample)
        } else {
            Indices::Two(sample, unit)
        })
    }

    /// The sample in parentheses of its own, here: `(k)` or, where `numbers` may be samples, `(1)`. A layer's letter and
    /// a transpose are none.
    fn sample_in_parentheses(&mut self, numbers: bool) -> Option<Index> {
        let (Token::Mark("("), Token::Mark(")")) = (self.peek()?, self.peek_at(2)?) else {
            return None;
        };
        let index = match self.peek_at(1)? {
            Token::Number(digits) if numbers => Index::Number(digits.parse().ok()?),
            Token::Name(name) => {
                let letter = name.chars().next().filter(|_| name.len() == 1)?;
                let is_other = matches!(letter, 'l' | 't') && !self.bound.contains(&letter);
                let is_sample =
                    letter.is_ascii_lowercase() && !is_other && self.scope.layer_of(name).is_none();
                if !is_sample {
                    return None;
                }
                match letter {
                    'm' if !self.bound.contains(&'m') => Index::Size(Symbol::BatchSize),
                    letter => Index::Letter(letter),
                }
            }
            _ => return None,
        };
        self.at += 3;
        Some(index)
    }

    /// `x^{(i)}`, `y^{(k)}_1`: the sample of a symbol without a layer.
    pub(super) fn sampled(
        &mut self,
        base: Expr,
        numbers: bool,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        if !self.is("^") {
            return Ok(base);
        }
        let before = self.at;
        self.at += 1;
        let braces = self.eat("{");
        let sample = self.sample_in_parentheses(numbers);
        let is_transposed = sample.is_some()
            && braces
            && (self.eat_name("T") || self.eat_name("top") || self.eat("'"));
        let Some(sample) = sample.filter(|_| !braces || self.eat("}")) else {
            self.at = before;
            return Ok(base);
        };
        let within = if self.eat("_") {
            Some(self.indices()?)
        } else {
            None
        };
        let indices = self.of_sample(sample, within.as_ref())?;
        let row = self.node(Kind::Select(Arc::new(base), indices), start)?;
        if is_transposed {
            return self.node(Kind::Transpose(Arc::new(row)), start);
        }
        Ok(row)
    }

    /// `x_j^{(i)}`, whose `x_j` is `base`: the entry of that sample.
    pub(super) fn entry_of_sample(&mut self, base: &Expr) -> Option<Kind> {
        let Kind::Select(of, Indices::One(unit)) = &base.kind else {
            return None;
        };
        if !matches!(
            of.kind,
            Kind::Symbol(Symbol::Activation(0) | Symbol::Targets | Symbol::Delta)
        ) {
            return None;
        }
        let before = self.at;
        self.at += 1;
        let braces = self.eat("{");
        let sample = self.sample_in_parentheses(true);
        let Some(sample) = sample.filter(|_| !braces || self.eat("}")) else {
            self.at = before;
            return None;
        };
        let indices = self.of_sample(sample, Some(&Indices::One(*unit))).ok()?;
        Some(Kind::Select(of.clone(), indices))
    }

    /// `^3`, `^{(3)}`, `^{[3]}`, `^{3\top}`, `^\top`, `_{1,j}`, `[1, j]`, in any order; `_3` is a layer if an index in
    /// brackets or another subscript follows.
    pub(super) fn collect_scripts(&mut self) -> Result<Scripts, FormulaError> {
        let mut scripts = Scripts::default();
        loop {
            if scripts.layer.is_none()
                && let Some(Indices::One(Index::Number(layer))) = scripts.indices
                && (self.is("_") || self.is("[") && self.is_adjacent())
            {
                scripts.layer = Some(layer);
                scripts.indices = None;
            }
            if self.eat("'") || self.eat(".T") {
                scripts.transposes += 1;
            } else if self.is("^") && (scripts.layer.is_none() || self.superscript_is_transpose()) {
                self.at += 1;
                self.superscript(&mut scripts)?;
            } else if self.is("_") && scripts.indices.is_none() {
                self.at += 1;
                match self.last_layer() {
                    Some(layer) if scripts.layer.is_none() => scripts.layer = Some(layer),
                    _ => scripts.indices = Some(self.indices()?),
                }
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

    /// `L` or `{L-1}` as a subscript.
    fn last_layer(&mut self) -> Option<usize> {
        let start = self.at;
        let braces = self.eat("{");
        let mut layer = self.eat_name("L").then_some(self.scope.depth);
        if let Some(last) = layer
            && braces
            && self.eat("-")
        {
            layer = match self.peek() {
                Some(Token::Number(digits)) => {
                    digits.parse().ok().and_then(|less| last.checked_sub(less))
                }
                _ => None,
            };
            self.at += 1;
        }
        if layer.is_none() || braces && !self.eat("}") {
            self.at = start;
            return None;
        }
        layer
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
            if scripts.sample.is_none()
                && let Some(sample) = self.sample_in_parentheses(false)
            {
                scripts.sample = Some(sample);
                if open == 0 {
                    return Ok(());
                }
                continue;
            }
            match self.peek() {
                Some(Token::Mark("{" | "(" | "[" | "⟨")) => open += 1,
                Some(Token::Mark("}" | ")" | "]" | "⟩")) if open > 0 => open -= 1,
                Some(Token::Mark("^" | ",")) if open > 0 => {}
                Some(Token::Mark("'")) => scripts.transposes += 1,
                Some(Token::Name(name)) if matches!(name.as_str(), "T" | "top" | "t") => {
                    scripts.transposes += 1
                }
                Some(Token::Name(name)) if name == "L" && scripts.layer.is_none() => {
                    scripts.layer = Some(self.scope.depth);
                }
                Some(Token::Name(name))
                    if scripts.layer.is_none()
                        && let Some(layer) = self.scope.layer_of(name) =>
                {
                    scripts.layer = Some(layer);
                }
                Some(Token::Number(digits)) if scripts.layer.is_none() => {
                    scripts.layer = digits.parse().ok();
                }
                Some(Token::Mark(sign @ ("-" | "+"))) if scripts.layer.is_some() => {
                    let is_less = *sign == "-";
                    self.at += 1;
                    match self.peek() {
                        Some(Token::Number(digits)) => {
                            let by: usize = digits.parse().unwrap_or(0);
                            scripts.layer = scripts.layer.and_then(|layer| {
                                if is_less {
                                    layer.checked_sub(by)
                                } else {
                                    layer.checked_add(by)
                                }
                            });
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
        if let Some(letter) = self.index_letter() {
            return Some(Index::Letter(letter));
        }
        let index = match self.peek()? {
            Token::Mark(":" | "·" | "⊙" | "•" | ".") => Index::All,
            Token::Name(name) if name == "m" => Index::Size(Symbol::BatchSize),
            // Typst's `_(i, dot)`.
            Token::Name(name) if name == "dot" => Index::All,
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
            Token::Number(digits) => Index::Number(digits.parse().ok()?),
            _ => return None,
        };
        self.at += 1;
        Some(index)
    }

    /// The letter of an index: a to z, ℓ, a Greek letter, `i'`. m and n are sizes unless a sum runs over them.
    pub(super) fn index_letter(&mut self) -> Option<char> {
        let Token::Name(name) = self.peek()? else {
            return None;
        };
        let letter = match name.as_bytes() {
            [b'm'] => self.bound.contains(&'m').then_some('m')?,
            // `_{n1}`, where the lexer takes the digit for a layer, is two indices under a sum over n.
            [b'n'] if self.bound.contains(&'n') && self.is_written_together() => {
                self.at += 2;
                return Some('n');
            }
            [b'n'] if matches!(self.peek_at(1), Some(Token::Mark("_" | "^"))) => return None,
            [letter] if letter.is_ascii_lowercase() => char::from(*letter),
            _ => *INDEX_LETTERS
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, letter)| letter)?,
        };
        self.at += 1;
        if let Some(primed) = primed(letter) {
            if self.eat("'") {
                return Some(primed);
            }
            if self.is("^") && matches!(self.peek_at(1), Some(Token::Mark("'"))) {
                self.at += 2;
                return Some(primed);
            }
        }
        Some(letter)
    }

    /// Whether the mark behind this name is one that the lexer put in.
    fn is_written_together(&self) -> bool {
        self.tokens
            .get(self.at + 1)
            .is_some_and(|next| next.token == Token::Mark("^") && next.span.start == next.span.end)
    }

    /// A subscript: `{1,j}`, `{11}`, `{\cdot,1}`, `(1,2)`, or one token.
    pub(super) fn indices(&mut self) -> Result<Indices, FormulaError> {
        const WANTED: &str = "an index: an integer, a letter, or \\cdot for all";
        let close = match self.peek() {
            Some(Token::Mark("{")) => "}",
            Some(Token::Mark("(")) => ")",
            _ => {
                let index = self.index();
                return index
                    .map(Indices::One)
                    .ok_or_else(|| self.unexpected(WANTED));
            }
        };
        self.at += 1;
        let inner = if close == "}" && self.eat("(") {
            Some(")")
        } else if close == "}" && self.eat("[") {
            Some("]")
        } else {
            None
        };
        let end = inner.unwrap_or(close);
        let mut found = Vec::new();
        while !self.eat(end) {
            // `{11}` is two indices, one digit each.
            if let Some(Token::Number(digits)) = self.peek()
                && digits.len() == 2
                && found.is_empty()
                && matches!(self.peek_at(1), Some(Token::Mark(mark)) if *mark == end)
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
            if self.eat(",") && self.is(end) {
                return Err(self.unexpected("an index behind the comma; · stands for all of them"));
            }
        }
        if inner.is_some() {
            self.expect(close)?;
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
        // Mathematica's `h2[[1,1]]`.
        let is_double = self.eat("[");
        let found = self.inner_indices()?;
        if is_double {
            self.expect("]").ok()?;
        }
        Some(found)
    }

    fn inner_indices(&mut self) -> Option<Indices> {
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
                expr = self.node(Kind::Select(Arc::new(samples), indices), start)?;
            }
        }
        self.skip_definition_arguments();
        expr.span = self.since(start);
        Ok(expr)
    }

    /// δ, δ^{(l)} = ∂l/∂zˡ, `\delta_k`.
    pub(super) fn delta(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let depth = self.scope.depth;
        if self.is("^") && self.exponent_of_delta() {
            let delta = self.node(Kind::Symbol(Symbol::Delta), start)?;
            return self.sampled(delta, false, start);
        }
        let mut scripts = self.collect_scripts()?;
        let mut expr = self.node(Kind::Symbol(Symbol::Delta), start)?;
        match (scripts.layer, scripts.indices.clone()) {
            (Some(layer), _) if layer < depth => {
                expr = self.node(Kind::Symbol(Symbol::PreActivation(layer)), start)?;
                expr = self.gradient_of_loss(expr, start)?;
                self.note(format!(
                    "δ with the layer {layer} was read as ∂l/∂z^{layer}."
                ));
            }
            (Some(layer), _) => {
                self.note(format!("δ with the layer {layer} was read as δ = ∂l/∂f."));
            }
            (None, Some(Indices::One(Index::Number(index)))) if index == depth && depth > 1 => {
                self.doubts.layer = true;
                if self.style.layer {
                    scripts.indices = None;
                    self.note(format!("δ_{index} was read as δ with the layer {index}."));
                }
            }
            (None, Some(Indices::Two(a, b)))
                if [a, b]
                    .iter()
                    .all(|index| matches!(index, Index::Letter(_) | Index::Number(_))) =>
            {
                let both_letters = matches!((a, b), (Index::Letter(_), Index::Letter(_)));
                let is_kronecker = match self.style.kronecker {
                    Kronecker::None => false,
                    Kronecker::Letters => both_letters,
                    Kronecker::All => true,
                };
                self.doubts.kronecker = true;
                if is_kronecker {
                    let (a, b) = (self.index_value(a, start)?, self.index_value(b, start)?);
                    self.note("δ with two indices was read as Kronecker's.".to_owned());
                    expr = self.node(
                        Kind::Compare(Comparison::Equal, Arc::new(a), Arc::new(b)),
                        start,
                    )?;
                    scripts.indices = None;
                }
            }
            _ => {}
        }
        self.with_scripts(expr, &scripts, start)
    }

    fn index_value(&mut self, index: Index, start: Span) -> Result<Expr, FormulaError> {
        let kind = match index {
            Index::Letter(letter) => Kind::Letter(letter),
            Index::Number(number) => Kind::Number(number as f64),
            Index::Size(symbol) => Kind::Symbol(symbol),
            Index::All => return Err(self.unexpected("an index")),
        };
        self.node(kind, start)
    }

    /// Whether the superscript here is neither a layer of this network nor a transpose: a power, or `^*`.
    fn exponent_of_delta(&self) -> bool {
        let mut ahead = 1;
        while matches!(
            self.peek_at(ahead),
            Some(Token::Mark("{" | "(" | "[" | "⟨"))
        ) {
            ahead += 1;
        }
        match self.peek_at(ahead) {
            Some(Token::Number(digits)) => digits
                .parse()
                .map_or(true, |layer: usize| layer == 0 || layer > self.scope.depth),
            Some(Token::Name(name)) => {
                !matches!(name.as_str(), "T" | "top" | "t" | "L" | "l" | "ell")
                    && self.scope.layer_of(name).is_none()
            }
            Some(Token::Mark(mark)) => *mark != "'",
            _ => true,
        }
    }

    /// `f`, `f(x,\theta)`, `f^3(h^2, W^3)`, `f^2_1(…)`, `f_k`.
    pub(super) fn network_output(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if matches!(
            (self.peek(), self.peek_at(1)),
            (Some(Token::Mark("'")), Some(Token::Mark("(")))
        ) {
            return self.call(Function::Sigma, start);
        }
        // `f_\theta(x)`.
        if self.is("_") && matches!(self.peek_at(1), Some(Token::Name(name)) if name == "theta") {
            self.at += 2;
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
