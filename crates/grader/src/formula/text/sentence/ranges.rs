//! Indices and their ranges: "for all j", "for j = 1, 2, 3", `1 \\le j \\le 3`.

use super::super::words::{self, Class, Postfix};
use super::element::Element;
use super::tokens::{group_end, span_of};
use super::word_at::word_of_name;
use super::{Reader, not_understood, syntax};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    pub(super) fn r#for(&mut self, begin: usize, span: Span) -> Result<(), FormulaError> {
        // "0 for negative x".
        let words = self.words();
        let sign = words::phrase_as(&words, |class| {
            matches!(class, Class::Postfix(Postfix::Sign(_)))
        });
        if let (Some((Class::Postfix(Postfix::Sign(mark)), taken)), true) =
            (sign, self.has_operand())
        {
            self.elements.push(Element::If(span));
            self.at += taken;
            let start = self.at;
            while matches!(self.peek(), Some(Token::Inline)) {
                self.at += 1;
            }
            if self.peek().is_none() || self.word_at(self.at).is_some() {
                self.at = start;
                return Err(not_understood("for", span));
            }
            self.formula()?;
            self.elements
                .push(Element::Postfix(Postfix::Sign(mark), span));
            return Ok(());
        }
        if let Some(error) = self.one_sample() {
            return Err(error);
        }
        if !self.expects_operand()
            && let Some(end) = self.range_end(self.at)
        {
            let begin = self.at;
            self.at = end;
            self.note_ranges(begin);
            self.balance_inline(begin);
            self.state.described = true;
            return Ok(());
        }
        if self.indices_follow() {
            return self.for_all(span, true);
        }
        if self.has_operand() && self.condition_follows() {
            self.elements.push(Element::If(span));
            return Ok(());
        }
        if self.expects_operand() {
            return Err(not_understood("for", self.tokens[begin].span));
        }
        self.begin_mention("for")
    }

    /// Passes over indices and their ranges.
    pub(super) fn for_all(&mut self, span: Span, is_for: bool) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood("for", span));
        }
        let begin = self.at;
        let comma = self.skip_indices();
        self.hold_every_value(begin, span, is_for)?;
        self.end_indices(begin, comma)?;
        self.note_ranges(begin);
        self.balance_inline(begin);
        self.state.described = true;
        Ok(())
    }

    /// Passes over every token that may belong to indices and their ranges. Returns the first comma outside brackets,
    /// where a formula that only looks like an index may begin.
    fn skip_indices(&mut self) -> Option<usize> {
        let mut depth = 0_usize;
        let mut comma = None;
        while let Some(lexeme) = self.tokens.get(self.at) {
            match &lexeme.token {
                Token::Mark("{" | "\\{" | "(" | "[") => depth += 1,
                Token::Mark("}" | "\\}" | ")" | "]") => depth = depth.saturating_sub(1),
                Token::Mark(",") => comma = comma.or(Some(self.at)).filter(|_| depth == 0),
                Token::Mark(":") if depth == 0 => break,
                token if is_part_of_range(token) => {}
                _ => break,
            }
            self.at += 1;
        }
        comma
    }

    /// Refuses a range that leaves out values: "for one sample", "for j = 1".
    fn hold_every_value(&self, begin: usize, span: Span, is_for: bool) -> Result<(), FormulaError> {
        let range = &self.tokens[begin..self.at];
        let of_samples = range.iter().find_map(|lexeme| match &lexeme.token {
            Token::Word(word) if matches!(word.as_str(), "sample" | "samples" | "batch") => {
                Some(not_understood(word, lexeme.span))
            }
            _ => None,
        });
        let has_letter = range
            .iter()
            .any(|lexeme| matches!(&lexeme.token, Token::Name(name) if name.len() == 1));
        if let Some(error) = of_samples.filter(|_| is_for && !has_letter) {
            return Err(error);
        }
        let related = (begin + 1..self.at.saturating_sub(1)).find(|&at| {
            let is_letter = |at: usize| {
                self.is_index(at)
                    && !matches!(&self.tokens[at].token, Token::Name(name) if name == "n")
            };
            let relates = matches!(self.tokens[at].token, Token::Mark("=" | "<" | "<="));
            relates && is_letter(at - 1) && is_letter(at + 1)
        });
        if let Some(at) = related {
            let message = "This relates two indices, so that it leaves out values of them: write the formula for any.";
            return Err(syntax(self.tokens[at].span, message));
        }
        if let Some(letter) = self.single_index(range) {
            let message = format!(
                "The word “for” was not understood: this says that it holds for one {letter} only; write the formula for every {letter}."
            );
            return Err(syntax(span, message));
        }
        Ok(())
    }

    /// Ends the indices where the clause goes on with words, or at the comma in front of a formula.
    fn end_indices(&mut self, begin: usize, comma: Option<usize>) -> Result<(), FormulaError> {
        let is_end = match self.peek() {
            Some(Token::Name(name)) => word_of_name(name).is_some(),
            None
            | Some(
                Token::Line | Token::Break | Token::Mark("." | ";" | ":" | "quad") | Token::Word(_),
            ) => true,
            Some(_) => false,
        };
        if is_end {
            return Ok(());
        }
        let Some(comma) = comma else {
            return Err(syntax(
                span_of(&self.tokens[begin..self.at]),
                "Found a formula behind “for”; expected indices such as i, j = 1, 2, 3.",
            ));
        };
        self.at = comma;
        Ok(())
    }

    /// The error of "for the first sample" where the question is about a batch.
    fn one_sample(&self) -> Option<FormulaError> {
        let words = self.words();
        let words = match words.first() {
            Some(&"the") => &words[1..],
            _ => &words[..],
        };
        let is_one = matches!(
            words,
            [
                "first" | "second" | "third" | "last" | "nth",
                "sample" | "row",
                ..
            ]
        );
        (is_one && self.context.scope.samples.is_none())
            .then(|| not_understood(words[0], self.span()))
    }

    /// Whether an index and perhaps its range follow: `j`, `i, j`, `j = 1, 2, 3`, `q \in \{1, 2\}`.
    fn indices_follow(&self) -> bool {
        let mut at = self.at;
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        self.is_index(at)
    }

    /// Whether the token is a letter that may be an index.
    pub(super) fn is_index(&self, at: usize) -> bool {
        matches!(self.tokens.get(at).map(|lexeme| &lexeme.token), Some(Token::Name(name))
            if name.len() == 1 && name.starts_with(|c: char| c.is_ascii_lowercase())
                && !matches!(name.as_str(), "x" | "y" | "z" | "h" | "f" | "b" | "m" | "u"))
    }

    /// The letter of `j = 1`, which is no range. A layer's letter may have a single value.
    fn single_index<'t>(&self, tokens: &'t [Lexeme]) -> Option<&'t str> {
        let mut bare = tokens.iter().filter(|lexeme| lexeme.token != Token::Inline);
        let first_four = [bare.next(), bare.next(), bare.next(), bare.next()];
        match first_four.map(|lexeme| lexeme.map(|lexeme| &lexeme.token)) {
            [
                Some(Token::Name(letter)),
                Some(Token::Mark("=")),
                Some(Token::Number(_)),
                None | Some(Token::Mark(":")),
            ] if self.context.scope.layer_of(letter).is_none() => Some(letter.as_str()),
            _ => None,
        }
    }

    /// The end of the range of indices that begins at a token and fills a clause: `j = 1, 2, 3`, `i, j = 1, \dots, n`,
    /// `q \in \{1, 2\}`, `1 \le j \le 3`.
    pub(super) fn range_end(&self, at: usize) -> Option<usize> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        let blanks = |mut at: usize| {
            while matches!(token(at), Some(Token::Inline)) {
                at += 1;
            }
            at
        };
        // A bound: a number, m, or a size with a layer.
        let bound = |at: usize| match token(at)? {
            Token::Number(_) => Some(at + 1),
            Token::Name(name) if name == "dots" || name == "m" => Some(at + 1),
            Token::Name(name) if name == "n" => match token(at + 1)? {
                Token::Mark("_" | "^") => Some(group_end(self.tokens, at + 2)),
                _ => None,
            },
            _ => None,
        };
        let mut at = blanks(at);
        let is_below = |at: usize| matches!(token(at), Some(Token::Mark("<=" | "<")));
        if let Some(next) = bound(at).filter(|&next| is_below(next)) {
            if !self.is_index(next + 1) || !is_below(next + 2) {
                return None;
            }
            at = bound(next + 3)?;
        } else {
            loop {
                if !self.is_index(at) {
                    return None;
                }
                at = blanks(at + 1);
                let is_comma = matches!(token(at), Some(Token::Mark(",")))
                    || matches!(token(at), Some(Token::Name(name)) if name == "and")
                    || matches!(token(at), Some(Token::Word(word)) if word == "and");
                if !is_comma {
                    break;
                }
                at = blanks(at + 1);
            }
            match token(at)? {
                Token::Mark("=") => {
                    let mut count = 1;
                    at = bound(at + 1)?;
                    loop {
                        let next = match token(at) {
                            Some(Token::Mark(",")) => bound(at + 1),
                            Some(Token::Name(name)) if name == "dots" => Some(at + 1),
                            Some(Token::Number(_)) => bound(at),
                            Some(Token::Word(word)) if word == "to" => bound(at + 1),
                            _ => None,
                        };
                        let Some(next) = next else { break };
                        at = next;
                        count += 1;
                    }
                    // `j = 1` alone is another statement.
                    if count < 2 {
                        return None;
                    }
                }
                Token::Name(name) if name == "in" => {
                    if !matches!(token(at + 1), Some(Token::Mark("\\{" | "{" | "["))) {
                        return None;
                    }
                    at = group_end(self.tokens, at + 1);
                }
                _ => return None,
            }
        }
        let at = blanks(at);
        let ends = match token(at) {
            None | Some(Token::Line | Token::Break | Token::Word(_)) => true,
            Some(Token::Mark(mark)) => matches!(*mark, "," | "." | ";" | "quad"),
            Some(Token::Name(name)) => name == "and",
            Some(_) => false,
        };
        ends.then_some(at)
    }
}

/// Whether a token may belong to indices and their ranges.
fn is_part_of_range(token: &Token) -> bool {
    #[rustfmt::skip]
    const WORDS: &[&str] = &[
        "in", "from", "to", "and", "each", "all", "of", "the", "every", "any", "fixed", "over", "that",
        "layer", "layers", "hidden", "unit", "units", "neurons", "index", "indices", "sample", "samples", "batch",
        "entry", "entries", "element", "elements", "weight", "weights", "columns", "rows", "values", "outputs", "inputs",
    ];
    match token {
        Token::Inline
        | Token::Number(_)
        | Token::Mark("=" | "_" | "^" | "<=" | "<" | ":" | "-") => true,
        Token::Name(name) => {
            matches!(name.as_str(), "dots" | "in" | "and" | "to" | "L")
                || (name.len() == 1 && name.starts_with(|c: char| c.is_ascii_lowercase()))
        }
        Token::Word(word) => WORDS.contains(&word.as_str()),
        _ => false,
    }
}
