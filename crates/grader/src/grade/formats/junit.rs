//! JUnit XML.

use std::fmt::Write as _;

use super::style::{Style, explanation, points};
use crate::grade::{GradeReport, Verdict};

pub(super) fn write(report: &GradeReport, style: &Style<'_>) -> String {
    let failures = report
        .questions
        .iter()
        .filter(|question| question.verdict != Verdict::Correct)
        .count();
    let (tests, suite) = (report.questions.len(), escape(&report.assignment));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{tests}\" failures=\"{failures}\">"
    );
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" time=\"{:.3}\">",
        style.seconds
    );
    let _ = writeln!(xml, "    <properties>");
    for (name, value) in [("score", report.score), ("max_score", report.max_score)] {
        let _ = writeln!(
            xml,
            "      <property name=\"{name}\" value=\"{}\"/>",
            points(value)
        );
    }
    let _ = writeln!(xml, "    </properties>");
    for question in &report.questions {
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{suite}\" name=\"{}\">",
            escape(&question.id)
        );
        let _ = writeln!(xml, "      <properties>");
        for (name, value) in [
            ("points", question.points),
            ("max_points", question.max_points),
        ] {
            let _ = writeln!(
                xml,
                "        <property name=\"{name}\" value=\"{}\"/>",
                points(value)
            );
        }
        if let Some(ruling) = &question.ruling {
            let _ = writeln!(
                xml,
                "        <property name=\"ruling\" value=\"{} instead of {}: {}\"/>",
                question.verdict,
                ruling.instead_of,
                escape(&ruling.reason)
            );
        }
        let _ = writeln!(xml, "      </properties>");
        if question.verdict != Verdict::Correct {
            let kind = question
                .mistake
                .map_or(question.verdict.word(), |mistake| mistake.word());
            let _ = writeln!(
                xml,
                "      <failure type=\"{kind}\" message=\"{}\">{}</failure>",
                escape(&question.message),
                escape(&explanation(question, style).join("\n"))
            );
        }
        let _ = writeln!(xml, "    </testcase>");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// One test, which has an error: the reason.
pub(super) fn refuse(reason: &str) -> String {
    let reason = escape(reason);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"1\" errors=\"1\">\n  <testsuite name=\"hand-in\" tests=\"1\" \
         errors=\"1\">\n    <testcase name=\"hand-in\">\n      <error message=\"{reason}\"/>\n    </testcase>\n  </testsuite>\n\
         </testsuites>\n"
    )
}

/// Text for XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_that_xml_forbids_is_left() {
        assert_eq!(
            escape("a < b & \"c\"\u{1b}\n"),
            "a &lt; b &amp; &quot;c&quot;\u{fffd}&#10;"
        );
    }
}
