//! The words that an answer may contain besides its formulas, and their meanings.
//!
//! A word on the lists of [`Class::Filler`], [`Class::Noun`], [`Class::Mark`] and [`Class::Reason`] changes no formula
//! in any sentence. A word that could change one is an operator here, or it is on no list, and an answer with it is
//! refused by name.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The meaning of a word or a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Without a meaning for the value; ends the formula before it.
    Filler,
    /// The same, and it may stand in front of the formula that it names: "the mask (z > 0)".
    Noun,
    /// That a product or a function goes entry by entry. In front of a formula with ⊙, or in a description.
    Adverb,
    /// The next formula is the answer.
    Mark,
    /// The next formula is a reason, up to a comma.
    Reason,
    /// The next formulas are definitions.
    Define,
    /// The quantity that follows is only mentioned: "with respect to W".
    Mention,
    /// `=`, between formulas.
    Is,
    /// Joins two operands, or two formulas.
    And,
    /// In front of a condition.
    If,
    /// In front of a condition, an index or a quantity.
    For,
    /// In front of or behind the value in all other cases.
    Otherwise,
    /// Between a condition and its value.
    Then,
    /// In front of indices and their ranges.
    ForAll,
    /// With the number that follows it, the name of a place: "layer 2".
    Label,
    /// Between two quantities, of which one depends on the other or does not.
    Relates,
    /// Behind a formula: a sum over its repeated indices.
    Summed,
    /// Words that mean something together, and that no rule understands.
    Refused,
    /// In front of a shape.
    Shape,
    /// In front of a point where a derivative does not exist.
    Undefined,
    /// A number.
    Number(&'static str),
    /// Between two operands.
    Infix(&'static str),
    /// In front of an operand.
    Prefix(Prefix),
    /// Behind an operand.
    Postfix(Postfix),
}

/// An operator in front of its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Negative,
    Half,
    Twice,
    Transpose,
    Square,
    /// 1 where the operand is not negative, or the condition that the operand is.
    Mask,
    /// The same for "the indicator that".
    Indicator,
    /// Σ over the index that follows.
    SumOver,
    /// Of two operands.
    Pair(&'static str),
    Outer,
    Inner,
}

/// An operator behind its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Postfix {
    Transpose,
    Square,
    /// A comparison with zero.
    Sign(&'static str),
}

/// Single words and phrases of each class, one phrase a line part, separated by commas.
#[rustfmt::skip]
const TABLE: &[(Class, &str)] = &[
    (Class::Filler, "
        the chain rule, chain rule, by the chain rule, by chain rule, using the chain rule, via the chain rule,
        from the chain rule, applying the chain rule, apply the chain rule, multivariate chain rule,
        the multivariable chain rule, the product rule, by linearity, linearity, by definition, by the definition,
        we, i, you, can, could, may, might, will, would, shall, should, must, have, has, had, do, does, did, want, need,
        know, knows, known, see, seen, find, found, compute, computed, computing, calculate, calculated, calculating,
        derive, derived, deriving, differentiate, differentiating, differentiation, taking, take, taken, write, written,
        rewrite, rewritten, rewriting, put, putting, plug, plugging, plugged, in, into, substitute,
        substituting, substituted, substitution, insert, inserting, simplify, simplifying, simplified, simplification,
        simply, just, also, further, furthermore, moreover, finally, lastly, next, now, again, then again, above, below,
        previous, previously, earlier, already, follows, following, follow, follows that, it, its, itself, this, that,
        these, those, there, them, they, their, which, our, us, my, me, your, be, been, being, was, were,
        to, up, out, down, as, as needed, as required, as desired, as before, as above, as follows, as expected, as well,
        on, such, well, very well, directly, immediately, easily, clearly, obviously, trivially,
        straightforward, straightforwardly, exactly, precisely, explicitly, compactly, compact, concise, concisely,
        conveniently, in other words, other words, that is to say, i.e., ie, e.g., eg, for example, for instance,
        for simplicity, simplicity, for brevity, brevity, for convenience, convenience, for short, short, for clarity, clarity,
        in short, in summary, summary, in conclusion, conclusion, in total, in general, in matrix form,
        in vector form, in matrix notation, in vector notation, in scalar form, in index notation, in terms of, terms of,
        in our case, in this case, in our network, this case, matrix form, vector form, form, notation, vector notation,
        matrix notation, vectorized, vectorised, vectorizing, vectorising, expression, expressions, formula, formulas,
        equation, solution, work, working, proof, derivation, explanation, explained, reasoning, step by step,
        quod erat demonstrandum, qed, hope, think, believe, please, thanks, thank, hi, hello, dear, sorry, okay, ok, yes, sure,
       
        keep in mind, mind, keep, point, fact, important, importantly, useful, idea, intuition, intuitively, intuitive,
        sense, makes, make, made, because of, due, due to, thanks to, use, used, uses, rule, rules, trick,
        definition, definitions, property, assignment, course, lecture, class, slides, notes, book, professor, ta,
        depends, depend, dependence, affects, affect, influences, influence, contributes, contribute, contribution,
        flows, flow, flowing, backward, backwards, backprop, backpropagation, backpropagate, backpropagating,
        backpropagates, propagated, propagate, propagates, propagating, pass, passes, through, forward, network,
        relevant, corresponding, respective, respectively, full, complete, overall, final, finished, done,
        desired, required, requested, asked, wanted, needed, indeed, really, actually, basically,
        essentially, specifically, particular, in particular, equivalently, equivalent, alternatively,
        started, starting, start, begin, beginning, first of all, to begin with, to start, let us, let's, lets,
        go, going, goes, arrive, arrives, arrive at, end up with, come, comes, came, leads, lead, so far, everything,
        together, combining, combine, combined, collecting, collect, collected, putting everything together, putting it together,
        putting this together, hand, side, hand side, path, paths, route, way, ways, ends, ending, each of these,
        named, called, so-called, standing, commonly, usually, often, always, typically, usual, standard, convention,
        conventions, chosen, choose, choice, shown, show, shows, showing, proved, prove, stated, state,
        it's, that's, here's, task, asks, asking, entry by entry,
        subderivative, subgradient, interesting, nice, nicely, good, fine, easy, cool, great, happy,
        one gets, one obtains, one has, one finds, one can, one may, one needs, one sees, one writes,
        student, name, date, dealing, considering, consider, considered, looking, look, applying, apply, applied, applies,
        interested, carrying, carry, carried, carries, requires, require, involves, involve, involved, appears, appear, appearing,
        at each step, at every step, at last, at the end, in the end, steps, after simplification, after simplifying,
        after substituting, after plugging in, after substitution, after applying the chain rule, thank you, for this question,
        for this problem, for this part, for this exercise, for this, for the gradient, for the derivative, for the answer,
        of course, of the loss, of the network, of the output, of the layer, of the weights, of the weight,
        both, stacking, gets, own, back, further back, one layer, one step, one more layer, going one layer back, going one layer further back, side by side, next to each other, like that,
        all of them, each of them, all of these, all entries, every entry, all partial derivatives, there is no path, no path, there is no dependence, no dependence, does not appear, it does not appear, there is no connection,
        by the same argument, by the same reasoning, the same reasoning, same chain rule, same rule, the same chain rule, by the same token, by symmetry, the same shape as, same shape as, has the same shape as, which has the same shape as,
        that is, or equivalently, in words, in symbols, put differently, which is the same as, which feeds, so that in the end,
        on the left, left hand side, right hand side, left-hand side, right-hand side, lhs, rhs,
        with the chain rule, with backpropagation, with backprop, regards, cheers, sincerely,
        going backwards, going backward, since we know, as we know, as we saw, as we have seen, as seen, as shown, 
        flipping sides, flipping the sides, simpler, connection, connections, a bit, bit, a little, little, some algebra, algebra, after some algebra, calculus, some, kind"),
    (Class::Noun, "
        the, a, an, gradient, gradients, derivative, derivatives, partial, partials, partial derivative,
        partial derivatives, jacobian, loss, losses, cost, error, error signal, errors, signal, upstream, downstream, local, incoming,
        outgoing, weight, weights, activation, activations, preactivation, preactivations, pre-activation, pre-activations,
        output, outputs, input, inputs, hidden, unit, units, neuron, neurons, node, nodes, hidden layer, layers,
        prediction, predictions, target, targets, label, labels, sample, samples, data, batch, minibatch, mini-batch,
        scalar, scalars, vector, vectors, matrix, matrices, row, rows, column, columns, row vector, column vector,
        entry, entries, element, elements, component, components, coordinate, coordinates, term, terms, factor, factors,
        value, values, number, numbers, quantity, variable, variables, parameter, parameters, symbol, mask, masks, relu mask,
        relu, function, functions, activation function, relu function, relu's, residual, residuals, difference vector,
        expression for, linear, nonlinear, nonlinearity, index, indices, subscript, superscript, multiplication, operation, operator,
        operations, product, indicator, indicator function, step function, heaviside, heaviside function, unit step,
        heaviside step function, relu derivative, sensitivity, sensitivities, dimensions, single, hidden activations,
        hidden activation, network output, network's, model, model's, neural, neural network"),
    (Class::Adverb, "elementwise, element-wise, componentwise, component-wise, entrywise, entry-wise, pointwise, coordinatewise, hadamard, applied elementwise,
        applied element-wise, applied entrywise, applied entry-wise, applied componentwise, applied pointwise, acts elementwise, acts element-wise,
        taken elementwise, taken element-wise, evaluated elementwise, evaluated element-wise, is applied elementwise, is applied element-wise, applied to each entry,
        is taken elementwise, is taken element-wise, is elementwise, is element-wise, applied entry by entry, is evaluated elementwise, holds elementwise, hadamard product, elementwise product, element-wise product,
        elementwise multiplication, element-wise multiplication, hadamard multiplication, entrywise product, entry-wise product, the elementwise product, the hadamard product,
        the element-wise product, the elementwise multiplication, the element-wise multiplication, entry-wise multiplication, entrywise multiplication"),
    (Class::Mark, "
        answer, answers, final answer, my answer, my final answer, the answer, result, results, end result, therefore, thus, hence,
        so, so that, then, consequently, accordingly, we get, get, gets, getting, obtain, obtains, obtained, obtaining, gives, give, giving,
        gave, yields, yield, yielding, becomes, become, produces, results in, resulting in, implies, implying, means, which means,
        we find, we have, we obtain, simplifies to, reduces to, evaluates to, works out to, comes out to, turns into,
        turns out to be, amounts to, boils down to, in conclusion, answer is, it follows that, from which, whence, leads to,
        can be written, can be written as, may be written as, is written as, rewritten as, written as, can be expressed as, expressed,
        conclude, concluding, concluded, therefore we, giving us, gives us"),
    (Class::Reason, "since, because, given, given that, using, knowing, use that, using that, by using, noting, noting that,
        note, note that, recall, recall that, remember that, observe that, assuming, assume, suppose, from, using the fact that,
        the fact that, due to the fact that, as we know that, seeing that, via, check, because of the fact that"),
    (Class::Define, "let, where, wherein, with, define, defining, denote, denoting, set, setting, call, calling, abbreviate, abbreviating, introduce,
        introducing, letting, write for, in which, here, put, say, namely, writing"),
    (Class::Mention, "of, with respect to, w.r.t., wrt, w.r.t, respect to, of each, for each entry of, through, regarding, on, in, via"),
    (Class::Is, "is, are, equals, equal, equal to, is equal to, are equal to, is given by, are given by, given by, is defined as,
        defined as, is defined to be, defined by, is just, is simply, is exactly, is then, is therefore, is thus, is hence, is the same as,
        is nothing but, stands for, denotes, denote the, represents, refers to, becomes, is denoted by, to be, be, is computed as, is calculated as,
        is obtained as, can be written as, is found to be, will be, would be, must be, should be, is now, is also"),
    (Class::And, "and"),
    (Class::If, "if, when, whenever, wherever, provided, provided that, as long as, given that it, in case, so long as"),
    (Class::For, "for"),
    (Class::Otherwise, "otherwise, else, elsewhere, in all other cases, in every other case, in the other case, everywhere else, for all other values,
        in other cases, anything else, "),
    (Class::Then, "then"),
    (Class::ForAll, "for all, for each, for every, for any, forall, for some fixed, each, every, for fixed, ranges over, runs over, runs from, ranges from, index, indices,
        indexes, summation index, summation indices, dummy index, range over, run over"),
    (Class::Label, "layer, part, question, problem, exercise, step, section, q, eq, eqn, equation, eq., no., page, chapter, homework, hw, item, line"),
    (Class::Shape, "of shape, shape, has shape, with shape, of size, size, of dimension, of dimensions, dimensions, dimension, has size, has dimensions, has dimension,
        whose shape is, its shape is, the shape is, with dimensions, with size, dims, of dims"),
    (Class::Refused, "up to, some of, a part of, part of, a bit of, a multiple of, some multiple of, a fraction of, a function of, the same as in, is the same as in, same as in, in addition to, on top of, as well as,
        back to front, the other way around, out of, a little of, kind of, as column, as columns, as rows, in the other direction, in turn, given to, put before, put behind"),
    (Class::Relates, "does not depend on, do not depend on, doesn't depend on, don't depend on, does not depend at all on, is independent of, are independent of, independent of,
        is not a function of, is no function of, does not appear in, do not appear in, doesn't appear in, does not occur in, does not show up in, never appears in, does not involve, do not involve,
        doesn't involve, does not contain, do not contain, doesn't contain, does not include, doesn't include, does not affect, do not affect, doesn't affect, does not influence, doesn't influence,
        has no effect on, has no influence on, have no effect on, does not enter, doesn't enter, does not enter into, is not connected to, isn't connected to, is not used in, is not used by, does not contribute to,
        doesn't contribute to, does not reach, doesn't reach, does not feed into, is unaffected by, is not affected by, has no dependence on, has no dependency on, depends only on, only depends on, depends on, depend only on, only depend on,
        feeds only, only feeds, feeds only into, only feeds into, feeds into, feeds, only affects, affects only, appears only in, only appears in, only involves, involves only, only influences, influences only, only contributes to, contributes only to,
        is constant with respect to, is constant in, is a function of, is connected to, is connected only to, is only connected to, only uses, uses only"),
    (Class::Summed, "einstein summation, with einstein summation, using einstein summation, einstein notation, in einstein notation, using einstein notation, einstein convention, with the einstein convention, using the einstein convention,
        einstein summation convention, with the einstein summation convention, using the einstein summation convention, with einstein's convention, einstein summation over,
        with summation over, with an implicit sum over, with an implied sum over, with implied summation over, where we sum over, where summation over, and summation over, and sum over,
        summation over repeated indices, summation over the repeated index, sum over repeated indices, sum over the repeated index, summed over repeated indices, summed over the repeated index,
        with summation over repeated indices, with summation over the repeated index, repeated indices are summed, repeated indices summed, repeated index summed, repeated indices are summed over, the repeated index is summed,
        the repeated index is summed over, with summation implied, summation implied, summation is implied, with implied summation, with implicit summation, implicit summation"),
    (Class::Undefined, "undefined at, is undefined at, undefined for, undefined when, undefined if, not differentiable at, is not differentiable at, not defined at, is not defined at,
        and undefined at, and is undefined at, does not exist at, nondifferentiable at, non-differentiable at"),
    (Class::Number("0"), "zero"),
    (Class::Number("1"), "one"),
    (Class::Number("2"), "two"),
    (Class::Number("3"), "three"),
    (Class::Infix("-"), "minus, "),
    (Class::Infix("+"), "plus"),
    (Class::Infix("×"), "times, multiplied by, multiplied with, times the, matrix times, matrix-multiplied by, matrix multiplied by, matrix multiplied with, matmul, matrix product with,
        matrix-vector product with, matrix multiplication with, scaled by, multiplying, dot product with, dotted with, post-multiplied by, right-multiplied by, multiplied on the right by"),
    (Class::Infix("⊙"), "elementwise times, element-wise times, elementwise multiplied by, elementwise multiplied with, multiplied elementwise by, multiplied elementwise with,
        multiplied element-wise by, multiplied element-wise with, element-wise multiplied by, element-wise multiplied with, hadamard product with, hadamard with, hadamard times,
        hadamard-multiplied by, hadamard multiplied by, hadamard multiplied with, elementwise product with, element-wise product with, multiplied entrywise by,
        multiplied entry by entry with, multiplied entry by entry by, multiplied entry-wise by, multiplied componentwise by, times elementwise, masked by, gated by"),
    (Class::Infix("/"), "divided by, "),
    (Class::Infix(">"), "is greater than, greater than, is larger than, larger than, is bigger than, bigger than, exceeds, is strictly greater than,
        strictly greater than, is above, is more than, more than, is strictly larger than"),
    (Class::Infix(">="), "is greater than or equal to, greater than or equal to, greater or equal to, is greater or equal to, is at least, at least, is larger than or equal to,
        larger than or equal to, is no less than, is not less than, is not smaller than, is bigger than or equal to, greater or equal, is greater or equal"),
    (Class::Infix("<"), "is less than, less than, is smaller than, smaller than, is strictly less than, strictly less than, is below, is strictly smaller than"),
    (Class::Infix("<="), "is less than or equal to, less than or equal to, is smaller than or equal to, smaller than or equal to, is at most, at most, is not greater than, is no more than,
        less or equal to, is less or equal to"),
    (Class::Prefix(Prefix::Negative), "minus, negative, the negative, the negative of, negative of, minus the, the additive inverse of, negated, the negation of"),
    (Class::Prefix(Prefix::Half), "half, half of, one half of, one half times, one half, half times, a half of, half the"),
    (Class::Prefix(Prefix::Twice), "twice, two times, double, twice the, double the"),
    (Class::Prefix(Prefix::Transpose), "transpose of, the transpose of, transposed of, the transposed, the transpose, transpose"),
    (Class::Prefix(Prefix::Square), "the square of, square of"),
    (Class::Prefix(Prefix::Mask), "mask of, the mask of, relu mask of, the relu mask of, the binary mask of, binary mask of, the activation mask of,
        derivative of relu at, derivative of the relu at, the derivative of relu at, the derivative of the relu at, the relu derivative at, relu derivative at,
        relu derivative of, the relu derivative of"),
    (Class::Prefix(Prefix::Indicator), "the indicator that, indicator that, the indicator of, indicator of, the indicator function of, indicator function of, the indicator of whether,
        indicator of whether, the indicator for, indicator for, the indicator of the event, the indicator whether"),
    (Class::Prefix(Prefix::SumOver), "sum over, the sum over, summed over, summing over, summation over, the summation over, sum over all, the sum over all, sum over the index, sum from"),
    (Class::Prefix(Prefix::Pair("⊙")), "elementwise product of, the elementwise product of, element-wise product of, the element-wise product of, the hadamard product of, hadamard product of,
        entrywise product of, entry-wise product of, componentwise product of, pointwise product of, elementwise multiplication of, element-wise multiplication of"),
    (Class::Prefix(Prefix::Pair("×")), "product of, the product of, matrix product of, the matrix product of, matrix multiplication of, the matrix multiplication of, the product between, product between"),
    (Class::Prefix(Prefix::Pair("+")), "sum of, the sum of"),
    (Class::Prefix(Prefix::Pair("-")), "difference of, the difference of, difference between, the difference between"),
    (Class::Prefix(Prefix::Outer), "outer product of, the outer product of, outer product between, the outer product between"),
    (Class::Prefix(Prefix::Inner), "inner product of, the inner product of, dot product of, the dot product of, scalar product of, the scalar product of, inner product between, the inner product between, dot product between, the dot product between"),
    (Class::Postfix(Postfix::Transpose), "transposed, transpose, is transposed"),
    (Class::Postfix(Postfix::Square), "squared"),
    (Class::Postfix(Postfix::Sign(">")), "is positive, are positive, positive, is strictly positive, strictly positive, is active, is greater than zero, greater than zero, is live, is larger than zero"),
    (Class::Postfix(Postfix::Sign("<")), "is negative, are negative, negative, is strictly negative, strictly negative, is less than zero, less than zero, is smaller than zero"),
    (Class::Postfix(Postfix::Sign(">=")), "is nonnegative, nonnegative, is non-negative, non-negative, are nonnegative, are non-negative, is not negative,
        is greater than or equal to zero, greater than or equal to zero, is positive or zero, is zero or positive, is at least zero"),
    (Class::Postfix(Postfix::Sign("<=")), "is nonpositive, nonpositive, is non-positive, non-positive, are nonpositive, are non-positive, is not positive,
        is less than or equal to zero, less than or equal to zero, is negative or zero, is zero or negative, is at most zero"),
];

/// What to write in place of a word that is not understood.
pub(super) fn instead(word: &str) -> &'static str {
    match word {
        "or" | "either" | "maybe" | "perhaps" | "probably" | "guess" | "unsure" => {
            "give one answer"
        }
        "and" => "give one answer, or put an operator between the formulas",
        "not" | "except" | "without" | "but" | "only" | "unless" | "wrong" | "never" | "no" => {
            "write what you mean as a formula"
        }
        "average" | "averaged" | "mean" => "write \\frac{1}{m} \\sum_{k=1}^m, or 1/m",
        "sum" | "summed" | "summation" | "over" => "write the sum as \\sum_{q=1}^{n_2} …",
        "rowwise" | "row-wise" | "columnwise" | "column-wise" | "per" => {
            "write the index, as in h^2_{k,\\cdot}"
        }
        "masked" | "gated" => "write the mask, as in \\odot (z^2 \\ge 0)",
        "inverse" | "inverted" | "reciprocal" => "write A^{-1}, or 1/a",
        "transposed" | "transpose" => "write A^\\top",
        "negated" | "opposite" | "flipped" | "reversed" => {
            "write the minus sign, or the formula itself"
        }
        "halved" => "write \\frac{1}{2}",
        "doubled" => "write 2 in front of it",
        "elementwise" | "element-wise" | "entrywise" | "entry-wise" => {
            "write \\odot between the two factors"
        }
        "approximately" | "roughly" | "about" | "almost" => "write the exact formula",
        _ => "write it as a formula, or leave it out",
    }
}

/// The words of a phrase, and what it is.
type Phrase = (Vec<&'static str>, Class);

/// What "first" and its like may count, without a meaning for the formula.
const ORDERED: &str = "row, column, unit, hidden unit, hidden layer, layer, entry, element, component, neuron, factor, term, weight, weights, part, \
    output, input, sample, step, equation, question, line, side, activation, one, diagonal entry, partial derivative, derivative";

/// What a sum may run over in a sentence that goes on with the result.
const SUMMED_OVER: &str = "the batch, the samples, all samples, the sample index, all units, both units, the units, the hidden units, all hidden units, \
    all paths, both paths, the paths, both hidden units, the mini-batch, the minibatch, all data points";

/// The phrases that begin with each word, the longest first.
static PHRASES: LazyLock<HashMap<&'static str, Vec<Phrase>>> = LazyLock::new(|| {
    let mut phrases: HashMap<&str, Vec<(Vec<&str>, Class)>> = HashMap::new();
    for (class, list) in TABLE {
        for phrase in list.split(',') {
            let words: Vec<&str> = phrase.split_whitespace().collect();
            if let Some(first) = words.first() {
                phrases.entry(first).or_default().push((words, *class));
            }
        }
    }
    // "the first hidden unit", "nth row"; "summing over the batch we obtain".
    for ordinal in ["first", "second", "third", "last", "nth"] {
        for noun in ORDERED.split(',') {
            let words = std::iter::once(ordinal).chain(noun.split_whitespace());
            let phrase = (words.collect(), Class::Noun);
            phrases.entry(ordinal).or_default().push(phrase);
        }
    }
    for over in SUMMED_OVER.split(',') {
        for result in [
            "we get",
            "we obtain",
            "we have",
            "we find",
            "gives",
            "yields",
        ] {
            let words = ["summing", "over"]
                .into_iter()
                .chain(over.split_whitespace());
            let words = words.chain(result.split_whitespace());
            let phrase = (words.collect(), Class::Mark);
            phrases.entry("summing").or_default().push(phrase);
        }
    }
    for list in phrases.values_mut() {
        list.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
    }
    phrases
});

/// Every word that occurs in a phrase.
static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let words = PHRASES.values().flatten().flat_map(|(words, _)| words);
    words.copied().chain(MEANINGFUL.iter().copied()).collect()
});

/// Words that change a formula and that no rule understands. They are known as words, so that `or` is not o times r.
#[rustfmt::skip]
const MEANINGFUL: &[&str] = &[
    "not", "or", "no", "nor", "never", "except", "without", "wrong", "but", "only", "unless", "until", "neither", "either",
    "instead", "rather", "opposite", "inverse", "reverse", "average", "mean", "almost", "incorrect", "false", "ignore",
    "ignoring", "excluding", "dropping", "drop", "flipped", "cubed", "triple", "quarter", "third", "isn't", "aren't",
    "doesn't", "don't", "cannot", "can't", "won't", "by", "at", "off", "sum", "plus", "xor", "nothing",
    "maybe", "perhaps", "probably", "approximately", "roughly", "about", "unsure", "guess", "first", "second", "last",
];

/// Whether `word`, in lower case, is a word of ordinary language.
pub(in crate::formula) fn is_word(word: &str) -> bool {
    KNOWN.contains(word)
}

/// Whether `word`, in lower case, may stand in a remark without a meaning for the formula beside it.
pub(in crate::formula) fn is_remark(word: &str) -> bool {
    word.len() == 1 || (is_word(word) && !MEANINGFUL.contains(&word) && !is_operator(word))
}

fn is_operator(word: &str) -> bool {
    let operator = |class| {
        matches!(
            class,
            Class::Infix(_) | Class::Prefix(_) | Class::Postfix(_) | Class::Number(_)
        )
    };
    phrase_as(&[word], operator).is_some()
}

/// The class of the longest phrase that the words begin with, and how many of them it takes.
pub(super) fn phrase(words: &[&str]) -> Option<(Class, usize)> {
    let candidates = PHRASES.get(words.first()?)?;
    let fits = |phrase: &[&str]| {
        phrase.len() <= words.len() && phrase.iter().zip(words).all(|(a, b)| a == b)
    };
    let found = candidates.iter().find(|(phrase, _)| fits(phrase));
    found.map(|(phrase, class)| (*class, phrase.len()))
}

/// All classes of one phrase length, for words with several meanings: the one whose class `wanted` accepts.
pub(super) fn phrase_as(words: &[&str], wanted: impl Fn(Class) -> bool) -> Option<(Class, usize)> {
    let candidates = PHRASES.get(words.first()?)?;
    let fits = |phrase: &[&str]| {
        phrase.len() <= words.len() && phrase.iter().zip(words).all(|(a, b)| a == b)
    };
    let found = candidates
        .iter()
        .find(|(phrase, class)| fits(phrase) && wanted(*class));
    found.map(|(phrase, class)| (*class, phrase.len()))
}

/// The class of the words and how many of them it takes: one that `fits` the place, unless a longer phrase begins here.
pub(super) fn phrase_that(words: &[&str], fits: impl Fn(Class) -> bool) -> Option<(Class, usize)> {
    let plain = phrase(words);
    match (phrase_as(words, fits), plain) {
        (Some(here), Some(plain)) if here.1 >= plain.1 => Some(here),
        (_, plain) => plain,
    }
}
