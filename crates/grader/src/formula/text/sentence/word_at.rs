//! The words at a token, whether the lexer knew them as words or as names.

use super::Context;
use crate::formula::lexer::{Lexeme, Token};

/// The number of words in the longest phrase.
const LONGEST_PHRASE: usize = 7;

pub(super) fn words_at<'t>(tokens: &'t [Lexeme], at: usize, context: &Context<'_>) -> Vec<&'t str> {
    (at..at + LONGEST_PHRASE)
        .map_while(|at| word_at(tokens, at, context))
        .collect()
}

pub(in super::super) fn word_at<'t>(
    tokens: &'t [Lexeme],
    at: usize,
    context: &Context<'_>,
) -> Option<&'t str> {
    let lexeme = tokens.get(at)?;
    match &lexeme.token {
        Token::Word(word) => Some(word),
        Token::Name(name) => {
            let word = word_of_name(name)?;
            let next = tokens.get(at + 1).map(|lexeme| &lexeme.token);
            let is_applied = matches!(
                next,
                Some(Token::Mark(
                    "(" | "_" | "^" | "'" | "[" | "{" | "\\{" | ".T"
                ))
            );
            let always = matches!(
                word,
                "if" | "and" | "else" | "otherwise" | "for" | "when" | "then"
            );
            let written = context
                .text
                .get(lexeme.span.start..lexeme.span.end)
                .unwrap_or("");
            // `\mathrm{if}` is a word; `\max` and `\mathbf{1}` are none.
            let is_command = written.starts_with('\\')
                && !(written.contains('{') && written.to_ascii_lowercase().contains(word));
            let is_sign = !written.starts_with(|c: char| c.is_ascii());
            // `HeavisideTheta` is a function of that name.
            let is_other = !written.contains('{') && !written.eq_ignore_ascii_case(word);
            if is_other {
                return None;
            }
            ((always || !is_applied) && !is_command && !is_sign).then_some(word)
        }
        _ => None,
    }
}

/// Names of the lexer that are also words.
pub(super) fn word_of_name(name: &str) -> Option<&str> {
    matches!(
        name,
        "sum"
            | "where"
            | "for"
            | "if"
            | "and"
            | "else"
            | "otherwise"
            | "transpose"
            | "outer"
            | "dot"
            | "step"
            | "loss"
            | "relu"
            | "heaviside"
            | "indicator"
            | "multiply"
            | "matmul"
            | "sign"
            | "max"
            | "min"
            | "maximum"
            | "minimum"
            | "true"
            | "when"
            | "then"
    )
    .then_some(name)
}
