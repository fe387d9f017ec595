//! Tokenizes LaTeX commands and environments.

use super::FormulaError;
use super::lexer::{Lexer, Token};
use super::text::is_remark;
use super::vocabulary::{ALIASES, DECORATION, MARKS, REFUSED, SPACES, WORDS};

impl<'t> Lexer<'t> {
    pub(super) fn command(&mut self) -> Result<(), FormulaError> {
        let after = &self.rest()[1..];
        let Some(first) = after.chars().next() else {
            return Err(self.error(
                1,
                "The formula ends in a backslash; a command was expected.",
            ));
        };
        if !first.is_ascii_alphabetic() {
            return self.short_command(first);
        }
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (name, bytes) = (&after[..end], 1 + end);
        if REFUSED.contains(&name) {
            let message = if name == "prod" {
                "A product sign \\prod is not read; write the factors, or \\sum for a sum."
                    .to_owned()
            } else {
                format!("\\{name} is not allowed; write the formula itself.")
            };
            return Err(self.error(bytes, message));
        }
        if name == "begin" || name == "end" {
            return self.environment(name == "begin", bytes);
        }
        if let Some((_, mark)) = MARKS.iter().find(|(command, _)| *command == name) {
            self.push(Token::Mark(mark), bytes);
            return Ok(());
        }
        match name {
            "widehat" => self.push(Token::Name("hat".to_owned()), bytes),
            "varphi" => self.push(Token::Name("phi".to_owned()), bytes),
            "vartheta" => self.push(Token::Name("theta".to_owned()), bytes),
            "infty" => self.push(Token::Name("infty".to_owned()), bytes),
            "quad" | "qquad" => self.push(Token::Mark("quad"), bytes),
            "top" | "intercal" | "transp" => self.push(Token::Name("top".to_owned()), bytes),
            "mathbb" | "mathbbm" | "mathds" => self.blackboard(bytes)?,
            "mathbf" | "boldsymbol" | "bm" if self.is_bold_one(bytes) => self.blackboard(bytes)?,
            "text" | "textrm" | "mbox" | "textit" | "textbf" | "textsf" | "textsc"
            | "textnormal" | "texttt" | "emph" | "section" | "subsection" | "subsubsection"
            | "paragraph" | "intertext" | "shortintertext" | "hbox" => self.remark(bytes)?,
            "boxed" | "fbox" | "framebox" | "underline" => self.frame(bytes)?,
            "textcolor" | "colorbox" => {
                let group = self.group(bytes)?;
                self.at += bytes + group;
                self.frame(0)?;
            }
            "overset" | "stackrel" | "underset" => self.annotated(bytes)?,
            "forall" | "because" | "therefore" => self.push(Token::Word(name.to_owned()), bytes),
            "item" | "par" | "newline" | "linebreak" => self.push(Token::Line, bytes),
            "noindent" | "smallskip" | "medskip" | "bigskip" | "centering" | "indent"
            | "maketitle" | "hline" | "allowbreak" | "relax" | "null" => self.at += bytes,
            "operatorname" if self.unknown_operator(bytes).is_some() => {
                let operator = self.unknown_operator(bytes).unwrap_or_default();
                let message = format!(
                    "The operator {operator:?} is not read; write the formula without it. Known are diag, tr, vec, max, min, sgn, ReLU, softmax and their like."
                );
                return Err(self.error(bytes, message));
            }
            "operatorname" | "mathrm" | "mathsf" | "mathtt" | "mathit" | "mathcal" => {
                self.upright(bytes)
            }
            "label" | "tag" | "color" | "hspace" | "vspace" | "phantom" | "ref" | "eqref"
            | "cite" => {
                let group = self.group(bytes)?;
                self.at += bytes + group;
            }
            "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" | "flatfrac" => {
                self.push(Token::Name("frac".to_owned()), bytes)
            }
            "overbrace" => self.push(Token::Name("underbrace".to_owned()), bytes),
            "dots" | "ldots" | "cdots" | "vdots" | "ddots" => {
                self.push(Token::Name("dots".to_owned()), bytes)
            }
            _ if DECORATION.contains(&name) => {
                self.at += bytes;
                // `\left.` is a bracket that is not there.
                if matches!(name, "left" | "right") && self.rest().trim_start().starts_with('.') {
                    self.at += self.rest().find('.').map_or(0, |dot| dot + 1);
                }
            }
            _ => self.push(Token::Name(name.to_owned()), bytes),
        }
        Ok(())
    }

    pub(super) fn short_command(&mut self, first: char) -> Result<(), FormulaError> {
        match first {
            '\\' => {
                self.push(Token::Mark("\\\\"), 2);
                // `\\[2pt]`: the space between two lines.
                if self.rest().starts_with('[')
                    && let Some(end) = self.rest().find(']')
                    && self.rest()[1..end].ends_with(|c: char| c.is_ascii_alphabetic())
                {
                    self.at += end + 1;
                }
            }
            '{' => self.push(Token::Mark("\\{"), 2),
            '}' => self.push(Token::Mark("\\}"), 2),
            '|' => self.push(Token::Mark("‖"), 2),
            '[' | ']' => {
                self.in_math = first == '[';
                self.push(Token::Break, 2);
            }
            '(' | ')' => {
                self.in_math = first == '(' && self.text_ends.is_empty();
                let token = if self.keeps_words {
                    Token::Inline
                } else {
                    Token::Break
                };
                self.push(token, 2);
            }
            '&' => self.push(Token::Mark("&"), 2),
            '_' => self.push(Token::Mark("_"), 2),
            '#' | '%' => self.push(Token::Mark("#"), 2),
            _ if SPACES.contains(&first) || first.is_whitespace() => {
                self.at += 1 + first.len_utf8()
            }
            _ => {
                let message = format!("Found \\{first}, which is no command of a formula.");
                return Err(self.error(1 + first.len_utf8(), message));
            }
        }
        Ok(())
    }

    /// The bytes of the `{…}` that follows `skip` bytes, blanks before it included; 0 where there is none.
    pub(super) fn group(&self, skip: usize) -> Result<usize, FormulaError> {
        let rest = &self.rest()[skip..];
        let blanks = rest.len() - rest.trim_start().len();
        if !rest[blanks..].starts_with('{') {
            return Ok(0);
        }
        let mut depth = 0_usize;
        for (at, c) in rest.char_indices().skip(blanks) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && at >= blanks {
                return Ok(at + 1);
            }
        }
        Err(self.error(skip, "Found a { that is never closed; expected a }."))
    }

    pub(super) fn group_text(&self, skip: usize) -> Result<(&'t str, usize), FormulaError> {
        let bytes = self.group(skip)?;
        let text = self.rest()[skip..skip + bytes].trim();
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        Ok((inner.unwrap_or("").trim(), bytes))
    }

    pub(super) fn is_bold_one(&self, skip: usize) -> bool {
        let rest = self.rest()[skip..].trim_start();
        let rest = rest.strip_prefix('{').unwrap_or(rest).trim_start();
        rest.starts_with('1')
    }

    /// `\mathbb{1}`, `\mathbb 1`, `\mathbb{I}`: the indicator; other letters stand for themselves.
    pub(super) fn blackboard(&mut self, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        if group > 0 {
            if matches!(inner, "1" | "I") {
                self.push(Token::Name("indicator".to_owned()), bytes + group);
            } else {
                self.at += bytes;
            }
            return Ok(());
        }
        let rest = &self.rest()[bytes..];
        let blanks = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(['1', 'I']) {
            self.push(Token::Name("indicator".to_owned()), bytes + blanks + 1);
        } else {
            self.at += bytes;
        }
        Ok(())
    }

    /// `\text{ReLU}` is a name; any other text is read as words and symbols.
    pub(super) fn remark(&mut self, mut bytes: usize) -> Result<(), FormulaError> {
        bytes += usize::from(self.rest()[bytes..].starts_with('*'));
        let (inner, group) = self.group_text(bytes)?;
        let lower = inner.to_ascii_lowercase();
        let bare = lower.trim_end_matches(['.', ',', ';']);
        if let Some(word) = WORDS.iter().find(|word| **word == bare) {
            self.push(Token::Name((*word).to_owned()), bytes + group);
        } else if lower.starts_with("undefined") || lower.starts_with("not defined") {
            self.push(Token::Name("undefined".to_owned()), bytes + group);
        } else if inner.len() == 1 && inner.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            self.at += bytes;
        } else if self.keeps_words {
            self.open_text(bytes, group);
        } else if lower.starts_with("otherwise") || lower.starts_with("else") {
            self.push(Token::Name("otherwise".to_owned()), bytes + group);
        } else {
            self.at += bytes + group;
        }
        Ok(())
    }

    /// The word of an `\operatorname` that is neither a known word nor one letter.
    fn unknown_operator(&self, bytes: usize) -> Option<&'t str> {
        let (inner, _) = self.group_text(bytes).ok()?;
        let is_word = inner.len() > 1 && inner.bytes().all(|c| c.is_ascii_alphabetic());
        let lower = inner.to_ascii_lowercase();
        let is_known = WORDS.contains(&lower.as_str())
            || ALIASES
                .iter()
                .any(|(alias, _)| *alias == inner || *alias == lower);
        (is_word && !is_known).then_some(inner)
    }

    /// Steps into a group whose braces group nothing.
    fn open_text(&mut self, bytes: usize, group: usize) {
        let rest = &self.rest()[bytes..];
        let blanks = rest.len() - rest.trim_start().len();
        if group > 0 {
            self.text_ends.push(self.at + bytes + group - 1);
            self.at += bytes + blanks + 1;
        } else {
            self.at += bytes;
        }
    }

    /// `\boxed{lhs = rhs}`: a frame around equations or text groups nothing; around a formula it does.
    fn frame(&mut self, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        if inner.contains(['=', '$', ':']) || inner.contains("\\text") {
            self.open_text(bytes, group);
        } else {
            self.at += bytes;
        }
        Ok(())
    }

    /// `\overset{\text{chain rule}}{=}`: what stands above is a remark if its words are without meaning.
    fn annotated(&mut self, bytes: usize) -> Result<(), FormulaError> {
        let (above, group) = self.group_text(bytes)?;
        let above = above.replace("\\text", "").to_ascii_lowercase();
        let words = above
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty());
        if let Some(word) = words.clone().find(|word| !is_remark(word)) {
            let message = format!(
                "The word “{word}” was not understood: write it beside the formula or leave it out."
            );
            return Err(self.error(bytes + group, message));
        }
        self.at += bytes + group;
        let (_, symbol) = self.group_text(0)?;
        self.open_text(0, symbol);
        Ok(())
    }

    /// `\mathrm{ReLU}`: the word inside is one name where it is known.
    pub(super) fn upright(&mut self, bytes: usize) {
        if let Ok((inner, group)) = self.group_text(bytes)
            && group > 0
        {
            let lower = inner.to_ascii_lowercase();
            let known = WORDS.iter().find(|word| **word == lower);
            let name = match lower.as_str() {
                "step" | "heaviside" | "relu" => Some(lower.clone()),
                "tr" | "trace" => Some("trace".to_owned()),
                "vec" => Some(lower.clone()),
                "softmax" | "sigmoid" => Some(lower.clone()),
                _ => known.map(|word| (*word).to_owned()),
            };
            if let Some(name) = name {
                return self.push(Token::Name(name), bytes + group);
            }
            // `\mathrm{d}z` without its braces.
            if inner == "d" {
                return self.push(Token::Name("d".to_owned()), bytes + group);
            }
        }
        self.at += bytes;
    }

    pub(super) fn environment(&mut self, begin: bool, bytes: usize) -> Result<(), FormulaError> {
        let (inner, group) = self.group_text(bytes)?;
        let name = inner.trim_end_matches('*').to_owned();
        let all = bytes + group;
        match name.as_str() {
            "bmatrix" | "pmatrix" | "matrix" | "vmatrix" | "Bmatrix" | "smallmatrix" | "array"
            | "cases" | "dcases" => {
                let columns = if begin && name == "array" {
                    self.group(all)?
                } else {
                    0
                };
                let name = if name == "dcases" {
                    "cases".to_owned()
                } else {
                    name
                };
                let token = if begin {
                    Token::Begin(name)
                } else {
                    Token::End(name)
                };
                self.push(token, all + columns);
            }
            "align" | "equation" | "gather" | "multline" | "displaymath" | "math" | "eqnarray"
            | "flalign" | "alignat" | "IEEEeqnarray" => {
                let columns = if begin && matches!(name.as_str(), "alignat" | "IEEEeqnarray") {
                    self.group(all)?
                } else {
                    0
                };
                self.in_math = begin;
                self.push(Token::Break, all + columns);
            }
            "enumerate" | "itemize" | "description" | "center" | "proof" | "document" | "quote"
            | "quotation" | "flushleft" | "flushright" | "solution" | "answer" | "framed"
            | "tcolorbox" | "mdframed" | "subequations" => self.push(Token::Line, all),
            "aligned" | "split" | "gathered" | "alignedat" => self.at += all,
            _ => {
                let message = format!(
                    "Found the environment {inner:?}; expected a matrix (bmatrix, pmatrix, array), cases, or aligned."
                );
                return Err(self.error(all, message));
            }
        }
        Ok(())
    }
}
