//! TLS: what it takes to connect, certificates that are replaced, and peers that mean harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backpropd::config::Config;
use backpropd::rpc::pb;
use backpropd::server::{ServeError, open};
use backpropd_client::{Client, ConnectError, Credentials};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

use crate::fixture::{self, Hands, PATIENCE, Server, hurried};
use crate::http2::until_closed;

/// An authority, with a folder for the certificates that it issues.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate and key for `localhost`, changed by `change`, as PEM.
    fn pair(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        (signed.pem(), key.serialize_pem())
    }

    /// Replaces a file as an operator does: whole.
    fn put(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("writable");
        fs::rename(new, self.path(name)).expect("renamed");
    }

    /// Issues the server's certificate.
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let (certificate, key) = self.pair(change);
        self.put("server.crt", &certificate);
        self.put("server.key", &key);
        CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")
    }

    fn settings(&self, config: &mut Config) {
        let text = |name| self.path(name).to_str().expect("text").to_owned();
        config.tls_cert_file = text("server.crt");
        config.tls_key_file = text("server.key");
    }

    async fn server(&self, change: impl FnOnce(&mut Config)) -> Server {
        self.issue(|_| ());
        Server::with(|config| {
            self.settings(config);
            config.list_sessions = Some(true);
            change(config);
        })
        .await
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            authorities: Some(self.pem.clone().into_bytes()),
            ..Credentials::default()
        }
    }

    /// A handshake that offers these protocols; returns the one chosen and the server's certificate.
    async fn shake(
        &self,
        server: &Server,
        protocols: &[&[u8]],
    ) -> (
        tokio_rustls::client::TlsStream<TcpStream>,
        CertificateDer<'static>,
    ) {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM");
        roots.add(authority).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(server.address).await.expect("accepted");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, stream).await.expect("a handshake");
        let presented = stream.get_ref().1.peer_certificates().expect("presented")[0].clone();
        (stream, presented)
    }
}

fn url(server: &Server) -> String {
    format!("https://localhost:{}", server.address.port())
}

async fn info(client: &Client) {
    let request = pb::GetServerInfoRequest::default();
    client.get_server_info(request).await.expect("an answer");
}

/// The refusal of a server with these settings.
fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    match open(config) {
        Ok(_) => panic!("it starts"),
        Err(error @ ServeError::Tls(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_and_another_is_told_what_to_do() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let client = Client::connect_with(&url(&server), &authority.credentials()).await;
    info(&client.expect("trusted")).await;
    let stranger = Authority::new().credentials();
    let refused = Client::connect_with(&url(&server), &stranger).await;
    let text = refused.expect_err("not trusted").to_string();
    assert!(text.contains("--ca FILE"), "{text}");
    let plain = Client::connect(&server.address.to_string()).await;
    if let Ok(client) = plain {
        let request = pb::GetServerInfoRequest::default();
        client.get_server_info(request).await.expect_err("no TLS");
    }
}

#[tokio::test]
async fn https_to_a_port_without_tls_says_so() {
    let server = Server::start().await;
    let refused = Client::connect_with(&url(&server), &Authority::new().credentials()).await;
    let error = refused.expect_err("no TLS");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("use http://"), "{error}");
}

#[tokio::test]
async fn plain_http_to_a_port_with_tls_is_told_so() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("accepted");
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("it is taken");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(head.contains(&format!("content-length: {}", body.len())));
    assert!(body.contains("use https://"), "{reply}");
}

#[tokio::test]
async fn the_handshake_chooses_the_protocol() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let chosen = async |protocols: &[&[u8]]| {
        let (stream, _) = authority.shake(&server, protocols).await;
        stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(chosen(&[b"http/1.1", b"h2"]).await, Some(b"h2".to_vec()));
    assert_eq!(chosen(&[b"http/1.1"]).await, Some(b"http/1.1".to_vec()));
    assert_eq!(chosen(&[]).await, None);
    let (mut stream, _) = authority.shake(&server, &[b"http/1.1"]).await;
    let request = b"GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("it is taken");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a reply");
    assert_eq!(&head, b"HTTP/1.1 ");
}

#[tokio::test]
async fn the_page_is_for_everybody_over_tls_and_its_calls_need_a_token() {
    let authority = Authority::new();
    let secrets = authority.path("secrets");
    std::fs::write(&secrets, "a secret of at least thirty-two bytes\n").expect("written");
    let server = authority
        .server(|config| config.auth_secret_file = secrets.display().to_string())
        .await;
    let ask = async |request: &str| {
        let (mut stream, _) = authority.shake(&server, &[b"http/1.1"]).await;
        let request = request.as_bytes();
        stream.write_all(request).await.expect("it is taken");
        let mut reply = String::new();
        // The end of TLS is not told by every server before that of TCP.
        let _ = stream.read_to_string(&mut reply).await;
        reply
    };
    let head = "host: localhost\r\nconnection: close\r\n";
    let page = ask(&format!("GET / HTTP/1.1\r\n{head}\r\n")).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("<script type=\"module\""), "{page}");
    let call = ask(&format!(
        "POST /backprop.v1.ServerService/GetServerInfo HTTP/1.1\r\n{head}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    ))
    .await;
    assert!(call.starts_with("HTTP/1.1 401 "), "{call}");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_without_a_failed_call_and_a_bad_one_is_kept_out() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let presented = async || authority.shake(&server, &[b"h2"]).await.1;
    // Waits until new connections see the certificate; a call on each, and calls on an old connection.
    let old = Client::connect_with(&url(&server), &authority.credentials()).await;
    let old = old.expect("trusted");
    let until = async |expected: &CertificateDer<'static>| {
        let seen = async {
            while presented().await != *expected {
                let new = Client::connect_with(&url(&server), &authority.credentials()).await;
                info(&new.expect("a connection")).await;
                info(&old).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.expect("the new certificate is used");
    };
    let first = presented().await;
    let second = authority.issue(|_| ());
    assert_ne!(first, second);
    until(&second).await;

    let bad: [&dyn Fn(); 4] = [
        &|| authority.put("server.crt", "no certificate"),
        &|| authority.put("server.crt", &authority.pair(|_| ()).0),
        &|| {
            authority.issue(|params| params.not_after = date_time_ymd(2001, 1, 1));
        },
        &|| fs::remove_file(authority.path("server.key")).expect("removed"),
    ];
    for spoil in bad {
        spoil();
        // The files are looked at every second, and tried once they have rested for one more.
        for _ in 0..30 {
            info(&old).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(presented().await, second);
    }
    let third = authority.issue(|_| ());
    until(&third).await;
}

#[tokio::test]
async fn a_client_is_who_its_certificate_names_and_one_of_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    fs::write(authority.path("clients.crt"), &authority.pem).expect("writable");
    let clients = authority.path("clients.crt");
    let server = authority
        .server(|config| config.tls_client_ca_file = clients.to_str().expect("text").to_owned())
        .await;
    let call = async |certificate: Option<(String, String)>| {
        let bytes = |(certificate, key): (String, String)| (certificate.into(), key.into());
        let credentials = Credentials {
            certificate: certificate.map(bytes),
            ..authority.credentials()
        };
        let client = Client::connect_with(&url(&server), &credentials).await;
        let client = client.map_err(|error| error.to_string())?;
        let request = pb::CreateSessionRequest::default();
        let answer = client.create_session(request).await;
        let created = answer.map_err(|status| status.to_string())?;
        Ok::<_, String>(created.session.expect("a session").owner)
    };
    let none = call(None).await.expect_err("a caller needs an identity");
    assert!(none.contains("this server needs a token"), "{none}");
    // The identity is the first alternative name.
    let ada = authority.pair(|params| {
        let names = ["ada".to_owned(), "ada.uni.edu".to_owned()];
        let named = CertificateParams::new(names).expect("names");
        params.subject_alt_names = named.subject_alt_names;
    });
    assert_eq!(call(Some(ada)).await.expect("known"), "ada");
    call(Some(other.pair(|_| ()))).await.expect_err("unknown");
}

#[tokio::test]
async fn a_certificate_is_no_identity_once_it_has_expired_on_an_open_connection_too() {
    let authority = Authority::new();
    authority.issue(|_| ());
    fs::write(authority.path("clients.crt"), &authority.pem).expect("writable");
    let hands = Hands::default();
    let server = Server::with_clock(hands.clock(), |config| {
        authority.settings(config);
        let clients = authority.path("clients.crt");
        config.tls_client_ca_file = clients.to_str().expect("text").to_owned();
    })
    .await;
    // rcgen's certificates end with the year 4096, and the clock with 2514: this one ends in 2100.
    let (certificate, key) = authority.pair(|params| params.not_after = date_time_ymd(2100, 1, 1));
    let credentials = Credentials {
        certificate: Some((certificate.into(), key.into())),
        ..authority.credentials()
    };
    let client = Client::connect_with(&url(&server), &credentials).await;
    let client = client.expect("trusted");
    info(&client).await;
    let end = Duration::from_secs(4_102_444_800);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = (end - now.expect("after 1970")).as_secs();
    let left = i64::try_from(left).expect("a time");
    hands.set_date(left - 60);
    info(&client).await;
    hands.set_date(left + 60);
    let request = pb::GetServerInfoRequest::default();
    let refused = client.get_server_info(request).await;
    let status = refused.expect_err("it has expired");
    fixture::refused(&status, Code::Unauthenticated, "TOKEN_EXPIRED");
    let message = status.message();
    assert!(message.contains("certificate has expired"), "{message}");
    hands.set_date(left - 60);
    info(&client).await;
}

#[tokio::test]
async fn a_server_whose_certificate_cannot_be_used_does_not_start_and_says_why() {
    let authority = Authority::new();
    let start = |change: &dyn Fn(&mut Config)| {
        refused(|config| {
            authority.settings(config);
            change(config);
        })
    };
    let text = start(&|_| ());
    assert!(
        text.contains("tls_cert_file") && text.contains("server.crt"),
        "{text}"
    );
    authority.issue(|_| ());
    authority.put("server.key", "no key");
    let text = start(&|_| ());
    assert!(text.contains("tls_key_file"), "{text}");
    authority.put("server.key", &authority.pair(|_| ()).1);
    let text = start(&|_| ());
    assert!(
        text.contains("cannot be used"),
        "of another certificate: {text}"
    );
    authority.issue(|params| params.not_after = date_time_ymd(2001, 1, 1));
    let text = start(&|_| ());
    assert!(
        text.contains("expired at") && text.contains("2001"),
        "{text}"
    );
    authority.issue(|params| params.not_before = date_time_ymd(2199, 1, 1));
    let text = start(&|_| ());
    assert!(text.contains("not valid before"), "{text}");
    authority.issue(|_| ());
    let none = |config: &mut Config| config.tls_client_ca_file = "/none/ca.crt".to_owned();
    let text = start(&none);
    assert!(text.contains("tls_client_ca_file"), "{text}");
}

#[tokio::test]
async fn handshakes_that_are_not_completed_are_cut_off_and_hold_up_no_client() {
    let authority = Authority::new();
    let server = authority
        .server(|config| {
            config.handshake_seconds = 1;
            config.max_connections = 64;
        })
        .await;
    // The first bytes of a ClientHello that announces 512 more.
    let half = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    let mut halves = Vec::new();
    for _ in 0..256 {
        let mut stream = TcpStream::connect(server.address).await.expect("accepted");
        // One that was cut off for another.
        let _ = stream.write_all(&half).await;
        halves.push(stream);
    }
    let client = Client::connect_with(&url(&server), &authority.credentials()).await;
    info(&client.expect("a place")).await;
    for stream in &mut halves {
        hurried(until_closed(stream)).await;
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_no_handshake() {
    let authority = Authority::new();
    let server = authority.server(|_| ()).await;
    let mut silent = TcpStream::connect(server.address).await.expect("accepted");
    let client = Client::connect_with(&url(&server), &authority.credentials()).await;
    info(&client.expect("trusted")).await;
    let stopped = server.shut_down();
    until_closed(&mut silent).await;
    stopped.await.expect("it returns").expect("it stops well");
}

#[test]
fn one_file_of_a_pair_is_refused_with_the_name_of_the_other() {
    let missing = |given: &str, other: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.toml");
        fs::write(&file, format!("{given} = \"x\"")).expect("writable");
        let output = serve(&file);
        assert!(output.contains(given) && output.contains(other), "{output}");
    };
    missing("tls_cert_file", "tls_key_file");
    missing("tls_key_file", "tls_cert_file");
    missing("tls_client_ca_file", "tls_cert_file");
}

/// What a server with this configuration says before it exits.
fn serve(file: &Path) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_backpropd"))
        .args(["serve", "--port", "0", "--ephemeral", "--config"])
        .arg(file)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("text")
}

fn backpropd(arguments: &[&str], folder: &Path) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_backpropd"));
    command.args(arguments).current_dir(folder);
    command.output().expect("it runs")
}

fn said(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_tls_init_serve_and_the_commands_use_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join("tls").join(name);
    let init = |arguments: &[&str]| {
        let all: Vec<_> = ["tls-init"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        backpropd(&all, folder.path())
    };
    let output = init(&["lab.uni.edu", "10.0.0.5"]);
    assert!(output.status.success(), "{}", said(&output));
    for (name, mode) in [
        ("ca.key", 0o600),
        ("server.key", 0o600),
        ("server.crt", 0o644),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = fs::metadata(path(name)).expect("written").permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{name}");
    }
    let refused = init(&["lab.uni.edu"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--renew"), "{}", said(&refused));
    let client = init(&["--client", "alice@uni.edu"]);
    assert!(client.status.success(), "{}", said(&client));

    let text = |name: &str| path(name).to_str().expect("text").to_owned();
    let server = Server::with(|config| {
        config.tls_cert_file = text("server.crt");
        config.tls_key_file = text("server.key");
        config.tls_client_ca_file = text("ca.crt");
    })
    .await;
    let url = url(&server);
    let models = |more: &[&str]| {
        let all = ["sessions", "--server", &url]
            .into_iter()
            .chain(more.iter().copied());
        backpropd(&all.collect::<Vec<_>>(), folder.path())
    };
    let ca = ["--ca", "tls/ca.crt"];
    let unnamed = models(&ca);
    assert_eq!(unnamed.status.code(), Some(1), "{}", said(&unnamed));
    assert!(
        said(&unnamed).contains("TOKEN_MISSING"),
        "{}",
        said(&unnamed)
    );
    let own = [
        "--client-cert",
        "tls/alice@uni.edu.crt",
        "--client-key",
        "tls/alice@uni.edu.key",
    ];
    let known = [&ca[..], &own].concat();
    let output = models(&known);
    assert!(output.status.success(), "{}", said(&output));
    // A list has a column of owners where there are any.
    let call = [
        &[
            "call",
            "CreateSession",
            "{\"sessionId\": \"lab\"}",
            "--server",
            &url,
        ][..],
        &known,
    ];
    let created = backpropd(&call.concat(), folder.path());
    assert!(created.status.success(), "{}", said(&created));
    let listed = said(&models(&known));
    let owner = "alice@uni.edu";
    assert!(
        listed.contains("OWNER") && listed.contains(owner),
        "{listed}"
    );
    let json = said(&models(&[&known[..], &["--json"]].concat()));
    assert!(json.contains(&format!("\"owner\":\"{owner}\"")), "{json}");
    let refused = models(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--ca FILE"), "{}", said(&refused));

    // A new certificate of the same authority: the clients' files stay as they are.
    let before = fs::read(path("server.crt")).expect("written");
    let output = init(&["lab.uni.edu", "--renew"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_ne!(before, fs::read(path("server.crt")).expect("written"));
    assert!(models(&known).status.success(), "{}", said(&models(&known)));
}

#[test]
fn names_that_no_certificate_can_have_are_refused_all_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = backpropd(
        &[
            "tls-init",
            "https://lab.uni.edu",
            "lab uni",
            "ok.edu",
            "a..b",
        ],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    for name in ["https://lab.uni.edu", "lab uni", "a..b"] {
        assert!(text.contains(&format!("{name:?}")), "{text}");
    }
    assert!(!text.contains("ok.edu"), "{text}");
    let escapes = backpropd(&["tls-init", "--client", "../alice"], folder.path());
    assert_eq!(escapes.status.code(), Some(2));
    assert!(!folder.path().join("tls").exists());
}
