//! The elements of a clause become the tokens of its sides.

use super::cases::conditional;
use super::element::Element;
use super::operators::Operators;
use super::tokens::relation;
use super::{Clause, Context};
use crate::formula::FormulaError;
use crate::formula::lexer::{Lexeme, Token};

/// The tokens of the elements, with operators for words.
pub(super) fn clauses(
    elements: Vec<Element>,
    context: &Context<'_>,
) -> Result<Vec<Clause>, FormulaError> {
    let is_plain = elements
        .iter()
        .all(|element| matches!(element, Element::Run(..) | Element::Equals(_)));
    if is_plain {
        let mut tokens = Vec::new();
        for element in elements {
            match element {
                Element::Run(run, _) => tokens.extend(run),
                Element::Equals(span) => tokens.push(Lexeme::new(Token::Mark("="), span)),
                _ => {}
            }
        }
        return Ok(vec![Clause {
            tokens,
            ..Clause::default()
        }]);
    }
    // Relations inside a run are relations of the clause.
    let mut split = Vec::with_capacity(elements.len());
    let mut conditional = false;
    for element in elements {
        conditional |= matches!(element, Element::If(_));
        match element {
            Element::Run(tokens, grouped) if !conditional => {
                let mut rest = tokens;
                while let Some(at) = relation(&rest) {
                    let behind = rest.split_off(at + 1);
                    let equals = rest.pop();
                    if !rest.is_empty() {
                        split.push(Element::Run(rest, grouped));
                    }
                    if let Some(equals) = equals {
                        split.push(Element::Equals(equals.span));
                    }
                    rest = behind;
                }
                if !rest.is_empty() {
                    split.push(Element::Run(rest, grouped));
                }
            }
            other => split.push(other),
        }
    }
    let mut tokens = Vec::new();
    let mut side = Vec::new();
    let mut in_condition = false;
    for element in split {
        in_condition |= matches!(element, Element::If(_));
        match element {
            Element::Equals(span) if !in_condition => {
                tokens.extend(side_tokens(std::mem::take(&mut side), context)?);
                tokens.push(Lexeme::new(Token::Mark("="), span));
            }
            other => side.push(other),
        }
    }
    tokens.extend(side_tokens(side, context)?);
    Ok(vec![Clause {
        tokens,
        restates: true,
        ..Clause::default()
    }])
}

fn side_tokens(elements: Vec<Element>, context: &Context<'_>) -> Result<Vec<Lexeme>, FormulaError> {
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let has_condition = elements
        .iter()
        .any(|element| matches!(element, Element::If(_) | Element::Otherwise(_)));
    if has_condition {
        return conditional(elements, context);
    }
    let elements: Vec<Element> = elements
        .into_iter()
        .filter(|element| !matches!(element, Element::Separator(_) | Element::Then(_)))
        .collect();
    Operators::new(elements, context).expression()
}
