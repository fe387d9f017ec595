//! Parses tokens into a tree, by precedence climbing.
//!
//! Tight to loose: scripts · products, `/` · ⊙ · `+ −` · comparisons. Adjacent products and ⊙ without parentheses stay
//! together in [`Kind::Mixed`], because authors differ in which of them binds tighter.

use std::sync::Arc;

use std::collections::BTreeMap;

use super::expr::{Comparison, Expr, Function, Index, Indices, Kind, Operator};
use super::lexer::{Lexeme, Token};
use super::text::OwnNames;
use super::{Fault, FormulaError, MAX_HEIGHT, Names, Span, Symbol};

/// The deepest nesting of a formula.
pub const MAX_DEPTH: usize = 64;
/// The most nodes of a formula.
pub const MAX_NODES: usize = 2000;

/// The meaning of names beyond the symbols that every network has.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// L, the number of layers.
    pub depth: usize,
    /// The names of the scalar in a question about a function of one number.
    pub argument: Vec<String>,
    /// What makes probabilities of the network's output, if ŷ is not the output itself.
    pub prediction: Option<Function>,
    /// Letters that stand for a layer, such as the l of δˡ.
    pub layers: BTreeMap<String, usize>,
    /// The course's own letters for the network's quantities.
    pub names: Names,
    /// The names of the assignment's constants, such as `lambda`.
    pub constants: Vec<String>,
    /// The indices that the question gives a value.
    pub free: Vec<char>,
    /// Whether samples are columns.
    pub columns: bool,
    /// Rows and columns of each constant.
    pub constant_shapes: Vec<(usize, usize)>,
    /// n₀, n₁, …; empty if they are not known.
    pub units: Vec<usize>,
    /// Whether W has a row for each input, not for each unit.
    pub inputs_by_outputs: bool,
    /// The number of samples, if it is the same for all networks.
    pub samples: Option<usize>,
}

/// The δ with two indices that are Kronecker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kronecker {
    /// None: all are entries of the loss's derivative.
    #[default]
    None,
    /// Those with two letters.
    Letters,
    /// All.
    All,
}

/// How to read notation that authors use in different ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) kronecker: Kronecker,
    /// δ₃ is δ with the layer 3, not that of the third sample.
    pub(super) layer: bool,
    /// A dot between two columns is the inner product.
    pub(super) dots: bool,
    /// ⊗ is elementwise, and • a product.
    pub(super) swapped: bool,
    /// So many bytes of space separate the entries of a row; 0 if none do.
    pub(super) spaces: usize,
    /// The size of unit vectors whose neighbours do not give it.
    pub(super) unit: Option<Symbol>,
}

/// Which choices of a [`Style`] matter for a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubts {
    pub(super) kronecker: bool,
    pub(super) layer: bool,
    pub(super) dots: bool,
    pub(super) swapped: bool,
    pub(super) spaces: bool,
    pub(super) unit: bool,
}

impl Scope {
    /// The layer that a letter stands for; ℓ is l.
    pub(super) fn layer_of(&self, name: &str) -> Option<usize> {
        let name = if name == "ell" { "l" } else { name };
        self.layers.get(name).copied()
    }
}

/// Parses the tokens of one side from left to right.
pub(super) struct Parser<'t> {
    pub(super) tokens: &'t [Lexeme],
    pub(super) at: usize,
    pub(super) scope: &'t Scope,
    pub(super) style: Style,
    pub(super) doubts: Doubts,
    /// Readings that could surprise the author.
    pub(super) notes: Vec<String>,
    /// The indices of the enclosing sums.
    pub(super) bound: Vec<char>,
    /// Inside `|…|`, where the next bar closes.
    pub(super) in_bars: bool,
    /// Directly in a row whose entries spaces separate.
    pub(super) in_spaced_row: bool,
    /// The names that the answer defines.
    pub(super) names: &'t OwnNames,
    /// Where braces open that hold no cases.
    pub(super) not_cases: std::collections::BTreeSet<usize>,
    depth: usize,
    pub(super) nodes: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn with_names(tokens: &'t [Lexeme], scope: &'t Scope, names: &'t OwnNames) -> Self {
        Self {
            tokens,
            at: 0,
            scope,
            style: Style::default(),
            doubts: Doubts::default(),
            notes: Vec::new(),
            bound: Vec::new(),
            in_bars: false,
            in_spaced_row: false,
            names,
            not_cases: std::collections::BTreeSet::new(),
            depth: 0,
            nodes: 0,
        }
    }

    /// Says how something was read, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|lexeme| &lexeme.token)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&'t Token> {
        self.tokens.get(self.at + ahead).map(|lexeme| &lexeme.token)
    }

    pub(super) fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(found)) if *found == mark)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == name)
    }

    pub(super) fn eat_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), FormulaError> {
        if self.eat(mark) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{mark:?}")))
        }
    }

    /// The position of the next token, or just after the last.
    pub(super) fn here(&self) -> Span {
        let end = self.tokens.last().map_or(0, |last| last.span.end);
        let behind = Span { start: end, end };
        self.tokens
            .get(self.at)
            .map_or(behind, |lexeme| lexeme.span)
    }

    /// The span from `start` to the last token read.
    pub(super) fn since(&self, start: Span) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        Span {
            start: start.start,
            end: last.map_or(start.end, |last| last.span.end.max(start.start)),
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> FormulaError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Number(text) | Token::Name(text)) => format!("{text:?}"),
            Some(Token::Mark("&")) => "\"&\" outside a matrix".to_owned(),
            Some(Token::Mark(mark)) => format!("{mark:?}"),
            Some(Token::Begin(name)) => format!("\\begin{{{name}}}"),
            Some(Token::End(name)) => format!("\\end{{{name}}}"),
            Some(Token::Break) => "the end of a displayed formula".to_owned(),
            Some(Token::Line) => "the end of a line".to_owned(),
            Some(Token::Inline) => "\"$\"".to_owned(),
            Some(Token::Word(word)) => format!("the word “{word}”"),
        };
        self.fault(
            Fault::Syntax,
            format!("Found {found}; expected {expected}."),
        )
    }

    pub(super) fn fault(&self, fault: Fault, message: impl Into<String>) -> FormulaError {
        FormulaError::new(fault, self.here(), message)
    }

    pub(super) fn node(&mut self, kind: Kind, start: Span) -> Result<Expr, FormulaError> {
        self.nodes += 1;
        let span = self.since(start);
        if self.nodes > MAX_NODES {
            let message =
                format!("The formula has more than {MAX_NODES} pieces. Write it shorter.");
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        let expr = Expr::new(kind, span);
        if expr.height() > MAX_HEIGHT {
            let message = format!(
                "More than {MAX_HEIGHT} pieces of the formula lie inside each other. Write it flatter."
            );
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        Ok(expr)
    }

    pub(super) fn nested<V>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<V, FormulaError>,
    ) -> Result<V, FormulaError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message =
                format!("The formula nests more than {MAX_DEPTH} deep. Write it flatter.");
            return Err(self.fault(Fault::TooLarge, message));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// `a ≥ b`, or a sum alone.
    pub(super) fn comparison(&mut self) -> Result<Expr, FormulaError> {
        self.nested(|parser| {
            let start = parser.here();
            let left = parser.sum()?;
            let comparison = match parser.peek() {
                Some(Token::Mark(">=")) => Comparison::GreaterOrEqual,
                Some(Token::Mark(">")) => Comparison::Greater,
                Some(Token::Mark("<=")) => Comparison::LessOrEqual,
                Some(Token::Mark("<")) => Comparison::Less,
                Some(Token::Mark("=" | "==")) => Comparison::Equal,
                Some(Token::Mark("!=")) => Comparison::NotEqual,
                _ => return Ok(left),
            };
            parser.at += 1;
            let right = parser.sum()?;
            if let Some(Token::Mark(">=" | ">" | "<=" | "<")) = parser.peek() {
                return Err(parser.unexpected("one comparison at a time"));
            }
            parser.node(
                Kind::Compare(comparison, Arc::new(left), Arc::new(right)),
                start,
            )
        })
    }

    /// Terms joined by `+` and `−`.
    pub(super) fn sum(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        let first = self.signed_term()?;
        let mut terms = vec![(Operator::Add, first)];
        loop {
            let operator = match self.peek() {
                Some(Token::Mark("+")) => Operator::Add,
                Some(Token::Mark("-")) => Operator::Subtract,
                _ => break,
            };
            self.at += 1;
            if operator == Operator::Add && self.is_name("dots") {
                self.dotted_sum(&mut terms)?;
            } else {
                terms.push((operator, self.signed_term()?));
            }
        }
        let mut terms = terms.into_iter();
        let Some((_, mut left)) = terms.next() else {
            return Err(self.unexpected("a term"));
        };
        for (operator, right) in terms {
            let span = Span {
                start: start.start,
                end: right.span.end,
            };
            left = self.node(
                Kind::Binary(operator, Arc::new(left), Arc::new(right)),
                start,
            )?;
            left.span = span;
        }
        Ok(left)
    }

    pub(super) fn signed_term(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        if self.eat("-") {
            let term = self.nested(Self::signed_term)?;
            return self.node(Kind::Negate(Arc::new(term)), start);
        }
        if self.eat("+") {
            return self.nested(Self::signed_term);
        }
        self.term()
    }

    /// Factors joined by products, `/` and ⊙. A sum sign, or a derivative still without its operand, takes the rest.
    pub(super) fn term(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        let first = self.factor()?;
        let mut rest: Vec<(Joint, Expr)> = Vec::new();
        while let Some(joint) = self.joint() {
            if joint == Joint::Tensor {
                self.doubts.swapped = true;
                if !self.style.swapped {
                    let left = self.joined(first, rest, start)?;
                    let right = self.nested(Self::term)?;
                    return self.node(Kind::Call(Function::Outer, vec![left, right]), start);
                }
            }
            let negated = self.here();
            let mut factor = if joint != Joint::Adjacent && self.eat("-") {
                let factor = self.factor()?;
                self.node(Kind::Negate(Arc::new(factor)), negated)?
            } else {
                self.factor()?
            };
            if joint == Joint::DivideEach {
                let minus_one = self.node(Kind::Number(-1.0), negated)?;
                let inverse = Kind::Power(Arc::new(factor), Arc::new(minus_one));
                factor = self.node(inverse, negated)?;
            }
            rest.push((joint, factor));
        }
        self.joined(first, rest, start)
    }

    /// How the next factor is joined to the one before, behind the sign for it; `None` at the end of the term.
    fn joint(&mut self) -> Option<Joint> {
        let joint = match self.peek() {
            Some(Token::Mark("·")) => Joint::Dot,
            Some(Token::Mark("@" | "×")) => Joint::Times,
            Some(Token::Mark("/")) => Joint::Divide,
            Some(Token::Mark("⊙")) => Joint::Each,
            Some(Token::Mark("⊗")) => Joint::Tensor,
            Some(Token::Mark("⊘")) => Joint::DivideEach,
            Some(Token::Mark("•")) => {
                self.doubts.swapped = true;
                if self.style.swapped {
                    Joint::Times
                } else {
                    Joint::Each
                }
            }
            // `a . b` in plain text; without the spaces it is a full stop.
            Some(Token::Mark(".")) if !self.is_adjacent() => {
                self.at += 1;
                if !self.is_adjacent() && self.starts_factor() {
                    return Some(Joint::Dot);
                }
                self.at -= 1;
                return None;
            }
            _ => return self.starts_factor().then_some(Joint::Adjacent),
        };
        self.at += 1;
        Some(joint)
    }

    /// `A e_j`, a column of A, and `e_i^\top A`, a row of it, for unit vectors whose size only their neighbours give.
    fn with_units(
        &mut self,
        first: Expr,
        rest: Vec<(Joint, Expr)>,
    ) -> Result<(Expr, Vec<(Joint, Expr)>), FormulaError> {
        let unit = |expr: &Expr| match &expr.kind {
            Kind::Unit(index, None) => Some((*index, false)),
            Kind::Transpose(inner) => match &inner.kind {
                Kind::Unit(index, None) => Some((*index, true)),
                _ => None,
            },
            _ => None,
        };
        if unit(&first).is_none() && rest.iter().all(|(_, factor)| unit(factor).is_none()) {
            return Ok((first, rest));
        }
        let mut factors: Vec<(Joint, Expr)> = Vec::with_capacity(rest.len() + 1);
        for (joint, mut factor) in std::iter::once((Joint::Adjacent, first)).chain(rest) {
            // Where neighbours give no size, the style does.
            if let (Some(size), Some((index, is_row))) = (self.style.unit, unit(&factor)) {
                let span = factor.span;
                let size = Arc::new(self.node(Kind::Symbol(size), span)?);
                let column = self.node(Kind::Unit(index, Some(size)), span)?;
                factor = if is_row { column.transposed() } else { column };
            }
            let is_product = joint.operator() == Operator::Times;
            let before = factors.last().map(|(_, before)| before);
            let indices = match (before.and_then(unit), unit(&factor)) {
                _ if !is_product => None,
                (Some((row, true)), _) => Some((Indices::Two(row, Index::All), true)),
                (None, Some((column, false))) if before.is_some() => {
                    Some((Indices::Two(Index::All, column), false))
                }
                _ => None,
            };
            let Some((indices, is_row)) = indices else {
                factors.push((joint, factor));
                continue;
            };
            let Some((joint, before)) = factors.pop() else {
                continue;
            };
            let start = before.span;
            let base = if is_row { factor } else { before };
            let picked = self.node(Kind::Select(Arc::new(base), indices), start)?;
            factors.push((joint, picked));
        }
        let mut factors = factors.into_iter();
        match factors.next() {
            Some((_, first)) => Ok((first, factors.collect())),
            None => Err(self.unexpected("a factor")),
        }
    }

    /// The factors as a tree.
    fn joined(
        &mut self,
        first: Expr,
        rest: Vec<(Joint, Expr)>,
        start: Span,
    ) -> Result<Expr, FormulaError> {
        let (first, rest) = self.with_units(first, rest)?;
        let is_elementwise = |(joint, _): &&(Joint, Expr)| joint.operator() == Operator::Hadamard;
        let elementwise = rest.iter().filter(is_elementwise).count();
        if elementwise > 0 && elementwise < rest.len() {
            let rest = rest
                .into_iter()
                .map(|(joint, factor)| (joint.operator(), factor));
            let rest = rest.collect();
            return self.node(Kind::Mixed(Arc::new(first), rest), start);
        }
        let mut left = first;
        for (joint, right) in rest {
            let span = Span {
                start: start.start,
                end: right.span.end,
            };
            let is_dot = joint == Joint::Dot
                && !matches!(left.kind, Kind::Number(_))
                && !matches!(right.kind, Kind::Number(_));
            self.doubts.dots |= is_dot;
            let kind = if is_dot && self.style.dots {
                Kind::Call(Function::Dot, vec![left, right])
            } else {
                Kind::Binary(joint.operator(), Arc::new(left), Arc::new(right))
            };
            left = self.node(kind, start)?;
            left.span = span;
        }
        Ok(left)
    }

    fn starts_factor(&self) -> bool {
        if self.in_spaced_row && self.gap() >= self.style.spaces {
            return false;
        }
        match self.peek() {
            Some(Token::Number(_) | Token::Begin(_)) => true,
            Some(Token::Name(name)) => !matches!(
                name.as_str(),
                "top"
                    | "otherwise"
                    | "if"
                    | "for"
                    | "and"
                    | "else"
                    | "dots"
                    | "over"
                    | "when"
                    | "then"
                    | "in"
            ),
            Some(Token::Mark("|" | "‖")) => {
                !self.in_bars && !matches!(self.peek_at(1), Some(Token::Mark("_")))
            }
            Some(Token::Mark(mark)) => matches!(*mark, "(" | "[" | "{" | "\\{" | "⟨"),
            Some(Token::End(_) | Token::Break | Token::Line | Token::Inline | Token::Word(_))
            | None => false,
        }
    }

    /// An atom with its scripts.
    pub(super) fn factor(&mut self) -> Result<Expr, FormulaError> {
        self.nested(|parser| {
            let start = parser.here();
            let atom = parser.atom()?;
            parser.scripts(atom, start)
        })
    }

    /// Powers, transposes and indices behind anything but a layered symbol, which reads its own.
    pub(super) fn scripts(&mut self, mut base: Expr, start: Span) -> Result<Expr, FormulaError> {
        loop {
            let kind = match self.peek() {
                Some(Token::Mark("'" | ".T")) => {
                    self.at += 1;
                    Kind::Transpose(Arc::new(base))
                }
                Some(Token::Mark(".transpose")) => {
                    self.at += 1;
                    self.expect("(")?;
                    self.expect(")")?;
                    Kind::Transpose(Arc::new(base))
                }
                Some(Token::Mark(".dot")) => {
                    self.at += 1;
                    self.expect("(")?;
                    let right = self.comparison()?;
                    self.expect(")")?;
                    Kind::Binary(Operator::Times, Arc::new(base), Arc::new(right))
                }
                Some(Token::Mark(".sum")) => {
                    self.at += 1;
                    self.expect("(")?;
                    let arguments = self.arguments()?;
                    Kind::Call(arguments.summation(), vec![base])
                }
                Some(Token::Mark("^")) if let Some(kind) = self.entry_of_sample(&base) => kind,
                Some(Token::Mark("^")) => {
                    self.at += 1;
                    if self.transpose_mark() {
                        Kind::Transpose(Arc::new(base))
                    } else {
                        let exponent = self.script()?;
                        Kind::Power(Arc::new(base), Arc::new(exponent))
                    }
                }
                Some(Token::Mark("|")) if matches!(self.peek_at(1), Some(Token::Mark("_"))) => {
                    self.at += 1;
                    base = self.evaluated_at(base, start)?;
                    continue;
                }
                Some(Token::Mark("_")) => {
                    self.at += 1;
                    match self.entries_with_range(&base)? {
                        Some(kind) => kind,
                        None => {
                            let indices = self.indices()?;
                            self.selection(base, indices)
                        }
                    }
                }
                Some(Token::Mark("[")) if self.is_adjacent() => match self.bracketed_indices() {
                    Some(indices) => self.selection(base, indices),
                    None => return Ok(base),
                },
                _ => return Ok(base),
            };
            base = self.node(kind, start)?;
        }
    }

    /// Whether the next token touches the one before it.
    pub(super) fn is_adjacent(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.is_some_and(|before| before.span.end == self.here().start)
    }

    /// The bytes between the next token and the one before it.
    fn gap(&self) -> usize {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or(0, |before| {
            self.here().start.saturating_sub(before.span.end)
        })
    }

    /// A transpose behind a `^` that was just read: `T`, `\top`, `\intercal`, `'`, alone or in braces.
    fn transpose_mark(&mut self) -> bool {
        let braces = usize::from(self.is("{"));
        let mut ahead = braces;
        while braces == 1 && matches!(self.peek_at(ahead), Some(Token::Mark("{"))) {
            ahead += 1;
        }
        let is_mark = match self.peek_at(ahead) {
            Some(Token::Name(name)) => matches!(name.as_str(), "T" | "top" | "t" | "tr"),
            Some(Token::Mark(mark)) => *mark == "'",
            _ => false,
        };
        if !is_mark {
            return false;
        }
        let mut close = ahead + 1;
        for _ in 0..ahead {
            if !matches!(self.peek_at(close), Some(Token::Mark("}"))) {
                return false;
            }
            close += 1;
        }
        self.at += close;
        true
    }

    /// What stands behind `^` or in an argument of a command: `{…}` or one token.
    pub(super) fn script(&mut self) -> Result<Expr, FormulaError> {
        if self.eat("{") {
            let inner = self.comparison()?;
            self.expect("}")?;
            return Ok(inner);
        }
        let start = self.here();
        if self.eat("-") {
            let inner = self.nested(Self::atom)?;
            return self.node(Kind::Negate(Arc::new(inner)), start);
        }
        self.nested(Self::atom)
    }
}

/// How a factor is joined to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    Adjacent,
    Dot,
    Times,
    Divide,
    Each,
    DivideEach,
    Tensor,
}

impl Joint {
    fn operator(self) -> Operator {
        match self {
            Self::Adjacent | Self::Dot | Self::Times => Operator::Times,
            Self::Divide => Operator::Divide,
            Self::Each | Self::DivideEach | Self::Tensor => Operator::Hadamard,
        }
    }
}

/// What the parentheses of a call hold.
pub(super) struct Arguments {
    pub(super) values: Vec<Expr>,
    pub(super) axis: Option<usize>,
}

impl Arguments {
    /// Which sum `sum(…, axis = …)` is.
    pub(super) fn summation(&self) -> Function {
        match self.axis {
            Some(0) => Function::ColumnSums,
            Some(_) => Function::RowSums,
            None => Function::Total,
        }
    }
}

impl Parser<'_> {
    /// `a, b, axis = 0)`, the opening parenthesis already read.
    pub(super) fn arguments(&mut self) -> Result<Arguments, FormulaError> {
        let (mut values, mut axis) = (Vec::new(), None);
        while !self.eat(")") && !self.eat("\\}") && !self.eat("]") {
            if self.is_name("axis") || self.is_name("keepdims") {
                let is_axis = self.is_name("axis");
                self.at += 1;
                self.expect("=")?;
                match self.peek() {
                    Some(Token::Number(digits)) if is_axis => axis = digits.parse().ok(),
                    Some(Token::Name(_)) if !is_axis => {}
                    _ => return Err(self.unexpected("axis = 0, axis = 1 or keepdims = True")),
                }
                self.at += 1;
            } else {
                values.push(self.comparison()?);
            }
            if !self.eat(",") && !matches!(self.peek(), Some(Token::Mark(")" | "\\}" | "]"))) {
                return Err(self.unexpected("a comma or the closing bracket"));
            }
        }
        Ok(Arguments { values, axis })
    }

    /// The symbol that a question about a function of one number asks about.
    pub(super) fn is_argument(&self, name: &str) -> bool {
        self.scope.argument.iter().any(|argument| argument == name)
    }

    /// hᴸ, the network's output.
    pub(super) fn output(&self) -> Symbol {
        Symbol::Activation(self.scope.depth)
    }
}
