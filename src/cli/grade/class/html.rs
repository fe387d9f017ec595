//! The index of a class's pages: the scores, the questions, the answers that are alike.

use std::fmt::Write as _;

use super::result::ClassReport;
use crate::grade::formats::html::{escape, formula, page, sign};

/// The page that leads to those of the students.
pub(super) fn index(class: &ClassReport) -> String {
    let title = class.assignment.as_deref().unwrap_or("A class");
    let count = class.submissions.len();
    let mut body = format!(
        "<h1>{}</h1>\n<p>{count} submissions, {:.2} points on average; {} could not be read and count as 0</p>\n",
        escape(title),
        class.mean,
        class.unread()
    );
    body += "<table>\n<thead><tr><th>Student</th><th class=\"n\">Points</th><th></th></tr></thead>\n<tbody>\n";
    for one in &class.submissions {
        let name = escape(&one.name);
        let link = match one.report {
            Some(_) => format!("<a href=\"{}.html\">{name}</a>", url(&one.name)),
            None => name,
        };
        let mut remark = one.unread.clone().unwrap_or_default();
        if !one.beside.is_empty() {
            remark += &format!(" (not read: {})", one.beside.join(", "));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            body,
            "<tr><td>{link}</td><td class=\"n\">{:.2}</td><td>{}</td></tr>",
            one.score(),
            escape(&remark)
        );
    }
    body += "</tbody>\n</table>\n<h2>Questions</h2>\n<table>\n\
             <thead><tr><th>Question</th><th class=\"n\">Right</th><th>Mistakes</th></tr></thead>\n<tbody>\n";
    for question in &class.questions {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td class=\"n\">{}/{count}</td><td>{}</td></tr>",
            escape(&question.id),
            question.right,
            escape(&question.mistakes_text())
        );
    }
    body += "</tbody>\n</table>\n";
    if !class.rulings.is_empty() {
        body += "<h2>Overruled</h2>\n<ul>\n";
        for ruling in &class.rulings {
            let (id, text) = (escape(&ruling.question), escape(&ruling.text()));
            let _ = writeln!(body, "<li>{id}: {text}</li>");
        }
        body += "</ul>\n";
    }
    if !class.alike.is_empty() {
        body += "<h2>Wrong answers that several gave, however they were written</h2>\n";
    }
    for group in &class.alike {
        let _ = writeln!(
            body,
            "<p>{}: <span class=\"v {word}\">{} {word}</span> {}, {} students: {}</p>\n{}",
            escape(&group.question),
            sign(group.verdict),
            group.mistake.as_deref().map(escape).unwrap_or_default(),
            group.students.len(),
            escape(&group.students.join(", ")),
            formula(&group.latex),
            word = group.verdict.word(),
        );
    }
    if !class.pairs.is_empty() {
        body += "<h2>Who share several wrong answers that at most three gave</h2>\n<ul>\n";
        for pair in &class.pairs {
            let [one, other] = &pair.students;
            let _ = writeln!(
                body,
                "<li>{} and {}: {}</li>",
                escape(one),
                escape(other),
                escape(&pair.questions.join(", "))
            );
        }
        body += "</ul>\n";
    }
    page(title, &body)
}

/// A file's name in a link.
fn url(name: &str) -> String {
    let mut url = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    // A name with a colon is no scheme.
    format!("./{url}")
}
