//! Sums in words behind a formula: "summed over q", Einstein summation.

use super::tokens::{group_end, last_relation, mark, wrapped};
use super::{Reader, not_understood};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    /// Whether only letters of indices follow in this clause, behind a formula.
    pub(super) fn is_sum_behind(&self) -> bool {
        let is_behind =
            self.has_operand() || (self.elements.is_empty() && !self.found.clauses.is_empty());
        is_behind && !self.expects_operand() && !self.summed_letters().0.is_empty()
    }

    /// The letters of indices up to the end of the clause, and where they end; none if another token follows.
    fn summed_letters(&self) -> (Vec<Lexeme>, usize) {
        let (mut letters, mut at) = (Vec::new(), self.at);
        loop {
            match self.tokens.get(at).map(|lexeme| &lexeme.token) {
                Some(Token::Inline) => at += 1,
                Some(Token::Mark(",")) if self.is_index(at + 1) => at += 1,
                Some(Token::Name(name)) if name == "and" => at += 1,
                Some(Token::Word(word))
                    if matches!(
                        word.as_str(),
                        "the" | "all" | "repeated" | "index" | "indices" | "and" | "dummy"
                    ) =>
                {
                    at += 1;
                }
                Some(Token::Name(_)) if self.is_index(at) => {
                    letters.push(self.tokens[at].clone());
                    at += 1;
                }
                None | Some(Token::Line | Token::Break | Token::Mark("," | "." | ";" | "quad")) => {
                    return (letters, at);
                }
                Some(_) => return (Vec::new(), self.at),
            }
        }
    }

    /// "summed over q" behind a formula, or a sum over every repeated index. Puts Σ in front of the last side.
    pub(super) fn summed(
        &mut self,
        text: &str,
        span: Span,
        repeated: bool,
    ) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood(text, span));
        }
        let (mut letters, end) = self.summed_letters();
        let begin = self.at;
        if !letters.is_empty() {
            self.at = end;
            self.balance_inline(begin);
        }
        if self.has_operand() {
            self.end(false)?;
        }
        let Some(clause) = self.found.clauses.last_mut() else {
            return Err(not_understood(text, span));
        };
        let start = last_relation(&clause.tokens).map_or(0, |at| at + 1);
        let side = clause.tokens.split_off(start);
        if letters.is_empty() && repeated {
            letters = repeated_indices(&side, &self.context.scope.free);
        }
        // A sum that is written out is only described.
        letters.retain(|letter| !has_sum_over(&side, letter));
        let names: Vec<&str> = letters
            .iter()
            .filter_map(|letter| match &letter.token {
                Token::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if !names.is_empty() {
            let note = format!("It was read as the sum over {}.", names.join(", "));
            self.found.notes.push(note);
        }
        for letter in &letters {
            clause.tokens.extend([
                Lexeme::new(Token::Name("sum".to_owned()), span),
                mark("_", span),
                mark("{", span),
                letter.clone(),
                mark("}", span),
            ]);
        }
        if letters.is_empty() {
            clause.tokens.extend(side);
        } else {
            clause.tokens.extend(wrapped(side, span));
        }
        self.state.described = true;
        self.state.introduced = true;
        Ok(())
    }
}

/// The indices below the symbols of a side, in order: single letters in subscripts.
fn indices_below(tokens: &[Lexeme]) -> Vec<&Lexeme> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].token == Token::Mark("_") {
            let end = group_end(tokens, at + 1);
            found.extend(tokens[at + 1..end].iter().filter(|lexeme| {
                matches!(&lexeme.token, Token::Name(name)
                    if name.len() == 1 && name != "m" && name.starts_with(|c: char| c.is_ascii_lowercase()))
            }));
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// The letters below more than one symbol that the question does not leave free.
fn repeated_indices(tokens: &[Lexeme], free: &[char]) -> Vec<Lexeme> {
    let all = indices_below(tokens);
    let mut repeated: Vec<Lexeme> = Vec::new();
    for lexeme in &all {
        let is_free = matches!(&lexeme.token, Token::Name(name) if name.starts_with(free));
        let count = all
            .iter()
            .filter(|other| other.token == lexeme.token)
            .count();
        let is_known = repeated.iter().any(|known| known.token == lexeme.token);
        if count > 1 && !is_free && !is_known {
            repeated.push((*lexeme).clone());
        }
    }
    repeated
}

/// Whether a side already has a Σ over a letter.
fn has_sum_over(tokens: &[Lexeme], letter: &Lexeme) -> bool {
    let is_sum = |lexeme: &Lexeme| matches!(&lexeme.token, Token::Name(name) if name == "sum");
    let mut sums = tokens
        .iter()
        .enumerate()
        .filter(|(_, lexeme)| is_sum(lexeme));
    sums.any(|(at, _)| {
        let end = group_end(tokens, at + 2);
        let below = tokens.get(at + 2..end).unwrap_or_default();
        below.iter().any(|lexeme| lexeme.token == letter.token)
    })
}
