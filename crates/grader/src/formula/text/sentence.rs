//! Reads the words of an answer: cuts it into clauses, drops words without meaning, and puts operators in place of
//! words that have one. A word that is neither is an error.

use super::super::lexer::{Lexeme, Token};
use super::super::parser::{Parser, Scope};
use super::super::{Fault, FormulaError, Span};
use super::definitions::{OwnNames, key};
use super::words::{self, Class, Postfix, Prefix};

/// One clause: a formula, with or without relations.
#[derive(Debug, Default)]
pub(super) struct Clause {
    pub(super) tokens: Vec<Lexeme>,
    /// A definition or a reason, by the words around it.
    pub(super) defines: bool,
    /// Said to be the answer.
    pub(super) marked: bool,
    /// Beside words that only mention a quantity.
    pub(super) mentioned: bool,
    /// Said to be the same as the formula before it, or said in words behind it.
    pub(super) restates: bool,
    /// A quantity of a reason: what does not depend on what.
    pub(super) is_reason: bool,
    /// The error if this is the answer: it is only a part or a property of it that is meant.
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

/// A shape that the text states.
#[derive(Debug)]
pub(super) struct StatedShape {
    /// No tokens where only the columns are stated: "a column vector".
    pub(super) rows: Vec<Lexeme>,
    /// No tokens where only the rows are stated: "a row vector".
    pub(super) columns: Vec<Lexeme>,
    pub(super) span: Span,
    /// The clause that it describes.
    pub(super) clause: usize,
    /// The operand that it describes, where that is not a whole side of the clause.
    pub(super) operand: Option<Vec<Lexeme>>,
    /// The elements of the clause when it was stated.
    elements: usize,
}

/// What the words of a text say.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    pub(super) clauses: Vec<Clause>,
    pub(super) shapes: Vec<StatedShape>,
    /// Two lines that were read as one formula.
    pub(super) doubt: Option<Span>,
    /// What was read by a rule that could surprise.
    pub(super) notes: Vec<String>,
}

pub(super) struct Context<'c> {
    pub(super) scope: &'c Scope,
    pub(super) names: &'c OwnNames,
    /// The text that the tokens' spans point into.
    pub(super) text: &'c str,
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

/// The first relation outside brackets.
pub(super) fn relation(tokens: &[Lexeme]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|lexeme| {
        match &lexeme.token {
            token if opens(token) => depth += 1,
            token if closes(token) => depth = depth.saturating_sub(1),
            Token::Mark("=") => return depth == 0,
            _ => {}
        }
        false
    })
}

pub(super) fn opens(token: &Token) -> bool {
    matches!(
        token,
        Token::Begin(_) | Token::Mark("(" | "[" | "{" | "\\{" | "⟨")
    )
}

pub(super) fn closes(token: &Token) -> bool {
    matches!(
        token,
        Token::End(_) | Token::Mark(")" | "]" | "}" | "\\}" | "⟩")
    )
}

/// A piece of a clause.
enum Element {
    /// Tokens of a formula; `grouped` if a pair of `$` holds them together.
    Run(Vec<Lexeme>, bool),
    Equals(Span),
    Infix(&'static str, Span),
    Prefix(Prefix, Span, String),
    Postfix(Postfix, Span),
    And(Span),
    /// Between the index of a sum and its terms.
    Of(Span),
    If(Span),
    Then(Span),
    Otherwise(Span),
    Separator(Span),
}

impl Element {
    fn span(&self) -> Span {
        match self {
            Element::Run(tokens, _) => span_of(tokens),
            Element::Equals(span)
            | Element::Infix(_, span)
            | Element::Prefix(_, span, _)
            | Element::Postfix(_, span)
            | Element::And(span)
            | Element::Of(span)
            | Element::If(span)
            | Element::Then(span)
            | Element::Otherwise(span)
            | Element::Separator(span) => *span,
        }
    }
}

fn span_of(tokens: &[Lexeme]) -> Span {
    let start = tokens.first().map_or(0, |first| first.span.start);
    let end = tokens.last().map_or(start, |last| last.span.end);
    Span {
        start,
        end: end.max(start),
    }
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

/// What is known about the clause that is being read.
#[derive(Default)]
struct State {
    marked: bool,
    /// A word was just read that mentions what follows.
    introduced: bool,
    /// A word in front of a quantity, as "of", was just read.
    mention: bool,
    /// Words that stand in the clause and name nothing.
    described: bool,
    /// "i.e." was just read.
    restates: bool,
    /// The word that takes a part or a property of the formula behind it, as "of", and where it stands.
    of: Option<(String, Span)>,
    /// A verb was read that says what depends on what.
    relates: bool,
}

/// Words that say that the next formula is the same as the one before it.
const RESTATING: &[&str] = &[
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

struct Reader<'r> {
    tokens: &'r [Lexeme],
    at: usize,
    context: &'r Context<'r>,
    found: Sentences,
    elements: Vec<Element>,
    state: State,
    defining: bool,
    reason: bool,
    /// Between two `$`.
    in_formula: bool,
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

    fn run(&mut self) -> Result<(), FormulaError> {
        while let Some(token) = self.peek() {
            let span = self.span();
            if self.elements.is_empty()
                && !self.found.clauses.is_empty()
                && let Some(end) = self.range_end(self.at)
            {
                let begin = self.at;
                self.at = end;
                self.balance_inline(begin);
                continue;
            }
            match token {
                Token::Inline => {
                    self.in_formula = !self.in_formula;
                    self.at += 1;
                }
                Token::Break => {
                    self.at += 1;
                    self.in_formula = false;
                    if !self.continues() {
                        self.end(true)?;
                    }
                }
                Token::Line => {
                    self.at += 1;
                    if self.ends_at_line() {
                        self.end(true)?;
                    } else if self.is_doubtful(span) {
                        self.found.doubt = Some(span);
                    }
                }
                Token::Mark(".") if is_spaced_dot(self.tokens, self.at) => self.formula()?,
                Token::Mark("." | ";") => {
                    self.at += 1;
                    if self.is_in_conditional()
                        && matches!(self.tokens[self.at - 1].token, Token::Mark(";"))
                    {
                        self.elements.push(Element::Separator(span));
                    } else {
                        self.end(true)?;
                    }
                }
                Token::Mark(",") => {
                    self.at += 1;
                    if self.operator_follows() {
                        self.group()?;
                    } else if self.is_in_conditional() {
                        self.elements.push(Element::Separator(span));
                    } else if !self.is_shape_at(self.at) || self.elements.is_empty() {
                        self.end(false)?;
                        self.reason = false;
                    } else {
                        self.end(false)?;
                    }
                }
                Token::Mark(":") => self.colon(span)?,
                Token::Mark("quad") => {
                    self.at += 1;
                    if self.is_new_after_space() {
                        if self.is_in_conditional() {
                            self.elements.push(Element::Separator(span));
                        } else {
                            self.end(false)?;
                        }
                    }
                }
                _ if self.word_at(self.at).is_some() => self.word()?,
                _ => self.formula()?,
            }
        }
        self.end(true)
    }

    // ----- words -----

    /// The word at a token, whether the lexer knew it as a word or as a name.
    fn word_at(&self, at: usize) -> Option<&str> {
        word_at(self.tokens, at, self.context)
    }

    /// The words from here on, as far as a phrase can reach.
    fn words(&self) -> Vec<&str> {
        words_at(self.tokens, self.at, self.context)
    }

    fn has_operand(&self) -> bool {
        matches!(
            self.elements.last(),
            Some(Element::Run(..) | Element::Postfix(..))
        )
    }

    /// What the words here mean in this place.
    fn phrase(&self) -> Option<(Class, usize)> {
        let words = self.words();
        let behind_operand = self.has_operand();
        let in_conditional = self.is_in_conditional() || self.begins_with_condition();
        let fits = |class: Class| match class {
            Class::Infix(_) | Class::Postfix(_) | Class::Is => behind_operand,
            Class::Prefix(_) | Class::Number(_) => !behind_operand,
            Class::Then => in_conditional,
            Class::Otherwise => true,
            _ => false,
        };
        let plain = words::phrase(&words);
        let here = words::phrase_as(&words, fits);
        match (here, plain) {
            (Some(here), Some(plain)) if here.1 >= plain.1 => Some(here),
            (_, plain) => plain,
        }
    }

    fn word(&mut self) -> Result<(), FormulaError> {
        let span = self.span();
        if self.word_at(self.at) == Some("at")
            && !self.expects_operand()
            && let Some(end) = self.point_end(self.at + 1)
        {
            self.end(false)?;
            let begin = self.at;
            self.at = end;
            self.balance_inline(begin);
            return Ok(());
        }
        let Some((class, taken)) = self.phrase() else {
            let word = self.word_at(self.at).unwrap_or_default().to_owned();
            return Err(not_understood(&word, span));
        };
        let text = self.words()[..taken].join(" ");
        let last = self.tokens[self.at + taken - 1].span;
        let span = Span {
            start: span.start,
            end: last.end.max(span.end),
        };
        let begin = self.at;
        self.at += taken;
        match class {
            Class::Filler if RESTATING.contains(&text.as_str()) && !self.expects_operand() => {
                self.end(false)?;
                self.state.restates = true;
                self.state.introduced = true;
            }
            Class::Filler | Class::Noun => self.filler(class == Class::Noun, &text, span)?,
            Class::Relates => self.relates(&text, span)?,
            Class::Summed => self.summed(&text, span, true)?,
            Class::Prefix(Prefix::SumOver) if self.is_sum_behind() => {
                self.summed(&text, span, false)?;
            }
            Class::Adverb => self.adverb(&text, span)?,
            Class::Mark => {
                if !self.is_in_conditional() {
                    self.end(false)?;
                }
                self.state.marked = true;
                self.state.introduced = false;
                self.state.mention = false;
                self.defining = false;
                self.reason = false;
            }
            Class::Reason => {
                self.end(false)?;
                self.reason = true;
                self.state.introduced = true;
            }
            Class::Define => return self.define(&text, span),
            Class::Mention => return self.mention(text, span),
            Class::Refused => return Err(not_understood(&text, span)),
            Class::Is => self.is(span)?,
            Class::And => self.and(span)?,
            Class::If => self.elements.push(Element::If(span)),
            Class::For => return self.r#for(begin, span),
            Class::Otherwise => self.elements.push(Element::Otherwise(span)),
            Class::Then => self.elements.push(Element::Then(span)),
            Class::ForAll => return self.for_all(span, text.starts_with("for")),
            Class::Label => self.label(&text, span)?,
            Class::Shape => return self.shape(&text, span),
            Class::Undefined => return self.undefined(span),
            Class::Number(digits) => self.elements.push(Element::Run(
                vec![Lexeme::new(Token::Number(digits.to_owned()), span)],
                false,
            )),
            Class::Infix(mark) => {
                if !self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Infix(mark, span));
            }
            Class::Prefix(prefix) => {
                if self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Prefix(prefix, span, text));
            }
            Class::Postfix(postfix) => {
                if !self.has_operand() {
                    return Err(not_understood(&text, span));
                }
                self.elements.push(Element::Postfix(postfix, span));
            }
        }
        Ok(())
    }

    /// "of", "with respect to": the quantity behind it is only mentioned.
    fn mention(&mut self, text: String, span: Span) -> Result<(), FormulaError> {
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
        self.end(false)?;
        self.state.mention = true;
        self.state.introduced = true;
        self.state.of = matches!(text.as_str(), "of" | "of each").then_some((text, span));
        Ok(())
    }

    /// "does not depend on": what stands before it and behind it is only mentioned.
    fn relates(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
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

    /// Whether nothing but the letters of indices follows in this clause, behind a formula.
    fn is_sum_behind(&self) -> bool {
        let is_behind =
            self.has_operand() || (self.elements.is_empty() && !self.found.clauses.is_empty());
        is_behind && !self.expects_operand() && !self.summed_letters().0.is_empty()
    }

    /// The letters of indices from here to the end of the clause, and where they end; none if anything else follows.
    fn summed_letters(&self) -> (Vec<Lexeme>, usize) {
        let (mut letters, mut at) = (Vec::new(), self.at);
        loop {
            match self.tokens.get(at).map(|lexeme| &lexeme.token) {
                Some(Token::Inline) => at += 1,
                Some(Token::Mark(",")) if self.is_index(at + 1) => at += 1,
                Some(Token::Name(name)) if name == "and" => at += 1,
                Some(Token::Word(word))
                    if matches!(
                        word.as_str(),
                        "the" | "all" | "repeated" | "index" | "indices" | "and" | "dummy"
                    ) =>
                {
                    at += 1;
                }
                Some(Token::Name(_)) if self.is_index(at) => {
                    letters.push(self.tokens[at].clone());
                    at += 1;
                }
                None | Some(Token::Line | Token::Break | Token::Mark("," | "." | ";" | "quad")) => {
                    return (letters, at);
                }
                Some(_) => return (Vec::new(), self.at),
            }
        }
    }

    /// Whether a letter that may be an index stands at a token.
    fn is_index(&self, at: usize) -> bool {
        matches!(self.tokens.get(at).map(|lexeme| &lexeme.token), Some(Token::Name(name))
            if name.len() == 1 && name.starts_with(|c: char| c.is_ascii_lowercase())
                && !matches!(name.as_str(), "x" | "y" | "z" | "h" | "f" | "b" | "m" | "u"))
    }

    /// "summed over q" behind a formula, and a sum over every repeated index: Σ goes in front of its last side.
    fn summed(&mut self, text: &str, span: Span, repeated: bool) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood(text, span));
        }
        let (mut letters, end) = self.summed_letters();
        let begin = self.at;
        if !letters.is_empty() {
            self.at = end;
            self.balance_inline(begin);
        }
        if self.has_operand() {
            self.end(false)?;
        }
        let Some(clause) = self.found.clauses.last_mut() else {
            return Err(not_understood(text, span));
        };
        let start = last_relation(&clause.tokens).map_or(0, |at| at + 1);
        let side = clause.tokens.split_off(start);
        if letters.is_empty() && repeated {
            letters = repeated_indices(&side, &self.context.scope.free);
        }
        // A sum that is written out is only described.
        letters.retain(|letter| !has_sum_over(&side, letter));
        let names: Vec<&str> = letters
            .iter()
            .filter_map(|letter| match &letter.token {
                Token::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if !names.is_empty() {
            let note = format!("It was read as the sum over {}.", names.join(", "));
            self.found.notes.push(note);
        }
        for letter in &letters {
            clause.tokens.extend([
                Lexeme::new(Token::Name("sum".to_owned()), span),
                mark("_", span),
                mark("{", span),
                letter.clone(),
                mark("}", span),
            ]);
        }
        if letters.is_empty() {
            clause.tokens.extend(side);
        } else {
            clause.tokens.extend(wrapped(side, span));
        }
        self.state.described = true;
        self.state.introduced = true;
        Ok(())
    }

    /// Where the range of indices ends that begins at a token and fills a clause: `j = 1, 2, 3`, `i, j = 1, \dots, n`,
    /// `q \in \{1, 2\}`, `1 \le j \le 3`.
    fn range_end(&self, at: usize) -> Option<usize> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        let blanks = |mut at: usize| {
            while matches!(token(at), Some(Token::Inline)) {
                at += 1;
            }
            at
        };
        // A bound: a number, m, or a size with a layer.
        let bound = |at: usize| match token(at)? {
            Token::Number(_) => Some(at + 1),
            Token::Name(name) if name == "dots" || name == "m" => Some(at + 1),
            Token::Name(name) if name == "n" => match token(at + 1)? {
                Token::Mark("_" | "^") => Some(group_end(self.tokens, at + 2)),
                _ => None,
            },
            _ => None,
        };
        let mut at = blanks(at);
        let is_below = |at: usize| matches!(token(at), Some(Token::Mark("<=" | "<")));
        if let Some(next) = bound(at).filter(|&next| is_below(next)) {
            if !self.is_index(next + 1) || !is_below(next + 2) {
                return None;
            }
            at = bound(next + 3)?;
        } else {
            loop {
                if !self.is_index(at) {
                    return None;
                }
                at = blanks(at + 1);
                let is_comma = matches!(token(at), Some(Token::Mark(",")))
                    || matches!(token(at), Some(Token::Name(name)) if name == "and")
                    || matches!(token(at), Some(Token::Word(word)) if word == "and");
                if !is_comma {
                    break;
                }
                at = blanks(at + 1);
            }
            match token(at)? {
                Token::Mark("=") => {
                    let mut count = 1;
                    at = bound(at + 1)?;
                    loop {
                        let next = match token(at) {
                            Some(Token::Mark(",")) => bound(at + 1),
                            Some(Token::Name(name)) if name == "dots" => Some(at + 1),
                            Some(Token::Number(_)) => bound(at),
                            Some(Token::Word(word)) if word == "to" => bound(at + 1),
                            _ => None,
                        };
                        let Some(next) = next else { break };
                        at = next;
                        count += 1;
                    }
                    // `j = 1` alone is another statement.
                    if count < 2 {
                        return None;
                    }
                }
                Token::Name(name) if name == "in" => {
                    if !matches!(token(at + 1), Some(Token::Mark("\\{" | "{" | "["))) {
                        return None;
                    }
                    at = group_end(self.tokens, at + 1);
                }
                _ => return None,
            }
        }
        let at = blanks(at);
        let ends = match token(at) {
            None | Some(Token::Line | Token::Break | Token::Word(_)) => true,
            Some(Token::Mark(mark)) => matches!(*mark, "," | "." | ";" | "quad"),
            Some(Token::Name(name)) => name == "and",
            Some(_) => false,
        };
        ends.then_some(at)
    }

    /// Whether "times" or another operator in words follows, behind "then" at most: what stands before the comma is its
    /// operand.
    fn operator_follows(&self) -> bool {
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

    /// Makes one operand of what has been read of the last side, and passes by the words in front of the operator.
    fn group(&mut self) -> Result<(), FormulaError> {
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

    /// The end of "(we take 1)" at a token: the value that the author gives a derivative at its kink.
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
    fn point_end(&self, mut at: usize) -> Option<usize> {
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

    /// Whether an operator in front waits for its operand.
    fn expects_operand(&self) -> bool {
        matches!(
            self.elements.last(),
            Some(Element::Infix(..) | Element::Prefix(..))
        )
    }

    fn filler(&mut self, is_noun: bool, text: &str, span: Span) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return if is_noun {
                Ok(())
            } else {
                Err(self
                    .open_operator()
                    .unwrap_or_else(|| not_understood(text, span)))
            };
        }
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
        if is_noun && !self.operand_follows(self.at) {
            let number = |digits: &str| vec![Lexeme::new(Token::Number(digits.to_owned()), span)];
            let begin = self.at - text.split(' ').count();
            match text {
                "row vector" => self.note_shape(begin, number("1"), Vec::new(), span),
                "column vector" => self.note_shape(begin, Vec::new(), number("1"), span),
                "scalar" => self.note_shape(begin, number("1"), number("1"), span),
                _ => {}
            }
        }
        if self.has_operand() {
            // "… is the error", "the mask M of …": the words describe what stands before them.
            self.state.described = true;
            if !is_noun {
                self.end(false)?;
            }
        }
        self.state.introduced = true;
        Ok(())
    }

    /// The error for the operator in words that has no operand.
    fn open_operator(&self) -> Option<FormulaError> {
        match self.elements.last()? {
            Element::Prefix(_, span, text) => Some(not_understood(text, *span)),
            Element::Infix(_, span) => {
                let written = self.context.text.get(span.start..span.end)?;
                Some(not_understood(written, *span))
            }
            _ => None,
        }
    }

    /// "elementwise": only in front of a formula that says so itself, or in the description of a symbol.
    fn adverb(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
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

    /// Whether the clause so far is a lone operator or a bare symbol, so that words can describe it.
    fn is_description(&self) -> bool {
        match &self.elements[..] {
            [] => true,
            [Element::Run(tokens, _)] => tokens.len() <= 4 && relation(tokens).is_none(),
            _ => false,
        }
    }

    fn define(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
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

    /// Whether the next formula is a comparison and no equation.
    fn condition_follows(&self) -> bool {
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

    fn is(&mut self, span: Span) -> Result<(), FormulaError> {
        if self.elements.is_empty() || (self.state.mention && self.is_description()) {
            self.end(false)?;
            self.state.marked = true;
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

    /// Whether a formula follows before the clause ends, behind articles and nouns at most.
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

    fn and(&mut self, span: Span) -> Result<(), FormulaError> {
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

    fn r#for(&mut self, begin: usize, span: Span) -> Result<(), FormulaError> {
        // "0 for negative x".
        let words = self.words();
        let sign = words::phrase_as(&words, |class| {
            matches!(class, Class::Postfix(Postfix::Sign(_)))
        });
        if let (Some((Class::Postfix(Postfix::Sign(mark)), taken)), true) =
            (sign, self.has_operand())
        {
            self.elements.push(Element::If(span));
            self.at += taken;
            let start = self.at;
            while matches!(self.peek(), Some(Token::Inline)) {
                self.at += 1;
            }
            if self.peek().is_none() || self.word_at(self.at).is_some() {
                self.at = start;
                return Err(not_understood("for", span));
            }
            self.formula()?;
            self.elements
                .push(Element::Postfix(Postfix::Sign(mark), span));
            return Ok(());
        }
        if self.indices_follow() {
            return self.for_all(span, true);
        }
        if self.has_operand() && self.condition_follows() {
            self.elements.push(Element::If(span));
            return Ok(());
        }
        if self.expects_operand() {
            return Err(not_understood("for", self.tokens[begin].span));
        }
        self.end(false)?;
        self.state.mention = true;
        self.state.introduced = true;
        Ok(())
    }

    /// Whether an index and perhaps its range follow: `j`, `i, j`, `j = 1, 2, 3`, `q \in \{1, 2\}`.
    fn indices_follow(&self) -> bool {
        let mut at = self.at;
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        self.is_index(at)
    }

    /// Skips indices and their ranges.
    #[allow(
        clippy::too_many_lines,
        reason = "the forms of one phrase, side by side"
    )]
    fn for_all(&mut self, span: Span, is_for: bool) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood("for", span));
        }
        let begin = self.at;
        let mut depth = 0_usize;
        let mut comma = None;
        while let Some(lexeme) = self.tokens.get(self.at) {
            let skip = match &lexeme.token {
                Token::Inline => true,
                Token::Mark("{" | "\\{" | "(" | "[") => {
                    depth += 1;
                    true
                }
                Token::Mark("}" | "\\}" | ")" | "]") => {
                    depth = depth.saturating_sub(1);
                    true
                }
                Token::Mark(",") => {
                    comma = comma.or(Some(self.at)).filter(|_| depth == 0);
                    true
                }
                Token::Mark(":") if depth == 0 => false,
                Token::Mark("=" | "_" | "^" | "<=" | "<" | ":" | "-") | Token::Number(_) => true,
                Token::Name(name) => {
                    name == "dots"
                        || name == "in"
                        || name == "and"
                        || name == "to"
                        || (name.len() == 1
                            && (name.starts_with(|c: char| c.is_ascii_lowercase()) || name == "L"))
                }
                Token::Word(word) => matches!(
                    word.as_str(),
                    "in" | "from"
                        | "to"
                        | "and"
                        | "each"
                        | "all"
                        | "of"
                        | "the"
                        | "layer"
                        | "hidden"
                        | "units"
                        | "unit"
                        | "every"
                        | "any"
                        | "fixed"
                        | "index"
                        | "indices"
                        | "samples"
                        | "sample"
                        | "batch"
                        | "entries"
                        | "entry"
                        | "weights"
                        | "weight"
                        | "over"
                        | "layers"
                        | "columns"
                        | "rows"
                        | "values"
                        | "outputs"
                        | "inputs"
                        | "that"
                        | "neurons"
                        | "element"
                        | "elements"
                ),
                _ => false,
            };
            if !skip {
                break;
            }
            self.at += 1;
        }
        // A formula that only began like an index is no range.
        let next_is_end = matches!(
            self.peek(),
            None | Some(
                Token::Line
                    | Token::Break
                    | Token::Mark("." | ";" | ":" | "quad")
                    | Token::Word(_)
                    | Token::Name(_)
            )
        );
        let rest = &self.tokens[begin..self.at];
        let of_samples = rest.iter().find_map(|lexeme| match &lexeme.token {
            Token::Word(word) if matches!(word.as_str(), "sample" | "samples" | "batch") => {
                Some(not_understood(word, lexeme.span))
            }
            _ => None,
        });
        let has_letter = rest
            .iter()
            .any(|lexeme| matches!(&lexeme.token, Token::Name(name) if name.len() == 1));
        if let Some(error) = of_samples.filter(|_| is_for && !has_letter) {
            return Err(error);
        }
        if let Some(letter) = self.single_index(rest) {
            let message = format!(
                "The word “for” was not understood: this says that it holds for one {letter} only; write the formula for every {letter}."
            );
            return Err(syntax(span, message));
        }
        if !next_is_end
            || matches!(self.peek(), Some(Token::Name(name)) if word_of_name(name).is_none())
        {
            match comma {
                Some(comma) => self.at = comma,
                None => {
                    let span = span_of(rest);
                    return Err(syntax(
                        Span {
                            start: span.start,
                            end: span.end.max(span.start),
                        },
                        "Found a formula behind “for”; expected indices such as i, j = 1, 2, 3.",
                    ));
                }
            }
        }
        self.balance_inline(begin);
        self.state.described = true;
        Ok(())
    }

    /// The letter of `j = 1`, which is no range; the letter of a layer may have one value.
    fn single_index<'t>(&self, tokens: &'t [Lexeme]) -> Option<&'t str> {
        let mut bare = tokens.iter().filter(|lexeme| lexeme.token != Token::Inline);
        let first_four = [bare.next(), bare.next(), bare.next(), bare.next()];
        match first_four.map(|lexeme| lexeme.map(|lexeme| &lexeme.token)) {
            [
                Some(Token::Name(letter)),
                Some(Token::Mark("=")),
                Some(Token::Number(_)),
                None | Some(Token::Mark(":")),
            ] if self.context.scope.layer_of(letter).is_none() => Some(letter.as_str()),
            _ => None,
        }
    }

    /// Keeps track of the `$` among tokens that were skipped.
    fn balance_inline(&mut self, begin: usize) {
        let marks = self.tokens[begin..self.at]
            .iter()
            .filter(|lexeme| lexeme.token == Token::Inline)
            .count();
        self.in_formula ^= marks % 2 == 1;
    }

    /// "layer 2", "part 1.3", "equation (3)": the number belongs to the name.
    fn label(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
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

    fn undefined(&mut self, span: Span) -> Result<(), FormulaError> {
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

    // ----- shapes -----

    /// The shape at a token: its rows, its columns, and where it ends.
    fn dimensions(&self, at: usize) -> Option<(Vec<Lexeme>, Vec<Lexeme>, usize)> {
        dimensions(self.tokens, at, self.context.text)
    }

    fn is_shape_at(&self, at: usize) -> bool {
        self.dimensions(at).is_some()
    }

    /// A shape behind words that announce it.
    fn shape(&mut self, text: &str, span: Span) -> Result<(), FormulaError> {
        if self.expects_operand() {
            return Err(not_understood(text, span));
        }
        let begin = self.at;
        while matches!(self.peek(), Some(Token::Mark(":" | "=")))
            || matches!(
                words::phrase_as(&self.words(), |class| matches!(
                    class,
                    Class::Is | Class::Noun
                )),
                Some((_, 1))
            )
        {
            self.at += 1;
        }
        if self.take_dimensions() {
            return Ok(());
        }
        self.at = begin;
        self.state.described = true;
        Ok(())
    }

    /// Notes the shape here, if there is one.
    fn take_dimensions(&mut self) -> bool {
        let Some((rows, columns, end)) = self.dimensions(self.at) else {
            return false;
        };
        let span = span_of(&self.tokens[self.at..end]);
        let begin = self.at;
        self.at = end;
        self.balance_inline(begin);
        if !self.operand_follows(end) {
            self.note_shape(begin, rows, columns, span);
        }
        self.state.described = true;
        true
    }

    /// Notes a shape that begins at a token, if it is clear what it describes: the formula in front of it, with no words
    /// between them that could name another quantity.
    fn note_shape(&mut self, begin: usize, rows: Vec<Lexeme>, columns: Vec<Lexeme>, span: Span) {
        if !self.describes_the_formula_before(begin) {
            return;
        }
        let (clause, operand) = match &self.elements[..] {
            [] if self.state.mention => return,
            [] => match self.found.clauses.len().checked_sub(1) {
                Some(last) => (last, None),
                None => return,
            },
            [Element::Run(..)] | [.., Element::Equals(_), Element::Run(..)] => {
                (self.found.clauses.len(), None)
            }
            [.., Element::Run(tokens, _)] => (self.found.clauses.len(), Some(tokens.clone())),
            _ => return,
        };
        self.found.shapes.push(StatedShape {
            rows,
            columns,
            span,
            clause,
            operand,
            elements: self.elements.len(),
        });
    }

    /// Whether only words about a shape stand between a formula and the token at `begin`.
    fn describes_the_formula_before(&self, begin: usize) -> bool {
        const SHAPE_WORDS: &[&str] = &[
            "a",
            "an",
            "the",
            "is",
            "this",
            "it",
            "its",
            "which",
            "that",
            "has",
            "of",
            "with",
            "shape",
            "size",
            "dimension",
            "dimensions",
            "and",
            "so",
            "thus",
            "hence",
            "also",
            "again",
            "result",
            "answer",
            "gradient",
            "being",
            "whose",
            "to",
            "be",
            "should",
            "must",
            "will",
            "in",
            "total",
            "final",
            "row",
            "column",
            "vector",
            "matrix",
            "real",
        ];
        let mut before = self.tokens[..begin].iter().enumerate().rev();
        let stop = before.find(|(at, lexeme)| {
            let is_open = matches!(
                lexeme.token,
                Token::Inline | Token::Mark("(" | "[" | ":" | "{")
            );
            let is_about_shape =
                (self.word_at(*at)).is_some_and(|word| SHAPE_WORDS.contains(&word));
            !is_open && !is_about_shape
        });
        stop.is_some_and(|(at, lexeme)| {
            self.word_at(at).is_none() && !matches!(lexeme.token, Token::Word(_))
        })
    }

    /// Whether the words here name a formula behind them, as in "the row vector h".
    fn operand_follows(&self, mut at: usize) -> bool {
        while let Some(lexeme) = self.tokens.get(at) {
            match &lexeme.token {
                Token::Inline => at += 1,
                Token::Line | Token::Break => return false,
                Token::Mark("." | "," | ";" | ":" | "=" | "quad" | ")" | "]" | "}") => {
                    return false;
                }
                _ if self.word_at(at).is_some() => {
                    match words::phrase(&words_at(self.tokens, at, self.context)) {
                        Some((Class::Noun, taken)) => at += taken,
                        Some((Class::Filler | Class::Postfix(_) | Class::Infix(_), _)) => {
                            return true;
                        }
                        _ => return false,
                    }
                }
                _ => return true,
            }
        }
        false
    }

    /// `\in \mathbb{R}^{2 \times 3}` behind a formula.
    fn member(&mut self) -> Result<bool, FormulaError> {
        let token = |at: usize| self.tokens.get(at).map(|lexeme| &lexeme.token);
        if !matches!(token(self.at), Some(Token::Name(name)) if name == "in") {
            return Ok(false);
        }
        let begin = self.at;
        let mut at = self.at + 1;
        let braces = matches!(token(at), Some(Token::Mark("{")));
        at += usize::from(braces);
        if !matches!(token(at), Some(Token::Name(name)) if name == "R") {
            return Ok(false);
        }
        at += 1;
        if braces {
            if !matches!(token(at), Some(Token::Mark("}"))) {
                return Ok(false);
            }
            at += 1;
        }
        self.at = at;
        if matches!(token(at), Some(Token::Mark("^"))) {
            self.at += 1;
            if !self.take_dimensions() {
                // R^3, R^n: no matrix.
                let end = group_end(self.tokens, self.at);
                self.at = end;
            }
        } else {
            let span = span_of(&self.tokens[begin..at]);
            let one = || vec![Lexeme::new(Token::Number("1".to_owned()), span)];
            self.note_shape(begin, one(), one(), span);
        }
        self.balance_inline(begin);
        self.state.described = true;
        Ok(true)
    }

    // ----- formulas -----

    fn formula(&mut self) -> Result<(), FormulaError> {
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

    /// Whether a side ends at a token.
    fn is_end(&self, mut at: usize) -> bool {
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        match self.tokens.get(at).map(|lexeme| &lexeme.token) {
            None
            | Some(Token::Break | Token::Line | Token::Mark("." | "," | ";" | "=" | "quad")) => {
                true
            }
            Some(_) => self.word_at(at).is_some(),
        }
    }

    /// "row vector", "matrix", "row" … behind a shape.
    fn is_shape_noun(&self, mut at: usize) -> bool {
        while matches!(
            self.tokens.get(at).map(|lexeme| &lexeme.token),
            Some(Token::Inline)
        ) {
            at += 1;
        }
        matches!(
            self.word_at(at),
            Some("row" | "column" | "matrix" | "vector" | "matrices" | "scalar")
        )
    }

    fn colon(&mut self, span: Span) -> Result<(), FormulaError> {
        self.at += 1;
        if self.state.mention && self.is_description() {
            self.end(false)?;
            self.state.marked = true;
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

    // ----- where clauses end -----

    /// Whether a value and its condition have been read, and another case follows.
    fn is_in_conditional(&self) -> bool {
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

    fn begins_with_condition(&self) -> bool {
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

    /// Whether "otherwise", or another condition, follows in this sentence; behind a leading condition its value.
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

    /// Whether the text goes on with the clause before: with an operator or a relation.
    fn continues(&self) -> bool {
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

    /// `⇒` in front of an equation of its own.
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

    fn ends_at_line(&self) -> bool {
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
    fn is_doubtful(&self, _line: Span) -> bool {
        let next = self.tokens.get(self.at).map(|lexeme| &lexeme.token);
        let begins = matches!(
            next,
            Some(Token::Number(_) | Token::Name(_) | Token::Begin(_) | Token::Inline)
        ) || matches!(next, Some(Token::Mark("(" | "[" | "{" | "\\{" | "⟨")));
        begins && self.has_operand() && !self.ends_open() && self.word_at(self.at).is_none()
    }

    /// Whether a wide space separates two formulas, and no factors.
    fn is_new_after_space(&self) -> bool {
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

    /// Ends the clause.
    fn end(&mut self, strong: bool) -> Result<(), FormulaError> {
        if let Some(error) = self.open_operator() {
            return Err(error);
        }
        let elements = std::mem::take(&mut self.elements);
        let state = std::mem::take(&mut self.state);
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
            self.state.introduced = state.introduced && !strong;
            self.state.restates = state.restates && !strong;
        }
        if strong {
            self.reason = false;
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

/// `2 × 3`, `m \times n_2`, `1 by 2` at a token: its rows, its columns, and where it ends.
fn dimensions(
    tokens: &[Lexeme],
    mut at: usize,
    text: &str,
) -> Option<(Vec<Lexeme>, Vec<Lexeme>, usize)> {
    let token = |at: usize| tokens.get(at).map(|lexeme| &lexeme.token);
    let mut open = 0_usize;
    while let Some(Token::Inline | Token::Mark("(" | "[" | "{")) = token(at) {
        open += usize::from(!matches!(token(at), Some(Token::Inline)));
        at += 1;
    }
    let one = |mut at: usize| {
        let start = at;
        while matches!(token(at), Some(Token::Inline)) {
            at += 1;
        }
        match token(at)? {
            Token::Number(_) => {}
            Token::Name(name) if matches!(name.as_str(), "m" | "n") => {}
            _ => return None,
        }
        at += 1;
        if matches!(token(at), Some(Token::Mark("_" | "^"))) {
            at += 1;
            let is_braced = matches!(token(at), Some(Token::Mark("{")));
            at += usize::from(is_braced);
            if !matches!(token(at)?, Token::Number(_)) {
                return None;
            }
            at += 1;
            if is_braced && !matches!(token(at)?, Token::Mark("}")) {
                return None;
            }
            at += usize::from(is_braced);
        }
        let own = tokens[start..at]
            .iter()
            .filter(|lexeme| lexeme.token != Token::Inline);
        Some((own.cloned().collect::<Vec<_>>(), at))
    };
    let (rows, mut at) = one(at)?;
    while matches!(token(at), Some(Token::Inline)) {
        at += 1;
    }
    let between = tokens.get(at)?;
    let written = text.get(between.span.start..between.span.end)?;
    let is_times =
        matches!(written, "×" | "x" | "X" | "\\times" | "*" | "by") || (open > 0 && written == ",");
    if !is_times {
        return None;
    }
    let (columns, mut at) = one(at + 1)?;
    while open > 0 {
        match token(at)? {
            Token::Mark(")" | "]" | "}") => open -= 1,
            Token::Inline => {}
            _ => return None,
        }
        at += 1;
    }
    Some((rows, columns, at))
}

/// `⊙`, `\top`, `\mathbb{1}`, `\mathbb{1}[·]` by itself, which words describe.
fn is_bare_operator(tokens: &[Lexeme]) -> bool {
    match tokens {
        [one] => match &one.token {
            Token::Mark(_) => true,
            Token::Name(name) => matches!(
                name.as_str(),
                "top" | "indicator" | "T" | "sigma" | "relu" | "diag"
            ),
            _ => false,
        },
        [first, rest @ ..] => {
            let is_function = matches!(&first.token, Token::Name(name) if matches!(name.as_str(), "indicator" | "sigma" | "relu" | "diag" | "I" | "H"));
            is_function
                && rest.iter().all(|lexeme| {
                    matches!(
                        &lexeme.token,
                        Token::Mark(
                            "(" | ")"
                                | "["
                                | "]"
                                | "{"
                                | "}"
                                | "\\{"
                                | "\\}"
                                | "·"
                                | "'"
                                | "."
                                | "_"
                        )
                    ) || matches!(&lexeme.token, Token::Name(name) if name == "dots")
                })
        }
        [] => false,
    }
}

/// Whether a token is a dot with blanks around it, between two factors.
pub(super) fn is_spaced_dot(tokens: &[Lexeme], at: usize) -> bool {
    let (Some(before), Some(dot), Some(behind)) = (
        at.checked_sub(1).and_then(|at| tokens.get(at)),
        tokens.get(at),
        tokens.get(at + 1),
    ) else {
        return false;
    };
    let is_factor = |token: &Token| {
        matches!(token, Token::Number(_) | Token::Name(_))
            || matches!(
                token,
                Token::Mark("(" | ")" | "[" | "]" | "{" | "}" | "'" | ".T")
            )
    };
    dot.token == Token::Mark(".")
        && before.span.end < dot.span.start
        && dot.span.end < behind.span.start
        && is_factor(&before.token)
        && is_factor(&behind.token)
}

/// The index behind the group or token at `at`.
fn group_end(tokens: &[Lexeme], at: usize) -> usize {
    let mut depth = 0_usize;
    for (here, lexeme) in tokens.iter().enumerate().skip(at) {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return here + 1;
        }
    }
    tokens.len()
}

/// OwnNames of the lexer that are also words.
fn word_of_name(name: &str) -> Option<&str> {
    matches!(
        name,
        "sum"
            | "where"
            | "for"
            | "if"
            | "and"
            | "else"
            | "otherwise"
            | "transpose"
            | "outer"
            | "dot"
            | "step"
            | "loss"
            | "relu"
            | "heaviside"
            | "indicator"
            | "multiply"
            | "matmul"
            | "sign"
            | "max"
            | "min"
            | "maximum"
            | "minimum"
            | "true"
            | "when"
            | "then"
    )
    .then_some(name)
}

pub(super) fn word_at<'t>(
    tokens: &'t [Lexeme],
    at: usize,
    context: &Context<'_>,
) -> Option<&'t str> {
    let lexeme = tokens.get(at)?;
    match &lexeme.token {
        Token::Word(word) => Some(word),
        Token::Name(name) => {
            let word = word_of_name(name)?;
            let next = tokens.get(at + 1).map(|lexeme| &lexeme.token);
            let is_applied = matches!(
                next,
                Some(Token::Mark(
                    "(" | "_" | "^" | "'" | "[" | "{" | "\\{" | ".T"
                ))
            );
            let always = matches!(
                word,
                "if" | "and" | "else" | "otherwise" | "for" | "when" | "then"
            );
            let written = context
                .text
                .get(lexeme.span.start..lexeme.span.end)
                .unwrap_or("");
            // `\mathrm{if}` is a word; `\max` and `\mathbf{1}` are none.
            let is_command = written.starts_with('\\')
                && !(written.contains('{') && written.to_ascii_lowercase().contains(word));
            let is_sign = !written.starts_with(|c: char| c.is_ascii());
            // `HeavisideTheta` is a function of that name.
            let is_other = !written.contains('{') && !written.eq_ignore_ascii_case(word);
            if is_other {
                return None;
            }
            ((always || !is_applied) && !is_command && !is_sign).then_some(word)
        }
        _ => None,
    }
}

/// The longest phrase, in words.
const LONGEST_PHRASE: usize = 7;

fn words_at<'t>(tokens: &'t [Lexeme], at: usize, context: &Context<'_>) -> Vec<&'t str> {
    (at..at + LONGEST_PHRASE)
        .map_while(|at| word_at(tokens, at, context))
        .collect()
}

// ----- words inside brackets -----

/// The tokens with commas for the parentheses around remarks, such as "(by the chain rule)" and "(since m = 1)".
fn opened_remarks(mut tokens: Vec<Lexeme>, context: &Context<'_>) -> Vec<Lexeme> {
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

/// Whether a bracket's content begins with words that only introduce, or is words without a meaning throughout.
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

/// The tokens with every word inside brackets understood or refused.
fn without_inner_words(
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
        out.extend(inner_words(inner, context, is_cases, is_script)?);
        if is_closed {
            out.push(tokens[end - 1].clone());
        }
        at = end;
    }
    Ok(out)
}

/// The content of a pair of brackets, cut where it is a list.
#[allow(
    clippy::too_many_lines,
    reason = "one pass over the tokens, an arm for each kind"
)]
fn inner_words(
    tokens: Vec<Lexeme>,
    context: &Context<'_>,
    is_cases: bool,
    is_script: bool,
) -> Result<Vec<Lexeme>, FormulaError> {
    let mut depth = 0_usize;
    let has_words = tokens.iter().any(|lexeme| {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && matches!(lexeme.token, Token::Word(_))
    });
    if !has_words {
        return Ok(tokens);
    }
    let mut out = Vec::with_capacity(tokens.len());
    let mut elements: Vec<Element> = Vec::new();
    let mut at = 0;
    while let Some(lexeme) = tokens.get(at) {
        let span = lexeme.span;
        match &lexeme.token {
            Token::Mark("," | ";" | "&" | "\\\\" | "quad" | "|") | Token::Line => {
                flush(&mut elements, &mut out, context)?;
                out.push(lexeme.clone());
                at += 1;
            }
            _ if word_at(&tokens, at, context).is_some() => {
                let words = words_at(&tokens, at, context);
                let behind = matches!(
                    elements.last(),
                    Some(Element::Run(..) | Element::Postfix(..))
                );
                let fits = |class: Class| match class {
                    Class::Infix(_) | Class::Postfix(_) => behind,
                    Class::Prefix(_) | Class::Number(_) => !behind,
                    _ => false,
                };
                let plain = words::phrase(&words);
                let here = words::phrase_as(&words, fits);
                let found = match (here, plain) {
                    (Some(here), Some(plain)) if here.1 >= plain.1 => Some(here),
                    (_, plain) => plain,
                };
                let text = |taken: usize| words[..taken].join(" ");
                let Some((class, taken)) = found else {
                    return Err(not_understood(
                        words.first().copied().unwrap_or_default(),
                        span,
                    ));
                };
                match class {
                    Class::Filler | Class::Noun | Class::Mark
                        if !behind || is_last(&tokens, at + taken) || is_script => {}
                    Class::If | Class::For if is_cases => {
                        flush(&mut elements, &mut out, context)?;
                        out.push(Lexeme::new(Token::Name("if".to_owned()), span));
                    }
                    Class::Define if is_cases && words.first() == Some(&"where") => {
                        flush(&mut elements, &mut out, context)?;
                        out.push(Lexeme::new(Token::Name("if".to_owned()), span));
                    }
                    Class::Otherwise if is_cases => {
                        flush(&mut elements, &mut out, context)?;
                        out.push(Lexeme::new(Token::Name("otherwise".to_owned()), span));
                    }
                    Class::If => elements.push(Element::If(span)),
                    Class::Otherwise => elements.push(Element::Otherwise(span)),
                    Class::Then => elements.push(Element::Then(span)),
                    Class::And => elements.push(Element::And(span)),
                    Class::Is if behind => elements.push(Element::Equals(span)),
                    Class::Number(digits) => elements.push(Element::Run(
                        vec![Lexeme::new(Token::Number(digits.to_owned()), span)],
                        false,
                    )),
                    Class::Infix(mark) if behind => elements.push(Element::Infix(mark, span)),
                    Class::Prefix(prefix) if !behind => {
                        elements.push(Element::Prefix(prefix, span, text(taken)));
                    }
                    Class::Postfix(postfix) if behind => {
                        elements.push(Element::Postfix(postfix, span));
                    }
                    _ => return Err(not_understood(&text(taken), span)),
                }
                at += taken;
            }
            Token::Inline | Token::Break => at += 1,
            token => {
                let end = if opens(token) {
                    group_end(&tokens, at)
                } else {
                    at + 1
                };
                let piece = tokens[at..end].to_vec();
                if let Some(Element::Run(before, _)) = elements.last_mut() {
                    before.extend(piece);
                } else {
                    elements.push(Element::Run(piece, false));
                }
                at = end;
            }
        }
    }
    flush(&mut elements, &mut out, context)?;
    Ok(out)
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

fn flush(
    elements: &mut Vec<Element>,
    out: &mut Vec<Lexeme>,
    context: &Context<'_>,
) -> Result<(), FormulaError> {
    let elements = std::mem::take(elements);
    if elements.is_empty() {
        return Ok(());
    }
    for clause in clauses(elements, context)? {
        out.extend(clause.tokens);
    }
    Ok(())
}

// ----- elements to tokens -----

/// The tokens of the elements, with operators for words.
fn clauses(elements: Vec<Element>, context: &Context<'_>) -> Result<Vec<Clause>, FormulaError> {
    let is_plain = elements
        .iter()
        .all(|element| matches!(element, Element::Run(..) | Element::Equals(_)));
    if is_plain {
        let mut tokens = Vec::new();
        for element in elements {
            match element {
                Element::Run(run, _) => tokens.extend(run),
                Element::Equals(span) => tokens.push(Lexeme::new(Token::Mark("="), span)),
                _ => {}
            }
        }
        return Ok(vec![Clause {
            tokens,
            ..Clause::default()
        }]);
    }
    // Relations inside a run are relations of the clause.
    let mut split = Vec::with_capacity(elements.len());
    let mut conditional = false;
    for element in elements {
        conditional |= matches!(element, Element::If(_));
        match element {
            Element::Run(tokens, grouped) if !conditional => {
                let mut rest = tokens;
                while let Some(at) = relation(&rest) {
                    let behind = rest.split_off(at + 1);
                    let equals = rest.pop();
                    if !rest.is_empty() {
                        split.push(Element::Run(rest, grouped));
                    }
                    if let Some(equals) = equals {
                        split.push(Element::Equals(equals.span));
                    }
                    rest = behind;
                }
                if !rest.is_empty() {
                    split.push(Element::Run(rest, grouped));
                }
            }
            other => split.push(other),
        }
    }
    let mut tokens = Vec::new();
    let mut side = Vec::new();
    let mut in_condition = false;
    for element in split {
        in_condition |= matches!(element, Element::If(_));
        match element {
            Element::Equals(span) if !in_condition => {
                tokens.extend(side_tokens(std::mem::take(&mut side), context)?);
                tokens.push(Lexeme::new(Token::Mark("="), span));
            }
            other => side.push(other),
        }
    }
    tokens.extend(side_tokens(side, context)?);
    Ok(vec![Clause {
        tokens,
        restates: true,
        ..Clause::default()
    }])
}

fn side_tokens(elements: Vec<Element>, context: &Context<'_>) -> Result<Vec<Lexeme>, FormulaError> {
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let has_condition = elements
        .iter()
        .any(|element| matches!(element, Element::If(_) | Element::Otherwise(_)));
    if has_condition {
        return conditional(elements, context);
    }
    let elements: Vec<Element> = elements
        .into_iter()
        .filter(|element| !matches!(element, Element::Separator(_) | Element::Then(_)))
        .collect();
    let mut builder = Builder {
        elements: elements.into_iter().peekable(),
        context,
    };
    builder.expression()
}

fn mark(mark: &'static str, span: Span) -> Lexeme {
    Lexeme::new(Token::Mark(mark), span)
}

/// `a if c, b otherwise`; `if c then a else b`; `a if c and b if d`.
#[allow(
    clippy::too_many_lines,
    reason = "the orders of a value and its condition, side by side"
)]
fn conditional(elements: Vec<Element>, context: &Context<'_>) -> Result<Vec<Lexeme>, FormulaError> {
    let whole = Span {
        start: elements.first().map_or(0, |first| first.span().start),
        end: elements.last().map_or(0, |last| last.span().end),
    };
    let unread = || {
        syntax(
            whole,
            "These cases are not clear: write “a if c, b otherwise”, or \\begin{cases} … \\end{cases}.",
        )
    };
    // (value, condition) in the order of the text; a condition in front belongs to the value behind it.
    let first_if = elements
        .first()
        .is_some_and(|first| matches!(first, Element::If(_)));
    let mut parts: Vec<(Option<&'static str>, Vec<Element>)> = vec![(None, Vec::new())];
    for element in elements {
        match element {
            Element::If(_) => parts.push((Some("if"), Vec::new())),
            Element::Otherwise(_) => parts.push((Some("otherwise"), Vec::new())),
            Element::Then(_) | Element::Separator(_) => parts.push((Some("then"), Vec::new())),
            Element::And(_) => parts.push((Some("then"), Vec::new())),
            other => {
                if let Some(last) = parts.last_mut() {
                    last.1.push(other);
                }
            }
        }
    }
    let mut read = Vec::new();
    let mut keyword = None;
    for (word, part) in parts {
        // "and otherwise": the later word counts, and "if" or "otherwise" more than a comma.
        keyword = match (keyword, word) {
            (Some("otherwise"), Some("then")) => Some("otherwise"),
            (Some("if"), Some("then")) => Some("if"),
            (_, Some(word)) => Some(word),
            (before, None) => before,
        };
        if part.is_empty() {
            if word == Some("otherwise") {
                read.push(("otherwise", Vec::new()));
            }
            continue;
        }
        let mut builder = Builder {
            elements: part.into_iter().peekable(),
            context,
        };
        let tokens = builder.expression()?;
        match (keyword, read.last_mut()) {
            (Some("otherwise"), Some((last, empty)))
                if *last == "otherwise" && empty.is_empty() =>
            {
                *empty = tokens;
            }
            _ => read.push((keyword.unwrap_or("then"), tokens)),
        }
        keyword = None;
    }
    let spelled: Vec<(&str, bool)> = read
        .iter()
        .map(|(word, tokens)| (*word, tokens.is_empty()))
        .collect();
    let order: &[usize] = match spelled[..] {
        // a if c, b otherwise · a if c otherwise b · a if c, b
        [("then", _), ("if", _), ("then", false), ("otherwise", true)] => &[0, 1, 2],
        [("then", _), ("if", _), ("otherwise", false)] => &[0, 1, 2],
        // if c then a, otherwise b
        [("if", _), ("then", _), ("otherwise", false)] if first_if => &[1, 0, 2],
        [("if", _), ("then", _), ("then", false), ("otherwise", true)] if first_if => &[1, 0, 2],
        // a if c, b if d
        [("then", _), ("if", _), ("then", _), ("if", _)] => &[0, 1, 2, 3],
        [("if", _), ("then", _), ("if", _), ("then", _)] if first_if => &[1, 0, 3, 2],
        [("then", _), ("if", _)] | [("if", _), ("then", _)] => {
            return Err(syntax(
                whole,
                "Found a case without the other: add “and 0 otherwise”, or what it is otherwise.",
            ));
        }
        _ => return Err(unread()),
    };
    let mut parts: Vec<Vec<Lexeme>> = read.into_iter().map(|(_, tokens)| tokens).collect();
    let mut out = Vec::new();
    for (at, &part) in order.iter().enumerate() {
        match at {
            0 => {}
            2 => out.push(mark(",", whole)),
            _ => out.push(Lexeme::new(Token::Name("if".to_owned()), whole)),
        }
        let tokens = parts.get_mut(part).map(std::mem::take);
        out.extend(wrapped(tokens.unwrap_or_default(), whole));
    }
    if order.len() == 3 {
        out.push(Lexeme::new(Token::Name("otherwise".to_owned()), whole));
    }
    Ok(out)
}

fn wrapped(tokens: Vec<Lexeme>, span: Span) -> Vec<Lexeme> {
    let span = if tokens.is_empty() {
        span
    } else {
        span_of(&tokens)
    };
    let mut out = Vec::with_capacity(tokens.len() + 2);
    out.push(mark("(", span));
    out.extend(tokens);
    out.push(mark(")", span));
    out
}

struct Builder<'b> {
    elements: std::iter::Peekable<std::vec::IntoIter<Element>>,
    context: &'b Context<'b>,
}

impl Builder<'_> {
    /// Operands with operators between them.
    fn expression(&mut self) -> Result<Vec<Lexeme>, FormulaError> {
        let (mut out, _) = self.term(true)?;
        let mut infixes = 0;
        while let Some(element) = self.elements.next() {
            let span = element.span();
            match element {
                Element::Infix(infix, span) => {
                    infixes += 1;
                    out.push(mark(infix, span));
                    let (term, postfixed) = self.term(true)?;
                    if postfixed && !matches!(infix, ">" | ">=" | "<" | "<=") {
                        return Err(syntax(
                            span_of(&term),
                            "It is not clear what the last words apply to: put parentheses around it, as in (…)^T.",
                        ));
                    }
                    out.extend(term);
                }
                Element::Run(tokens, _) => {
                    // Two runs side by side are factors.
                    out.extend(tokens);
                    let _ = infixes;
                }
                Element::Equals(span) => out.push(mark("==", span)),
                _ => {
                    return Err(syntax(
                        span,
                        "The words between these formulas are not clear: write the whole as one formula.",
                    ));
                }
            }
        }
        Ok(out)
    }

    /// One operand with the words in front of it and behind it, and whether there are some behind it.
    fn term(&mut self, beside_operator: bool) -> Result<(Vec<Lexeme>, bool), FormulaError> {
        match self.elements.next() {
            Some(Element::Prefix(prefix, span, text)) => {
                let out = self.prefixed(prefix, span, &text)?;
                Ok((out, false))
            }
            Some(Element::Run(tokens, grouped)) => {
                let mut out = if grouped && beside_operator && has_sum(&tokens) {
                    wrapped(tokens, Span::default())
                } else if matches!(self.elements.peek(), Some(Element::Postfix(..))) {
                    self.operand(tokens, grouped)?
                } else {
                    tokens
                };
                let mut postfixed = false;
                while let Some(Element::Postfix(postfix, span)) = self
                    .elements
                    .next_if(|next| matches!(next, Element::Postfix(..)))
                {
                    postfixed = true;
                    match postfix {
                        Postfix::Transpose => out.push(mark(".T", span)),
                        Postfix::Square => {
                            out.push(mark("^", span));
                            out.push(Lexeme::new(Token::Number("2".to_owned()), span));
                        }
                        Postfix::Sign(sign) => {
                            out.push(mark(sign, span));
                            out.push(Lexeme::new(Token::Number("0".to_owned()), span));
                            out = wrapped(out, span);
                        }
                    }
                }
                Ok((out, postfixed))
            }
            Some(other) => Err(syntax(
                other.span(),
                "The words here are not clear: write the whole as one formula.",
            )),
            None => Err(syntax(
                Span::default(),
                "The answer ends in words; a formula was expected behind them.",
            )),
        }
    }

    /// A run as the operand of a word: as it is if it is one factor or in a pair of `$`.
    fn operand(&self, tokens: Vec<Lexeme>, grouped: bool) -> Result<Vec<Lexeme>, FormulaError> {
        let span = span_of(&tokens);
        if grouped || self.is_factor(&tokens) {
            return Ok(wrapped(tokens, span));
        }
        Err(syntax(
            span,
            "It is not clear how much of this formula the words apply to: put parentheses around it, or write the operator.",
        ))
    }

    fn is_factor(&self, tokens: &[Lexeme]) -> bool {
        let mut parser = Parser::with_names(tokens, self.context.scope, self.context.names);
        parser.factor().is_ok() && parser.peek().is_none()
    }

    fn next_operand(&mut self, span: Span, text: &str) -> Result<Vec<Lexeme>, FormulaError> {
        match self.elements.next() {
            Some(Element::Run(tokens, grouped)) => self.operand(tokens, grouped),
            Some(Element::Prefix(prefix, span, text)) => {
                let inner = self.prefixed(prefix, span, &text)?;
                Ok(wrapped(inner, span))
            }
            _ => Err(not_understood(text, span)),
        }
    }

    #[allow(clippy::too_many_lines, reason = "an arm for each prefix")]
    fn prefixed(
        &mut self,
        prefix: Prefix,
        span: Span,
        text: &str,
    ) -> Result<Vec<Lexeme>, FormulaError> {
        let number = |digits: &str| Lexeme::new(Token::Number(digits.to_owned()), span);
        match prefix {
            Prefix::Negative | Prefix::Half | Prefix::Twice => {
                let mut out = match prefix {
                    Prefix::Negative => vec![mark("-", span)],
                    Prefix::Half => vec![
                        mark("(", span),
                        number("1"),
                        mark("/", span),
                        number("2"),
                        mark(")", span),
                        mark("·", span),
                    ],
                    _ => vec![number("2"), mark("·", span)],
                };
                // The scale of a product is the scale of its first factor.
                match self.elements.next() {
                    Some(Element::Run(tokens, grouped)) => {
                        if !has_sum(&tokens) {
                            out.extend(tokens);
                        } else if grouped {
                            out.extend(wrapped(tokens, span));
                        } else {
                            out.extend(self.operand(tokens, false)?);
                        }
                        if matches!(self.elements.peek(), Some(Element::Postfix(..))) {
                            return Err(not_understood(text, span));
                        }
                    }
                    Some(Element::Prefix(prefix, span, text)) => {
                        let inner = self.prefixed(prefix, span, &text)?;
                        out.extend(wrapped(inner, span));
                    }
                    _ => return Err(not_understood(text, span)),
                }
                Ok(out)
            }
            Prefix::Transpose => {
                let mut out = self.next_operand(span, text)?;
                out.push(mark(".T", span));
                Ok(out)
            }
            Prefix::Square => {
                let mut out = self.next_operand(span, text)?;
                out.push(mark("^", span));
                out.push(number("2"));
                Ok(out)
            }
            Prefix::Mask | Prefix::Indicator => {
                let inner = match self.elements.next() {
                    Some(Element::Run(tokens, grouped)) => {
                        let mut tokens = tokens;
                        let compares = has_comparison(&tokens);
                        if compares {
                            wrapped(tokens, span)
                        } else if let Some(Element::Postfix(Postfix::Sign(sign), ..)) = self
                            .elements
                            .next_if(|next| matches!(next, Element::Postfix(Postfix::Sign(_), ..)))
                        {
                            tokens = self.operand(tokens, grouped)?;
                            tokens.push(mark(sign, span));
                            tokens.push(number("0"));
                            wrapped(tokens, span)
                        } else if let Some(Element::Infix(sign, ..)) =
                            self.elements.next_if(|next| {
                                matches!(next, Element::Infix(">" | ">=" | "<" | "<=", ..))
                            })
                        {
                            tokens = self.operand(tokens, grouped)?;
                            tokens.push(mark(sign, span));
                            tokens.extend(self.next_operand(span, text)?);
                            wrapped(tokens, span)
                        } else {
                            tokens = self.operand(tokens, grouped)?;
                            tokens.push(mark(">=", span));
                            tokens.push(number("0"));
                            wrapped(tokens, span)
                        }
                    }
                    _ => return Err(not_understood(text, span)),
                };
                Ok(inner)
            }
            Prefix::SumOver => self.sum_over(span, text),
            Prefix::Pair(operator) => {
                let (left, right) = self.pair(span, text)?;
                let mut out = left;
                out.push(mark(operator, span));
                out.extend(right);
                Ok(wrapped(out, span))
            }
            Prefix::Inner => {
                let (left, right) = self.pair(span, text)?;
                let mut out = vec![mark("⟨", span)];
                out.extend(left);
                out.push(mark(",", span));
                out.extend(right);
                out.push(mark("⟩", span));
                Ok(out)
            }
            Prefix::Outer => {
                let (left, right) = self.pair(span, text)?;
                let mut out = vec![
                    Lexeme::new(Token::Name("outer".to_owned()), span),
                    mark("(", span),
                ];
                out.extend(left);
                out.push(mark(",", span));
                out.extend(right);
                out.push(mark(")", span));
                Ok(out)
            }
        }
    }

    fn pair(&mut self, span: Span, text: &str) -> Result<(Vec<Lexeme>, Vec<Lexeme>), FormulaError> {
        let side = |builder: &mut Self| -> Result<Vec<Lexeme>, FormulaError> {
            match builder.elements.peek() {
                Some(Element::Prefix(..)) => {
                    let Some(Element::Prefix(prefix, span, text)) = builder.elements.next() else {
                        return Err(not_understood(text, span));
                    };
                    let inner = builder.prefixed(prefix, span, &text)?;
                    Ok(wrapped(inner, span))
                }
                Some(Element::Run(..)) => {
                    let (term, _) = builder.term(false)?;
                    Ok(wrapped(term, span))
                }
                _ => Err(not_understood(text, span)),
            }
        };
        let left = side(self)?;
        if !matches!(self.elements.next(), Some(Element::And(_))) {
            let message = format!("The words “{text}” need two formulas with “and” between them.");
            return Err(syntax(span, message));
        }
        let right = side(self)?;
        Ok((left, right))
    }

    /// "sum over q of …": the index, perhaps its range, and the terms.
    fn sum_over(&mut self, span: Span, text: &str) -> Result<Vec<Lexeme>, FormulaError> {
        let Some(Element::Run(index, _)) = self.elements.next() else {
            return Err(not_understood(text, span));
        };
        let message = "Write the sum as \\sum_{q=1}^{n_2} ….";
        let Some((first, range)) = index.split_first() else {
            return Err(syntax(span, message));
        };
        let mut out = vec![
            Lexeme::new(Token::Name("sum".to_owned()), span),
            mark("_", span),
            mark("{", span),
            first.clone(),
            mark("}", span),
        ];
        if !range.is_empty() {
            return Err(syntax(span, message));
        }
        self.elements.next_if(|next| matches!(next, Element::Of(_)));
        let Some(Element::Run(body, grouped)) = self.elements.next() else {
            return Err(syntax(span, message));
        };
        if grouped {
            out.extend(wrapped(body, span));
        } else if has_sum(&body) {
            return Err(syntax(span, message));
        } else {
            out.extend(body);
        }
        Ok(out)
    }
}

/// The last relation outside brackets.
fn last_relation(tokens: &[Lexeme]) -> Option<usize> {
    let mut last = None;
    while let Some(at) = relation(&tokens[last.map_or(0, |last: usize| last + 1)..]) {
        last = Some(last.map_or(at, |last| last + 1 + at));
    }
    last
}

/// The indices below the symbols of a side, in order: single letters in subscripts.
fn indices_below(tokens: &[Lexeme]) -> Vec<&Lexeme> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].token == Token::Mark("_") {
            let end = group_end(tokens, at + 1);
            found.extend(tokens[at + 1..end].iter().filter(|lexeme| {
                matches!(&lexeme.token, Token::Name(name)
                    if name.len() == 1 && name != "m" && name.starts_with(|c: char| c.is_ascii_lowercase()))
            }));
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// The letters that stand below more than one symbol and have no value of their own.
fn repeated_indices(tokens: &[Lexeme], free: &[char]) -> Vec<Lexeme> {
    let all = indices_below(tokens);
    let mut repeated: Vec<Lexeme> = Vec::new();
    for lexeme in &all {
        let is_free = matches!(&lexeme.token, Token::Name(name) if name.starts_with(free));
        let count = all
            .iter()
            .filter(|other| other.token == lexeme.token)
            .count();
        let is_known = repeated.iter().any(|known| known.token == lexeme.token);
        if count > 1 && !is_free && !is_known {
            repeated.push((*lexeme).clone());
        }
    }
    repeated
}

/// Whether a sum over a letter is written in a side.
fn has_sum_over(tokens: &[Lexeme], letter: &Lexeme) -> bool {
    let is_sum = |lexeme: &Lexeme| matches!(&lexeme.token, Token::Name(name) if name == "sum");
    let mut sums = tokens
        .iter()
        .enumerate()
        .filter(|(_, lexeme)| is_sum(lexeme));
    sums.any(|(at, _)| {
        let end = group_end(tokens, at + 2);
        let below = tokens.get(at + 2..end).unwrap_or_default();
        below.iter().any(|lexeme| lexeme.token == letter.token)
    })
}

/// Whether `+` or `−` joins terms outside brackets.
fn has_sum(tokens: &[Lexeme]) -> bool {
    let mut depth = 0_usize;
    tokens.iter().any(|lexeme| {
        if opens(&lexeme.token) {
            depth += 1;
        } else if closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        depth == 0
            && matches!(
                lexeme.token,
                Token::Mark("+" | "-" | ">" | "<" | ">=" | "<=" | "!=" | "==")
            )
    })
}

fn has_comparison(tokens: &[Lexeme]) -> bool {
    tokens.iter().any(|lexeme| {
        matches!(
            lexeme.token,
            Token::Mark(">" | "<" | ">=" | "<=" | "!=" | "==")
        )
    })
}
