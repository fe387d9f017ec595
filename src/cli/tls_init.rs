//! `backpropd tls-init`: a certificate authority of one's own, and certificates of it for the server and its clients.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::{Failure, grade};

pub(super) const NAME: &str = "tls-init";

/// Names that every server certificate has besides those that are asked for, so that a client on the same machine can
/// verify it.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Validity of the authority, in days: clients have it installed, and it signs every later certificate.
const AUTHORITY_DAYS: i64 = 3_653;

/// A certificate is valid from a little before now, because clocks differ.
const EARLIER: Duration = Duration::hours(1);

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Write an authority, and certificates of it for a server and its clients")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .num_args(0..)
                .help("Names and addresses by which clients reach the server, such as lab.uni.edu or 10.0.0.5; localhost is always included"),
        )
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("FOLDER")
                .default_value("tls")
                .help("Folder of the files: ca.crt and ca.key (used again if they exist), server.crt and server.key"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("DAYS")
                .default_value("397")
                .value_parser(value_parser!(u16).range(1..=3_650))
                .help("Validity of the certificate, in days; the authority is valid for ten years"),
        )
        .arg(
            Arg::new("renew")
                .long("renew")
                .action(ArgAction::SetTrue)
                .help("Replace an existing certificate; a running server takes it up within seconds"),
        )
        .arg(
            Arg::new("client")
                .long("client")
                .value_name("IDENTITY")
                .action(ArgAction::Append)
                .help("Write a client's certificate instead, IDENTITY.crt and IDENTITY.key, for tls_client_ca_file = ca.crt; may be repeated"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let folder = PathBuf::from(grade::required::<String>(matches, "dir")?);
    let days = i64::from(*grade::required::<u16>(matches, "days")?);
    let names: Vec<_> = matches.get_many("name").unwrap_or_default().collect();
    let clients: Vec<_> = matches.get_many("client").unwrap_or_default().collect();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    let clients: Vec<&str> = clients.into_iter().map(String::as_str).collect();
    let task = Task {
        folder,
        validity: Duration::days(days),
        may_replace: matches.get_flag("renew"),
    };
    check_names(&names, &clients)?;
    let now = OffsetDateTime::now_utc();
    let text = if clients.is_empty() {
        task.server(&names, now)?
    } else {
        task.clients(&clients, now)?
    };
    grade::publish(&text, None)?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses what a certificate cannot say, or a file cannot be called; all of it at once.
fn check_names(names: &[&str], clients: &[&str]) -> Result<(), Failure> {
    let mut faults = Vec::new();
    if !names.is_empty() && !clients.is_empty() {
        faults.push(
            "names of the server and --client: write them with two calls, the server's first"
                .to_owned(),
        );
    }
    let is_host = |name: &str| {
        let host = name.strip_prefix("*.").unwrap_or(name);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && (label.bytes()).all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        name.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(is_label))
    };
    for name in names.iter().filter(|name| !is_host(name)) {
        faults.push(format!(
            "{name:?} is neither a host name such as lab.uni.edu nor an address such as 10.0.0.5 (no scheme, no port)"
        ));
    }
    let is_identity = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-+".contains(&byte);
        (1..=200).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with(['.', '-'])
    };
    for name in clients.iter().filter(|name| !is_identity(name)) {
        faults.push(format!(
            "--client {name:?}: allowed are up to 200 letters, digits and @ . _ - +, such as alice@uni.edu"
        ));
    }
    for name in clients
        .iter()
        .filter(|name| ["ca", "server"].contains(*name))
    {
        faults.push(format!(
            "--client {name:?} would replace {name}.crt: choose another identity"
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::usage(faults.join("\n")))
    }
}

struct Task {
    folder: PathBuf,
    validity: Duration,
    may_replace: bool,
}

impl Task {
    /// Writes the server's certificate; returns what to tell.
    fn server(&self, names: &[&str], now: OffsetDateTime) -> Result<String, Failure> {
        self.check_new(&["server"])?;
        let mut all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for local in LOCAL_NAMES {
            if !names.contains(&local) {
                all.push(local.to_owned());
            }
        }
        let first = all[0].clone();
        let (authority, is_new) = self.authority(&first, now)?;
        let mut params = CertificateParams::new(all.clone()).map_err(|error| refused(&error))?;
        params.distinguished_name.push(DnType::CommonName, first);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let until = self.issue(params, &authority, "server", now)?;
        let (certificate, key) = (self.path("server.crt"), self.path("server.key"));
        let authority = self.path("ca.crt");
        let mut text = String::new();
        let made = if is_new { "wrote" } else { "used" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{made} the authority {}\nwrote {} and its key, for {}, valid until {until}\n\nserve:   backpropd --tls-cert-file {} \
             --tls-key-file {}\nclients: --ca {}\n",
            authority.display(),
            certificate.display(),
            all.join(", "),
            certificate.display(),
            key.display(),
            authority.display(),
        );
        if is_new {
            let _ = writeln!(
                text,
                "\nKeep {} secret, best away from the server: its holder can issue certificates that your clients trust.",
                self.path("ca.key").display()
            );
        }
        Ok(text)
    }

    /// Writes a certificate for each client; returns what to tell.
    fn clients(&self, clients: &[&str], now: OffsetDateTime) -> Result<String, Failure> {
        self.check_new(clients)?;
        if !self.path("ca.key").exists() {
            return Err(Failure::failed(format!(
                "there is no authority in {}: write one with `backpropd tls-init NAME` first",
                self.folder.display()
            )));
        }
        let (authority, _) = self.authority("", now)?;
        let mut text = String::new();
        for client in clients {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, *client);
            let name = (*client).try_into().map_err(|error| refused(&error))?;
            params.subject_alt_names = vec![if client.contains('@') {
                SanType::Rfc822Name(name)
            } else {
                SanType::DnsName(name)
            }];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let until = self.issue(params, &authority, client, now)?;
            let certificate = self.path(&format!("{client}.crt"));
            let _ = writeln!(
                text,
                "wrote {} and its key, valid until {until}",
                certificate.display()
            );
        }
        let authority = self.path("ca.crt");
        let _ = writeln!(
            text,
            "\nserve with --tls-client-ca-file {}",
            authority.display()
        );
        Ok(text)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Refuses to replace certificates unless asked to.
    fn check_new(&self, names: &[&str]) -> Result<(), Failure> {
        let existing: Vec<_> = names
            .iter()
            .flat_map(|name| [format!("{name}.crt"), format!("{name}.key")])
            .map(|name| self.path(&name))
            .filter(|path| path.exists() && !self.may_replace)
            .map(|path| path.display().to_string())
            .collect();
        if existing.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{} would be replaced: allow it with --renew, or choose another folder with --dir",
            existing.join(", ")
        )))
    }

    /// The authority in the folder, or a new one; whether it is new.
    fn authority(
        &self,
        name: &str,
        now: OffsetDateTime,
    ) -> Result<(Issuer<'static, KeyPair>, bool), Failure> {
        let (certificate, key) = (self.path("ca.crt"), self.path("ca.key"));
        if certificate.exists() || key.exists() {
            let read = |path: &Path| {
                fs::read_to_string(path).map_err(|error| {
                    Failure::failed(format!(
                        "cannot read {} of the authority: {error}",
                        path.display()
                    ))
                })
            };
            let key = KeyPair::from_pem(&read(&key)?).map_err(|error| refused(&error))?;
            let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, key);
            return Ok((issuer.map_err(|error| refused(&error))?, false));
        }
        fs::create_dir_all(&self.folder).map_err(|error| {
            Failure::failed(format!("cannot create {}: {error}", self.folder.display()))
        })?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("backpropd CA for {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now - EARLIER;
        params.not_after = now + Duration::days(AUTHORITY_DAYS);
        let pair = KeyPair::generate().map_err(|error| refused(&error))?;
        let signed = params.self_signed(&pair).map_err(|error| refused(&error))?;
        write_file(&key, &pair.serialize_pem(), 0o600)?;
        write_file(&certificate, &signed.pem(), 0o644)?;
        Ok((Issuer::new(params, pair), true))
    }

    /// Writes a certificate of `authority` and its key as `name`; returns the day until which it is valid.
    fn issue(
        &self,
        mut params: CertificateParams,
        authority: &Issuer<'_, KeyPair>,
        name: &str,
        now: OffsetDateTime,
    ) -> Result<String, Failure> {
        params.not_before = now - EARLIER;
        params.not_after = now + self.validity;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate().map_err(|error| refused(&error))?;
        let signed = params.signed_by(&pair, authority);
        let signed = signed.map_err(|error| refused(&error))?;
        write_file(
            &self.path(&format!("{name}.key")),
            &pair.serialize_pem(),
            0o600,
        )?;
        write_file(&self.path(&format!("{name}.crt")), &signed.pem(), 0o644)?;
        Ok(params.not_after.date().to_string())
    }
}

fn refused(error: &rcgen::Error) -> Failure {
    Failure::failed(format!("cannot make a certificate: {error}"))
}

/// Replaces a file whole, with these permissions from the start.
fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::failed(format!("cannot write {}: {error}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let partial = PathBuf::from(partial);
    // Left over from a run that was interrupted.
    let _ = fs::remove_file(&partial);
    let mut options = OpenOptions::new();
    let write = |mut file: File| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let opened = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial);
    opened.and_then(write).map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)
}
