//! Operators in words become operators between tokens.

use super::super::words::{Postfix, Prefix};
use super::element::Element;
use super::tokens::{has_comparison, has_sum, mark, span_of, wrapped};
use super::{Context, not_understood, syntax};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::parser::Parser;
use crate::formula::{FormulaError, Span};

/// Puts operators in place of the words of one side.
pub(super) struct Operators<'o> {
    elements: std::iter::Peekable<std::vec::IntoIter<Element>>,
    context: &'o Context<'o>,
}

impl<'o> Operators<'o> {
    pub(super) fn new(elements: Vec<Element>, context: &'o Context<'o>) -> Self {
        Self {
            elements: elements.into_iter().peekable(),
            context,
        }
    }

    /// Operands with operators between them.
    pub(super) fn expression(&mut self) -> Result<Vec<Lexeme>, FormulaError> {
        let (mut out, _) = self.term(true)?;
        while let Some(element) = self.elements.next() {
            let span = element.span();
            match element {
                Element::Infix(infix, span) => {
                    out.push(mark(infix, span));
                    let (term, postfixed) = self.term(true)?;
                    if postfixed && !matches!(infix, ">" | ">=" | "<" | "<=") {
                        return Err(syntax(
                            span_of(&term),
                            "It is not clear what the last words apply to: put parentheses around it, as in (…)^T.",
                        ));
                    }
                    out.extend(term);
                }
                // Two runs side by side are factors.
                Element::Run(tokens, _) => out.extend(tokens),
                Element::Equals(span) => out.push(mark("==", span)),
                _ => {
                    return Err(syntax(
                        span,
                        "The words between these formulas are not clear: write the whole as one formula.",
                    ));
                }
            }
        }
        Ok(out)
    }

    /// One operand with the words in front of it and behind it, and whether words stand behind it.
    fn term(&mut self, beside_operator: bool) -> Result<(Vec<Lexeme>, bool), FormulaError> {
        match self.elements.next() {
            Some(Element::Prefix(prefix, span, text)) => {
                let out = self.prefixed(prefix, span, &text)?;
                Ok((out, false))
            }
            Some(Element::Run(tokens, grouped)) => {
                let mut out = if grouped && beside_operator && has_sum(&tokens) {
                    wrapped(tokens, Span::default())
                } else if matches!(self.elements.peek(), Some(Element::Postfix(..))) {
                    self.operand(tokens, grouped)?
                } else {
                    tokens
                };
                let mut postfixed = false;
                while let Some(Element::Postfix(postfix, span)) = self
                    .elements
                    .next_if(|next| matches!(next, Element::Postfix(..)))
                {
                    postfixed = true;
                    match postfix {
                        Postfix::Transpose => out.push(mark(".T", span)),
                        Postfix::Square => {
                            out.push(mark("^", span));
                            out.push(Lexeme::new(Token::Number("2".to_owned()), span));
                        }
                        Postfix::Sign(sign) => {
                            out.push(mark(sign, span));
                            out.push(Lexeme::new(Token::Number("0".to_owned()), span));
                            out = wrapped(out, span);
                        }
                    }
                }
                Ok((out, postfixed))
            }
            Some(other) => Err(syntax(
                other.span(),
                "The words here are not clear: write the whole as one formula.",
            )),
            None => Err(syntax(
                Span::default(),
                "The answer ends in words; a formula was expected behind them.",
            )),
        }
    }

    /// A run as the operand of a word, in parentheses. It must be one factor or stand between two `$`.
    fn operand(&self, tokens: Vec<Lexeme>, grouped: bool) -> Result<Vec<Lexeme>, FormulaError> {
        let span = span_of(&tokens);
        if grouped || self.is_factor(&tokens) {
            return Ok(wrapped(tokens, span));
        }
        Err(syntax(
            span,
            "It is not clear how much of this formula the words apply to: put parentheses around it, or write the operator.",
        ))
    }

    fn is_factor(&self, tokens: &[Lexeme]) -> bool {
        let mut parser = Parser::with_names(tokens, self.context.scope, self.context.names);
        parser.factor().is_ok() && parser.peek().is_none()
    }

    fn next_operand(&mut self, span: Span, text: &str) -> Result<Vec<Lexeme>, FormulaError> {
        match self.elements.next() {
            Some(Element::Run(tokens, grouped)) => self.operand(tokens, grouped),
            Some(Element::Prefix(prefix, span, text)) => {
                let inner = self.prefixed(prefix, span, &text)?;
                Ok(wrapped(inner, span))
            }
            _ => Err(not_understood(text, span)),
        }
    }

    /// The operand behind a word in front, with the operator of that word.
    fn prefixed(
        &mut self,
        prefix: Prefix,
        span: Span,
        text: &str,
    ) -> Result<Vec<Lexeme>, FormulaError> {
        let number = |digits: &str| Lexeme::new(Token::Number(digits.to_owned()), span);
        match prefix {
            Prefix::Negative => self.scaled(vec![mark("-", span)], span, text),
            Prefix::Half => {
                let half = wrapped(vec![number("1"), mark("/", span), number("2")], span);
                let half = half.into_iter().chain([mark("·", span)]).collect();
                self.scaled(half, span, text)
            }
            Prefix::Twice => self.scaled(vec![number("2"), mark("·", span)], span, text),
            Prefix::Transpose => {
                let mut out = self.next_operand(span, text)?;
                out.push(mark(".T", span));
                Ok(out)
            }
            Prefix::Square => {
                let mut out = self.next_operand(span, text)?;
                out.push(mark("^", span));
                out.push(number("2"));
                Ok(out)
            }
            Prefix::Mask | Prefix::Indicator => self.mask(span, text),
            Prefix::SumOver => self.sum_over(span, text),
            Prefix::Pair(operator) => {
                let (left, right) = self.pair(span, text)?;
                let mut out = left;
                out.push(mark(operator, span));
                out.extend(right);
                Ok(wrapped(out, span))
            }
            Prefix::Inner => {
                let (left, right) = self.pair(span, text)?;
                let mut out = vec![mark("⟨", span)];
                out.extend(left);
                out.push(mark(",", span));
                out.extend(right);
                out.push(mark("⟩", span));
                Ok(out)
            }
            Prefix::Outer => {
                let (left, right) = self.pair(span, text)?;
                let mut out = vec![
                    Lexeme::new(Token::Name("outer".to_owned()), span),
                    mark("(", span),
                ];
                out.extend(left);
                out.push(mark(",", span));
                out.extend(right);
                out.push(mark(")", span));
                Ok(out)
            }
        }
    }

    /// A scale in front of its operand. The scale of a product is the scale of its first factor.
    fn scaled(
        &mut self,
        scale: Vec<Lexeme>,
        span: Span,
        text: &str,
    ) -> Result<Vec<Lexeme>, FormulaError> {
        let mut out = scale;
        match self.elements.next() {
            Some(Element::Run(tokens, grouped)) => {
                if !has_sum(&tokens) {
                    out.extend(tokens);
                } else if grouped {
                    out.extend(wrapped(tokens, span));
                } else {
                    out.extend(self.operand(tokens, false)?);
                }
                if matches!(self.elements.peek(), Some(Element::Postfix(..))) {
                    return Err(not_understood(text, span));
                }
            }
            Some(Element::Prefix(prefix, span, text)) => {
                let inner = self.prefixed(prefix, span, &text)?;
                out.extend(wrapped(inner, span));
            }
            _ => return Err(not_understood(text, span)),
        }
        Ok(out)
    }

    /// The condition behind "the mask of" or "the indicator that"; a bare quantity is compared with 0.
    fn mask(&mut self, span: Span, text: &str) -> Result<Vec<Lexeme>, FormulaError> {
        let Some(Element::Run(tokens, grouped)) = self.elements.next() else {
            return Err(not_understood(text, span));
        };
        if has_comparison(&tokens) {
            return Ok(wrapped(tokens, span));
        }
        let mut out = self.operand(tokens, grouped)?;
        let is_sign = |next: &Element| matches!(next, Element::Postfix(Postfix::Sign(_), _));
        let compares = |next: &Element| matches!(next, Element::Infix(">" | ">=" | "<" | "<=", _));
        let zero = Lexeme::new(Token::Number("0".to_owned()), span);
        if let Some(Element::Postfix(Postfix::Sign(sign), _)) = self.elements.next_if(is_sign) {
            out.extend([mark(sign, span), zero]);
        } else if let Some(Element::Infix(sign, _)) = self.elements.next_if(compares) {
            out.push(mark(sign, span));
            out.extend(self.next_operand(span, text)?);
        } else {
            out.extend([mark(">=", span), zero]);
        }
        Ok(wrapped(out, span))
    }

    fn pair(&mut self, span: Span, text: &str) -> Result<(Vec<Lexeme>, Vec<Lexeme>), FormulaError> {
        let side = |builder: &mut Self| -> Result<Vec<Lexeme>, FormulaError> {
            match builder.elements.peek() {
                Some(Element::Prefix(..)) => {
                    let Some(Element::Prefix(prefix, span, text)) = builder.elements.next() else {
                        return Err(not_understood(text, span));
                    };
                    let inner = builder.prefixed(prefix, span, &text)?;
                    Ok(wrapped(inner, span))
                }
                Some(Element::Run(..)) => {
                    let (term, _) = builder.term(false)?;
                    Ok(wrapped(term, span))
                }
                _ => Err(not_understood(text, span)),
            }
        };
        let left = side(self)?;
        if !matches!(self.elements.next(), Some(Element::And(_))) {
            let message = format!("The words “{text}” need two formulas with “and” between them.");
            return Err(syntax(span, message));
        }
        let right = side(self)?;
        Ok((left, right))
    }

    /// "sum over q of …": the index, perhaps its range, and the terms.
    fn sum_over(&mut self, span: Span, text: &str) -> Result<Vec<Lexeme>, FormulaError> {
        let Some(Element::Run(index, _)) = self.elements.next() else {
            return Err(not_understood(text, span));
        };
        let message = "Write the sum as \\sum_{q=1}^{n_2} ….";
        let Some((first, range)) = index.split_first() else {
            return Err(syntax(span, message));
        };
        let mut out = vec![
            Lexeme::new(Token::Name("sum".to_owned()), span),
            mark("_", span),
            mark("{", span),
            first.clone(),
            mark("}", span),
        ];
        if !range.is_empty() {
            return Err(syntax(span, message));
        }
        self.elements.next_if(|next| matches!(next, Element::Of(_)));
        let Some(Element::Run(body, grouped)) = self.elements.next() else {
            return Err(syntax(span, message));
        };
        if grouped {
            out.extend(wrapped(body, span));
        } else if has_sum(&body) {
            return Err(syntax(span, message));
        } else {
            out.extend(body);
        }
        Ok(out)
    }
}
