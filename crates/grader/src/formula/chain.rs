//! Parses a text into chains `a = b = c`, with a separate tree for each side.

use super::expr::Expr;
use super::lexer::{Lexeme, Token, lex};
use super::parser::{Parser, Scope};
use super::{FormulaError, Span};

/// One side of a chain `a = b = c`.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its bytes.
    pub span: Span,
    /// What it says, or why it cannot be read.
    pub expr: Result<Expr, FormulaError>,
}

/// The chains of a text, each with its sides; displayed formulas of their own are chains of their own.
///
/// # Errors
/// Text that cannot be cut into tokens.
pub fn parse(text: &str, scope: &Scope) -> Result<Vec<Vec<Side>>, FormulaError> {
    let tokens = scope.names.put(lex(text)?);
    let mut chains: Vec<Vec<Side>> = Vec::new();
    for displayed in tokens.split(|lexeme| lexeme.token == Token::Break) {
        let sides = split_sides(displayed)
            .into_iter()
            .filter_map(|side| read_side(side, scope));
        // A formula that begins with `=` goes on with the one above it.
        let goes_on = matches!(
            displayed.first().map(|first| &first.token),
            Some(Token::Mark("="))
        );
        match chains.last_mut() {
            Some(above) if goes_on => above.extend(sides),
            _ => {
                let sides: Vec<Side> = sides.collect();
                if !sides.is_empty() {
                    chains.push(sides);
                }
            }
        }
    }
    Ok(chains)
}

/// Cuts at every `=` outside brackets.
fn split_sides(tokens: &[Lexeme]) -> Vec<&[Lexeme]> {
    let mut sides = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, lexeme) in tokens.iter().enumerate() {
        match &lexeme.token {
            Token::Begin(_) | Token::Mark("(" | "[" | "{" | "\\{") => depth += 1,
            Token::End(_) | Token::Mark(")" | "]" | "}" | "\\}") => depth = depth.saturating_sub(1),
            Token::Mark("=") if depth == 0 => {
                sides.push(&tokens[start..at]);
                start = at + 1;
            }
            Token::Number(_) | Token::Name(_) | Token::Mark(_) | Token::Break => {}
        }
    }
    sides.push(&tokens[start..]);
    sides
}

fn read_side(mut tokens: &[Lexeme], scope: &Scope) -> Option<Side> {
    while let [rest @ .., last] = tokens
        && matches!(last.token, Token::Mark("." | "," | ";"))
    {
        tokens = rest;
    }
    let (first, last) = (tokens.first()?, tokens.last()?);
    let span = Span {
        start: first.span.start,
        end: last.span.end,
    };
    let mut parser = Parser::new(tokens, scope);
    let expr = parser.conditional().and_then(|expr| match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.unexpected("an operator or the end of the formula")),
    });
    Some(Side { span, expr })
}
