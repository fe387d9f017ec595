//! The pages keep their promises: the console blocks do what they show, number by number, links lead somewhere, the API
//! reference is that of the descriptors, and the help is short.
//!
//! The blocks of a page run in order, in one folder, with the output of each command compared to the lines below it, or to
//! the JSON or text block that follows. `…` stands for any text. A duration and a rate (`0.53 s`, `81279 samples/s`) may
//! differ. A block that cannot run here has a comment before it, `<!-- not run: why -->` or `<!-- run by FILE -->`; every
//! other block must run. `python/tests/test_pages.py` runs those of Python.

mod api;
mod blocks;
mod commands;
mod compare;
mod grpcurl;
mod help;
mod image;
mod links;
mod pages;
mod server;
mod tokens;

use std::collections::HashMap;
use std::path::Path;

use blocks::{Block, Step, blocks};
use pages::ROOT;
use server::{Server, program};
use tempfile::TempDir;

/// The addresses that the pages show, each of a server of its own.
const ADDRESSES: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50052"];

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
        let start = || Server::start(|command, _| _ = command.args(["--port", "0"]));
        self.servers.entry(shown).or_insert_with(start)
    }

    /// What a server at the address `shown` prints when it starts.
    fn started(&mut self, shown: &'static str) -> String {
        let server = self.server(shown);
        server.printed.replace(&server.address, shown)
    }

    /// The output of a command, or the reason why it cannot run here.
    fn run(&mut self, step: &Step) -> Result<String, String> {
        let words = blocks::words(&step.command)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["cat", file] => {
                let path = self.folder.path().join(file);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, &step.output).expect("writable");
                Ok(step.output.clone())
            }
            ["backpropd"] | ["backpropd", "serve"] | ["cargo", "run", "--release"] => {
                Ok(self.started(ADDRESSES[0]))
            }
            ["cargo", "run", "--release", "--", arguments @ ..] => self.program(arguments),
            ["backpropd", arguments @ ..] => self.program(arguments),
            ["grpcurl", "-plaintext", address, method] => self.call(address, method, "{}"),
            ["grpcurl", "-plaintext", "-d", request, address, method] => {
                self.call(address, method, request)
            }
            ["curl", arguments @ ..] => self.curl(arguments, &step.output),
            _ => Err(format!(
                "`{}` is not a command that this test knows",
                step.command
            )),
        }
    }

    fn call(&mut self, address: &str, method: &str, request: &str) -> Result<String, String> {
        let shown = ADDRESSES.into_iter().find(|shown| *shown == address);
        let shown = shown.ok_or_else(|| format!("{address} is none of {ADDRESSES:?}"))?;
        let address = self.server(shown).address.clone();
        grpcurl::call(&address, method, request)
    }

    /// Runs curl, which a machine that builds this need not have.
    fn curl(&mut self, arguments: &[&str], shown_output: &str) -> Result<String, String> {
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        for word in &mut arguments {
            if let Some(shown) = ADDRESSES.into_iter().find(|shown| word.contains(shown)) {
                *word = word.replace(shown, &self.server(shown).address);
            }
        }
        let run = std::process::Command::new("curl")
            .args(&arguments)
            .arg("--silent")
            .current_dir(self.folder.path())
            .output();
        match run {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(_) => {
                eprintln!("not run, for want of curl: curl {arguments:?}");
                Ok(shown_output.to_owned())
            }
        }
    }

    fn program(&mut self, arguments: &[&str]) -> Result<String, String> {
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let asks_a_server = match arguments[0].as_str() {
            "call" => !arguments
                .iter()
                .any(|word| word == "--list" || word == "--describe"),
            "export" | "import" => true,
            "explain" => arguments[1].starts_with("sessions/"),
            _ => false,
        };
        if asks_a_server && !arguments.iter().any(|word| word == "--server") {
            arguments.extend(["--server".to_owned(), ADDRESSES[0].to_owned()]);
        }
        for word in &mut arguments {
            if let Some(shown) = ADDRESSES.into_iter().find(|shown| shown == word) {
                word.clone_from(&self.server(shown).address);
            }
        }
        let output = program()
            .args(&arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("it runs");
        // 1: the command worked and found a mistake.
        match output.status.code() {
            Some(0 | 1) => {
                let both = [output.stderr, output.stdout].concat();
                Ok(String::from_utf8_lossy(&both).into_owned())
            }
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// The differences between the outputs on a page and the real ones.
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
                    // A command without output on the page must only succeed.
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
    let found = differences("README.md", &pages::read("README.md"));
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn what_the_other_pages_show_is_what_is_printed() {
    let pages = pages::all();
    let pages = pages.iter().filter(|page| page.file != "README.md");
    let found: Vec<String> = pages
        .flat_map(|page| differences(&page.file, &page.text))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = pages::read("README.md").lines().count();
    assert!(lines <= 200, "{lines} lines: move some into a chapter");
}

#[test]
fn a_wrong_digit_is_reported() {
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

/// `python/tests/pages.py` looks for the same comment.
#[test]
fn blocks_that_another_file_runs_name_a_file_that_is_there() {
    let pages = pages::all();
    let lines = pages.iter().flat_map(|page| page.text.lines());
    let files: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("<!-- run by ")?.strip_suffix(" -->"))
        .collect();
    assert!(!files.is_empty(), "one block is of tokens");
    for file in files {
        assert!(Path::new(ROOT).join(file).is_file(), "{file}");
    }
}
