//! A page for a student: every answer with its verdict, the formula as it was understood, and the entries that are right.
//! It needs no network, no script and no font.

use std::fmt::Write as _;

use super::mathml;
use super::style::{Style, points, ruled};
use crate::formula::Span;
use crate::grade::{GradeReport, Grid, QuestionReport, Verdict};

const CSS: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
table{border-collapse:collapse}th,td{padding:.2rem .6rem;text-align:left;vertical-align:top}\
thead th{border-bottom:1px solid}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0;padding:.5rem;border-left:3px solid #8888}\
mark{background:#ffd9d9;color:#700;text-decoration:underline wavy}\
.v{font-weight:600}.CORRECT{color:#0a7a2f}.PARTIAL{color:#8a5a00}.INCORRECT{color:#b3261e}.INVALID{color:#6b3fa0}.none{color:#777}\
table.grid td{border:1px solid #8888;text-align:center;min-width:1.6rem}\
td.right{background:#d7f5df;color:#064}td.wrong{background:#ffdcd8;color:#700}\
.bold{font-weight:bold}.receipt{font-size:.8rem;overflow-wrap:anywhere;color:#777}\
@media (prefers-color-scheme:dark){.CORRECT{color:#6fdc92}.PARTIAL{color:#e3b341}.INCORRECT{color:#ff8b82}.INVALID{color:#c9a6ff}\
td.right{background:#0b3d1e;color:#bff5cf}td.wrong{background:#4d1410;color:#ffd0cb}mark{background:#4d1410;color:#ffd0cb}}";

/// The page of one report.
pub(super) fn write(report: &GradeReport, style: &Style<'_>) -> String {
    let mut body = String::new();
    let student = report.student.as_deref().filter(|name| !name.is_empty());
    let student = style.student.or(student).unwrap_or("Report");
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "<h1>{}</h1>\n<p>{}: <strong>{} of {} points</strong></p>\n",
        escape(student),
        escape(&report.assignment),
        points(report.score),
        points(report.max_score)
    );
    body += &summary(report, style);
    for question in &report.questions {
        body += &section(question, style);
    }
    for id in &report.unknown_answers {
        let _ = writeln!(
            body,
            "<p>There is no question {}; its answer was not graded.</p>",
            escape(id)
        );
    }
    if let Some(receipt) = &report.receipt {
        let _ = writeln!(
            body,
            "<p class=\"receipt\">Receipt: {}</p>",
            escape(receipt)
        );
    }
    page(student, &body)
}

/// A whole page.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{CSS}</style>\n</head>\n\
         <body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// Text for HTML.
pub fn escape(text: &str) -> String {
    mathml::escape(text)
}

/// A formula on a line of its own; as LaTeX if it cannot be set.
pub fn formula(latex: &str) -> String {
    mathml::display(latex).unwrap_or_else(|| format!("<pre>{}</pre>", escape(latex)))
}

/// Prose in which `$…$` is a formula.
pub fn prose(text: &str) -> String {
    let mut html = String::new();
    for (at, piece) in text.split('$').enumerate() {
        if at % 2 == 0 {
            html += &escape(piece);
        } else {
            let set = mathml::inline(piece);
            html += &set.unwrap_or_else(|| format!("<code>{}</code>", escape(piece)));
        }
    }
    html
}

/// The sign of a verdict, which says the same as its colour.
pub fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Correct => "✓",
        Verdict::Partial => "~",
        Verdict::Incorrect => "✗",
        Verdict::Invalid => "?",
    }
}

fn is_unanswered(question: &QuestionReport, style: &Style<'_>) -> bool {
    let answers = style.answers;
    answers.is_some_and(|answers| !answers.contains_key(&question.id))
}

fn verdict(question: &QuestionReport, style: &Style<'_>) -> String {
    if is_unanswered(question, style) {
        return "<span class=\"v none\">· no answer</span>".to_owned();
    }
    let (sign, word) = (sign(question.verdict), question.verdict.word());
    format!("<span class=\"v {word}\">{sign} {word}</span>")
}

fn summary(report: &GradeReport, style: &Style<'_>) -> String {
    let mut html = "<table>\n<thead><tr><th>Question</th><th>Verdict</th><th class=\"n\">Points</th><th>Mistake</th></tr></thead>\n\
         <tbody>\n"
        .to_owned();
    for question in &report.questions {
        let mistake = question.mistake.filter(|_| !is_unanswered(question, style));
        let words = [
            mistake.map(|mistake| mistake.word()),
            question.ruling.as_ref().map(|_| "overruled"),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let _ = writeln!(
            html,
            "<tr><td><a href=\"#q{id}\">{id}</a></td><td>{}</td><td class=\"n\">{} / {}</td><td>{}</td></tr>",
            verdict(question, style),
            points(question.points),
            points(question.max_points),
            words.join(", "),
            id = escape(&question.id),
        );
    }
    html + "</tbody>\n</table>\n"
}

fn section(question: &QuestionReport, style: &Style<'_>) -> String {
    let mut html = String::new();
    let _ = writeln!(
        html,
        "<h2 id=\"q{id}\">{id} {}, {} of {} points</h2>",
        verdict(question, style),
        points(question.points),
        points(question.max_points),
        id = escape(&question.id),
    );
    let prompt = style.prompts.and_then(|prompts| prompts.get(&question.id));
    if let Some(prompt) = prompt {
        let _ = writeln!(html, "<p><em>{}</em></p>", prose(prompt));
    }
    if is_unanswered(question, style) {
        return html;
    }
    let answer = style.answers.and_then(|answers| answers.get(&question.id));
    if let Some(answer) = answer {
        let span = question
            .span
            .filter(|_| question.verdict != Verdict::Correct);
        let _ = writeln!(html, "<pre>{}</pre>", marked(answer, span));
    }
    if let Some(understood) = &question.understood {
        let _ = writeln!(html, "<p>Understood:</p>\n{}", formula(&understood.latex));
    }
    let _ = writeln!(html, "<p>{}</p>", prose(&question.message));
    if let Some(ruled) = ruled(question) {
        let _ = writeln!(html, "<p>{}</p>", escape(&ruled));
    }
    if let Some(grid) = question.grid.as_ref().filter(|grid| grid.right.len() > 1)
        && question.verdict != Verdict::Correct
    {
        html += &grid_table(grid);
    }
    for (label, texts) in [("Advice", &question.advice), ("Hint", &question.hints)] {
        for text in texts {
            let _ = writeln!(html, "<p>{label}: {}</p>", prose(text));
        }
    }
    if let Some(reference) = &question.reference {
        let _ = writeln!(html, "<p>Right:</p>\n{}", formula(reference));
    }
    html
}

/// The answer, with the part in question marked.
fn marked(answer: &str, span: Option<Span>) -> String {
    let Some(span) = span else {
        return escape(answer);
    };
    let start = answer.floor_char_boundary(span.start.min(answer.len()));
    let end = answer.ceil_char_boundary(span.end.clamp(start, answer.len()));
    format!(
        "{}<mark>{}</mark>{}",
        escape(&answer[..start]),
        escape(&answer[start..end]),
        escape(&answer[end..])
    )
}

/// The entries by colour and by sign.
fn grid_table(grid: &Grid) -> String {
    let mut html = "<table class=\"grid\"><caption>Entries right</caption>\n".to_owned();
    for row in grid.right.chunks(grid.columns.max(1)) {
        html += "<tr>";
        for &right in row {
            html += if right {
                "<td class=\"right\">✓</td>"
            } else {
                "<td class=\"wrong\">✗</td>"
            };
        }
        html += "</tr>\n";
    }
    html + "</table>\n"
}
