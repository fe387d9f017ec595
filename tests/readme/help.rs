//! The help, and addresses as a user types them.

use std::fs;
use std::path::Path;

use backpropd::config::SETTINGS;

use crate::pages::ROOT;
use crate::server::{Server, program};

const MOST_LINES: usize = 50;

fn help(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that has to succeed, and returns its standard output.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = program()
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_help_of_the_program_is_a_page_of_commands() {
    let text = help(&["--help"]);
    assert!(text.lines().count() <= MOST_LINES, "{text}");
    for command in [
        "serve",
        "train",
        "predict",
        "evaluate",
        "datasets",
        "models",
        "sessions",
        "runs",
        "watch",
        "grade",
        "grade-gradients",
        "check",
        "sheet",
        "kit",
        "lint-key",
        "verify",
        "export",
        "import",
        "backup",
        "restore",
        "call",
        "trash",
        "token",
        "healthcheck",
    ] {
        let line = format!("  {command} ");
        assert!(
            text.lines().any(|at| at.starts_with(&line)),
            "{command} in {text}"
        );
    }
    assert!(!text.contains("--max-layers"), "{text}");
    assert!(text.contains("serve --help"), "{text}");
}

#[test]
fn the_help_of_serve_lists_every_setting_in_its_group() {
    let text = help(&["serve", "--help"]);
    let mut group = "";
    let mut listed = 0;
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':')
            && !line.starts_with(' ')
        {
            group = name;
        }
        let flag = line.trim_start().strip_prefix("--");
        let flag = flag.and_then(|rest| rest.split([' ', '[', '=']).next());
        if let Some(setting) = SETTINGS
            .iter()
            .find(|setting| Some(setting.flag().as_str()) == flag)
        {
            assert_eq!(group, setting.group, "--{}", setting.flag());
            listed += 1;
        }
    }
    assert_eq!(listed, SETTINGS.len(), "{text}");
    assert!(text.contains("--port <PORT>"), "{text}");
    let short = help(&["serve", "-h"]);
    assert!(short.lines().count() <= MOST_LINES, "{short}");
    assert!(
        short.contains("--port") && short.contains("--data-dir"),
        "{short}"
    );
}

#[test]
fn a_setting_in_front_of_a_command_is_refused_and_without_a_command_it_serves() {
    let output = program()
        .args(["--threads", "2", "train"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let printed = run(
        Path::new(ROOT),
        &["--max-layers", "7", "--ephemeral", "--print-config"],
    );
    assert!(printed.contains("\nmax_layers = 7\n"), "{printed}");
}

#[test]
fn localhost_is_an_address_to_listen_on_by_flag_variable_and_file() {
    let servers = [
        Server::start(|command, _| {
            command.args(["--listen", "localhost:0"]);
        }),
        Server::start(|command, _| {
            command.env("BACKPROPD_LISTEN", "localhost:0");
        }),
        Server::start(|command, folder| {
            let file = folder.join("backpropd.toml");
            fs::write(&file, "listen = \"localhost:0\"\n").expect("writable");
            command.arg("--config").arg(file);
        }),
        Server::start(|command, _| {
            command.args(["--port", "0"]);
        }),
        Server::start(|command, _| {
            command
                .args(["--port", "0"])
                .env("BACKPROPD_LISTEN", "localhost:1");
        }),
    ];
    for server in servers {
        assert!(
            server.address.starts_with("127.0.0.1:"),
            "{}",
            server.address
        );
        run(
            Path::new(ROOT),
            &["healthcheck", "--server", &server.address],
        );
    }
}

#[test]
fn every_client_command_takes_localhost_as_its_server() {
    let server = Server::start(|command, _| {
        command.args(["--listen", "localhost:0"]);
    });
    let (_, port) = server.address.rsplit_once(':').expect("a port");
    let at = format!("localhost:{port}");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let model = format!("{ROOT}/tests/goldens/homework.safetensors");
    let answers = format!("{ROOT}/examples/class/ada.json");

    run(here, &["healthcheck", "--server", &at]);
    run(here, &["healthcheck", "--server", &format!("http://{at}")]);
    run(here, &["healthcheck", "--listen", &at]);
    let name = run(here, &["import", &model, "--server", &at]);
    run(here, &["export", name.trim(), "copy", "--server", &at]);
    assert!(here.join("copy").is_file());
    let graded = run(here, &["grade", &answers, "--server", &at]);
    assert!(graded.contains("47"), "{graded}");
    run(
        here,
        &["train", "--server", &at, "--epochs", "1", "--quiet"],
    );
}
