//! Sentences around right answers. Words without a meaning leave them CORRECT. A word with a meaning either acts as the
//! operator that it is, held against the same formula written out, or makes the answer INVALID by its name.

use std::collections::BTreeMap;

use super::{SECRETS_VARIABLE, grade, graders};
use backpropd_grader::grade::{Mistake, QuestionReport, Verdict};

/// How many sentences a usual run grades.
const SENTENCES: usize = 1200;

/// What lies around the whole: nothing of it has a meaning.
const FRAMES: &[(&str, &str)] = &[
    ("", ""),
    ("The gradient is ", "."),
    ("By the chain rule, we get ", ""),
    ("Answer: ", ""),
    ("So the derivative of the loss is ", ", as required."),
    ("Using the chain rule we obtain ", " by the chain rule."),
    ("Therefore, the result is ", ", which is the answer."),
    ("Hence we have ", ", where $\\delta$ is the error signal."),
    ("It follows that the partial derivatives are ", "."),
];

/// Words in front of a formula, and what they make of it: `#` is the formula. Words without a formula are refused.
const BEFORE: &[(&str, Option<&str>)] = &[
    ("minus", Some("-(#)")),
    ("negative", Some("-(#)")),
    ("the negative of", Some("-(#)")),
    ("half of", Some("\\frac{1}{2} (#)")),
    ("half", Some("\\frac{1}{2} (#)")),
    ("twice", Some("2 (#)")),
    ("two times", Some("2 (#)")),
    ("double", Some("2 (#)")),
    ("three times", Some("3 (#)")),
    ("zero times", Some("0 (#)")),
    ("m times", Some("m (#)")),
    ("the transpose of", Some("(#)^\\top")),
    ("the opposite of", None),
    ("the inverse of", None),
    ("the reciprocal of", None),
    ("the average of", None),
    ("the mean of", None),
    ("the sum of the entries of", None),
    ("the norm of", None),
    ("the diagonal of", None),
    ("the absolute value of", None),
    ("the sign of", None),
    ("the maximum of", None),
    ("the logarithm of", None),
    ("the root of", None),
    ("the first row of", None),
    ("the first column of", None),
    ("the first entry of", None),
    ("a third of", None),
    ("a quarter of", None),
    ("a multiple of", None),
    ("a fraction of", None),
    ("one minus", Some("1 - (#)")),
    ("one plus", Some("1 + (#)")),
    ("0 or", None),
    ("either 0 or", None),
    ("either", None),
    ("not", None),
    ("it is not", None),
    ("everything except", None),
    ("everything but", None),
    ("never", None),
    ("nothing like", None),
    ("no", None),
    ("almost", None),
    ("approximately", None),
    ("roughly", None),
    ("about", None),
    ("probably", None),
    ("perhaps", None),
    ("less than", None),
    ("greater than", None),
    ("at least", None),
    ("at most", None),
    ("proportional to", None),
    ("up to a factor", None),
    ("up to sign", None),
    ("up to a constant", None),
    ("except for the sign,", None),
    ("apart from the sign,", None),
    ("ignoring the mask,", None),
    ("without the mask,", None),
    ("the wrong answer is", None),
    ("the complement of", None),
    ("the entries of", None),
    ("the rows of", None),
    ("the shifted", None),
    ("the reversed", None),
    ("the normalized", None),
    ("the scaled", None),
    ("the clipped", None),
    ("the averaged", None),
    ("the product of the entries of", None),
    ("some of", None),
    ("the limit of", None),
    ("the difference from", None),
    ("the derivative of", None),
    ("the gradient of", None),
    ("the expectation of", None),
    ("if $m > 1$,", None),
    ("unless $m = 1$,", None),
    ("instead of", None),
    ("rather than", None),
    ("unlike", None),
    ("different from", None),
    ("false:", None),
    ("wrong:", None),
];

/// The same behind a formula.
const AFTER: &[(&str, Option<&str>)] = &[
    ("transposed", Some("(#)^\\top")),
    ("negated", None),
    ("inverted", None),
    ("reversed", None),
    ("flipped", None),
    ("halved", None),
    ("doubled", None),
    ("squared", Some("(#)^2")),
    ("cubed", None),
    ("normalized", None),
    ("averaged", None),
    ("averaged over the batch", None),
    ("summed", None),
    ("summed over the samples", None),
    ("per sample", None),
    ("rowwise", None),
    ("row by row", None),
    ("for each sample", None),
    ("in absolute value", None),
    ("to the power of two", None),
    ("times two", Some("2 (#)")),
    ("times m", Some("m (#)")),
    ("times $m$", Some("m (#)")),
    ("times zero", Some("0 (#)")),
    ("divided by two", Some("\\frac{#}{2}")),
    ("divided by m", Some("\\frac{#}{m}")),
    ("divided by the batch size", None),
    ("multiplied by $2$", Some("2 (#)")),
    ("multiplied by the batch size", None),
    ("times the learning rate", None),
    ("times the mask", None),
    ("times a constant", None),
    ("times something", None),
    ("plus one", Some("# + 1")),
    ("minus one", Some("# - 1")),
    ("plus a constant", None),
    ("plus the regularizer", None),
    ("or 0", None),
    ("or $0$", None),
    ("or its transpose", None),
    ("or minus that", None),
    ("and its transpose", None),
    ("up to a factor", None),
    ("up to a factor of two", None),
    ("up to sign", None),
    ("up to a transpose", None),
    ("except for the sign", None),
    ("except the mask", None),
    ("but negative", None),
    ("but transposed", None),
    ("but without the mask", None),
    ("with the opposite sign", None),
    ("with a minus sign", None),
    ("with the sign flipped", None),
    ("with the mask inverted", None),
    ("with rows and columns swapped", None),
    ("without the mask", None),
    ("without $\\delta$", None),
    ("ignoring the mask", None),
    ("dropping the mask", None),
    ("only", None),
    ("only where $m > 1$", None),
    ("only for the first layer", None),
    ("where $m > 1$", None),
    ("if $m > 1$", None),
    ("if the unit is active", None),
    ("when the unit is inactive", None),
    ("unless it is zero", None),
    ("until convergence", None),
    ("in reverse order", None),
    ("mod 2", None),
    ("of the previous layer", None),
    ("of the other sample", None),
    ("at zero", None),
    ("evaluated at $x = 0$", None),
    ("restricted to the positive entries", None),
    ("restricted to the first row", None),
    ("with $y$ instead of $f$", None),
    ("with $W^2$ replaced by $W^3$", None),
    ("is wrong", None),
    ("is not right", None),
    ("is not the answer", None),
    ("is incorrect", None),
    ("is twice the gradient", None),
    ("is half the gradient", None),
    ("is the negative gradient", None),
    ("is the same as in 1.4", None),
    ("as in 1.4", None),
    ("like in part 2", None),
    ("plus higher-order terms", None),
    ("approximately", None),
    ("maybe", None),
    ("on average", None),
    ("in expectation", None),
    ("elementwise", None),
    ("shifted by one", None),
    ("clipped at one", None),
    ("divided", None),
    ("squared and halved", None),
    ("does not hold", None),
    ("is zero", None),
    ("isn't it", None),
];

/// The same between δ and h² of question 1.3: `#` is the product that is right.
const BETWEEN: &[(&str, Option<&str>)] = &[
    ("times", Some("\\delta h^2")),
    ("multiplied by", Some("\\delta h^2")),
    ("plus", Some("\\delta + h^2")),
    ("minus", Some("\\delta - h^2")),
    ("divided by", Some("\\delta / h^2")),
    ("elementwise times", Some("\\delta \\odot h^2")),
    ("transposed times", Some("\\delta^\\top h^2")),
    ("squared times", Some("(\\delta)^2 h^2")),
    ("times twice", Some("\\delta (2 h^2)")),
    ("times half", Some("\\delta (\\frac{1}{2} h^2)")),
    ("times minus", Some("\\delta (-h^2)")),
    ("times the transpose of", Some("\\delta h^{2\\top}")),
    ("times the square of", Some("\\delta (h^2)^2")),
    ("times the mask of", Some("\\delta (h^2 \\ge 0)")),
    ("is greater than", Some("\\delta > h^2")),
    ("or", None),
    ("and", None),
    ("not", None),
    ("but not", None),
    ("without", None),
    ("over", None),
    ("per", None),
    ("of", None),
    ("in", None),
    ("on", None),
    ("to", None),
    ("into", None),
    ("with", None),
    ("by", None),
    ("at", None),
    ("through", None),
    ("via", None),
    ("as", None),
    ("like", None),
    ("if", None),
    ("unless", None),
    ("cross", None),
    ("convolved with", None),
    ("composed with", None),
    ("applied to", None),
    ("concatenated with", None),
    ("stacked on", None),
    ("instead of", None),
    ("subtracted from", None),
    ("added to", None),
    ("mod", None),
    ("to the power of", None),
    ("inverse times", None),
    ("then", None),
    ("so", None),
    ("which is not", None),
    ("different from", None),
    ("squared over", None),
    ("the error", None),
    ("depends on", None),
    ("flows into", None),
    ("weighted by", None),
    ("averaged with", None),
    ("; then", None),
];

struct Sentence {
    question: String,
    text: String,
    /// The words with a meaning; empty if there are none.
    words: &'static str,
    /// The formula that the words make.
    written_out: Option<String>,
    /// Whether the words stand between two factors.
    is_between: bool,
}

/// The sentence in each notation: words outside `$…$`, words in `\text{…}`, a display, a remark in parentheses.
fn written(before: &str, formula: &str, after: &str, (open, close): (&str, &str)) -> Vec<String> {
    let space = |text: &str| {
        let glue = if text.is_empty() || text.starts_with([',', '.']) {
            ""
        } else {
            " "
        };
        format!("{glue}{text}")
    };
    let front = if before.is_empty() {
        String::new()
    } else {
        format!("{before} ")
    };
    let (behind, close_text) = (space(after), close);
    let text = |words: &str| {
        if words.trim().is_empty() {
            String::new()
        } else {
            format!("\\text{{{words}}}")
        }
    };
    let mut all = vec![
        format!("{open}{front}${formula}${behind}{close_text}"),
        format!(
            "{}{}{formula}{}{}",
            text(open),
            text(&front),
            text(&behind),
            text(close)
        ),
        format!("{open}{front}\n$${formula}$$\n{after}{close}"),
    ];
    if before.is_empty() && !after.is_empty() {
        all.push(format!("{open}${formula}$ ({after}){close}"));
    }
    all
}

fn sentences() -> Vec<Sentence> {
    let mut all = Vec::new();
    let questions = &graders()[0].assignment().questions;
    let framed = |place: usize| FRAMES[place % FRAMES.len()];
    for (at, question) in questions.iter().enumerate() {
        let solution = &question.solution;
        let mut add =
            |before: &str, words: &'static str, after: &str, makes: Option<&str>, frame| {
                for text in written(before, solution, after, frame) {
                    all.push(Sentence {
                        question: question.id.clone(),
                        text,
                        words,
                        written_out: makes.map(|makes| makes.replace('#', solution)),
                        is_between: false,
                    });
                }
            };
        for (place, (words, makes)) in BEFORE.iter().enumerate() {
            add(words, words, "", *makes, framed(at + place));
        }
        for (place, (words, makes)) in AFTER.iter().enumerate() {
            add("", words, words, *makes, framed(at + place));
        }
        for frame in FRAMES {
            add("", "", "", Some("#"), *frame);
        }
    }
    for (place, (words, makes)) in BETWEEN.iter().enumerate() {
        for (open, close) in [framed(place), ("", "")] {
            for text in [
                format!("{open}$\\delta$ {words} $h^2${close}"),
                format!("{open}\\delta \\text{{ {words} }} h^2{close}"),
                format!("{open}delta {words} h2{close}"),
            ] {
                all.push(Sentence {
                    question: "1.3".to_owned(),
                    text,
                    words,
                    written_out: makes.map(str::to_owned),
                    is_between: true,
                });
            }
        }
    }
    all
}

/// What words may change about a report.
fn outcome(report: &QuestionReport) -> (Verdict, u64, Option<Mistake>) {
    (report.verdict, report.points.to_bits(), report.mistake)
}

/// Whether the message names one of the words, or says that it is unclear how far they reach.
fn names_a_word(message: &str, words: &str) -> bool {
    let quoted = message
        .split('“')
        .skip(1)
        .filter_map(|rest| rest.split('”').next());
    let mut said = quoted.flat_map(|quoted| quoted.split_whitespace());
    said.any(|said| {
        words
            .split(|c: char| !c.is_ascii_alphabetic() && c != '-' && c != '\'')
            .any(|word| word.contains(said))
    })
}

/// What else may be said of words that are not understood.
const OTHER_MESSAGES: &[&str] = &[
    "which one counts",
    "put parentheses",
    "a case without the other",
    "are not clear",
    "is said to be the answer",
];

#[test]
fn a_word_with_a_meaning_is_an_operator_or_refused_by_its_name() {
    let all = sentences();
    let is_long = std::env::var(SECRETS_VARIABLE).is_ok();
    let stride = if is_long {
        1
    } else {
        all.len() / SENTENCES + 1
    };
    let mut formulas = BTreeMap::new();
    let mut faults = Vec::new();
    let mut understood = 0;
    for sentence in all.iter().step_by(stride) {
        let Sentence {
            question,
            text,
            words,
            written_out,
            ..
        } = sentence;
        for (secret, grader) in graders().iter().enumerate() {
            let report = grade(grader, question, text);
            let fault = if report.verdict == Verdict::Invalid {
                let is_named = names_a_word(&report.message, words)
                    || OTHER_MESSAGES
                        .iter()
                        .any(|other| report.message.contains(other));
                let is_like_formula = written_out.as_ref().is_some_and(|formula| {
                    outcome(&grade(grader, question, formula)) == outcome(&report)
                });
                (!is_named && !is_like_formula).then_some("INVALID without the word")
            } else if let Some(formula) = written_out {
                understood += 1;
                let expected = *formulas
                    .entry((secret, question.clone(), formula.clone()))
                    .or_insert_with(|| outcome(&grade(grader, question, formula)));
                (outcome(&report) != expected).then_some("graded otherwise than the formula")
            } else if report.verdict == Verdict::Correct {
                Some("CORRECT")
            } else {
                // Beside δ, what words say of h² leaves δ alone, which is wrong.
                (!sentence.is_between).then_some("graded")
            };
            if let Some(fault) = fault {
                let read = report.understood.map_or(String::new(), |read| read.plain);
                faults.push(format!(
                    "{fault}: {question} [{words}] {text}\n    {} {}\n    read as {read}",
                    report.verdict, report.message
                ));
                break;
            }
            // What is not read is not read under any secret.
            if report.verdict == Verdict::Invalid {
                break;
            }
        }
    }
    faults.sort();
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        all.len() / stride,
        faults.join("\n")
    );
    assert!(understood > 100, "{understood}");
}

/// How many tokens the test of tokens changes.
const TOKENS: usize = 500;

/// Tokens that group, separate or space, so that a formula is read alike without them or with one more.
const NEUTRAL: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "$",
    ",",
    ".",
    ";",
    ":",
    "!",
    "\\",
    "&",
    "\\left",
    "\\right",
    "\\big",
    "\\Big",
    "\\bigl",
    "\\bigr",
    "\\cdot",
    "\\times",
    "·",
    "×",
    "@",
    "\\mathbf",
    "\\mathrm",
    "\\bm",
    "\\boldsymbol",
    "\\displaystyle",
    "\\limits",
    "\\boxed",
    "+",
    "\\vec",
    "\\mathit",
    "\\mathsf",
    "\\mathcal",
    "\\textstyle",
    "\\mathop",
    "\\mathbin",
    "\\hspace",
    "\\theta",
    "▒",
];

#[test]
fn a_token_is_passed_by_only_where_it_groups_or_spaces() {
    let grader = &graders()[0];
    let answers = super::right();
    let mut all = Vec::new();
    for answer in &answers {
        let text = &answer.text;
        let is_formula = ["latex", "unicode", "operators", "styles", "plain", "seed"]
            .iter()
            .any(|kind| answer.kind == format!("right/{kind}"));
        let words = [
            "\\text",
            "\\in",
            "\\forall",
            "quad",
            "\n",
            "\\begin",
            "where",
            "for ",
            "\\mathbb",
            "\\operatorname",
        ];
        if !is_formula || words.iter().any(|word| text.contains(word)) {
            continue;
        }
        // A derivation counts by its last side.
        let start = text.rfind('=').map_or(0, |at| at + 1);
        let tokens = super::tokens(text).into_iter();
        all.extend(
            tokens
                .filter(|token| token.start >= start)
                .map(|token| (answer, token)),
        );
    }
    let is_long = std::env::var(SECRETS_VARIABLE).is_ok();
    let stride = if is_long { 1 } else { all.len() / TOKENS + 1 };
    let mut faults = Vec::new();
    for (answer, token) in all.into_iter().step_by(stride) {
        let text = &answer.text;
        let (before, own, after) = (
            &text[..token.start],
            &text[token.clone()],
            &text[token.end..],
        );
        let original = grade(grader, &answer.question, text);
        for change in [
            format!("{before} {after}"),
            format!("{before}{own} {own}{after}"),
            format!("{before}-{own}{after}"),
        ] {
            let report = grade(grader, &answer.question, &change);
            if report.verdict == Verdict::Correct
                && report.understood == original.understood
                && !NEUTRAL.contains(&own)
            {
                faults.push(format!("{} {own:?}: {change}", answer.question));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
