//! Words inside the brackets of a formula.

use super::super::words::{self, Class};
use super::clauses::clauses;
use super::element::Element;
use super::tokens::{closes, group_end, opens};
use super::word_at::{word_at, words_at};
use super::{Context, not_understood};
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::{FormulaError, Span};

/// The tokens with every word inside brackets understood or refused.
pub(super) fn without_inner_words(
    tokens: Vec<Lexeme>,
    context: &Context<'_>,
    depth: usize,
) -> Result<Vec<Lexeme>, FormulaError> {
    let mut level = 0_usize;
    let has_inner = tokens.iter().any(|lexeme| {
        if opens(&lexeme.token) {
            level += 1;
        } else if closes(&lexeme.token) {
            level = level.saturating_sub(1);
        }
        level > 0 && matches!(lexeme.token, Token::Word(_))
    });
    if !has_inner || depth > 64 {
        return Ok(tokens);
    }
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if !opens(&tokens[at].token) {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = group_end(&tokens, at);
        let is_closed = end > at + 1 && closes(&tokens[end - 1].token);
        let inner_end = if is_closed { end - 1 } else { end };
        let is_cases = matches!(&tokens[at].token, Token::Begin(name) if name == "cases");
        let is_script = at > 0 && matches!(tokens[at - 1].token, Token::Mark("_" | "^"));
        out.push(tokens[at].clone());
        let inner = without_inner_words(tokens[at + 1..inner_end].to_vec(), context, depth + 1)?;
        let inner = Inner {
            tokens: &inner,
            at: 0,
            context,
            is_cases,
            is_script,
            elements: Vec::new(),
            out: Vec::new(),
        };
        out.extend(inner.read()?);
        if is_closed {
            out.push(tokens[end - 1].clone());
        }
        at = end;
    }
    Ok(out)
}

/// The content of a pair of brackets, with the words in it understood or refused.
struct Inner<'i> {
    tokens: &'i [Lexeme],
    at: usize,
    context: &'i Context<'i>,
    /// Between `\begin{cases}` and `\end{cases}`.
    is_cases: bool,
    /// Behind `_` or `^`.
    is_script: bool,
    elements: Vec<Element>,
    out: Vec<Lexeme>,
}

impl Inner<'_> {
    /// The tokens without words; a list is cut at its separators.
    fn read(mut self) -> Result<Vec<Lexeme>, FormulaError> {
        let has_words = outer(self.tokens).any(|lexeme| matches!(lexeme.token, Token::Word(_)));
        if !has_words {
            return Ok(self.tokens.to_vec());
        }
        while let Some(lexeme) = self.tokens.get(self.at) {
            match &lexeme.token {
                Token::Mark("," | ";" | "&" | "\\\\" | "quad" | "|") | Token::Line => {
                    self.flush()?;
                    self.out.push(lexeme.clone());
                    self.at += 1;
                }
                _ if word_at(self.tokens, self.at, self.context).is_some() => self.word()?,
                Token::Inline | Token::Break => self.at += 1,
                _ => self.piece(),
            }
        }
        self.flush()?;
        Ok(self.out)
    }

    /// A token, or a group of brackets, of a formula.
    fn piece(&mut self) {
        let end = group_end(self.tokens, self.at);
        let piece = self.tokens[self.at..end].to_vec();
        if let Some(Element::Run(before, _)) = self.elements.last_mut() {
            before.extend(piece);
        } else {
            self.elements.push(Element::Run(piece, false));
        }
        self.at = end;
    }

    fn word(&mut self) -> Result<(), FormulaError> {
        let span = self.tokens[self.at].span;
        let words = words_at(self.tokens, self.at, self.context);
        let behind = matches!(
            self.elements.last(),
            Some(Element::Run(..) | Element::Postfix(..))
        );
        let fits = |class: Class| match class {
            Class::Infix(_) | Class::Postfix(_) => behind,
            Class::Prefix(_) | Class::Number(_) => !behind,
            _ => false,
        };
        let Some((class, taken)) = words::phrase_that(&words, fits) else {
            let word = words.first().copied().unwrap_or_default();
            return Err(not_understood(word, span));
        };
        let text = words[..taken].join(" ");
        match class {
            Class::Filler | Class::Noun | Class::Mark
                if !behind || is_last(self.tokens, self.at + taken) || self.is_script => {}
            Class::If | Class::For if self.is_cases => self.keyword("if", span)?,
            Class::Define if self.is_cases && words.first() == Some(&"where") => {
                self.keyword("if", span)?;
            }
            Class::Otherwise if self.is_cases => self.keyword("otherwise", span)?,
            Class::If => self.elements.push(Element::If(span)),
            Class::Otherwise => self.elements.push(Element::Otherwise(span)),
            Class::Then => self.elements.push(Element::Then(span)),
            Class::And => self.elements.push(Element::And(span)),
            Class::Is if behind => self.elements.push(Element::Equals(span)),
            Class::Number(digits) => self.elements.push(Element::Run(
                vec![Lexeme::new(Token::Number(digits.to_owned()), span)],
                false,
            )),
            Class::Infix(mark) if behind => self.elements.push(Element::Infix(mark, span)),
            Class::Prefix(prefix) if !behind => {
                self.elements.push(Element::Prefix(prefix, span, text));
            }
            Class::Postfix(postfix) if behind => {
                self.elements.push(Element::Postfix(postfix, span));
            }
            _ => return Err(not_understood(&text, span)),
        }
        self.at += taken;
        Ok(())
    }

    /// A word that the parser of cases knows.
    fn keyword(&mut self, keyword: &str, span: Span) -> Result<(), FormulaError> {
        self.flush()?;
        self.out
            .push(Lexeme::new(Token::Name(keyword.to_owned()), span));
        Ok(())
    }

    /// Writes the elements of one entry of a list.
    fn flush(&mut self) -> Result<(), FormulaError> {
        let elements = std::mem::take(&mut self.elements);
        if !elements.is_empty() {
            for clause in clauses(elements, self.context)? {
                self.out.extend(clause.tokens);
            }
        }
        Ok(())
    }
}

/// The tokens outside brackets.
fn outer(tokens: &[Lexeme]) -> impl Iterator<Item = &Lexeme> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |lexeme| {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        depth == 0
    })
}

fn is_last(tokens: &[Lexeme], at: usize) -> bool {
    tokens
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|lexeme| matches!(lexeme.token, Token::Word(_)))
        || matches!(
            tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Mark("," | ";" | "&" | "\\\\"))
        )
}
