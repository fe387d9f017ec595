//! Which answers are alike: those of equal value, however they are written.

use super::Grader;
use super::question::best;
use super::values::{Values, evaluate_on};
use crate::formula::{parse, readings};

/// Values that agree to this many units of the largest entry are equal.
const STEPS: f64 = 1e8;

impl Grader {
    /// A digest of an answer's values on the question's networks; `None` if it has none. Two answers with one digest are
    /// the same function of the network's quantities, right or wrong.
    pub fn value_digest(&self, question: &str, answer: &str) -> Option<String> {
        let mut prepared = self.prepared().iter();
        let prepared = prepared.find(|prepared| prepared.question.id == question)?;
        let chains = parse(answer, &prepared.scope).ok()?;
        let side = chains.into_iter().next_back()?.pop()?;
        let solution = &prepared.solution;
        let candidates = readings(&side.expr.ok()?);
        let values = best(
            candidates
                .iter()
                .map(|reading| evaluate_on(reading, &solution.networks, &solution.letters)),
        );
        digest(&values)
    }
}

fn digest(values: &Values) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    for network in &values.networks {
        for matrix in network.matrices.as_ref()? {
            let entries = matrix.entries();
            let largest = entries
                .iter()
                .fold(0.0f64, |most, entry| most.max(entry.abs()));
            let unit = if largest > 0.0 { largest / STEPS } else { 1.0 };
            let (rows, columns) = matrix.shape();
            // Equal multiples of one another differ in the size of their unit.
            let size = (largest.log2() * 64.0).round();
            for number in [rows as f64, columns as f64, size] {
                hasher.update(&number.to_le_bytes());
            }
            for entry in entries {
                // −0 is 0.
                hasher.update(&((entry / unit).round() + 0.0).to_le_bytes());
            }
        }
    }
    Some(hasher.finalize().to_hex()[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use crate::grade::{Assignment, BUILT_IN, Grader};

    #[test]
    fn answers_of_equal_value_have_one_digest() {
        let (file, text) = BUILT_IN[0];
        let assignment = Assignment::parse(text, file).expect("it is sound");
        let grader = Grader::new(assignment, b"s").expect("it is sound");
        let of = |question: &str, answer: &str| grader.value_digest(question, answer);
        let wrong = of("1.11", r"(\delta W^3)^\top h^1");
        assert!(wrong.is_some());
        assert_eq!(
            wrong,
            of(
                "1.11",
                r"\frac{\partial l}{\partial W^2} = W^{3\top} \delta h^1"
            )
        );
        assert_eq!(wrong, of("1.11", "delta * W3.T @ h1"));
        assert_ne!(wrong, of("1.11", r"2 (\delta W^3)^\top h^1"));
        assert_ne!(wrong, of("1.11", r"-(\delta W^3)^\top h^1"));
        assert_ne!(wrong, of("1.11", r"(\delta W^3 \odot (z^2 > 0))^\top h^1"));
        assert_ne!(of("1.5", r"\delta W^3"), of("1.5", r"(\delta W^3)^\top"));
        assert_eq!(of("1.1", r"\quux"), None);
        assert_eq!(of("9", "1"), None);
    }
}
