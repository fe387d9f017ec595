//! The sheet of an assignment: a LaTeX document with a place for each answer, whose PDF carries the source of the answers.

use std::fmt::Write as _;

use super::{Assignment, NetworkSpec};
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
    text += &definitions(&assignment.network);
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
        let _ = write!(
            text,
            "\n\\paragraph{{{}}} {prompt} ({} {points})\n\\begin{{answer}}{{{id}}}\n\n\\end{{answer}}\n",
            latex(id),
            question.points
        );
    }
    text + "\n\\end{document}\n"
}

/// The network and the meaning of each symbol.
fn definitions(network: &NetworkSpec) -> String {
    let architecture = &network.architecture;
    let depth = architecture.depth();
    let mut text = "\\paragraph{Notation} A row of each matrix is a sample, and $m$ is their number. $\\odot$ is the product entry by \
                    entry; a comparison such as $(z^1 \\ge 0)$ is 1 where it holds and 0 elsewhere.\n\\begin{itemize}\n"
        .to_owned();
    let _ = writeln!(
        text,
        "\\item $x = h^0$ is $m \\times {}$, $y$ is $m \\times {}$.",
        architecture.input_size(),
        architecture.output_size()
    );
    for (i, layer) in (1..).zip(architecture.layers()) {
        let before = i - 1;
        let bias = if layer.has_bias() {
            format!(" + b^{i}")
        } else {
            String::new()
        };
        let shape = if layer.has_bias() {
            format!(" and $b^{i}$ is $1 \\times {}$", layer.units)
        } else {
            String::new()
        };
        let output = if i == depth {
            format!("$f(x, \\theta) = h^{i}")
        } else {
            format!("$h^{i}")
        };
        let _ = writeln!(
            text,
            "\\item $z^{i} = h^{before} W^{{{i}\\top}}{bias}$ and {output} = {}$, where $W^{i}$ is ${} \\times {}${shape}.",
            activation(layer.activation, i),
            layer.units,
            layer.fan_in
        );
    }
    if let Some(sigma) = sigma(network) {
        let _ = writeln!(text, "\\item {sigma}");
    }
    let sum = match network.objective.reduction {
        Reduction::Mean => "\\frac{1}{m} \\sum_{k=1}^{m}",
        Reduction::Sum => "\\sum_{k=1}^{m}",
    };
    let _ = writeln!(
        text,
        "\\item $l(\\theta) = {sum} l_k(\\theta)$, where {}; $\\delta = \\partial l / \\partial z^{depth}$.",
        loss(network)
    );
    text + "\\end{itemize}\n"
}

/// hⁱ in terms of zⁱ.
fn activation(activation: Activation, layer: usize) -> String {
    let z = format!("z^{layer}");
    match activation {
        Activation::Linear => z,
        Activation::Relu | Activation::LeakyRelu { .. } => format!("\\sigma({z})"),
        Activation::Sigmoid => format!("\\operatorname{{sigmoid}}({z})"),
        Activation::Tanh => format!("\\tanh({z})"),
        Activation::Gelu => format!("\\operatorname{{gelu}}({z})"),
        Activation::Silu => format!("\\operatorname{{silu}}({z})"),
    }
}

/// The definition of σ, in a network that has one with a kink.
fn sigma(network: &NetworkSpec) -> Option<String> {
    let at_zero = match network.architecture.relu_at_zero() {
        ReluAtZero::One => 1,
        ReluAtZero::Zero => 0,
    };
    let mut layers = network.architecture.layers().iter();
    layers.find_map(|layer| match layer.activation {
        Activation::Relu => Some(format!(
            "$\\sigma(x) = \\max(x, 0)$, with $\\sigma'(0) = {at_zero}$; either derivative at 0 is right in an answer."
        )),
        Activation::LeakyRelu { slope } => Some(format!(
            "$\\sigma(x) = \\max(x, {slope} x)$; either derivative at 0 is right in an answer."
        )),
        Activation::Linear
        | Activation::Sigmoid
        | Activation::Tanh
        | Activation::Gelu
        | Activation::Silu => None,
    })
}

fn loss(network: &NetworkSpec) -> String {
    let n = network.architecture.output_size();
    let f = format!("f(x, \\theta)_{{k,j}}");
    let over_outputs = match network.objective.reduction {
        Reduction::Mean if n > 1 => format!("\\frac{{1}}{{{n}}} \\sum_{{j=1}}^{{{n}}} "),
        _ if n > 1 => format!("\\sum_{{j=1}}^{{{n}}} "),
        _ => String::new(),
    };
    let summed = if n > 1 {
        format!("\\sum_{{j=1}}^{{{n}}} ")
    } else {
        String::new()
    };
    let f = if n > 1 {
        f
    } else {
        "f(x, \\theta)_k".to_owned()
    };
    let y = if n > 1 { "y_{k,j}" } else { "y_k" };
    match network.objective.loss {
        Loss::HalfSquaredError => {
            format!("$l_k(\\theta) = \\frac{{1}}{{2}} {summed}({f} - {y})^2$")
        }
        Loss::MeanSquaredError => format!("$l_k(\\theta) = {over_outputs}({f} - {y})^2$"),
        Loss::CrossEntropy => format!(
            "$l_k(\\theta) = -{summed}{y} \\log p_{{k,j}}$ and $p = \\operatorname{{softmax}}(f(x, \\theta))$"
        ),
        Loss::BinaryCrossEntropy => format!(
            "$l_k(\\theta) = -{over_outputs}\\left({y} \\log p_k + (1 - {y}) \\log(1 - p_k)\\right)$ and $p = \
             \\operatorname{{sigmoid}}(f(x, \\theta))$"
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

/// Signs that pdfLaTeX has no letter for outside of formulas.
const SIGNS: [(char, &str); 16] = [
    ('δ', "\\delta"),
    ('σ', "\\sigma"),
    ('θ', "\\theta"),
    ('∂', "\\partial"),
    ('Σ', "\\sum"),
    ('⊙', "\\odot"),
    ('×', "\\times"),
    ('≥', "\\ge"),
    ('≤', "\\le"),
    ('¹', "^1"),
    ('²', "^2"),
    ('³', "^3"),
    ('⁰', "^0"),
    ('ᴸ', "^L"),
    ('ⁱ', "^i"),
    ('½', "\\frac12"),
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
        assert_eq!(latex("δ of h²"), "$\\delta$ of h$^2$");
    }
}
