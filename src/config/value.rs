//! The types of settings: reading, checking and writing a value of each.

use std::{
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
    ops,
};

use super::log_filter;

/// A value as given, not yet checked against its setting.
pub(super) enum Given<'a> {
    /// From a flag or an environment variable.
    Text(&'a str),
    /// From the file.
    Toml(&'a toml::Value),
}

impl Given<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for a reader at a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// A type of setting.
pub(super) trait Value: Sized {
    /// Whether the bare flag means `true`.
    const IS_SWITCH: bool = false;
    /// The allowed values, in words.
    const ALLOWED: &'static str;
    fn read(given: &Given<'_>) -> Option<Self>;
    /// As TOML; `None` where it is absent.
    fn write(&self) -> Option<String>;
}

/// The values of a type that a setting accepts.
pub(super) trait Allowed<T> {
    fn allows(&self, value: &T) -> bool;
    /// In words.
    fn allowed(&self) -> String;
}

/// Reads a value, or returns the allowed values in words.
pub(super) fn read<T: Value>(given: &Given<'_>, allowed: &impl Allowed<T>) -> Result<T, String> {
    T::read(given)
        .filter(|value| allowed.allows(value))
        .ok_or_else(|| allowed.allowed())
}

/// The filters of [`log_filter`].
pub(super) struct Filter;

impl Allowed<String> for Filter {
    fn allows(&self, value: &String) -> bool {
        log_filter::parse(value).is_some()
    }

    fn allowed(&self) -> String {
        "error, warn, info, debug, trace, off, or levels by module such as \"info,backpropd=debug\""
            .to_owned()
    }
}

/// Names of hosts with or without a port, separated by commas.
pub(super) struct HostNames;

impl Allowed<String> for HostNames {
    fn allows(&self, value: &String) -> bool {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.:[]".contains(&letter);
        let is_host = |name: &str| {
            let (host, port) = match name.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
                Some(_) | None => (name, None),
            };
            let is_address = host.starts_with('[') && host.ends_with(']');
            !host.is_empty()
                && host.bytes().all(is_letter)
                && (is_address || !host.contains([':', '[', ']']))
                && port.is_none_or(|port| port.parse::<u16>().is_ok())
        };
        value.is_empty() || value.split(',').map(str::trim).all(is_host)
    }

    fn allowed(&self) -> String {
        "names of hosts, with or without a port, separated by commas, such as \"lab.uni.edu, localhost:3000\", without \
         http:// and without paths"
            .to_owned()
    }
}

/// One of these words.
pub(super) struct OneOf(pub(super) &'static [&'static str]);

impl Allowed<String> for OneOf {
    fn allows(&self, value: &String) -> bool {
        self.0.contains(&value.as_str())
    }

    fn allowed(&self) -> String {
        self.0.join(", ")
    }
}

impl<T: Value> Allowed<T> for ops::RangeFull {
    fn allows(&self, _: &T) -> bool {
        true
    }

    fn allowed(&self) -> String {
        T::ALLOWED.to_owned()
    }
}

impl<T: PartialOrd + Display> Allowed<T> for ops::RangeInclusive<T> {
    fn allows(&self, value: &T) -> bool {
        self.contains(value)
    }

    fn allowed(&self) -> String {
        format!("an integer from {} to {}", self.start(), self.end())
    }
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const ALLOWED: &'static str = "an integer";

            fn read(given: &Given<'_>) -> Option<Self> {
                match given {
                    // TOML allows 1_000, so flags do too.
                    Given::Text(text) => text.trim().replace('_', "").parse().ok(),
                    Given::Toml(value) => value.as_integer()?.try_into().ok(),
                }
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}

integers!(u32, u64, usize);

impl Value for bool {
    const IS_SWITCH: bool = true;
    const ALLOWED: &'static str = "true or false";

    fn read(given: &Given<'_>) -> Option<Self> {
        match given {
            Given::Text(text) => text.trim().parse().ok(),
            Given::Toml(value) => value.as_bool(),
        }
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Option<bool> {
    const IS_SWITCH: bool = true;
    const ALLOWED: &'static str = bool::ALLOWED;

    fn read(given: &Given<'_>) -> Option<Self> {
        bool::read(given).map(Some)
    }

    fn write(&self) -> Option<String> {
        self.and_then(|value| value.write())
    }
}

impl Value for String {
    const ALLOWED: &'static str = "text";

    fn read(given: &Given<'_>) -> Option<Self> {
        given.text().map(str::to_owned)
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::from(self.as_str()).to_string())
    }
}

impl Value for SocketAddr {
    const ALLOWED: &'static str = "an IP address or localhost, and a port, such as \"127.0.0.1:50051\", \
                                   \"localhost:50051\" or \"[::1]:50051\"";

    fn read(given: &Given<'_>) -> Option<Self> {
        let text = given.text()?.trim();
        // One listener has one address family. Of the two that localhost can mean, every client that resolves the name
        // tries IPv4, and it is the family of the default. No resolver is asked, so the result is the same on every machine.
        match text.rsplit_once(':') {
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
                Some(Self::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)))
            }
            Some(_) | None => text.parse().ok(),
        }
    }

    fn write(&self) -> Option<String> {
        self.to_string().write()
    }
}

impl Value for Option<SocketAddr> {
    const ALLOWED: &'static str =
        "empty, or an IP address or localhost, and a port, such as \"127.0.0.1:50052\"";

    fn read(given: &Given<'_>) -> Option<Self> {
        match given.text()?.trim() {
            "" => Some(None),
            _ => SocketAddr::read(given).map(Some),
        }
    }

    fn write(&self) -> Option<String> {
        self.map_or_else(String::new, |address| address.to_string())
            .write()
    }
}

impl Value for LogFormat {
    const ALLOWED: &'static str = "\"text\" or \"json\"";

    fn read(given: &Given<'_>) -> Option<Self> {
        match given.text()?.trim() {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn write(&self) -> Option<String> {
        let word = match self {
            Self::Text => "text",
            Self::Json => "json",
        };
        word.to_owned().write()
    }
}
