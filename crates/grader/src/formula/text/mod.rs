//! Reads a student's text: takes off what lies around the formulas, expands macros, understands or refuses every
//! word, puts in what the answer defines, and finds the formula that counts.

mod definitions;
mod macros;
mod named;
mod sentence;
mod shell;
mod source;
mod words;

#[cfg(test)]
mod tests;

pub(super) use definitions::OwnNames;
pub use named::Named;
pub use sentence::StatedRange;
pub(super) use source::Source;
pub(super) use words::{is_remark, is_word};

use super::chain::{OtherReading, Side, read_side, split_sides};
use super::entries::define_by_entries;
use super::expr::Expr;
use super::lexer::{Lexeme, Token, lex_source};
use super::parser::Scope;
use super::vocabulary::WORDS;
use super::{Fault, FormulaError, MAX_HEIGHT, Span, code};
use definitions::{Key, MAX_DEFINITIONS, is_pending, is_quantity, key, replaced};
use sentence::{Clause, Context, Sentences, relation};

/// A known quantity that the answer says something about: `δ = f − y`, `∂l/∂h^2 = δ W^3`.
#[derive(Clone, Debug)]
pub struct Redefinition {
    /// What is defined.
    pub left: Expr,
    /// What it is said to be.
    pub right: Expr,
}

/// A shape that the answer states.
#[derive(Clone, Debug)]
pub struct StatedShape {
    /// The quantity that it describes; `None` for the answer itself.
    pub of: Option<Expr>,
    /// Its rows; `None` for a column vector of any length.
    pub rows: Option<Expr>,
    /// Its columns; `None` for a row vector of any length.
    pub columns: Option<Expr>,
    /// Where it is stated.
    pub span: Span,
}

/// An answer as it was read.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The sides of the chain that counts, with defined names put in; empty if there is no formula.
    pub sides: Vec<Side>,
    /// What the answer says about known quantities. Put in with [`Self::with_redefinitions`] where it differs.
    pub redefinitions: Vec<Redefinition>,
    /// Shapes that it states.
    pub shapes: Vec<StatedShape>,
    /// Ranges that it states for indices.
    pub ranges: Vec<StatedRange>,
    /// The derivative that the words or the program say the formula is.
    pub named: Option<Named>,
    /// Why the answer is unclear, if it is not right as it was read.
    pub doubt: Option<FormulaError>,
    /// What a student should know about how it was read.
    pub advice: Vec<String>,
    /// What the answer says to be the same as the formula that counts.
    pub restated: Vec<Side>,
}

impl Answer {
    /// The sides with redefinitions put in: those whose index `differs` accepts.
    ///
    /// # Errors
    /// Definitions that use each other in a circle, or make the formula too large.
    pub fn with_redefinitions(
        &self,
        differs: impl Fn(usize) -> bool,
    ) -> Result<Vec<Side>, FormulaError> {
        let mut chosen: Vec<Redefinition> = Vec::new();
        for (at, redefinition) in self.redefinitions.iter().enumerate() {
            if differs(at) {
                chosen.push(redefinition.clone());
            }
        }
        // Each body with the others put in, so that one pass over the answer is enough.
        for _ in 0..chosen.len() {
            let before = chosen.clone();
            let mut changed = false;
            for redefinition in &mut chosen {
                let body = redefinition.right.clone();
                let new = put_in(body, &before)?;
                changed |= new != redefinition.right;
                redefinition.right = new;
            }
            if !changed {
                break;
            }
        }
        for redefinition in &chosen {
            let circular = redefinition
                .right
                .pieces()
                .any(|piece| chosen.iter().any(|other| other.left == *piece));
            if circular {
                let message = "This definition uses itself; write what it is.";
                return Err(FormulaError::new(
                    Fault::Syntax,
                    redefinition.right.span,
                    message,
                ));
            }
        }
        let sides = self.sides.iter().map(|side| {
            let expr = match &side.expr {
                Ok(expr) => Ok(put_in(expr.clone(), &chosen)?),
                Err(error) => Err(error.clone()),
            };
            Ok(Side {
                span: side.span,
                expr,
                others: side
                    .others
                    .iter()
                    .filter_map(|other| {
                        Some(OtherReading {
                            expr: put_in(other.expr.clone(), &chosen).ok()?,
                            ..other.clone()
                        })
                    })
                    .collect(),
                advice: side.advice.clone(),
            })
        });
        sides.collect()
    }
}

fn put_in(expr: Expr, redefinitions: &[Redefinition]) -> Result<Expr, FormulaError> {
    let span = expr.span;
    let mut grown = 0_usize;
    let new = replaced(expr, &mut |piece| {
        let found = redefinitions.iter().find(|one| one.left == *piece)?;
        grown = grown.saturating_add(1);
        // Too many are refused below; they need not be put in.
        (grown < 256).then(|| found.right.clone())
    });
    let pieces = new.pieces().take(super::parser::MAX_NODES + 1).count();
    if new.height() > MAX_HEIGHT || pieces > super::parser::MAX_NODES || grown >= 256 {
        let message = "With its definitions put in, the formula is too large. Write it shorter.";
        return Err(FormulaError::new(Fault::TooLarge, span, message));
    }
    Ok(new)
}

/// Reads an answer.
///
/// # Errors
/// Text that cannot be read at all: a word without a meaning, two answers, a definition that cannot be read.
pub fn read(text: &str, scope: &Scope) -> Result<Answer, FormulaError> {
    super::lexer::hold_length(text)?;
    let source = shell::without_fences(Source::new(text));
    let program = match code::read(source.text(), scope) {
        Some(Ok(reading)) => {
            let answer = Answer {
                sides: vec![reading.side],
                shapes: reading.shapes,
                named: reading.named,
                ..Answer::default()
            };
            return Ok(located(answer, &source));
        }
        Some(Err(mut error)) => {
            error.span = source.span(error.span);
            Some(error)
        }
        None => None,
    };
    // Code in the middle of prose is read as mathematics, if all of it can be and no index is only Python's.
    if let Some(error) = program {
        if code::is_program(text) || code::counts_from_zero(text) {
            return Err(error);
        }
        return match read_mathematics(source, scope) {
            Ok(answer) if answer.sides.iter().all(|side| side.expr.is_ok()) => Ok(answer),
            _ => Err(error),
        };
    }
    let second = code::read_plain(source.text(), scope).map(|side| {
        let sides = vec![side];
        let answer = Answer {
            sides,
            ..Answer::default()
        };
        located(answer, &source)
    });
    let mut answer = read_mathematics(source, scope);
    if let (Ok(answer), Some(second)) = (&mut answer, second)
        && let Some(side) = second.sides.into_iter().next()
    {
        code::beside(&mut answer.sides, side);
    }
    answer
}

/// Reads an answer that is no program.
fn read_mathematics(source: Source<'_>, scope: &Scope) -> Result<Answer, FormulaError> {
    let source = macros::expand(shell::without_marks(shell::without_comments(source))?)?;
    let mut own = names_in(source.text());
    own.extend(scope.constants.iter().map(String::as_str));
    let tokens = lex_source(&source, &own)?;
    let tokens = scope.names.put(tokens);
    let names = OwnNames::default();
    let context = Context {
        scope,
        names: &names,
        text: source.text(),
    };
    if is_plain(&tokens, &context) {
        let tokens: Vec<Lexeme> = tokens
            .into_iter()
            .filter(|lexeme| lexeme.token != Token::Inline)
            .collect();
        let sides = split_sides(&tokens);
        let mut sides: Vec<Side> = sides
            .into_iter()
            .filter_map(|side| read_side(side, scope, OwnNames::NONE))
            .collect();
        define_by_entries(&mut sides, scope);
        return Ok(located(
            Answer {
                sides,
                ..Answer::default()
            },
            &source,
        ));
    }
    let answer = sentence::sentences(tokens, &context).and_then(|found| assemble(found, scope));
    match answer {
        Ok(answer) => Ok(located(answer, &source)),
        Err(mut error) => {
            error.span = source.span(error.span);
            Err(error)
        }
    }
}

/// Moves every span to the student's own text.
fn located(mut answer: Answer, source: &Source<'_>) -> Answer {
    if !source.is_edited() {
        return answer;
    }
    let relocate = |expr: &mut Expr| {
        expr.for_each_piece_mut(|piece| piece.span = source.span(piece.span));
    };
    for side in answer.sides.iter_mut().chain(&mut answer.restated) {
        side.span = source.span(side.span);
        match &mut side.expr {
            Ok(expr) => relocate(expr),
            Err(error) => error.span = source.span(error.span),
        }
        for other in &mut side.others {
            relocate(&mut other.expr);
        }
    }
    for redefinition in &mut answer.redefinitions {
        relocate(&mut redefinition.left);
        relocate(&mut redefinition.right);
    }
    for shape in &mut answer.shapes {
        shape.span = source.span(shape.span);
        shape.of.iter_mut().for_each(relocate);
    }
    for range in &mut answer.ranges {
        range.span = source.span(range.span);
    }
    if let Some(named) = &mut answer.named {
        named.span = source.span(named.span);
        relocate(&mut named.by);
        named.of.iter_mut().for_each(relocate);
    }
    if let Some(doubt) = &mut answer.doubt {
        doubt.span = source.span(doubt.span);
    }
    answer
}

/// Whether the tokens are one formula without words and without a second line: most answers.
fn is_plain(tokens: &[Lexeme], context: &Context<'_>) -> bool {
    let mut depth = 0_usize;
    let last = tokens.len().saturating_sub(1);
    tokens.iter().enumerate().all(|(at, lexeme)| {
        if sentence::opens(&lexeme.token) {
            depth += 1;
        } else if sentence::closes(&lexeme.token) {
            depth = depth.saturating_sub(1);
        }
        match &lexeme.token {
            Token::Word(_) | Token::Line | Token::Break => false,
            Token::Inline => at == 0 || at + 1 >= last,
            Token::Mark(".") if sentence::is_spaced_dot(tokens, at) => true,
            Token::Mark(",") if in_angles(&tokens[..at]) => true,
            Token::Mark("," | ";" | ".") => depth > 0 || at + 1 >= last,
            Token::Mark(":" | "quad") => depth > 0,
            Token::Mark("=") => depth > 0 || !is_definition_like(tokens, at),
            Token::Mark("×" | "@" | "x") => {
                let number = |at: Option<usize>| {
                    at.and_then(|at| tokens.get(at)).is_some_and(|lexeme| {
                        matches!(&lexeme.token, Token::Number(_))
                            || matches!(&lexeme.token, Token::Name(name) if name == "m")
                    })
                };
                !(number(at.checked_sub(1)) && number(Some(at + 1)))
            }
            Token::Name(name) => {
                !matches!(
                    name.as_str(),
                    "in" | "if" | "for" | "and" | "else" | "otherwise"
                ) && (name.len() == 1 || sentence::word_at(tokens, at, context).is_none())
                    || depth > 0
            }
            _ => true,
        }
    })
}

/// Whether a `<` that opens `<a, b>` stands before.
fn in_angles(before: &[Lexeme]) -> bool {
    before.iter().enumerate().any(|(at, lexeme)| {
        let operand_is_due = at.checked_sub(1).is_none_or(|at| {
            matches!(
                before[at].token,
                Token::Mark("=" | "+" | "-" | "*" | "·" | "×" | "(")
            )
        });
        lexeme.token == Token::Mark("<") && operand_is_due
    })
}

/// Whether the side before a relation is a name of the student's own.
fn is_definition_like(tokens: &[Lexeme], at: usize) -> bool {
    relation(tokens) == Some(at) && key(&tokens[..at]).is_some()
}

/// Words of more than one letter that a text defines, so that the lexer keeps them whole.
fn names_in(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, sign) in text.match_indices(['=', '←', '≔']) {
        let after = &text[at + sign.len()..];
        if sign == "=" && after.starts_with('=') {
            continue;
        }
        let before = text[..at].trim_end_matches([':', ' ', '\t']);
        let before = before
            .strip_suffix('}')
            .filter(|inner| {
                let open = inner.rfind('{').unwrap_or(0);
                [
                    "\\text",
                    "\\mathrm",
                    "\\operatorname",
                    "\\mathit",
                    "\\mathsf",
                    "\\texttt",
                    "\\mathtt",
                ]
                .iter()
                .any(|command| inner[..open].ends_with(command))
            })
            .unwrap_or(before);
        let start = before.rfind(|c| !is_part(c)).map_or(0, |last| {
            last + before[last..].chars().next().map_or(1, char::len_utf8)
        });
        let name = &before[start..];
        let preceded = before[..start].chars().next_back();
        // `G_2` and `delta_2` are names with an index.
        let (first, has_index) = match name.split_once('_') {
            Some((first, _)) => (first, true),
            None => (name, false),
        };
        let is_name = (!has_index || (first.len() >= 2 && !WORDS.contains(&first)))
            && !WORDS.contains(&name)
            && (!is_word(name) || is_used_word(text, name))
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !matches!(
                preceded,
                Some('\\' | '^' | '_' | '.' | '}' | ')' | '!' | '<' | '>' | '/' | '-' | '∂' | '∇')
            )
            && !name[1..].starts_with('_');
        if is_name && !names.contains(&name) && names.len() < MAX_DEFINITIONS {
            names.push(name);
        }
    }
    names
}

/// Whether an ordinary word that stands before a `=` is the name of something that the text uses, such as a mask.
fn is_used_word(text: &str, name: &str) -> bool {
    const LABELS: &[&str] = &[
        "answer",
        "gradient",
        "derivative",
        "result",
        "solution",
        "is",
        "get",
        "so",
        "have",
        "and",
    ];
    !LABELS.contains(&name.to_ascii_lowercase().as_str()) && text.matches(name).count() > 1
}

/// What stands on the left of a clause.
enum Left {
    /// Nothing: the clause has no relation.
    None,
    /// A name of the student's own.
    New(Key),
    /// Something known.
    Known(Expr),
    /// A side that cannot be read.
    Unread,
}

struct Statement {
    clause: Clause,
    left: Left,
    is_definition: bool,
}

impl Statement {
    /// The tokens behind the first relation.
    fn right(&self) -> &[Lexeme] {
        match relation(&self.clause.tokens) {
            Some(at) => &self.clause.tokens[at + 1..],
            None => &self.clause.tokens,
        }
    }

    fn mentions(&self, base: &str) -> bool {
        self.right()
            .iter()
            .any(|lexeme| matches!(&lexeme.token, Token::Name(name) if name == base))
    }
}

fn left_of(clause: &Clause, scope: &Scope) -> Left {
    let Some(at) = relation(&clause.tokens) else {
        return Left::None;
    };
    let side = &clause.tokens[..at];
    let known = read_side(side, scope, OwnNames::NONE).and_then(|side| side.expr.ok());
    match (known, key(side)) {
        (Some(expr), _) if is_quantity(&expr) => Left::Known(expr),
        (_, Some(key)) => Left::New(key),
        _ => Left::Unread,
    }
}

/// Finds the formula that counts among the clauses, and puts the definitions in.
fn assemble(found: Sentences, scope: &Scope) -> Result<Answer, FormulaError> {
    let Sentences {
        clauses,
        shapes,
        ranges,
        doubt,
        notes,
    } = found;
    let mut statements: Vec<Statement> = clauses
        .into_iter()
        .map(|clause| Statement {
            left: left_of(&clause, scope),
            clause,
            is_definition: false,
        })
        .collect();
    hold_free_indices(&statements, scope)?;
    mark_definitions(&mut statements, scope);
    let (answer_at, said_again) = answer_of(&statements, scope)?;
    let Some(answer_at) = answer_at else {
        return no_answer(&statements);
    };
    if let Some(statement) = statements.get_mut(answer_at) {
        statement.is_definition = false;
    }
    let (names, defined) = read_names(&statements, answer_at, scope)?;
    let redefinitions = read_redefinitions(&statements, answer_at, scope, &names)?;
    let mut sides = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let same_left = match (&statement.left, &statements[answer_at].left) {
            (Left::Known(left), Left::Known(answer)) => left == answer,
            (Left::New(left), Left::New(answer)) => left == answer,
            _ => false,
        };
        if at == answer_at || (at < answer_at && !statement.is_definition && same_left) {
            let parts = split_sides(&statement.clause.tokens);
            // The name that the student gives the answer has no value of its own.
            let skip = usize::from(matches!(statement.left, Left::New(_)));
            sides.extend(
                parts
                    .into_iter()
                    .skip(skip)
                    .filter_map(|side| read_side(side, scope, &names)),
            );
        }
    }
    define_by_entries(&mut sides, scope);
    let named = named(&statements[answer_at], scope);
    let mut advice = notes;
    let restated = said_again
        .into_iter()
        .filter_map(|at| read_side(&statements[at].clause.tokens, scope, &names));
    let restated = restated.collect();
    if !defined.is_empty() {
        advice.push(format!(
            "The formula was read with {} put in as the answer defines it.",
            defined.join(", ")
        ));
    }
    let doubt = doubt.map(|span| {
        FormulaError::new(
            Fault::Syntax,
            span,
            "Two lines stand below each other without a relation: which one counts? Write one formula, or put = between them.",
        )
    });
    Ok(Answer {
        sides,
        redefinitions,
        shapes: (shapes.iter())
            .filter_map(|shape| stated_shape(shape, &statements, answer_at, scope, &names))
            .collect(),
        ranges,
        named,
        doubt,
        advice,
        restated,
    })
}

/// What the definitions say about known quantities.
fn read_redefinitions(
    statements: &[Statement],
    answer_at: usize,
    scope: &Scope,
    names: &OwnNames,
) -> Result<Vec<Redefinition>, FormulaError> {
    let mut redefinitions = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        if at == answer_at {
            continue;
        }
        let Left::Known(left) = &statement.left else {
            if statement.is_definition && matches!(statement.left, Left::Unread) {
                last_side(statement.right(), scope, names)?;
            }
            continue;
        };
        if !statement.is_definition {
            continue;
        }
        let right = last_side(statement.right(), scope, names)?;
        // Each is evaluated, and put into the others.
        if redefinitions.len() >= MAX_DEFINITIONS {
            let span = statement.clause.span();
            let message = format!("At most {MAX_DEFINITIONS} quantities may be given a value.");
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        if right != *left {
            redefinitions.push(Redefinition {
                left: left.clone(),
                right,
            });
        }
    }
    Ok(redefinitions)
}

/// The derivative that the words, or the name on the left, say a statement gives.
fn named(statement: &Statement, scope: &Scope) -> Option<Named> {
    let by_name = match &statement.left {
        Left::New(key) => Named::by_key(key, statement.clause.span(), scope),
        Left::None | Left::Known(_) | Left::Unread => None,
    };
    let by = statement.clause.by.as_ref();
    by_name.or_else(|| Named::by_words(by?, scope))
}

/// An index that the question leaves free has no value of its own: `with j = 2` would be another answer.
fn hold_free_indices(statements: &[Statement], scope: &Scope) -> Result<(), FormulaError> {
    for statement in statements {
        let Left::New(key) = &statement.left else {
            continue;
        };
        let mut letters = key.base.chars();
        let is_free = letters
            .next()
            .is_some_and(|letter| scope.free.contains(&letter))
            && letters.next().is_none()
            && key.label.is_empty()
            && key.below.is_empty()
            && key.argument.is_none();
        if is_free {
            let letter = &key.base;
            let message = format!(
                "The question asks for every {letter}: write the formula for any {letter}, without a value for it."
            );
            return Err(FormulaError::new(
                Fault::Syntax,
                statement.clause.span(),
                message,
            ));
        }
    }
    Ok(())
}

/// A stated shape with the quantity that it describes; `None` if either cannot be read.
fn stated_shape(
    shape: &sentence::StatedShape,
    statements: &[Statement],
    answer_at: usize,
    scope: &Scope,
    names: &OwnNames,
) -> Option<StatedShape> {
    let size = |tokens: &[Lexeme]| match tokens {
        [] => Some(None),
        _ => (read_side(tokens, scope, OwnNames::NONE)?.expr.ok()).map(Some),
    };
    let of = match (&shape.operand, shape.clause == answer_at) {
        (Some(operand), _) => Some(last_side(operand, scope, names).ok()?),
        (None, true) => None,
        (None, false) => Some(last_side(statements.get(shape.clause)?.right(), scope, names).ok()?),
    };
    Some(StatedShape {
        of,
        rows: size(&shape.rows)?,
        columns: size(&shape.columns)?,
        span: shape.span,
    })
}

/// Without formulas there is no answer; formulas that are all only mentioned are an error.
fn no_answer(statements: &[Statement]) -> Result<Answer, FormulaError> {
    let Some(last) = statements.last() else {
        return Ok(Answer::default());
    };
    let message = "None of these formulas is said to be the answer: write “the answer is …”, and an operator between two factors.";
    let span = last.clause.span();
    Err(FormulaError::new(Fault::Syntax, span, message))
}

/// A clause defines what is on its left if the words say so, or if another clause uses it.
fn mark_definitions(statements: &mut [Statement], scope: &Scope) {
    let uses: Vec<bool> = statements
        .iter()
        .enumerate()
        .map(|(at, statement)| {
            let mut others = statements
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, other)| other);
            match &statement.left {
                Left::New(key) => others.any(|other| other.mentions(&key.base)),
                Left::Known(left) => others.any(|other| {
                    let sides = split_sides(other.right());
                    let sides = sides
                        .into_iter()
                        .filter_map(|side| read_side(side, scope, OwnNames::NONE));
                    sides
                        .filter_map(|side| side.expr.ok())
                        .any(|expr| expr.pieces().any(|piece| piece == left))
                }),
                Left::None | Left::Unread => false,
            }
        })
        .collect();
    for (statement, used) in statements.iter_mut().zip(uses) {
        let has_left = !matches!(statement.left, Left::None);
        statement.is_definition = has_left && (used || statement.clause.defines);
    }
}

/// The clause that counts, and those that it says again.
fn answer_of(
    statements: &[Statement],
    scope: &Scope,
) -> Result<(Option<usize>, Vec<usize>), FormulaError> {
    let is_bare = |statement: &Statement| {
        let side = read_side(&statement.clause.tokens, scope, OwnNames::NONE);
        let expr = side.and_then(|side| side.expr.ok());
        let is_power = expr
            .as_ref()
            .is_some_and(|expr| matches!(expr.kind, super::expr::Kind::Power(..)));
        let is_known = expr.is_some_and(|expr| {
            is_quantity(&expr) || matches!(expr.kind, super::expr::Kind::Letter(_))
        });
        // `l^2` is no name.
        is_known || (!is_power && key(&statement.clause.tokens).is_some())
    };
    let candidates: Vec<usize> = (0..statements.len())
        .filter(|&at| {
            let statement = &statements[at];
            !statement.is_definition
                && (!statement.clause.is_reason || statement.clause.has_relation())
                && (statement.clause.has_relation()
                    || statement.clause.marked
                    || !(statement.clause.mentioned && is_bare(statement)))
        })
        .collect();
    let Some(&last) = candidates.last() else {
        // Only definitions or mentions: the last definition, or a lone mention.
        let unused = (0..statements.len()).rev().find(|&at| {
            let Left::New(key) = &statements[at].left else {
                return matches!(statements[at].left, Left::Known(_));
            };
            !statements.iter().any(|other| other.mentions(&key.base))
        });
        return Ok((unused.or((statements.len() == 1).then_some(0)), Vec::new()));
    };
    if let Some(error) = &statements[last].clause.of
        && !statements[last].clause.has_relation()
    {
        return Err(error.clone());
    }
    let without_relation = |at: &usize| !statements[*at].clause.has_relation();
    let is_said_again = |at: usize| {
        let mut later = candidates.iter().filter(|&&later| later > at);
        later.all(|&later| statements[later].clause.restates)
    };
    let others: Vec<usize> = candidates
        .iter()
        .copied()
        .filter(|at| *at != last && without_relation(at))
        .collect();
    let other = others.iter().rev().find(|at| !is_said_again(**at));
    if let Some(&other) = other {
        let message = "Found two formulas without a relation: which one counts? Give one answer, or put = between them.";
        let span = statements[other].clause.span();
        let whole = Span {
            start: span.start,
            end: statements[last].clause.span().end.max(span.end),
        };
        return Err(FormulaError::new(Fault::Syntax, whole, message));
    }
    Ok((Some(last), others))
}

/// Reads the definitions in any order, each when those that it uses have been read.
fn read_names(
    statements: &[Statement],
    answer_at: usize,
    scope: &Scope,
) -> Result<(OwnNames, Vec<String>), FormulaError> {
    let mut names = OwnNames::default();
    let mut open: Vec<(usize, &Statement, &Key)> = Vec::new();
    let mut defined = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        if at == answer_at || !statement.is_definition {
            continue;
        }
        let Left::New(key) = &statement.left else {
            continue;
        };
        if defined.len() >= MAX_DEFINITIONS {
            let message = format!("At most {MAX_DEFINITIONS} names may be defined.");
            return Err(FormulaError::new(
                Fault::TooLarge,
                statement.clause.span(),
                message,
            ));
        }
        if open.iter().any(|(_, _, other)| *other == key) {
            let message = format!("{} is defined twice: which one counts?", key.show());
            return Err(FormulaError::new(
                Fault::Syntax,
                statement.clause.span(),
                message,
            ));
        }
        open.push((defined.len(), statement, key));
        defined.push(key.show());
        names.announce(key.clone());
    }
    while !open.is_empty() {
        let before = open.len();
        let mut waiting = Vec::new();
        for (at, statement, key) in open {
            let mut inner = scope.clone();
            inner.argument.extend(key.argument.clone());
            match last_side(statement.right(), &inner, &names) {
                Ok(body) => names.put(at, body),
                Err(error) if is_pending(&error) => waiting.push((at, statement, key)),
                Err(error) => return Err(error),
            }
        }
        if waiting.len() == before {
            let (_, statement, key) = waiting[0];
            let message = format!(
                "The definition of {} uses itself, directly or through another; write what it is.",
                key.show()
            );
            return Err(FormulaError::new(
                Fault::Syntax,
                statement.clause.span(),
                message,
            ));
        }
        open = waiting;
    }
    Ok((names, defined))
}

/// The last side of a definition's chain.
fn last_side(tokens: &[Lexeme], scope: &Scope, names: &OwnNames) -> Result<Expr, FormulaError> {
    let side = split_sides(tokens)
        .into_iter()
        .rev()
        .find_map(|side| read_side(side, scope, names));
    match side {
        Some(side) => side.expr,
        None => Err(FormulaError::new(
            Fault::Syntax,
            Span::default(),
            "A definition has nothing on its right side.",
        )),
    }
}
