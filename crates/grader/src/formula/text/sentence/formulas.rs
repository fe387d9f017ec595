//! The formulas between the words.

use super::super::words::{self, Class, Postfix};
use super::clauses::clauses;
use super::element::Element;
use super::tokens::{closes, is_spaced_dot, last_relation, opens, span_of, wrapped};
use super::word_at::words_at;
use super::{Reader, syntax};
use crate::formula::FormulaError;
use crate::formula::lexer::Token;

impl Reader<'_> {
    pub(super) fn formula(&mut self) -> Result<(), FormulaError> {
        if self.member()? {
            return Ok(());
        }
        // A shape in brackets behind a formula is a remark; in front of "row vector" or "matrix" it is one too.
        if self.has_operand()
            && matches!(self.peek(), Some(Token::Mark("(")))
            && self
                .dimensions(self.at)
                .is_some_and(|(_, _, end)| self.is_end(end))
            && self.take_dimensions()
        {
            return Ok(());
        }
        if let Some((_, _, end)) = self.dimensions(self.at)
            && self
                .elements
                .iter()
                .all(|element| !self.expects_value(element))
            && (self.is_shape_noun(end)
                || (self.state.described && self.has_operand())
                || (self.elements.is_empty()
                    && self.state.marked
                    && self.is_behind_is()
                    && !self.found.clauses.is_empty()
                    && self.is_end(end)))
            && self.take_dimensions()
        {
            return Ok(());
        }
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(lexeme) = self.tokens.get(self.at) {
            let token = &lexeme.token;
            if depth == 0 {
                let ends = (matches!(
                    token,
                    Token::Inline
                        | Token::Break
                        | Token::Line
                        | Token::Mark("." | ";" | "," | ":" | "quad")
                ) && !is_spaced_dot(self.tokens, self.at))
                    || self.word_at(self.at).is_some()
                    || (self.at > start && matches!(token, Token::Name(name) if name == "in"))
                    || (self.at > start
                        && matches!(token, Token::Mark("("))
                        && self
                            .dimensions(self.at)
                            .is_some_and(|(_, _, end)| self.is_end(end)));
                if ends {
                    break;
                }
            }
            if opens(token) {
                depth += 1;
            } else if closes(token) {
                depth = depth.saturating_sub(1);
            }
            self.at += 1;
        }
        let tokens = self.tokens[start..self.at].to_vec();
        if tokens.is_empty() {
            let found = self.tokens[self.at].clone();
            return Err(syntax(
                found.span,
                format!("Found {:?}, which stands for nothing here.", found.token),
            ));
        }
        let opened = start
            .checked_sub(1)
            .is_some_and(|before| self.tokens[before].token == Token::Inline);
        let closed = matches!(self.peek(), Some(Token::Inline));
        let grouped = self.in_formula && opened && closed;
        if self.state.described && self.has_operand() {
            // "δ, the error, h": words lie between them.
            self.end(false)?;
        }
        if let Some(Element::Run(before, was_grouped)) = self.elements.last_mut() {
            before.extend(tokens);
            *was_grouped = false;
        } else {
            self.elements.push(Element::Run(tokens, grouped));
            self.take_shape_ahead();
        }
        Ok(())
    }

    /// Whether "is" was just read.
    fn is_behind_is(&self) -> bool {
        let before = self.tokens[..self.at].iter().rev();
        let mut before = before.skip_while(|lexeme| lexeme.token == Token::Inline);
        before.next().is_some_and(
            |lexeme| matches!(&lexeme.token, Token::Word(word) if matches!(word.as_str(), "is" | "are")),
        )
    }

    fn expects_value(&self, element: &Element) -> bool {
        matches!(
            element,
            Element::If(_) | Element::Infix(..) | Element::Prefix(..)
        )
    }

    /// Whether "times" or another operator in words follows, perhaps after "then". Everything before the comma is then
    /// its operand.
    pub(super) fn operator_follows(&self) -> bool {
        let mut at = self.at;
        while matches!(self.word_at(at), Some("then" | "and" | "all" | "finally")) {
            at += 1;
        }
        let words = words_at(self.tokens, at, self.context);
        let is_operator = |class| {
            matches!(
                class,
                Class::Infix("×" | "⊙" | "/") | Class::Postfix(Postfix::Transpose)
            )
        };
        let operator = words::phrase_as(&words, is_operator);
        let plain = words::phrase(&words);
        let is_first =
            matches!((operator, plain), (Some((_, taken)), Some((_, plain))) if taken >= plain);
        is_first && self.has_operand() && !self.is_in_conditional()
    }

    /// Turns the last side so far into one operand, and skips the words in front of the operator.
    pub(super) fn group(&mut self) -> Result<(), FormulaError> {
        while matches!(
            self.word_at(self.at),
            Some("then" | "and" | "all" | "finally")
        ) {
            self.at += 1;
        }
        let elements = std::mem::take(&mut self.elements);
        let mut found = clauses(elements, self.context)?;
        let Some(clause) = found.pop() else {
            return Ok(());
        };
        let start = last_relation(&clause.tokens).map_or(0, |at| at + 1);
        let mut left = clause.tokens;
        let side = left.split_off(start);
        if let Some(equals) = left.pop() {
            self.elements.push(Element::Run(left, false));
            self.elements.push(Element::Equals(equals.span));
        }
        let span = span_of(&side);
        self.elements.push(Element::Run(wrapped(side, span), true));
        Ok(())
    }
}
