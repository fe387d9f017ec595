//! Reads the words of an answer: cuts it into clauses, drops words without meaning, and puts operators in place of
//! words that have one. A word that is neither is an error.
//!
//! [`Reader`] walks over the tokens and collects the [`Element`]s of a clause (`walk`). Each kind of word has a file:
//! `phrases` for words that introduce or describe, `equations`, `conditions`, `ranges` of indices, `sums`, `kinks`
//! (where a derivative does not exist) and stated `shapes`. `ends` says where a clause ends. `clauses`, `cases` and
//! `operators` turn the elements into the tokens of a formula. `remarks` and `brackets` read words inside brackets
//! before the walk begins.

mod brackets;
mod cases;
mod clauses;
mod conditions;
mod element;
mod ends;
mod equations;
mod formulas;
mod kinks;
mod operators;
mod phrases;
mod ranges;
mod remarks;
mod respects;
mod shapes;
mod stated_ranges;
mod sums;
mod tokens;
mod walk;
mod word_at;

use super::definitions::OwnNames;
use super::words;
use crate::formula::lexer::{Lexeme, Token};
use crate::formula::parser::Scope;
use crate::formula::{Fault, FormulaError, Span};
use brackets::without_inner_words;
use element::Element;
use remarks::opened_remarks;
pub use stated_ranges::StatedRange;
pub(super) use tokens::{closes, is_spaced_dot, opens, relation};
pub(super) use word_at::word_at;

/// One clause: a formula, with or without relations.
#[derive(Debug, Default)]
pub(super) struct Clause {
    pub(super) tokens: Vec<Lexeme>,
    /// The words around it make it a definition or a reason.
    pub(super) defines: bool,
    /// The words say that it is the answer.
    pub(super) marked: bool,
    /// It stands beside words that mention or describe a quantity, so it need not be the answer.
    pub(super) mentioned: bool,
    /// It repeats the formula before it ("i.e."), or it was itself written in words.
    pub(super) restates: bool,
    /// A quantity in a reason: one that does not depend on another.
    pub(super) is_reason: bool,
    /// The quantity that the words name: the formula is said to be the derivative with respect to it.
    pub(super) by: Option<By>,
    /// The error if this is the answer: the words mean a part or a property of it ("of").
    pub(super) of: Option<FormulaError>,
}

impl Clause {
    pub(super) fn span(&self) -> Span {
        let start = self.tokens.first().map_or(0, |first| first.span.start);
        let end = self.tokens.last().map_or(0, |last| last.span.end);
        Span {
            start,
            end: end.max(start),
        }
    }

    pub(super) fn has_relation(&self) -> bool {
        relation(&self.tokens).is_some()
    }
}

/// A quantity that words name as the variable of a derivative.
#[derive(Clone, Debug)]
pub(super) struct By {
    pub(super) tokens: Vec<Lexeme>,
    /// The numerator of the derivative; empty if the words name none.
    pub(super) of: Vec<Lexeme>,
    /// Behind "of" or "for" instead of "with respect to": "the gradient of W^2".
    pub(super) is_loose: bool,
}

/// A shape that the text states.
#[derive(Debug)]
pub(super) struct StatedShape {
    /// Empty where only the columns are stated: "a column vector".
    pub(super) rows: Vec<Lexeme>,
    /// Empty where only the rows are stated: "a row vector".
    pub(super) columns: Vec<Lexeme>,
    pub(super) span: Span,
    /// The clause that it describes.
    pub(super) clause: usize,
    /// The operand that it describes, if that is less than a side of the clause.
    pub(super) operand: Option<Vec<Lexeme>>,
    /// How many elements the clause had when it was stated.
    elements: usize,
}

/// What the words of a text say.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    pub(super) clauses: Vec<Clause>,
    pub(super) shapes: Vec<StatedShape>,
    /// The ranges that it states for indices.
    pub(super) ranges: Vec<StatedRange>,
    /// The line end between two lines that were read as one formula.
    pub(super) doubt: Option<Span>,
    /// Advice on each reading that could surprise the author.
    pub(super) notes: Vec<String>,
}

pub(super) struct Context<'c> {
    pub(super) scope: &'c Scope,
    pub(super) names: &'c OwnNames,
    /// The text that the tokens' spans point into.
    pub(super) text: &'c str,
}

/// Reads all tokens of a text.
pub(super) fn sentences(
    tokens: Vec<Lexeme>,
    context: &Context<'_>,
) -> Result<Sentences, FormulaError> {
    let tokens = without_inner_words(opened_remarks(tokens, context), context, 0)?;
    let mut reader = Reader::new(&tokens, 0, context);
    reader.run()?;
    Ok(reader.found)
}

/// State of the clause that is being read.
#[derive(Default)]
struct State {
    marked: bool,
    /// The last word introduces the quantity behind it.
    introduced: bool,
    /// The last word only mentions the quantity behind it: "with respect to".
    mention: bool,
    /// The clause contains words that describe its formula.
    described: bool,
    /// The last words were "i.e." or the like.
    restates: bool,
    /// A word that takes a part or a property of the formula behind it, such as "of", and its place.
    of: Option<(String, Span)>,
    /// The clause has a verb of dependence: "depends on".
    relates: bool,
    /// The last words were "with respect to" or the like, in a sentence about a derivative; true for loose ones.
    variable: Option<bool>,
    /// The numerator that the words name: "the derivative of l with respect to".
    numerator: Vec<Lexeme>,
    /// The clause that the words describe as a derivative: "X is the derivative with respect to …".
    describes: Option<usize>,
    /// The variable that the words in front of this clause name for it.
    by: Option<By>,
}

struct Reader<'r> {
    tokens: &'r [Lexeme],
    at: usize,
    context: &'r Context<'r>,
    found: Sentences,
    elements: Vec<Element>,
    state: State,
    defining: bool,
    reason: bool,
    /// Whether the sentence speaks of a derivative.
    speaks_of_derivative: bool,
    /// A shape that the words in front of a formula state for it: its rows, its columns and its place.
    shape_ahead: Option<(Vec<Lexeme>, Vec<Lexeme>, Span)>,
    /// Whether the reader is between two `$`.
    in_formula: bool,
}

fn syntax(span: Span, message: impl Into<String>) -> FormulaError {
    FormulaError::new(Fault::Syntax, span, message)
}

/// The error for a word that is not understood.
pub(super) fn not_understood(word: &str, span: Span) -> FormulaError {
    let instead = words::instead(word);
    syntax(
        span,
        format!("The word “{word}” was not understood: {instead}."),
    )
}

impl<'r> Reader<'r> {
    fn new(tokens: &'r [Lexeme], at: usize, context: &'r Context<'r>) -> Self {
        Self {
            tokens,
            at,
            context,
            found: Sentences::default(),
            elements: Vec::new(),
            state: State::default(),
            defining: false,
            reason: false,
            speaks_of_derivative: false,
            shape_ahead: None,
            in_formula: false,
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|lexeme| &lexeme.token)
    }

    fn span(&self) -> Span {
        self.tokens
            .get(self.at)
            .map_or_else(Span::default, |lexeme| lexeme.span)
    }

    /// Counts the `$` among skipped tokens, so that `in_formula` stays right.
    fn balance_inline(&mut self, begin: usize) {
        let marks = self.tokens[begin..self.at]
            .iter()
            .filter(|lexeme| lexeme.token == Token::Inline)
            .count();
        self.in_formula ^= marks % 2 == 1;
    }
}
