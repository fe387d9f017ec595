//! Remarks in parentheses, such as "(by the chain rule)".

use super::super::words::{self, Class, Prefix};
use super::shapes::dimensions;
use super::tokens::{closes, group_end, opens};
use super::word_at::{word_at, words_at};
use super::{Context, Reader};
use crate::formula::lexer::{Lexeme, Token};

/// The tokens with commas for the parentheses around remarks, such as "(by the chain rule)" and "(since m = 1)".
pub(super) fn opened_remarks(mut tokens: Vec<Lexeme>, context: &Context<'_>) -> Vec<Lexeme> {
    let mut at = 0;
    while at < tokens.len() {
        if !opens(&tokens[at].token) {
            at += 1;
            continue;
        }
        let end = group_end(&tokens, at);
        let is_remark = end > at + 2
            && matches!(tokens[at].token, Token::Mark("(" | "["))
            && closes(&tokens[end - 1].token)
            && (is_remark(&tokens[..end - 1], at + 1, context)
                || is_range(&tokens[..end - 1], at + 1, context));
        if is_remark {
            tokens[at].token = Token::Mark(",");
            tokens[end - 1].token = Token::Mark(",");
            at += 1;
        } else {
            at = end;
        }
    }
    tokens
}

/// Whether a bracket's content is the range of an index, as in "(j = 1, 2, 3)".
fn is_range(tokens: &[Lexeme], at: usize, context: &Context<'_>) -> bool {
    let reader = Reader::new(tokens, at, context);
    reader.range_end(at) == Some(tokens.len())
}

/// Whether a bracket's content begins with words that introduce, or consists of words without a meaning.
fn is_remark(tokens: &[Lexeme], at: usize, context: &Context<'_>) -> bool {
    let introduces = |class: Class| {
        matches!(
            class,
            Class::Relates
                | Class::Undefined
                | Class::Summed
                | Class::Filler
                | Class::Reason
                | Class::Define
                | Class::Mention
                | Class::Mark
                | Class::Label
                | Class::ForAll
                | Class::Shape
        )
    };
    let class_at = |at: usize| words::phrase(&words_at(tokens, at, context));
    // "(of the previous layer)" says which quantity the formula before it is.
    if word_at(tokens, at, context) == Some("of") {
        return false;
    }
    // "(at x = 0 we take 1)"
    if word_at(tokens, at, context) == Some("at") {
        return true;
    }
    // "(sum over q)"
    if let Some((Class::Prefix(Prefix::SumOver), taken)) = class_at(at) {
        return tokens[at + taken..]
            .iter()
            .all(|lexeme| match &lexeme.token {
                Token::Inline | Token::Mark(",") => true,
                Token::Name(name) => name.len() == 1 || name == "and",
                _ => false,
            });
    }
    match class_at(at) {
        Some((class, _)) if introduces(class) => return true,
        None => return false,
        Some(_) => {}
    }
    let mut at = at;
    while at < tokens.len() {
        match class_at(at) {
            Some((class, taken)) if introduces(class) || class == Class::Noun => at += taken,
            // "(a $2 \times 3$ matrix)"
            _ => match dimensions(tokens, at, context.text) {
                Some((_, _, end)) => at = end,
                None if tokens[at].token == Token::Inline => at += 1,
                None => return false,
            },
        }
    }
    true
}
