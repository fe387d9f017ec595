//! Words and colons that put two formulas on the sides of an equation: definitions and "is".

use super::super::words::{self, Class};
use super::Reader;
use super::element::Element;
use super::tokens::relation;
use super::word_at::words_at;
use crate::formula::lexer::Token;
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    pub(super) fn define(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        // "1 where x > 0": a condition.
        if matches!(text, "where") && self.has_operand() && self.condition_follows() {
            self.elements.push(Element::If(span));
            return Ok(());
        }
        self.end(false)?;
        self.defining = true;
        self.state.introduced = true;
        Ok(())
    }

    pub(super) fn is(&mut self, span: Span) -> Result<(), FormulaError> {
        if self.elements.is_empty() || (self.state.mention && self.is_description()) {
            let by = self.variable_in_front();
            // "Since the derivative with respect to h^2 is …"
            let is_reason = self.reason && self.state.mention;
            self.end(false)?;
            self.state.relates = is_reason;
            self.state.marked = !self.state.relates;
            self.state.by = by;
            return Ok(());
        }
        // "G is 1 × 2"
        let is_shape = self
            .dimensions(self.at)
            .is_some_and(|(_, _, end)| self.is_end(end));
        if self.has_operand() && is_shape && self.take_dimensions() {
            return Ok(());
        }
        // Words or an operand behind it?
        if self.value_follows() {
            self.elements.push(Element::Equals(span));
            self.state.introduced = false;
            self.state.described = false;
        } else {
            self.state.described = true;
            if self.is_description() && !self.state.marked {
                self.state.mention = true;
            }
        }
        Ok(())
    }

    pub(super) fn colon(&mut self, span: Span) -> Result<(), FormulaError> {
        self.at += 1;
        if self.state.mention && self.is_description() {
            let by = self.variable_in_front();
            self.end(false)?;
            self.state.marked = true;
            self.state.by = by;
            return Ok(());
        }
        // `∂l/∂W: …` is an equation.
        let names_a_derivative = match &self.elements[..] {
            [Element::Run(tokens, _)] => {
                relation(tokens).is_none()
                    && matches!(tokens.first().map(|first| &first.token), Some(Token::Name(name))
                        if matches!(name.as_str(), "frac" | "partial" | "nabla") || name.starts_with('d') || self.context.names.contains(name))
            }
            _ => false,
        };
        if names_a_derivative {
            self.elements.push(Element::Equals(span));
        } else if self.has_operand() {
            self.end(false)?;
        } else if !self.defining {
            self.state.introduced = false;
            self.state.marked = true;
        }
        Ok(())
    }

    /// Whether a formula follows before the clause ends, with only articles and nouns in front of it.
    fn value_follows(&self) -> bool {
        let mut at = self.at;
        while let Some(lexeme) = self.tokens.get(at) {
            match &lexeme.token {
                Token::Inline => at += 1,
                Token::Line | Token::Break | Token::Mark("," | ";" | "." | "quad") => {
                    // A display goes on with the sentence before it.
                    return matches!(lexeme.token, Token::Break | Token::Line)
                        && at + 1 < self.tokens.len()
                        && self.word_at(at + 1).is_none();
                }
                Token::Mark(":") => at += 1,
                _ if self.word_at(at).is_some() => {
                    let words = words_at(self.tokens, at, self.context);
                    let starts = |class| matches!(class, Class::Prefix(_) | Class::Number(_));
                    let operator = words::phrase_as(&words, starts);
                    match (words::phrase(&words), operator) {
                        (Some((_, plain)), Some((_, taken))) if taken >= plain => return true,
                        (
                            Some((
                                Class::Noun | Class::Filler | Class::Mark | Class::Adverb,
                                taken,
                            )),
                            _,
                        ) => at += taken,
                        _ => return false,
                    }
                }
                // "is a 2 × 3 matrix" describes.
                _ => {
                    return !(self.dimensions(at))
                        .is_some_and(|(_, _, end)| self.is_shape_noun(end));
                }
            }
        }
        false
    }

    /// Whether the clause so far is empty, an operator or a bare symbol, so that words can describe it.
    pub(super) fn is_description(&self) -> bool {
        match &self.elements[..] {
            [] => true,
            [Element::Run(tokens, _)] => tokens.len() <= 4 && relation(tokens).is_none(),
            _ => false,
        }
    }
}
