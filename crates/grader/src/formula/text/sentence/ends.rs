//! Where clauses end: at lines, displays, wide spaces and signs.

use super::super::definitions::key;
use super::super::words::{self, Class};
use super::clauses::clauses;
use super::element::Element;
use super::tokens::{closes, is_bare_operator, opens, relation};
use super::word_at::words_at;
use super::{Clause, Reader, not_understood};
use crate::formula::FormulaError;
use crate::formula::lexer::Token;

impl Reader<'_> {
    /// Whether the text goes on with the clause before: with an operator or a relation.
    pub(super) fn continues(&self) -> bool {
        let mut at = self.at;
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline | Token::Break | Token::Line | Token::Mark("quad"))
        ) {
            at += 1;
        }
        let next = self.tokens.get(at).map(|lexeme| &lexeme.token);
        if matches!(next, Some(Token::Mark("="))) {
            return !self.is_new_relation(at);
        }
        // "… is" at the end of a line goes on in the next.
        matches!(
            self.elements.last(),
            Some(Element::Equals(_) | Element::Infix(..) | Element::Prefix(..))
        )
    }

    /// Whether a `⇒` stands in front of a new equation.
    fn is_new_relation(&self, at: usize) -> bool {
        let Some(lexeme) = self.tokens.get(at) else {
            return false;
        };
        let written = self.context.text.get(lexeme.span.start..lexeme.span.end);
        matches!(written, Some("\\Rightarrow" | "\\implies" | "=>" | "⇒"))
            && self.line_has_relation(at + 1)
    }

    /// Whether the line that begins at a token has a relation of its own.
    fn line_has_relation(&self, at: usize) -> bool {
        let mut depth = 0_usize;
        for (at, lexeme) in self.tokens.iter().enumerate().skip(at) {
            match &lexeme.token {
                token if opens(token) => depth += 1,
                token if closes(token) => depth = depth.saturating_sub(1),
                Token::Mark("=") if depth == 0 => return true,
                Token::Line | Token::Break | Token::Mark("," | ";" | "quad") if depth == 0 => {
                    return false;
                }
                _ if depth == 0 && self.word_at(at).is_some() => {
                    let words = words_at(self.tokens, at, self.context);
                    return words::phrase_as(&words, |class| class == Class::Is).is_some();
                }
                _ => {}
            }
        }
        false
    }

    pub(super) fn ends_at_line(&self) -> bool {
        if self.elements.is_empty() || self.continues() {
            return false;
        }
        if self.is_in_conditional() {
            return false;
        }
        let mut at = self.at;
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Line | Token::Mark("quad"))
        ) {
            at += 1;
        }
        let Some(next) = self.tokens.get(at) else {
            return true;
        };
        if matches!(
            next.token,
            Token::Mark(
                "+" | "-"
                    | "·"
                    | "⊙"
                    | "/"
                    | ">="
                    | ">"
                    | "<"
                    | "<="
                    | "^"
                    | "_"
                    | "'"
                    | ".T"
                    | ")"
                    | "]"
                    | "}"
            )
        ) || self.ends_open()
        {
            return false;
        }
        if self.word_at(at).is_some() {
            let words = words_at(self.tokens, at, self.context);
            let goes_on = |class| {
                matches!(
                    class,
                    Class::Infix(_) | Class::Postfix(_) | Class::Otherwise | Class::If
                )
            };
            let goes_on = words::phrase_as(&words, goes_on).is_some();
            return !goes_on;
        }
        if matches!(next.token, Token::Break) {
            return true;
        }
        self.line_has_relation(at) || self.line_uses_definition(at)
    }

    /// Whether the line that begins at a token uses the name that the clause defines.
    fn line_uses_definition(&self, at: usize) -> bool {
        let Some(Element::Run(tokens, _)) = self.elements.first() else {
            return false;
        };
        let left = relation(tokens).and_then(|end| key(&tokens[..end]));
        left.is_some_and(|left| {
            self.tokens[at..]
                .iter()
                .take_while(|lexeme| !matches!(lexeme.token, Token::Line | Token::Break))
                .any(|lexeme| matches!(&lexeme.token, Token::Name(name) if *name == left.base))
        })
    }

    /// Whether the clause ends with an operator, so that more follows.
    fn ends_open(&self) -> bool {
        match self.elements.last() {
            Some(Element::Run(tokens, _)) => tokens.last().is_some_and(|last| {
                matches!(
                    last.token,
                    Token::Mark(
                        "+" | "-"
                            | "·"
                            | "⊙"
                            | "/"
                            | "="
                            | ">="
                            | ">"
                            | "<"
                            | "<="
                            | "("
                            | "["
                            | "{"
                    )
                )
            }),
            Some(
                Element::Postfix(..)
                | Element::And(_)
                | Element::Otherwise(_)
                | Element::Separator(_),
            )
            | None => false,
            Some(_) => true,
        }
    }

    /// Whether two whole formulas meet at a line's end.
    pub(super) fn is_doubtful(&self) -> bool {
        let next = self.tokens.get(self.at).map(|lexeme| &lexeme.token);
        let begins = matches!(
            next,
            Some(Token::Number(_) | Token::Name(_) | Token::Begin(_) | Token::Inline)
        ) || matches!(next, Some(Token::Mark("(" | "[" | "{" | "\\{" | "⟨")));
        begins && self.has_operand() && !self.ends_open() && self.word_at(self.at).is_none()
    }

    /// Whether a wide space separates two formulas rather than two factors.
    pub(super) fn is_new_after_space(&self) -> bool {
        if self.elements.is_empty() || self.ends_open() {
            return false;
        }
        if self.range_end(self.at).is_some() {
            return true;
        }
        let next = self.tokens.get(self.at).map(|lexeme| &lexeme.token);
        match next {
            Some(Token::Mark("=")) => self.is_new_relation(self.at),
            Some(_) if self.word_at(self.at).is_some() => false,
            Some(_) => self.line_has_relation(self.at),
            None => false,
        }
    }

    /// Ends the clause; `strong` ends the sentence too.
    pub(super) fn end(&mut self, strong: bool) -> Result<(), FormulaError> {
        if let Some(error) = self.open_operator() {
            return Err(error);
        }
        let variable = self.variable();
        let elements = std::mem::take(&mut self.elements);
        let state = std::mem::take(&mut self.state);
        if let (Some(variable), Some(at)) = (&variable, state.describes)
            && let Some(clause) = self.found.clauses.get_mut(at)
        {
            clause.by = Some(variable.clone());
        }
        let start = self.found.clauses.len();
        self.found.shapes.retain(|shape| {
            let next = elements.get(shape.elements);
            shape.clause < start || matches!(next, None | Some(Element::Equals(_)))
        });
        if !elements.is_empty() {
            for clause in clauses(elements, self.context)? {
                if is_bare_operator(&clause.tokens) && state.described {
                    continue;
                }
                self.found.clauses.push(Clause {
                    defines: self.defining || self.reason,
                    marked: state.marked,
                    mentioned: state.introduced || state.mention || state.described,
                    restates: state.restates || clause.restates,
                    is_reason: self.reason && state.relates,
                    by: match &state.by {
                        None if clause.has_relation() => variable.clone(),
                        before => before.clone(),
                    },
                    of: state
                        .of
                        .as_ref()
                        .map(|(word, span)| not_understood(word, *span)),
                    ..clause
                });
            }
            if self.found.clauses.len() != start + 1 {
                // It is not clear which clause they describe.
                self.found.shapes.retain(|shape| shape.clause < start);
            }
        } else {
            // A mark stays for the formula that follows it.
            self.state.marked = state.marked;
            self.state.by = state.by;
            self.state.introduced = state.introduced && !strong;
            self.state.restates = state.restates && !strong;
        }
        if strong {
            self.reason = false;
            self.speaks_of_derivative = false;
            let ended_sentence = self.at > 0
                && matches!(
                    self.tokens[self.at - 1].token,
                    Token::Mark(".") | Token::Break | Token::Line
                );
            if ended_sentence {
                self.defining = false;
            }
        }
        Ok(())
    }
}
