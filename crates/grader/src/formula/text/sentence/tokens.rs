//! Small questions about the tokens of a formula, and the tokens that words add to it.

use crate::formula::Span;
use crate::formula::lexer::{Lexeme, Token};

/// The first relation outside brackets.
pub(in super::super) fn relation(tokens: &[Lexeme]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|lexeme| {
        match &lexeme.token {
            token if opens(token) => depth += 1,
            token if closes(token) => depth = depth.saturating_sub(1),
            Token::Mark("=") => return depth == 0,
            _ => {}
        }
        false
    })
}

/// The last relation outside brackets.
pub(super) fn last_relation(tokens: &[Lexeme]) -> Option<usize> {
    let mut last = None;
    while let Some(at) = relation(&tokens[last.map_or(0, |last: usize| last + 1)..]) {
        last = Some(last.map_or(at, |last| last + 1 + at));
    }
    last
}

pub(in super::super) fn opens(token: &Token) -> bool {
    matches!(
        token,
        Token::Begin(_) | Token::Mark("(" | "[" | "{" | "\\{" | "⟨")
    )
}

pub(in super::super) fn closes(token: &Token) -> bool {
    matches!(
        token,
        Token::End(_) | Token::Mark(")" | "]" | "}" | "\\}" | "⟩")
    )
}

pub(super) fn span_of(tokens: &[Lexeme]) -> Span {
    let start = tokens.first().map_or(0, |first| first.span.start);
    let end = tokens.last().map_or(start, |last| last.span.end);
    Span {
        start,
        end: end.max(start),
    }
}

/// The index of the token behind the group, or the single token, at `at`.
pub(super) fn group_end(tokens: &[Lexeme], at: usize) -> usize {
    let mut depth = 0_usize;
    for (here, lexeme) in tokens.iter().enumerate().skip(at) {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return here + 1;
        }
    }
    tokens.len()
}

pub(super) fn mark(mark: &'static str, span: Span) -> Lexeme {
    Lexeme::new(Token::Mark(mark), span)
}

pub(super) fn wrapped(tokens: Vec<Lexeme>, span: Span) -> Vec<Lexeme> {
    let span = if tokens.is_empty() {
        span
    } else {
        span_of(&tokens)
    };
    let mut out = Vec::with_capacity(tokens.len() + 2);
    out.push(mark("(", span));
    out.extend(tokens);
    out.push(mark(")", span));
    out
}

/// Whether `+` or `−` joins terms outside brackets.
pub(super) fn has_sum(tokens: &[Lexeme]) -> bool {
    let mut depth = 0_usize;
    tokens.iter().any(|lexeme| {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        depth == 0
            && matches!(
                lexeme.token,
                Token::Mark("+" | "-" | ">" | "<" | ">=" | "<=" | "!=" | "==")
            )
    })
}

pub(super) fn has_comparison(tokens: &[Lexeme]) -> bool {
    tokens.iter().any(|lexeme| {
        matches!(
            lexeme.token,
            Token::Mark(">" | "<" | ">=" | "<=" | "!=" | "==")
        )
    })
}

/// Whether a token is a dot with blanks around it, between two factors.
pub(in super::super) fn is_spaced_dot(tokens: &[Lexeme], at: usize) -> bool {
    let (Some(before), Some(dot), Some(behind)) = (
        at.checked_sub(1).and_then(|at| tokens.get(at)),
        tokens.get(at),
        tokens.get(at + 1),
    ) else {
        return false;
    };
    let is_factor = |token: &Token| {
        matches!(token, Token::Number(_) | Token::Name(_))
            || matches!(
                token,
                Token::Mark("(" | ")" | "[" | "]" | "{" | "}" | "'" | ".T")
            )
    };
    dot.token == Token::Mark(".")
        && before.span.end < dot.span.start
        && dot.span.end < behind.span.start
        && is_factor(&before.token)
        && is_factor(&behind.token)
}

/// Whether the tokens are an operator without operands, such as `⊙`, `\top` or `\mathbb{1}[·]`: words may describe
/// one, and it is no formula.
pub(super) fn is_bare_operator(tokens: &[Lexeme]) -> bool {
    match tokens {
        [one] => match &one.token {
            Token::Mark(_) => true,
            Token::Name(name) => matches!(
                name.as_str(),
                "top" | "indicator" | "T" | "sigma" | "relu" | "diag"
            ),
            _ => false,
        },
        [first, rest @ ..] => {
            let is_function = matches!(&first.token, Token::Name(name) if matches!(name.as_str(), "indicator" | "sigma" | "relu" | "diag" | "I" | "H"));
            is_function
                && rest.iter().all(|lexeme| {
                    matches!(
                        &lexeme.token,
                        Token::Mark(
                            "(" | ")"
                                | "["
                                | "]"
                                | "{"
                                | "}"
                                | "\\{"
                                | "\\}"
                                | "·"
                                | "'"
                                | "."
                                | "_"
                        )
                    ) || matches!(&lexeme.token, Token::Name(name) if name == "dots")
                })
        }
        [] => false,
    }
}
