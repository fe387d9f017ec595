//! The words, commands and characters of formulas, and their meanings.

/// Words that are a single name; any other run of letters is a product of single letters.
#[rustfmt::skip]
pub(super) const WORDS: &[&str] = &[
    "delta", "theta", "sigma", "sigmoid", "relu", "tanh", "exp", "log", "ln", "softmax", "max", "min",
    "maximum", "minimum", "abs", "sqrt", "diag", "step", "sum", "transpose", "where", "outer", "dot",
    "matmul", "multiply", "heaviside", "sign", "sgn", "indicator", "loss", "axis", "keepdims", "True",
    "true", "otherwise", "if", "else", "for", "and", "ones", "when", "then", "frac",
];

/// Other spellings of a single name.
#[rustfmt::skip]
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("Heaviside", "heaviside"), ("HeavisideTheta", "step"), ("UnitStep", "step"), ("Step", "step"), ("Boole", "indicator"),
    ("yhat", "yhat"), ("nabla", "nabla"), ("partial", "partial"), ("ell", "ell"), ("Theta", "Theta"), ("alpha", "alpha"),
    ("beta", "beta"), ("tr", "trace"), ("Tr", "trace"), ("trace", "trace"), ("vec", "vec"), ("in", "in"),
    ("Diag", "diag"), ("Transpose", "transpose"), ("Max", "max"), ("Min", "min"), ("Sign", "sign"), ("Sigma", "sigma"), ("top", "top"),
];

/// Words that are an operator between two factors in plain text.
pub(super) const INFIX: &[(&str, &str)] = &[
    ("odot", "⊙"),
    ("circ", "⊙"),
    ("o", "⊙"),
    ("times", "×"),
    ("otimes", "⊗"),
    ("dot", "·"),
    ("cdot", "·"),
];

/// The operators of Typst that hold a dot.
pub(super) const DOTTED: &[(&str, &str)] = &[
    ("dot.circle", "⊙"),
    ("dot.o", "⊙"),
    ("dot.op", "·"),
    ("dot.c", "·"),
    ("times.circle", "⊗"),
    ("times.o", "⊗"),
    ("eq.not", "!="),
    ("gt.eq", ">="),
    ("lt.eq", "<="),
];

/// Names that have a layer, which plain text writes as digits right behind them.
#[rustfmt::skip]
pub(super) const LAYERED: &[&str] = &[
    "W", "w", "h", "z", "n", "f", "b", "delta", "dW", "dw", "dh", "dz", "db", "dx",
];

/// The names of other courses for quantities of this one.
#[rustfmt::skip]
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("a", "h"), ("A", "h"), ("o", "h"), ("s", "z"), ("u", "z"), ("Z", "z"), ("p", "\\hat y"), ("g", "\\sigma"),
    ("t", "y"), ("C", "l"), ("E", "l"), ("N", "m"), ("M", "m"), ("Delta", "\\delta"),
];

/// Letters that name an index beyond a to z, and the character that stands for each in a tree.
pub(super) const INDEX_LETTERS: &[(&str, char)] = &[
    ("ell", 'ℓ'),
    ("alpha", 'α'),
    ("beta", 'β'),
    ("gamma", 'γ'),
    ("kappa", 'κ'),
    ("lambda", 'λ'),
    ("mu", 'μ'),
    ("nu", 'ν'),
    ("rho", 'ρ'),
    ("tau", 'τ'),
    ("eta", 'η'),
    ("xi", 'ξ'),
];

/// The character in a tree for a letter with a prime, such as `i'`.
pub(super) fn primed(letter: char) -> Option<char> {
    letter
        .is_ascii_lowercase()
        .then(|| char::from_u32(0xe000 + u32::from(letter)))?
}

/// The letter of an index as a student writes it.
pub(super) fn index_text(letter: char, latex: bool) -> String {
    if let Some(base) = u32::from(letter)
        .checked_sub(0xe000)
        .and_then(char::from_u32)
    {
        return format!("{base}'");
    }
    match INDEX_LETTERS.iter().find(|(_, own)| *own == letter) {
        Some((name, _)) if latex => format!("\\{name} "),
        Some((name, _)) => (*name).to_owned(),
        None => letter.to_string(),
    }
}

/// The mark for a command or a character.
#[rustfmt::skip]
pub(super) const MARKS: &[(&str, &str)] = &[
    ("cdot", "·"), ("times", "×"), ("otimes", "⊗"), ("oslash", "⊘"), ("odot", "⊙"), ("circ", "⊙"), ("ast", "⊙"), ("star", "⊙"), ("geq", ">="),
    ("ge", ">="), ("geqslant", ">="), ("leq", "<="), ("le", "<="), ("leqslant", "<="), ("gt", ">"),
    ("lt", "<"), ("neq", "!="), ("ne", "!="), ("prime", "'"), ("lbrace", "\\{"), ("rbrace", "\\}"),
    ("lbrack", "["), ("rbrack", "]"), ("div", "/"), ("equiv", "="), ("coloneqq", "="), ("triangleq", "="),
    ("Rightarrow", "="), ("implies", "="), ("leftarrow", "="), ("gets", "="), ("vert", "|"), ("mid", "|"),
    ("langle", "⟨"), ("rangle", "⟩"), ("colon", ":"), ("llbracket", "["), ("rrbracket", "]"), ("lvert", "|"),
    ("rvert", "|"), ("Vert", "‖"), ("lVert", "‖"), ("rVert", "‖"), ("bullet", "•"), ("lang", "⟨"), ("rang", "⟩"),
    ("circledcirc", "⊙"), ("bigodot", "⊙"), ("bigcirc", "⊙"), ("sslash", "/"),
];

/// Commands without a meaning for the value.
#[rustfmt::skip]
pub(super) const DECORATION: &[&str] = &[
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr",
    "Biggl", "Biggr", "middle", "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits",
    "nonumber", "notag", "boldsymbol", "bm", "mathbf", "mathit", "mathcal", "mathrm", "mathsf", "mathtt",
    "operatorname", "vec", "hspace", "mathop", "mathbin",
    "mathrel", "ensuremath", "blacksquare", "square", "Box", "qed", "checkmark", "hfill",
    "bf", "rm", "it", "cal", "sf", "tt", "mathstrut", "strut", "mathopen", "mathclose", "mathord", "overrightarrow", "negthinspace", "thinspace", "medspace", "thickspace", "enspace",
];

/// Spaces that carry no meaning.
#[rustfmt::skip]
pub(super) const SPACES: &[char] = &[
    ',', ';', '!', ':', ' ', '>', '/', '-',
];

/// Commands that could make a TeX engine do something; they are refused by name.
#[rustfmt::skip]
pub(super) const REFUSED: &[&str] = &[
    "def", "gdef", "edef", "newcommand", "renewcommand", "providecommand", "let", "input", "include",
    "write", "csname", "href", "url", "usepackage", "catcode", "openin", "openout", "read", "expandafter",
    "loop", "prod",
];

/// Abbreviating characters.
#[rustfmt::skip]
pub(super) const CHARACTERS: &[(char, &str)] = &[
    ('δ', "delta"), ('σ', "sigma"), ('θ', "theta"), ('∂', "partial"), ('∇', "nabla"), ('Σ', "sum"),
    ('∑', "sum"), ('𝟙', "indicator"), ('𝟏', "indicator"), ('…', "dots"), ('⋮', "dots"), ('⋯', "dots"),
];
