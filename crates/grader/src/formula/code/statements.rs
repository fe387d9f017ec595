//! Parses the statements of a program.

use super::super::{FormulaError, Span};
use super::lex::{Line, Token};
use super::parse::Parser;
use super::syntax::{Action, Dialect, Form, Infix, Node, Statement};

/// Parses lines into statements.
pub(super) fn statements(lines: &[Line], dialect: Dialect) -> Result<Vec<Statement>, FormulaError> {
    let mut reader = Reader {
        lines,
        at: 0,
        dialect,
        nodes: 0,
        depth: 0,
    };
    let mut all = Vec::new();
    while reader.at < lines.len() {
        reader.line(&mut all)?;
    }
    Ok(all)
}

struct Reader<'t> {
    lines: &'t [Line],
    at: usize,
    dialect: Dialect,
    nodes: usize,
    depth: usize,
}

/// What stands in front of a block.
enum Header {
    Define(String, Vec<(String, Option<Node>)>),
    For(Vec<String>, Node),
    If(Node),
    Else,
    With,
}

impl<'t> Reader<'t> {
    fn is_word_at(&self, at: usize, words: &[&str]) -> bool {
        let first = self.lines.get(at).and_then(|line| line.tokens.first());
        matches!(first.map(|first| &first.token), Some(Token::Name(word)) if words.contains(&word.as_str()))
    }

    /// One line, with the block below it if it is the head of one.
    fn line(&mut self, out: &mut Vec<Statement>) -> Result<(), FormulaError> {
        let line = &self.lines[self.at];
        self.at += 1;
        let mut parser = Parser::new(&line.tokens, self.dialect, self.nodes);
        let start = parser.here();
        let header = header(&mut parser)?;
        let Some(header) = header else {
            simple(&mut parser, out)?;
            self.nodes = parser.nodes();
            return Ok(());
        };
        self.depth += 1;
        if self.depth > 12 {
            return Err(parser.unexpected("fewer blocks inside each other"));
        }
        let mut block = Vec::new();
        if parser.peek().is_some() {
            simple(&mut parser, &mut block)?;
            self.nodes = parser.nodes();
            if self.dialect.has_dots() {
                strip_end(&mut block);
            }
        } else {
            self.nodes = parser.nodes();
            self.block(line.indent, &mut block)?;
            if block.is_empty() {
                return Err(parser.unexpected("an indented block below"));
            }
        }
        let span = Span {
            start: start.start,
            end: line.tokens.last().map_or(start.end, |last| last.span.end),
        };
        let kind = match header {
            Header::Define(name, parameters) => Action::Define(name, parameters, block),
            Header::For(targets, iterable) => Action::For(targets, iterable, block),
            Header::With | Header::Else => {
                out.append(&mut block);
                self.depth -= 1;
                return Ok(());
            }
            Header::If(condition) => {
                let mut other = Vec::new();
                if self.is_word_at(self.at, &["else", "elif", "elseif"])
                    && (self.dialect.has_dots() || self.lines[self.at].indent == line.indent)
                {
                    self.line(&mut other)?;
                }
                Action::If(condition, block, other)
            }
        };
        self.depth -= 1;
        out.push(Statement { kind, span });
        Ok(())
    }

    /// The lines below a header: those that are indented more, or those up to `end`.
    fn block(&mut self, indent: usize, out: &mut Vec<Statement>) -> Result<(), FormulaError> {
        while self.at < self.lines.len() {
            if self.dialect.has_dots() {
                if self.is_word_at(self.at, &["end", "endfunction", "endfor"]) {
                    self.at += 1;
                    return Ok(());
                }
                if self.is_word_at(self.at, &["else", "elseif"]) {
                    return Ok(());
                }
            } else if self.lines[self.at].indent <= indent {
                return Ok(());
            }
            self.line(out)?;
        }
        Ok(())
    }
}

/// Takes away the `end` of a block on one line.
fn strip_end(block: &mut Vec<Statement>) {
    let is_end = |statement: &Statement| matches!(&statement.kind, Action::Value(Node { kind: Form::Name(name), .. }) if name == "end");
    if block.last().is_some_and(is_end) {
        block.pop();
    }
}

/// The head of a block; `None` if the line is something else.
fn header(parser: &mut Parser) -> Result<Option<Header>, FormulaError> {
    let Some(Token::Name(word)) = parser.peek() else {
        return Ok(None);
    };
    let dots = parser.dialect.has_dots();
    let header = match word.as_str() {
        "def" | "function" => {
            parser.at += 1;
            define(parser)?
        }
        "for" => {
            parser.at += 1;
            let targets = parser.targets()?;
            let iterable = if dots {
                parser.iterable()?
            } else {
                parser.several()?
            };
            Header::For(targets, iterable)
        }
        "if" | "elif" | "elseif" => {
            parser.at += 1;
            Header::If(parser.expression()?)
        }
        "else" => {
            parser.at += 1;
            Header::Else
        }
        "with" => {
            parser.at += 1;
            parser.expression()?;
            Header::With
        }
        _ => return Ok(None),
    };
    if dots {
        let _ = parser.eat(";") || parser.eat(",");
    } else {
        parser.expect(":")?;
    }
    Ok(Some(header))
}

/// `f(a, b=1) -> type`, MATLAB's `r = f(a, b)`.
fn define(parser: &mut Parser) -> Result<Header, FormulaError> {
    let mut name = parser.peek();
    parser.at += 1;
    if parser.dialect.has_dots() && parser.eat("=") {
        name = parser.peek();
        parser.at += 1;
    }
    let Some(Token::Name(name)) = name else {
        return Err(parser.unexpected("the name of a function"));
    };
    parser.expect("(")?;
    let mut parameters = Vec::new();
    while !parser.eat(")") {
        let Some(Token::Name(parameter)) = parser.peek() else {
            return Err(parser.unexpected("the name of a parameter"));
        };
        parser.at += 1;
        if parser.eat(":") {
            parser.expression()?;
        }
        let default = if parser.eat("=") {
            Some(parser.expression()?)
        } else {
            None
        };
        parameters.push((parameter.clone(), default));
        if !parser.eat(",") && !parser.is(")") {
            return Err(parser.unexpected("a comma or \")\""));
        }
    }
    if parser.eat("->") {
        parser.expression()?;
    }
    Ok(Header::Define(name.clone(), parameters))
}

/// Statements on one line, with `;` between them.
fn simple(parser: &mut Parser, out: &mut Vec<Statement>) -> Result<(), FormulaError> {
    while parser.peek().is_some() {
        if parser.eat(";") {
            continue;
        }
        let start = parser.here();
        let kind = statement(parser)?;
        let span = parser.since(start);
        out.push(Statement { kind, span });
        let ends = parser.peek().is_none()
            || parser.eat(";")
            || (parser.dialect.has_dots() && parser.eat(","));
        if !ends {
            return Err(parser.unexpected("an operator or the end of the line"));
        }
    }
    Ok(())
}

fn statement(parser: &mut Parser) -> Result<Action, FormulaError> {
    if let Some(Token::Name(word)) = parser.peek() {
        match word.as_str() {
            "return" => {
                parser.at += 1;
                if parser.peek().is_none() || parser.is(";") {
                    return Ok(Action::Return(None));
                }
                return parser.several().map(|value| Action::Return(Some(value)));
            }
            "import" | "from" | "using" => return Ok(import(parser)),
            "pass" => {
                parser.at += 1;
                return Ok(Action::Pass);
            }
            "end" if parser.dialect.has_dots() => {
                parser.at += 1;
                return Ok(Action::Pass);
            }
            "assert" => {
                parser.at += 1;
                return parser.several().map(Action::Assert);
            }
            "while" | "class" | "try" | "raise" | "global" | "del" | "yield" | "async"
            | "continue" | "break" => {
                let message = format!("an expression; the statement {word:?} is not known here");
                return Err(parser.unexpected(&message));
            }
            _ => {}
        }
    }
    let first = parser.several()?;
    if parser.eat(":") {
        // `name: type = value`.
        parser.expression()?;
        parser.expect("=")?;
        return Ok(Action::Assign(vec![first], parser.several()?));
    }
    let changes = [
        ("+=", Infix::Add),
        ("-=", Infix::Subtract),
        ("*=", Infix::Multiply),
        ("/=", Infix::Divide),
        ("@=", Infix::Product),
    ];
    if let Some((_, operator)) = changes.into_iter().find(|(mark, _)| parser.eat(mark)) {
        return Ok(Action::Change(first, operator, parser.several()?));
    }
    if parser.dialect == Dialect::Julia
        && parser.is("=")
        && let Some((name, parameters)) = defined(&first)
    {
        // `f(z) = …`.
        parser.at += 1;
        let kind = Action::Return(Some(parser.several()?));
        let span = first.span;
        let body = vec![Statement { kind, span }];
        return Ok(Action::Define(name, parameters, body));
    }
    let mut all = vec![first];
    while parser.eat("=") || parser.eat(":=") || parser.eat(".=") {
        all.push(parser.several()?);
    }
    match all.pop() {
        Some(value) if all.is_empty() => Ok(Action::Value(value)),
        Some(value) => Ok(Action::Assign(all, value)),
        None => Err(parser.unexpected("an expression")),
    }
}

/// A function's name, and its parameters with their defaults.
type Signature = (String, Vec<(String, Option<Node>)>);

/// The function and the parameters that `f(a, b)` names.
fn defined(left: &Node) -> Option<Signature> {
    let Form::Call(callee, values, named) = &left.kind else {
        return None;
    };
    let Form::Name(name) = &callee.kind else {
        return None;
    };
    let parameter = |value: &Node| match &value.kind {
        Form::Name(name) => Some((name.clone(), None)),
        _ => None,
    };
    let parameters: Option<Vec<_>> = values.iter().map(parameter).collect();
    parameters
        .filter(|_| named.is_empty())
        .map(|parameters| (name.clone(), parameters))
}

/// `import numpy as np, torch`, `from numpy import outer, where as w`.
fn import(parser: &mut Parser) -> Action {
    let mut words = Vec::new();
    while let Some(token) = parser.peek() {
        match token {
            Token::Name(name) => words.push(name.clone()),
            Token::Mark(";") => break,
            Token::Mark(mark) => words.push((*mark).to_owned()),
            _ => {}
        }
        parser.at += 1;
    }
    let mut aliases = Vec::new();
    let text = words.join(" ").replace(" . ", ".");
    if let Some(modules) = text.strip_prefix("import ") {
        for module in modules.split(',') {
            let (module, alias) = module.split_once(" as ").unwrap_or((module, module));
            aliases.push((alias.trim().to_owned(), module.trim().to_owned()));
        }
    } else if let Some((_, names)) = text.split_once(" import ") {
        for name in names.split(',') {
            let (name, alias) = name.split_once(" as ").unwrap_or((name, name));
            aliases.push((alias.trim().to_owned(), format!(".{}", name.trim())));
        }
    }
    Action::Import(aliases)
}
