//! Long, flat, wide and nested answers on a small stack: each gets a verdict within bounded work.
//!
//! The usual run takes a part of all combinations, in which every form, front and length occurs. `ALL_SHAPES=1` takes
//! all of them.

mod page;
mod shapes;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use backpropd_grader::formula::{
    Expr, Kind, Notation, Operator, STACK_BYTES, Scope, Span, Symbol, parse, readings, render,
};
use backpropd_grader::grade::formats::{Format, Style};
use backpropd_grader::grade::submission::Submission;
use backpropd_grader::grade::{
    Assignment, BUILT_IN, Grader, Grading, Mistake, QuestionReport, Reveal, Verdict, lint_key,
};

static HOMEWORK: LazyLock<Arc<Grader>> = LazyLock::new(|| {
    let (file, text) = BUILT_IN[0];
    let assignment = Assignment::parse(text, file).expect("the built-in file is valid");
    Arc::new(Grader::new(assignment, b"secret").expect("it can be graded"))
});

/// The time limit of one answer, in a test build on a busy machine. It usually takes a hundredth.
const LONGEST: Duration = Duration::from_secs(30);

/// One in `usual` of the combinations, or all of them.
fn one_in(usual: usize) -> usize {
    if std::env::var_os("ALL_SHAPES").is_some() {
        1
    } else {
        usual
    }
}

/// Runs on half of the smallest stack on which formulas are parsed. An overflow would end the process.
fn on_half_a_stack<V: Send + 'static>(work: impl FnOnce() -> V + Send + 'static) -> V {
    let thread = thread::Builder::new().stack_size(STACK_BYTES / 2);
    let handle = thread.spawn(work).expect("a thread starts");
    handle.join().expect("no panic")
}

/// Processes an answer as GradeFormulas does: grades it step by step, and renders it in every format.
fn judge(id: &str, text: &str) -> QuestionReport {
    let answers = Arc::new(BTreeMap::from([(id.to_owned(), text.to_owned())]));
    let mut grading = Grading::new(Arc::clone(&HOMEWORK), Arc::clone(&answers), Reveal::Hints);
    while grading.advance() {}
    let report = grading.report();
    let style = Style {
        answers: Some(&answers),
        ..Style::default()
    };
    for format in Format::ALL {
        assert!(!format.write(&report, &style).is_empty());
    }
    let mut questions = report.questions.into_iter();
    questions
        .find(|question| question.id == id)
        .expect("the question exists")
}

/// Holds for every verdict on any answer.
fn assert_sound(report: &QuestionReport, text: &str) {
    let start: String = text.chars().take(60).collect();
    let is_blank = report.message == "No answer was given.";
    if report.verdict == Verdict::Invalid && !is_blank {
        let span = report
            .span
            .expect("an answer that cannot be read has a place");
        assert!(
            span.start <= span.end && span.end <= text.len(),
            "{span:?} in {start}"
        );
        assert!(report.mistake.is_some(), "{start}");
    }
    assert!(!report.message.is_empty(), "{start}");
}

/// Every form with each of its operators, suffixes, prefixes and brackets, at varying positions and lengths.
fn cases() -> impl Iterator<Item = (usize, String)> {
    const BYTES: [usize; 7] = [2000, 8192, 300, 1000, 8192, 50, 4000];
    let kinds = (0..shapes::FORMS).flat_map(|kind| {
        let choices = match kind {
            0 | 1 | 10 | 11 => 2 * shapes::OPERATORS.len(),
            2 | 12 => 2 * shapes::SUFFIXES.len(),
            3 => shapes::PREFIXES.len(),
            4 | 5 => shapes::BRACKETS.len(),
            _ => 2 * shapes::UNITS.len(),
        };
        (0..choices).map(move |choice| (kind, choice))
    });
    kinds.enumerate().map(|(at, (kind, choice))| {
        let first = 7 * choice + at / 5;
        let place = if at % 2 == 0 { 0 } else { at / 2 };
        (
            at,
            shapes::answer(kind, first, choice, place, BYTES[at % 7]),
        )
    })
}

#[test]
fn every_form_has_a_verdict_soon_on_a_small_stack() {
    on_half_a_stack(|| {
        let questions = &HOMEWORK.assignment().questions;
        let (mut slowest, mut invalid, mut all) = ((Duration::ZERO, String::new()), 0, 0);
        for (at, text) in cases().step_by(one_in(3)) {
            let began = Instant::now();
            let report = judge(&questions[at % questions.len()].id, &text);
            assert_sound(&report, &text);
            all += 1;
            invalid += usize::from(report.verdict == Verdict::Invalid);
            if began.elapsed() > slowest.0 {
                slowest = (began.elapsed(), text.chars().take(80).collect());
            }
        }
        println!("{all} answers, {invalid} of them invalid; the slowest: {slowest:?}");
        assert!(slowest.0 < LONGEST, "{slowest:?}");
        assert!(invalid < all, "some forms can be read");
    });
}

#[test]
fn every_form_is_linted_soon_on_a_small_stack() {
    on_half_a_stack(|| {
        let questions = &HOMEWORK.assignment().questions;
        let mut slowest = (Duration::ZERO, String::new());
        for (at, text) in cases().step_by(one_in(17)) {
            let id = questions[at % questions.len()].id.clone();
            let began = Instant::now();
            lint_key(&HOMEWORK, &BTreeMap::from([(id, text.clone())]));
            if began.elapsed() > slowest.0 {
                slowest = (began.elapsed(), text.chars().take(80).collect());
            }
        }
        println!("the slowest: {slowest:?}");
        assert!(slowest.0 < 2 * LONGEST, "{slowest:?}");
    });
}

#[test]
fn a_row_of_a_thousand_is_judged_like_a_short_one() {
    on_half_a_stack(|| {
        for (id, solution) in [
            ("1.3", r"\delta h^2"),
            ("2.7", r"((\delta W^3) \odot (z^2 \ge 0))^\top h^1"),
        ] {
            let many = |piece: &str, count: usize, between: &str| vec![piece; count].join(between);
            for right in [
                format!("{} {solution}", many("1", 900, " ")),
                format!("{} \\odot ({solution})", many("1", 900, r" \odot ")),
                format!("({solution}) / {}", many("1", 900, " / ")),
                many(&format!("\\frac{{{solution}}}{{100}}"), 100, " + "),
                format!("{solution} + {solution} - {solution}"),
            ] {
                let report = judge(id, &right);
                assert_eq!(report.verdict, Verdict::Correct, "{id}: {}", report.message);
            }
            let doubled = format!("{} {solution}", many("2", 3, " "));
            assert_eq!(judge(id, &doubled).mistake, Some(Mistake::ConstantFactor));
        }
        let sum = vec![r"\frac{1}{200} \delta h^2"; 200].join(" + ");
        assert_eq!(judge("1.3", &sum).verdict, Verdict::Correct);
        let flipped = format!("-({sum})");
        assert_eq!(judge("1.3", &flipped).mistake, Some(Mistake::SignFlipped));
    });
}

#[test]
fn too_many_scripts_or_pieces_are_too_large_and_cost_no_attempt() {
    on_half_a_stack(|| {
        for text in [
            format!(r"\delta h^2{}", "'".repeat(200)),
            format!(r"\delta {}", "m ".repeat(2500)),
            format!(r"\delta h^2{}", "_1".repeat(150)),
            format!("{}m{}", "(".repeat(100), ")".repeat(100)),
            format!("m{}", ".dot(m)".repeat(120) + &"'".repeat(120)),
            "m + ".repeat(3000),
        ] {
            let report = judge("1.3", &text);
            assert_eq!(
                (report.verdict, report.mistake),
                (Verdict::Invalid, Some(Mistake::TooLarge)),
                "{}",
                report.message
            );
            let span = report.span.expect("it has a place");
            assert!(span.start < span.end, "{span:?}");
        }
    });
}

#[test]
fn matrices_and_sums_of_millions_of_entries_are_too_large_before_they_are_made() {
    on_half_a_stack(|| {
        let tall = ["ones(1000)"; 8].join("; ");
        for text in [
            format!("[{tall}] @ [{tall}].T"),
            format!("diag([{tall}].T)"),
            format!("[[{tall}], 0; 0, [{tall}].T]"),
            r"\sum_{q=1}^{100000} \sum_{r=1}^{100000} q r".to_owned(),
            r"\sum_{q=1}^{1000} diag(ones(1000).T) = m".to_owned(),
        ] {
            let began = Instant::now();
            let report = judge("1.3", &text);
            assert!(began.elapsed() < LONGEST, "{text}");
            assert_sound(&report, &text);
        }
        let report = judge("1.3", &format!("[{tall}] @ [{tall}].T"));
        assert_eq!(
            report.mistake,
            Some(Mistake::TooLarge),
            "{}",
            report.message
        );
    });
}

#[test]
fn chains_of_costly_sides_have_a_verdict_soon() {
    on_half_a_stack(|| {
        for side in [
            r"(\sum_{q=1}^{20000} m) + y",
            r"\sum_{q=1}^{2000} \frac{\partial z^2_{1,1}}{\partial W^1_{1,1}}",
            r"\sum_{q=1}^{2000} \frac{\partial h^1_{1,1} h^1_{1,1}}{\partial z^1_{1,1}}",
            "m",
        ] {
            let sides = vec![side; 8000 / (side.len() + 3)].join(" = ") + " = m";
            let began = Instant::now();
            assert_sound(&judge("1.3", &sides), &sides);
            println!("{:?} for sides like {side}", began.elapsed());
            assert!(began.elapsed() < LONGEST, "{side}");
        }
        let sides = [r"(\sum_{q=1}^{20000} m) + y"; 270].join(" = ");
        let answers = BTreeMap::from([("1.3".to_owned(), sides)]);
        let began = Instant::now();
        let findings = lint_key(&HOMEWORK, &answers);
        assert!(began.elapsed() < 2 * LONGEST, "{:?}", began.elapsed());
        assert_eq!(findings.len(), 270, "each side has a finding");
    });
}

/// Texts of up to 8 KiB that open something again and again, and may close it.
#[allow(clippy::too_many_lines, reason = "a list of texts")]
fn hostile() -> Vec<String> {
    const OPEN: [(&str, &str, &str); 56] = [
        ("(", "z2", ")"),
        ("[", "1", "]"),
        ("{", "m", "}"),
        ("-", "z2", ""),
        ("~", "z2", ""),
        ("not ", "z2", ""),
        ("f(", "z2", ")"),
        ("np.exp(", "z2", ")"),
        ("np.where(z2 > 0, ", "z2", ", 0)"),
        ("z2 if m > 1 else ", "z2", ""),
        ("x if ", "m", " else y"),
        ("x if ", "", ""),
        ("lambda x: ", "x", ""),
        ("(lambda x: ", "x", ")(z2)"),
        (r"\frac{", "m", "}{2}"),
        (r"\frac", "m", ""),
        (r"\sqrt{", "m", "}"),
        (r"\text{", "a", "}"),
        (r"\text{for $", "m", "$}"),
        (r"\mathrm{", "m", "}"),
        (r"\left(", "m", r"\right)"),
        (r"\begin{pmatrix}", "m", r"\end{pmatrix}"),
        (r"\begin{cases}", "m", r"\end{cases}"),
        (r"\sum_{q=1}^{2} ", "q", ""),
        ("$", "m", ""),
        ("$$", "m", ""),
        ("\"", "m", ""),
        ("'", "m", ""),
        ("`", "m", ""),
        ("```\n", "m", ""),
        ("[", "k", " for k in range(2)]"),
        ("sum(", "z2[k, 0]", " for k in range(m))"),
        ("z2[", "0, 0", "]"),
        ("", "z2", ".T"),
        ("", "np.exp(z2)", "'"),
        ("", "np.exp(z2)", "[0, 0]"),
        ("", "lambda x: x", "(z2)"),
        ("", "np.exp(z2)", " + z2"),
        ("", "np.exp(z2)", " and z2"),
        ("", "np.exp(z2)", " or z2"),
        ("", "np.exp(z2)", " > z2"),
        ("np.exp(z2) ** ", "2", ""),
        ("z2 .^ ", "2", ""),
        ("z2 .* (", "z2", ")"),
        ("z2 .* [", "z2", "]"),
        ("@(z) ", "z .* z2", ""),
        ("x -> ", "x .* z2", ""),
        ("m > 1 ? z2 : ", "z2 .* z2", ""),
        ("x = z2\n", "x.T", ""),
        ("a = m\n", "[a]", ""),
        ("where a = ", "m", ""),
        ("let a = b, ", "m", ""),
        ("m^{", "2", "}"),
        ("m_{", "1", "}"),
        ("d/dx ", "x", ""),
        ("|", "m", "|"),
    ];
    let mut texts = Vec::new();
    // Without a front, after one in Python, after one in MATLAB, and never closed.
    const FRONTS: [Option<&str>; 4] = [
        Some(""),
        Some("a = np.exp(z2)\n"),
        Some("a = z2 .* z2;\n"),
        None,
    ];
    for (form, (open, inner, close)) in OPEN.into_iter().enumerate() {
        let most = 8000 / (open.len() + close.len());
        for (length, count) in [10, 20, 31, 40, 62, 99, most].into_iter().enumerate() {
            let count = count.min(most);
            // The longest text is the one that could overflow the stack.
            let some = if count == most { 1 } else { one_in(4) };
            for front in FRONTS.iter().skip((form + length) % some).step_by(some) {
                texts.push(match front {
                    Some(front) => format!(
                        "{front}{}{inner}{}",
                        open.repeat(count),
                        close.repeat(count)
                    ),
                    None => open.repeat(count),
                });
            }
        }
    }
    for count in [5, 11, 40, 300] {
        let lines = |line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
        let indent = |at: usize| " ".repeat(at.min(40));
        texts.push(lines(&|at| format!("{}def f():\n", indent(at))));
        texts.push(lines(&|at| format!("{}if m > 1:\n", indent(at))) + &indent(count + 1) + "z2");
        texts.push(lines(&|at| format!("{}for k in range(m):\n", indent(at))));
        texts.push("if m > 1:\n x = z2\n".to_owned() + &"elif m > 2:\n x = z2\n".repeat(count));
        let ifs = "  if m > 2:\n    x = 2 * x\n".repeat(count);
        texts.push(format!("def g(x):\n{ifs}  return x\ng(z2)"));
        texts.push(format!("x = [m]\n{}np.array(x)", "x = [x]\n".repeat(count)));
        texts.push(format!(
            "x = [m]\n{}np.array(x)",
            "x = [x, x]\n".repeat(count)
        ));
        texts.push(format!(
            "x = {{}}\n{}np.array(x)",
            "x['a'] = x\n".repeat(count)
        ));
        for (open, close) in [
            ("np.exp(", ")"),
            ("-", ""),
            ("[", "][0]"),
            ("sum(", " for k in range(2))"),
        ] {
            let body =
                |inner: &str| open.repeat(count.min(30)) + inner + &close.repeat(count.min(30));
            let mut calls = format!("def f0(x):\n  return {}\n", body("x"));
            for at in 1..10 {
                let inner = format!("f{}(x)", at - 1);
                calls += &format!("def f{at}(x):\n  return {}\n", body(&inner));
            }
            texts.push(format!("{calls}f6(z2)"));
            texts.push(format!("{calls}f9(z2)"));
        }
    }
    texts
}

#[test]
fn no_text_overflows_a_small_stack() {
    on_half_a_stack(|| {
        for (at, text) in hostile().into_iter().enumerate() {
            let began = Instant::now();
            let id = ["1.3", "2.7"][at % 2];
            assert_sound(&judge(id, &text), &text);
            let start: String = text.chars().take(80).collect();
            assert!(began.elapsed() < LONGEST, "{start}");
        }
    });
}

/// An assignment whose solution, mistake or carried formula is this text.
fn assignment(solution: &str, mistake: &str) -> String {
    format!(
        r#"
        id = "small"
        title = "A line"
        [network]
        input_size = 2
        layers = [{{ units = 2, activation = "relu", bias = true }}, {{ units = 1, activation = "linear", bias = true }}]
        loss = "mean_squared_error"
        [[questions]]
        id = "a"
        part = "One"
        prompt = "dW"
        points = 3
        batch = "many"
        of = 'l'
        wrt = 'W^2'
        solution = '''{solution}'''
        [[questions.mistakes]]
        code = "OTHER"
        answer = '''{mistake}'''
        "#
    )
}

#[test]
fn the_formulas_of_an_assignment_are_held_to_the_same_bounds() {
    on_half_a_stack(|| {
        let mut graders = 0;
        let right = r"\frac{2}{m} (f - y)^\top h^1";
        for (_, text) in cases().step_by(7) {
            for file in [assignment(&text, "m"), assignment(right, &text)] {
                let Ok(assignment) = Assignment::parse(&file, "small.toml") else {
                    continue;
                };
                graders += usize::from(Grader::new(assignment, b"secret").is_ok());
            }
        }
        assert!(graders > 0, "some are assignments");
        // A long row is a valid solution, and the search for its near misses is bounded.
        let long = format!("{} {right}", vec!["1"; 900].join(" "));
        let parsed = Assignment::parse(&assignment(&long, "m"), "small.toml").expect("a file");
        let grader = Grader::new(parsed, b"secret").expect("it is right");
        let answers = BTreeMap::from([("a".to_owned(), format!("2 {right}"))]);
        let report = grader.grade(&answers, Reveal::Mistake).questions.remove(0);
        assert_eq!(report.mistake, Some(Mistake::ConstantFactor));
    });
}

#[test]
fn nested_files_are_refused_or_read_on_a_small_stack() {
    on_half_a_stack(|| {
        let deep = 60_000;
        let nested = |open: &str, close: &str| open.repeat(deep) + "1" + &close.repeat(deep);
        let dotted = vec!["a"; deep].join(".");
        let toml = [
            format!("x = {}", nested("[", "]")),
            format!("x = {}", nested("{a=", "}")),
            format!("{dotted} = 1"),
            format!("[answers]\n{dotted} = '1'"),
            format!("[{dotted}]\nx = 1"),
            format!("[[{dotted}]]\nx = 1"),
            format!("network = {}", nested("{ layers = [", "] }")),
            "[[questions]]\n".repeat(20_000),
            format!("answers = {}", "[".repeat(deep)),
        ];
        for text in &toml {
            let _ = Submission::parse(text, Some("toml"));
            assert!(Assignment::parse(text, "deep.toml").is_err());
        }
        for text in [
            nested("[", "]"),
            nested(r#"{"answers":"#, "}"),
            format!(r#"{{"answers": {}}}"#, nested(r#"{"a":"#, "}")),
            "[".repeat(deep),
        ] {
            assert!(Submission::parse(&text, Some("json")).is_err());
        }
        let tex = r"\begin{answer}{1.1} ".repeat(5000);
        assert!(Submission::parse(&tex, Some("tex")).is_err());
    });
}

#[test]
fn a_row_of_a_hundred_thousand_operands_needs_no_stack() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES / 16);
    let handle = thread.spawn(|| {
        let node = |kind| Expr::new(kind, Span::default());
        let m = || node(Kind::Symbol(Symbol::BatchSize));
        let mut row = m();
        for at in 0..100_000 {
            let operator = [Operator::Times, Operator::Add, Operator::Hadamard][at % 3];
            row = node(Kind::Binary(operator, Arc::new(row), Arc::new(m())));
        }
        assert_eq!(row.height(), 2);
        let mut copy = row.clone();
        copy.number_pieces();
        assert_eq!(copy, row);
        assert_eq!(readings(&row).len(), 1);
        assert_eq!(row.pieces().count(), 200_001);
        assert!(!row.is_written_out());
        drop(copy);
    });
    let handle = handle.expect("a thread starts");
    handle.join().expect("no panic");
}

#[test]
fn a_long_row_is_written_and_read_back() {
    on_half_a_stack(|| {
        let scope = Scope {
            depth: 3,
            ..Scope::default()
        };
        let read = |text: &str| {
            let sides = parse(text, &scope).expect("tokens").remove(0);
            sides
                .into_iter()
                .next()
                .expect("a side")
                .expr
                .expect("a formula")
        };
        for operator in [" + ", " - ", " ", " @ ", r" \odot ", " / "] {
            let formula = read(&vec!["m"; 700].join(operator));
            for notation in [Notation::Latex, Notation::Plain] {
                let written = render(&formula, notation);
                assert_eq!(read(&written), formula, "{operator:?} in {notation:?}");
            }
        }
    });
}
