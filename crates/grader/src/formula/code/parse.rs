//! Parses the expressions of a program, by precedence climbing.

use super::super::parser::{MAX_DEPTH, MAX_NODES};
use super::super::{Fault, FormulaError, MAX_HEIGHT, Span};
use super::lex::{Lexeme, Token};
use super::syntax::{Clause, Dialect, Form, Infix, Node, Prefix, Relation};

/// Parses the tokens of one line.
pub(super) struct Parser<'t> {
    pub(super) tokens: &'t [Lexeme],
    pub(super) at: usize,
    pub(super) dialect: Dialect,
    /// The end of the text, for errors there.
    pub(super) end: usize,
    depth: usize,
    nodes: usize,
}

/// The infix operators with their precedence; the power and the comparisons are not among them.
fn infix(mark: &str, dialect: Dialect) -> Option<(Infix, u8)> {
    let star = if dialect.has_dots() {
        Infix::Product
    } else {
        Infix::Multiply
    };
    Some(match mark {
        "|" | ".|" if !dialect.has_dots() => (Infix::Or, 1),
        "^" if !dialect.has_dots() => return None,
        "&" | ".&" if !dialect.has_dots() => (Infix::And, 3),
        "+" | ".+" => (Infix::Add, 4),
        "-" | ".-" => (Infix::Subtract, 4),
        "*" => (star, 5),
        ".*" => (Infix::Multiply, 5),
        "@" => (Infix::Product, 5),
        "/" | "./" => (Infix::Divide, 5),
        "//" => (Infix::Floor, 5),
        "%" => (Infix::Remainder, 5),
        _ => return None,
    })
}

fn relation(mark: &str) -> Option<Relation> {
    Some(match mark {
        ">=" | ".>=" => Relation::GreaterOrEqual,
        ">" | ".>" => Relation::Greater,
        "<=" | ".<=" => Relation::LessOrEqual,
        "<" | ".<" => Relation::Less,
        "==" | ".==" => Relation::Equal,
        "!=" | "~=" | ".!=" => Relation::NotEqual,
        _ => return None,
    })
}

impl<'t> Parser<'t> {
    pub(super) fn new(tokens: &'t [Lexeme], dialect: Dialect, nodes: usize) -> Self {
        Self {
            tokens,
            at: 0,
            dialect,
            end: tokens.last().map_or(0, |last| last.span.end),
            depth: 0,
            nodes,
        }
    }

    /// The number of nodes parsed so far.
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|lexeme| &lexeme.token)
    }

    pub(super) fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(found)) if *found == mark)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == word)
    }

    pub(super) fn eat(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), FormulaError> {
        if self.eat(mark) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{mark:?}")))
    }

    pub(super) fn here(&self) -> Span {
        let behind = Span {
            start: self.end,
            end: self.end,
        };
        self.tokens.get(self.at).map_or(behind, |next| next.span)
    }

    pub(super) fn since(&self, start: Span) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        Span {
            start: start.start,
            end: last.map_or(start.end, |last| last.span.end.max(start.start)),
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> FormulaError {
        let found = match self.peek() {
            None => "the end of the line".to_owned(),
            Some(Token::Number(number)) => format!("the number {number}"),
            Some(Token::Name(name)) => format!("{name:?}"),
            Some(Token::Text(_)) => "a text in quotes".to_owned(),
            Some(Token::Mark(mark)) => format!("{mark:?}"),
            Some(Token::Row | Token::Gap) => "the next entry".to_owned(),
        };
        let message = format!("Read as code: found {found}; expected {expected}.");
        FormulaError::new(Fault::Syntax, self.here(), message)
    }

    pub(super) fn node(&mut self, kind: Form, start: Span) -> Result<Node, FormulaError> {
        self.nodes += 1;
        let span = self.since(start);
        if self.nodes > MAX_NODES {
            let message = format!("The code has more than {MAX_NODES} pieces. Write it shorter.");
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        let node = Node::new(kind, span);
        if node.height > MAX_HEIGHT {
            let message = format!(
                "More than {MAX_HEIGHT} pieces of the code lie inside each other. Write it flatter."
            );
            return Err(FormulaError::new(Fault::TooLarge, span, message));
        }
        Ok(node)
    }

    pub(super) fn nested<V>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<V, FormulaError>,
    ) -> Result<V, FormulaError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("The code nests more than {MAX_DEPTH} deep. Write it flatter.");
            return Err(FormulaError::new(Fault::TooLarge, self.here(), message));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// `a, b`, or one expression.
    pub(super) fn several(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let first = self.expression()?;
        if !self.is(",") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.eat(",") {
            if self.peek().is_none() || self.is(")") || self.is("=") {
                break;
            }
            all.push(self.expression()?);
        }
        self.node(Form::Tuple(all), start)
    }

    /// `a if c else b`, `c ? a : b`, `lambda z: …`, `z -> …`, `@(z) …`.
    pub(super) fn expression(&mut self) -> Result<Node, FormulaError> {
        self.nested(Self::expression_here)
    }

    fn expression_here(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        if self.eat_word("lambda") {
            let parameters = self.names(":")?;
            let body = self.expression()?;
            return self.node(Form::Lambda(parameters, Box::new(body)), start);
        }
        if self.dialect == Dialect::Matlab && self.is("@") {
            self.at += 1;
            // `@times`.
            if let Some(Token::Name(name)) = self.peek() {
                self.at += 1;
                return self.node(Form::Name(name.clone()), start);
            }
            self.expect("(")?;
            let parameters = self.names(")")?;
            let body = self.expression()?;
            return self.node(Form::Lambda(parameters, Box::new(body)), start);
        }
        let value = self.any()?;
        if self.eat_word("if") {
            let condition = self.any()?;
            if !self.eat_word("else") {
                return Err(self.unexpected("\"else\""));
            }
            let other = self.expression()?;
            let choice = Form::Choice(Box::new(condition), Box::new(value), Box::new(other));
            return self.node(choice, start);
        }
        if self.dialect == Dialect::Julia && self.eat("?") {
            let one = self.any()?;
            self.expect(":")?;
            let other = self.expression()?;
            let choice = Form::Choice(Box::new(value), Box::new(one), Box::new(other));
            return self.node(choice, start);
        }
        if self.dialect == Dialect::Julia && self.is("->") {
            let parameters = match &value.kind {
                Form::Name(name) => vec![name.clone()],
                Form::Tuple(names) => names.iter().filter_map(name_of).collect(),
                _ => return Err(self.unexpected("the end of the expression")),
            };
            self.at += 1;
            let body = self.expression()?;
            return self.node(Form::Lambda(parameters, Box::new(body)), start);
        }
        Ok(value)
    }

    /// Names with commas between them, up to a mark.
    fn names(&mut self, end: &str) -> Result<Vec<String>, FormulaError> {
        let mut names = Vec::new();
        while !self.eat(end) {
            match self.peek() {
                Some(Token::Name(name)) => names.push(name.clone()),
                _ => return Err(self.unexpected("a name")),
            }
            self.at += 1;
            self.eat(",");
        }
        Ok(names)
    }

    fn any(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let mut left = self.both()?;
        while self.eat_word("or") || self.eat("||") || (self.dialect.has_dots() && self.eat_or()) {
            let right = self.both()?;
            left = self.node(Form::Any(Box::new(left), Box::new(right)), start)?;
        }
        Ok(left)
    }

    fn eat_or(&mut self) -> bool {
        self.eat("|") || self.eat(".|")
    }

    fn both(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let mut left = self.negation()?;
        while self.eat_word("and")
            || self.eat("&&")
            || (self.dialect.has_dots() && (self.eat("&") || self.eat(".&")))
        {
            let right = self.negation()?;
            left = self.node(Form::Both(Box::new(left), Box::new(right)), start)?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        if self.eat_word("not") {
            let inner = self.nested(Self::negation)?;
            return self.node(Form::Unary(Prefix::Not, Box::new(inner)), start);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let first = self.range()?;
        let mut rest = Vec::new();
        while let Some(Token::Mark(mark)) = self.peek()
            && let Some(relation) = relation(mark)
        {
            self.at += 1;
            rest.push((relation, self.range()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        self.node(Form::Compare(Box::new(first), rest), start)
    }

    /// `a:b` outside of indices.
    fn range(&mut self) -> Result<Node, FormulaError> {
        self.binary(0)
    }

    fn binary(&mut self, least: u8) -> Result<Node, FormulaError> {
        let start = self.here();
        let first = self.unary()?;
        let mut rest = Vec::new();
        while let Some(Token::Mark(mark)) = self.peek()
            && let Some((operator, precedence)) = infix(mark, self.dialect)
            && precedence >= least
        {
            self.at += 1;
            let right = self.nested(|parser| parser.binary(precedence + 1))?;
            rest.push((operator, right));
        }
        // Each operator is a piece.
        self.nodes += rest.len().saturating_sub(1);
        let first = Box::new(first);
        let form = match (rest.pop(), rest.is_empty()) {
            (None, _) => return Ok(*first),
            (Some((operator, right)), true) => Form::Binary(operator, first, Box::new(right)),
            (Some(last), false) => {
                rest.push(last);
                Form::Row(first, rest)
            }
        };
        self.node(form, start)
    }

    fn unary(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let prefix = if self.eat("-") {
            Prefix::Minus
        } else if self.eat("+") {
            Prefix::Plus
        } else if self.eat("~") || (self.dialect.has_dots() && (self.eat("!") || self.eat(".~"))) {
            Prefix::Not
        } else {
            return self.power();
        };
        let inner = self.nested(Self::unary)?;
        self.node(Form::Unary(prefix, Box::new(inner)), start)
    }

    fn power(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let base = self.primary()?;
        let is_power =
            self.eat("**") || (self.dialect.has_dots() && (self.eat(".^") || self.eat("^")));
        if !is_power {
            return Ok(base);
        }
        let exponent = self.nested(Self::unary)?;
        self.node(
            Form::Binary(Infix::Power, Box::new(base), Box::new(exponent)),
            start,
        )
    }

    /// An atom with calls, indices and attributes behind it.
    fn primary(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let mut base = self.atom()?;
        loop {
            base = match self.peek() {
                Some(Token::Mark("(")) => {
                    self.at += 1;
                    let (values, named) = self.nested(Self::arguments)?;
                    self.node(Form::Call(Box::new(base), values, named), start)?
                }
                Some(Token::Mark("[")) => {
                    self.at += 1;
                    let items = self.nested(Self::items)?;
                    self.node(Form::Index(Box::new(base), items), start)?
                }
                Some(Token::Mark(".'" | "'")) => {
                    self.at += 1;
                    self.node(Form::Transpose(Box::new(base)), start)?
                }
                Some(Token::Mark(".")) => {
                    self.at += 1;
                    match self.peek() {
                        Some(Token::Name(name)) => {
                            self.at += 1;
                            self.node(Form::Attribute(Box::new(base), name.clone()), start)?
                        }
                        // Julia's `f.(x)` is the same as `f(x)` for functions of one entry.
                        Some(Token::Mark("(")) if self.dialect == Dialect::Julia => base,
                        _ => return Err(self.unexpected("a name after the dot")),
                    }
                }
                _ => return Ok(base),
            };
        }
    }

    /// `a, b, axis=0)`, the opening parenthesis already read.
    #[expect(clippy::type_complexity, reason = "values, then named values")]
    fn arguments(&mut self) -> Result<(Vec<Node>, Vec<(String, Node)>), FormulaError> {
        let (mut values, mut named) = (Vec::new(), Vec::new());
        while !self.eat(")") {
            if self.is("*") || self.is("**") {
                return Err(self.unexpected("an argument; starred arguments are not known"));
            }
            if let (Some(Token::Name(name)), Some(Token::Mark("="))) = (
                self.peek(),
                self.tokens.get(self.at + 1).map(|next| &next.token),
            ) {
                self.at += 2;
                named.push((name.clone(), self.expression()?));
            } else {
                values.push(self.item(")")?);
            }
            let is_separated = self.eat(",") || (self.dialect == Dialect::Julia && self.eat(";"));
            if !is_separated && !self.is(")") {
                return Err(self.unexpected("a comma or \")\""));
            }
        }
        Ok((values, named))
    }

    /// `0, :, None]`, the opening bracket already read.
    fn items(&mut self) -> Result<Vec<Node>, FormulaError> {
        let mut items = Vec::new();
        while !self.eat("]") {
            if matches!(self.peek(), Some(Token::Row | Token::Gap)) {
                self.at += 1;
                continue;
            }
            items.push(self.item("]")?);
            if !self.eat(",") && !self.is("]") {
                return Err(self.unexpected("a comma or \"]\""));
            }
        }
        Ok(items)
    }

    /// An argument or an index: an expression, a slice, or an expression for each of many values.
    fn item(&mut self, close: &str) -> Result<Node, FormulaError> {
        let start = self.here();
        let ends = |parser: &Self| {
            parser.is(":") || parser.is(",") || parser.is(close) || parser.peek().is_none()
        };
        let first = if self.is(":") {
            None
        } else {
            Some(Box::new(self.expression()?))
        };
        if let Some(first) = first {
            if self.is_word("for") {
                return self.each(*first, start);
            }
            if !self.is(":") {
                return Ok(*first);
            }
            self.at += 1;
            return self.slice(Some(first), ends, start);
        }
        self.at += 1;
        self.slice(None, ends, start)
    }

    fn slice(
        &mut self,
        from: Option<Box<Node>>,
        ends: impl Fn(&Self) -> bool,
        start: Span,
    ) -> Result<Node, FormulaError> {
        let part = |parser: &mut Self| -> Result<Option<Box<Node>>, FormulaError> {
            if ends(parser) {
                return Ok(None);
            }
            parser.expression().map(|part| Some(Box::new(part)))
        };
        let to = part(self)?;
        let step = if self.eat(":") { part(self)? } else { None };
        self.node(Form::Slice(from, to, step), start)
    }

    /// `… for q in range(2) if …`, the element already read.
    pub(super) fn each(&mut self, element: Node, start: Span) -> Result<Node, FormulaError> {
        let mut clauses = Vec::new();
        while self.eat_word("for") {
            loop {
                let targets = self.targets()?;
                let iterable = if self.dialect.has_dots() {
                    self.iterable()?
                } else {
                    self.any()?
                };
                clauses.push(Clause {
                    targets,
                    iterable,
                    conditions: Vec::new(),
                });
                // Julia's `for i in 1:2, j in 1:3`.
                if !(self.dialect == Dialect::Julia && self.eat(",")) {
                    break;
                }
            }
            while self.eat_word("if") {
                let condition = self.any()?;
                if let Some(clause) = clauses.last_mut() {
                    clause.conditions.push(condition);
                }
            }
        }
        self.node(Form::Each(Box::new(element), clauses), start)
    }

    /// `k in`, `(d, h) in`, and MATLAB's `k =`.
    pub(super) fn targets(&mut self) -> Result<Vec<String>, FormulaError> {
        let mut names = Vec::new();
        loop {
            match self.peek() {
                Some(Token::Name(name)) if name != "in" => {
                    names.push(name.clone());
                    self.at += 1;
                }
                Some(Token::Mark("(" | ")" | "," | "[" | "]")) => self.at += 1,
                _ => break,
            }
        }
        let found = self.eat_word("in") || (self.dialect.has_dots() && self.eat("="));
        if !found || names.is_empty() {
            return Err(self.unexpected("\"in\""));
        }
        Ok(names)
    }

    /// `1:m`, or another expression.
    pub(super) fn iterable(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let first = self.any()?;
        if !self.eat(":") {
            return Ok(first);
        }
        let to = self.any()?;
        let kind = Form::Slice(Some(Box::new(first)), Some(Box::new(to)), None);
        self.node(kind, start)
    }

    fn atom(&mut self) -> Result<Node, FormulaError> {
        let start = self.here();
        let kind = match self.peek() {
            Some(Token::Number(number)) => {
                self.at += 1;
                let number = Form::Number(*number);
                // Julia's `2h`.
                if self.dialect == Dialect::Julia
                    && matches!(self.peek(), Some(Token::Name(_)))
                    && self.here().start == self.since(start).end
                {
                    let left = self.node(number, start)?;
                    let right = self.nested(Self::primary)?;
                    Form::Binary(Infix::Multiply, Box::new(left), Box::new(right))
                } else {
                    number
                }
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Form::Text(text.clone())
            }
            Some(Token::Name(name)) => {
                self.at += 1;
                match name.as_str() {
                    "None" | "nothing" => Form::Nothing,
                    "True" | "true" => Form::Number(1.0),
                    "False" | "false" => Form::Number(0.0),
                    _ => Form::Name(name.clone()),
                }
            }
            Some(Token::Mark("...")) => {
                self.at += 1;
                Form::Ellipsis
            }
            Some(Token::Mark("(")) => {
                self.at += 1;
                return self.nested(|parser| parser.parenthesised(start));
            }
            Some(Token::Mark("[")) if self.dialect.has_dots() => {
                self.at += 1;
                let rows = self.nested(Self::rows)?;
                return match rows {
                    Rows::Each(each) => Ok(each),
                    Rows::Of(rows) => self.node(Form::Rows(rows), start),
                };
            }
            Some(Token::Mark("[")) => {
                self.at += 1;
                Form::List(self.nested(Self::items)?)
            }
            Some(Token::Mark("{")) if !self.dialect.has_dots() => {
                self.at += 1;
                let entries = self.nested(Self::entries)?;
                let dict = self.node(Form::Name("dict".to_owned()), start)?;
                Form::Call(Box::new(dict), Vec::new(), entries)
            }
            _ => return Err(self.unexpected("a number, a name or a bracket")),
        };
        self.node(kind, start)
    }

    /// `'key': value}` of a dictionary, the opening brace already read.
    fn entries(&mut self) -> Result<Vec<(String, Node)>, FormulaError> {
        let mut entries = Vec::new();
        while !self.eat("}") {
            let Some(Token::Text(key)) = self.peek() else {
                return Err(self.unexpected("a key in quotes"));
            };
            self.at += 1;
            self.expect(":")?;
            entries.push((key.clone(), self.expression()?));
            if !self.eat(",") && !self.is("}") {
                return Err(self.unexpected("a comma or \"}\""));
            }
        }
        Ok(entries)
    }

    /// The opening parenthesis already read.
    fn parenthesised(&mut self, start: Span) -> Result<Node, FormulaError> {
        if self.eat(")") {
            return self.node(Form::Tuple(Vec::new()), start);
        }
        let mut inner = self.several()?;
        if self.is_word("for") {
            inner = self.each(inner, start)?;
        }
        self.expect(")")?;
        inner.span = self.since(start);
        Ok(inner)
    }

    /// `a b; c d]`, the opening bracket already read.
    fn rows(&mut self) -> Result<Rows, FormulaError> {
        let start = self.here();
        let mut rows = vec![Vec::new()];
        loop {
            match self.peek() {
                Some(Token::Mark("]")) => break,
                Some(Token::Mark(",") | Token::Gap) => self.at += 1,
                Some(Token::Mark(";") | Token::Row) => {
                    self.at += 1;
                    rows.push(Vec::new());
                }
                None => return Err(self.unexpected("\"]\"")),
                Some(_) => {
                    let entry = self.expression()?;
                    if self.is_word("for") {
                        let each = self.each(entry, start)?;
                        self.expect("]")?;
                        return Ok(Rows::Each(each));
                    }
                    if let Some(row) = rows.last_mut() {
                        row.push(entry);
                    }
                }
            }
        }
        self.at += 1;
        rows.retain(|row| !row.is_empty());
        Ok(Rows::Of(rows))
    }
}

/// What brackets hold in MATLAB and Julia.
enum Rows {
    Of(Vec<Vec<Node>>),
    Each(Node),
}

fn name_of(node: &Node) -> Option<String> {
    match &node.kind {
        Form::Name(name) => Some(name.clone()),
        _ => None,
    }
}
