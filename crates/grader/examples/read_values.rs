//! Prints, as JSON, the values that the grader reads from answers in numpy: `read_values FILE…`.
//!
//! `tests/clients/numpy_answers.py` executes the same answers with numpy on the printed networks, and compares.

use std::collections::BTreeMap;

use backpropd_grader::formula::{Bindings, Expr, Kind, Matrix, Scope, Symbol, evaluate, read};
use backpropd_grader::grade::{
    Assignment, BUILT_IN, BatchKind, Network, Question, sample, sample_networks,
};
use serde_json::{Value, json};

/// The networks that each answer is evaluated on, among those of its question.
const NETWORKS: usize = 4;

/// A file of right answers, or the tables of a file of wrong ones.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Answers {
    Right(BTreeMap<String, Vec<String>>),
    Wrong(BTreeMap<String, BTreeMap<String, Vec<String>>>),
}

fn main() {
    let (name, text) = BUILT_IN[0];
    let assignment = Assignment::parse(text, name).expect("the built-in file is valid");
    let mut answers = Vec::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let questions: Vec<(String, Vec<String>)> =
            match toml::from_str(&text).expect("the file has answers") {
                Answers::Right(questions) => questions.into_iter().collect(),
                Answers::Wrong(tables) => tables.into_values().flatten().collect(),
            };
        answers.extend(
            questions
                .into_iter()
                .map(|question| (path.clone(), question)),
        );
    }
    let mut questions = BTreeMap::new();
    let mut read = Vec::new();
    for (path, (id, texts)) in answers {
        let question = assignment.question(&id).expect("the question exists");
        let networks = networks(&assignment, question);
        let scope = scope(&assignment, question);
        for text in texts {
            let values = values(&text, question, &scope, &networks);
            read.push(json!({ "file": path, "question": id, "answer": text, "values": values }));
        }
        questions.insert(id, networks.iter().map(numbers).collect::<Vec<_>>());
    }
    println!("{}", json!({ "networks": questions, "answers": read }));
}

fn scope(assignment: &Assignment, question: &Question) -> Scope {
    let architecture = &assignment.network.architecture;
    let layers = architecture.layers().iter().map(|layer| layer.units);
    Scope {
        depth: architecture.depth(),
        argument: question.argument.clone(),
        units: std::iter::once(architecture.input_size())
            .chain(layers)
            .collect(),
        samples: (question.batch == BatchKind::One).then_some(1),
        ..Scope::default()
    }
}

fn networks(assignment: &Assignment, question: &Question) -> Vec<Network> {
    let seed = sample::seed(b"read values", &assignment.id, &question.id);
    let all = sample_networks(&assignment.network, question.batch, seed, NETWORKS);
    let mut all = all.expect("networks are found");
    all.truncate(NETWORKS);
    all
}

fn matrix(matrix: &Matrix) -> Value {
    let rows = matrix.entries().chunks(matrix.columns());
    json!(rows.map(<[f64]>::to_vec).collect::<Vec<_>>())
}

fn numbers(network: &Network) -> Value {
    let of = |symbol| network.value(symbol).map(matrix);
    json!({
        "W1": of(Symbol::Weights(1)),
        "W2": of(Symbol::Weights(2)),
        "W3": of(Symbol::Weights(3)),
        "x": of(Symbol::Activation(0)),
        "y": of(Symbol::Targets),
        "argument": of(Symbol::Argument),
    })
}

/// For each network, the value with each binding of the question's indices, or why there is none.
fn values(text: &str, question: &Question, scope: &Scope, networks: &[Network]) -> Vec<Value> {
    let read = match read(text, scope) {
        Ok(read) => read,
        Err(error) => return vec![json!({ "error": error.message })],
    };
    let side = read.sides.last();
    let Some(side) = side else {
        return vec![json!({ "error": "nothing was read" })];
    };
    let usual = match &side.expr {
        Ok(expr) => expr,
        Err(error) => return vec![json!({ "error": error.message })],
    };
    // The reading as code, of text that is read as mathematics first.
    let is_code = |expr: &&Expr| matches!(expr.kind, Kind::Code(..));
    let mut all = std::iter::once(usual).chain(side.others.iter().map(|other| &other.expr));
    let Some(expr) = all.find(is_code) else {
        return vec![json!({ "mathematics": true })];
    };
    let mut all = Vec::new();
    for network in networks {
        for letters in bindings(question) {
            let names: BTreeMap<String, usize> = letters
                .iter()
                .map(|(letter, at)| (letter.to_string(), *at))
                .collect();
            all.push(match evaluate(expr, network, &letters) {
                Ok(value) => json!({ "letters": names, "value": matrix(&value.matrix) }),
                Err(error) => json!({ "letters": names, "error": error.message }),
            });
        }
    }
    all
}

/// The first and the last value of each index of the question, from 1.
fn bindings(question: &Question) -> Vec<Vec<(char, usize)>> {
    let mut all = vec![Vec::new()];
    for &letter in &question.free {
        all = all
            .into_iter()
            .flat_map(|bound: Vec<(char, usize)>| {
                [1, 2].map(|at| bound.iter().copied().chain([(letter, at)]).collect())
            })
            .collect();
    }
    all
}
