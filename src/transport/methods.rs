//! What the transport knows about each method: how its messages travel, what they may cost, and how its calls are
//! logged.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::host::limits::memory::{Account, OutOfMemory, Reservation};
use crate::transport::bodies::{Arrival, Delivery};

/// Upload window of a stream, so that a batch of some megabytes travels without waiting for window updates. At the
/// protocol's 64 KiB, calls of 0.2 to 6 MB take 1.7 to 2.5 times as long; four times these sizes bring no further gain.
pub const STREAM_WINDOW: u32 = 4 << 20;

/// Memory of a call in progress besides its messages, in bytes: its headers, its read and write buffers, and the HTTP/2
/// state of its stream.
const CALL_BYTES: usize = 16 << 10;

/// Spare bytes of a call: enough for the messages and the workspace of a small network.
const SPARE_BYTES: usize = 8 << 10;

/// The least that a waiting reply keeps of its call's memory, in bytes.
pub const REPLY_BYTES: usize = CALL_BYTES + SPARE_BYTES;

/// Bytes that may arrive beyond the largest message: its header, and what is read before the header is checked. A
/// message that is too large is refused by its header, which states its length.
const SLACK: usize = 256 << 10;

/// The longest health request, in bytes: the name of a service.
const LARGEST_HEALTH_CHECK: usize = 1 << 10;

/// The longest method name that a log line shows, in bytes.
const LONGEST_METHOD: usize = 120;

/// Methods that only read.
const READS: [&str; 19] = [
    "/Gradients",
    "/Evaluate",
    "/Explain",
    "/Predict",
    "/GetAssignment",
    "/GetDataset",
    "/GetGradingStatistics",
    "/GetModel",
    "/GetParameters",
    "/GetRun",
    "/GetSession",
    "/GetServerInfo",
    "/Check",
    "/ListAssignments",
    "/ListDatasets",
    "/ListModels",
    "/ListRuns",
    "/ListSessions",
    "/ServerReflectionInfo",
];

/// The health service.
pub const HEALTH: &str = "/grpc.health.v1.Health/";

/// How the messages of a method travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One message each way.
    Unary,
    /// One message, answered by a stream of training events, whose reader may pause.
    Events,
    /// One message, answered by a file in pieces.
    Export,
    /// A file in pieces, answered by one message.
    Import,
    /// A dataset in pieces, answered by one message.
    Upload,
    /// A health check.
    Health,
    /// Server reflection: messages each way, for as long as the client likes.
    Reflection,
}

impl Kind {
    /// The kind of the method at `path`.
    pub fn of(path: &str) -> Self {
        match path.rsplit('/').next() {
            Some("TrainBatch" | "WatchModel") => Self::Events,
            Some("ExportModel") => Self::Export,
            Some("ImportModel") => Self::Import,
            Some("CreateDataset") => Self::Upload,
            Some("ServerReflectionInfo") => Self::Reflection,
            Some("Check" | "List" | "Watch") if path.starts_with(HEALTH) => Self::Health,
            Some(_) | None => Self::Unary,
        }
    }

    /// How a reply is delivered. Training continues while a reader pauses: the server thins its stream instead of
    /// cutting it.
    pub fn delivery(self) -> Delivery {
        match self {
            Self::Events => Delivery::Patient,
            Self::Unary
            | Self::Export
            | Self::Import
            | Self::Upload
            | Self::Health
            | Self::Reflection => Delivery::Watched,
        }
    }

    /// Whether a call may end long after its headers are sent.
    pub fn ends_late(self) -> bool {
        matches!(self, Self::Events | Self::Export)
    }

    /// Whether a call keeps its connection busy. Calls that only listen to the server itself do not.
    pub fn keeps_busy(self) -> bool {
        !matches!(self, Self::Health | Self::Reflection)
    }

    /// Reserves the memory that every call takes, apart from its request.
    pub fn hold(self, account: &Arc<Account>) -> Result<Reservation, OutOfMemory> {
        match self {
            // Health is answered even when memory is full: the number of calls bounds the memory of the checks.
            Self::Health => Ok(Reservation::default()),
            Self::Reflection => {
                let window = STREAM_WINDOW as usize;
                account.reserve(window.min(account.limit() / 16))
            }
            Self::Unary | Self::Events | Self::Export | Self::Import | Self::Upload => {
                account.reserve_with_spare(CALL_BYTES, SPARE_BYTES)
            }
        }
    }
}

/// Limits on requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Limit on one message, in bytes.
    pub request_bytes: usize,
    import_bytes: usize,
    patience: Duration,
    whole: Duration,
}

impl Limits {
    /// The limits that the configuration sets.
    pub fn new(config: &Config) -> Self {
        Self {
            request_bytes: config.max_request_bytes,
            // 0 means no limit on the file itself: its header states its length, which the limits on models bound.
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
            may_have_trailers: false,
        };
        match kind {
            Kind::Unary | Kind::Events | Kind::Export => message,
            Kind::Import => Arrival {
                // Every piece of the file carries names and headers, however small the piece is.
                most: self.import_bytes.saturating_mul(2).max(message.most),
                whole: None,
                ..message
            },
            // The limits on datasets bound it, once its header is read.
            Kind::Upload => Arrival {
                most: usize::MAX,
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
                may_have_trailers: false,
            },
        }
    }
}

/// Whether the method at `path` only reads. Successful reads are frequent and logged at `debug`.
pub fn is_read(path: &str) -> bool {
    READS.iter().any(|read| path.ends_with(read))
}

/// Whether the method at `path` shows a model for longer than a moment, and changes nothing.
pub fn shows(path: &str) -> bool {
    path.ends_with("/WatchModel") || path.ends_with("/ExportModel")
}

/// A method path, or a text of a header, for the log: unusual characters escaped, cut to [`LONGEST_METHOD`].
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
