//! Combines the layers of the configuration and collects every violation in them.

use std::{collections::HashMap, error::Error, fmt};

use super::{Config, RETIRED, Retired, SETTINGS, Setting, memory::fit, value::Given};

/// The variable that names the file. It has a flag but is not a setting, since a file cannot name itself.
const FILE_VARIABLE: &str = "BACKPROPD_CONFIG";
const PREFIX: &str = "BACKPROPD_";
/// Variables of the commands and of the Python package, which someone who exports them has in front of a server as well.
const NOT_OF_THE_SERVER: [&str; 5] = [
    "BACKPROPD_BIN",
    "BACKPROPD_CA",
    "BACKPROPD_SERVER",
    "BACKPROPD_TOKEN",
    "BACKPROPD_TOKEN_FILE",
];
/// The flag for the port of `listen` alone. It has no variable: Kubernetes claims `BACKPROPD_PORT` for itself.
pub const PORT: &str = "port";
/// Least similarity (0 to 1) of a known name to be suggested.
const LEAST_LIKENESS: f64 = 0.7;

/// The text of a configuration file.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    /// Name in messages: the path.
    pub name: &'a str,
    /// The content.
    pub text: &'a str,
}

/// The source of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Not set in any layer.
    #[default]
    Default,
    /// Not set in any layer; the default follows this memory limit, in bytes.
    Cgroup(usize),
    /// The file of this name.
    File(String),
    /// The environment variable of this name.
    Environment(String),
    /// The flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Cgroup(bytes) => write!(f, "from the cgroup's memory limit of {bytes} bytes"),
            Self::File(name) => write!(f, "from {name}"),
            Self::Environment(name) => write!(f, "from the environment, {name}"),
            Self::Flag(name) => write!(f, "from the flag {name}"),
        }
    }
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The flag, the variable, or the file and its key; empty if it concerns several settings.
    pub place: String,
    /// The given value, the allowed values, the remedy.
    pub problem: String,
}

/// All faults of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub violations: Vec<Violation>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid:")?;
        for Violation { place, problem } in &self.violations {
            let colon = if place.is_empty() { "" } else { ": " };
            write!(f, "\n  {place}{colon}{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// The configuration in force, with the source of each value.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings' values.
    pub config: Config,
    origins: HashMap<&'static str, Origin>,
}

impl Effective {
    /// The source of the setting `name`.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or_default()
    }

    /// A file that reproduces this configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for setting in SETTINGS {
            let origin = self.origin(setting.name);
            // Without a blank line between the settings, a comment could belong to either neighbour.
            if !text.is_empty() {
                text.push('\n');
            }
            text += &format!("# {} ({origin})\n", setting.description);
            text += &match (setting.get)(&self.config) {
                Some(value) => format!("{} = {value}\n", setting.name),
                None => format!("# {} = {}\n", setting.name, self.config.lists_sessions()),
            };
        }
        text
    }
}

/// Merges flags (named without dashes in front) over environment over file over defaults.
///
/// # Errors
///
/// Every violation in every layer, including values that a higher layer overrides: those would surface later.
pub fn merge(
    flags: impl IntoIterator<Item = (String, String)>,
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<ConfigFile<'_>>,
) -> Result<Effective, ConfigError> {
    merge_within(flags, environment, file, None)
}

/// [`merge`] for a process that may use this many bytes of memory: the defaults fit into them.
///
/// # Errors
///
/// As for [`merge`].
pub fn merge_within(
    flags: impl IntoIterator<Item = (String, String)>,
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<ConfigFile<'_>>,
    memory: Option<usize>,
) -> Result<Effective, ConfigError> {
    let mut merge = Merge::default();
    if let Some(file) = file {
        merge.file(file);
    }
    let mut environment: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    // The environment has no order; messages should.
    environment.sort();
    for (name, value) in &environment {
        merge.variable(name, value);
    }
    let flags: Vec<_> = flags.into_iter().collect();
    // `--port` last: it changes the address that the other flags and layers set.
    let (port, others): (Vec<_>, Vec<_>) = flags.iter().partition(|(name, _)| name == PORT);
    for (name, value) in others.into_iter().chain(port) {
        merge.flag(name, value);
    }
    if let Some(memory) = memory {
        merge.fit(memory);
    }
    merge.finish()
}

#[derive(Default)]
struct Merge {
    config: Config,
    origins: HashMap<&'static str, Origin>,
    violations: Vec<Violation>,
}

impl Merge {
    fn file(&mut self, file: ConfigFile<'_>) {
        let table: toml::Table = match file.text.parse() {
            Ok(table) => table,
            Err(error) => {
                let problem = format!("this is not TOML: {}", error.to_string().trim_end());
                return self.violation(file.name.to_owned(), problem);
            }
        };
        for (key, value) in &table {
            let place = format!("{}, {key}", file.name);
            match SETTINGS.iter().find(|setting| setting.name == key) {
                Some(setting) => {
                    let origin = Origin::File(file.name.to_owned());
                    self.set(
                        setting,
                        &Given::Toml(value),
                        &value.to_string(),
                        (place, origin),
                    );
                }
                None => {
                    if let Some(retired) = retired(|it| it.name == key) {
                        self.violation(place, retired.instead.to_owned());
                        continue;
                    }
                    let names = SETTINGS.iter().map(|setting| setting.name.to_owned());
                    self.violation(
                        place,
                        format!("there is no such setting{}", suggestion(key, names)),
                    );
                }
            }
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        if name == FILE_VARIABLE || NOT_OF_THE_SERVER.contains(&name) || is_service_link(name) {
            return;
        }
        match SETTINGS.iter().find(|setting| setting.variable() == name) {
            Some(setting) => {
                let origin = Origin::Environment(name.to_owned());
                self.set(
                    setting,
                    &Given::Text(value),
                    &format!("{value:?}"),
                    (name.to_owned(), origin),
                );
            }
            None if let Some(retired) = retired(|it| it.variable() == name) => {
                self.violation(name.to_owned(), retired.instead.to_owned());
            }
            None => {
                let known = SETTINGS.iter().map(Setting::variable);
                let known = known.chain([FILE_VARIABLE.to_owned()]);
                self.violation(
                    name.to_owned(),
                    format!(
                        "there is no setting for this environment variable{}",
                        suggestion(name, known)
                    ),
                );
            }
        }
    }

    fn flag(&mut self, name: &str, value: &str) {
        if name == PORT {
            return self.port(value);
        }
        let place = format!("--{name}");
        match SETTINGS.iter().find(|setting| setting.flag() == name) {
            Some(setting) => {
                let origin = Origin::Flag(place.clone());
                self.set(
                    setting,
                    &Given::Text(value),
                    &format!("{value:?}"),
                    (place, origin),
                );
            }
            None if let Some(retired) = retired(|it| it.flag() == name) => {
                self.violation(place, retired.instead.to_owned());
            }
            None => {
                let known = SETTINGS.iter().map(Setting::flag);
                self.violation(
                    place,
                    format!("there is no such flag{}", suggestion(name, known)),
                );
            }
        }
    }

    /// `--port` replaces the port of `listen`, which the flags before it have not set.
    fn port(&mut self, value: &str) {
        let place = format!("--{PORT}");
        if self.origins.get("listen") == Some(&Origin::Flag("--listen".to_owned())) {
            let problem = "--listen has a port already: give one of the two flags".to_owned();
            return self.violation(place, problem);
        }
        match value.trim().parse() {
            Ok(port) => {
                self.config.listen.set_port(port);
                self.origins.insert("listen", Origin::Flag(place));
            }
            Err(_) => self.violation(
                place,
                format!("given {value:?}, allowed is an integer from 0 to 65535"),
            ),
        }
    }

    fn set(
        &mut self,
        setting: &Setting,
        given: &Given<'_>,
        shown: &str,
        (place, origin): (String, Origin),
    ) {
        match (setting.set)(&mut self.config, given) {
            Ok(()) => {
                self.origins.insert(setting.name, origin);
            }
            Err(allowed) => self.violation(place, format!("given {shown}, allowed is {allowed}")),
        }
    }

    /// Has the defaults follow the memory of the process.
    fn fit(&mut self, memory: usize) {
        let origins = &self.origins;
        let changed = fit(&mut self.config, memory, |name| origins.contains_key(name));
        for &name in &changed {
            self.origins.insert(name, Origin::Cgroup(memory));
        }
        self.config.of_cgroup = changed;
    }

    fn violation(&mut self, place: String, problem: String) {
        self.violations.push(Violation { place, problem });
    }

    fn finish(mut self) -> Result<Effective, ConfigError> {
        for conflict in self.config.conflicts() {
            self.violation(String::new(), conflict);
        }
        if self.violations.is_empty() {
            Ok(Effective {
                config: self.config,
                origins: self.origins,
            })
        } else {
            Err(ConfigError {
                violations: self.violations,
            })
        }
    }
}

fn retired(is_it: impl Fn(&Retired) -> bool) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| is_it(retired))
}

/// Kubernetes gives every container variables for each Service of its namespace, named after the Service. One called
/// "backpropd" creates variables that look like settings (`BACKPROPD_PORT=tcp://10.0.0.1:50051`).
fn is_service_link(name: &str) -> bool {
    name == "BACKPROPD_SERVICE_HOST"
        || name.starts_with("BACKPROPD_SERVICE_PORT")
        || name == "BACKPROPD_PORT"
        || name.starts_with("BACKPROPD_PORT_")
}

/// The remedy for an unknown name.
fn suggestion(unknown: &str, known: impl Iterator<Item = String>) -> String {
    let unknown = unknown.to_lowercase();
    known
        .map(|name| (strsim::jaro_winkler(&unknown, &name.to_lowercase()), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .map_or_else(
            || "; `backpropd --print-config` shows them all".to_owned(),
            |(_, name)| format!("; did you mean {name}? `backpropd --print-config` shows them all"),
        )
}
