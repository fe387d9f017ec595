//! `backpropd token`: sign tokens for a course, show one, write a secret. Nothing is asked of a server, and none stores
//! what is signed here.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use backpropd_identity::{
    Claims, PublicKeys, Role, Rules, Secrets, Verifier, check_name, unverified,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use prost_types::Timestamp;

use super::Failure;
use super::files::{self, Links};
use super::grade::class::roster::{Roster, safe, written};
use super::grade::{publish, required};
use crate::host::identity::exposed;

pub(super) const NAME: &str = "token";

/// The columns of a roster that hold the name by which a student logs in elsewhere, the best first.
const LOGINS: [&str; 15] = [
    "sub",
    "SIS Login ID",
    "username",
    "login",
    "email address",
    "email",
    "SIS User ID",
    "student id",
    "sid",
    "id number",
    "identifier",
    "id",
    "student",
    "full name",
    "name",
];

/// The longest validity: ten years, in seconds.
const LONGEST: u64 = 10 * 366 * DAY;
const DAY: u64 = 86_400;

/// The largest file of secrets or keys, in bytes.
const KEY_BYTES: u64 = 4 << 20;

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new(NAME)
        .about("Sign tokens for the callers of a server, or show what one says")
        .after_help(
            "Examples:\n  \
             backpropd token --new-secret secrets\n  \
             backpropd token --secret-file secrets --sub ada --role instructor --expires 90d > ada.token\n  \
             backpropd token --secret-file secrets --roster roster.csv --expires 2027-01-20 > tokens.csv\n  \
             backpropd token --secret-file secrets --inspect - < ada.token",
        )
        .arg(
            file("secret-file", "The server's auth_secret_file; its first line signs, all lines verify")
                .env("BACKPROPD_AUTH_SECRET_FILE"),
        )
        .arg(text("sub", "NAME", "Sign a token for this person or program, and print it"))
        .arg(file("roster", "Sign a token for each line of this list of students (CSV), and print the list with the tokens"))
        .arg(text("column", "NAME", "Column of the roster whose text names the student [default: a login, an address or a number]"))
        .arg(
            text("role", "ROLE", "student, grader, instructor or admin")
                .default_value("student"),
        )
        .arg(text("expires", "WHEN", "The last day (2027-01-20, UTC), a time (2027-01-20T18:00:00Z), or a duration (12h, 90d)"))
        .arg(text("audience", "NAME", "The server's auth_audience, if it has one"))
        .arg(text("inspect", "TOKEN", "Print what a token says, and whether it verifies; - reads it from the standard input"))
        .arg(file("jwks-file", "With --inspect: the server's auth_jwks_file").requires("inspect"))
        .arg(
            Arg::new("role-claim")
                .long("role-claim")
                .value_name("NAME")
                .default_value("role")
                .help("With --inspect: the server's auth_role_claim"),
        )
        .arg(file("new-secret", "Write a new random secret to this file, which must not exist, for its owner alone"))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .requires("inspect")
                .help("With --inspect: print JSON"),
        )
        .group(
            ArgGroup::new("work")
                .args(["sub", "roster", "inspect", "new-secret"])
                .required(true),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if let Some(path) = matches.get_one::<PathBuf>("new-secret") {
        return new_secret(path);
    }
    if let Some(token) = matches.get_one::<String>("inspect") {
        return inspect(token, matches);
    }
    let secrets = secrets(matches)?.ok_or_else(|| {
        Failure::usage("signing needs --secret-file FILE, the server's auth_secret_file. `backpropd token --new-secret FILE` writes one")
    })?;
    let now = now();
    let signer = Signer {
        secrets,
        role: required::<String>(matches, "role")?.parse().map_err(
            |error: backpropd_identity::UnknownRole| Failure::usage(format!("--role: {error}")),
        )?,
        expires: expiry(matches, now)?,
        now,
        audience: matches.get_one::<String>("audience").cloned(),
    };
    let text = match matches.get_one::<PathBuf>("roster") {
        Some(path) => signer.sign_roster(path, matches.get_one::<String>("column"))?,
        None => {
            let (token, _) = signer.sign(required::<String>(matches, "sub")?)?;
            format!("{token}\n")
        }
    };
    publish(&text, None)?;
    Ok(ExitCode::SUCCESS)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The secrets of --secret-file, with a warning if others can read them.
fn secrets(matches: &ArgMatches) -> Result<Option<Secrets>, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("secret-file") else {
        return Ok(None);
    };
    let content = files::read(path, KEY_BYTES, Links::Followed).map_err(Failure::usage)?;
    let secrets = Secrets::read(&content)
        .map_err(|error| Failure::usage(format!("the secret file {}: {error}", path.display())))?;
    let what = "the secret that tokens are signed with";
    let warning = File::open(path).and_then(|file| exposed(&file, path, what));
    if let Ok(Some(warning)) = warning {
        eprintln!("warning: {warning}");
    }
    Ok(Some(secrets))
}

/// Writes a new secret.
fn new_secret(path: &Path) -> Result<ExitCode, Failure> {
    let failed = |error: io::Error| {
        let advice = if error.kind() == io::ErrorKind::AlreadyExists {
            ". To replace a secret, write the new one to another file and put its line above those of the old file: the first \
             line signs, all lines verify"
        } else {
            ""
        };
        Failure::failed(format!("cannot write {}: {error}{advice}", path.display()))
    };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    writeln!(file, "{}", STANDARD.encode(secret)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// The end of the validity, in seconds since 1970.
fn expiry(matches: &ArgMatches, now: u64) -> Result<u64, Failure> {
    let text = matches.get_one::<String>("expires").ok_or_else(|| {
        Failure::usage(
            "--expires is missing: the last day (2027-01-20), a time, or a duration such as 90d",
        )
    })?;
    let when = read_expiry(text, now).ok_or_else(|| {
        Failure::usage(format!(
            "--expires: given {text:?}, allowed is a day (2027-01-20), a time (2027-01-20T18:00:00Z) or a duration (30m, \
             12h, 90d)"
        ))
    })?;
    if !(now + 1..=now + LONGEST).contains(&when) {
        return Err(Failure::usage(format!(
            "--expires: given {text:?}, which is {}; allowed is a time from now to ten years from now",
            date(when)
        )));
    }
    Ok(when)
}

fn read_expiry(text: &str, now: u64) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => {
            let is_day = text.len() == "2027-01-20".len();
            let whole = if is_day {
                format!("{text}T00:00:00Z")
            } else {
                text.to_owned()
            };
            let time: Timestamp = whole.parse().ok()?;
            let seconds = u64::try_from(time.seconds).ok()?;
            // The day itself is included.
            return Some(if is_day { seconds + DAY } else { seconds });
        }
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    now.checked_add(count.checked_mul(unit)?)
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: 0 }.to_string()
}

/// Signs tokens that differ in their person alone.
struct Signer {
    secrets: Secrets,
    role: Role,
    expires: u64,
    now: u64,
    audience: Option<String>,
}

impl Signer {
    /// A token for this person, and its name, by which it can be revoked.
    fn sign(&self, subject: &str) -> Result<(String, String), Failure> {
        check_name(subject)
            .map_err(|error| Failure::usage(format!("given {subject:?} as a name: {error}")))?;
        let mut id = [0; 12];
        getrandom::fill(&mut id).map_err(|error| {
            Failure::failed(format!("the system gives no random numbers: {error}"))
        })?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let claims = Claims {
            sub: subject.into(),
            role: self.role,
            exp: self.expires,
            jti: Some(id.clone()),
            nbf: None,
            iat: Some(self.now),
            aud: self.audience.iter().cloned().collect(),
            iss: None,
        };
        let token = self.secrets.mint(&claims);
        let token = token.map_err(|error| Failure::failed(format!("cannot sign: {error}")))?;
        Ok((token, id))
    }

    /// The list with a token for each student.
    fn sign_roster(&self, path: &Path, column: Option<&String>) -> Result<String, Failure> {
        let fault = |why: String| Failure::usage(format!("the roster {}: {why}", path.display()));
        let roster = Roster::read(path)?;
        let (header, rows) = roster.table();
        let at = match column {
            Some(name) => roster.column(name),
            None => LOGINS.iter().find_map(|name| roster.column(name)),
        };
        let at = at.ok_or_else(|| {
            let wanted = column.map_or("with a login, an address or a number", String::as_str);
            let columns = header.join(", ");
            fault(format!(
                "there is no column {wanted}; the columns are {columns}. Name one with --column"
            ))
        })?;
        let doubled = roster.doubled_columns();
        if !doubled.is_empty() {
            let columns = doubled.join(", ");
            return Err(fault(format!(
                "several columns have the name {columns}: which one names a student would be a guess"
            )));
        }
        let ours = ["sub", "role", "expires", "token_id", "token"];
        // A list that this command has printed already has them.
        let is_theirs =
            |name: &String| !ours.iter().any(|own| name.trim().eq_ignore_ascii_case(own));
        let theirs: Vec<usize> = (0..header.len())
            .filter(|at| is_theirs(&header[*at]))
            .collect();
        let heading = theirs.iter().map(|at| safe(&header[*at]));
        let mut table: Vec<Vec<String>> = vec![heading.chain(ours.map(str::to_owned)).collect()];
        let (mut seen, mut faults) = (HashMap::new(), Vec::new());
        // The first line names the columns.
        for (line, row) in (2..).zip(rows) {
            let subject = row[at].trim();
            if roster.is_of_no_student(row) || row.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if let Err(error) = check_name(subject) {
                faults.push(format!(
                    "line {line} has {subject:?} in {}: {error}",
                    header[at]
                ));
                continue;
            }
            if let Some(earlier) = seen.insert(subject.to_owned(), line) {
                faults.push(format!(
                    "lines {earlier} and {line} have the same {}, {subject:?}",
                    header[at]
                ));
                continue;
            }
            let (token, id) = self.sign(subject)?;
            let ours = [
                safe(subject),
                self.role.to_string(),
                date(self.expires),
                id,
                token,
            ];
            let theirs = theirs.iter().map(|at| safe(&row[*at]));
            table.push(theirs.chain(ours).collect());
        }
        if !faults.is_empty() {
            return Err(fault(faults.join("; ")));
        }
        if table.len() == 1 {
            return Err(fault("it has no student".to_owned()));
        }
        eprintln!(
            "{} tokens, named by the column {}, valid until {}",
            table.len() - 1,
            header[at],
            date(self.expires)
        );
        written(table)
    }
}

/// JSON in which characters that a terminal would not show as they are, such as those that turn the direction of the
/// text, are escaped: a token is anybody's text until it is verified.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() || letter.escape_debug().count() == 1 {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                text += &format!("\\u{unit:04x}");
            }
        }
    }
    text
}

/// Prints what a token says, and whether it verifies.
fn inspect(token: &str, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut text = token.to_owned();
    if token == "-" {
        text.clear();
        io::stdin()
            .take(KEY_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("cannot read the token: {error}")))?;
    }
    let token = text.trim();
    let (header, claims) = unverified(token).map_err(|error| Failure::usage(error.to_string()))?;
    let (header, claims) = (printable(&header), printable(&claims));
    let keys = match matches.get_one::<PathBuf>("jwks-file") {
        None => None,
        Some(path) => {
            let content = files::read(path, KEY_BYTES, Links::Followed).map_err(Failure::usage)?;
            let keys = PublicKeys::read(&content).map_err(|error| {
                Failure::usage(format!("the key file {}: {error}", path.display()))
            })?;
            Some(keys)
        }
    };
    let secrets = secrets(matches)?;
    let verdict = if secrets.is_none() && keys.is_none() {
        Err("not checked: give --secret-file or --jwks-file".to_owned())
    } else {
        let verifier = Verifier {
            secrets,
            keys,
            rules: Rules {
                audience: matches.get_one::<String>("audience").cloned(),
                issuer: None,
                role_claim: required::<String>(matches, "role-claim")?.clone(),
            },
        };
        let verified = verifier.verify(token, now());
        verified.map_err(|rejection| format!("refused: {rejection}"))
    };
    let verdict_text = match &verdict {
        Ok(verified) => format!(
            "valid until {}, for {} with the role {}",
            date(verified.claims.exp),
            verified.claims.sub.escape_debug(),
            verified.claims.role
        ),
        Err(why) => why.clone(),
    };
    let text = if matches.get_flag("json") {
        let (valid, verdict) = (verdict.is_ok(), serde_json::Value::from(verdict_text));
        format!(
            "{{\"header\":{header},\"claims\":{claims},\"valid\":{valid},\"verdict\":{verdict}}}\n"
        )
    } else {
        format!("header   {header}\nclaims   {claims}\nverdict  {verdict_text}\n")
    };
    publish(&text, None)?;
    Ok(match verdict {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_not_show_is_escaped_and_stays_the_same_json() {
        let text = "{\"sub\": \"Zoë \u{202e}\u{200b}\u{9b}\u{e0001}\u{1f600} \\\"\\u0007\"}";
        let shown = printable(text);
        assert_eq!(
            shown,
            "{\"sub\": \"Zoë \\u202e\\u200b\\u009b\\udb40\\udc01\u{1f600} \\\"\\u0007\"}"
        );
        let [before, after] = [text, &shown]
            .map(|text| serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
        assert_eq!(before, after);
    }

    #[test]
    fn a_day_is_valid_to_its_end_and_a_duration_from_now() {
        let now = 1_800_000_000;
        let read = |text| read_expiry(text, now);
        // 2027-01-21T00:00:00Z
        assert_eq!(read("2027-01-20"), Some(1_800_489_600));
        assert_eq!(read("2027-01-20T18:00:00Z"), Some(1_800_468_000));
        assert_eq!(read("2027-01-20T18:00:00+01:00"), Some(1_800_464_400));
        assert_eq!(read("90d"), Some(now + 90 * DAY));
        assert_eq!(read("12h"), Some(now + 12 * 3_600));
        assert_eq!(read("2w"), Some(now + 14 * DAY));
        for text in [
            "",
            "d",
            "-1d",
            "1.5d",
            "20.01.2027",
            "2027-13-01",
            "2027-02-30",
            "tomorrow",
            "99999999999999999999d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
