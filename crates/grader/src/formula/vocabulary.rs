//! The words, commands and characters of formulas, and their meanings.

/// Words that are a single name; any other run of letters is a product of single letters.
#[rustfmt::skip]
pub(super) const WORDS: &[&str] = &[
    "delta", "theta", "sigma", "sigmoid", "relu", "tanh", "exp", "log", "ln", "softmax", "max", "min",
    "maximum", "minimum", "abs", "sqrt", "diag", "step", "sum", "transpose", "where", "outer", "dot",
    "matmul", "multiply", "heaviside", "sign", "sgn", "indicator", "loss", "axis", "keepdims", "True",
    "true", "otherwise", "if", "else", "for", "and", "ones",
];

/// The mark for a command or a character.
#[rustfmt::skip]
pub(super) const MARKS: &[(&str, &str)] = &[
    ("cdot", "·"), ("times", "·"), ("odot", "⊙"), ("circ", "⊙"), ("ast", "⊙"), ("star", "⊙"), ("geq", ">="),
    ("ge", ">="), ("geqslant", ">="), ("leq", "<="), ("le", "<="), ("leqslant", "<="), ("gt", ">"),
    ("lt", "<"), ("neq", "!="), ("ne", "!="), ("prime", "'"), ("lbrace", "\\{"), ("rbrace", "\\}"),
    ("lbrack", "["), ("rbrack", "]"), ("div", "/"), ("equiv", "="), ("coloneqq", "="), ("triangleq", "="),
    ("Rightarrow", "="), ("implies", "="), ("vert", "|"), ("mid", "|"),
    ("langle", "⟨"), ("rangle", "⟩"), ("colon", ":"),
];

/// Commands without a meaning for the value.
#[rustfmt::skip]
pub(super) const DECORATION: &[&str] = &[
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr",
    "Biggl", "Biggr", "middle", "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits",
    "nonumber", "notag", "boldsymbol", "bm", "mathbf", "mathit", "mathcal", "mathrm", "mathsf", "mathtt",
    "operatorname", "vec", "hspace", "boxed", "mathop", "text", "textrm", "textbf", "textit", "mathbin",
    "mathrel", "mbox", "ensuremath", "blacksquare", "square", "Box", "qed", "checkmark", "therefore", "hfill",
    "mathstrut", "strut", "negthinspace", "thinspace", "medspace", "thickspace", "enspace",
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
    "loop",
];

/// Abbreviating characters.
#[rustfmt::skip]
pub(super) const CHARACTERS: &[(char, &str)] = &[
    ('δ', "delta"), ('σ', "sigma"), ('θ', "theta"), ('∂', "partial"), ('∇', "nabla"), ('Σ', "sum"),
    ('∑', "sum"), ('𝟙', "indicator"), ('𝟏', "indicator"), ('…', "dots"), ('⋮', "dots"), ('⋯', "dots"),
];
