//! Values and their conditions in words become the tokens of cases.

use super::element::Element;
use super::operators::Operators;
use super::tokens::{mark, wrapped};
use super::{Context, syntax};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

/// `a if c, b otherwise`; `if c then a else b`; `a if c and b if d`.
pub(super) fn conditional(
    elements: Vec<Element>,
    context: &Context<'_>,
) -> Result<Vec<Lexeme>, FormulaError> {
    let whole = Span {
        start: elements.first().map_or(0, |first| first.span().start),
        end: elements.last().map_or(0, |last| last.span().end),
    };
    let begins_with_if = matches!(elements.first(), Some(Element::If(_)));
    let parts = read_parts(parts(elements), context)?;
    let order = order(&parts, begins_with_if, whole)?;
    let mut parts: Vec<Vec<Lexeme>> = parts.into_iter().map(|(_, tokens)| tokens).collect();
    let mut out = Vec::new();
    for (at, &part) in order.iter().enumerate() {
        match at {
            0 => {}
            2 => out.push(mark(",", whole)),
            _ => out.push(Lexeme::new(Token::Name("if".to_owned()), whole)),
        }
        let tokens = parts.get_mut(part).map(std::mem::take);
        out.extend(wrapped(tokens.unwrap_or_default(), whole));
    }
    if order.len() == 3 {
        out.push(Lexeme::new(Token::Name("otherwise".to_owned()), whole));
    }
    Ok(out)
}

/// The values and conditions in the order of the text, each with the word in front of it.
fn parts(elements: Vec<Element>) -> Vec<(Option<&'static str>, Vec<Element>)> {
    let mut parts: Vec<(Option<&'static str>, Vec<Element>)> = vec![(None, Vec::new())];
    for element in elements {
        match element {
            Element::If(_) => parts.push((Some("if"), Vec::new())),
            Element::Otherwise(_) => parts.push((Some("otherwise"), Vec::new())),
            Element::Then(_) | Element::Separator(_) | Element::And(_) => {
                parts.push((Some("then"), Vec::new()));
            }
            other => {
                if let Some(last) = parts.last_mut() {
                    last.1.push(other);
                }
            }
        }
    }
    parts
}

/// The tokens of each part, with the word that says what it is.
fn read_parts(
    parts: Vec<(Option<&'static str>, Vec<Element>)>,
    context: &Context<'_>,
) -> Result<Vec<(&'static str, Vec<Lexeme>)>, FormulaError> {
    let mut read = Vec::new();
    let mut keyword = None;
    for (word, part) in parts {
        // Of "and otherwise", "and if" the second word decides.
        keyword = match (keyword, word) {
            (Some("otherwise"), Some("then")) => Some("otherwise"),
            (Some("if"), Some("then")) => Some("if"),
            (_, Some(word)) => Some(word),
            (before, None) => before,
        };
        if part.is_empty() {
            if word == Some("otherwise") {
                read.push(("otherwise", Vec::new()));
            }
            continue;
        }
        let tokens = Operators::new(part, context).expression()?;
        match (keyword, read.last_mut()) {
            (Some("otherwise"), Some((last, empty)))
                if *last == "otherwise" && empty.is_empty() =>
            {
                *empty = tokens;
            }
            _ => read.push((keyword.unwrap_or("then"), tokens)),
        }
        keyword = None;
    }
    Ok(read)
}

/// The parts in the order value, condition, value, condition; the last condition is left out where it is "otherwise".
fn order(
    parts: &[(&str, Vec<Lexeme>)],
    begins_with_if: bool,
    whole: Span,
) -> Result<&'static [usize], FormulaError> {
    let spelled: Vec<(&str, bool)> = parts
        .iter()
        .map(|(word, tokens)| (*word, tokens.is_empty()))
        .collect();
    match spelled[..] {
        // a if c, b otherwise · a if c otherwise b · a if c, b
        [("then", _), ("if", _), ("then", false), ("otherwise", true)]
        | [("then", _), ("if", _), ("otherwise", false)] => Ok(&[0, 1, 2]),
        // if c then a, otherwise b
        [("if", _), ("then", _), ("otherwise", false)]
        | [("if", _), ("then", _), ("then", false), ("otherwise", true)]
            if begins_with_if =>
        {
            Ok(&[1, 0, 2])
        }
        // a if c, b if d
        [("then", _), ("if", _), ("then", _), ("if", _)] => Ok(&[0, 1, 2, 3]),
        [("if", _), ("then", _), ("if", _), ("then", _)] if begins_with_if => Ok(&[1, 0, 3, 2]),
        [("then", _), ("if", _)] | [("if", _), ("then", _)] => Err(syntax(
            whole,
            "Found a case without the other: add “and 0 otherwise”, or what it is otherwise.",
        )),
        _ => Err(syntax(
            whole,
            "These cases are not clear: write “a if c, b otherwise”, or \\begin{cases} … \\end{cases}.",
        )),
    }
}
