//! The walk over the tokens of a text, and what each word does to the clause that is being read.

use super::super::words::{self, Class, Prefix};
use super::element::Element;
use super::phrases::RESTATING;
use super::tokens::is_spaced_dot;
use super::word_at::{word_at, words_at};
use super::{Reader, not_understood};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    pub(super) fn run(&mut self) -> Result<(), FormulaError> {
        while let Some(token) = self.peek() {
            let span = self.span();
            if self.elements.is_empty()
                && !self.found.clauses.is_empty()
                && let Some(end) = self.range_end(self.at)
            {
                let begin = self.at;
                self.at = end;
                self.note_ranges(begin);
                self.balance_inline(begin);
                continue;
            }
            match token {
                Token::Inline => {
                    self.in_formula = !self.in_formula;
                    self.at += 1;
                }
                Token::Break => {
                    self.at += 1;
                    self.in_formula = false;
                    if !self.continues() {
                        // "The rows of" in front of a display means a part of it.
                        let is_ahead = self.elements.is_empty();
                        let of = self.state.of.clone().filter(|_| is_ahead);
                        self.end(true)?;
                        self.state.of = of;
                    }
                }
                Token::Line => {
                    self.at += 1;
                    if self.ends_at_line() {
                        self.end(true)?;
                    } else if self.is_doubtful() {
                        self.found.doubt = Some(span);
                    }
                }
                Token::Mark(".") if is_spaced_dot(self.tokens, self.at) => self.formula()?,
                Token::Mark("." | ";") => {
                    self.at += 1;
                    if self.is_in_conditional()
                        && matches!(self.tokens[self.at - 1].token, Token::Mark(";"))
                    {
                        self.elements.push(Element::Separator(span));
                    } else {
                        self.end(true)?;
                    }
                }
                Token::Mark(",") => {
                    self.at += 1;
                    if self.operator_follows() {
                        self.group()?;
                    } else if self.is_in_conditional() {
                        self.elements.push(Element::Separator(span));
                    } else if !self.is_shape_at(self.at) || self.elements.is_empty() {
                        self.end(false)?;
                        self.reason = false;
                    } else {
                        self.end(false)?;
                    }
                }
                Token::Mark(":") => self.colon(span)?,
                Token::Mark("quad") => {
                    self.at += 1;
                    if self.is_new_after_space() {
                        if self.is_in_conditional() {
                            self.elements.push(Element::Separator(span));
                        } else {
                            self.end(false)?;
                        }
                    }
                }
                _ if self.word_at(self.at).is_some() => self.word()?,
                _ => self.formula()?,
            }
        }
        self.end(true)
    }

    /// The word at a token.
    pub(super) fn word_at(&self, at: usize) -> Option<&str> {
        word_at(self.tokens, at, self.context)
    }

    /// The words from here on, as far as a phrase can reach.
    pub(super) fn words(&self) -> Vec<&str> {
        words_at(self.tokens, self.at, self.context)
    }

    /// The meaning of the next words in this place, and how many words it takes.
    fn phrase(&self) -> Option<(Class, usize)> {
        let words = self.words();
        let behind_operand = self.has_operand();
        let in_conditional = self.is_in_conditional() || self.begins_with_condition();
        let fits = |class: Class| match class {
            Class::Infix(_) | Class::Postfix(_) | Class::Is => behind_operand,
            Class::Prefix(_) | Class::Number(_) => !behind_operand,
            Class::Then => in_conditional,
            Class::Otherwise => true,
            _ => false,
        };
        words::phrase_that(&words, fits)
    }

    pub(super) fn word(&mut self) -> Result<(), FormulaError> {
        let span = self.span();
        if self.word_at(self.at) == Some("at")
            && !self.expects_operand()
            && let Some(end) = self.point_end(self.at + 1)
        {
            self.end(false)?;
            let begin = self.at;
            self.at = end;
            self.balance_inline(begin);
            return Ok(());
        }
        let Some((class, taken)) = self.phrase() else {
            let word = self.word_at(self.at).unwrap_or_default().to_owned();
            return Err(not_understood(&word, span));
        };
        let text = self.words()[..taken].join(" ");
        let last = self.tokens[self.at + taken - 1].span;
        let span = Span {
            start: span.start,
            end: last.end.max(span.end),
        };
        let begin = self.at;
        self.at += taken;
        match class {
            Class::Filler if RESTATING.contains(&text.as_str()) && !self.expects_operand() => {
                self.end(false)?;
                self.state.restates = true;
                self.state.introduced = true;
            }
            Class::Filler | Class::Noun => self.filler(class == Class::Noun, &text, span)?,
            Class::Relates => self.relates(&text, span)?,
            Class::Summed => self.summed(&text, span, true)?,
            Class::Prefix(Prefix::SumOver) if self.is_sum_behind() => {
                self.summed(&text, span, false)?;
            }
            Class::Adverb => self.adverb(&text, span)?,
            Class::Mark => {
                // "The derivative with respect to W^2 gives …"
                let gives = matches!(text.as_str(), "gives" | "yields" | "becomes" | "produces");
                let by = gives.then(|| self.variable_in_front()).flatten();
                if !self.is_in_conditional() {
                    self.end(false)?;
                }
                self.state.by = by.or(self.state.by.take());
                self.state.marked = true;
                self.state.introduced = false;
                self.state.mention = false;
                self.defining = false;
                self.reason = false;
            }
            Class::Reason => {
                self.end(false)?;
                self.speaks_of_derivative = false;
                self.reason = true;
                self.state.introduced = true;
            }
            Class::Define => return self.define(&text, span),
            Class::Mention => return self.mention(text, span),
            Class::Refused => return Err(not_understood(&text, span)),
            Class::Is => self.is(span)?,
            Class::And => self.and(span)?,
            Class::If => self.elements.push(Element::If(span)),
            Class::For => return self.r#for(begin, span),
            Class::Otherwise => self.elements.push(Element::Otherwise(span)),
            Class::Then => self.elements.push(Element::Then(span)),
            Class::ForAll => return self.for_all(span, text.starts_with("for")),
            Class::Label => self.label(&text, span)?,
            Class::Shape => return self.shape(&text, span),
            Class::Undefined => return self.undefined(span),
            Class::Number(digits) => self.elements.push(Element::Run(
                vec![Lexeme::new(Token::Number(digits.to_owned()), span)],
                false,
            )),
            Class::Infix(mark) => {
                if !self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Infix(mark, span));
            }
            Class::Prefix(prefix) => {
                if self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Prefix(prefix, span, text));
            }
            Class::Postfix(postfix) => {
                if !self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Postfix(postfix, span));
            }
        }
        Ok(())
    }

    pub(super) fn has_operand(&self) -> bool {
        matches!(
            self.elements.last(),
            Some(Element::Run(..) | Element::Postfix(..))
        )
    }

    /// Whether an operator in front waits for its operand.
    pub(super) fn expects_operand(&self) -> bool {
        matches!(
            self.elements.last(),
            Some(Element::Infix(..) | Element::Prefix(..))
        )
    }

    /// The error for the operator in words that has no operand.
    pub(super) fn open_operator(&self) -> Option<FormulaError> {
        match self.elements.last()? {
            Element::Prefix(_, span, text) => Some(not_understood(text, *span)),
            Element::Infix(_, span) => {
                let written = self.context.text.get(span.start..span.end)?;
                Some(not_understood(written, *span))
            }
            _ => None,
        }
    }
}
