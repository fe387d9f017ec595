//! Parses a text into chains `a = b = c`, with a separate tree for each side.

use super::entries::define_by_entries;
use super::expr::Expr;
use super::lexer::{Lexeme, Token, lex};
use super::parser::{Doubts, Kronecker, Parser, Scope, Style};
use super::text::OwnNames;
use super::{FormulaError, Span, Symbol};

/// One side of a chain `a = b = c`.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its bytes.
    pub span: Span,
    /// What it says, or why it cannot be read.
    pub expr: Result<Expr, FormulaError>,
    /// What it says if notation that authors use in different ways is read otherwise.
    pub others: Vec<OtherReading>,
    /// What was read by a rule that could surprise its author.
    pub advice: Vec<String>,
}

/// Another reading of a side.
#[derive(Clone, Debug)]
pub struct OtherReading {
    /// What it says.
    pub expr: Expr,
    /// Whether it counts only where the first reading cannot be evaluated.
    pub is_fallback: bool,
    /// What was read by a rule that could surprise its author.
    pub advice: Vec<String>,
}

/// The chains of a text that is known to be a formula or a derivation, each with its sides; displayed formulas of
/// their own are chains of their own. Words between them are passed by; [`super::read`] reads a student's text.
///
/// # Errors
/// Text that cannot be cut into tokens.
pub fn parse(text: &str, scope: &Scope) -> Result<Vec<Vec<Side>>, FormulaError> {
    let mut tokens = scope.names.put(lex(text)?);
    let mut brackets = 0_usize;
    tokens.retain(|lexeme| {
        match &lexeme.token {
            Token::Begin(_) | Token::Mark("(" | "[" | "{" | "\\{") => brackets += 1,
            Token::End(_) | Token::Mark(")" | "]" | "}" | "\\}") => {
                brackets = brackets.saturating_sub(1);
            }
            _ => {}
        }
        match lexeme.token {
            Token::Line | Token::Inline | Token::Word(_) => false,
            Token::Mark("quad") => brackets > 0,
            _ => true,
        }
    });
    let mut chains: Vec<Vec<Side>> = Vec::new();
    for displayed in tokens.split(|lexeme| lexeme.token == Token::Break) {
        let sides = split_sides(displayed)
            .into_iter()
            .filter_map(|side| read_side(side, scope, OwnNames::NONE));
        // A formula that begins with `=` goes on with the one above it.
        let goes_on = matches!(
            displayed.first().map(|first| &first.token),
            Some(Token::Mark("="))
        );
        match chains.last_mut() {
            Some(above) if goes_on => above.extend(sides),
            _ => {
                let mut sides: Vec<Side> = sides.collect();
                define_by_entries(&mut sides, scope);
                if !sides.is_empty() {
                    chains.push(sides);
                }
            }
        }
    }
    Ok(chains)
}

/// Cuts at every `=` outside brackets.
pub(super) fn split_sides(tokens: &[Lexeme]) -> Vec<&[Lexeme]> {
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
            _ => {}
        }
    }
    sides.push(&tokens[start..]);
    sides
}

pub(super) fn read_side(mut tokens: &[Lexeme], scope: &Scope, names: &OwnNames) -> Option<Side> {
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
    let mut parser = Parser::with_names(tokens, scope, names);
    let expr = whole(&mut parser);
    let (doubts, advice) = (parser.doubts, parser.notes);
    let mut others = Vec::new();
    for (style, is_fallback) in other_styles(doubts, scope.depth) {
        let mut parser = Parser::with_names(tokens, scope, names);
        parser.style = style;
        if let Ok(other) = whole(&mut parser)
            && expr.as_ref().is_ok_and(|expr| *expr != other)
        {
            others.push(OtherReading {
                expr: other,
                is_fallback,
                advice: parser.notes,
            });
        }
    }
    Some(Side {
        span,
        expr,
        others,
        advice,
    })
}

/// A side, which takes all tokens.
fn whole(parser: &mut Parser<'_>) -> Result<Expr, FormulaError> {
    let expr = parser.conditional()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.unexpected("an operator or the end of the formula")),
    }
}

/// The styles to try besides the usual one, and whether each only counts where the usual one has no value.
fn other_styles(doubts: Doubts, depth: usize) -> Vec<(Style, bool)> {
    let usual = Style::default();
    let mut styles = Vec::new();
    if doubts.swapped {
        let swapped = Style {
            swapped: true,
            ..usual
        };
        styles.push((swapped, false));
    }
    let mut fallbacks = vec![usual];
    if doubts.layer {
        let layer = true;
        fallbacks.push(Style { layer, ..usual });
    }
    if doubts.kronecker {
        for kronecker in [Kronecker::Letters, Kronecker::All] {
            let layer = doubts.layer;
            fallbacks.push(Style {
                kronecker,
                layer,
                ..usual
            });
        }
    }
    if doubts.spaces {
        // `\\;` or `\\quad`, then any space.
        fallbacks.extend([3, 1].map(|spaces| Style { spaces, ..usual }));
    }
    if doubts.unit {
        let sizes = (0..=depth).rev().map(Symbol::Units);
        fallbacks.extend(sizes.chain([Symbol::BatchSize]).map(|size| Style {
            unit: Some(size),
            ..usual
        }));
    }
    if doubts.dots {
        let dots = true;
        let with_dots: Vec<Style> = fallbacks
            .iter()
            .map(|style| Style { dots, ..*style })
            .collect();
        fallbacks.extend(with_dots);
    }
    styles.extend(fallbacks.into_iter().skip(1).map(|style| (style, true)));
    styles
}
