//! The README's console blocks do what they show, number by number.
//!
//! A block runs in order, with the output of each command compared to the lines below it, or to the JSON or text block
//! that follows. `…` stands for anything. A duration and a rate (`0.53 s`, `81279 samples/s`) may be any. A block that
//! cannot run here has a comment before it, `<!-- not run: why -->` or `<!-- run by FILE -->`; every other one has to.

mod blocks;
mod compare;
mod grpcurl;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use blocks::{Block, Step, blocks};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_backpropd");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Addresses of the README, each of a server of its own.
const ADDRESSES: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50052"];

/// A server behind one of the README's addresses.
struct Server {
    child: Child,
    address: String,
    /// What it printed, with the README's address.
    printed: String,
    _data: TempDir,
}

impl Server {
    fn start(shown: &str) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(PROGRAM)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "error",
                "--data-dir",
            ])
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (first, second) = (line(), line());
        let (_, address) = first.rsplit_once(' ').expect("it says where");
        let printed = format!("{first}\n{second}\n").replace(address, shown);
        Self {
            address: address.to_owned(),
            child,
            printed,
            _data: data,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder in which the commands run, and the servers that they talk to.
struct Shell {
    folder: TempDir,
    servers: HashMap<&'static str, Server>,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["examples", "assignments", "data"] {
            std::os::unix::fs::symlink(Path::new(ROOT).join(name), folder.path().join(name))
                .expect("a link");
        }
        Self {
            folder,
            servers: HashMap::new(),
        }
    }

    fn server(&mut self, shown: &'static str) -> &Server {
        self.servers
            .entry(shown)
            .or_insert_with(|| Server::start(shown))
    }

    /// What a command prints, or why it cannot be run here.
    fn run(&mut self, step: &Step) -> Result<String, String> {
        let words = blocks::words(&step.command)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["cat", file] => {
                std::fs::write(self.folder.path().join(file), &step.output).expect("writable");
                Ok(step.output.clone())
            }
            ["cargo", "run", "--release"] => Ok(self.server(ADDRESSES[0]).printed.clone()),
            ["cargo", "run", "--release", "--", arguments @ ..] => self.program(arguments),
            ["backpropd", arguments @ ..] => self.program(arguments),
            ["grpcurl", "-plaintext", "-d", request, address, method] => {
                let shown = ADDRESSES.into_iter().find(|shown| shown == address);
                let shown = shown.ok_or_else(|| format!("{address} is none of {ADDRESSES:?}"))?;
                let address = self.server(shown).address.clone();
                grpcurl::call(&address, method, request)
            }
            _ => Err(format!(
                "`{}` is no command that this test knows",
                step.command
            )),
        }
    }

    fn program(&mut self, arguments: &[&str]) -> Result<String, String> {
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        if matches!(arguments[0].as_str(), "export" | "import")
            && !arguments.iter().any(|word| word == "--server")
        {
            arguments.extend(["--server".to_owned(), ADDRESSES[0].to_owned()]);
        }
        for word in &mut arguments {
            if let Some(shown) = ADDRESSES.into_iter().find(|shown| shown == word) {
                word.clone_from(&self.server(shown).address);
            }
        }
        let output = Command::new(PROGRAM)
            .args(&arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("it runs");
        // 1: something in a hand-in is wrong.
        match output.status.code() {
            Some(0 | 1) => {
                let both = [output.stderr, output.stdout].concat();
                Ok(String::from_utf8_lossy(&both).into_owned())
            }
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(file)).expect("it is part of the repository")
}

/// Every difference between what the file shows and what is printed.
fn differences(file: &str, text: &str) -> Vec<String> {
    let mut shell = Shell::new();
    let mut differences = Vec::new();
    let mut note = |line: usize, what: String| differences.push(format!("{file}:{line}: {what}"));
    for block in blocks(text) {
        let steps = match block {
            Block::NotRun => continue,
            Block::Unknown { line, language } => {
                let what = format!("a block of `{language}` that is neither run nor marked");
                note(line, what);
                continue;
            }
            Block::Steps(steps) => steps,
        };
        for step in steps {
            match shell.run(&step) {
                Err(why) => note(step.line, format!("`{}`: {why}", step.command)),
                Ok(printed) => {
                    // A command with nothing below it only has to succeed.
                    let is_refused =
                        printed.starts_with("ERROR:") || printed.starts_with("backpropd:");
                    if step.output.is_empty() {
                        if is_refused {
                            note(step.line, printed);
                        }
                    } else if let Err(why) = compare::same(&step.output, &printed) {
                        note(step.line, format!("`{}`: {why}", step.command));
                    }
                }
            }
        }
    }
    differences
}

#[test]
fn what_the_readme_shows_is_what_is_printed() {
    let found = differences("README.md", &read("README.md"));
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn what_the_chapters_show_is_what_is_printed() {
    for file in ["docs/assignments.md", "docs/grading.md"] {
        let found = differences(file, &read(file));
        assert!(found.is_empty(), "{}", found.join("\n\n"));
    }
}

#[test]
fn a_number_that_is_off_by_its_last_digit_is_told() {
    let readme = |loss: &str| {
        format!(
            "```console\n$ cat a.json\n{{\"assignment\": \"hw-backprop\", \"answers\": {{\"1.1\": \"\\\\delta \
             h^2_{{1,1}}\"}}}}\n$ backpropd grade a.json\n 1.1  ✓ CORRECT      {loss}\n…\n```\n"
        )
    };
    assert_eq!(differences("right", &readme("2/2")), Vec::<String>::new());
    assert_eq!(differences("wrong", &readme("1/2")).len(), 1);
    assert_eq!(differences("unmarked", "```sh\nmake\n```\n").len(), 1);
    assert_eq!(differences("unknown", "```console\n$ make\n```\n").len(), 1);
}

/// Where the client in Python finds what it is to run: `tests/clients/readme_python.py` reads the same comment.
#[test]
fn blocks_that_another_file_runs_name_a_file_that_is_there() {
    for line in read("README.md").lines() {
        if let Some(rest) = line.strip_prefix("<!-- run by ") {
            let file = PathBuf::from(ROOT).join(rest.trim_end_matches(" -->"));
            assert!(file.is_file(), "{line}");
        }
    }
}
