//! The methods of the server as a call meets them, whatever they do: how their messages come and go, and what that may
//! take.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::host::limits::memory::{Account, OutOfMemory, Reservation};
use crate::transport::bodies::{Arrival, Delivery};

/// Upload windows, so that a batch of some megabytes travels without waiting for permission: at the protocol's 64 KiB, calls
/// of 0.2 to 6 MB take 1.7 to 2.5 times as long; at four times these sizes they take no less.
pub const STREAM_WINDOW: u32 = 4 << 20;

/// What a call under way takes besides its messages, in bytes: its headers, the buffers that its message is read and
/// written by, and what HTTP/2 keeps of a stream.
const CALL_BYTES: usize = 16 << 10;

/// Bytes that a call holds to spare: enough for the messages and the workspace of a small network.
const SPARE_BYTES: usize = 8 << 10;

/// What a reply that waits holds of its call's memory, at least.
pub const REPLY_BYTES: usize = CALL_BYTES + SPARE_BYTES;

/// Bytes that may come beyond the largest message: its head, and as much as is read before a head is looked at. A
/// message that is too large is refused by its head, which says how large.
const SLACK: usize = 256 << 10;

/// The longest request for health, in bytes: the name of a service.
const LARGEST_HEALTH_CHECK: usize = 1 << 10;

/// The longest method that a log line shows, in bytes.
const LONGEST_METHOD: usize = 120;

/// Methods that read.
const READS: [&str; 10] = [
    "/Gradients",
    "/Predict",
    "/GetModel",
    "/GetParameters",
    "/GetSession",
    "/GetServerInfo",
    "/Check",
    "/ListModels",
    "/ListSessions",
    "/ServerReflectionInfo",
];

/// The service that tells whether this one is well.
pub const HEALTH: &str = "/grpc.health.v1.Health/";

/// How the messages of a method come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One message each way.
    Unary,
    /// One message, answered by the events of training, which a reader may let wait.
    Events,
    /// One message, answered by a file.
    Export,
    /// A file.
    Import,
    /// About the server's health.
    Health,
    /// About the server's methods: messages each way, for as long as the caller likes.
    Reflection,
}

impl Kind {
    /// That of the method at `path`.
    pub fn of(path: &str) -> Self {
        match path.rsplit('/').next() {
            Some("TrainBatch" | "WatchModel") => Self::Events,
            Some("ExportModel") => Self::Export,
            Some("ImportModel") => Self::Import,
            Some("ServerReflectionInfo") => Self::Reflection,
            Some("Check" | "List" | "Watch") if path.starts_with(HEALTH) => Self::Health,
            Some(_) | None => Self::Unary,
        }
    }

    /// How a reply is delivered. Training goes on while a reader pauses: its stream is thinned rather than cut.
    pub fn delivery(self) -> Delivery {
        match self {
            Self::Events => Delivery::Patient,
            Self::Unary | Self::Export | Self::Import | Self::Health | Self::Reflection => {
                Delivery::Watched
            }
        }
    }

    /// Whether a call ends long after its headers are sent.
    pub fn ends_late(self) -> bool {
        matches!(self, Self::Events | Self::Export)
    }

    /// Whether a call keeps its connection busy. Those that only listen to the server itself do not.
    pub fn keeps_busy(self) -> bool {
        !matches!(self, Self::Health | Self::Reflection)
    }

    /// The memory that a call takes whatever it does.
    pub fn hold(self, account: &Arc<Account>) -> Result<Reservation, OutOfMemory> {
        match self {
            // Health is answered however full the server is. What a check takes is bounded by the number of calls.
            Self::Health => Ok(Reservation::default()),
            Self::Reflection => {
                let window = STREAM_WINDOW as usize;
                account.reserve(window.min(account.limit() / 16))
            }
            Self::Unary | Self::Events | Self::Export | Self::Import => {
                account.reserve_with_spare(CALL_BYTES, SPARE_BYTES)
            }
        }
    }
}

/// What requests have to keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message.
    pub request_bytes: usize,
    import_bytes: usize,
    patience: Duration,
    whole: Duration,
}

impl Limits {
    /// As the configuration says.
    pub fn new(config: &Config) -> Self {
        Self {
            request_bytes: config.max_request_bytes,
            // Without a limit of its own a file is as long as its head says, which the limits on models bound.
            import_bytes: match config.max_import_bytes {
                0 => usize::MAX,
                bytes => bytes,
            },
            patience: Duration::from_secs(config.stall_seconds),
            whole: Duration::from_secs(config.max_request_seconds),
        }
    }

    /// How a request of this method arrives.
    pub fn arrival(&self, kind: Kind) -> Arrival {
        let message = Arrival {
            most: self.request_bytes.saturating_add(SLACK),
            is_counted: true,
            patience: Some(self.patience),
            whole: Some(self.whole),
        };
        match kind {
            Kind::Unary | Kind::Events | Kind::Export => message,
            Kind::Import => Arrival {
                // Names and headers come with each piece of the file, however small the pieces are.
                most: self.import_bytes.saturating_mul(2).max(message.most),
                whole: None,
                ..message
            },
            Kind::Health => Arrival {
                most: LARGEST_HEALTH_CHECK,
                is_counted: false,
                ..message
            },
            Kind::Reflection => Arrival {
                most: usize::MAX,
                is_counted: false,
                patience: None,
                whole: None,
            },
        }
    }
}

/// Whether the method at `path` reads: its successes are many, and of little interest.
pub fn is_read(path: &str) -> bool {
    READS.iter().any(|read| path.ends_with(read))
}

/// A method as the log shows it: whole where it is one of ours.
pub fn bounded(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_');
    if path.len() <= LONGEST_METHOD && path.bytes().all(is_plain) {
        return path.to_owned();
    }
    let shown = path
        .char_indices()
        .take_while(|(at, _)| *at < LONGEST_METHOD)
        .map(|(_, character)| character);
    let mut shown: String = shown.flat_map(char::escape_default).collect();
    if path.len() > LONGEST_METHOD {
        shown.push('…');
    }
    shown
}
