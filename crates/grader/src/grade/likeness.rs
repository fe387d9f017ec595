//! Which answers are alike: those of equal value, however they are written.

use super::Grader;
use super::meaning::digest;
use super::question::best;
use super::values::evaluate_on;
use crate::formula::{parse, readings};

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
