//! Shapes that the text states: "a 2 × 3 matrix", `\\in \\mathbb{R}^{2 \\times 3}`, "is a row vector".

use super::super::words::{self, Class};
use super::element::Element;
use super::tokens::{group_end, span_of};
use super::word_at::words_at;
use super::{Reader, StatedShape, not_understood};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    /// A shape behind "of shape" or the like.
    pub(super) fn shape(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood(text, span));
        }
        let begin = self.at;
        while matches!(self.peek(), Some(Token::Mark(":" | "=")))
            || matches!(
                words::phrase_as(&self.words(), |class| matches!(
                    class,
                    Class::Is | Class::Noun
                )),
                Some((_, 1))
            )
        {
            self.at += 1;
        }
        if self.take_dimensions() {
            return Ok(());
        }
        self.at = begin;
        self.state.described = true;
        Ok(())
    }

    pub(super) fn is_shape_at(&self, at: usize) -> bool {
        self.dimensions(at).is_some()
    }

    /// Reads the shape at the next token, if there is one, and notes it.
    pub(super) fn take_dimensions(&mut self) -> bool {
        let Some((rows, columns, end)) = self.dimensions(self.at) else {
            return false;
        };
        let span = span_of(&self.tokens[self.at..end]);
        let begin = self.at;
        self.at = end;
        self.balance_inline(begin);
        if !self.operand_follows(end) {
            self.note_shape(begin, rows, columns, span);
        } else if !self.has_operand() && self.formula_follows() {
            self.shape_ahead = Some((rows, columns, span));
        }
        self.state.described = true;
        true
    }

    /// Notes a shape that begins at a token, if it clearly describes the formula in front of it: no words between them
    /// could name another quantity.
    pub(super) fn note_shape(
        &mut self,
        begin: usize,
        rows: Vec<Lexeme>,
        columns: Vec<Lexeme>,
        span: Span,
    ) {
        let is_first = self.elements.is_empty() && self.found.clauses.is_empty();
        if is_first && self.describes_the_answer(begin) {
            self.shape_ahead = Some((rows, columns, span));
            return;
        }
        if !self.describes_the_formula_before(begin) {
            return;
        }
        self.push_shape(rows, columns, span);
    }

    /// Notes a shape of the formula that was read last.
    fn push_shape(&mut self, rows: Vec<Lexeme>, columns: Vec<Lexeme>, span: Span) {
        let (clause, operand) = match &self.elements[..] {
            [] if self.state.mention => return,
            [] => match self.found.clauses.len().checked_sub(1) {
                Some(last) => (last, None),
                None => return,
            },
            [Element::Run(..)] | [.., Element::Equals(_), Element::Run(..)] => {
                (self.found.clauses.len(), None)
            }
            [.., Element::Run(tokens, _)] => (self.found.clauses.len(), Some(tokens.clone())),
            _ => return,
        };
        self.found.shapes.push(StatedShape {
            rows,
            columns,
            span,
            clause,
            operand,
            elements: self.elements.len(),
        });
    }

    /// Notes the shape that a noun states: "row vector", "scalar", and "row" behind "as a".
    pub(super) fn noun_of_shape(&mut self, text: &str, span: Span) {
        let begin = self.at - text.split(' ').count();
        let behind_as = matches!(
            words_at(self.tokens, begin.saturating_sub(2), self.context)[..],
            ["as", "a", ..]
        );
        let one = || vec![Lexeme::new(Token::Number("1".to_owned()), span)];
        let (rows, columns) = match text {
            "row vector" => (one(), Vec::new()),
            "column vector" => (Vec::new(), one()),
            "scalar" => (one(), one()),
            "row" if behind_as => (one(), Vec::new()),
            "column" if behind_as => (Vec::new(), one()),
            _ => return,
        };
        if !self.operand_follows(self.at) {
            self.note_shape(begin, rows, columns, span);
        } else if !self.has_operand() && self.formula_follows() {
            self.shape_ahead = Some((rows, columns, span));
        }
    }

    /// Whether a formula follows, perhaps behind nouns.
    fn formula_follows(&self) -> bool {
        let mut at = self.at;
        loop {
            if matches!(
                self.tokens.get(at).map(|lexeme| &lexeme.token),
                Some(Token::Inline)
            ) {
                at += 1;
                continue;
            }
            match words::phrase(&words_at(self.tokens, at, self.context)) {
                Some((Class::Noun, taken)) => at += taken,
                _ => return self.word_at(at).is_none(),
            }
        }
    }

    /// Whether the words before a shape say that it is that of the answer: "the gradient is a", "as a" at the start.
    fn describes_the_answer(&self, begin: usize) -> bool {
        let (mut is_said, mut of_shape) = (false, false);
        for (at, lexeme) in self.tokens[..begin].iter().enumerate().rev() {
            let word = self.word_at(at);
            match (word, &lexeme.token) {
                (Some("as" | "shape" | "size"), _) => is_said = true,
                (Some("of"), _) if of_shape => {}
                (Some("a" | "an" | "the" | "is" | "has" | "which"), _)
                | (None, Token::Inline | Token::Mark("," | ":" | "(")) => {}
                (
                    Some("gradient" | "derivative" | "derivatives" | "answer" | "result" | "it"),
                    _,
                ) => return true,
                _ => return false,
            }
            of_shape = matches!(word, Some("shape" | "size"));
        }
        is_said
    }

    /// Takes the shape that words in front state for the formula that was just read.
    pub(super) fn take_shape_ahead(&mut self) {
        if let Some((rows, columns, span)) = self.shape_ahead.take() {
            self.push_shape(rows, columns, span);
        }
    }

    /// Whether only words about shapes stand between a formula and the token at `begin`.
    fn describes_the_formula_before(&self, begin: usize) -> bool {
        let mut before = self.tokens[..begin].iter().enumerate().rev();
        let stop = before.find(|(at, lexeme)| {
            let is_open = matches!(
                lexeme.token,
                Token::Inline | Token::Mark("(" | "[" | ":" | "{")
            );
            let is_about_shape =
                (self.word_at(*at)).is_some_and(|word| SHAPE_WORDS.contains(&word));
            !is_open && !is_about_shape
        });
        stop.is_some_and(|(at, lexeme)| {
            self.word_at(at).is_none() && !matches!(lexeme.token, Token::Word(_))
        })
    }

    /// Whether the words here name a formula behind them, as in "the row vector h".
    pub(super) fn operand_follows(&self, mut at: usize) -> bool {
        while let Some(lexeme) = self.tokens.get(at) {
            match &lexeme.token {
                Token::Inline => at += 1,
                Token::Line | Token::Break => return false,
                Token::Mark("." | "," | ";" | ":" | "=" | "quad" | ")" | "]" | "}") => {
                    return false;
                }
                _ if self.word_at(at).is_some() => {
                    match words::phrase(&words_at(self.tokens, at, self.context)) {
                        Some((Class::Noun, taken)) => at += taken,
                        Some((Class::Filler | Class::Postfix(_) | Class::Infix(_), _)) => {
                            return true;
                        }
                        _ => return false,
                    }
                }
                _ => return true,
            }
        }
        false
    }

    /// `\in \mathbb{R}^{2 \times 3}` behind a formula.
    pub(super) fn member(&mut self) -> Result<bool, FormulaError> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        if !matches!(token(self.at), Some(Token::Name(name)) if name == "in") {
            return Ok(false);
        }
        let begin = self.at;
        let mut at = self.at + 1;
        let braces = matches!(token(at), Some(Token::Mark("{")));
        at += usize::from(braces);
        if !matches!(token(at), Some(Token::Name(name)) if name == "R") {
            return Ok(false);
        }
        at += 1;
        if braces {
            if !matches!(token(at), Some(Token::Mark("}"))) {
                return Ok(false);
            }
            at += 1;
        }
        self.at = at;
        if matches!(token(at), Some(Token::Mark("^"))) {
            self.at += 1;
            if !self.take_dimensions() {
                // R^3, R^n: no matrix.
                let end = group_end(self.tokens, self.at);
                self.at = end;
            }
        } else {
            let span = span_of(&self.tokens[begin..at]);
            let one = || vec![Lexeme::new(Token::Number("1".to_owned()), span)];
            self.note_shape(begin, one(), one(), span);
        }
        self.balance_inline(begin);
        self.state.described = true;
        Ok(true)
    }

    /// "row vector", "matrix", "row" … behind a shape.
    pub(super) fn is_shape_noun(&self, mut at: usize) -> bool {
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        matches!(
            self.word_at(at),
            Some("row" | "column" | "matrix" | "vector" | "matrices" | "scalar")
        )
    }

    /// Whether a side of an equation ends at a token.
    pub(super) fn is_end(&self, mut at: usize) -> bool {
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        match self.tokens.get(at).map(|lexeme| &lexeme.token) {
            None
            | Some(Token::Break | Token::Line | Token::Mark("." | "," | ";" | "=" | "quad")) => {
                true
            }
            Some(_) => self.word_at(at).is_some(),
        }
    }

    /// The shape at a token: its rows, its columns, and its end.
    pub(super) fn dimensions(&self, at: usize) -> Option<(Vec<Lexeme>, Vec<Lexeme>, usize)> {
        dimensions(self.tokens, at, self.context.text)
    }
}

/// Words that may stand between a formula and its shape.
#[rustfmt::skip]
const SHAPE_WORDS: &[&str] = &[
    "a", "an", "the", "is", "this", "it", "its", "which", "that", "has", "of", "with", "shape", "size", "dimension",
    "dimensions", "and", "so", "thus", "hence", "also", "again", "result", "answer", "gradient", "being", "whose", "to",
    "be", "should", "must", "will", "in", "total", "final", "row", "column", "vector", "matrix", "real", "as",
];

/// `2 × 3`, `m \times n_2`, `1 by 2` at a token: its rows, its columns, and where it ends.
pub(super) fn dimensions(
    tokens: &[Lexeme],
    mut at: usize,
    text: &str,
) -> Option<(Vec<Lexeme>, Vec<Lexeme>, usize)> {
    let token = |at: usize| tokens.get(at).map(|lexeme| &lexeme.token);
    let mut open = 0_usize;
    while let Some(Token::Inline | Token::Mark("(" | "[" | "{")) = token(at) {
        open += usize::from(!matches!(token(at), Some(Token::Inline)));
        at += 1;
    }
    let one = |mut at: usize| {
        let start = at;
        while matches!(token(at), Some(Token::Inline)) {
            at += 1;
        }
        match token(at)? {
            Token::Number(_) => {}
            Token::Name(name) if matches!(name.as_str(), "m" | "n") => {}
            _ => return None,
        }
        at += 1;
        if matches!(token(at), Some(Token::Mark("_" | "^"))) {
            at += 1;
            let is_braced = matches!(token(at), Some(Token::Mark("{")));
            at += usize::from(is_braced);
            if !matches!(token(at)?, Token::Number(_)) {
                return None;
            }
            at += 1;
            if is_braced && !matches!(token(at)?, Token::Mark("}")) {
                return None;
            }
            at += usize::from(is_braced);
        }
        let own = tokens[start..at]
            .iter()
            .filter(|lexeme| lexeme.token != Token::Inline);
        Some((own.cloned().collect::<Vec<_>>(), at))
    };
    let (rows, mut at) = one(at)?;
    while matches!(token(at), Some(Token::Inline)) {
        at += 1;
    }
    let between = tokens.get(at)?;
    let written = text.get(between.span.start..between.span.end)?;
    let is_times =
        matches!(written, "×" | "x" | "X" | "\\times" | "*" | "by") || (open > 0 && written == ",");
    if !is_times {
        return None;
    }
    let (columns, mut at) = one(at + 1)?;
    while open > 0 {
        match token(at)? {
            Token::Mark(")" | "]" | "}") => open -= 1,
            Token::Inline => {}
            _ => return None,
        }
        at += 1;
    }
    Some((rows, columns, at))
}
