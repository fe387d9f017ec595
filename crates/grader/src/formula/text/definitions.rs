//! The names that an answer defines, and their trees.

use std::sync::Arc;

use super::super::expr::{Expr, Function, Index, Indices, Kind};
use super::super::lexer::{Lexeme, Token};
use super::super::parser::{MAX_NODES, Parser};
use super::super::{Fault, FormulaError, MAX_HEIGHT, Span, Symbol};

/// The most definitions of one answer.
pub(super) const MAX_DEFINITIONS: usize = 32;

/// The message of a use whose definition has not been read yet.
const PENDING: &str = "pending";

/// A name with its scripts, as written on the left of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) base: String,
    /// The superscript, such as `2`, without brackets.
    pub(super) label: String,
    /// The subscript, such as `1`, without brackets.
    pub(super) below: String,
    /// The index letters of the subscript, if it has nothing else.
    pub(super) indices: Vec<char>,
    /// The argument of a function.
    pub(super) argument: Option<String>,
    /// A derivative, `σ'`.
    pub(super) primed: bool,
}

impl Key {
    /// The name as a student writes it.
    pub(super) fn show(&self) -> String {
        let mut text = self.base.clone();
        if self.primed {
            text.push('\'');
        }
        if !self.label.is_empty() {
            text = format!("{text}^{}", self.label);
        }
        if !self.below.is_empty() {
            text = format!("{text}_{}", self.below);
        }
        text
    }
}

#[derive(Clone, Debug)]
struct Defined {
    key: Key,
    /// `None` until it has been read.
    body: Option<Expr>,
}

/// The names that an answer defines.
#[derive(Clone, Debug, Default)]
pub(in crate::formula) struct OwnNames {
    defined: Vec<Defined>,
}

impl OwnNames {
    /// OwnNames without definitions, for the parser of a text that has none.
    pub(in crate::formula) const NONE: &'static Self = &Self {
        defined: Vec::new(),
    };

    pub(super) fn contains(&self, base: &str) -> bool {
        self.defined.iter().any(|defined| defined.key.base == base)
    }

    pub(super) fn announce(&mut self, key: Key) {
        self.defined.push(Defined { key, body: None });
    }

    pub(super) fn put(&mut self, at: usize, body: Expr) {
        if let Some(defined) = self.defined.get_mut(at) {
            defined.body = Some(body);
        }
    }
}

/// Whether an error only says that another definition has to be read first.
pub(super) fn is_pending(error: &FormulaError) -> bool {
    error.message == PENDING
}

/// The scripts behind a name.
struct NameScripts {
    label: String,
    below: String,
    transposes: usize,
    /// Behind the scripts.
    end: usize,
}

/// The key of a left side, if it has the form of a name: a letter or a word with scripts, perhaps with an argument.
pub(super) fn key(tokens: &[Lexeme]) -> Option<Key> {
    let (first, rest) = tokens.split_first()?;
    let Token::Name(base) = &first.token else {
        return None;
    };
    let mut key = Key {
        base: base.clone(),
        label: String::new(),
        below: String::new(),
        indices: Vec::new(),
        argument: None,
        primed: false,
    };
    let mut at = 0;
    while let Some(lexeme) = rest.get(at) {
        match &lexeme.token {
            Token::Mark(mark @ ("^" | "_")) => {
                let (parts, end) = group(rest, at + 1)?;
                let text = parts.concat();
                if *mark == "^" && key.label.is_empty() {
                    if parts.iter().any(|part| is_transpose(part)) {
                        return None;
                    }
                    key.label = text;
                } else if *mark == "_" && key.below.is_empty() {
                    let letters: Option<Vec<char>> = parts
                        .iter()
                        .filter(|part| *part != ",")
                        .map(|part| {
                            let mut letters = part.chars();
                            let letter = letters.next().filter(char::is_ascii_lowercase)?;
                            letters.next().is_none().then_some(letter)
                        })
                        .collect();
                    key.indices = letters.unwrap_or_default();
                    key.below = text;
                } else {
                    return None;
                }
                at = end;
            }
            Token::Mark("'") if !key.primed && at == 0 => {
                key.primed = true;
                at += 1;
            }
            Token::Mark("(") => {
                let [_, argument, close] = rest.get(at..)? else {
                    return None;
                };
                let (Token::Name(argument), Token::Mark(")")) = (&argument.token, &close.token)
                else {
                    return None;
                };
                key.argument = Some(argument.clone());
                return Some(key);
            }
            _ => return None,
        }
    }
    // `σ' = …` without an argument is a value that cannot be named so.
    (!key.primed).then_some(key)
}

fn is_transpose(part: &str) -> bool {
    matches!(part, "T" | "top" | "'" | ".T" | "⊤")
}

/// The tokens of a script as texts, without its brackets, and where it ends.
fn group(tokens: &[Lexeme], at: usize) -> Option<(Vec<String>, usize)> {
    let text = |token: &Token| match token {
        Token::Number(text) | Token::Name(text) => Some(text.clone()),
        Token::Mark(mark) => Some((*mark).to_owned()),
        _ => None,
    };
    if !matches!(tokens.get(at)?.token, Token::Mark("{")) {
        return Some((vec![text(&tokens[at].token)?], at + 1));
    }
    let (mut parts, mut depth, mut at) = (Vec::new(), 0_usize, at);
    loop {
        match &tokens.get(at)?.token {
            Token::Mark("{" | "(" | "[") => depth += 1,
            Token::Mark("}" | ")" | "]") => depth = depth.checked_sub(1)?,
            Token::Mark("^") => {}
            token => parts.push(text(token)?),
        }
        at += 1;
        if depth == 0 {
            return Some((parts, at));
        }
    }
}

impl Parser<'_> {
    /// The tree of a name that the answer defines, its scripts included; `None` for any other name.
    pub(in crate::formula) fn defined(
        &mut self,
        name: &str,
        start: Span,
    ) -> Result<Option<Expr>, FormulaError> {
        let names = self.names;
        if !names.contains(name) {
            return Ok(None);
        }
        if let Some(value) = self.defined_function(name, start)? {
            return Ok(Some(value));
        }
        let entries = || {
            names
                .defined
                .iter()
                .filter(|defined| defined.key.base == name && defined.key.argument.is_none())
        };
        let scripts = self.name_scripts();
        let exact = |label: &str, below: &str| {
            let found = entries().find(|defined| {
                defined.key.label == label
                    && defined.key.below == below
                    && (!label.is_empty() || !below.is_empty())
            });
            found.map(|defined| (defined, Vec::new()))
        };
        let indexed = |label: &str, below: &str| {
            let indices = indices_of(below)?;
            let found = entries().find(|defined| {
                defined.key.label == label
                    && !defined.key.indices.is_empty()
                    && defined.key.indices.len() == indices.len()
            })?;
            Some((found, indices))
        };
        let (label, below) = (scripts.label.as_str(), scripts.below.as_str());
        if let Some((found, indices)) = exact(label, below).or_else(|| indexed(label, below)) {
            let pairs: Vec<(char, Index)> =
                found.key.indices.iter().copied().zip(indices).collect();
            let mut expr = self.body_of(found, start)?;
            if !pairs.is_empty() {
                expr = with_indices(expr, &pairs);
            }
            self.at = scripts.end;
            for _ in 0..scripts.transposes {
                expr = self.node(Kind::Transpose(Arc::new(expr)), start)?;
            }
            return Ok(Some(expr));
        }
        // `G^{(2)}_{1,j}` of a defined `G^{(2)}`.
        if !label.is_empty()
            && let Some((found, _)) = exact(label, "")
        {
            let mut expr = self.body_of(found, start)?;
            self.at = scripts.end;
            if !below.is_empty() {
                let Some(indices) = indices_of(below).and_then(|indices| match indices[..] {
                    [one] => Some(Indices::One(one)),
                    [row, column] => Some(Indices::Two(row, column)),
                    _ => None,
                }) else {
                    return Err(self.unexpected("one or two indices"));
                };
                expr = self.node(Kind::Select(Arc::new(expr), indices), start)?;
            }
            for _ in 0..scripts.transposes {
                expr = self.node(Kind::Transpose(Arc::new(expr)), start)?;
            }
            return Ok(Some(expr));
        }
        // Scripts of a plain name are powers, transposes and indices.
        if let Some(found) =
            entries().find(|defined| defined.key.label.is_empty() && defined.key.below.is_empty())
        {
            return self.body_of(found, start).map(Some);
        }
        let Some(other) = entries().next() else {
            return Ok(None);
        };
        if is_known(name) {
            return Ok(None);
        }
        let message = format!(
            "{name} is defined with other indices, as {}; define what is used here.",
            other.key.show()
        );
        Err(FormulaError::new(
            Fault::UnknownSymbol,
            self.since(start),
            message,
        ))
    }

    /// A function that the answer defines, applied.
    fn defined_function(&mut self, name: &str, start: Span) -> Result<Option<Expr>, FormulaError> {
        let names = self.names;
        let primed = self.is("'");
        let found = names.defined.iter().find(|defined| {
            defined.key.base == name
                && defined.key.argument.is_some()
                && defined.key.primed == primed
        });
        let Some(found) = found else {
            return Ok(None);
        };
        let ahead = usize::from(primed);
        if !matches!(self.peek_at(ahead), Some(Token::Mark("("))) {
            return Ok(None);
        }
        self.at += ahead + 1;
        let argument = self.comparison()?;
        self.expect(")")?;
        let body = self.body_of(found, start)?;
        let value = replaced(body, &mut |piece| {
            (piece.kind == Kind::Symbol(Symbol::Argument)).then(|| argument.clone())
        });
        self.hold(value, start).map(Some)
    }

    fn body_of(&mut self, found: &Defined, start: Span) -> Result<Expr, FormulaError> {
        let Some(body) = &found.body else {
            return Err(FormulaError::new(Fault::UnknownSymbol, start, PENDING));
        };
        self.hold(body.clone(), start)
    }

    /// Holds a tree that is put in to the limits of a formula.
    fn hold(&mut self, expr: Expr, start: Span) -> Result<Expr, FormulaError> {
        self.nodes += expr.pieces().count();
        if self.nodes > MAX_NODES || expr.height() > MAX_HEIGHT {
            let message = format!(
                "With its definitions put in, the formula has more than {MAX_NODES} pieces or is more than {MAX_HEIGHT} deep. Write it shorter."
            );
            return Err(FormulaError::new(Fault::TooLarge, start, message));
        }
        Ok(expr)
    }

    /// The scripts here, without reading them.
    fn name_scripts(&self) -> NameScripts {
        let mut scripts = NameScripts {
            label: String::new(),
            below: String::new(),
            transposes: 0,
            end: self.at,
        };
        loop {
            let at = scripts.end;
            match self.tokens.get(at).map(|lexeme| &lexeme.token) {
                Some(Token::Mark("'" | ".T")) => {
                    scripts.transposes += 1;
                    scripts.end += 1;
                }
                Some(Token::Mark(mark @ ("^" | "_"))) => {
                    let Some((parts, end)) = group(self.tokens, at + 1) else {
                        return scripts;
                    };
                    let transposes = parts.iter().filter(|part| is_transpose(part)).count();
                    let text: String = parts
                        .iter()
                        .filter(|part| !is_transpose(part))
                        .map(String::as_str)
                        .collect();
                    let place = if *mark == "^" {
                        &mut scripts.label
                    } else {
                        &mut scripts.below
                    };
                    if !text.is_empty() {
                        if !place.is_empty() {
                            return scripts;
                        }
                        *place = text;
                    }
                    scripts.transposes += transposes;
                    scripts.end = end;
                }
                Some(Token::Mark("[")) => {
                    let close = self.tokens[at..]
                        .iter()
                        .position(|lexeme| lexeme.token == Token::Mark("]"));
                    let Some(close) = close.filter(|&close| close < 5 && scripts.below.is_empty())
                    else {
                        return scripts;
                    };
                    let inner = &self.tokens[at + 1..at + close];
                    let text: Option<String> = inner
                        .iter()
                        .map(|lexeme| match &lexeme.token {
                            Token::Number(text) | Token::Name(text) => Some(text.as_str()),
                            Token::Mark(mark @ (":" | ",")) => Some(*mark),
                            _ => None,
                        })
                        .collect();
                    let Some(text) = text else { return scripts };
                    scripts.below = text;
                    scripts.end = at + close + 1;
                }
                _ => return scripts,
            }
        }
    }
}

/// The indices that a subscript's text names.
fn indices_of(below: &str) -> Option<Vec<Index>> {
    let index = |text: &str| match text {
        ":" | "·" | "⊙" => Some(Index::All),
        "m" => Some(Index::Size(Symbol::BatchSize)),
        _ => match text.parse() {
            Ok(number) => Some(Index::Number(number)),
            Err(_) => {
                let mut letters = text.chars();
                let letter = letters.next().filter(char::is_ascii_lowercase)?;
                letters.next().is_none().then_some(Index::Letter(letter))
            }
        },
    };
    if below.is_empty() {
        return None;
    }
    if below.contains(',') {
        return below.split(',').map(index).collect();
    }
    index(below).map(|one| vec![one]).or_else(|| {
        let each: Option<Vec<Index>> = below.chars().map(|c| index(&c.to_string())).collect();
        each.filter(|each| each.len() == 2)
    })
}

/// The tree with indices in place of the letters of a definition, all at once.
fn with_indices(mut expr: Expr, pairs: &[(char, Index)]) -> Expr {
    let put = |place: &mut Index| {
        if let Index::Letter(letter) = *place
            && let Some((_, index)) = pairs.iter().find(|(of, _)| *of == letter)
        {
            *place = *index;
        }
    };
    expr.for_each_piece_mut(|piece| match &mut piece.kind {
        Kind::Select(_, Indices::One(one)) => put(one),
        Kind::Select(_, Indices::Two(row, column)) => {
            put(row);
            put(column);
        }
        Kind::Letter(letter) => {
            let mut index = Index::Letter(*letter);
            put(&mut index);
            piece.kind = match index {
                Index::Letter(letter) => Kind::Letter(letter),
                Index::Number(number) => Kind::Number(number as f64),
                Index::Size(symbol) => Kind::Symbol(symbol),
                Index::All => Kind::Letter(*letter),
            };
        }
        _ => {}
    });
    expr
}

/// The tree with pieces replaced; a replacement is not searched again. Heights are counted anew.
pub(super) fn replaced(expr: Expr, replace: &mut impl FnMut(&Expr) -> Option<Expr>) -> Expr {
    // Down the left side in a loop: it may be long.
    let mut spine = Vec::new();
    let mut base = expr;
    let mut base = loop {
        if let Some(other) = replace(&base) {
            break other;
        }
        let span = base.span;
        match base.into_kind() {
            Kind::Binary(operator, left, right) => {
                spine.push((operator, Arc::unwrap_or_clone(right), span));
                base = Arc::unwrap_or_clone(left);
            }
            mut kind => {
                for part in kind.parts_mut() {
                    let nothing = Expr::new(Kind::Number(0.0), span);
                    let old = std::mem::replace(part, nothing);
                    *part = replaced(old, replace);
                }
                break Expr::new(kind, span);
            }
        }
    };
    while let Some((operator, right, span)) = spine.pop() {
        let right = replaced(right, replace);
        base = Expr::new(
            Kind::Binary(operator, Arc::new(base), Arc::new(right)),
            span,
        );
    }
    base
}

/// Whether a name means something in every answer, so that a definition with other scripts leaves it alone.
fn is_known(name: &str) -> bool {
    matches!(
        name,
        "W" | "b"
            | "z"
            | "h"
            | "n"
            | "x"
            | "y"
            | "f"
            | "l"
            | "ell"
            | "L"
            | "J"
            | "m"
            | "delta"
            | "sigma"
            | "relu"
            | "phi"
            | "loss"
            | "sum"
            | "i"
            | "j"
            | "k"
            | "q"
            | "r"
            | "I"
            | "H"
            | "indicator"
    )
}

/// Whether a tree is the left side of a definition of something known: a quantity, entries of one, or a derivative.
pub(super) fn is_quantity(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Symbol(_) => true,
        Kind::Select(base, _) => is_quantity(base),
        Kind::Derivative(..) => true,
        Kind::Call(Function::SigmaPrime | Function::ReluPrime, arguments) => {
            arguments.iter().all(is_quantity)
        }
        _ => false,
    }
}
