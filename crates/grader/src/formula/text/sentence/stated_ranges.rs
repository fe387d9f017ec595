//! The ranges that an answer states for its indices. A range that leaves out values of the question's index makes
//! another answer of the same formula.

use super::Reader;
use super::element::Element;
use super::tokens::group_end;
use crate::formula::Span;
use crate::formula::lexer::{Lexeme, Token};

/// A stated range of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedRange {
    /// The letter of the index.
    pub letter: char,
    /// The values, if the text lists each of them.
    listed: Vec<usize>,
    first: usize,
    /// `None` for the batch size, or for a bound that is not known.
    last: Option<usize>,
    /// Where it is stated.
    pub span: Span,
}

impl StatedRange {
    /// Whether an index of this range has a value.
    pub fn contains(&self, value: usize) -> bool {
        if self.listed.is_empty() {
            value >= self.first && self.last.is_none_or(|last| value <= last)
        } else {
            self.listed.contains(&value)
        }
    }
}

impl Reader<'_> {
    /// Notes the ranges among the tokens from `begin` up to the place of the reader.
    pub(super) fn note_ranges(&mut self, begin: usize) {
        let tokens: Vec<Lexeme> = self.tokens[begin..self.at]
            .iter()
            .filter(|lexeme| lexeme.token != Token::Inline)
            .cloned()
            .collect();
        // "j runs from 1 to 3"
        let subject = match self.elements.last() {
            Some(Element::Run(run, _)) if run.len() == 1 => run.first(),
            _ => None,
        };
        let is_subject = matches!(
            tokens.first().map(|first| &first.token),
            Some(Token::Number(_))
        );
        let tokens: Vec<Lexeme> = match subject.filter(|_| is_subject) {
            Some(letter) => {
                let from = Lexeme::new(Token::Word("from".to_owned()), letter.span);
                [letter.clone(), from].into_iter().chain(tokens).collect()
            }
            None => tokens,
        };
        let mut ranges = Ranges {
            tokens: &tokens,
            at: 0,
            units: &self.context.scope.units,
            found: Vec::new(),
        };
        ranges.read();
        self.found.ranges.extend(ranges.found);
    }
}

/// Reads `i, j = 1, \dots, n_2`, `q \in \{1, 2\}`, `1 \le j \le 3` and "j from 1 to 3".
struct Ranges<'t> {
    tokens: &'t [Lexeme],
    at: usize,
    /// The units of each layer.
    units: &'t [usize],
    found: Vec<StatedRange>,
}

/// A bound, `None` where it is not a known number.
type Bound = Option<usize>;

impl Ranges<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at).map(|lexeme| &lexeme.token)
    }

    fn letter(&self, at: usize) -> Option<char> {
        match self.token(at)? {
            Token::Name(name) if name.len() == 1 && !matches!(name.as_str(), "m" | "n") => {
                name.chars().next().filter(char::is_ascii_lowercase)
            }
            _ => None,
        }
    }

    fn is_word(&self, at: usize, words: &[&str]) -> bool {
        matches!(self.token(at), Some(Token::Name(word) | Token::Word(word)) if words.contains(&word.as_str()))
    }

    fn read(&mut self) {
        let mut letters = Vec::new();
        while self.at < self.tokens.len() {
            if let Some(letter) = self.letter(self.at) {
                letters.push(letter);
                self.at += 1;
            } else if matches!(self.token(self.at), Some(Token::Mark(",")))
                || self.is_word(self.at, &["and"])
            {
                self.at += 1;
            } else if !letters.is_empty()
                && (matches!(self.token(self.at), Some(Token::Mark("=")))
                    || self.is_word(self.at, &["in", "from"]))
            {
                self.at += 1;
                self.values(&std::mem::take(&mut letters));
            } else if let [letter] = letters[..]
                && let Some(last) = self.below()
            {
                let span = self.tokens[self.at - 1].span;
                self.push(&[letter], Vec::new(), 1, last, span);
                letters.clear();
            } else if !(letters.is_empty() && self.between()) {
                letters.clear();
                self.at += 1;
            }
        }
    }

    /// A number, m, or a size with a layer; moves behind it.
    fn bound(&mut self) -> Option<Bound> {
        match self.token(self.at)? {
            Token::Number(digits) => {
                let number = digits.parse().ok();
                self.at += 1;
                Some(number)
            }
            Token::Name(name) if name == "m" => {
                self.at += 1;
                Some(None)
            }
            Token::Name(name) if name == "n" => {
                let is_script = matches!(self.token(self.at + 1), Some(Token::Mark("_" | "^")));
                let end = if is_script {
                    group_end(self.tokens, self.at + 2)
                } else {
                    self.at + 1
                };
                let layer =
                    self.tokens[self.at..end]
                        .iter()
                        .find_map(|lexeme| match &lexeme.token {
                            Token::Number(digits) => digits.parse::<usize>().ok(),
                            _ => None,
                        });
                self.at = end;
                Some(layer.and_then(|layer| self.units.get(layer).copied()))
            }
            _ => None,
        }
    }

    /// The values behind `=` or `\in`.
    fn values(&mut self, letters: &[char]) {
        let start = self.at;
        let mut is_row = false;
        let mut bounds: Vec<Bound> = Vec::new();
        // `[1, 3]` is an interval.
        let is_interval = matches!(self.token(self.at), Some(Token::Mark("[")));
        let in_brackets = matches!(
            self.token(self.at),
            Some(Token::Mark("[" | "(" | "{" | "\\{"))
        );
        self.at += usize::from(in_brackets);
        loop {
            if let Some(bound) = self.bound() {
                bounds.push(bound);
                continue;
            }
            match self.token(self.at) {
                Some(Token::Mark(":" | "-")) => is_row = true,
                Some(Token::Mark(",")) if self.letter(self.at + 1).is_none() => {}
                _ if self.is_word(self.at, &["dots", "to"]) => is_row = true,
                Some(Token::Word(word)) if word == "and" && self.letter(self.at + 1).is_none() => {}
                _ => break,
            }
            self.at += 1;
        }
        if in_brackets {
            self.at += 1;
        }
        if bounds.is_empty() {
            return;
        }
        let span = Span {
            start: self.tokens[start].span.start,
            end: self.tokens[self.at.min(self.tokens.len()) - 1].span.end,
        };
        let numbers: Option<Vec<usize>> = bounds.iter().copied().collect();
        let (listed, first, last) = match (bounds.first(), bounds.last(), numbers) {
            (Some(Some(first)), Some(last), _) if is_row || (is_interval && bounds.len() == 2) => {
                (Vec::new(), *first, *last)
            }
            // `[3]` are the first three.
            (Some(Some(last)), _, _) if bounds.len() == 1 && in_brackets => {
                (Vec::new(), 1, Some(*last))
            }
            (Some(_), _, Some(numbers)) => (numbers, 1, None),
            // A list with a size in it: what lies between is left out in writing only.
            (Some(Some(first)), Some(last), None) => (Vec::new(), *first, *last),
            _ => return,
        };
        self.push(letters, listed, first, last, span);
    }

    /// The `\le 3` of `j \le 3`.
    fn below(&mut self) -> Option<Bound> {
        let start = self.at;
        let less = match self.token(self.at)? {
            Token::Mark("<=") => 0,
            Token::Mark("<") => 1,
            _ => return None,
        };
        self.at += 1;
        let bound = self.bound();
        if bound.is_none() {
            self.at = start;
        }
        bound.map(|last| last.map(|last| last.saturating_sub(less)))
    }

    /// `1 \le j \le 3`.
    fn between(&mut self) -> bool {
        let start = self.at;
        let Some(Some(first)) = self.bound() else {
            self.at = start;
            return false;
        };
        let relation = |token: Option<&Token>| match token {
            Some(Token::Mark("<=")) => Some(0),
            Some(Token::Mark("<")) => Some(1),
            _ => None,
        };
        let read = |ranges: &mut Self| {
            let more = relation(ranges.token(ranges.at))?;
            let letter = ranges.letter(ranges.at + 1)?;
            let less = relation(ranges.token(ranges.at + 2))?;
            ranges.at += 3;
            let last = ranges.bound()?;
            Some((
                letter,
                first + more,
                last.map(|last| last.saturating_sub(less)),
            ))
        };
        let Some((letter, first, last)) = read(self) else {
            self.at = start;
            return false;
        };
        let span = Span {
            start: self.tokens[start].span.start,
            end: self.tokens[self.at - 1].span.end,
        };
        self.push(&[letter], Vec::new(), first, last, span);
        true
    }

    fn push(
        &mut self,
        letters: &[char],
        listed: Vec<usize>,
        first: usize,
        last: Option<usize>,
        span: Span,
    ) {
        let ranges = letters.iter().map(|&letter| StatedRange {
            letter,
            listed: listed.clone(),
            first,
            last,
            span,
        });
        self.found.extend(ranges);
    }
}
