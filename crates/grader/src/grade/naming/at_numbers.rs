//! Names the mistake of an answer at given numbers. On one set of numbers, rounded by a student, several mistakes may have
//! one value: a mistake is named only if none that is as simple fits.

use super::{Ground, Name};
use crate::formula::{Expr, Notation, readings, render};
use crate::grade::Mistake;
use crate::grade::closed::is_of_numbers;
use crate::grade::question::{Prepared, best};
use crate::grade::values::{Values, evaluate_on};

use super::edit::{Edits, Side};
use super::weight::weight;

/// The most changed formulas that are compared for [`blind`].
const MOST_CHANGES: usize = 5_000;

/// The only mistake whose numbers these are.
pub(in crate::grade) async fn name(prepared: &Prepared, values: &Values) -> Option<Name> {
    let right = &prepared.solution.values;
    if values.error.is_some() || values.is_all_zero() {
        return None;
    }
    if let Some(name) = listed(prepared, values) {
        return name;
    }
    let factor = values.factor_of(right);
    match &of_the_whole(prepared, values, factor)[..] {
        [] => {}
        [only] => return Some(Name::one(*only)),
        _ => return None,
    }
    let mut found: Vec<Mistake> = Vec::new();
    let mut add = |mistake| {
        if !found.contains(&mistake) {
            found.push(mistake);
        }
    };
    let list = Ground::new(prepared).list().await;
    for miss in &list.all {
        if let Some(wrong) = miss.values(&prepared.solution).await
            && values.agrees_with(wrong)
        {
            add(miss.mistake);
        }
    }
    // As everywhere, the simplest of several is what happened; of equally simple ones, none is named.
    let lightest = found.iter().map(|&mistake| weight(mistake)).min();
    found.retain(|&mistake| Some(weight(mistake)) == lightest);
    match found[..] {
        [only] => Some(Name::one(only)),
        // A lone number is a multiple of every other one.
        [] if factor.is_some() && right.entries() > 1 => Some(Name::one(Mistake::ConstantFactor)),
        _ => None,
    }
}

/// The mistakes that change the right answer as a whole into these values. They come before those in one place of its
/// formula, since hardly any other mistake changes every entry in the same way.
fn of_the_whole(prepared: &Prepared, values: &Values, factor: Option<f64>) -> Vec<Mistake> {
    let right = &prepared.solution.values;
    let samples = right.networks.first().map_or(1, |network| network.samples) as f64;
    let of_bias = (prepared.question.wrt.as_deref()).is_some_and(|wrt| wrt.starts_with('b'));
    let is = |wanted: f64| factor.is_some_and(|factor| (factor / wanted - 1.0).abs() < 1e-2);
    let all = [
        (
            values.transposed().agrees_with(right),
            Mistake::TransposedResult,
        ),
        (of_bias && values.is_unsummed(right), Mistake::BiasNotSummed),
        (is(-1.0), Mistake::SignFlipped),
        (samples > 1.0 && is(samples), Mistake::MissingBatchMean),
        (samples > 1.0 && is(1.0 / samples), Mistake::DoubleBatchMean),
    ];
    all.into_iter()
        .filter_map(|(fits, mistake)| fits.then_some(mistake))
        .collect()
}

/// The assignment's own mistake with these values; no name at all if two of them have different codes.
fn listed(prepared: &Prepared, values: &Values) -> Option<Option<Name>> {
    let at = prepared.listed(values)?;
    let code = prepared.listed_mistake(at);
    let all = prepared.listed_values();
    let others = all.iter().filter(|(_, other)| values.agrees_with(other));
    let is_alone = others.clone().all(|(other, _)| *other == code);
    Some(is_alone.then(|| Name {
        listed: Some(at),
        ..Name::one(code)
    }))
}

/// The mistakes that given numbers cannot show, each with a formula that makes it and is right at them: listed mistakes,
/// and single changes of the solution that differ from it on sampled networks.
pub(in crate::grade) fn blind(prepared: &Prepared) -> Vec<(Mistake, String)> {
    let Some(numbers) = &prepared.numbers else {
        return Vec::new();
    };
    let (here, elsewhere) = (&prepared.solution, &numbers.elsewhere);
    let mut found: Vec<(Mistake, String)> = Vec::new();
    for ((mistake, values), listed) in prepared
        .listed_values()
        .into_iter()
        .zip(&prepared.question.mistakes)
    {
        if values.within(numbers.tolerance).agrees_with(&here.values) {
            found.push((mistake, listed.answer.clone()));
        }
    }
    if is_of_numbers(&here.formula) {
        return found;
    }
    let Some(network) = elsewhere
        .networks
        .iter()
        .max_by_key(|network| network.samples())
    else {
        return found;
    };
    let mut edits = Edits::new(here.formula.clone(), Side::Solution, &[], network);
    for _ in 0..MOST_CHANGES {
        let Some(edit) = edits.advance() else { break };
        if found.iter().any(|(mistake, _)| *mistake == edit.mistake) {
            continue;
        }
        let values = |networks| on(edit.expr, networks, &here.letters);
        let is_right_here = values(&here.networks)
            .within(numbers.tolerance)
            .agrees_with(&here.values);
        let others = || values(&elsewhere.networks);
        if is_right_here && others().evaluated() > 0 && !others().agrees_with(&elsewhere.values) {
            found.push((edit.mistake, render(edit.expr, Notation::Plain)));
        }
    }
    found
}

fn on(expr: &Expr, networks: &[crate::grade::Network], letters: &[Vec<(char, usize)>]) -> Values {
    best(
        readings(expr)
            .iter()
            .map(|reading| evaluate_on(reading, networks, letters)),
    )
}
