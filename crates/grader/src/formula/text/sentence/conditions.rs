//! Values under conditions: where one begins, and whether another case follows.

use super::super::words::{self, Class, Postfix};
use super::Reader;
use super::element::Element;
use super::tokens::{closes, opens};
use super::word_at::words_at;
use crate::formula::lexer::Token;

impl Reader<'_> {
    /// Whether the next formula is a comparison rather than an equation.
    pub(super) fn condition_follows(&self) -> bool {
        let mut depth = 0_usize;
        let mut compares = false;
        for (at, lexeme) in self.tokens.iter().enumerate().skip(self.at) {
            match &lexeme.token {
                token if opens(token) => depth += 1,
                token if closes(token) => depth = depth.saturating_sub(1),
                Token::Mark("=") if depth == 0 => return false,
                Token::Mark(">" | "<" | ">=" | "<=" | "!=") if depth == 0 => compares = true,
                Token::Mark("," | ";" | ".") | Token::Line | Token::Break if depth == 0 => break,
                _ if depth == 0 && self.word_at(at).is_some() => {
                    let words = words_at(self.tokens, at, self.context);
                    let sign = |class| {
                        matches!(
                            class,
                            Class::Postfix(Postfix::Sign(_))
                                | Class::Infix(">" | "<" | ">=" | "<=")
                        )
                    };
                    if words::phrase_as(&words, sign).is_some() {
                        return true;
                    }
                    if !matches!(
                        words::phrase(&words),
                        Some((Class::Noun | Class::Filler, _))
                    ) {
                        break;
                    }
                }
                _ => {}
            }
        }
        compares
    }

    /// Whether a value and its condition have been read, and another case follows.
    pub(super) fn is_in_conditional(&self) -> bool {
        let ifs = self
            .elements
            .iter()
            .filter(|element| matches!(element, Element::If(_)))
            .count();
        let others = self
            .elements
            .iter()
            .any(|element| matches!(element, Element::Otherwise(_)));
        ifs > 0 && !others && (ifs == 1 || self.begins_with_condition()) && self.case_follows()
    }

    pub(super) fn begins_with_condition(&self) -> bool {
        matches!(self.elements.first(), Some(Element::If(_)))
            || matches!(
                (
                    self.elements.first(),
                    self.elements.get(1),
                    self.elements.get(2)
                ),
                (
                    Some(Element::Run(..)),
                    Some(Element::Equals(_)),
                    Some(Element::If(_))
                )
            )
    }

    /// Whether "otherwise" or another condition follows in this sentence. A leading condition always has its value
    /// behind it.
    fn case_follows(&self) -> bool {
        if self.begins_with_condition() {
            return true;
        }
        let rest = self.tokens.iter().enumerate().skip(self.at);
        for (at, lexeme) in rest {
            match &lexeme.token {
                Token::Break => return false,
                Token::Mark("=") => return false,
                _ if self.word_at(at).is_some() => {
                    let words = words_at(self.tokens, at, self.context);
                    match words::phrase(&words) {
                        Some((Class::Otherwise | Class::If | Class::For, _)) => return true,
                        Some((Class::Define, _)) if words.first() == Some(&"where") => return true,
                        Some((Class::Mark | Class::Reason | Class::Define, _)) => return false,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        false
    }
}
