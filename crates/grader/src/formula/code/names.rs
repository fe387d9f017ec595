//! What names mean that a program does not define: the quantities of the course, and the functions of libraries.

use std::sync::Arc;

use super::super::expr::{Expr, Function, Kind};
use super::super::{Scope, Span, Symbol};

/// A name's meaning in the course.
pub(super) enum Meaning {
    Quantity(Symbol),
    /// ∂l/∂ the quantity.
    Gradient(Symbol),
    /// `W`, `h`, `z`, `b` without a layer.
    Layers(char),
    /// The probabilities of a classifier, by the function that makes them of its output.
    Prediction(Function),
}

/// The quantity that a name stands for.
pub(super) fn meaning(name: &str, scope: &Scope) -> Option<Meaning> {
    if scope.argument.iter().any(|argument| argument == name) {
        return Some(Meaning::Quantity(Symbol::Argument));
    }
    if let Some(function) = scope.prediction
        && is_prediction(scope.names.of_identifier(name).as_deref().unwrap_or(name))
    {
        return Some(Meaning::Prediction(function));
    }
    if let Some(symbol) = quantity(name, scope) {
        return Some(Meaning::Quantity(symbol));
    }
    if let Some(at) = constant(name, scope) {
        return Some(Meaning::Quantity(Symbol::Constant(at)));
    }
    match name {
        "W" | "Ws" | "w" | "weights" => return Some(Meaning::Layers('W')),
        "h" | "hs" | "H" | "activations" => return Some(Meaning::Layers('h')),
        "z" | "zs" | "Z" | "pre_activations" => return Some(Meaning::Layers('z')),
        _ => {}
    }
    gradient(name, scope).map(|symbol| match symbol {
        Symbol::PreActivation(layer) | Symbol::Activation(layer) if layer == scope.depth => {
            Meaning::Quantity(Symbol::Delta)
        }
        _ => Meaning::Gradient(symbol),
    })
}

/// A letter and a layer: `W2`, `W_2`, `w2`.
fn layered(name: &str) -> Option<(char, usize)> {
    let mut letters = name.chars();
    let letter = letters.next()?;
    let rest = letters.as_str();
    let digits = rest.strip_prefix('_').unwrap_or(rest);
    if digits.len() != 1 {
        return None;
    }
    Some((letter, digits.parse().ok()?))
}

/// The constant that a name stands for. Python keeps the word `lambda` to itself.
fn constant(name: &str, scope: &Scope) -> Option<usize> {
    let usual: &[&str] = match name {
        "lam" | "lambd" | "lambda_" | "lmbda" | "reg" | "weight_decay" => &["lambda"],
        "lr" | "learning_rate" => &["eta", "alpha"],
        _ => &[],
    };
    let known = |constant: &String| constant == name || usual.contains(&constant.as_str());
    scope.constants.iter().position(known)
}

/// Whether a name stands for the probabilities of a classifier.
fn is_prediction(name: &str) -> bool {
    #[rustfmt::skip]
    let known = [
        "y_hat", "yhat", "y_pred", "ypred", "pred", "preds", "prediction", "predictions", "ŷ", "prob", "probs", "probabilities",
    ];
    known.contains(&name)
}

fn quantity(name: &str, scope: &Scope) -> Option<Symbol> {
    match scope.names.of_identifier(name) {
        Some(own) if is_prediction(&own) && scope.prediction.is_some() => None,
        Some(own) => quantity_by_usual_name(&own, scope),
        None => quantity_by_usual_name(name, scope),
    }
}

fn quantity_by_usual_name(name: &str, scope: &Scope) -> Option<Symbol> {
    if let Some((letter, layer)) = layered(name) {
        return match letter {
            _ if layer > scope.depth => None,
            'h' | 'a' | 'H' | 'A' => Some(Symbol::Activation(layer)),
            'x' | 'X' if layer == 0 => Some(Symbol::Activation(0)),
            'n' => Some(Symbol::Units(layer)),
            _ if layer == 0 => None,
            'W' | 'w' => Some(Symbol::Weights(layer)),
            'z' | 'Z' => Some(Symbol::PreActivation(layer)),
            'b' => Some(Symbol::Bias(layer)),
            'f' | 'y' if layer == scope.depth => Some(Symbol::Activation(layer)),
            _ => None,
        };
    }
    Some(match name {
        "x" | "X" | "inputs" | "input" | "inp" => Symbol::Activation(0),
        "y" | "Y" | "target" | "targets" | "labels" | "label" | "y_true" | "ytrue" | "t"
            if name != "t" =>
        {
            Symbol::Targets
        }
        "f" | "f_x" | "fx" | "f_out" | "out" | "output" | "outputs" | "y_hat" | "yhat"
        | "y_pred" | "ypred" | "pred" | "preds" | "prediction" | "predictions" | "ŷ" | "hL" => {
            Symbol::Activation(scope.depth)
        }
        "delta" | "δ" => Symbol::Delta,
        "m" | "N" | "n" | "M" | "B" | "batch_size" | "batch" | "bs" | "n_samples"
        | "num_samples" | "nsamples" | "batchsize" | "num_examples" | "n_examples" => {
            Symbol::BatchSize
        }
        "loss" | "l" | "L" | "J" => Symbol::Loss,
        // The only layer needs no number.
        "W" | "w" | "weights" if scope.depth == 1 => Symbol::Weights(1),
        "b" | "bias" if scope.depth == 1 => Symbol::Bias(1),
        "z" | "Z" if scope.depth == 1 => Symbol::PreActivation(1),
        _ => return None,
    })
}

/// `dW2`, `dh2`, `dL_dh2`, `grad_h2`, `delta2`: the quantity that the loss is differentiated by.
fn gradient(name: &str, scope: &Scope) -> Option<Symbol> {
    const PREFIXES: &[&str] = &[
        "dloss_d", "dLoss_d", "dlossd", "dL_d", "dl_d", "dJ_d", "dLd", "dld", "grad_", "grad",
        "g_", "d_", "dL_", "dl_", "partial_", "d",
    ];
    for letters in ["delta", "δ"] {
        if let Some(rest) = name.strip_prefix(letters) {
            let digits = rest.strip_prefix('_').unwrap_or(rest);
            let layer: usize = digits.parse().ok()?;
            return (1..=scope.depth)
                .contains(&layer)
                .then_some(Symbol::PreActivation(layer));
        }
    }
    let by = |rest: &str| {
        quantity(rest, scope).filter(|symbol| {
            matches!(
                symbol,
                Symbol::Weights(_)
                    | Symbol::Bias(_)
                    | Symbol::PreActivation(_)
                    | Symbol::Activation(_)
            )
        })
    };
    let behind = name
        .strip_suffix("_grad")
        .or_else(|| name.strip_suffix(".grad"));
    if let Some(symbol) = behind.and_then(by) {
        return Some(symbol);
    }
    let mut rests = PREFIXES
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix));
    rests.find_map(by)
}

/// The quantity of a gradient's name that has a layer, such as `dW2` or `grad_h1`. `delta2` and names without a layer,
/// such as `dx`, are what authors call many things.
pub(in crate::formula) fn named_gradient(name: &str, scope: &Scope) -> Option<Symbol> {
    let has_layer = name.contains(|c: char| c.is_ascii_digit());
    let is_delta = name.starts_with("delta") || name.starts_with('δ');
    (has_layer && !is_delta)
        .then(|| gradient(name, scope))
        .flatten()
}

/// ∂l/∂ a quantity.
pub(super) fn gradient_kind(symbol: Symbol, span: Span) -> Kind {
    let part = |symbol| Arc::new(Expr::new(Kind::Symbol(symbol), span));
    Kind::Derivative(part(Symbol::Loss), part(symbol))
}

/// Modules by their usual names.
pub(super) fn is_module(name: &str) -> bool {
    #[rustfmt::skip]
    let known = [
        "np", "numpy", "torch", "nn", "F", "jnp", "sp", "sympy", "sy", "sym", "math", "th", "T", "tf", "jax", "scipy", "xp", "cp", "onp", "LinearAlgebra", "Statistics",
    ];
    known.contains(&name)
}

/// Whether a module is torch's.
pub(super) fn is_torch(name: &str) -> bool {
    ["torch", "nn", "F", "th"].contains(&name)
}

/// The usual name of a function, which the course may call by a letter of its own.
pub(super) fn function_name(name: &str, scope: &Scope) -> Option<&'static str> {
    let of_course = |name: &str| match scope.names.of_identifier(name)?.as_str() {
        "sigma" => Some(("sigma", "sigma_prime")),
        "sigmoid" => Some(("sigmoid", "sigmoid_prime")),
        _ => None,
    };
    if let Some((function, _)) = of_course(name) {
        return Some(function);
    }
    let slope = name.strip_suffix("_prime").or(name.strip_suffix("prime"));
    if let Some((_, derivative)) = slope.and_then(of_course) {
        return Some(derivative);
    }
    usual_name(name)
}

/// The usual name of a function that students define or imagine.
pub(super) fn usual_name(name: &str) -> Option<&'static str> {
    let plain: String = name
        .chars()
        .filter(|letter| *letter != '_')
        .collect::<String>()
        .to_lowercase();
    Some(match plain.as_str() {
        "relu" => "relu",
        "sigma" | "σ" | "act" | "activation" | "phi" => "sigma",
        "sigmoid" => "sigmoid",
        "tanh" => "tanh",
        "sigmoidprime" | "dsigmoid" | "sigmoidgrad" | "sigmoidgradient" | "sigmoidderiv"
        | "sigmoidderivative" | "gradsigmoid" | "derivsigmoid" => "sigmoid_prime",
        "tanhprime" | "dtanh" | "tanhgrad" | "tanhgradient" | "tanhderiv" | "tanhderivative"
        | "gradtanh" | "derivtanh" => "tanh_prime",
        "softmax" => "softmax",
        "reluprime" | "drelu" | "relugrad" | "relugradient" | "reluderiv" | "reluderivative"
        | "derivrelu" | "gradrelu" | "relud" | "dreludz" | "reludash" | "relubackward"
        | "derivativerelu" | "primerelu" | "relumask" | "dreludx" | "relup" => "relu_prime",
        "sigmaprime"
        | "dsigma"
        | "sigmagrad"
        | "sigmaderiv"
        | "sigmaderivative"
        | "gradsigma"
        | "dact"
        | "actprime"
        | "activationprime"
        | "sigmap"
        | "activationderivative"
        | "activationgrad"
        | "dactivation"
        | "phiprime"
        | "derivsigma" => "sigma_prime",
        "step" | "unitstep" | "heavisidetheta" | "stepfunction" | "stepfn" => "step",
        "indicator" | "ind" => "indicator",
        "ifelse" => "where",
        _ => return None,
    })
}
