//! Assignments and grade reports to messages.

use crate::fault::Violations;
use crate::grade::{
    Assignment, GradeReport, Grader, Grid, Mistake, QuestionReport, Reveal, Verdict,
};
use crate::host::grading_counts::{Counts, GradingCounts};
use crate::rpc::convert::spec::to_i32;
use crate::rpc::pb;

/// Reads the level of `reveal`.
pub fn reveal(reveal: i32, violations: &mut Violations) -> Option<Reveal> {
    match pb::Reveal::try_from(reveal) {
        Ok(pb::Reveal::Verdict) => Some(Reveal::Verdict),
        Ok(pb::Reveal::Unspecified | pb::Reveal::Mistake) => Some(Reveal::Mistake),
        Ok(pb::Reveal::Hints) => Some(Reveal::Hints),
        Ok(pb::Reveal::Reference) => Some(Reveal::Reference),
        Err(_) => {
            violations.add(
                "reveal",
                reveal,
                "REVEAL_VERDICT (1) to REVEAL_REFERENCE (4)",
            );
            None
        }
    }
}

/// An assignment without its questions.
pub fn summary(assignment: &Assignment) -> pb::AssignmentSummary {
    pb::AssignmentSummary {
        id: assignment.id.clone(),
        title: assignment.title.clone(),
        question_count: to_i32(assignment.questions.len()),
        max_score: assignment.max_score(),
    }
}

/// An assignment as students may see it: without solutions and expected mistakes.
pub fn assignment(grader: &Grader) -> pb::GetAssignmentResponse {
    let assignment = grader.assignment();
    let architecture = &assignment.network.architecture;
    let questions = assignment.questions.iter().map(|question| pb::Question {
        id: question.id.clone(),
        part: question.part.clone(),
        prompt: question.prompt.clone(),
        points: question.points,
        shape: grader.shape(&question.id).unwrap_or_default(),
        free_indices: question.free.iter().map(char::to_string).collect(),
        allowed_gradients: question.allow.clone(),
        forbidden_symbols: question.forbid.clone(),
        tags: question.tags.clone(),
    });
    pb::GetAssignmentResponse {
        assignment: Some(summary(assignment)),
        description: assignment.description.clone(),
        units: (0..=architecture.depth())
            .map(|layer| to_i32(architecture.size(layer)))
            .collect(),
        questions: questions.collect(),
    }
}

/// The grading of a submission as a message.
pub fn report(report: GradeReport) -> pb::GradeReport {
    pb::GradeReport {
        assignment: report.assignment,
        score: report.score,
        max_score: report.max_score,
        questions: report.questions.into_iter().map(question_report).collect(),
        unknown_answers: report.unknown_answers,
        receipt: report.receipt.unwrap_or_default(),
        student: report.student.unwrap_or_default(),
        grade_time: report.graded_at.map(|seconds| prost_types::Timestamp {
            seconds: seconds.cast_signed(),
            nanos: 0,
        }),
        assignment_digest: report.assignment_digest.unwrap_or_default(),
    }
}

/// How the answers were read, without what was thought of them. Only that an answer cannot be read is told.
pub fn preview(report: GradeReport) -> pb::GradeReport {
    let questions = report.questions.into_iter().map(|question| {
        let is_invalid = question.verdict == Verdict::Invalid;
        let read = question_report(question);
        let kept = pb::QuestionReport {
            id: read.id,
            understood_latex: read.understood_latex,
            understood_plain: read.understood_plain,
            advice: read.advice,
            ..pb::QuestionReport::default()
        };
        if !is_invalid {
            return kept;
        }
        pb::QuestionReport {
            verdict: read.verdict,
            message: read.message,
            span_start: read.span_start,
            span_end: read.span_end,
            ..kept
        }
    });
    pb::GradeReport {
        assignment: report.assignment,
        questions: questions.collect(),
        unknown_answers: report.unknown_answers,
        ..pb::GradeReport::default()
    }
}

/// The verdicts and mistakes of each question of an assignment, and of all together.
pub fn statistics(
    assignment: &Assignment,
    counts: &GradingCounts,
) -> pb::GetGradingStatisticsResponse {
    let by_question = counts.of(&assignment.id);
    let mut total = Counts::default();
    let mut questions = Vec::new();
    for question in &assignment.questions {
        let counts = by_question.get(&question.id).cloned().unwrap_or_default();
        total.add(&counts);
        questions.push(pb::QuestionStatistics {
            id: question.id.clone(),
            counts: Some(answer_counts(&counts)),
        });
    }
    pb::GetGradingStatisticsResponse {
        assignment: assignment.id.clone(),
        total: Some(answer_counts(&total)),
        questions,
        since: Some(counts.since().into()),
    }
}

fn answer_counts(counts: &Counts) -> pb::AnswerCounts {
    let mistakes = counts.mistakes().into_iter();
    pb::AnswerCounts {
        correct: counts.correct.cast_signed(),
        partial: counts.partial.cast_signed(),
        incorrect: counts.incorrect.cast_signed(),
        invalid: counts.invalid.cast_signed(),
        mistakes: mistakes
            .map(|(named, answers)| pb::MistakeCount {
                mistake: mistake(named).into(),
                answers: answers.cast_signed(),
            })
            .collect(),
    }
}

fn question_report(question: QuestionReport) -> pb::QuestionReport {
    let understood = question.understood.unwrap_or_default();
    pb::QuestionReport {
        id: question.id,
        verdict: verdict(question.verdict).into(),
        points: question.points,
        max_points: question.max_points,
        mistake: question
            .mistake
            .map_or(pb::Mistake::Unspecified, mistake)
            .into(),
        message: question.message,
        understood_latex: understood.latex,
        understood_plain: understood.plain,
        span_start: question.span.map(|span| to_i32(span.start)),
        span_end: question.span.map(|span| to_i32(span.end)),
        first_wrong_step: question.first_wrong_step.map_or(0, to_i32),
        grid: question.grid.map(grid),
        advice: question.advice,
        hints: question.hints,
        reference: question.reference.unwrap_or_default(),
        tags: question.tags,
        note: question.note,
        ruling: question.ruling.map(|ruling| pb::Ruling {
            instead_of: verdict(ruling.instead_of).into(),
            reason: ruling.reason,
        }),
    }
}

/// A verdict as the wire's enum.
pub fn verdict(verdict: Verdict) -> pb::Verdict {
    match verdict {
        Verdict::Correct => pb::Verdict::Correct,
        Verdict::Partial => pb::Verdict::Partial,
        Verdict::Incorrect => pb::Verdict::Incorrect,
        Verdict::Invalid => pb::Verdict::Invalid,
    }
}

/// The two enums have the same names, which a test checks.
pub fn mistake(mistake: Mistake) -> pb::Mistake {
    pb::Mistake::from_str_name(&format!("MISTAKE_{mistake}")).unwrap_or(pb::Mistake::Other)
}

/// Marks the right entries.
pub fn grid(grid: Grid) -> pb::Grid {
    pb::Grid {
        rows: to_i32(grid.rows),
        columns: to_i32(grid.columns),
        right: grid.right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_its_word_on_the_wire() {
        for &code in Mistake::ALL {
            assert_eq!(mistake(code).as_str_name(), format!("MISTAKE_{code}"));
        }
    }
}
