use std::collections::BTreeMap;

use super::*;

fn error(parsed: Result<Submission, SubmissionError>) -> String {
    parsed.expect_err("the submission is wrong").to_string()
}

fn tex(text: &str) -> BTreeMap<String, String> {
    let read = Submission::from_tex(text).expect("the submission is right");
    read.answers
}

fn answers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(id, answer)| ((*id).to_owned(), (*answer).to_owned()))
        .collect()
}

#[test]
fn json_and_toml_say_the_same() {
    let json = r#"{"assignment": "hw-backprop", "answers": {"1.1": " \\delta h^2 ", "2.1": ""}}"#;
    let quoted =
        "assignment = 'hw-backprop'\n[answers]\n\"1.1\" = '\\delta h^2'\n'2.1' = '''\n'''\n";
    let bare = "assignment = 'hw-backprop'\n[answers]\n1.1 = '\\delta h^2'\n";
    let expected = Submission {
        assignment: Some("hw-backprop".to_owned()),
        answers: answers(&[("1.1", r"\delta h^2")]),
        notes: Vec::new(),
    };
    assert_eq!(Submission::from_json(json).as_ref(), Ok(&expected));
    assert_eq!(Submission::from_toml(quoted).as_ref(), Ok(&expected));
    assert_eq!(Submission::from_toml(bare).as_ref(), Ok(&expected));
}

#[test]
fn json_errors_say_where_what_and_what_instead() {
    let number = error(Submission::from_json("{\n\"answers\": {\"1.1\": 3}}"));
    assert!(number.starts_with("line 2, column "), "{number}");
    assert!(number.contains("integer `3`"), "{number}");
    assert!(
        number.contains("expected an answer as a string"),
        "{number}"
    );

    let twice = error(Submission::from_json(
        r#"{"answers": {"1.1": "a", "1.1": "b"}}"#,
    ));
    assert!(twice.contains("question 1.1 is answered a second time"));

    let both = error(Submission::from_json(r#"{"answers": {}, "answers": {}}"#));
    assert!(both.contains("duplicate field"), "{both}");

    let other = error(Submission::from_json(r#"{"answer": {}}"#));
    assert!(other.contains("unknown field `answer`"), "{other}");
    assert!(!other.contains(" at line "), "{other}");

    assert!(error(Submission::from_json("")).starts_with("line 1, column 1: "));
}

#[test]
fn toml_errors_say_where_what_and_what_instead() {
    let number = error(Submission::from_toml("[answers]\n\"1.1\" = 3\n"));
    assert!(number.starts_with("line 2, column 9: "), "{number}");
    assert!(
        number.contains("expected an answer as a string"),
        "{number}"
    );

    let twice = error(Submission::from_toml(
        "[answers]\n'1.1' = 'a'\n'1.1' = 'b'\n",
    ));
    assert!(twice.starts_with("line 3, column 1: "), "{twice}");

    let spelt_twice = error(Submission::from_toml("[answers]\n'1.1' = 'a'\n1.1 = 'b'\n"));
    assert!(spelt_twice.contains("a second time"), "{spelt_twice}");
}

#[test]
fn ids_are_words() {
    for id in [
        "",
        "1 1",
        "<b>",
        "\u{1b}[31m",
        &"1".repeat(MAX_ID_BYTES + 1),
    ] {
        let text = serde_json::json!({"answers": {id: "a"}}).to_string();
        assert!(error(Submission::from_json(&text)).contains("is not an id"));
    }
    let text = r#"{"assignment": "../etc", "answers": {}}"#;
    assert!(error(Submission::from_json(text)).contains("is not an id"));
}

#[test]
fn long_submissions_are_refused() {
    let long = " ".repeat(MAX_SUBMISSION_BYTES + 1);
    for extension in ["json", "toml", "tex"] {
        let refused = error(Submission::parse(&long, Some(extension)));
        assert!(refused.contains("at most 262144 are read"), "{refused}");
    }
    let many: String = (0..=MAX_ANSWERS)
        .map(|n| format!("\\begin{{answer}}{{{n}}}a\\end{{answer}}\n"))
        .collect();
    assert!(error(Submission::from_tex(&many)).contains("at most 256 answers"));
}

#[test]
fn the_format_follows_the_extension_or_the_text() {
    let json = "\u{feff}{\"answers\": {\"1.1\": \"a\"}}";
    let toml = "[answers]\n\"1.1\" = 'a'\n";
    let latex = r"\begin{answer}{1.1}a\end{answer}";
    let expected = answers(&[("1.1", "a")]);
    for (text, extension) in [(json, "json"), (toml, ".TOML"), (latex, "tex")] {
        for extension in [Some(extension), Some("txt"), None] {
            let read = Submission::parse(text, extension).expect("it is a submission");
            assert_eq!(read.answers, expected, "{text} as {extension:?}");
        }
    }
    assert!(Submission::parse(toml, Some("json")).is_err());
}

#[test]
fn tex_answers_stand_in_their_environments() {
    let text = r"\documentclass{article}
\newenvironment{answer}[1]{\textbf{#1}$\displaystyle}{$}
\newcommand{\assignment}[1]{\title{#1}}
\begin{document}
\assignment{hw-backprop}
Not this: $h^1$.
\begin{answer}{1.1}
  \delta h^2_{1,1}
\end{answer}
\begin {answer} { 1.2 }\[ a \] $b$ \begin{align*} c &= d \\ e \end{align*}\end{answer}
\end{document}
\begin{answer}{1.3}";
    let read = Submission::from_tex(text).expect("the submission is right");
    assert_eq!(read.assignment.as_deref(), Some("hw-backprop"));
    let expected = [
        ("1.1", r"\delta h^2_{1,1}"),
        (
            "1.2",
            r"\[ a \] $b$ \begin{align*} c &= d \\ e \end{align*}",
        ),
    ];
    assert_eq!(read.answers, answers(&expected));
}

#[test]
fn tex_comments_are_no_part_of_an_answer() {
    let text = "% \\begin{answer}{9.9}\n\\begin{answer}{1.1}% here\na % \\end{answer}\n\\% b \\\\% c\n\\end{answer}";
    assert_eq!(tex(text), answers(&[("1.1", "a \n\\% b \\\\")]));
}

#[test]
fn blank_tex_answers_are_left_out() {
    let text =
        "\\begin{answer}{1.1}\n  % your answer\n\\end{answer}\\begin{answer}{1.2}\\end{answer}";
    assert_eq!(tex(text), BTreeMap::new());
}

#[test]
fn an_escaped_backslash_begins_nothing() {
    assert_eq!(tex(r"\\begin{answer}{1.1}"), BTreeMap::new());
}

#[test]
fn tex_errors_name_the_line() {
    let cases = [
        (
            "\n\\begin{answer}{1.1} a",
            "line 2, column 1: answer 1.1 begins here and does not end",
        ),
        (
            "\\begin{answer}{1.1}\na\n \\begin{answer}{1.2}",
            "line 3, column 2: answer 1.2 begins inside answer 1.1 of line 1",
        ),
        (
            "\\begin{answer}{1}a\\end{answer}\n\\begin{answer}{1}\\end{answer}",
            "line 2, column 1: question 1 is answered a second time; its first answer is on line 1",
        ),
        (
            "% one\n\\end{answer}",
            "line 2, column 1: \\end{answer} ends nothing",
        ),
        (
            "\\begin{answer} a",
            "line 1, column 1: the answer has no id",
        ),
        (
            "\\begin{answer}{?}a\\end{answer}",
            "line 1, column 1: \"?\" is not an id",
        ),
        (
            "\\assignment{a}\n\\assignment{b}",
            "line 2, column 1: the assignment is b here and a before",
        ),
    ];
    for (text, expected) in cases {
        let said = error(Submission::from_tex(text));
        assert!(said.starts_with(expected), "{text}\n{said}");
    }
}

#[test]
fn no_prefix_of_a_submission_panics() {
    let text = "\u{feff}\\begin{answer}{1.1} é \\% \\é \\end{answer} \\assignment{ü}\\";
    for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
        let _ = Submission::from_tex(&text[..end]);
        let _ = Submission::from_toml(&text[..end]);
        let _ = Submission::from_json(&text[..end]);
    }
}

#[test]
fn single_backslashes_in_json_are_read_as_latex_with_a_note() {
    let read = |answer: &str| {
        let text = format!("{{\"answers\": {{\"1.1\": \"{answer}\"}}}}");
        Submission::from_json(&text).map(|read| (read.answers["1.1"].clone(), read.notes.len()))
    };
    for latex in [
        r"\delta h^2_{1,1}",
        r"\frac{1}{m} \beta",
        r"(\delta W^3)^\top h^1",
        r"\nabla_{W^3} l",
        r"\theta \times \right) \underbrace{a}",
        r"\begin{bmatrix} a \\ b \\c \end{bmatrix}",
        r"W^3 \neq \nu \delta",
    ] {
        assert_eq!(read(latex), Ok((latex.to_owned(), 1)), "{latex}");
    }
    // JSON as it should be keeps its meaning.
    for (json, meant) in [
        (r"\\delta h^2", r"\delta h^2"),
        (r"a\nb\tc\r\nd", "a\nb\tc\r\nd"),
        (r"\n\treturn delta", "return delta"),
        (r"\u03b4 h^2", "δ h^2"),
        (
            r"\\begin{bmatrix} a \\\\ b \\end{bmatrix}",
            r"\begin{bmatrix} a \\ b \end{bmatrix}",
        ),
        (r"a\\nb \\frac", r"a\nb \frac"),
    ] {
        assert_eq!(read(json), Ok((meant.to_owned(), 0)), "{json}");
    }
    assert_eq!(
        read(r"\u03b4 \cdot h\n\delta"),
        Ok(("δ \\cdot h\n\\delta".to_owned(), 1))
    );
    let mixed = error(Submission::from_json(
        "{\"answers\": {\n \"1\": \"\\delta \\\\top\"}}",
    ));
    assert!(mixed.starts_with("line 2, column 8: "), "{mixed}");
    assert!(mixed.contains("each takes two"), "{mixed}");
    let later = error(Submission::from_json(
        "{\"answers\": {\n \"1\": \"\\delta\" 3}}",
    ));
    assert!(later.starts_with("line 2, column 16: "), "{later}");
}

#[test]
fn an_answer_takes_along_the_commands_that_it_uses() {
    let text = r"\documentclass{article}
\makeatletter
\newcommand\bp@keep{\begin{answer}{#1}}
\newenvironment{answer}[1]{\string\begin{answer}{#1}}{\end{answer}}
\makeatother
% \newcommand{\dl}{wrong}
\begin{macros}
\newcommand{\dl}{\partial l}
\newcommand*\ind[1]{\mathbf{1}[#1]}
\renewcommand {\Wt} [2][3] {(W^{#1})^{\top}#2}
\DeclareMathOperator*{\re}{relu}
\def\grad#1#2{\frac{\dl}{\partial #1}}
\end{macros}
\begin{document}
\begin{answer}{1.1}
\grad{W}{} \ind{z^2 > 0}
\end{answer}
\newcommand{\late}{a}
\begin{answer}{1.2} \delta \newcommand{\own}{b} \own \end{answer}
\begin{answer}{1.3} \late \re \Wt{2} \end{answer}
\begin{answer}{1.4} \own \end{answer}
\end{document}";
    let expected = [
        (
            "1.1",
            "\\newcommand{\\dl}{\\partial l}\n\\def\\grad#1#2{\\frac{\\dl}{\\partial #1}}\n\
             \\newcommand*\\ind[1]{\\mathbf{1}[#1]}\n\\grad{W}{} \\ind{z^2 > 0}",
        ),
        ("1.2", r"\delta \newcommand{\own}{b} \own"),
        (
            "1.3",
            "\\renewcommand {\\Wt} [2][3] {(W^{#1})^{\\top}#2}\n\\newcommand{\\late}{a}\n\
             \\DeclareMathOperator*{\\re}{relu}\n\\late \\re \\Wt{2}",
        ),
        ("1.4", r"\own"),
    ];
    assert_eq!(tex(text), answers(&expected));
    for unfinished in [
        r"\newcommand",
        r"\newcommand{\a",
        r"\newcommand{\a}[1",
        r"\def\a",
        r"\newcommand{\a}{\}",
        r"\def\",
        r"\newcommand*",
        r"\newcommand{\a}}",
    ] {
        let text =
            format!("{unfinished}\n\\begin{{document}}\\begin{{answer}}{{1}} \\a \\end{{answer}}");
        let _ = Submission::from_tex(&text);
    }
}

#[test]
fn answers_of_a_document_stand_after_its_preamble() {
    let preamble =
        r"\newcommand{\show}{\begin{answer}{9.9}} \begin{macros}\def\d{\delta}\end{macros}";
    let body = r"\begin{answer}{1.1}\d\end{answer}";
    let document = format!("{preamble}\\begin{{document}}{body}\\end{{document}}");
    let expected = answers(&[("1.1", "\\def\\d{\\delta}\n\\d")]);
    assert_eq!(tex(&document), expected);
    // The file that the sheet embeds in its PDF.
    let embedded = format!(
        "% backpropd answers 1\n\\begin{{macros}}\\def\\d{{\\delta}}\\end{{macros}}\n{body}"
    );
    assert_eq!(tex(&embedded), expected);
}
