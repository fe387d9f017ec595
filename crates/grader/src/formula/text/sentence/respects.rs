//! The quantity that the words name beside a formula: "the derivative with respect to W^2 is …". An answer that names
//! another quantity than its question contradicts itself, even if its formula is right.

use super::element::Element;
use super::tokens::relation;
use super::{By, Reader};
use crate::formula::FormulaError;
use crate::formula::lexer::Token;

impl Reader<'_> {
    /// Ends the clause in front of words that only mention the quantity behind them.
    pub(super) fn begin_mention(&mut self, text: &str) -> Result<(), FormulaError> {
        let describes = match self.state.describes {
            None if self.has_operand() && !self.state.mention => Some(self.found.clauses.len()),
            before => before,
        };
        let variable = self
            .names_variable(text)
            .then_some(matches!(text, "of" | "for"));
        let numerator = self
            .variable()
            .filter(|before| before.is_loose && text != "for");
        self.end(false)?;
        self.state.numerator = numerator.map_or_else(Vec::new, |before| before.tokens);
        self.state.describes = describes.filter(|&at| at < self.found.clauses.len());
        self.state.variable = variable;
        self.state.mention = true;
        self.state.introduced = true;
        Ok(())
    }

    /// Whether these words of mention put the variable of a derivative behind them. "Of" and "for" do so too, as in
    /// "the gradient of W^2", if the variable is a weight.
    fn names_variable(&self, text: &str) -> bool {
        let is_first = !self.tokens[..self.at.saturating_sub(text.split(' ').count())]
            .iter()
            .any(|lexeme| lexeme.token != Token::Inline);
        match text {
            "with respect to" | "w.r.t." | "w.r.t" | "wrt" | "respect to" => {
                is_first || self.speaks_of_derivative
            }
            "of" | "for" => self.speaks_of_derivative,
            _ => false,
        }
    }

    /// Notes that the words speak of a derivative, unless they only give a reason or a definition.
    pub(super) fn note_derivative(&mut self, text: &str) {
        const DERIVATIVES: &[&str] = &["derivative", "gradient", "partial", "differentiat"];
        if !self.reason && !self.defining && DERIVATIVES.iter().any(|word| text.contains(word)) {
            self.speaks_of_derivative = true;
        }
    }

    /// The variable that the words in front of "is" or ":" name for the formula behind it.
    pub(super) fn variable_in_front(&mut self) -> Option<By> {
        let variable = self.variable()?;
        self.state.describes = None;
        Some(variable)
    }

    /// The variable in the clause that is being read: a lone quantity behind "with respect to", or the left side of an
    /// equation there.
    pub(super) fn variable(&self) -> Option<By> {
        let is_loose = self.state.variable?;
        let [Element::Run(tokens, _), ..] = &self.elements[..] else {
            return None;
        };
        let end = match relation(tokens) {
            Some(end) => end,
            None if self.elements.len() == 1 => tokens.len(),
            None => return None,
        };
        Some(By {
            tokens: tokens[..end].to_vec(),
            of: self.state.numerator.clone(),
            is_loose,
        })
    }
}
