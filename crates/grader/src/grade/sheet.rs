//! The sheet of an assignment: a LaTeX document with a place for each answer, whose PDF carries the source of the answers.

use std::fmt::Write as _;

use super::network::{Layout, Samples, WeightShape};
use super::{Assignment, Given, NetworkSpec};
use crate::formula::{Bindings as _, Symbol};
use backpropd_engine::nn::{Activation, Loss, Reduction, ReluAtZero};

/// What stands before the title: how to fill in the sheet, and the environments that keep what is filled in.
const FRONT: &str = include_str!("sheet/front.tex");

/// The sheet of an assignment, as a LaTeX document for pdfLaTeX and LuaLaTeX.
pub fn sheet(assignment: &Assignment) -> String {
    let mut text = FRONT.to_owned();
    let (id, title) = (&assignment.id, latex(&assignment.title));
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\\title{{{title}}}\n\\date{{}}\n\\begin{{document}}\n\\assignment{{{id}}}\n\\maketitle\n\n"
    );
    if !assignment.description.is_empty() {
        let _ = writeln!(text, "{}\n", latex(&assignment.description));
    }
    text += &definitions(assignment);
    let mut part = "";
    for question in &assignment.questions {
        if question.part != part {
            part = &question.part;
            let _ = writeln!(text, "\n\\section*{{{}}}", latex(part));
        }
        let (id, prompt) = (&question.id, latex(&question.prompt));
        let points = if question.points == 1.0 {
            "point"
        } else {
            "points"
        };
        let mut prompt = prompt;
        for (choice, letter) in question.choices.iter().zip('A'..) {
            let _ = write!(prompt, " \\textbf{{{letter}}} {}", latex(choice));
        }
        if let Some(given) = (question.given.as_deref()).and_then(|name| assignment.given(name)) {
            prompt += &numbers(assignment, given);
        }
        let _ = write!(
            text,
            "\n\\paragraph{{{}}} {prompt} ({} {points})\n\\begin{{answer}}{{{id}}}\n\n\\end{{answer}}\n",
            latex(id),
            question.points
        );
    }
    text + "\n\\end{document}\n"
}

/// The fixed numbers of a question, set as matrices.
fn numbers(assignment: &Assignment, given: &Given) -> String {
    let letters = Letters::new(assignment);
    let layout = assignment.convention.layouts.first().copied();
    let network = given.network(&assignment.network, layout.unwrap_or_default());
    let of_layer = |i| {
        [
            (letters.at("W", i), Symbol::Weights(i)),
            (letters.at("b", i), Symbol::Bias(i)),
        ]
    };
    let batch = [
        (letters.of("x"), Symbol::Activation(0)),
        (letters.of("y"), Symbol::Targets),
    ];
    let quantities = (1..=network.depth()).flat_map(of_layer).chain(batch);
    let set = quantities.filter_map(|(name, symbol)| {
        let value = network.value(symbol)?;
        let rows = value.entries().chunks(value.columns());
        let rows: Vec<String> = rows
            .map(|row| {
                row.iter()
                    .map(f64::to_string)
                    .collect::<Vec<_>>()
                    .join(" & ")
            })
            .collect();
        Some(format!(
            "{name} = \\begin{{pmatrix}} {} \\end{{pmatrix}}",
            rows.join(" \\\\ ")
        ))
    });
    format!("\n\\[ {} \\]\n", set.collect::<Vec<_>>().join(", \\quad "))
}

/// How the course writes its quantities.
struct Letters<'a> {
    assignment: &'a Assignment,
    /// What stands around the number of a layer: `W^3`, or `W^{[3]}` if the prompts have it so.
    layer: (&'static str, &'static str),
}

impl<'a> Letters<'a> {
    fn new(assignment: &'a Assignment) -> Self {
        let mut texts = assignment
            .questions
            .iter()
            .flat_map(|question| [&question.prompt, &question.solution]);
        let layer = match texts.find_map(|text| {
            let forms = [("^{[", ("{[", "]}")), ("^{(", ("{(", ")}"))];
            forms.into_iter().find(|(form, _)| text.contains(form))
        }) {
            Some((_, layer)) => layer,
            None => ("", ""),
        };
        Self { assignment, layer }
    }

    /// A quantity such as `h` or `delta` in the course's letters.
    fn of(&self, quantity: &str) -> String {
        let known = match quantity {
            "delta" | "sigma" => format!("\\{quantity}"),
            "sigmoid" => "\\operatorname{sigmoid}".to_owned(),
            _ => quantity.to_owned(),
        };
        let names = &self.assignment.convention.names;
        names.spelling(quantity).map_or(known, str::to_owned)
    }

    /// A quantity of a layer.
    fn at(&self, quantity: &str, layer: usize) -> String {
        if layer == 0 {
            return self.of("x");
        }
        // A network of one layer needs no numbers.
        if self.assignment.network.architecture.depth() == 1 {
            return self.of(quantity);
        }
        let (open, close) = self.layer;
        format!("{}^{open}{layer}{close}", self.of(quantity))
    }

    /// The transpose of the weights of a layer.
    fn weights_transposed(&self, layer: usize) -> String {
        let has_number = self.assignment.network.architecture.depth() > 1;
        match self.layer {
            ("", _) if has_number => format!("{}^{{{layer}\\top}}", self.of("W")),
            _ => format!("({})^\\top", self.at("W", layer)),
        }
    }
}

/// The network and the meaning of each symbol.
fn definitions(assignment: &Assignment) -> String {
    let (network, letters) = (&assignment.network, Letters::new(assignment));
    let architecture = &network.architecture;
    let depth = architecture.depth();
    let layout = assignment.convention.layouts.first().copied();
    let layout = layout.unwrap_or_default();
    let is_columns = layout.samples == Samples::Columns;
    let m = letters.of("m");
    let side = if is_columns { "column" } else { "row" };
    let mut text = format!(
        "\\paragraph{{Notation}} Each {side} of a matrix of the batch is a sample, and ${m}$ is their number. $\\odot$ is the product \
         entry by entry; a comparison such as $({} \\ge 0)$ is 1 where it holds and 0 elsewhere.\n",
        letters.at("z", 1)
    );
    if assignment.convention.layouts.len() > 1 {
        text += "You may have samples as columns instead, in all answers.\n";
    }
    text += "\\begin{itemize}\n";
    let (mut x, y) = (letters.of("x"), letters.of("y"));
    if assignment.convention.names.is_empty() {
        x += " = h^0";
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "\\item ${x}$ is ${}$, ${y}$ is ${}$.",
        shape(layout, &m, architecture.input_size()),
        shape(layout, &m, architecture.output_size())
    );
    for i in 1..=depth {
        let _ = writeln!(text, "\\item {}", layer(&letters, layout, i));
    }
    if let Some(sigma) = sigma(network, &letters) {
        let _ = writeln!(text, "\\item {sigma}");
    }
    let sum = match network.objective.reduction {
        Reduction::Mean => format!("\\frac{{1}}{{{m}}} \\sum_{{k=1}}^{{{m}}}"),
        Reduction::Sum => format!("\\sum_{{k=1}}^{{{m}}}"),
    };
    let l = letters.of("l");
    let _ = writeln!(
        text,
        "\\item ${l} = {sum} {l}_k$, where {}; ${} = \\partial {l} / \\partial {}$.",
        loss(network, &letters, depth),
        letters.of("delta"),
        letters.at("z", depth)
    );
    for constant in &assignment.convention.constants {
        let name = match constant.name.as_str() {
            name if name.len() > 1 => format!("\\{name}"),
            name => name.to_owned(),
        };
        let what = match constant.shape {
            (1, 1) if constant.is_positive => "is a number above 0".to_owned(),
            (1, 1) => "is a number".to_owned(),
            (rows, columns) => format!("is a matrix, ${rows} \\times {columns}$"),
        };
        let _ = writeln!(text, "\\item ${name}$ {what}.");
    }
    text + "\\end{itemize}\n"
}

/// A shape of so many samples and units, in the layout.
fn shape(layout: Layout, samples: &str, units: usize) -> String {
    match layout.samples {
        Samples::Rows => format!("{samples} \\times {units}"),
        Samples::Columns => format!("{units} \\times {samples}"),
    }
}

/// What a layer computes, and the shapes of its weights.
fn layer(letters: &Letters<'_>, layout: Layout, i: usize) -> String {
    let (network, names) = (
        &letters.assignment.network,
        &letters.assignment.convention.names,
    );
    let depth = network.architecture.depth();
    let layer = &network.architecture.layers()[i - 1];
    let (h, z) = (letters.at("h", i - 1), letters.at("z", i));
    let (w, b) = (letters.at("W", i), letters.at("b", i));
    let is_outputs_first = layout.weights == WeightShape::OutputsByInputs;
    let product = match (layout.samples == Samples::Columns, is_outputs_first) {
        (false, true) => format!("{h} {}", letters.weights_transposed(i)),
        (false, false) => format!("{h} {w}"),
        (true, true) => format!("{w} {h}"),
        (true, false) => format!("{} {h}", letters.weights_transposed(i)),
    };
    let (rows, columns) = if is_outputs_first {
        (layer.units, layer.fan_in)
    } else {
        (layer.fan_in, layer.units)
    };
    let (plus, bias) = if layer.has_bias() {
        let shape = shape(layout, "1", layer.units);
        (format!(" + {b}"), format!(" and ${b}$ is ${shape}$"))
    } else {
        (String::new(), String::new())
    };
    let output = match (i == depth, network.objective.loss) {
        (false, _) => format!(
            " and ${} = {}$",
            letters.at("h", i),
            activation(layer.activation, letters, i)
        ),
        (true, Loss::CrossEntropy) => format!(", the logits of ${}$", prediction(letters)),
        (true, Loss::BinaryCrossEntropy) => {
            format!(", the logit of ${}$", prediction(letters))
        }
        (true, Loss::HalfSquaredError | Loss::MeanSquaredError) => {
            let own = if names.is_empty() {
                format!("f(x, \\theta) = {}", letters.at("h", i))
            } else {
                letters.at("h", i)
            };
            format!(
                " and ${own} = {}$",
                activation(layer.activation, letters, i)
            )
        }
    };
    format!("${z} = {product}{plus}${output}, where ${w}$ is ${rows} \\times {columns}${bias}.")
}

/// The probabilities that a classifier predicts.
fn prediction(letters: &Letters<'_>) -> String {
    let names = &letters.assignment.convention.names;
    names
        .spelling("yhat")
        .map_or_else(|| format!("\\hat{{{}}}", letters.of("y")), str::to_owned)
}

/// hⁱ in terms of zⁱ.
fn activation(activation: Activation, letters: &Letters<'_>, layer: usize) -> String {
    let z = letters.at("z", layer);
    match activation {
        Activation::Linear => z,
        Activation::Relu | Activation::LeakyRelu { .. } => format!("{}({z})", letters.of("sigma")),
        Activation::Sigmoid => format!("{}({z})", letters.of("sigmoid")),
        Activation::Tanh => format!("\\tanh({z})"),
        Activation::Gelu => format!("\\operatorname{{gelu}}({z})"),
        Activation::Silu => format!("\\operatorname{{silu}}({z})"),
    }
}

/// The definition of σ, in a network that has one with a kink.
fn sigma(network: &NetworkSpec, letters: &Letters<'_>) -> Option<String> {
    let sigma = letters.of("sigma");
    let at_zero = match network.architecture.relu_at_zero() {
        ReluAtZero::One => 1,
        ReluAtZero::Zero => 0,
    };
    let mut layers = network.architecture.layers().iter();
    layers.find_map(|layer| match layer.activation {
        Activation::Relu => Some(format!(
            "${sigma}(x) = \\max(x, 0)$, with ${sigma}'(0) = {at_zero}$; either derivative at 0 is right in an answer."
        )),
        Activation::LeakyRelu { slope } => Some(format!(
            "${sigma}(x) = \\max(x, {slope} x)$; either derivative at 0 is right in an answer."
        )),
        Activation::Linear
        | Activation::Sigmoid
        | Activation::Tanh
        | Activation::Gelu
        | Activation::Silu => None,
    })
}

/// The loss of sample k; j runs over the outputs, if there are several.
fn loss(network: &NetworkSpec, letters: &Letters<'_>, depth: usize) -> String {
    let n = network.architecture.output_size();
    let sum = if n > 1 {
        format!("\\sum_{{j=1}}^{{{n}}} ")
    } else {
        String::new()
    };
    let mean = match network.objective.reduction {
        Reduction::Mean if n > 1 => format!("\\frac{{1}}{{{n}}} {sum}"),
        _ => sum.clone(),
    };
    let entry = if n > 1 { "_{k,j}" } else { "_k" };
    let (l, y) = (letters.of("l"), letters.of("y") + entry);
    let f = if letters.assignment.convention.names.is_empty() {
        format!("f(x, \\theta){entry}")
    } else {
        format!("({}){entry}", letters.at("h", depth))
    };
    let (z, p) = (letters.at("z", depth), prediction(letters));
    let (softmax, sigmoid) = ("\\operatorname{softmax}", letters.of("sigmoid"));
    match network.objective.loss {
        Loss::HalfSquaredError => format!("${l}_k = \\frac{{1}}{{2}} {sum}({f} - {y})^2$"),
        Loss::MeanSquaredError => format!("${l}_k = {mean}({f} - {y})^2$"),
        Loss::CrossEntropy => {
            format!("${l}_k = -{sum}{y} \\log {p}{entry}$ and ${p} = {softmax}({z})$")
        }
        Loss::BinaryCrossEntropy => format!(
            "${l}_k = -{mean}\\left({y} \\log {p}{entry} + (1 - {y}) \\log(1 - {p}{entry})\\right)$ and ${p} = {sigmoid}({z})$"
        ),
    }
}

/// Text of an assignment as LaTeX: what stands between `$…$` is LaTeX already, elsewhere signs with a meaning are escaped.
fn latex(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for (at, piece) in text.split('$').enumerate() {
        if at > 0 {
            written.push('$');
        }
        if at % 2 == 1 {
            written.push_str(piece);
            continue;
        }
        let mut before = ' ';
        for c in piece.chars() {
            match c {
                '&' | '%' | '#' | '_' if before != '\\' => {
                    written.push('\\');
                    written.push(c);
                }
                '^' => written.push_str("\\^{}"),
                '~' => written.push_str("\\textasciitilde{}"),
                _ => match SIGNS.iter().find(|(sign, _)| *sign == c) {
                    Some((_, latex)) => {
                        let _ = write!(written, "${latex}$");
                    }
                    None => written.push(c),
                },
            }
            before = c;
        }
    }
    written
}

/// Signs as LaTeX, for engines and fonts that lack them outside of formulas.
const SIGNS: [(char, &str); 69] = [
    ('α', "\\alpha"),
    ('β', "\\beta"),
    ('γ', "\\gamma"),
    ('δ', "\\delta"),
    ('ε', "\\varepsilon"),
    ('η', "\\eta"),
    ('θ', "\\theta"),
    ('λ', "\\lambda"),
    ('μ', "\\mu"),
    ('π', "\\pi"),
    ('ρ', "\\rho"),
    ('σ', "\\sigma"),
    ('τ', "\\tau"),
    ('φ', "\\varphi"),
    ('Δ', "\\Delta"),
    ('Σ', "\\Sigma"),
    ('∂', "\\partial"),
    ('∇', "\\nabla"),
    ('∑', "\\sum"),
    ('⊙', "\\odot"),
    ('∘', "\\circ"),
    ('⋅', "\\cdot"),
    ('∗', "\\ast"),
    ('≥', "\\ge"),
    ('≤', "\\le"),
    ('≠', "\\ne"),
    ('⊤', "\\top"),
    ('∈', "\\in"),
    ('√', "\\surd"),
    ('∞', "\\infty"),
    ('‖', "\\Vert"),
    ('ℓ', "\\ell"),
    ('⁰', "^{0}"),
    ('⁴', "^{4}"),
    ('⁵', "^{5}"),
    ('⁶', "^{6}"),
    ('⁷', "^{7}"),
    ('⁸', "^{8}"),
    ('⁹', "^{9}"),
    ('⁺', "^{+}"),
    ('⁻', "^{-}"),
    ('ᵀ', "^{\\top}"),
    ('ⁱ', "^{i}"),
    ('ʲ', "^{j}"),
    ('ˡ', "^{l}"),
    ('ᴸ', "^{L}"),
    ('ᵐ', "^{m}"),
    ('⁽', "^{(}"),
    ('⁾', "^{)}"),
    ('¹', "^{1}"),
    ('²', "^{2}"),
    ('³', "^{3}"),
    ('₀', "_{0}"),
    ('₁', "_{1}"),
    ('₂', "_{2}"),
    ('₃', "_{3}"),
    ('₄', "_{4}"),
    ('₅', "_{5}"),
    ('₆', "_{6}"),
    ('₇', "_{7}"),
    ('₈', "_{8}"),
    ('₉', "_{9}"),
    ('ᵢ', "_{i}"),
    ('ⱼ', "_{j}"),
    ('ₖ', "_{k}"),
    ('ₘ', "_{m}"),
    ('−', "-"),
    ('½', "\\frac12"),
    ('×', "\\times"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::BUILT_IN;
    use crate::grade::submission::Submission;

    fn built_in() -> Assignment {
        let (file, text) = BUILT_IN[0];
        Assignment::parse(text, file).expect("it is sound")
    }

    #[test]
    fn the_sheet_of_the_repository_is_the_one_that_is_written() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../assignments/hw-backprop.tex"
        );
        let written = sheet(&built_in());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &written).expect("writable");
        }
        let committed = std::fs::read_to_string(path).expect("part of the repository");
        assert!(
            committed == written,
            "the sheet is stale: run `UPDATE=1 cargo test -p backpropd-grader sheet`"
        );
    }

    #[test]
    fn a_filled_in_sheet_is_read_and_a_blank_one_has_no_answers() {
        let assignment = built_in();
        let blank = sheet(&assignment);
        let read = Submission::from_tex(&blank).expect("it is LaTeX");
        assert_eq!(read.assignment.as_deref(), Some("hw-backprop"));
        assert!(read.answers.is_empty(), "{:?}", read.answers);
        let filled = blank
            .replace("% Such as \\newcommand", "\\newcommand")
            .replace(
                "\\begin{answer}{1.1}\n",
                "\\begin{answer}{1.1}\n$\\dl$ % a remark\n",
            );
        let read = Submission::from_tex(&filled).expect("it is LaTeX");
        assert_eq!(
            read.answers.into_iter().collect::<Vec<_>>(),
            [(
                "1.1".to_owned(),
                "\\newcommand{\\dl}{\\partial l}\n$\\dl$".to_owned()
            )]
        );
        for question in &assignment.questions {
            let place = format!("\\begin{{answer}}{{{}}}", question.id);
            assert_eq!(blank.matches(&place).count(), 1, "{place}");
        }
    }

    #[test]
    fn text_outside_of_formulas_is_escaped() {
        assert_eq!(
            latex("50 % of a_b & $a_b^2$"),
            "50 \\% of a\\_b \\& $a_b^2$"
        );
        assert_eq!(latex("δ of h²"), "$\\delta$ of h$^{2}$");
    }
}
