use super::*;
use backpropd_engine::nn::{Reduction, ReluAtZero};

const HEAD: &str = r#"id = "demo"
title = "A demonstration"
[network]
input_size = 4
loss = "half_squared_error"
layers = [{ units = 3, activation = "relu" }, { units = 1, activation = "linear", bias = true }]
"#;

const QUESTION: &str = r#"[[questions]]
id = "1.1"
part = "One sample"
prompt = "Derive."
points = 2
batch = "one"
of = 'l'
wrt = 'W^2_{1,j}'
free = ["j"]
solution = '\delta h^1_{1,j}'
mistakes = [{ code = "WRONG_INDEX", answer = '\delta h^1_{j,1}' }]
"#;

fn error_of(text: &str) -> (usize, String) {
    let error = Assignment::parse(text, "demo.toml").expect_err("the text is wrong");
    assert!(error.to_string().starts_with("demo.toml:"));
    (error.line, error.reason)
}

/// The error of the demonstration with `from` replaced.
fn error_with(from: &str, to: &str) -> (usize, String) {
    let text = format!("{HEAD}{QUESTION}");
    assert!(text.contains(from), "{from}");
    error_of(&text.replace(from, to))
}

#[test]
fn every_default_is_the_one_documented() {
    let read = Assignment::parse(&format!("{HEAD}{QUESTION}"), "demo.toml").expect("it is right");
    assert_eq!(read.rubric, Rubric::default());
    assert_eq!(read.network.objective.reduction, Reduction::Mean);
    let architecture = &read.network.architecture;
    assert_eq!(architecture.relu_at_zero(), ReluAtZero::One);
    let biases: Vec<bool> = architecture.layers().iter().map(|l| l.has_bias()).collect();
    assert_eq!(biases, [false, true]);
    let question = read.question("1.1").expect("it is there");
    assert_eq!(question.free, ['j']);
    assert!(question.argument.is_empty() && question.hints.is_empty());
    assert_eq!(question.mistakes[0].code, Mistake::WrongIndex);
    assert_eq!(read.max_score(), 2.0);
}

#[test]
fn a_rubric_overrides_only_what_it_names() {
    let text = format!("{HEAD}[rubric]\nsign = 1.0\n{QUESTION}");
    let read = Assignment::parse(&text, "demo.toml").expect("it is right");
    let expected = Rubric {
        sign: 1.0,
        ..Rubric::default()
    };
    assert_eq!(read.rubric, expected);
}

#[test]
fn an_error_names_its_line() {
    assert_eq!(error_with("points = 2", "points = 2\ncolour = 1").0, 12);
    assert_eq!(error_with("WRONG_INDEX", "NO_SUCH_CODE").0, 17);
    assert_eq!(error_with(r#"free = ["j"]"#, r#"free = ["jk"]"#).0, 15);
    assert_eq!(error_with("points = 2", "points = 0").0, 7);
    assert_eq!(error_with("units = 3", "units = 33").0, 3);
    assert_eq!(error_with(r#""demo""#, r#""de mo""#).0, 1);
}

#[test]
fn what_is_wrong_is_refused() {
    for (from, to, reason) in [
        ("points = 2", "points = inf", "not above 0"),
        ("points = 2", "points = nan", "not above 0"),
        (r#"["j"]"#, r#"["J"]"#, "lower-case"),
        (r#"["j"]"#, r#"["j", "j"]"#, "twice"),
        (r#"["j"]"#, "[\"j\"]\nargument = [\"x1\"]", "lower-case"),
        (r#""1.1""#, r#""""#, "not made of"),
        ("input_size = 4", "input_size = 0", "input_size"),
        ("half_squared_error", "cross_entropy", "2 or more units"),
        ("half_squared_error", "hinge", "hinge"),
        ("part = \"One sample\"\n", "", "part"),
        (
            "free",
            "carry = [{ from = '1.1', stands_for = 'l', formula = 'l' }]\nfree",
            "no earlier question",
        ),
        (
            "[[questions]]",
            "[rubric]\nsign = 1.5\n[[questions]]",
            "not a share",
        ),
    ] {
        let (_, given) = error_with(from, to);
        assert!(given.contains(reason), "{to}: {given}");
    }
    assert!(error_of(HEAD).1.contains("0 questions"));
    let (line, reason) = error_of(&format!("{HEAD}{QUESTION}{QUESTION}"));
    assert!(
        line == 18 && reason.contains("another question"),
        "{line}: {reason}"
    );
}
