//! Every limit and address of the server, named with its unit.
//!
//! One table declares each setting once; the struct, the command line, the environment, the file, `--print-config` and
//! `GetServerInfo` all read that table. [`merge`] combines the layers: flags over environment over file over defaults.
//! This module reads neither the process's environment nor the disk; `cli` does.

pub mod log_filter;
mod memory;
mod merge;
mod value;

use std::net::SocketAddr;

pub use merge::{ConfigError, ConfigFile, Effective, Origin, PORT, Violation, merge, merge_within};
pub use value::LogFormat;
use value::{Filter, Given, HostNames, OneOf, Value, read};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
/// The largest byte count that a setting accepts: above the memory of any machine, and safe to multiply without overflow.
const MOST_BYTES: usize = 1 << 46;

/// A setting: its names, its documentation, and how its value is read and written.
pub struct Setting {
    /// Name in the configuration file and in [`Config`].
    pub name: &'static str,
    /// Heading under which help and documentation list it.
    pub group: &'static str,
    /// Meaning and unit.
    pub description: &'static str,
    /// Whether the flag alone, without a value, means `true`.
    pub is_switch: bool,
    set: fn(&mut Config, &Given<'_>) -> Result<(), String>,
    get: fn(&Config) -> Option<String>,
}

impl Setting {
    /// The flag, without its dashes: `max-layers`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable: `BACKPROPD_MAX_LAYERS`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("BACKPROPD_{}", self.name.to_uppercase())
    }

    /// The default as the file would write it; `None` where the default is to leave the setting out.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        (self.get)(&Config::default())
    }
}

/// Declares the settings by group. Each is `/// description`, `name: type = default, allowed;` where `allowed` is an
/// inclusive range, a [`Filter`], or `..` for any value of the type.
macro_rules! settings {
    ($($group:literal: $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $allowed:expr;)+)+) => {
        /// The configuration in force.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            /// The settings that nobody gave, and that follow the memory limit of the process instead of their default.
            pub of_cgroup: Vec<&'static str>,
            $($($(#[doc = $doc])+ pub $name: $type,)+)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { of_cgroup: Vec::new(), $($($name: $default,)+)+ }
            }
        }

        /// Every setting, in the order of the file, the help and the documentation.
        pub const SETTINGS: &[Setting] = &[
            $($(Setting {
                name: stringify!($name),
                group: $group,
                description: concat!($($doc),+).trim_ascii(),
                is_switch: <$type as Value>::IS_SWITCH,
                set: |config, given| {
                    config.$name = read(given, &$allowed)?;
                    Ok(())
                },
                get: |config| config.$name.write(),
            },)+)+
        ];
    };
}

settings! {
    "Server":
    /// Address and port to listen on, such as 127.0.0.1:50051 or localhost:50051 (which is 127.0.0.1); port 0 takes a free one.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 50051)), ..;
    /// Serve other machines although callers need no identity or the wire has no TLS: any client that can reach the port can use the server.
    insecure_remote: bool = false, ..;
    /// Address and port of the operator's plain HTTP port, with /metrics, /livez, /readyz and grpc.health.v1, such as 127.0.0.1:50052; it tells nothing of models or people; empty = none.
    ops_listen: Option<SocketAddr> = None, ..;
    /// Stop, as on SIGTERM, when the standard input ends: a program that starts a server and holds a pipe to it leaves none behind, however it ends.
    until_stdin_ends: bool = false, ..;
    /// Answer ListSessions; by default only if callers have an identity, or the server listens on loopback, since the names give access otherwise.
    list_sessions: Option<bool> = None, ..;
    /// Compute threads; 0 = one for each core.
    threads: usize = 0, 0..=1024;
    /// Log filter: a level (error, warn, info, debug, trace, off), or levels by module such as "info,backpropd=debug".
    log: String = "info".to_owned(), Filter;
    /// Log format: text or json.
    log_format: LogFormat = LogFormat::Text, ..;

    "TLS":
    /// File of the certificate chain in PEM form, the server's own certificate first; with tls_key_file, the port speaks TLS alone. Both are read again when they change.
    tls_cert_file: String = String::new(), ..;
    /// File of the private key of tls_cert_file, in PEM form.
    tls_key_file: String = String::new(), ..;
    /// File of certificate authorities in PEM form: a client may present a certificate of one of them, whose subject alternative name is then its identity.
    tls_client_ca_file: String = String::new(), ..;
    /// Confirm that a proxy in front terminates TLS, and that this port is reached through it alone.
    tls_terminated: bool = false, ..;

    "Identity":
    /// File of secrets, one per line (a line that begins with # is a comment), that sign the tokens of callers (HS256): the first signs (`backpropd token`), all verify; empty = none. This and the two files below are read again when they change.
    auth_secret_file: String = String::new(), ..;
    /// File of an identity provider's public keys (JWKS), whose tokens are accepted as well (RS256, ES256, EdDSA); empty = none.
    auth_jwks_file: String = String::new(), ..;
    /// Audience (aud) that every token has to name; needed with auth_jwks_file; empty = none, and tokens for any audience are refused.
    auth_audience: String = String::new(), ..;
    /// Issuer (iss) that the tokens of auth_jwks_file have to name; empty = any.
    auth_issuer: String = String::new(), ..;
    /// Claim with the role in the tokens of auth_jwks_file: a word or a list of words; dots lead into objects, such as realm_access.roles.
    auth_role_claim: String = "role".to_owned(), ..;
    /// File of people and tokens that are refused, a sub or jti per line; empty = none.
    auth_revoked_file: String = String::new(), ..;
    /// Role of a caller that presents a certificate of tls_client_ca_file and no token: student, grader, instructor or admin.
    tls_client_role: String = "student".to_owned(), OneOf(&["student", "grader", "instructor", "admin"]);

    "Browsers and curl":
    /// Serve the page for browsers at /; without it, / says what this server is and how to call it, as /about always does.
    web: bool = true, ..;
    /// Host names besides localhost and addresses under which browsers and curl may call this server, and whose pages may call it: names with or without a port, separated by commas, such as lab.uni.edu or localhost:3000.
    hosts: String = String::new(), HostNames;

    "Data folder":
    /// Folder that stores sessions and models across restarts, for one server at a time; empty = backpropd in the user's data folder ($XDG_DATA_HOME or ~/.local/share).
    data_dir: String = String::new(), ..;
    /// Keep sessions and models in memory only; they are lost when the server stops.
    ephemeral: bool = false, ..;
    /// Store that the nodes of a cluster share in place of a data folder: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, with credentials in the usual environment variables; memory:NAME is for tests.
    store: String = String::new(), ..;
    /// Folder in which a node of a cluster keeps the files of datasets while it runs; empty = the system's folder for temporary files.
    store_cache_dir: String = String::new(), ..;
    /// How long a node of a cluster believes its copy of a model or session without a look at the store, in seconds; what another node has committed is seen within this time.
    store_trust_seconds: u64 = 2, 0..=3_600;
    /// Time limit of one request to the store, in seconds.
    store_timeout_seconds: u64 = 10, 1..=3_600;
    /// Interval at which each node of a cluster removes expired and deleted sessions from the store, in seconds.
    store_sweep_seconds: u64 = 3_600, 10..=31_536_000;
    /// Interval between commits of a run in progress to the data folder, in seconds; the end of a run is always committed.
    commit_seconds: u64 = 10, 1..=86_400;
    /// Idle time after which the models of a session are evicted from memory to the data folder, in seconds.
    evict_after_seconds: u64 = 600, 1..=31_536_000;

    "Grading":
    /// Folder of .toml assignments, in addition to the built-in ones; empty = none.
    assignments: String = String::new(), ..;
    /// File of secrets, one per line (a line that begins with # is a comment): the first seeds the networks that answers are tested on, signs receipts and keys the digests of COMPARE_ONLY models; empty = a random secret at each start.
    grading_secret_file: String = String::new(), ..;
    /// Time of grading in reports and receipts, in seconds since 1970, in place of the clock's; 0 = the clock's. A batch job that grades the same answers again then gets the same receipts.
    grade_time: u64 = 0, 0..=253_402_300_799;
    /// Most that a graded report may reveal: verdict, mistake, hints, or reference (the right formula).
    reveal_limit: String = "hints".to_owned(), OneOf(&["verdict", "mistake", "hints", "reference"]);
    /// Largest forward and backward pass whose gradients GradeGradients grades, in floating-point operations; naming a mistake takes dozens of passes.
    max_graded_flops: u64 = 50_000_000, 1..=1_000_000_000_000;
    /// Make every model COMPARE_ONLY, and networks sent with a request too: only grading then tells anything about a gradient.
    compare_only: bool = false, ..;
    /// Let GradeGradients take any batch for a COMPARE_ONLY model that was created without one; a patient search can then find some of its numbers.
    compare_any_batch: bool = false, ..;
    /// GradeGradients calls against COMPARE_ONLY models in the lifetime of one session; for networks sent with a request, from one address or by one person.
    max_compare_tries_per_session: u64 = 200, 1..=1 << 31;

    "Requests and connections":
    /// Largest request message, in bytes after decompression.
    max_request_bytes: usize = 64 * MIB, KIB..=2 * GIB - 1;
    /// Largest reply limit that a request may ask for, in bytes; without asking it is 4 MiB.
    max_reply_bytes: usize = 64 * MIB, KIB..=2 * GIB - 1;
    /// Largest file that ImportModel accepts, in bytes; 0 = the size of the largest model that may be created.
    max_import_bytes: usize = 0, 0..=MOST_BYTES;
    /// Largest header list of a request, in bytes.
    max_header_bytes: u32 = 16 << 10, 1 << 10..=1 << 20;
    /// Open connections, within the limit on open files; at the limit an idle connection is closed for a new one, and without one the new connection is refused.
    max_connections: usize = 1024, 1..=1_000_000;
    /// Open connections from one address (an IPv4 address, or a /64 of IPv6).
    max_connections_per_address: usize = 512, 1..=1_000_000;
    /// Time after which a connection without a call in progress is closed, in seconds.
    idle_seconds: u64 = 600, 1..=86_400;
    /// Calls in progress on one connection.
    max_streams_per_connection: u32 = 100, 1..=10_000;
    /// Time for a new connection to complete its TLS handshake and its first words: the HTTP/2 preface with the header of the first frame, or the headers of an HTTP/1.1 request; in seconds.
    handshake_seconds: u64 = 10, 1..=600;
    /// Time in which a peer must send or accept the next bytes of a message, 2 KiB for each of these seconds; otherwise it is cut off.
    stall_seconds: u64 = 30, 1..=3600;
    /// Time for a whole request message to arrive, in seconds; the file of ImportModel may take longer.
    max_request_seconds: u64 = 600, 1..=86_400;
    /// Time that a shutdown leaves for calls in progress, in seconds.
    drain_seconds: u64 = 10, 0..=3600;

    "Sessions and models":
    /// Latest ended runs that each model remembers, in memory, for ListRuns and GetRun.
    runs_per_model: usize = 16, 0..=1_000;
    /// Step metrics that are stored of one run for GetRun; of a longer run, those of every 2nd, 4th, 8th… step.
    run_metrics: usize = 512, 2..=65_536;
    /// Memory for the ended runs of all models and the metrics of all runs, in bytes; when it runs out, fewer are stored.
    max_run_history_bytes: usize = 64 * MIB, 0..=MOST_BYTES;
    /// Sessions on the server.
    max_sessions: usize = 20_000, 1..=10_000_000;
    /// Sessions created from one address, or by one person, since the server started, not counting deleted and expired ones.
    max_sessions_per_address: usize = 10_000, 1..=10_000_000;
    /// Time to live of a session without a model and without a dataset, unless CreateSession asked for a `ttl`, in seconds; every call renews it.
    empty_session_ttl_seconds: u64 = 3_600, 1..=31_536_000;
    /// Longest time to live of a session, and the default one, in seconds; every call renews it.
    session_ttl_seconds: u64 = 86_400, 1..=31_536_000;
    /// Time for which an expired session can be restored (`backpropd trash`), in seconds of uptime; 0 = it is removed at once.
    trash_seconds: u64 = 86_400, 0..=31_536_000;
    /// Models in one session.
    max_models_per_session: usize = 64, 1..=1_000_000;
    /// Models on the server.
    max_models: usize = 50_000, 1..=10_000_000;
    /// Models in the sessions created from one address, or by one person, since the server started.
    max_models_per_address: usize = 25_000, 1..=10_000_000;
    /// Memory for the parameters and optimizer states of all models, in bytes.
    max_total_parameter_bytes: usize = 4 * GIB, MIB..=MOST_BYTES;
    /// Memory for the parameters and optimizer states of the models in the sessions created from one address, or by one person, since the server started, in bytes.
    max_parameter_bytes_per_address: usize = 2 * GIB, MIB..=MOST_BYTES;
    /// Memory for the parameters and optimizer states of the models of one session, in bytes.
    max_session_parameter_bytes: usize = GIB, MIB..=MOST_BYTES;
    /// Parameters (weights and biases) of one model.
    max_parameters: usize = 67_108_864, 1..=1 << 40;
    /// Layers of one model.
    max_layers: usize = 64, 1..=10_000;
    /// Units of one layer, and features of an input.
    max_units: usize = 65_536, 1..=1 << 30;

    "Datasets":
    /// Folder of datasets that every client can use and none can change: .safetensors, .npz, .npy, .csv, .csv.gz, .tsv and IDX files; empty = none but the built-in digits.
    datasets: String = String::new(), ..;
    /// Memory for open datasets, in bytes; a dataset that does not fit is read from its file in blocks.
    max_dataset_memory_bytes: usize = 2 * GIB, MIB..=MOST_BYTES;
    /// Datasets in one session.
    max_datasets_per_session: usize = 16, 0..=1_000_000;
    /// Size of the datasets of one session, in bytes.
    max_session_dataset_bytes: usize = 4 * GIB, 0..=MOST_BYTES;
    /// Size of the datasets of all sessions, in bytes.
    max_total_dataset_bytes: usize = 64 * GIB, 0..=MOST_BYTES;

    "Work of one call":
    /// Samples (rows) in one call.
    max_batch_rows: usize = 1_048_576, 1..=1 << 31;
    /// Memory for the intermediate quantities of one call, in bytes.
    max_workspace_bytes: usize = GIB, MIB..=MOST_BYTES;
    /// Memory for the messages and intermediate quantities of all calls in progress, in bytes; a call that does not fit is refused.
    max_in_flight_bytes: usize = 2 * GIB, MIB..=MOST_BYTES;
    /// Steps of one TrainBatch.
    max_steps_per_run: u64 = 100_000_000, 1..=1 << 53;
    /// Longest run of one TrainBatch, in seconds, without the wait for its turn; sent again with its request_id it continues.
    max_run_seconds: u64 = 3600, 1..=31_536_000;
    /// Estimated work of one call, or of one step of a run, in floating-point operations: one or two minutes of one core. A larger call is refused.
    max_call_flops: u64 = 4_000_000_000_000, 1_000_000..=1 << 60;
    /// Forward passes in one CheckGradients.
    max_check_evaluations: u64 = 200_000, 1..=1 << 53;
    /// Factors in all equations of one Explain; a request may ask for a quarter as many terms in each.
    max_explain_factors: usize = 8_192, 128..=65_536;
    /// Classes of the confusion matrix of one Evaluate.
    max_confusion_classes: usize = 512, 2..=8_192;

    "Queues and streams":
    /// Runs that wait for one model; a further one is refused.
    max_waiting_runs_per_model: usize = 16, 0..=65_536;
    /// Longest time that a call waits for its model's turn, in seconds; then it is refused.
    max_wait_seconds: u64 = 600, 1..=86_400;
    /// Calls on the whole server that wait for a compute thread; a further one is refused.
    max_waiting_calls: usize = 4_096, 0..=1_000_000;
    /// Calls from one address, or by one person, that wait for a compute thread; a further one is refused.
    max_waiting_calls_per_address: usize = 3_072, 0..=1_000_000;
    /// Calls of one session that wait for a compute thread; a further one is refused.
    max_waiting_calls_per_session: usize = 256, 0..=1_000_000;
    /// TrainBatch, WatchModel and ExportModel streams of one session; a further one is refused.
    max_streams_per_session: usize = 128, 1..=1_000_000;
    /// WatchModel streams on one model.
    max_watchers_per_model: usize = 16, 0..=65_536;
    /// Step metrics buffered for one stream; a slower reader gets a thinned series.
    max_buffered_metrics: usize = 16_384, 16..=16_777_216;
    /// Compute time after which a call yields its thread to the next waiting one, in milliseconds; an indivisible product may take a few more.
    quantum_ms: u64 = 2, 1..=60_000;
    /// Estimated work below which a call is computed at once, without a compute thread, in floating-point operations.
    inline_flops: u64 = 100_000, 0..=1_000_000_000;
    /// Most recent request ids that each model remembers.
    request_ids_per_model: usize = 64, 1..=65_536;
}

/// A setting of an earlier version: giving it is an error that says what takes its place.
pub struct Retired {
    /// Its name in the file.
    pub name: &'static str,
    /// What to do.
    pub instead: &'static str,
}

impl Retired {
    /// The flag, without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("BACKPROPD_{}", self.name.to_uppercase())
    }
}

/// The settings of earlier versions.
pub const RETIRED: &[Retired] = &[Retired {
    name: "allow_remote",
    instead: "this setting is gone: to serve other machines, give callers an identity (auth_secret_file or auth_jwks_file) \
              and the wire TLS (tls_cert_file and tls_key_file, or tls_terminated = true behind a proxy that does). \
              insecure_remote = true (--insecure-remote) serves everybody in plain text, as allow_remote did",
}];

impl Config {
    /// Whether ListSessions is answered: as configured, and by default only if each caller sees what is theirs, or no
    /// other machine can connect.
    #[must_use]
    pub fn lists_sessions(&self) -> bool {
        let by_default = || self.has_auth() || self.is_loopback();
        self.list_sessions.unwrap_or_else(by_default)
    }

    /// Whether callers need an identity.
    #[must_use]
    pub fn has_auth(&self) -> bool {
        let sources = [
            &self.auth_secret_file,
            &self.auth_jwks_file,
            &self.tls_client_ca_file,
        ];
        sources.iter().any(|file| !file.is_empty())
    }

    /// Whether the server listens on loopback alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        // An IPv4 address can be written as IPv6 (::ffff:127.0.0.1).
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether the port speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        !self.tls_cert_file.is_empty() && !self.tls_key_file.is_empty()
    }

    /// Number of compute threads: `threads`, or the cores that this process may use.
    #[must_use]
    pub fn compute_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Every setting in force: name, value as the file would write it, description.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, String, &'static str)> {
        SETTINGS
            .iter()
            .map(|setting| {
                // Only `list_sessions` can be absent; its effective value says more than a blank.
                let value =
                    (setting.get)(self).unwrap_or_else(|| self.lists_sessions().to_string());
                (setting.name, value, setting.description)
            })
            .collect()
    }

    /// Whether only `insecure_remote` lets the server serve other machines.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        let is_safe = self.has_auth() && (self.has_tls() || self.tls_terminated);
        !self.is_loopback() && !is_safe
    }

    /// What is missing to serve other machines, with what to do about each.
    fn open_to_others(&self) -> Option<String> {
        if self.insecure_remote || !self.is_open_to_all() {
            return None;
        }
        let mut missing = Vec::new();
        if !self.has_auth() {
            missing.push(
                "callers need no identity: set auth_secret_file (`backpropd token --new-secret FILE` writes it, `backpropd \
                 token` signs the tokens), or auth_jwks_file",
            );
        }
        if !self.has_tls() && !self.tls_terminated {
            missing.push(
                "tokens and data travel in plain text: set tls_cert_file and tls_key_file (`backpropd tls-init NAME` writes \
                 both), or tls_terminated = true if a proxy in front does TLS",
            );
        }
        Some(format!(
            "listen = \"{}\" can be reached from other machines, and {}. Or listen on 127.0.0.1; --insecure-remote \
             (BACKPROPD_INSECURE_REMOTE=true, insecure_remote = true) serves everybody who can reach the port",
            self.listen,
            missing.join("; and ")
        ))
    }

    /// Settings of identities that mean nothing alone, or would let the wrong callers in.
    fn identity_conflicts(&self) -> Vec<String> {
        let mut conflicts = Vec::new();
        if !self.auth_jwks_file.is_empty() && self.auth_audience.is_empty() {
            conflicts.push(
                "auth_jwks_file needs auth_audience: without it a token that the identity provider made for any other \
                 service would open this one"
                    .to_owned(),
            );
        }
        for (setting, value) in [
            ("auth_audience", &self.auth_audience),
            ("auth_revoked_file", &self.auth_revoked_file),
        ] {
            if !value.is_empty() && !self.has_auth() {
                conflicts.push(format!(
                    "{setting} = {value:?} has no effect, because callers need no identity: set auth_secret_file or \
                     auth_jwks_file, or remove it"
                ));
            }
        }
        if !self.auth_issuer.is_empty() && self.auth_jwks_file.is_empty() {
            conflicts.push(format!(
                "auth_issuer = {:?} has no effect without auth_jwks_file: set that, or remove it",
                self.auth_issuer
            ));
        }
        if self.auth_role_claim.is_empty() {
            conflicts.push(
                "auth_role_claim is empty: name the claim that holds the role, such as role"
                    .to_owned(),
            );
        }
        conflicts
    }

    /// Violations that concern several settings at once.
    fn conflicts(&self) -> Vec<String> {
        let mut conflicts = Vec::new();
        conflicts.extend(self.open_to_others());
        conflicts.extend(self.identity_conflicts());
        if self.ephemeral && !self.data_dir.is_empty() {
            conflicts.push(format!(
                "ephemeral stores nothing, but data_dir = {:?} names a folder to store it in: remove one of the two settings",
                self.data_dir
            ));
        }
        let elsewhere = [
            ("ephemeral", self.ephemeral),
            ("data_dir", !self.data_dir.is_empty()),
        ];
        for (setting, _) in elsewhere
            .into_iter()
            .filter(|(_, is_set)| *is_set && !self.store.is_empty())
        {
            conflicts.push(format!(
                "store = {:?} stores sessions and models, and so does {setting}: remove one of the two settings",
                self.store
            ));
        }
        let pair = [
            ("tls_cert_file", &self.tls_cert_file),
            ("tls_key_file", &self.tls_key_file),
        ];
        for ((given, file), (missing, other)) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            if !file.is_empty() && other.is_empty() {
                conflicts.push(format!(
                    "{given} = {file:?} needs {missing}, which is not set: give both, or neither"
                ));
            }
        }
        if !self.tls_client_ca_file.is_empty() && !self.has_tls() {
            conflicts.push(format!(
                "tls_client_ca_file = {:?} needs TLS: set tls_cert_file and tls_key_file too",
                self.tls_client_ca_file
            ));
        }
        if self.has_tls() && self.tls_terminated {
            conflicts.push(
                "tls_terminated says that a proxy terminates TLS, but tls_cert_file has this port speak TLS: remove one \
                 of the two settings"
                    .to_owned(),
            );
        }
        for (setting, bytes) in [
            ("max_request_bytes", self.max_request_bytes),
            ("max_workspace_bytes", self.max_workspace_bytes),
        ] {
            if bytes > self.max_in_flight_bytes / 3 * 2 {
                conflicts.push(format!(
                    "{setting} = {bytes} allows one call more than two thirds of max_in_flight_bytes = {}, the share of \
                     one connection: lower the former or raise the latter",
                    self.max_in_flight_bytes
                ));
            }
        }
        conflicts
    }
}

#[cfg(test)]
mod tests;
