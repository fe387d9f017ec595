//! Matrices, rows, cases and the conditions of indicators.

use super::expr::{Expr, Function, Kind};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span};

impl Parser<'_> {
    pub(super) fn enclosed(&mut self, open: &str, close: &str) -> Result<Expr, FormulaError> {
        self.expect(open)?;
        let inner = self.comparison()?;
        self.expect(close)?;
        Ok(inner)
    }

    /// `[a \quad b]`, `[a, b]`, `[a; b]`, `[[a, b], [c, d]]`; `[a]` is a.
    pub(super) fn row(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        self.expect("[")?;
        let mut bracketed = self.is("[");
        let mut rows = vec![vec![self.comparison()?]];
        loop {
            if self.eat("]") {
                break;
            } else if self.eat(";") || self.eat("\\\\") {
                rows.push(Vec::new());
            } else if !(self.eat(",") || self.eat("quad") || self.eat("&")) {
                return Err(self.unexpected("a comma, a wide space or \"]\""));
            }
            while self.eat("quad") {}
            bracketed &= self.is("[");
            let entry = self.comparison()?;
            if let Some(row) = rows.last_mut() {
                row.push(entry);
            }
        }
        // Rows in brackets of their own stand below each other.
        if let [row] = &mut rows[..] {
            if bracketed && row.len() > 1 {
                let parts = std::mem::take(row);
                rows = parts.into_iter().map(|part| vec![part]).collect();
            } else if row.len() == 1
                && let Some(only) = row.pop()
            {
                return Ok(only);
            }
        }
        self.node(Kind::Rows(rows), start)
    }

    /// The rows of an environment, up to its `\end`.
    pub(super) fn matrix(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut rows = vec![Vec::new()];
        loop {
            match self.peek() {
                Some(Token::End(_)) => break,
                Some(Token::Mark("&")) => self.at += 1,
                Some(Token::Mark("\\\\")) => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(Token::End(_))) {
                        rows.push(Vec::new());
                    }
                }
                Some(_) => {
                    let entry = self.comparison()?;
                    if let Some(row) = rows.last_mut() {
                        row.push(entry);
                    }
                }
                None => return Err(self.unexpected("the \\end of the matrix")),
            }
        }
        self.at += 1;
        if rows.iter().any(Vec::is_empty) {
            return Err(FormulaError::new(
                Fault::Syntax,
                self.since(start),
                "Found a row without entries in a matrix.",
            ));
        }
        if let [row] = &mut rows[..]
            && row.len() == 1
            && let Some(only) = row.pop()
        {
            return Ok(only);
        }
        self.node(Kind::Rows(rows), start)
    }

    pub(super) fn cases(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut cases = Vec::new();
        while !matches!(self.peek(), Some(Token::End(_))) {
            let value = self.comparison()?;
            self.eat(",");
            self.eat("&");
            let mut condition = None;
            loop {
                if self.is_name("if")
                    || self.is_name("for")
                    || self.is_name("otherwise")
                    || self.is_name("else")
                {
                    self.at += 1;
                } else if !self.eat(",") {
                    break;
                }
            }
            if !matches!(
                self.peek(),
                Some(Token::Mark("\\\\") | Token::End(_)) | None
            ) {
                condition = Some(self.comparison()?);
            }
            while self.eat(",") || self.eat(".") || self.eat(";") {}
            cases.push((value, condition));
            if !self.eat("\\\\") {
                break;
            }
        }
        if !matches!(self.peek(), Some(Token::End(_))) {
            return Err(self.unexpected("a condition, \\\\ or \\end{cases}"));
        }
        self.at += 1;
        self.node(Kind::Cases(cases), start)
    }

    /// Whether what follows can be the condition of an indicator.
    pub(super) fn is_indicator_body(&self) -> bool {
        match self.peek() {
            Some(Token::Mark("\\{")) => true,
            Some(Token::Mark(mark @ ("_" | "[" | "("))) => {
                let close = match *mark {
                    "(" => ")",
                    "[" => "]",
                    _ => "}",
                };
                let compares = |token: Option<&Token>| {
                    matches!(
                        token,
                        Some(Token::Mark(">=" | ">" | "<=" | "<" | "=" | "==" | "!="))
                    )
                };
                let is_name = !matches!(
                    self.at
                        .checked_sub(1)
                        .and_then(|at| self.tokens.get(at))
                        .map(|before| &before.token),
                    Some(Token::Number(_))
                );
                if is_name && *mark == "(" {
                    return true;
                }
                let (mut depth, mut ahead) = (0_usize, 0);
                while let Some(token) = self.peek_at(ahead) {
                    match token {
                        Token::Mark("(" | "[" | "{") => depth += 1,
                        Token::Mark(")" | "]" | "}") => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if compares(Some(token)) {
                        return depth > 0;
                    }
                    if depth == 0
                        && ahead > 0
                        && matches!(token, Token::Mark(found) if *found == close)
                    {
                        return false;
                    }
                    ahead += 1;
                }
                false
            }
            _ => false,
        }
    }

    pub(super) fn indicator(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.eat("_");
        let condition = match self.peek() {
            Some(Token::Mark("\\{")) => self.enclosed("\\{", "\\}")?,
            Some(Token::Mark("[")) => self.enclosed("[", "]")?,
            Some(Token::Mark("(")) => self.enclosed("(", ")")?,
            _ => {
                self.expect("{")?;
                // `\mathbb{1}_{\{z > 0\}}` has both.
                let inner = self.comparison()?;
                self.expect("}")?;
                inner
            }
        };
        match condition.kind {
            Kind::Compare(..) => Ok(condition),
            _ => self.node(Kind::Call(Function::Step, vec![condition]), start),
        }
    }

    /// `\mathbf{1}`, `\mathbf{1}_m`: a column of ones.
    pub(super) fn ones(&mut self, start: Span) -> Result<Expr, FormulaError> {
        if self.eat("(") {
            let size = self.comparison()?;
            self.expect(")")?;
            return self.node(Kind::Ones(Some(Box::new(size))), start);
        }
        let size = if self.eat("_") {
            Some(Box::new(self.script()?))
        } else {
            None
        };
        self.node(Kind::Ones(size), start)
    }
}
