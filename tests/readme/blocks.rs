//! The fenced blocks of a Markdown text, as commands with their expected output.

/// A block, with the following blocks that show the output of its last command.
pub enum Block {
    Steps(Vec<Step>),
    /// It has a mark that says so, or another test runs it.
    NotRun,
    /// Neither a command nor marked.
    Unknown {
        line: usize,
        language: String,
    },
}

/// A command and its expected output.
pub struct Step {
    pub line: usize,
    pub command: String,
    pub output: String,
}

struct Fence<'a> {
    /// The last line before it that is not empty.
    before: &'a str,
    /// Whether only empty lines separate it from the previous block.
    follows: bool,
    line: usize,
    language: &'a str,
    text: Vec<&'a str>,
}

fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut fences: Vec<Fence<'_>> = Vec::new();
    let (mut before, mut follows, mut inside) = ("", false, false);
    for (line, number) in text.lines().zip(1..) {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => {
                fences.push(Fence {
                    before,
                    follows,
                    line: number,
                    language: language.trim(),
                    text: Vec::new(),
                });
                inside = true;
            }
            (Some(_), true) => (before, follows, inside) = ("", true, false),
            (None, true) => fences.last_mut().expect("it began").text.push(line),
            (None, false) if line.trim().is_empty() => {}
            (None, false) => (before, follows) = (line, false),
        }
    }
    fences
}

/// The blocks of a text, without those of TOML, which are files and not commands. Blocks of Python run in Python.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for fence in fences(text) {
        let is_marked = ["<!-- not run: ", "<!-- run by "]
            .iter()
            .any(|mark| fence.before.starts_with(mark) && fence.before.ends_with(" -->"));
        let output = fence.text.join("\n");
        match (fence.language, blocks.last_mut()) {
            _ if is_marked => blocks.push(Block::NotRun),
            ("toml", _) => {}
            // `python/tests/test_pages.py` runs it.
            ("python", _) => blocks.push(Block::NotRun),
            ("console", _) => blocks.push(Block::Steps(steps(&fence))),
            // The output of the block before.
            ("json" | "text", Some(Block::NotRun)) if fence.follows => {}
            ("json" | "text", Some(Block::Steps(steps))) if fence.follows => {
                if let Some(last) = steps.last_mut() {
                    last.output.push_str(&output);
                }
            }
            (language, _) => blocks.push(Block::Unknown {
                line: fence.line,
                language: language.to_owned(),
            }),
        }
    }
    blocks
}

fn steps(fence: &Fence<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_command = false;
    for (line, number) in fence.text.iter().zip(fence.line + 1..) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: number,
                command: command.to_owned(),
                output: String::new(),
            });
            is_command = true;
        } else if let Some(step) = steps.last_mut() {
            if is_command {
                step.command.push('\n');
                step.command.push_str(line);
            } else {
                step.output.push_str(line);
                step.output.push('\n');
            }
        }
        let command = steps.last().map_or("", |step| &step.command);
        let is_quoted = command.matches('\'').count() % 2 == 1;
        is_command = is_command && (is_quoted || command.ends_with('\\'));
    }
    steps
}

/// Splits a command into words as a shell does, with single quotes, `\` at the end of a line, and comments.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        for word in part.split_whitespace().filter(|word| *word != "\\") {
            if word.starts_with('#') {
                return Ok(words);
            }
            if let Some(odd) = word.chars().find(|c| "|;&$<>*`\"(){}".contains(*c)) {
                return Err(format!("`{odd}` needs a shell"));
            }
            words.push(word.to_owned());
        }
    }
    Ok(words)
}
