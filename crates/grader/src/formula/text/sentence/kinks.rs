//! What an answer says about the point where ReLU has no derivative: "undefined at 0", "(we take 1)".

use super::element::Element;
use super::{Reader, syntax};
use crate::formula::lexer::Token;
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    /// The end of "(we take 1)" at a token, which sets the derivative at the kink.
    fn choice_end(&self, mut at: usize) -> Option<usize> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        let mut words = 0;
        loop {
            match token(at)? {
                Token::Inline => at += 1,
                Token::Mark("," | ":" | ";") if words == 0 => at += 1,
                _ => match self.word_at(at) {
                    Some(
                        "we" | "i" | "take" | "choose" | "pick" | "use" | "set" | "define" | "it"
                        | "to" | "be" | "as" | "the" | "value" | "so" | "here" | "usually"
                        | "conventionally" | "by" | "convention" | "can" | "is" | "derivative"
                        | "let" | "subgradient" | "and" | "taking" | "choosing" | "using" | "a",
                    ) => {
                        words += 1;
                        at += 1;
                    }
                    _ => break,
                },
            }
        }
        let is_value = matches!(token(at), Some(Token::Number(digits)) if digits == "0" || digits == "1")
            || matches!(self.word_at(at), Some("zero" | "one"));
        if words == 0 || !is_value {
            return None;
        }
        at += 1;
        while matches!(token(at), Some(Token::Inline)) {
            at += 1;
        }
        match token(at) {
            None | Some(Token::Line | Token::Break) => Some(at),
            Some(Token::Mark(mark)) => matches!(*mark, "," | "." | ";").then_some(at),
            Some(_) => None,
        }
    }

    /// The end of "x = 0 we take 1" behind "at".
    pub(super) fn point_end(&self, mut at: usize) -> Option<usize> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        let mut pieces = 0;
        while let Some(Token::Inline | Token::Name(_) | Token::Mark("=")) = token(at) {
            pieces += 1;
            if pieces > 5 || self.word_at(at).is_some() {
                return None;
            }
            at += 1;
        }
        let is_zero = matches!(token(at), Some(Token::Number(digits)) if digits == "0")
            || self.word_at(at) == Some("zero");
        is_zero.then_some(())?;
        self.choice_end(at + 1)
    }

    pub(super) fn undefined(&mut self, span: Span) -> Result<(), FormulaError> {
        let begin = self.at;
        while let Some(token) = self.peek() {
            match token {
                Token::Inline | Token::Number(_) | Token::Name(_) | Token::Mark("=") => {
                    self.at += 1
                }
                _ => break,
            }
        }
        let tokens = &self.tokens[begin..self.at];
        let zero = tokens
            .iter()
            .filter_map(|lexeme| match &lexeme.token {
                Token::Number(digits) => Some(digits.as_str()),
                _ => None,
            })
            .eq(["0"]);
        if !zero || tokens.len() > 6 {
            return Err(syntax(
                span,
                "Found a point where a derivative does not exist; expected 0.",
            ));
        }
        if let Some(end) = self.choice_end(self.at) {
            self.at = end;
        }
        self.balance_inline(begin);
        if self
            .elements
            .last()
            .is_some_and(|last| matches!(last, Element::And(_) | Element::Separator(_)))
        {
            self.elements.pop();
        }
        Ok(())
    }
}
