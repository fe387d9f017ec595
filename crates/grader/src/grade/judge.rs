//! Grades one answer: how it was understood, whether it is right, and which mistake it has if not.

use std::collections::BTreeMap;

use super::alternatives::chosen;
use super::carry::carried;
use super::closed;
use super::feedback;
use super::named::{claimed, derivative, is_multiple, is_other};
use super::naming::{self, Name, at_numbers};
use super::numbers::{self, Numbers};
use super::question::{Prepared, best};
use super::stated::{Claim, claim};
use super::values::{Values, evaluate_in_steps};
use super::{Mistake, QuestionReport, Rubric, Understood, Verdict};
use crate::formula::{
    Answer, Expr, Fault, FormulaError, Kind, Matrix, Named, Notation, Side, Span, StatedRange,
    StatedShape, read, readings, render, shown_in_latex, shown_in_plain,
};

/// The work limit of the steps of a chain, in entries computed.
const MAX_STEP_WORK: usize = 500_000;

/// A verdict, and the answer as it was parsed.
pub(super) struct Judgement {
    pub(super) report: QuestionReport,
    pub(super) answer: Option<Expr>,
}

/// Whether the mistakes of an answer have been searched for.
enum Naming {
    Open,
    Done(Option<Name>),
}

pub(super) struct Judge<'a> {
    prepared: &'a Prepared,
    rubric: &'a Rubric,
    text: &'a str,
    earlier: &'a BTreeMap<&'a str, Expr>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        rubric: &'a Rubric,
        text: &'a str,
        earlier: &'a BTreeMap<&'a str, Expr>,
    ) -> Self {
        Self {
            prepared,
            rubric,
            text,
            earlier,
        }
    }

    fn report(
        &self,
        verdict: Verdict,
        share: f64,
        mistake: Option<Mistake>,
        message: String,
    ) -> QuestionReport {
        let question = &self.prepared.question;
        QuestionReport {
            id: question.id.clone(),
            verdict,
            points: question.points * share,
            max_points: question.points,
            mistake,
            message,
            understood: None,
            span: None,
            first_wrong_step: None,
            grid: None,
            advice: Vec::new(),
            hints: Vec::new(),
            reference: None,
            tags: question.tags.clone(),
            note: match mistake {
                Some(mistake) => format!("{}: {verdict}; bug={mistake}", question.id),
                None => format!("{}: {verdict}", question.id),
            },
            ruling: None,
            named: None,
        }
    }

    fn invalid(&self, error: &FormulaError) -> Judgement {
        let mistake = match error.fault {
            Fault::Syntax | Fault::NotEvaluable => Mistake::SyntaxError,
            Fault::UnknownSymbol => Mistake::UnknownSymbol,
            Fault::UnboundIndex => Mistake::UnboundIndex,
            Fault::Shape => Mistake::ShapeMismatch,
            Fault::OutOfRange => Mistake::WrongIndex,
            Fault::TooLarge => Mistake::TooLarge,
        };
        self.refused(mistake, error.span, &error.message)
    }

    fn refused(&self, mistake: Mistake, span: Span, message: &str) -> Judgement {
        let message = format!("{message} {}", feedback::question(mistake));
        let mut report = self.report(Verdict::Invalid, 0.0, Some(mistake), message);
        report.span = Some(span);
        Judgement {
            report,
            answer: None,
        }
    }

    pub(super) async fn judge(&self) -> Judgement {
        if let Some(answer) = closed::judge(
            &self.prepared.question,
            &self.prepared.scope,
            &self.prepared.solution,
            self.text,
        ) {
            let mut report = self.report(answer.verdict, answer.share(), None, answer.message);
            report.understood = answer.understood;
            return Judgement {
                report,
                answer: None,
            };
        }
        if let Some(judged) = self.judge_numbers().await {
            return judged;
        }
        let read = match read(self.text, &self.prepared.scope) {
            Ok(read) => read,
            Err(error) => return self.invalid(&error),
        };
        if read.sides.is_empty() {
            let mut report = self.report(
                Verdict::Invalid,
                0.0,
                None,
                "No answer was given.".to_owned(),
            );
            report.note = format!("{}: unanswered", self.prepared.question.id);
            return Judgement {
                report,
                answer: None,
            };
        }
        let sides = match self.with_redefinitions(&read).await {
            Ok(sides) => sides,
            Err(error) => return self.invalid(&error),
        };
        let mut judged = match self.answer(&sides) {
            Ok(expr) => {
                let (expr, advice) = chosen(self.prepared, expr, &sides).await;
                let mut judged = self.judge_answer(expr, &sides, &read).await;
                judged.report.advice.extend_from_slice(advice);
                judged
            }
            Err(judged) => *judged,
        };
        if let Some(doubt) = &read.doubt
            && judged.report.verdict != Verdict::Correct
        {
            return self.invalid(doubt);
        }
        if let Some(error) = self.contradiction(&read.restated, &judged).await {
            return self.invalid(&error);
        }
        if let Some(error) = self.narrow_range(&read.ranges) {
            return self.invalid(&error);
        }
        judged.report.advice.extend(read.advice);
        judged
    }

    /// The error of a formula that is said to be the same as the one that counts, and is not.
    async fn contradiction(&self, restated: &[Side], judged: &Judgement) -> Option<FormulaError> {
        if restated.is_empty() {
            return None;
        }
        let counts = best(self.values_of(judged.answer.as_slice()).await.into_iter());
        for side in restated {
            let agrees = match &side.expr {
                Ok(expr) => {
                    let values = self.values_of(&readings(expr)).await;
                    counts.error.is_none()
                        && values.iter().any(|values| values.agrees_with(&counts))
                }
                Err(_) => false,
            };
            if !agrees {
                let message = "Two formulas are said to be the same and are not: which one counts? Give one answer.";
                return Some(FormulaError::new(Fault::Syntax, side.span, message));
            }
        }
        None
    }

    /// The error of a range that leaves out values of the question's index.
    fn narrow_range(&self, ranges: &[StatedRange]) -> Option<FormulaError> {
        ranges.iter().find_map(|range| {
            let letter = range.letter;
            let bindings = self.prepared.solution.letters.iter().flatten();
            let mut values = bindings.filter(|(name, _)| *name == letter);
            let is_stated = |value: usize| {
                let mut same = ranges.iter().filter(|other| other.letter == letter);
                same.any(|other| other.contains(value))
            };
            let (_, missing) = values.find(|(_, value)| !is_stated(*value))?;
            let message = format!(
                "This leaves out {letter} = {missing}, and the question asks for every {letter}: write the formula for any {letter}."
            );
            Some(FormulaError::new(Fault::Syntax, range.span, message))
        })
    }

    /// The verdict on an answer of numbers to a question at given numbers.
    async fn judge_numbers(&self) -> Option<Judgement> {
        self.prepared.numbers.as_ref()?;
        let network = self.prepared.solution.values.networks.first()?;
        let expected = network.matrices.iter().flatten().next()?.shape();
        let span = Span {
            start: 0,
            end: self.text.len(),
        };
        let (mut matrix, is_flat) = match numbers::read(self.text, expected)? {
            Numbers::Matrix { matrix, is_flat } => (matrix, is_flat),
            Numbers::Refused(message) => {
                return Some(self.refused(Mistake::SyntaxError, span, &message));
            }
        };
        let is_column = is_flat && matrix.columns() > 1 && (matrix.columns(), 1) == expected;
        if is_column {
            matrix = matrix.transposed();
        }
        let side = Side {
            span,
            expr: Ok(matrix_of_numbers(&matrix, span)),
            others: Vec::new(),
            advice: Vec::new(),
        };
        let expr = side.expr.as_ref().ok()?;
        let mut judged = self
            .judge_answer(expr, std::slice::from_ref(&side), &Answer::default())
            .await;
        if is_column {
            let advice =
                "The list was read as a column; write a row for each entry, such as [[1], [2]].";
            judged.report.advice.push(advice.to_owned());
        }
        Some(judged)
    }

    /// The sides of the answer, with what it says about known quantities put in where that differs from what they
    /// are, or where the question does not accept them by name.
    async fn with_redefinitions(&self, read: &Answer) -> Result<Vec<Side>, FormulaError> {
        if read.redefinitions.is_empty() {
            return Ok(read.sides.clone());
        }
        let mut differs = Vec::with_capacity(read.redefinitions.len());
        for redefinition in &read.redefinitions {
            let left = best(
                self.values_of(&readings(&redefinition.left))
                    .await
                    .into_iter(),
            );
            let right = self.values_of(&readings(&redefinition.right)).await;
            let same = left.error.is_none() && right.iter().any(|right| right.agrees_with(&left));
            differs.push(!same);
        }
        let sides = read.with_redefinitions(|at| differs.get(at) == Some(&true))?;
        let last = sides.iter().rev().find_map(|side| side.expr.as_ref().ok());
        if last.is_some_and(|expr| self.prepared.forbidden_piece(expr).is_some()) {
            return read.with_redefinitions(|_| true);
        }
        Ok(sides)
    }

    /// The last side that the question accepts.
    fn answer<'s>(&self, sides: &'s [Side]) -> Result<&'s Expr, Box<Judgement>> {
        let mut refused = None;
        for side in sides.iter().rev() {
            let expr = match &side.expr {
                Ok(expr) => expr,
                Err(error) if refused.is_none() => return Err(Box::new(self.invalid(error))),
                Err(_) => break,
            };
            match self.prepared.forbidden_piece(expr) {
                None => return Ok(expr),
                Some(piece) => refused = refused.or(Some(piece)),
            }
        }
        let (span, piece) = refused.map_or((Span::default(), String::new()), |piece| {
            (piece.span, render(piece, Notation::Plain))
        });
        let message = format!("{piece} is not allowed as an answer here.");
        Err(Box::new(self.refused(
            Mistake::ForbiddenSymbol,
            span,
            &message,
        )))
    }

    async fn judge_answer(&self, expr: &Expr, sides: &[Side], read: &Answer) -> Judgement {
        let prepared = self.prepared;
        let readings = readings(expr);
        let candidates = self.values_of(&readings).await;
        let right = candidates
            .iter()
            .position(|values| prepared.accepts(values));
        let most = candidates.iter().map(Values::evaluated).max();
        let at = right.or_else(|| {
            candidates
                .iter()
                .position(|values| Some(values.evaluated()) == most)
        });
        let mut at = at.unwrap_or(0);
        let mut naming = Naming::Open;
        if right.is_none() && has_several_values(&candidates) {
            let name;
            (at, name) = self.best_named(&readings, &candidates, at).await;
            naming = Naming::Done(name);
        }
        let (Some(reading), Some(values)) = (readings.get(at), candidates.get(at)) else {
            return self.refused(
                Mistake::SyntaxError,
                expr.span,
                "The answer cannot be read.",
            );
        };
        let mut report = self.verdict(reading, values, naming).await;
        for shape in &read.shapes {
            self.check_shape(shape, values, &mut report).await;
        }
        report.understood = Some(self.understood(reading));
        if readings.len() > 1 {
            report.advice.push("⊙ and the matrix product stand side by side; parentheses would say which comes first.".to_owned());
        }
        self.check_steps(sides, expr, &mut report).await;
        if report.verdict == Verdict::Correct
            && let Some(named) = claimed(sides, expr, read.named.as_ref(), self.text)
        {
            self.check_name(&named, &mut report).await;
        }
        if report.verdict == Verdict::Correct
            && let Some(first) = sides.first()
            && let Ok(left) = &first.expr
            && left != expr
            && is_multiple(left)
        {
            self.check_multiple(left, &mut report).await;
        }
        self.add_counts(values, &mut report);
        Judgement {
            report,
            answer: Some(reading.clone()),
        }
    }

    /// How the answer was read, in its author's notation.
    fn understood(&self, reading: &Expr) -> Understood {
        let network = self.prepared.solution.networks.first();
        Understood {
            latex: shown_in_latex(reading, self.text, &self.prepared.scope),
            plain: network.map_or_else(
                || render(reading, Notation::Plain),
                |network| shown_in_plain(reading, self.text, &self.prepared.scope, network),
            ),
        }
    }

    /// The reading whose mistake is the simplest one, with its name; `at` if none has a name. Of readings with the same
    /// values only the first is searched.
    async fn best_named(
        &self,
        readings: &[Expr],
        candidates: &[Values],
        at: usize,
    ) -> (usize, Option<Name>) {
        let mut best: Option<(usize, Name)> = None;
        let order = std::iter::once(at).chain((0..readings.len()).filter(|&other| other != at));
        let mut searched: Vec<&Values> = Vec::with_capacity(readings.len());
        for at in order {
            let (Some(reading), Some(values)) = (readings.get(at), candidates.get(at)) else {
                continue;
            };
            if searched.iter().any(|before| before.agrees_with(values)) {
                continue;
            }
            searched.push(values);
            if let Some(name) = mistakes(self.prepared, reading, values).await
                && best
                    .as_ref()
                    .is_none_or(|(_, best)| name.weight() < best.weight())
            {
                best = Some((at, name));
            }
        }
        best.map_or((at, None), |(at, name)| (at, Some(name)))
    }

    /// The values of each reading.
    async fn values_of(&self, readings: &[Expr]) -> Vec<Values> {
        let prepared = self.prepared;
        let mut all = Vec::with_capacity(readings.len());
        for reading in readings {
            let values = evaluate_in_steps(
                reading,
                &prepared.solution.networks,
                &prepared.solution.letters,
            )
            .await;
            all.push(match &prepared.numbers {
                Some(numbers) => values.within(numbers.tolerance),
                None => values,
            });
        }
        all
    }

    fn add_counts(&self, values: &Values, report: &mut QuestionReport) {
        use std::fmt::Write as _;
        let reference = &self.prepared.solution.values;
        let shape = if values.has_shape_of(reference) {
            "shape-ok"
        } else {
            "shape-wrong"
        };
        let (right, all) = (values.agreeing(reference), reference.networks.len());
        // Writing to a String cannot fail.
        let _ = write!(report.note, "; {shape}; nets={right}/{all}");
        if let Some(step) = report.first_wrong_step {
            let _ = write!(report.note, "; step={step}");
        }
    }

    /// Holds a shape that the answer states against the formula's own. A right formula with another shape stated for it
    /// contradicts itself: it is not simply right.
    async fn check_shape(&self, shape: &StatedShape, values: &Values, report: &mut QuestionReport) {
        let networks = &self.prepared.solution.networks;
        let found = match &shape.of {
            None => claim(shape, values, networks),
            Some(of) => claim(
                shape,
                &best(self.values_of(&readings(of)).await.into_iter()),
                networks,
            ),
        };
        let (stated, own) = match found {
            Claim::Holds | Claim::Open => return,
            Claim::OneSize {
                stated,
                own,
                samples,
            } => {
                report.advice.push(format!(
                    "{stated} is the shape for m = {samples} alone; on a batch of any size it is {own}."
                ));
                return;
            }
            Claim::Fails { stated, own } => (stated, own),
        };
        if let Some(of) = &shape.of {
            let of = render(of, Notation::Plain);
            report
                .advice
                .push(format!("The answer calls {of} {stated}; it is {own}."));
        } else if report.verdict == Verdict::Correct {
            let what = format!(
                "The formula is right, but the answer calls it {stated}, and its shape is {own}."
            );
            let share = (
                self.rubric.stated_shape,
                "for a right formula with a wrong shape stated",
            );
            self.lower(report, Mistake::ShapeMismatch, shape.span, &what, share);
        } else {
            report.advice.push(format!(
                "The answer calls the result {stated}; its formula is {own}."
            ));
        }
    }

    /// Holds the derivative that a right formula is said to be against the one that is asked for. A right formula under
    /// the name of another quantity contradicts itself: it is not simply right.
    async fn check_name(&self, named: &Named, report: &mut QuestionReport) {
        let asked = &self.prepared.asked;
        if !is_other(named, asked, self.text) {
            return;
        }
        let Some(own) = derivative(named, asked) else {
            return;
        };
        let values = self.values_of(&readings(&own)).await;
        if values.iter().any(|values| self.prepared.accepts(values)) {
            return;
        }
        let what = format!(
            "The formula is right for {}, but the answer calls it {}.",
            render(asked, Notation::Plain),
            render(&own, Notation::Plain)
        );
        let share = (
            self.rubric.stated_derivative,
            "for a right formula under another name",
        );
        self.lower(report, Mistake::WrongWeight, named.span, &what, share);
    }

    /// Holds a left side such as `-∂l/∂W` against the right value: such an equation gives another derivative than its
    /// formula.
    async fn check_multiple(&self, left: &Expr, report: &mut QuestionReport) {
        let reference = &self.prepared.solution.values;
        let values = best(self.values_of(&readings(left)).await.into_iter());
        if values.evaluated() == 0 || values.holds(left, reference) {
            return;
        }
        let is_sign = |factor: f64| (factor + 1.0).abs() < 1e-6;
        let mistake = match values.factor_of(reference) {
            Some(factor) if is_sign(factor) => Mistake::SignFlipped,
            None if values.transposed().agrees_with(reference) => Mistake::TransposedResult,
            // A factor of m differs between networks.
            Some(_) | None => Mistake::ConstantFactor,
        };
        let what = format!(
            "The formula is right, but the answer calls it {}. {}",
            render(left, Notation::Plain),
            mistake.meaning()
        );
        if let Some(share) = self.share(mistake) {
            self.lower(report, mistake, left.span, &what, share);
        }
    }

    /// Makes a report on a right formula PARTIAL.
    fn lower(
        &self,
        report: &mut QuestionReport,
        mistake: Mistake,
        span: Span,
        what: &str,
        (share, rule): (f64, &str),
    ) {
        let question = &self.prepared.question;
        report.points = question.points * share;
        let (points, most) = ((report.points * 100.0).round() / 100.0, question.points);
        report.message = format!("{what} {points} of {most} points {rule}.");
        report.verdict = Verdict::Partial;
        report.mistake = Some(mistake);
        report.span = Some(span);
        report.note = format!("{}: {}; bug={mistake}", question.id, report.verdict);
    }

    /// The first side that differs from the right value, among those that can be computed.
    async fn check_steps(&self, sides: &[Side], answer: &Expr, report: &mut QuestionReport) {
        let prepared = self.prepared;
        let mut work = 0;
        for (at, side) in sides.iter().enumerate() {
            if work > MAX_STEP_WORK {
                return;
            }
            let Ok(expr) = &side.expr else { continue };
            if expr.span == answer.span {
                if report.verdict != Verdict::Correct && sides.len() > 1 {
                    report.first_wrong_step = Some(at + 1);
                }
                return;
            }
            let values = best(self.values_of(&readings(expr)).await.into_iter());
            work += values.work;
            if values.evaluated() > 0 && !values.holds(expr, &prepared.solution.values) {
                report.first_wrong_step = Some(at + 1);
                report.span = Some(side.span);
                report.advice.push(format!(
                    "Side {} of the chain does not equal what the question asks for.",
                    at + 1
                ));
                return;
            }
        }
    }

    async fn verdict(&self, reading: &Expr, values: &Values, naming: Naming) -> QuestionReport {
        let (prepared, reference) = (self.prepared, &self.prepared.solution.values);
        if values.agrees_with(reference) {
            let mut report = self.report(Verdict::Correct, 1.0, None, "Right.".to_owned());
            report.advice.extend(self.holds_here_alone(reading).await);
            return report;
        }
        if let Some(samples) = values.only_batch_size(reference)
            && is_for_one_size(reading)
        {
            let mistake = Mistake::HardcodedBatchSize;
            let message = format!(
                "It is right for m = {samples} only. {}",
                feedback::question(mistake)
            );
            return self.report(
                Verdict::Partial,
                self.rubric.one_batch_size,
                Some(mistake),
                message,
            );
        }
        let name = match naming {
            Naming::Done(name) => name,
            Naming::Open => mistakes(prepared, reading, values).await,
        };
        if let Some(error) = &values.error {
            return self.not_evaluable(error, name.as_ref());
        }
        let grid = values.grid(reference, &prepared.solution.letters);
        let (mistake, text) = self.explain(values, name.as_ref());
        let mut report = if carried(prepared, values, self.earlier).await {
            let message = "It is right given your own earlier answer, which is not.".to_owned();
            self.report(
                Verdict::Partial,
                self.rubric.carried_forward,
                Some(mistake),
                message,
            )
        } else {
            self.wrong(reading, values, name.as_ref(), (mistake, text))
        };
        self.note_both(name.as_ref(), &mut report);
        report.grid = grid;
        report
    }

    /// Advice on a formula that is right at the given numbers and wrong at others.
    async fn holds_here_alone(&self, reading: &Expr) -> Option<String> {
        let elsewhere = &self.prepared.numbers.as_ref()?.elsewhere;
        if reading.is_written_out() || closed::is_of_numbers(reading) {
            return None;
        }
        let values = evaluate_in_steps(reading, &elsewhere.networks, &elsewhere.letters).await;
        (!values.agrees_with(&elsewhere.values)).then(|| {
            "The formula has the right value at these numbers, and not at others: something in it does not show here."
                .to_owned()
        })
    }

    /// The report on an answer that has no value: the error itself, and the mistake behind it if it is known.
    fn not_evaluable(&self, error: &FormulaError, name: Option<&Name>) -> QuestionReport {
        let mistake = match name {
            Some(name) => name.mistakes[0],
            None => self.invalid(error).report.mistake.unwrap_or(Mistake::Other),
        };
        let mut report = self.refused(mistake, error.span, &error.message).report;
        if let Some(name) = name
            && mistake != Mistake::UnboundIndex
        {
            let explained = self.meanings(name);
            report.message = format!("{} {explained}", error.message);
        }
        self.note_both(name, &mut report);
        report
    }

    /// The report on an answer with a wrong value: its points follow from the rule for its one mistake, or from the
    /// entries that are right.
    fn wrong(
        &self,
        reading: &Expr,
        values: &Values,
        name: Option<&Name>,
        (mistake, text): (Mistake, String),
    ) -> QuestionReport {
        let right_entries = if reading.is_written_out() {
            values.share_of_right_entries(&self.prepared.solution.values)
        } else {
            0.0
        };
        let is_alone = name.is_some_and(|name| name.mistakes.len() == 1);
        let by_mistake = if is_alone { self.share(mistake) } else { None };
        let by_entries = right_entries * self.rubric.entries;
        let verdict = if right_entries > 0.0 {
            Verdict::Partial
        } else {
            Verdict::Incorrect
        };
        let (share, rule) = match by_mistake {
            Some((share, rule)) if share >= by_entries => (share, rule),
            _ if by_entries > 0.0 => (by_entries, "for the entries that are right"),
            _ => (0.0, ""),
        };
        let mut report = self.report(verdict, share, Some(mistake), text);
        if share > 0.0 {
            let (points, most) = (report.points, report.max_points);
            let points = (points * 100.0).round() / 100.0;
            report.message = format!("{} {points} of {most} points {rule}.", report.message);
        }
        report
    }

    /// Names both of two mistakes in the note.
    fn note_both(&self, name: Option<&Name>, report: &mut QuestionReport) {
        if let Some(name) = name
            && let [first, second] = name.mistakes[..]
            && first != second
        {
            report.note = format!(
                "{}: {}; bug={first}+{second}",
                self.prepared.question.id, report.verdict
            );
        }
    }

    /// The mistake of an answer that has a value, and what to say about it.
    fn explain(&self, values: &Values, name: Option<&Name>) -> (Mistake, String) {
        let shapes = self.shapes(values);
        let (mistake, text) = match name {
            Some(name) => (name.mistakes[0], self.meanings(name)),
            None if shapes.is_some() => {
                let mistake = Mistake::ShapeMismatch;
                let question = feedback::question(Mistake::TransposedResult);
                return (mistake, format!("{} {question}", shapes.unwrap_or_default()));
            }
            None if values.is_all_zero() => (
                Mistake::Other,
                "The answer is 0: it would mean that this quantity does not reach the loss at all. Is there no path?"
                    .to_owned(),
            ),
            None => (Mistake::Other, self.meanings_of(&[Mistake::Other], None)),
        };
        match shapes {
            Some(shapes) => (mistake, format!("{shapes} {text}")),
            None => (mistake, text),
        }
    }

    /// What the mistakes are, and the questions that lead to them.
    fn meanings(&self, name: &Name) -> String {
        let hint = name.listed.and_then(|at| self.prepared.listed_hint(at));
        self.meanings_of(&name.mistakes, hint)
    }

    fn meanings_of(&self, mistakes: &[Mistake], hint: Option<&str>) -> String {
        let question = |mistake: Mistake| feedback::question(mistake);
        match *mistakes {
            [first, second] if first == second => format!(
                "There seem to be two mistakes of one kind. {} {}",
                first.meaning(),
                question(first)
            ),
            [first, second] => format!(
                "There seem to be two mistakes. {} ({first}) {} ({second}) {} {}",
                first.meaning(),
                second.meaning(),
                question(first),
                question(second)
            ),
            [only] => format!("{} {}", only.meaning(), hint.unwrap_or(question(only))),
            _ => String::new(),
        }
    }

    /// Both shapes, if the answer's is wrong.
    fn shapes(&self, values: &Values) -> Option<String> {
        let reference = &self.prepared.solution.values;
        if values.has_shape_of(reference) {
            return None;
        }
        let (given, asked) = (values.shape_text()?, reference.shape_text()?);
        Some(format!("The answer is {given} where {asked} is asked for."))
    }

    /// The share of the points that the rubric gives for one mistake, and the reason.
    fn share(&self, mistake: Mistake) -> Option<(f64, &'static str)> {
        Some(match mistake {
            Mistake::TransposedResult => {
                (self.rubric.transposed, "for the right result, transposed")
            }
            Mistake::SignFlipped => (self.rubric.sign, "because only the sign is wrong"),
            Mistake::ConstantFactor | Mistake::MissingBatchMean | Mistake::DoubleBatchMean => {
                let rule = "because only a constant factor is wrong";
                (self.rubric.constant_factor, rule)
            }
            Mistake::MissingMask
            | Mistake::InvertedMask
            | Mistake::WrongMaskLayer
            | Mistake::MaskOnOutput => (self.rubric.one_mask, "because only a mask is wrong"),
            Mistake::WrongIndex => (self.rubric.one_index, "because only an index is wrong"),
            _ => return None,
        })
    }
}

/// Whether the readings of an answer differ in value.
fn has_several_values(candidates: &[Values]) -> bool {
    candidates
        .split_first()
        .is_some_and(|(first, rest)| rest.iter().any(|values| !values.agrees_with(first)))
}

/// The formula of a matrix of numbers.
fn matrix_of_numbers(matrix: &Matrix, span: Span) -> Expr {
    let number = |&entry: &f64| Expr::new(Kind::Number(entry), span);
    if let Some(only) = matrix.as_scalar() {
        return number(&only);
    }
    let rows = matrix.entries().chunks(matrix.columns());
    let rows = rows.map(|row| row.iter().map(number).collect());
    Expr::new(Kind::Rows(rows.collect()), span)
}

/// The name of the mistakes in `answer`, which has these values and is wrong.
pub(super) async fn mistakes(prepared: &Prepared, answer: &Expr, values: &Values) -> Option<Name> {
    if prepared.numbers.is_some() {
        at_numbers::name(prepared, values).await
    } else {
        naming::name(prepared, answer, values).await
    }
}

/// Whether an answer has a number, or samples written out, that can stand for a batch size.
fn is_for_one_size(answer: &Expr) -> bool {
    let has_number = |piece: &Expr| matches!(piece.kind, Kind::Number(number) if number > 0.0 && (number - 1.0).abs() > 1e-9);
    let outside_masks = |piece: &&Expr| !matches!(piece.kind, Kind::Compare(..));
    let mut open = vec![answer];
    while let Some(piece) = open.pop() {
        if has_number(piece) {
            return true;
        }
        open.extend(piece.parts().into_iter().filter(outside_masks));
    }
    answer.is_written_out()
}
