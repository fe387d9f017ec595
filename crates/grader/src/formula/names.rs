//! A course's own letters: tokens of its notation are replaced by the ones that the parser knows.
//!
//! `a^{[2]}` of one course and `\mathbf{h}^2` of another are the same quantity. Replacing tokens before they are parsed
//! leaves the parser one vocabulary; every token keeps the bytes that the student wrote.

use super::expr::{Expr, Function, Kind};
use super::lexer::{Lexeme, Token, lex};
use super::vocabulary::INDEX_LETTERS;
use super::{FormulaError, Scope, Span, Symbol};

/// The quantities that a course may name in its own way, as the parser knows them.
pub const QUANTITIES: &[&str] = &[
    "W", "b", "z", "h", "x", "y", "yhat", "f", "delta", "sigma", "sigmoid", "l", "m", "n",
];

/// The loss and the activations also serve as scripts (`W^L`), where they stay as they are.
const NOT_IN_SCRIPTS: &[&str] = &["l"];
/// Quantities with a layer, which may follow at once, and which have a gradient with a d in front.
const LAYERED: &[&str] = &["W", "b", "z", "h"];

/// The names of a course. Later entries win over earlier ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    names: Vec<Name>,
    /// The last layer, whose activation is ŷ: of a classifier in a course with letters of its own.
    prediction_layer: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Name {
    spelling: Vec<Token>,
    quantity: &'static str,
    /// As the course writes it, in LaTeX.
    text: String,
}

impl Names {
    /// Adds a spelling, in LaTeX, of one of [`QUANTITIES`].
    ///
    /// # Errors
    /// A quantity that there is not, or a spelling that is no formula.
    pub fn add(&mut self, quantity: &str, text: &str) -> Result<(), String> {
        let Some(quantity) = QUANTITIES.iter().find(|known| **known == quantity) else {
            return Err(format!(
                "{quantity:?} is no quantity to name; the quantities are {}",
                QUANTITIES.join(", ")
            ));
        };
        let tokens = lex(text).map_err(|error: FormulaError| error.message)?;
        let spelling: Vec<Token> = tokens.into_iter().map(|lexeme| lexeme.token).collect();
        if spelling.is_empty() {
            return Err(format!("{text:?} is no name"));
        }
        self.names.push(Name {
            spelling,
            quantity,
            text: text.to_owned(),
        });
        // The longest first: `a^0` before `a`.
        self.names
            .sort_by_key(|name| usize::MAX - name.spelling.len());
        Ok(())
    }

    /// Has the activation of the last layer, `depth`, mean ŷ, the probabilities.
    pub fn predict_at(&mut self, depth: usize) {
        self.prediction_layer = Some(depth);
    }

    /// Whether the course names nothing in its own way.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The first spelling of a quantity, in LaTeX; `None` if the course writes what the parser knows.
    pub fn spelling(&self, quantity: &str) -> Option<&str> {
        let mut names = self.names.iter().rev();
        let name = names.find(|name| name.quantity == quantity && name.spelling.len() == 1)?;
        Some(&name.text)
    }

    /// The spelling of a quantity that stands in a text, or the first that the course has.
    fn spelling_in(&self, quantity: &str, text: &[Token]) -> Option<&str> {
        let mut own = self.names.iter().filter(|name| name.quantity == quantity);
        let used = own.find(|name| {
            // `a^0` names one layer only.
            name.spelling.len() == 1 && text.contains(&name.spelling[0])
        });
        if let Some(name) = used {
            return Some(&name.text);
        }
        // The parser's letter, unless it means something else in this course.
        let is_own = |token: &Token| matches!(token, Token::Name(name) if name == quantity || name.strip_prefix('d') == Some(quantity));
        let is_taken = self
            .names
            .iter()
            .any(|name| matches!(&name.spelling[..], [one] if is_own(one)));
        if !is_taken && text.iter().any(is_own) {
            return None;
        }
        self.spelling(quantity)
    }

    /// What the parser calls an identifier of a program: `h2` for `A2`, `yhat` for `p`. `None` if the course does not
    /// name it.
    pub(super) fn of_identifier(&self, identifier: &str) -> Option<String> {
        self.names.iter().find_map(|name| {
            let [Token::Name(letter)] = &name.spelling[..] else {
                return None;
            };
            let rest = identifier.strip_prefix(letter.as_str())?;
            if rest.is_empty() {
                return Some(name.quantity.to_owned());
            }
            let layer: usize = rest.strip_prefix('_').unwrap_or(rest).parse().ok()?;
            if name.quantity == "h" && self.prediction_layer == Some(layer) {
                return Some("yhat".to_owned());
            }
            let layered = LAYERED.contains(&name.quantity);
            layered.then(|| format!("{}{layer}", name.quantity))
        })
    }

    /// The tokens with every name of the course replaced.
    pub(super) fn put(&self, tokens: Vec<Lexeme>) -> Vec<Lexeme> {
        if self.is_empty() {
            return tokens;
        }
        let mut out: Vec<Lexeme> = Vec::with_capacity(tokens.len());
        let mut at = 0;
        let mut scripts = ScriptDepth::default();
        while let Some(lexeme) = tokens.get(at) {
            let in_script = scripts.enter(&lexeme.token);
            let rest = &tokens[at..];
            let name = self.names.iter().find(|name| {
                name.is_at(rest) && !(in_script && NOT_IN_SCRIPTS.contains(&name.quantity))
            });
            let Some(name) = name else {
                out.push(lexeme.clone());
                at += 1;
                continue;
            };
            let length = name.spelling.len();
            let span = Span {
                start: lexeme.span.start,
                end: tokens[at + length - 1].span.end,
            };
            at += length;
            if name.quantity == "h"
                && let Some(layer) = self.prediction_layer
                && let Some((script, transpose)) = layer_script(&tokens[at..], layer)
            {
                push(&mut out, "yhat", span);
                at += script;
                if let Some(mark) = transpose {
                    let span = mark.span;
                    out.push(Lexeme {
                        token: Token::Mark("^"),
                        span,
                    });
                    out.push(mark);
                }
                continue;
            }
            push(&mut out, name.quantity, span);
            // `A1`, `Z2` in plain text: the digit is the layer.
            if LAYERED.contains(&name.quantity)
                && !in_script
                && let Some(Lexeme {
                    token: Token::Number(_),
                    span: next,
                }) = tokens.get(at)
                && next.start == span.end
            {
                let mark = Span {
                    start: next.start,
                    end: next.start,
                };
                out.push(Lexeme {
                    token: Token::Mark("^"),
                    span: mark,
                });
            }
        }
        out
    }
}

/// The letters in which a formula is shown to its author: those of the course that the answer uses.
pub(super) struct Letters<'s> {
    scope: &'s Scope,
    text: Vec<Token>,
}

impl<'s> Letters<'s> {
    /// The letters for an answer; `None` where the course has the parser's own.
    pub(super) fn of(scope: &'s Scope, answer: &str) -> Option<Self> {
        if scope.names.is_empty() && scope.constants.is_empty() {
            return None;
        }
        let tokens = lex(answer).unwrap_or_default();
        let text = tokens.into_iter().map(|lexeme| lexeme.token).collect();
        Some(Self { scope, text })
    }

    /// The spelling of a quantity; in plain text without its commands.
    fn letter(&self, quantity: &str, latex: bool) -> Option<String> {
        let spelling = self.scope.names.spelling_in(quantity, &self.text)?;
        Some(if latex {
            spelling.to_owned()
        } else {
            bare(spelling)
        })
    }

    /// A symbol in the course's letters; `None` where it is written as usual.
    pub(super) fn of_symbol(&self, symbol: Symbol, latex: bool) -> Option<String> {
        let (quantity, layer) = match symbol {
            Symbol::Activation(0) => {
                let is_x = |token: &Token| matches!(token, Token::Name(name) if name == "x");
                return match self.letter("x", latex) {
                    Some(x) => Some(x),
                    None if self.text.iter().any(is_x) => Some("x".to_owned()),
                    None => Some(layered(&self.letter("h", latex)?, 0, latex)),
                };
            }
            // The letter with the last layer is ŷ here; what goes into it is z, for the layer itself is linear.
            Symbol::Activation(layer) if self.scope.names.prediction_layer == Some(layer) => {
                let z = self.letter("z", latex).unwrap_or_else(|| "z".to_owned());
                return Some(layered(&z, layer, latex));
            }
            Symbol::Activation(layer) => ("h", Some(layer)),
            Symbol::Weights(layer) => ("W", Some(layer)),
            Symbol::Bias(layer) => ("b", Some(layer)),
            Symbol::PreActivation(layer) => ("z", Some(layer)),
            Symbol::Targets => ("y", None),
            Symbol::Delta => ("delta", None),
            Symbol::Loss => ("l", None),
            Symbol::BatchSize => ("m", None),
            Symbol::Constant(at) => {
                let name = self.scope.constants.get(at)?;
                let is_greek = INDEX_LETTERS.iter().any(|(greek, _)| greek == name);
                return Some(if latex && is_greek {
                    format!("\\{name} ")
                } else {
                    name.clone()
                });
            }
            Symbol::Units(_) | Symbol::SampleLoss | Symbol::Argument => return None,
        };
        let letter = self.letter(quantity, latex)?;
        Some(match layer {
            Some(layer) => layered(&letter, layer, latex),
            None => letter,
        })
    }

    /// The probabilities, where the course writes them with the letter of the last layer's activation.
    pub(super) fn of_prediction(
        &self,
        function: Function,
        arguments: &[Expr],
        latex: bool,
    ) -> Option<String> {
        let layer = self.scope.names.prediction_layer?;
        let is_output = matches!(arguments, [one] if matches!(one.kind, Kind::Symbol(Symbol::Activation(own)) if own == layer));
        if !is_output || self.scope.prediction != Some(function) {
            return None;
        }
        Some(layered(&self.letter("h", latex)?, layer, latex))
    }

    /// The course's letter for σ or the logistic function.
    pub(super) fn of_function(&self, name: &str, latex: bool) -> Option<String> {
        self.letter(name, latex)
    }

    /// The letters with layers, as they stand in LaTeX.
    pub(super) fn with_layers(&self) -> Vec<String> {
        let letters = LAYERED.iter().map(|quantity| {
            self.letter(quantity, true)
                .unwrap_or_else(|| (*quantity).to_owned())
        });
        letters.collect()
    }
}

fn layered(letter: &str, layer: usize, latex: bool) -> String {
    if latex {
        format!("{letter}^{{{layer}}}")
    } else {
        format!("{letter}{layer}")
    }
}

/// A spelling in LaTeX without its commands: `\\mathcal{L}` is L, `\\theta` theta.
fn bare(spelling: &str) -> String {
    let inner = match (spelling.find('{'), spelling.rfind('}')) {
        (Some(open), Some(close)) if open < close => &spelling[open + 1..close],
        _ => spelling,
    };
    inner.trim_start_matches('\\').to_owned()
}

/// A superscript that is the layer `depth`, in brackets or not, with a transpose behind it or not: the number of its
/// tokens, and the transpose.
fn layer_script(tokens: &[Lexeme], depth: usize) -> Option<(usize, Option<Lexeme>)> {
    let is_layer = |token: &Token| match token {
        Token::Number(digits) => digits.parse() == Ok(depth),
        Token::Name(name) => name == "L",
        _ => false,
    };
    match tokens {
        [mark, layer, ..] if mark.token == Token::Mark("^") && is_layer(&layer.token) => {
            Some((2, None))
        }
        // `A2` in plain text.
        [
            Lexeme {
                token: Token::Number(digits),
                ..
            },
            ..,
        ] if digits.parse() == Ok(depth) => Some((1, None)),
        [mark, open, inner @ ..]
            if mark.token == Token::Mark("^") && open.token == Token::Mark("{") =>
        {
            let end = inner
                .iter()
                .position(|lexeme| lexeme.token == Token::Mark("}"))?;
            let brackets = |lexeme: &&Lexeme| {
                !matches!(lexeme.token, Token::Mark("(" | ")" | "[" | "]" | "⟨" | "⟩"))
            };
            let bare: Vec<&Lexeme> = inner[..end].iter().filter(brackets).collect();
            match bare[..] {
                [layer] if is_layer(&layer.token) => Some((end + 3, None)),
                [layer, transpose] if is_layer(&layer.token) => {
                    Some((end + 3, Some(transpose.clone())))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Adds a quantity; a d right in front of it makes it the gradient.
fn push(out: &mut Vec<Lexeme>, quantity: &'static str, span: Span) {
    let gradient = match out.last() {
        Some(Lexeme {
            token: Token::Name(name),
            span: before,
        }) if name == "d" && before.end == span.start => Some(before.start),
        _ => None,
    };
    match gradient {
        Some(start) if LAYERED.contains(&quantity) || quantity == "x" => {
            out.pop();
            let span = Span {
                start,
                end: span.end,
            };
            out.push(Lexeme {
                token: Token::Name(format!("d{quantity}")),
                span,
            });
        }
        _ if quantity == "yhat" => {
            for name in ["hat", "y"] {
                out.push(Lexeme {
                    token: Token::Name(name.to_owned()),
                    span,
                });
            }
        }
        _ => out.push(Lexeme {
            token: Token::Name(quantity.to_owned()),
            span,
        }),
    }
}

impl Name {
    fn is_at(&self, tokens: &[Lexeme]) -> bool {
        tokens.len() >= self.spelling.len()
            && self.spelling.iter().zip(tokens).all(|(a, b)| *a == b.token)
    }
}

/// Whether a token stands in a superscript or a subscript.
#[derive(Default)]
struct ScriptDepth {
    /// A `^` or `_` was just read.
    expects: bool,
    /// Open braces inside a script; 0 outside of one.
    open: usize,
}

impl ScriptDepth {
    /// Reads one token; whether it is in a script.
    fn enter(&mut self, token: &Token) -> bool {
        let expected = std::mem::take(&mut self.expects);
        match token {
            Token::Mark("^" | "_") => {
                self.expects = true;
                self.open > 0
            }
            Token::Mark("{") if expected || self.open > 0 => {
                self.open += 1;
                true
            }
            Token::Mark("}") if self.open > 0 => {
                self.open -= 1;
                true
            }
            _ => expected || self.open > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[(&str, &str)]) -> Names {
        let mut names = Names::default();
        for (quantity, text) in all {
            names.add(quantity, text).expect("a name");
        }
        names
    }

    fn put(names: &Names, text: &str) -> String {
        let tokens = names.put(lex(text).expect("tokens"));
        let word = |lexeme: &Lexeme| match &lexeme.token {
            Token::Number(text) | Token::Name(text) => text.clone(),
            Token::Mark(mark) => (*mark).to_owned(),
            _ => "?".to_owned(),
        };
        tokens.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_course_s_letters_become_the_parser_s() {
        let names = names(&[
            ("h", "a"),
            ("h", "A"),
            ("z", "Z"),
            ("x", "X"),
            ("m", "N"),
            ("l", r"\mathcal{L}"),
            ("l", "J"),
        ]);
        assert_eq!(
            put(&names, r"\frac{1}{N} A^{[1]}"),
            "frac { 1 } { N } h ^ { [ 1 ] }".replace('N', "m")
        );
        assert_eq!(
            put(&names, r"\frac{\partial J}{\partial Z^{[2]}}"),
            "frac { partial l } { partial z ^ { [ 2 ] } }"
        );
        assert_eq!(put(&names, "dZ^2 A1"), "dz ^ 2 h ^ 1");
    }

    #[test]
    fn the_letter_of_the_loss_stays_a_layer_in_a_script() {
        let names = names(&[("l", "L"), ("h", "a")]);
        assert_eq!(
            put(&names, "L + a^L + a^{L-1}"),
            "l + h ^ L + h ^ { L - 1 }"
        );
    }

    #[test]
    fn the_activation_of_a_classifier_s_last_layer_is_its_prediction() {
        let mut names = names(&[("h", "A")]);
        names.predict_at(2);
        for text in ["A^2", "A^{[2]}", "A^{(2)}", "A^L", "A2"] {
            assert_eq!(put(&names, text), "hat y");
        }
        assert_eq!(
            put(&names, r"A^{[2]\top} + A^{[1]}"),
            "hat y ^ top + h ^ { [ 1 ] }"
        );
    }

    #[test]
    fn the_longest_name_wins() {
        let names = names(&[("h", "a"), ("x", "a^0")]);
        assert_eq!(put(&names, "a^0 a^1"), "x h ^ 1");
    }
}
