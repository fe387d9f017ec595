//! Words that introduce, describe or mention a formula.

use super::super::words::{self, Class, Prefix};
use super::element::Element;
use super::tokens::{closes, opens};
use super::word_at::words_at;
use super::{Reader, not_understood, syntax};
use crate::formula::lexer::Token;
use crate::formula::{FormulaError, Span};

impl Reader<'_> {
    pub(super) fn filler(
        &mut self,
        is_noun: bool,
        text: &str,
        span: Span,
    ) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return if is_noun {
                Ok(())
            } else {
                Err(self
                    .open_operator()
                    .unwrap_or_else(|| not_understood(text, span)))
            };
        }
        self.note_derivative(text);
        if !is_noun && !self.has_operand() {
            self.state.of = None;
        }
        if self.is_in_conditional()
            || matches!(
                self.elements.last(),
                Some(Element::If(_) | Element::Otherwise(_) | Element::Equals(_) | Element::And(_))
            )
        {
            return Ok(());
        }
        if is_noun {
            self.noun_of_shape(text, span);
        }
        if self.has_operand() {
            // "… is the error", "the mask M of …": the words describe what stands before them.
            self.state.described = true;
            if !is_noun {
                let described = self.found.clauses.len();
                self.end(false)?;
                self.state.describes = Some(described).filter(|&at| at < self.found.clauses.len());
            }
        }
        self.state.introduced = true;
        Ok(())
    }

    /// "layer 2", "part 1.3", "equation (3)": the number belongs to the name.
    pub(super) fn label(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        self.filler(true, text, span)?;
        let begin = self.at;
        let mut at = self.at;
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        let inline = matches!(token(at), Some(Token::Inline));
        at += usize::from(inline);
        let bracket = matches!(token(at), Some(Token::Mark("(")));
        at += usize::from(bracket);
        let is_number = matches!(token(at), Some(Token::Number(_)))
            || matches!(token(at), Some(Token::Name(name)) if text == "layer" && matches!(name.as_str(), "l" | "i" | "k"));
        if !is_number {
            return Ok(());
        }
        at += 1;
        if bracket {
            if !matches!(token(at), Some(Token::Mark(")"))) {
                return Ok(());
            }
            at += 1;
        }
        if inline {
            if !matches!(token(at), Some(Token::Inline)) {
                return Ok(());
            }
            at += 1;
        }
        self.at = at;
        self.balance_inline(begin);
        Ok(())
    }

    /// "elementwise": allowed in front of a formula that has ⊙ itself, and in the description of a symbol.
    pub(super) fn adverb(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        let describes = self.defining && self.is_description();
        let mut ahead = self.at;
        while matches!(
            self.tokens.get(ahead).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) || matches!(
            words::phrase(&words_at(self.tokens, ahead, self.context)),
            Some((Class::Noun, _))
        ) {
            ahead += 1;
        }
        let mut depth = 0_usize;
        let says_so = !self.has_operand()
            && self.tokens[ahead..]
                .iter()
                .take_while(|lexeme| {
                    !matches!(
                        lexeme.token,
                        Token::Word(_) | Token::Inline | Token::Line | Token::Break
                    )
                })
                .any(|lexeme| {
                    match &lexeme.token {
                        token if opens(token) => depth += 1,
                        token if closes(token) => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    depth == 0 && lexeme.token == Token::Mark("⊙")
                });
        if describes || says_so {
            self.state.described = true;
            return Ok(());
        }
        let message = format!(
            "The word “{text}” was not understood here: write ⊙ (\\odot, or * in code) between the two factors."
        );
        Err(syntax(span, message))
    }

    /// "of", "with respect to": the quantity behind it is mentioned, and is not the answer.
    pub(super) fn mention(&mut self, text: String, span: Span) -> Result<(), FormulaError> {
        if matches!(
            &self.elements[..],
            [.., Element::Prefix(Prefix::SumOver, ..), Element::Run(..)]
        ) {
            self.elements.push(Element::Of(span));
            return Ok(());
        }
        if self.has_operand()
            && !self.state.described
            && !(self.state.mention && self.is_description())
        {
            return Err(not_understood(&text, span));
        }
        if self.expects_operand() {
            return Err(not_understood(&text, span));
        }
        // "of the previous layer" behind a display belongs to it.
        let begin = self.at - text.split(' ').count();
        let mut before = self.tokens[..begin].iter().rev();
        let is_behind_display = before
            .find(|lexeme| lexeme.token != Token::Line)
            .is_some_and(|lexeme| lexeme.token == Token::Break);
        if matches!(text.as_str(), "of" | "of each")
            && self.elements.is_empty()
            && !self.found.clauses.is_empty()
            && is_behind_display
        {
            return Err(not_understood(&text, span));
        }
        self.begin_mention(&text)?;
        self.state.of = matches!(text.as_str(), "of" | "of each").then_some((text, span));
        Ok(())
    }

    /// "does not depend on": the quantities on both sides are mentioned, and are not the answer.
    pub(super) fn relates(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood(text, span));
        }
        if self.has_operand() {
            self.state.described = true;
            self.state.relates = true;
        }
        self.end(false)?;
        self.state.mention = true;
        self.state.introduced = true;
        self.state.relates = true;
        Ok(())
    }

    pub(super) fn and(&mut self, span: Span) -> Result<(), FormulaError> {
        let pairs = self.elements.iter().any(|element| {
            matches!(
                element,
                Element::Prefix(Prefix::Pair(_) | Prefix::Outer | Prefix::Inner, ..)
            )
        });
        let joined = self
            .elements
            .iter()
            .any(|element| matches!(element, Element::And(_)));
        if (pairs && !joined) || self.is_in_conditional() {
            self.elements.push(Element::And(span));
            return Ok(());
        }
        self.end(false)?;
        self.state.introduced = true;
        Ok(())
    }
}

/// Words that repeat the formula before them in another form.
pub(super) const RESTATING: &[&str] = &[
    "i.e.",
    "ie",
    "that is",
    "that is to say",
    "in other words",
    "equivalently",
    "or equivalently",
    "in words",
    "in symbols",
    "put differently",
    "which is the same as",
];
