//! LaTeX of formulas as MathML, which browsers set without a script or a font from elsewhere.

/// The deepest nesting that is converted.
const DEEPEST: usize = 100;

/// Symbols, by their commands.
const SYMBOLS: [(&str, &str); 24] = [
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("Delta", "Δ"),
    ("epsilon", "ε"),
    ("varepsilon", "ε"),
    ("eta", "η"),
    ("theta", "θ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("pi", "π"),
    ("rho", "ρ"),
    ("sigma", "σ"),
    ("Sigma", "Σ"),
    ("tau", "τ"),
    ("phi", "φ"),
    ("varphi", "φ"),
    ("psi", "ψ"),
    ("omega", "ω"),
    ("chi", "χ"),
    ("ell", "ℓ"),
    ("infty", "∞"),
    ("hbar", "ℏ"),
];

/// Operators, by their commands.
const OPERATORS: [(&str, &str); 46] = [
    ("odot", "⊙"),
    ("circ", "∘"),
    ("cdot", "⋅"),
    ("times", "×"),
    ("otimes", "⊗"),
    ("ast", "∗"),
    ("star", "⋆"),
    ("bullet", "∙"),
    ("pm", "±"),
    ("top", "⊤"),
    ("intercal", "⊺"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("le", "≤"),
    ("leq", "≤"),
    ("ne", "≠"),
    ("neq", "≠"),
    ("approx", "≈"),
    ("equiv", "≡"),
    ("to", "→"),
    ("mapsto", "↦"),
    ("in", "∈"),
    ("forall", "∀"),
    ("partial", "∂"),
    ("nabla", "∇"),
    ("sum", "∑"),
    ("prod", "∏"),
    ("prime", "′"),
    ("dots", "…"),
    ("ldots", "…"),
    ("cdots", "⋯"),
    ("vdots", "⋮"),
    ("ddots", "⋱"),
    ("langle", "⟨"),
    ("rangle", "⟩"),
    ("mid", "|"),
    ("vert", "|"),
    ("Vert", "‖"),
    ("|", "‖"),
    ("{", "{"),
    ("}", "}"),
    ("lbrace", "{"),
    ("rbrace", "}"),
    ("%", "%"),
    ("&", "&"),
    ("_", "_"),
];

const FUNCTIONS: [&str; 10] = [
    "max", "min", "exp", "log", "ln", "tanh", "sin", "cos", "arg", "det",
];

/// Commands of space or size, without a meaning here.
const SPACES: [&str; 14] = [
    ",",
    ";",
    ":",
    "!",
    " ",
    "quad",
    "qquad",
    "displaystyle",
    "limits",
    "nolimits",
    "big",
    "Big",
    "bigl",
    "bigr",
];

/// The letters in which commands set their argument.
const FACES: [&str; 9] = [
    "mathbf",
    "mathbb",
    "mathrm",
    "mathsf",
    "mathcal",
    "boldsymbol",
    "bm",
    "textbf",
    "mathit",
];

/// An inline `math` element; `None` if the LaTeX uses a command that is not known here.
pub(super) fn inline(latex: &str) -> Option<String> {
    Some(format!("<math>{}</math>", converted(latex)?))
}

/// The same as a line of its own.
pub(super) fn display(latex: &str) -> Option<String> {
    Some(format!(
        "<math display=\"block\">{}</math>",
        converted(latex)?
    ))
}

fn converted(latex: &str) -> Option<String> {
    let mut reader = Reader {
        tokens: tokens(latex),
        at: 0,
        depth: 0,
    };
    let row = reader.row(&[])?;
    (reader.at == reader.tokens.len()).then_some(row)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Command(&'a str),
    Number(&'a str),
    Char(char),
    /// The text in the braces of `\text{…}` and `\begin{…}`, which is no mathematics.
    Verbatim(&'a str),
}

fn tokens(latex: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = latex;
    while let Some(c) = rest.chars().next() {
        let length = if c == '\\' {
            let after = &rest[1..];
            let letters = after.find(|c: char| !c.is_ascii_alphabetic());
            let length = match letters.unwrap_or(after.len()) {
                0 => after.chars().next().map_or(0, char::len_utf8),
                letters => letters,
            };
            let name = &after[..length];
            tokens.push(Token::Command(name));
            let takes_text = ["text", "mathrm", "operatorname", "begin", "end"].contains(&name);
            let inside = after[length..].trim_start().strip_prefix('{');
            match inside.and_then(|inside| Some((inside, inside.find(['{', '}', '\\'])?))) {
                Some((inside, end)) if takes_text && inside[end..].starts_with('}') => {
                    tokens.push(Token::Verbatim(&inside[..end]));
                    rest.len() - inside.len() + end + 1
                }
                _ => 1 + length,
            }
        } else if c.is_ascii_digit() {
            let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'));
            let length = length.unwrap_or(rest.len());
            tokens.push(Token::Number(&rest[..length]));
            length
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Char(c));
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Why a row ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Brace,
    Bracket,
    Right,
    Cell,
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn is_at(&self, stops: &[Stop]) -> bool {
        match self.peek() {
            Some(Token::Char('}')) => stops.contains(&Stop::Brace),
            Some(Token::Char(']')) => stops.contains(&Stop::Bracket),
            Some(Token::Command("right")) => stops.contains(&Stop::Right),
            Some(Token::Char('&') | Token::Command("\\" | "end")) => stops.contains(&Stop::Cell),
            None => true,
            Some(_) => false,
        }
    }

    /// What stands up to one of `stops`, which is not taken.
    fn row(&mut self, stops: &[Stop]) -> Option<String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut row = String::new();
        while !self.is_at(stops) {
            row += &self.scripted()?;
        }
        self.depth -= 1;
        Some(row)
    }

    /// An atom with its scripts.
    fn scripted(&mut self) -> Option<String> {
        let is_limited = matches!(self.peek(), Some(Token::Command("sum" | "prod")));
        let base = match self.peek() {
            Some(Token::Char('^' | '_')) => "<mrow></mrow>".to_owned(),
            _ => self.atom()?,
        };
        let (mut below, mut above) = (String::new(), String::new());
        loop {
            match self.peek() {
                Some(Token::Char('_')) if below.is_empty() => {
                    self.at += 1;
                    below = self.argument()?;
                }
                Some(Token::Char('^')) if above.is_empty() => {
                    self.at += 1;
                    above = self.argument()?;
                }
                Some(Token::Char('\'')) => {
                    self.at += 1;
                    above = format!("<mrow><mo>′</mo>{above}</mrow>");
                }
                Some(Token::Char('^' | '_')) => return None,
                _ => break,
            }
        }
        let (sub, sup, both) = if is_limited {
            ("munder", "mover", "munderover")
        } else {
            ("msub", "msup", "msubsup")
        };
        Some(match (below.is_empty(), above.is_empty()) {
            (true, true) => base,
            (false, true) => format!("<{sub}>{base}{below}</{sub}>"),
            (true, false) => format!("<{sup}>{base}{above}</{sup}>"),
            (false, false) => format!("<{both}>{base}{below}{above}</{both}>"),
        })
    }

    /// One atom or group, as the argument of a command or a script.
    fn argument(&mut self) -> Option<String> {
        self.atom().filter(|atom| !atom.is_empty())
    }

    fn atom(&mut self) -> Option<String> {
        match self.next()? {
            Token::Number(number) => Some(format!("<mn>{number}</mn>")),
            Token::Verbatim(text) => Some(format!("<mtext>{}</mtext>", escape(text))),
            Token::Char('{') => {
                let row = self.row(&[Stop::Brace])?;
                (self.next() == Some(Token::Char('}'))).then_some(())?;
                Some(format!("<mrow>{row}</mrow>"))
            }
            Token::Char('}' | '&' | '^' | '_') => None,
            Token::Char(c) if c.is_alphabetic() => Some(format!("<mi>{c}</mi>")),
            Token::Char('~') => Some("<mspace width=\"0.3em\"></mspace>".to_owned()),
            Token::Char('-') => Some("<mo>−</mo>".to_owned()),
            Token::Char(c) => Some(format!("<mo>{}</mo>", escape(&c.to_string()))),
            Token::Command(name) => self.command(name),
        }
    }

    fn command(&mut self, name: &str) -> Option<String> {
        let found = |table: &[(&str, &'static str)]| {
            let mut entries = table.iter();
            entries
                .find(|(known, _)| *known == name)
                .map(|found| found.1)
        };
        if let Some(symbol) = found(&SYMBOLS) {
            return Some(format!("<mi>{symbol}</mi>"));
        }
        if let Some(operator) = found(&OPERATORS) {
            return Some(format!("<mo>{}</mo>", escape(operator)));
        }
        if FUNCTIONS.contains(&name) {
            return Some(format!("<mi>{name}</mi>"));
        }
        if SPACES.contains(&name) {
            return Some("<mspace width=\"0.2em\"></mspace>".to_owned());
        }
        match name {
            "text" | "operatorname" | "mathrm"
                if matches!(self.peek(), Some(Token::Verbatim(_))) =>
            {
                let Some(Token::Verbatim(text)) = self.next() else {
                    return None;
                };
                let tag = if name == "text" { "mtext" } else { "mi" };
                Some(format!("<{tag}>{}</{tag}>", escape(text)))
            }
            name if FACES.contains(&name) => {
                let inside = self.argument()?;
                let is_bold = matches!(name, "mathbf" | "mathbb" | "boldsymbol" | "bm" | "textbf");
                let class = if is_bold { " class=\"bold\"" } else { "" };
                Some(format!("<mrow{class}>{inside}</mrow>"))
            }
            "frac" | "tfrac" | "dfrac" => {
                let (above, below) = (self.argument()?, self.argument()?);
                Some(format!("<mfrac>{above}{below}</mfrac>"))
            }
            "sqrt" => Some(format!("<msqrt>{}</msqrt>", self.argument()?)),
            "hat" | "bar" | "tilde" | "vec" | "overline" => {
                let accent = match name {
                    "hat" => "^",
                    "tilde" => "~",
                    "vec" => "→",
                    _ => "¯",
                };
                let base = self.argument()?;
                Some(format!(
                    "<mover accent=\"true\">{base}<mo>{accent}</mo></mover>"
                ))
            }
            "left" => self.fenced(),
            "begin" => self.table(),
            _ => None,
        }
    }

    fn delimiter(&mut self) -> Option<String> {
        let shown = match self.next()? {
            Token::Char('.') => return Some(String::new()),
            Token::Char(c) => c.to_string(),
            Token::Command(name) => OPERATORS
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, shown)| (*shown).to_owned())?,
            Token::Number(_) | Token::Verbatim(_) => return None,
        };
        Some(format!("<mo>{}</mo>", escape(&shown)))
    }

    fn fenced(&mut self) -> Option<String> {
        let left = self.delimiter()?;
        let row = self.row(&[Stop::Right])?;
        (self.next() == Some(Token::Command("right"))).then_some(())?;
        let right = self.delimiter()?;
        Some(format!("<mrow>{left}{row}{right}</mrow>"))
    }

    fn table(&mut self) -> Option<String> {
        let Some(Token::Verbatim(name)) = self.next() else {
            return None;
        };
        let (left, right) = match name {
            "bmatrix" => ("<mo>[</mo>", "<mo>]</mo>"),
            "pmatrix" => ("<mo>(</mo>", "<mo>)</mo>"),
            "cases" => ("<mo>{</mo>", ""),
            "matrix" | "aligned" | "split" => ("", ""),
            _ => return None,
        };
        let mut table = format!("<mrow>{left}<mtable><mtr>");
        loop {
            table += &format!("<mtd>{}</mtd>", self.row(&[Stop::Cell])?);
            match self.next()? {
                Token::Char('&') => {}
                Token::Command("\\") => table += "</mtr><mtr>",
                Token::Command("end") if self.next() == Some(Token::Verbatim(name)) => break,
                _ => return None,
            }
        }
        Some(format!("{table}</mtr></mtable>{right}</mrow>"))
    }
}

/// Text for HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_grader_renders_becomes_mathml() {
        for (latex, mathml) in [
            (
                r"\delta h^{2}_{1,1}",
                "<mi>δ</mi><msubsup><mi>h</mi><mrow><mn>1</mn><mo>,</mo><mn>1</mn></mrow><mrow><mn>2</mn></mrow></msubsup>",
            ),
            (
                r"\frac{1}{m}",
                "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>m</mi></mrow></mfrac>",
            ),
            (
                r"W^{3\top}",
                "<msup><mi>W</mi><mrow><mn>3</mn><mo>⊤</mo></mrow></msup>",
            ),
            (
                r"\left(a\right)^\top",
                "<msup><mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow><mo>⊤</mo></msup>",
            ),
            (
                r"\sigma'(x)",
                "<msup><mi>σ</mi><mrow><mo>′</mo></mrow></msup><mo>(</mo><mi>x</mi><mo>)</mo>",
            ),
            (
                r"\sum_{q=1}^{n_{2}} a",
                "<munderover><mo>∑</mo><mrow><mi>q</mi><mo>=</mo><mn>1</mn></mrow><mrow><msub><mi>n</mi><mrow><mn>2</mn></mrow></msub></mrow></munderover><mi>a</mi>",
            ),
            (
                r"\begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}",
                "<mrow><mo>{</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mi>x</mi><mo>&gt;</mo><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd><mtd><mtext>otherwise</mtext></mtd></mtr></mtable></mrow>",
            ),
            (
                r"\operatorname{relu}(z)",
                "<mi>relu</mi><mo>(</mo><mi>z</mi><mo>)</mo>",
            ),
        ] {
            assert_eq!(converted(latex).as_deref(), Some(mathml), "{latex}");
        }
    }

    #[test]
    fn what_is_unknown_or_broken_is_left_alone() {
        let deep = "{".repeat(5000) + &"}".repeat(5000);
        for latex in [
            r"\unknown",
            "a^",
            "{",
            "}",
            r"\frac{1}",
            r"\left(a",
            r"\begin{bmatrix} a",
            "a^b^c",
            r"\begin",
            r"\left",
            "\\",
            &deep,
        ] {
            assert_eq!(converted(latex), None, "{latex}");
        }
        assert_eq!(
            inline("<b>").as_deref(),
            Some("<math><mo>&lt;</mo><mi>b</mi><mo>&gt;</mo></math>")
        );
    }
}
