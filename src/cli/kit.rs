//! `backpropd kit`: write what a platform's autograder needs, ready to be uploaded or pushed.

use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{Failure, grade, sheet};
use crate::grade::{Assignment, BUILT_IN, Grader};
use crate::host::assignments::overrule;

pub(super) const NAME: &str = "kit";

/// The image in which PrairieLearn runs the program, unless another one is named: it needs bash alone.
const IMAGE: &str = "debian:bookworm-slim";

const PLATFORMS: [&str; 4] = ["gradescope", "prairielearn", "autolab", "github"];

pub(super) fn command() -> Command {
    let path = |name: &'static str, value: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(value_parser!(PathBuf))
    };
    Command::new(NAME)
        .about("Write an autograder for Gradescope, PrairieLearn, Autolab or GitHub Classroom")
        .after_help(
            "DIR is a new or an empty folder. The kit contains this program, the scripts that run it, the assignment, and a new \
             secret that seeds the networks and signs the receipts; keep it to verify them.",
        )
        .arg(
            Arg::new("platform")
                .value_name("PLATFORM")
                .required(true)
                .value_parser(PossibleValuesParser::new(PLATFORMS)),
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder to write"),
        )
        .arg(
            Arg::new("assignment")
                .long("assignment")
                .value_name("ID")
                .default_value(grade::DEFAULT_ASSIGNMENT)
                .help("Id of the assignment, or its .toml file"),
        )
        .arg(grade::assignments_argument())
        .arg(path("secret-file", "FILE").help("The secret, mode 600 [default: a new one in DIR/secret]"))
        .arg(path("binary", "FILE").help("A static backpropd for the platform [default: this program]"))
        .arg(
            Arg::new("image")
                .long("image")
                .value_name("NAME")
                .default_value(IMAGE)
                .help("PrairieLearn: the image to run it in, with bash"),
        )
}

/// A file of a kit: path, content, mode.
struct File {
    path: String,
    content: Vec<u8>,
    mode: u32,
}

impl File {
    fn text(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            content: content.into().into_bytes(),
            mode: 0o644,
        }
    }

    fn script(path: impl Into<String>, content: &str) -> Self {
        Self {
            mode: 0o755,
            ..Self::text(path, content)
        }
    }
}

/// What every platform gets.
struct Parts {
    assignment: Assignment,
    /// The assignment's own file, unless it is built in.
    source: Option<String>,
    /// The rulings on its answers.
    overrides: Option<String>,
    binary: Vec<u8>,
    secret: Vec<u8>,
    image: String,
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let dir = grade::required::<PathBuf>(matches, "dir")?;
    let is_used = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if is_used {
        return Err(Failure::usage(format!(
            "{} is not empty; name a new folder",
            dir.display()
        )));
    }
    let parts = parts(matches)?;
    let platform = grade::required::<String>(matches, "platform")?;
    let mut files = match platform.as_str() {
        "gradescope" => gradescope(&parts)?,
        "prairielearn" => prairielearn(&parts)?,
        "autolab" => autolab(&parts, &name_of(dir)),
        _ => github(&parts),
    };
    // A copy to verify receipts with; one that was given is kept elsewhere.
    if !matches.contains_id("secret-file") && platform != "github" && platform != "prairielearn" {
        files.push(secret_file(&parts, "secret"));
    }
    for file in &files {
        write(dir, file)?;
    }
    let mut text = String::new();
    for file in &files {
        text += &format!("{}\n", dir.join(&file.path).display());
    }
    grade::publish(&text, None)?;
    if is_dynamic(&parts.binary) {
        eprintln!(
            "warning: the program is not static, and needs a libc as new as that of this machine where it runs; name a static \
             one with --binary"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn parts(matches: &ArgMatches) -> Result<Parts, Failure> {
    let named = grade::required::<String>(matches, "assignment")?;
    let folder = matches.get_one::<PathBuf>("assignments");
    let (assignment, source) = sheet::find(named, folder.map(PathBuf::as_path))?;
    let is_built_in = BUILT_IN.iter().any(|(_, text)| *text == source);
    // A question that cannot be graded fails here, and not at the first hand-in.
    let grader = Grader::new(assignment.clone(), b"kit")
        .map_err(|error| Failure::usage(format!("the assignment {}: {error}", assignment.id)))?;
    let overrides = overrides(named, folder.map(PathBuf::as_path), grader)?;
    let program = match matches.get_one::<PathBuf>("binary") {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?,
    };
    let binary = fs::read(&program)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", program.display())))?;
    let secret = match matches.get_one::<PathBuf>("secret-file") {
        Some(path) => fs::read(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?,
        None => format!("{}\n", hex(&random()?)).into_bytes(),
    };
    Ok(Parts {
        assignment,
        source: (!is_built_in).then_some(source),
        overrides,
        binary,
        secret,
        image: grade::required::<String>(matches, "image")?.clone(),
    })
}

/// The overrides file beside the assignment: in the folder of assignments, or that of the assignment's own file.
fn overrides(
    named: &str,
    folder: Option<&Path>,
    grader: Grader,
) -> Result<Option<String>, Failure> {
    let file = Path::new(named);
    let is_file = file
        .extension()
        .is_some_and(|extension| extension == "toml");
    let beside = if is_file { file.parent() } else { folder };
    let id = &grader.assignment().id;
    let path = beside.map(|folder| folder.join(format!("{id}.overrides.toml")));
    let Some(path) = path.filter(|path| path.exists()) else {
        return Ok(None);
    };
    let text = grade::read_text(&path)?;
    overrule(&mut [grader], &path, &text, None)
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(text))
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the system has no random bytes: {error}")))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(dir: &Path) -> String {
    let name = dir
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.starts_with(|c: char| c.is_ascii_alphabetic()) {
        letters
    } else {
        "backprop".to_owned()
    }
}

/// The program and the assignment's id below `folder`, and the assignment's file if it is the instructor's own.
fn common(parts: &Parts, program: &str, folder: &str) -> Vec<File> {
    let id = &parts.assignment.id;
    let mut files = vec![
        File {
            path: format!("{program}backpropd"),
            content: parts.binary.clone(),
            mode: 0o755,
        },
        File::text(format!("{folder}assignment"), format!("{id}\n")),
    ];
    if let Some(source) = &parts.source {
        let path = format!("{folder}assignments/{id}.toml");
        files.push(File::text(path, source.clone()));
    }
    if let Some(overrides) = &parts.overrides {
        let path = format!("{folder}assignments/{id}.overrides.toml");
        files.push(File::text(path, overrides.clone()));
    }
    files
}

fn secret_file(parts: &Parts, path: &str) -> File {
    File {
        path: path.to_owned(),
        content: parts.secret.clone(),
        mode: 0o600,
    }
}

fn gradescope(parts: &Parts) -> Result<Vec<File>, Failure> {
    let mut files = common(parts, "", "");
    files.push(secret_file(parts, "secret"));
    let folder = include_str!("../../examples/gradescope/setup.sh");
    files.push(File::script("setup.sh", folder));
    let run = include_str!("../../examples/gradescope/run_autograder");
    files.push(File::script("run_autograder", run));
    Ok(vec![File {
        path: "autograder.zip".to_owned(),
        content: zipped(&files)?,
        // It contains the secret.
        mode: 0o600,
    }])
}

fn prairielearn(parts: &Parts) -> Result<Vec<File>, Failure> {
    let question = "questions/backprop";
    let tests = format!("{question}/tests/");
    let program = "serverFilesCourse/backpropd/";
    let mut files = common(parts, program, &tests);
    // The server that grades reads it as another user than the one that synchronizes the course.
    let secret = secret_file(parts, &format!("{tests}secret"));
    files.push(File {
        mode: 0o644,
        ..secret
    });
    let run = include_str!("../../examples/prairielearn/run.sh");
    files.push(File::script(format!("{program}run.sh"), run));
    let html = include_str!("../../examples/prairielearn/question.html");
    files.push(File::text(format!("{question}/question.html"), html));
    let client = format!("{question}/clientFilesQuestion/answers.tex");
    files.push(File::text(
        client,
        crate::grade::sheet::sheet(&parts.assignment),
    ));
    let info = json!({
        "uuid": uuid(&random()?),
        "title": parts.assignment.title,
        "topic": "Backpropagation",
        "tags": ["backpropagation"],
        "type": "v3",
        "singleVariant": true,
        "gradingMethod": "External",
        "externalGradingOptions": {
            "enabled": true,
            "image": parts.image,
            "entrypoint": "/grade/serverFilesCourse/backpropd/run.sh",
            "serverFilesCourse": ["backpropd/"],
            "timeout": 30,
        },
    });
    files.push(File::text(
        format!("{question}/info.json"),
        format!("{info:#}\n"),
    ));
    Ok(files)
}

/// A random UUID, version 4.
fn uuid(bytes: &[u8; 32]) -> String {
    let mut bytes = *bytes;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes[..16]);
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

fn autolab(parts: &Parts, name: &str) -> Vec<File> {
    let mut inside = common(parts, "autograde/", "autograde/");
    inside.push(secret_file(parts, "autograde/secret"));
    let grade = include_str!("../../examples/autolab/grade.sh");
    inside.push(File::script("autograde/grade.sh", grade));
    let makefile = include_str!("../../examples/autolab/autograde-Makefile");
    let module = name[..1].to_uppercase() + &name[1..];
    let ruby = format!(
        "require \"AssessmentBase.rb\"\n\nmodule {module}\n  include AssessmentBase\n\n  def assessmentInitialize(course)\n    \
         super(\"{name}\", course)\n    @problems = []\n  end\nend\n"
    );
    vec![
        File::text("autograde-Makefile", makefile),
        File {
            path: "autograde.tar".to_owned(),
            content: tarred(&inside),
            mode: 0o600,
        },
        File::text(format!("{name}.yml"), autolab_configuration(parts, name)),
        File::text(format!("{name}.rb"), ruby),
    ]
}

/// The assessment: a problem for each question. JSON strings are strings of YAML, too.
fn autolab_configuration(parts: &Parts, name: &str) -> String {
    let title = json!(parts.assignment.title);
    let mut text = format!(
        "---\ngeneral:\n  name: {name}\n  description: {}\n  display_name: {title}\n  handin_filename: answers.txt\n  \
         handin_directory: handin\n  max_grace_days: 0\n  handout: ''\n  writeup: ''\n  max_submissions: -1\n  \
         disable_handins: false\n  max_size: 32\n  has_svn: false\n  category_name: Homework\nproblems:\n",
        json!(parts.assignment.description)
    );
    for question in &parts.assignment.questions {
        text += &format!(
            "- name: {}\n  description: ''\n  max_score: {:?}\n  optional: false\n",
            json!(question.id),
            question.points
        );
    }
    text + "autograder:\n  autograde_timeout: 60\n  autograde_image: autograding_image\n  release_score: true\n"
}

fn github(parts: &Parts) -> Vec<File> {
    let folder = ".github/backpropd/";
    let mut files = common(parts, folder, folder);
    let grade = include_str!("../../examples/github/grade.sh");
    files.push(File::script(format!("{folder}grade.sh"), grade));
    let workflow = include_str!("../../examples/github/classroom.yml");
    files.push(File::text(".github/workflows/classroom.yml", workflow));
    let sheet = crate::grade::sheet::sheet(&parts.assignment);
    files.push(File::text("answers.tex", sheet));
    files
}

fn zipped(files: &[File]) -> Result<Vec<u8>, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("cannot write the zip: {error}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .unix_permissions(file.mode);
        zip.start_file(&file.path, options)
            .map_err(|error| failed(&error))?;
        zip.write_all(&file.content)
            .map_err(|error| failed(&error))?;
    }
    let written = zip.finish().map_err(|error| failed(&error))?;
    Ok(written.into_inner())
}

/// A tar archive of files with short names (POSIX ustar).
fn tarred(files: &[File]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut tar = Vec::new();
    for file in files {
        let mut header = [0; BLOCK];
        let mut put =
            |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &file.path);
        put(100, &format!("{:07o}\0{:07o}\0{:07o}\0", file.mode, 0, 0));
        put(
            124,
            &format!("{:011o}\0{:011o}\0        0", file.content.len(), 0),
        );
        put(257, "ustar\u{0}00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(&file.content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

fn write(dir: &Path, file: &File) -> Result<(), Failure> {
    let path = dir.join(&file.path);
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(file.mode)
        .open(&path)
        .map_err(failed)?;
    written.write_all(&file.content).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).map_err(failed)
}

/// Whether an ELF program names an interpreter, which loads the libraries that it needs.
fn is_dynamic(elf: &[u8]) -> bool {
    const INTERPRETER: u64 = 3;
    let number = |at: usize, bytes: usize| {
        let slice = elf.get(at..at.checked_add(bytes)?)?;
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(slice.iter().rev().fold(0, digit))
    };
    let headers = || {
        let table = usize::try_from(number(32, 8)?).ok()?;
        let (size, count) = (number(54, 2)?, number(56, 2)?);
        let mut places = (0..count).filter_map(|at| usize::try_from(at * size).ok());
        Some(
            places
                .any(|at| table.checked_add(at).and_then(|at| number(at, 4)) == Some(INTERPRETER)),
        )
    };
    elf.starts_with(b"\x7fELF\x02") && headers().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_one_that_tar_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [
            File::script("a/run.sh", "#!/bin/sh\necho here\n"),
            File::text("a/empty", ""),
        ];
        let path = folder.path().join("x.tar");
        fs::write(&path, tarred(&files)).expect("writable");
        let status = std::process::Command::new("tar")
            .args(["xf", "x.tar"])
            .current_dir(folder.path())
            .status();
        assert!(status.expect("tar runs").success());
        let output = std::process::Command::new(folder.path().join("a/run.sh")).output();
        assert_eq!(output.expect("executable").stdout, b"here\n");
        assert!(folder.path().join("a/empty").is_file());
    }

    #[test]
    fn a_program_that_loads_libraries_is_told_from_a_static_one() {
        let this = fs::read(std::env::current_exe().expect("a program")).expect("readable");
        assert!(is_dynamic(&this));
        let mut broken = this[..64].to_vec();
        assert!(!is_dynamic(&broken));
        broken[32..40].fill(0xff);
        assert!(!is_dynamic(&broken));
        assert!(!is_dynamic(b"#!/bin/sh"));
    }

    #[test]
    fn a_uuid_has_its_form() {
        assert_eq!(uuid(&[0xff; 32]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
