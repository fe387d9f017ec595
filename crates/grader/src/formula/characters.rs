//! Unicode in formulas: sub- and superscripts, mathematical alphanumerics as copied from a PDF, accents, and the signs
//! of word processors become the characters and commands that the lexer knows.

use super::Span;

/// The text in the lexer's characters, and where each of its bytes came from.
pub(super) struct Normalised {
    pub(super) text: String,
    /// For each byte of `text`, the bytes of the original character.
    origin: Vec<Span>,
    end: usize,
}

impl Normalised {
    /// Normalises `text`; `None` if there is nothing to do.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.is_ascii() {
            return None;
        }
        let mut writer = Writer::default();
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let mut end = at + c.len_utf8();
            // A combining mark stands behind its letter.
            let mark = rest.peek().map(|&(_, mark)| mark);
            let accent = mark.and_then(|mark| accent(c, mark));
            if accent.is_some()
                && let Some((at, mark)) = rest.next()
            {
                end = at + mark.len_utf8();
            }
            let span = Span { start: at, end };
            match accent {
                Some(command) => writer.command(command, c, span),
                None => writer.character(c, mark, span),
            }
        }
        writer.close();
        Some(Self {
            text: writer.text,
            origin: writer.origin,
            end: text.len(),
        })
    }

    /// The place in the original text of a place in the normalised one.
    pub(super) fn original(&self, span: Span) -> Span {
        let start = self.origin.get(span.start).map_or(self.end, |at| at.start);
        let end = match span.end.checked_sub(1) {
            Some(last) if span.end > span.start => {
                self.origin.get(last).map_or(self.end, |at| at.end)
            }
            _ => start,
        };
        Span {
            start,
            end: end.max(start),
        }
    }
}

/// The height of a run of raised or lowered characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Raised,
    Lowered,
}

#[derive(Default)]
struct Writer {
    text: String,
    origin: Vec<Span>,
    open: Option<Level>,
}

impl Writer {
    fn push(&mut self, piece: &str, span: Span) {
        self.text.push_str(piece);
        self.origin.extend(std::iter::repeat_n(span, piece.len()));
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            let span = self.origin.last().copied().unwrap_or_default();
            self.push("}", span);
        }
    }

    fn command(&mut self, command: &str, letter: char, span: Span) {
        self.close();
        let mut base = String::new();
        plain(letter, &mut base);
        self.push(&format!("{command}{{{base}}} "), span);
    }

    fn character(&mut self, c: char, next: Option<char>, span: Span) {
        if is_invisible(c) {
            return;
        }
        let (level, piece) = match (raised(c), lowered(c)) {
            (Some(piece), _) => (Level::Raised, piece),
            (_, Some(piece)) => (Level::Lowered, piece),
            // `h²₁,ⱼ`: the comma belongs to the subscript.
            _ if self.open == Some(Level::Lowered)
                && (c == ','
                    && next.is_some_and(|next| {
                        continues_subscript(next) || has_no_subscript(next)
                    })
                    || matches!(c, ':' | '·' | '⋅') && self.text.ends_with(',')) =>
            {
                let piece = if c == ',' { "," } else { ":" };
                return self.push(piece, span);
            }
            // `W³₁,q`
            _ if self.open == Some(Level::Lowered)
                && has_no_subscript(c)
                && self.text.ends_with(',') =>
            {
                return self.push(c.encode_utf8(&mut [0; 4]), span);
            }
            _ => {
                self.close();
                let mut piece = String::new();
                plain(c, &mut piece);
                return self.push(&piece, span);
            }
        };
        if self.open != Some(level) {
            self.close();
            self.push(if level == Level::Raised { "^{" } else { "_{" }, span);
            self.open = Some(level);
        }
        self.push(piece, span);
    }
}

/// Letters of indices that Unicode has no subscript for.
fn has_no_subscript(c: char) -> bool {
    matches!(c, 'c' | 'd' | 'g' | 'q')
}

fn continues_subscript(c: char) -> bool {
    lowered(c).is_some() || matches!(c, ':' | '·' | '⋅')
}

/// Characters without width or meaning: the byte order mark, zero-width spaces, soft hyphens, invisible operators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// The command for a letter with a combining mark; an arrow above a vector or a line below it changes nothing.
fn accent(letter: char, mark: char) -> Option<&'static str> {
    let is_letter = letter.is_alphabetic();
    match mark {
        '\u{302}' if is_letter => Some("\\hat"),
        '\u{307}' if is_letter => Some("\\dot"),
        '\u{20d7}' | '\u{20d1}' | '\u{332}' | '\u{331}' if is_letter => Some(""),
        _ => None,
    }
}

fn raised(c: char) -> Option<&'static str> {
    const RAISED: &[(char, &str)] = &[
        ('⁰', "0"),
        ('¹', "1"),
        ('²', "2"),
        ('³', "3"),
        ('⁴', "4"),
        ('⁵', "5"),
        ('⁶', "6"),
        ('⁷', "7"),
        ('⁸', "8"),
        ('⁹', "9"),
        ('⁺', "+"),
        ('⁻', "-"),
        ('⁼', "="),
        ('⁽', "("),
        ('⁾', ")"),
        ('ᵃ', "a"),
        ('ᵇ', "b"),
        ('ᶜ', "c"),
        ('ᵈ', "d"),
        ('ᵉ', "e"),
        ('ᶠ', "f"),
        ('ᵍ', "g"),
        ('ʰ', "h"),
        ('ⁱ', "i"),
        ('ʲ', "j"),
        ('ᵏ', "k"),
        ('ˡ', "l"),
        ('ᵐ', "m"),
        ('ⁿ', "n"),
        ('ᵒ', "o"),
        ('ᵖ', "p"),
        ('ʳ', "r"),
        ('ˢ', "s"),
        ('ᵗ', "t"),
        ('ᵘ', "u"),
        ('ᵛ', "v"),
        ('ʷ', "w"),
        ('ˣ', "x"),
        ('ʸ', "y"),
        ('ᶻ', "z"),
        ('ᴸ', "L"),
        ('ᵀ', "T"),
        ('ᴴ', "H"),
        ('ᴺ', "N"),
        ('ᴹ', "M"),
        ('⊺', "\\top "),
        ('⸢', "["),
        ('⸣', "]"),
    ];
    find(RAISED, c)
}

fn lowered(c: char) -> Option<&'static str> {
    const LOWERED: &[(char, &str)] = &[
        ('₀', "0"),
        ('₁', "1"),
        ('₂', "2"),
        ('₃', "3"),
        ('₄', "4"),
        ('₅', "5"),
        ('₆', "6"),
        ('₇', "7"),
        ('₈', "8"),
        ('₉', "9"),
        ('₊', "+"),
        ('₋', "-"),
        ('₌', "="),
        ('₍', "("),
        ('₎', ")"),
        ('ₐ', "a"),
        ('ₑ', "e"),
        ('ₕ', "h"),
        ('ᵢ', "i"),
        ('ⱼ', "j"),
        ('ₖ', "k"),
        ('ₗ', "l"),
        ('ₘ', "m"),
        ('ₙ', "n"),
        ('ₒ', "o"),
        ('ₚ', "p"),
        ('ᵣ', "r"),
        ('ₛ', "s"),
        ('ₜ', "t"),
        ('ᵤ', "u"),
        ('ᵥ', "v"),
        ('ₓ', "x"),
        ('ᵦ', "\\beta "),
        ('ᵧ', "\\gamma "),
        ('ᵨ', "\\rho "),
        ('ᵩ', "\\phi "),
        ('ᵪ', "\\chi "),
        ('﹐', ","),
    ];
    find(LOWERED, c)
}

fn find(table: &[(char, &'static str)], c: char) -> Option<&'static str> {
    let entry = table.iter().find(|(character, _)| *character == c);
    entry.map(|(_, piece)| *piece)
}

const CAPITALS: &[&str] = &[
    "Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa",
    "Lambda", "Mu", "Nu", "Xi", "Omicron", "Pi", "Rho", "Theta", "sum", "Tau", "Upsilon", "Phi",
    "Chi", "Psi", "Omega",
];
const SMALL: &[&str] = &[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi",
    "chi", "psi", "omega",
];
const VARIANTS: &[&str] = &["partial", "epsilon", "theta", "kappa", "phi", "rho", "pi"];

/// A letter of the mathematical alphanumerics, U+1D400 to U+1D7FF, in its plain form.
fn alphanumeric(c: char) -> Option<String> {
    const LATIN: u32 = 0x1d400;
    const GREEK: u32 = 0x1d6a8;
    const DIGITS: u32 = 0x1d7ce;
    let code = u32::from(c);
    let letter = |first: u8, at: u32| Some(char::from(first + at as u8).to_string());
    match code {
        // The indicator's 1, which the lexer knows.
        0x1d7cf | 0x1d7d9 | 0x1d540 => Some("\\mathbb{1}".to_owned()),
        LATIN..0x1d6a4 => match (code - LATIN) % 52 {
            at @ 0..26 => letter(b'A', at),
            at => letter(b'a', at - 26),
        },
        GREEK..0x1d7ca => {
            let at = ((code - GREEK) % 58) as usize;
            let name = match at {
                0..25 => CAPITALS.get(at),
                25 => Some(&"nabla"),
                26..51 => SMALL.get(at - 26),
                _ => VARIANTS.get(at - 51),
            };
            name.map(|name| format!("\\{name} "))
        }
        DIGITS..0x1d800 => letter(b'0', (code - DIGITS) % 10),
        _ => None,
    }
}

/// Characters of word processors and of Unicode, and what the lexer knows for each.
const PLAIN: &[(char, &str)] = &[
    ('ŷ', "\\hat{y} "),
    ('ƒ', "f"),
    ('µ', "\\mu "),
    ('ℎ', "h"),
    ('ℓ', "\\ell "),
    ('ℒ', "L"),
    ('𝓁', "\\ell "),
    ('–', "-"),
    ('—', "-"),
    ('‐', "-"),
    ('‑', "-"),
    ('‒', "-"),
    ('－', "-"),
    ('﹣', "-"),
    ('∗', "*"),
    ('⁎', "*"),
    ('∙', "·"),
    ('•', "·"),
    ('‧', "·"),
    ('・', "·"),
    ('⊡', "⊙"),
    ('⨀', "⊙"),
    ('ʘ', "⊙"),
    ('☉', "⊙"),
    ('◦', "⊙"),
    ('○', "⊙"),
    ('⊚', "⊙"),
    ('⊗', "\\otimes "),
    ('⨂', "\\otimes "),
    ('⊘', "\\oslash "),
    ('✕', "×"),
    ('⨯', "×"),
    ('∕', "/"),
    ('⁄', "/"),
    ('÷', "/"),
    ('⩾', "≥"),
    ('≧', "≥"),
    ('⩽', "≤"),
    ('≦', "≤"),
    ('﹥', ">"),
    ('﹤', "<"),
    ('‘', "'"),
    ('ʹ', "'"),
    ('ʼ', "'"),
    ('´', "'"),
    ('‵', "'"),
    ('″', "''"),
    ('∈', "\\in "),
    ('∀', "\\forall "),
    ('∞', "\\infty "),
    ('½', "\\frac{1}{2}"),
    ('⅓', "\\frac{1}{3}"),
    ('¼', "\\frac{1}{4}"),
    ('⟦', "["),
    ('⟧', "]"),
    ('‖', "\\Vert "),
    ('∥', "\\Vert "),
    ('∣', "|"),
    ('❘', "|"),
    ('≡', "="),
    ('≜', "="),
    ('≔', "="),
    ('≝', "="),
    ('⇒', "="),
    ('〈', "⟨"),
    ('〉', "⟩"),
    ('⟙', "⊤"),
    ('∏', "\\prod "),
    ('√', "\\sqrt "),
    ('〖', "("),
    ('〗', ")"),
    ('▒', " "),
    ('α', "\\alpha "),
    ('β', "\\beta "),
    ('γ', "\\gamma "),
    ('ε', "\\epsilon "),
    ('ζ', "\\zeta "),
    ('η', "\\eta "),
    ('ι', "\\iota "),
    ('κ', "\\kappa "),
    ('λ', "\\lambda "),
    ('μ', "\\mu "),
    ('ν', "\\nu "),
    ('ξ', "\\xi "),
    ('π', "\\pi "),
    ('ρ', "\\rho "),
    ('τ', "\\tau "),
    ('φ', "\\phi "),
    ('ϕ', "\\phi "),
    ('χ', "\\chi "),
    ('ψ', "\\psi "),
    ('ω', "\\omega "),
    ('Θ', "\\Theta "),
    ('ϴ', "\\Theta "),
    ('Δ', "\\Delta "),
    ('∆', "\\Delta "),
    ('Λ', "\\Lambda "),
    ('Ω', "\\Omega "),
    ('Φ', "\\Phi "),
    ('Ψ', "\\Psi "),
];

/// Writes a character that is neither raised nor lowered.
fn plain(c: char, to: &mut String) {
    if let Some(piece) = find(PLAIN, c) {
        to.push_str(piece);
    } else if let Some(piece) = alphanumeric(c) {
        to.push_str(&piece);
    } else if ('！'..='～').contains(&c) {
        // The full-width forms of ASCII.
        to.extend(char::from_u32(u32::from(c) - 0xff01 + 0x21));
    } else {
        to.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::Normalised;
    use crate::formula::Span;

    #[test]
    fn characters_become_those_of_the_lexer() {
        for (given, text) in [
            ("h²₁,ⱼ", "h^{2}_{1,j}"),
            ("W⁽³⁾ᵀ", "W^{(3)T}"),
            ("𝛿𝑊𝐖ℎ", "\\delta WWh"),
            ("ŷ y\u{302} σ\u{307}", "\\hat{y}  \\hat{y}  \\dot{σ} "),
            ("\u{feff}a\u{200b}∗b–c", "a*b-c"),
            ("W²ᵢ,: + z₁", "W^{2}_{i,:} + z_{1}"),
            ("𝜎′(𝑧₁²)", "\\sigma ′(z_{1}^{2})"),
        ] {
            let normalised = Normalised::of(given).expect("it is not ASCII");
            assert_eq!(normalised.text, text, "{given}");
        }
        assert!(Normalised::of("h^2_1").is_none());
    }

    #[test]
    fn a_place_is_that_of_the_original_characters() {
        let text = "δ·𝑊³₁ₓ";
        let normalised = Normalised::of(text).expect("it is not ASCII");
        let at = normalised.text.find("_{1x}").expect("it is lowered");
        let span = normalised.original(Span {
            start: at,
            end: at + 5,
        });
        assert_eq!(&text[span.start..span.end], "₁ₓ");
        let whole = normalised.original(Span {
            start: 0,
            end: normalised.text.len(),
        });
        assert_eq!(&text[whole.start..whole.end], text);
    }
}
