//! Grade reports from the messages of a server.

use backpropd_client::pb;

use crate::formula::Span;
use crate::grade::{
    GradeReport, Grid, Mistake, QuestionReport, Reveal, Ruling, Understood, Verdict,
};

/// The `reveal` of a request.
pub(super) fn asked_reveal(reveal: Reveal) -> pb::Reveal {
    match reveal {
        Reveal::Verdict => pb::Reveal::Verdict,
        Reveal::Mistake => pb::Reveal::Mistake,
        Reveal::Hints => pb::Reveal::Hints,
        Reveal::Reference => pb::Reveal::Reference,
    }
}

/// Reads a report from a server's reply.
///
/// # Errors
/// The id of a question whose verdict this version does not know.
pub(super) fn read_report(report: pb::GradeReport) -> Result<GradeReport, String> {
    Ok(GradeReport {
        assignment: report.assignment,
        score: report.score,
        max_score: report.max_score,
        questions: report
            .questions
            .into_iter()
            .map(read_question)
            .collect::<Result<_, _>>()?,
        unknown_answers: report.unknown_answers,
        receipt: some(report.receipt),
        student: some(report.student),
        graded_at: report.grade_time.map(|time| time.seconds.cast_unsigned()),
        assignment_digest: some(report.assignment_digest),
    })
}

fn read_question(question: pb::QuestionReport) -> Result<QuestionReport, String> {
    let verdict = read_verdict(question.verdict())
        .ok_or_else(|| format!("question {}: an unknown verdict", question.id))?;
    let mistake = question.mistake();
    let mistake = (mistake != pb::Mistake::Unspecified).then(|| read_mistake(mistake));
    let position = |at: i32| usize::try_from(at).ok();
    let span = question.span_start.and_then(position);
    Ok(QuestionReport {
        verdict,
        points: question.points,
        max_points: question.max_points,
        mistake,
        named: mistake,
        message: question.message,
        understood: some(question.understood_latex).map(|latex| Understood {
            latex,
            plain: question.understood_plain,
        }),
        span: span
            .zip(question.span_end.and_then(position))
            .map(|(start, end)| Span { start, end }),
        first_wrong_step: position(question.first_wrong_step).filter(|&step| step > 0),
        grid: question.grid.map(|grid| Grid {
            rows: position(grid.rows).unwrap_or(0),
            columns: position(grid.columns).unwrap_or(0),
            right: grid.right,
        }),
        advice: question.advice,
        hints: question.hints,
        reference: some(question.reference),
        tags: question.tags,
        note: question.note,
        ruling: question.ruling.and_then(|ruling| {
            Some(Ruling {
                instead_of: read_verdict(ruling.instead_of())?,
                reason: ruling.reason,
                entry: String::new(),
            })
        }),
        id: question.id,
    })
}

fn read_verdict(verdict: pb::Verdict) -> Option<Verdict> {
    match verdict {
        pb::Verdict::Unspecified => None,
        pb::Verdict::Correct => Some(Verdict::Correct),
        pb::Verdict::Partial => Some(Verdict::Partial),
        pb::Verdict::Incorrect => Some(Verdict::Incorrect),
        pb::Verdict::Invalid => Some(Verdict::Invalid),
    }
}

fn read_mistake(code: pb::Mistake) -> Mistake {
    let word = code.as_str_name().trim_start_matches("MISTAKE_");
    word.parse().unwrap_or(Mistake::Other)
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::convert::grading;

    #[test]
    fn a_report_survives_the_wire() {
        let mut graders =
            crate::host::assignments::load_graders(None, b"wire").expect("the built-in ones");
        let [grader] = &mut graders[..] else {
            panic!("the homework is built in");
        };
        let ruled = "[[overrides]]\nquestion = '1.12'\nanswer = 'oops ('\nverdict = 'PARTIAL'\npoints = 1\nreason = 'r'\n";
        grader.overrule(ruled, "o.toml").expect("a ruling");
        let answers = [
            ("1.1", "\\delta h^2_{1,1}"),
            ("1.11", "\\delta h^2 W^2"),
            ("1.12", "oops ("),
            ("9.9", "1"),
        ];
        let answers = answers.map(|(id, answer)| (id.to_owned(), answer.to_owned()));
        let mut written = grader.grade(&answers.into(), Reveal::Reference);
        let mut rulings = written.questions.iter_mut();
        let ruling = rulings.find_map(|question| question.ruling.as_mut());
        ruling.expect("a ruling").entry.clear();
        written.receipt = Some("receipt".to_owned());
        written.student = Some("ada".to_owned());
        written.graded_at = Some(1_800_000_000);
        assert_eq!(read_report(grading::report(written.clone())), Ok(written));
    }
}
