//! The program, and a server that it runs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_backpropd");

/// The program, with none of the settings that the tests' own environment may have.
pub fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BACKPROPD_") {
            command.env_remove(name);
        }
    }
    command
}

/// A server in a process of its own, with a data folder of its own; killed when dropped.
pub struct Server {
    child: Child,
    /// The address that it printed.
    pub address: String,
    /// The two lines that it prints at the start.
    pub printed: String,
    data: Option<TempDir>,
}

impl Server {
    /// A server with these further flags, or with this configuration by flags, environment or file.
    pub fn start(configure: impl FnOnce(&mut Command, &Path)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut command = program();
        command.args(["serve", "--log", "error", "--data-dir"]);
        command.arg(data.path().join("data"));
        configure(&mut command, data.path());
        Self::run(command, data)
    }

    /// A server by this command, whose data is in `data`.
    pub fn run(mut command: Command, data: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (first, second) = (line(), line());
        let (_, address) = first.rsplit_once(' ').expect("it prints its address");
        Self {
            address: address.to_owned(),
            child,
            printed: format!("{first}\n{second}\n"),
            data: Some(data),
        }
    }
}

impl Server {
    /// Where its data is.
    pub fn data(&self) -> &Path {
        self.data.as_ref().expect("taken by `kill` alone").path()
    }

    /// Kills it, for the folder of its data.
    pub fn kill(mut self) -> TempDir {
        self.end();
        self.data.take().expect("taken here alone")
    }

    fn end(&mut self) {
        // One that has ended by itself is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
