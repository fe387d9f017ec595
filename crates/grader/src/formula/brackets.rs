//! Parses matrices, rows, cases and the conditions of indicators.

use std::sync::Arc;

use super::ellipsis::pattern;
use super::expr::{Comparison, Expr, Function, Kind, Operator};
use super::lexer::Token;
use super::parser::Parser;
use super::{Fault, FormulaError, Span};

impl Parser<'_> {
    pub(super) fn enclosed(&mut self, open: &str, close: &str) -> Result<Expr, FormulaError> {
        self.expect(open)?;
        let spaced = std::mem::replace(&mut self.in_spaced_row, false);
        if matches!(open, "{" | "\\{")
            && let Some(cases) = self.piecewise(close)
        {
            self.in_spaced_row = spaced;
            return Ok(cases);
        }
        let inner = self.conditional()?;
        self.in_spaced_row = spaced;
        self.expect(close)?;
        Ok(inner)
    }

    /// `{1, x > 0; 0, x <= 0}`, the brace already read, if that is what follows.
    fn piecewise(&mut self, close: &str) -> Option<Expr> {
        let (begin, start) = (self.at, self.here());
        // Tried again whenever what is around it is, braces inside each other would take twice as long with each.
        if self.not_cases.contains(&begin) {
            return None;
        }
        let read = |parser: &mut Self| {
            let mut cases = Vec::new();
            loop {
                let value = parser.sum()?;
                parser.expect(",")?;
                let _ = parser.eat_condition_word();
                if parser.eat_name("otherwise") || parser.eat_name("else") {
                    cases.push((value, None));
                } else {
                    let condition = parser.comparison()?;
                    if !matches!(condition.kind, Kind::Compare(..)) {
                        return Err(parser.unexpected("a condition"));
                    }
                    cases.push((value, Some(condition)));
                }
                if parser.eat(close) {
                    return parser.node(Kind::Cases(cases), start);
                }
                if !(parser.eat(";") || parser.eat("\\\\") || parser.eat(",")) {
                    return Err(parser.unexpected("another case"));
                }
            }
        };
        let found = read(self).ok();
        if found.is_none() {
            self.at = begin;
            self.not_cases.insert(begin);
        }
        found
    }

    /// `(a)`, or the row `(a, b)`.
    pub(super) fn parenthesis(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("(")?;
        let spaced = std::mem::replace(&mut self.in_spaced_row, false);
        let first = self.conditional()?;
        let mut row = vec![first];
        while self.eat(",") {
            while self.eat("quad") {}
            row.push(self.conditional()?);
        }
        self.in_spaced_row = spaced;
        self.expect(")")?;
        if row.len() == 1
            && let Some(only) = row.pop()
        {
            return Ok(only);
        }
        self.node(Kind::Rows(vec![row]), start)
    }

    /// `<a, b>` where a value is expected.
    pub(super) fn plain_inner_product(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("<")?;
        let left = self.sum()?;
        self.expect(",")?;
        let right = self.sum()?;
        self.expect(">")?;
        let product = Kind::Binary(Operator::Hadamard, Arc::new(left), Arc::new(right));
        let product = self.node(product, start)?;
        self.node(Kind::Call(Function::Total, vec![product]), start)
    }

    /// Whether an interval follows: `_{(0,\infty)}`.
    pub(super) fn is_interval(&self) -> bool {
        let opens = |ahead| matches!(self.peek_at(ahead), Some(Token::Mark("(" | "[")));
        let is_below = self.is("_") && matches!(self.peek_at(1), Some(Token::Mark("{")));
        let is_half_line = matches!(self.peek_at(2), Some(Token::Mark(">" | ">=")));
        let is_interval = opens(2)
            && matches!(self.peek_at(3), Some(Token::Number(zero)) if zero == "0")
            && matches!(self.peek_at(4), Some(Token::Mark(",")));
        is_below && (is_half_line || is_interval)
    }

    /// `\chi_{(0,\infty)}(z)`.
    pub(super) fn indicator_of_interval(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("_")?;
        self.expect("{")?;
        let is_closed = self.is("[") || self.is(">=");
        if self.eat(">") || self.eat(">=") {
            if !matches!(self.peek(), Some(Token::Number(zero)) if zero == "0") {
                return Err(self.unexpected("0, as in \\mathbb{1}_{>0}"));
            }
            self.at += 1;
        } else {
            // The bracket, the 0 and the comma.
            self.at += 3;
            self.eat("+");
            if !self.eat_name("infty") {
                return Err(self.unexpected("the interval (0, \\infty) or [0, \\infty)"));
            }
            if !(self.eat(")") || self.eat("]") || self.eat("[")) {
                return Err(self.unexpected("the end of the interval"));
            }
        }
        self.expect("}")?;
        let argument = self.enclosed("(", ")")?;
        let comparison = if is_closed {
            Comparison::GreaterOrEqual
        } else {
            Comparison::Greater
        };
        let zero = self.node(Kind::Number(0.0), start)?;
        let kind = Kind::Compare(comparison, Arc::new(argument), Arc::new(zero));
        self.node(kind, start)
    }

    /// `⟨a, b⟩`, the sum of the entries of `a ⊙ b`.
    pub(super) fn inner_product(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect("⟨")?;
        let left = self.comparison()?;
        self.expect(",")?;
        let right = self.comparison()?;
        self.expect("⟩")?;
        let product = Kind::Binary(Operator::Hadamard, Arc::new(left), Arc::new(right));
        let product = self.node(product, start)?;
        self.node(Kind::Call(Function::Total, vec![product]), start)
    }

    /// `a if c else b`, `a if c, b otherwise`, or a comparison alone.
    pub(super) fn conditional(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        if self.is_name("if") {
            return self.condition_first(start);
        }
        let mut value = self.comparison()?;
        // `{a \over b}`.
        if self.eat_name("over") {
            let below = self.comparison()?;
            let kind = Kind::Binary(Operator::Divide, Arc::new(value), Arc::new(below));
            value = self.node(kind, start)?;
        }
        if !self.eat_condition_word() {
            return Ok(value);
        }
        let condition = self.comparison()?;
        while self.eat(",")
            || self.eat(";")
            || self.eat_name("and")
            || self.eat_name("else")
            || self.eat_name("otherwise")
        {}
        let other = self.comparison()?;
        if self.eat_condition_word() {
            let second = self.comparison()?;
            return self.node(
                Kind::Cases(vec![(value, Some(condition)), (other, Some(second))]),
                start,
            );
        }
        let _ = self.eat_name("otherwise") || self.eat_name("else");
        self.node(
            Kind::Cases(vec![(value, Some(condition)), (other, None)]),
            start,
        )
    }

    fn eat_condition_word(&mut self) -> bool {
        self.eat_name("if") || self.eat_name("for") || self.eat_name("when")
    }

    /// `if c then a else b`.
    fn condition_first(&mut self, start: Span) -> Result<Expr, FormulaError> {
        self.expect_name("if")?;
        let condition = self.comparison()?;
        let _ = self.eat(",") | self.eat_name("then");
        let value = self.comparison()?;
        let _ = self.eat(",") | self.eat(";");
        if !(self.eat_name("else") || self.eat_name("otherwise")) {
            return Err(self.unexpected("\"else\" and the other value"));
        }
        let other = self.comparison()?;
        let cases = vec![(value, Some(condition)), (other, None)];
        self.node(Kind::Cases(cases), start)
    }

    fn expect_name(&mut self, name: &str) -> Result<(), FormulaError> {
        if self.eat_name(name) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{name:?}")))
        }
    }

    /// `[a \quad b]`, `[a, b]`, `[a; b]`, `[[a, b], [c, d]]`; `[a]` is a.
    pub(super) fn row(&mut self) -> Result<Expr, FormulaError> {
        let start = self.here();
        self.expect("[")?;
        let outer = std::mem::replace(&mut self.in_spaced_row, self.style.spaces > 0);
        let mut own_end = self.end_of_brackets();
        let mut rows = vec![vec![self.entry()?]];
        let mut bracketed = own_end == Some(self.at);
        loop {
            if self.eat("]") {
                break;
            } else if self.eat(";") || self.eat("\\\\") {
                rows.push(Vec::new());
            } else if !(self.eat(",") || self.eat("quad") || self.eat("&") || self.in_spaced_row) {
                return Err(self.unexpected("a comma, a wide space or \"]\""));
            }
            while self.eat("quad") {}
            own_end = self.end_of_brackets();
            let entry = self.entry()?;
            bracketed &= own_end == Some(self.at);
            if let Some(row) = rows.last_mut() {
                row.push(entry);
            }
        }
        self.in_spaced_row = outer;
        let is_product = |entry: &Option<Expr>| {
            let kind = entry.as_ref().map(|entry| &entry.kind);
            matches!(
                kind,
                Some(Kind::Binary(Operator::Times, ..) | Kind::Mixed(..))
            )
        };
        self.doubts.spaces |=
            matches!(&rows[..], [row] if row.len() == 1 && row.iter().all(is_product));
        let mut rows = self.without_dots(rows, start)?;
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

    /// Behind the brackets that open here.
    fn end_of_brackets(&mut self) -> Option<usize> {
        let start = self.at;
        let end = self.is("[").then(|| {
            self.skip_group();
            self.at
        });
        self.at = start;
        end
    }

    /// The rows of an environment, up to its `\end`.
    pub(super) fn matrix(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut rows = vec![Vec::new()];
        loop {
            match self.peek() {
                Some(Token::End(_)) => break,
                Some(Token::Mark("&" | "," | "quad")) => self.at += 1,
                Some(Token::Mark("\\\\")) => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(Token::End(_))) {
                        rows.push(Vec::new());
                    }
                }
                Some(_) => {
                    let entry = self.entry()?;
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
        let mut rows = self.without_dots(rows, start)?;
        if let [row] = &mut rows[..]
            && row.len() == 1
            && let Some(only) = row.pop()
        {
            return Ok(only);
        }
        self.node(Kind::Rows(rows), start)
    }

    /// An entry of a matrix, or `None` for dots.
    fn entry(&mut self) -> Result<Option<Expr>, FormulaError> {
        if self.eat_name("dots") {
            return Ok(None);
        }
        self.conditional().map(Some)
    }

    /// The rows with dots replaced by the rows or entries that they stand for.
    fn without_dots(
        &mut self,
        rows: Vec<Vec<Option<Expr>>>,
        start: Span,
    ) -> Result<Vec<Vec<Expr>>, FormulaError> {
        let mut lines: Vec<Option<Vec<Expr>>> = Vec::with_capacity(rows.len());
        for row in rows {
            if row.iter().all(Option::is_none) {
                lines.push(None);
                continue;
            }
            if row.iter().all(Option::is_some) {
                lines.push(Some(row.into_iter().flatten().collect()));
                continue;
            }
            // An entry each is a column lying down.
            let transposed = row.into_iter().map(|entry| entry.map(Expr::transposed));
            let column = self.stacked(transposed.collect(), start)?;
            lines.push(Some(vec![
                self.node(Kind::Transpose(Arc::new(column)), start)?,
            ]));
        }
        if lines.iter().all(Option::is_some) {
            return Ok(lines.into_iter().flatten().collect());
        }
        let mut blocks = Vec::with_capacity(lines.len());
        for line in lines {
            blocks.push(match line {
                None => None,
                Some(mut row) if row.len() == 1 => row.pop(),
                Some(row) => Some(self.node(Kind::Rows(vec![row]), start)?),
            });
        }
        Ok(vec![vec![self.stacked(blocks, start)?]])
    }

    /// Rows below each other with dots before the last: one row for every value of the index that runs.
    fn stacked(&mut self, rows: Vec<Option<Expr>>, start: Span) -> Result<Expr, FormulaError> {
        if let [before @ .., None, Some(last)] = &rows[..] {
            let before: Option<Vec<&Expr>> = before.iter().map(Option::as_ref).collect();
            if let Some(found) = before.and_then(|before| pattern(&before, last)) {
                let (from, to, body) = (found.from, found.to, found.body);
                let kind = Kind::Stack(found.letter, Arc::new(from), Arc::new(to), Arc::new(body));
                return self.node(kind, start);
            }
        }
        let message = "The dots of the matrix do not tell what they stand for; write the first and the last row alike, with indices such as 1 and m.";
        Err(FormulaError::new(Fault::Syntax, self.since(start), message))
    }

    pub(super) fn cases(&mut self, start: Span) -> Result<Expr, FormulaError> {
        let mut cases = Vec::new();
        while !matches!(self.peek(), Some(Token::End(_))) {
            if self.eat_name("undefined") {
                self.undefined_case()?;
                if !self.eat("\\\\") {
                    break;
                }
                continue;
            }
            if let Some(case) = self.case_with_condition_first()? {
                cases.push(case);
                if !self.eat("\\\\") {
                    break;
                }
                continue;
            }
            let value = self.comparison()?;
            self.eat(",");
            self.eat("&");
            self.eat(":");
            let mut condition = None;
            loop {
                if self.is_name("if")
                    || self.is_name("for")
                    || self.is_name("when")
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

    /// The rest of a case whose value is `undefined`: it is a single point, `x = 0`, where any value is right.
    fn undefined_case(&mut self) -> Result<(), FormulaError> {
        while self.eat(",") || self.eat("&") || self.eat(":") || self.eat_condition_word() {}
        let condition = self.comparison()?;
        while self.eat(",") || self.eat(".") || self.eat(";") {}
        match &condition.kind {
            Kind::Compare(Comparison::Equal, _, zero) if zero.kind == Kind::Number(0.0) => Ok(()),
            _ => Err(FormulaError::new(
                Fault::Syntax,
                condition.span,
                "Only at a single point such as x = 0 can the value be undefined.",
            )),
        }
    }

    /// `x > 0 & 1`, `\text{if } x > 0: & 1` or `\text{otherwise} & 0`: a comparison first, and a number or a formula
    /// without one behind it.
    fn case_with_condition_first(&mut self) -> Result<Option<(Expr, Option<Expr>)>, FormulaError> {
        let begin = self.at;
        let is_said = self.eat_condition_word();
        let is_other = !is_said && (self.eat_name("otherwise") || self.eat_name("else"));
        let mut condition = None;
        if !is_other {
            let first = self.comparison()?;
            let has_second_condition = || {
                let rest = self.tokens[self.at..].iter();
                let line = rest.take_while(|lexeme| {
                    !matches!(lexeme.token, Token::Mark("\\\\") | Token::End(_))
                });
                let mut line = line.map(|lexeme| &lexeme.token);
                line.any(|token| {
                    matches!(token, Token::Mark(">" | "<" | ">=" | "<=" | "!=" | "="))
                        || matches!(token, Token::Name(name) if matches!(name.as_str(), "if" | "for" | "when" | "otherwise" | "else"))
                })
            };
            if !matches!(first.kind, Kind::Compare(..))
                || !self.compares_outside_brackets(begin)
                || !is_said && has_second_condition()
            {
                self.at = begin;
                return Ok(None);
            }
            condition = Some(first);
        }
        while self.eat(",") || self.eat(":") || self.eat("&") {}
        let value = self.sum()?;
        while self.eat(",") || self.eat(".") || self.eat(";") {}
        Ok(Some((value, condition)))
    }

    /// Whether a comparison stands outside of brackets since `begin`; inside, as in `[x > 0]`, it makes a value.
    fn compares_outside_brackets(&self, begin: usize) -> bool {
        let mut depth = 0_usize;
        self.tokens[begin..self.at].iter().any(|lexeme| {
            match lexeme.token {
                Token::Mark("(" | "[" | "{" | "\\{") => depth += 1,
                Token::Mark(")" | "]" | "}" | "\\}") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(lexeme.token, Token::Mark(">" | "<" | ">=" | "<="))
        })
    }

    /// Whether what follows can be the condition of an indicator.
    pub(super) fn is_indicator_body(&self) -> bool {
        match self.peek() {
            Some(Token::Mark("\\{" | "(")) => true,
            Some(Token::Mark(mark @ ("_" | "[" | "{"))) => {
                let close = if *mark == "[" { "]" } else { "}" };
                let compares = |token: Option<&Token>| {
                    matches!(
                        token,
                        Some(Token::Mark(">=" | ">" | "<=" | "<" | "=" | "==" | "!="))
                    )
                };
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
            Some(Token::Mark("{")) => self.script()?,
            Some(Token::Mark("(")) => {
                self.at += 1;
                let inner = self.comparison()?;
                // `heaviside(x, 1)`: the value at the kink, where both are right.
                if self.eat(",") {
                    self.comparison()?;
                }
                self.expect(")")?;
                inner
            }
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
            return self.node(Kind::Ones(Some(Arc::new(size))), start);
        }
        let size = if self.eat("_") {
            Some(Arc::new(self.script()?))
        } else {
            None
        };
        self.node(Kind::Ones(size), start)
    }
}
