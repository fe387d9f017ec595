//! The image and the systemd unit name a place for data, and an operator chooses where data goes by one variable more.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::pages::ROOT;
use super::server::{PROGRAM, Server};

/// A file that sets the program's environment, and the folder below which all its data has to be.
struct Packaging {
    file: &'static str,
    root: &'static str,
}

const PACKAGINGS: [Packaging; 2] = [
    Packaging {
        file: "docker/Dockerfile",
        root: "/data",
    },
    Packaging {
        file: "deploy/systemd/backpropd.service",
        root: "/var/lib",
    },
];

impl Packaging {
    /// The variables that the file sets.
    fn variables(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(Path::new(ROOT).join(self.file)).expect("a file");
        let text = text.replace("\\\n", " ");
        let assignments = text.lines().filter_map(|line| {
            line.strip_prefix("ENV ")
                .or_else(|| line.strip_prefix("Environment="))
        });
        let pairs = assignments.flat_map(str::split_whitespace).map(|pair| {
            let (name, value) = pair.split_once('=').expect("NAME=VALUE");
            (name.to_owned(), value.to_owned())
        });
        pairs.collect()
    }

    /// A server with this environment and no other, with `volume` in place of the root, and these variables of the operator.
    fn start(&self, volume: TempDir, given: &[(&str, &str)]) -> Server {
        let mut command = Command::new(PROGRAM);
        command.env_clear().args(["serve", "--log", "error"]);
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        let folder = volume.path().to_str().expect("text");
        let variables = self.variables();
        assert!(!variables.is_empty(), "{}: no variables", self.file);
        for (name, value) in variables {
            command.env(name, value.replace(self.root, folder));
        }
        command.envs(given.iter().copied());
        Server::run(command, volume)
    }
}

fn call(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .args(["--server", &server.address])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    text.trim().to_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn a_packaged_server_keeps_its_models_below_its_root() {
    for packaging in PACKAGINGS {
        let server = packaging.start(tempfile::tempdir().expect("a folder"), &[]);
        let file = Path::new(ROOT).join("tests/goldens/homework.safetensors");
        let model = call(&server, &["import", file.to_str().expect("text")]);
        let volume = server.kill();
        assert_eq!(entries(volume.path()), [volume.path().join("backpropd")]);
        let again = packaging.start(volume, &[]);
        let listed = call(
            &again,
            &["call", "GetModel", &format!("{{\"name\": \"{model}\"}}")],
        );
        assert!(listed.contains(&model), "{}: {listed}", packaging.file);
    }
}

#[test]
fn a_packaged_server_with_a_store_is_a_node_without_further_settings() {
    for packaging in PACKAGINGS {
        let store = [("BACKPROPD_STORE", "memory:packaged")];
        let server = packaging.start(tempfile::tempdir().expect("a folder"), &store);
        let info = call(&server, &["call", "GetServerInfo"]);
        assert!(info.contains("memory"), "{}: {info}", packaging.file);
        assert!(
            !server.data().join("backpropd").exists(),
            "{}: it has a data folder besides",
            packaging.file
        );
    }
}

/// There is no other folder in an image without a shell.
#[test]
fn a_node_of_the_image_keeps_its_files_in_the_volume() {
    let [image, _] = PACKAGINGS;
    let store = [("BACKPROPD_STORE", "memory:cached")];
    let server = image.start(tempfile::tempdir().expect("a folder"), &store);
    assert_eq!(entries(server.data()).len(), 1, "a folder of this process");
}

#[test]
fn a_packaged_server_stores_nothing_if_it_is_told_to() {
    for packaging in PACKAGINGS {
        let ephemeral = [("BACKPROPD_EPHEMERAL", "true")];
        let server = packaging.start(tempfile::tempdir().expect("a folder"), &ephemeral);
        call(&server, &["call", "GetServerInfo"]);
        assert!(entries(server.data()).is_empty(), "{}", packaging.file);
    }
}
