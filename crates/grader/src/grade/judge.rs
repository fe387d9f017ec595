//! Grades one answer: how it was understood, whether it is right, and which mistake it has if not.

use std::collections::BTreeMap;

use super::alternatives::chosen;
use super::carry::carried;
use super::closed;
use super::feedback;
use super::mending::mending_edit;
use super::question::{Prepared, best};
use super::values::{Values, evaluate_in_steps};
use super::{Mistake, QuestionReport, Rubric, Understood, Verdict};
use crate::formula::{
    Expr, Fault, FormulaError, Notation, Side, Span, parse, readings, render, shape_text,
    shown_in_latex, shown_in_plain,
};

/// The work limit of the search for the one edit that corrects an answer, in entries computed if every candidate were
/// evaluated on every network. It bounds the time to a verdict for any input; the homework's longest answers need a
/// tenth of it.
const MAX_EDIT_WORK: usize = 4_000_000;
/// The same limit for the steps of a chain.
const MAX_STEP_WORK: usize = 500_000;

/// A verdict, and the answer as it was parsed.
pub(super) struct Judgement {
    pub(super) report: QuestionReport,
    pub(super) answer: Option<Expr>,
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
        }
    }

    fn invalid(&self, error: &FormulaError) -> Judgement {
        let mistake = match error.fault {
            Fault::Syntax | Fault::NotEvaluable => Mistake::SyntaxError,
            Fault::UnknownSymbol => Mistake::UnknownSymbol,
            Fault::UnboundIndex => Mistake::UnboundIndex,
            Fault::Shape => Mistake::ShapeMismatch,
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
        if let Some(answer) = closed::judge(self.prepared, self.text) {
            let mut report = self.report(answer.verdict, answer.share(), None, answer.message);
            report.understood = answer.understood;
            return Judgement {
                report,
                answer: None,
            };
        }
        let chains = match parse(self.text, &self.prepared.scope) {
            Ok(chains) => chains,
            Err(error) => return self.invalid(&error),
        };
        let Some(sides) = chains.last() else {
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
        };
        match self.answer(sides) {
            Ok(expr) => {
                let (expr, advice) = chosen(self.prepared, expr, sides).await;
                let mut judged = self.judge_answer(expr, sides).await;
                judged.report.advice.extend_from_slice(advice);
                judged
            }
            Err(judged) => *judged,
        }
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

    async fn judge_answer(&self, expr: &Expr, sides: &[Side]) -> Judgement {
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
        let at = at.unwrap_or(0);
        let (Some(reading), Some(values)) = (readings.get(at), candidates.get(at)) else {
            return self.refused(
                Mistake::SyntaxError,
                expr.span,
                "The answer cannot be read.",
            );
        };
        let mut report = self.verdict(reading, values).await;
        report.understood = Some(self.understood(reading));
        if readings.len() > 1 {
            report.advice.push("⊙ and the matrix product stand side by side; parentheses would say which comes first.".to_owned());
        }
        self.check_steps(sides, expr, &mut report).await;
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
            latex: shown_in_latex(reading, self.text),
            plain: network.map_or_else(
                || render(reading, Notation::Plain),
                |network| shown_in_plain(reading, network),
            ),
        }
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
            all.push(values);
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

    async fn verdict(&self, reading: &Expr, values: &Values) -> QuestionReport {
        let (prepared, reference) = (self.prepared, &self.prepared.solution.values);
        if values.agrees_with(reference) {
            return self.report(Verdict::Correct, 1.0, None, "Right.".to_owned());
        }
        if let Some(samples) = values.only_batch_size(reference) {
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
        let named = self.name(reading, values).await;
        if let Some(error) = &values.error {
            let mistake = named.as_ref().map_or_else(
                || self.invalid(error).report.mistake.unwrap_or(Mistake::Other),
                |named| named.0,
            );
            let mut report = self.refused(mistake, error.span, &error.message).report;
            report.mistake = Some(mistake);
            return report;
        }
        let grid = values.grid(reference, &prepared.solution.letters);
        let (mistake, hint) = named.unwrap_or_else(|| {
            let shape = values.has_shape_of(reference);
            let mistake = if shape {
                Mistake::Other
            } else {
                Mistake::ShapeMismatch
            };
            (mistake, feedback::question(mistake).to_owned())
        });
        let mut report = if carried(prepared, values, self.earlier).await {
            let message = "It is right given your own earlier answer, which is not.".to_owned();
            self.report(
                Verdict::Partial,
                self.rubric.carried_forward,
                Some(mistake),
                message,
            )
        } else {
            let written_out = grid
                .as_ref()
                .filter(|_| reading.is_written_out())
                .map_or(0.0, super::Grid::share);
            let share = self.share(mistake).max(written_out * self.rubric.entries);
            let verdict = if written_out > 0.0 {
                Verdict::Partial
            } else {
                Verdict::Incorrect
            };
            let message = self.describe(values, mistake, &hint);
            self.report(verdict, share, Some(mistake), message)
        };
        report.grid = grid;
        report
    }

    fn describe(&self, values: &Values, mistake: Mistake, hint: &str) -> String {
        let reference = &self.prepared.solution.values;
        if values.has_shape_of(reference) {
            return format!("{} {hint}", mistake.meaning());
        }
        let first = |values: &Values| {
            let last = values.networks.last()?;
            Some(last.matrices.as_ref()?.first()?.shape())
        };
        let (Some(given), Some(asked), Some(network)) = (
            first(values),
            first(reference),
            self.prepared.solution.networks.last(),
        ) else {
            return format!("{} {hint}", mistake.meaning());
        };
        let (given, asked) = (shape_text(given, network), shape_text(asked, network));
        format!(
            "The answer is {given} where {asked} is asked for. {} {hint}",
            mistake.meaning()
        )
    }

    fn share(&self, mistake: Mistake) -> f64 {
        match mistake {
            Mistake::TransposedResult => self.rubric.transposed,
            Mistake::SignFlipped => self.rubric.sign,
            Mistake::ConstantFactor | Mistake::MissingBatchMean | Mistake::DoubleBatchMean => {
                self.rubric.constant_factor
            }
            Mistake::MissingMask
            | Mistake::InvertedMask
            | Mistake::WrongMaskLayer
            | Mistake::MaskOnOutput => self.rubric.one_mask,
            Mistake::WrongIndex => self.rubric.one_index,
            _ => 0.0,
        }
    }

    /// The mistake that has these values, or whose correction makes them right, and the feedback on it.
    async fn name(&self, reading: &Expr, values: &Values) -> Option<(Mistake, String)> {
        let prepared = self.prepared;
        let evaluates = values.error.is_none();
        if evaluates && let Some((mistake, hint)) = prepared.mistake_of(values).await {
            let hint = hint.unwrap_or_else(|| feedback::question(mistake));
            return Some((mistake, hint.to_owned()));
        }
        let most = if values.is_too_large() {
            0
        } else {
            MAX_EDIT_WORK
        };
        let mistake = match mending_edit(prepared, reading, values.work, most).await {
            Some(mistake) => mistake,
            None if evaluates && values.is_multiple_of(&prepared.solution.values) => {
                Mistake::ConstantFactor
            }
            None if evaluates && values.is_unsummed(&prepared.solution.values) => {
                Mistake::BiasNotSummed
            }
            None => return None,
        };
        Some((mistake, feedback::question(mistake).to_owned()))
    }
}
